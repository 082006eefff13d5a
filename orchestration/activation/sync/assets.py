"""The sync in Dagster: an asset a destination and audience, what must go in any case, and the records of it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from orchestration.activation.assets import SEGMENT_EXTRACTS
from orchestration.activation.configuration import DestinationConfig
from orchestration.activation.destinations.interface import LostAnswer, NotTaken, Refused
from orchestration.activation.sync.courier import Unreachable
from orchestration.activation.sync.guards import GUARDS
from orchestration.activation.sync.ledger import has_news
from orchestration.activation.sync.run import remove_what_must_go, situation_of, sync_destination
from orchestration.activation.sync.sync import Report
from orchestration.errors import BarometerError
from orchestration.ownership import OWNERS
from orchestration.publish.publish import last_sync_published, publish_records
from orchestration.report.recording import recorded
from orchestration.resources import Warehouse, log
from orchestration.warehouse.build import NIGHTLY
from orchestration.warehouse.lock import LockedError, warehouse_lock

REMOVALS = dg.AssetKey(["activation", "removals"])
RECORDS = dg.AssetKey(["activation", "records"])
#: The check of REMOVALS.
GONE = "what_must_go_is_gone"
_GROUP = "activation"
#: How long the small publish waits for another run; what it would show comes with the next publication too.
_RECORDS_WAIT_SECONDS = 60.0


class SyncConfig(dg.Config):
    """What somebody lets through for one run: names of guards."""

    allow: list[str] = []


def key_of(destination: str, audience: str) -> dg.AssetKey:
    """Return the asset of an audience at a destination."""
    return dg.AssetKey(["sync", destination, audience])


def check_of(destination: str, audience: str) -> str:
    """Return the name of its check."""
    return f"{destination}_has_all_of_{audience}"


def sync_assets_of(
    destinations: Sequence[DestinationConfig], dates: dg.PartitionsDefinition
) -> list[dg.AssetsDefinition]:
    """Return the assets of each destination, and the two that come after all of them."""
    return [
        *(_sync_of(destination, destinations, dates) for destination in destinations),
        _removals_of(destinations, dates),
        _records_of(dates),
    ]


def _sync_of(
    destination: DestinationConfig, destinations: Sequence[DestinationConfig], dates: dg.PartitionsDefinition
) -> dg.AssetsDefinition:
    audiences = [target.audience for target in destination.targets]

    @dg.multi_asset(
        name=f"sync_{destination.name}",
        specs=[
            dg.AssetSpec(
                key_of(destination.name, audience),
                deps=[SEGMENT_EXTRACTS],
                group_name=_GROUP,
                kinds={destination.kind.type},
                owners=OWNERS,
                skippable=True,
                description=f"What {destination.name} has of {audience}: the difference to the extract is sent.",
            )
            for audience in audiences
        ],
        check_specs=[
            dg.AssetCheckSpec(
                check_of(destination.name, audience),
                asset=key_of(destination.name, audience),
                description="The provider has accepted every row, and no guard stopped it.",
            )
            for audience in audiences
        ],
        partitions_def=dates,
        can_subset=True,
    )
    @recorded(f"sync {destination.name}", rows="rows_sent")
    def sync(
        context: dg.AssetExecutionContext, config: SyncConfig, warehouse: Warehouse
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        """Send the difference, audience by audience."""
        keys = {key_of(destination.name, audience): audience for audience in audiences}
        wanted = [keys[key] for key in context.selected_asset_keys if key in keys]
        if warehouse.kind != NIGHTLY:
            for audience in wanted:
                yield dg.AssetObservation(
                    key_of(destination.name, audience), metadata={"skipped": f"{warehouse.kind} runs send nothing"}
                )
            return
        situation = situation_of(warehouse, destinations, config.allow)
        for report in sync_destination(warehouse.settings, destination, situation, sorted(wanted), _say):
            yield dg.MaterializeResult(
                asset_key=key_of(destination.name, report.audience),
                metadata=metadata_of(report),
                check_results=[
                    dg.AssetCheckResult(
                        asset_key=key_of(destination.name, report.audience),
                        check_name=check_of(destination.name, report.audience),
                        passed=report.is_complete,
                        severity=dg.AssetCheckSeverity.WARN,
                        metadata=_check_metadata(report),
                    )
                ],
            )

    return sync


def _removals_of(destinations: Sequence[DestinationConfig], dates: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=REMOVALS,
        # no other stage, so that it runs when one of them fails; the priority puts it behind all that can still run
        op_tags={"dagster/priority": "-50"},
        partitions_def=dates,
        group_name=_GROUP,
        kinds={"python"},
        owners=OWNERS,
        output_required=False,
        check_specs=[dg.AssetCheckSpec(GONE, asset=REMOVALS, description="Whatever had to go is gone everywhere.")],
        description="Takes out, also after a stage that failed, what must go whatever happened: lists whose day is "
        "past, erased users, withdrawals, and lists that destinations.yml names no longer.",
    )
    def removals(
        warehouse: Warehouse,
    ) -> Iterator[dg.MaterializeResult | dg.AssetObservation | dg.AssetCheckResult]:
        if warehouse.kind != NIGHTLY:
            skipped = {"skipped": f"{warehouse.kind} runs send nothing"}
            yield dg.AssetObservation(REMOVALS, metadata=skipped)
            # a check has no way to be left out
            yield dg.AssetCheckResult(asset_key=REMOVALS, check_name=GONE, passed=True, metadata=skipped)
            return
        situation = situation_of(warehouse, destinations, [])
        reports = remove_what_must_go(warehouse.settings, destinations, situation)
        for report in reports:
            _say(report)
        yield dg.MaterializeResult(
            metadata={
                "rows_removed": sum(report.tally.removed for report in reports),
                **_table("removed", [_numbers(report) for report in reports]),
            },
            check_results=[_gone(reports)],
        )

    return removals


def _gone(reports: Sequence[Report]) -> dg.AssetCheckResult:
    left = [report for report in reports if not report.is_complete]
    found = "; ".join(in_words(report) for report in left)
    hints = sorted({hint for report in left if (hint := getattr(report.tally.stopped, "hint", ""))})
    what_to_do = {"what_to_do": f"{found.rstrip('.')}. {' '.join(hints)}"} if hints else {}
    return dg.AssetCheckResult(
        check_name=GONE,
        passed=not left,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"found": found, "rows": sum(map(_not_done, left)), **what_to_do} if left else {},
    )


def _not_done(report: Report) -> int:
    return report.tally.rejected + report.tally.pending + report.tally.unknown


def _records_of(dates: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    @dg.asset(
        key=RECORDS,
        op_tags={"dagster/priority": "-60"},
        partitions_def=dates,
        group_name=_GROUP,
        kinds={"duckdb"},
        owners=OWNERS,
        output_required=False,
        description="sync_runs, sync_rows and pipeline_runs in the published file, after the sync.",
    )
    def records(warehouse: Warehouse) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        settings = warehouse.settings
        if warehouse.kind != NIGHTLY or not settings.published_file.exists():
            yield dg.AssetObservation(RECORDS, metadata={"skipped": "nothing is published"})
            return
        if not has_news(settings.activation_file, last_sync_published(settings.published_file)):
            log.info("Records of the sync: nothing is new")
            yield dg.AssetObservation(RECORDS, metadata={"skipped": "nothing was sent since they were published"})
            return
        # the sync may have taken an hour, in which another run began
        if warehouse.is_held:
            warehouse.release()
        try:
            with warehouse_lock(settings.warehouse, _RECORDS_WAIT_SECONDS, log.info):
                rows = publish_records(settings)
        except LockedError:
            log.info("Records of the sync: another run is writing, and publishes them at its end")
            yield dg.AssetObservation(RECORDS, metadata={"skipped": "another run is writing"})
            return
        log.info("Records of the sync are published (%s rows)", f"{rows:,}")
        yield dg.MaterializeResult(metadata={"rows": rows})

    return records


def _say(report: Report) -> None:
    log.info("%s", in_words(report))


def in_words(report: Report) -> str:
    """Return a line about a sync."""
    tally = report.tally
    said = [
        f"{number:,} {what}"
        for number, what in (
            (tally.accepted, "accepted"),
            (tally.removed, "removed"),
            (tally.rejected, "rejected"),
            (tally.pending, "not taken"),
            (tally.unknown, "unknown"),
            (tally.vetoed, "vetoed"),
        )
        if number
    ]
    line = f"Sync {report.destination}/{report.audience}: " + (", ".join(said) or "nothing to send")
    stops = [*(guard.message for guard in report.guards), *([_stop(report)] if tally.stopped else [])]
    return line + (f" — {'; '.join(stops)}" if stops else "")


def _stop(report: Report) -> str:
    """Return what stopped a sync: our own words alone, since those of other errors may quote an address."""
    stopped = report.tally.stopped
    is_ours = isinstance(stopped, (BarometerError, NotTaken, LostAnswer, Refused, Unreachable))
    return str(stopped).split("\n")[0] if is_ours else type(stopped).__name__


def metadata_of(report: Report) -> dict[str, Any]:
    """Return what is shown of a sync: rows, seconds, and a table of reasons. No address and no text of a provider."""
    reasons = [
        {"operation": operation, "status": status, "reason": code, "rows": rows}
        for (operation, status, code), rows in sorted(report.tally.reasons.items())
    ]
    numbers = {f"rows_{name}": value for name, value in _numbers(report).items() if isinstance(value, int)}
    return {
        **numbers,
        "outcome": report.outcome,
        "seconds": report.seconds,
        **({"rows_in_extract": report.rows} if report.rows is not None else {}),
        **({"rows_with_a_shared_key": report.shared_key} if report.shared_key else {}),
        **_table("reasons", reasons),
    }


def _check_metadata(report: Report) -> dict[str, Any]:
    if report.is_complete:
        return {}
    tally = report.tally
    found = in_words(report)
    hints = [
        *(
            f'{guard.name}: `make sync ARGS="--allow {guard.name}"` would {GUARDS[guard.name]}'
            for guard in report.guards
        ),
        *(filter(None, [getattr(tally.stopped, "hint", None)])),
    ]
    return {
        "found": found,
        "rows": _not_done(report),
        **({"what_to_do": f"{found.rstrip('.')}. {'; '.join(hints)}"} if hints else {}),
    }


def _numbers(report: Report) -> dict[str, Any]:
    tally = report.tally
    return {
        "destination": report.destination,
        "audience": report.audience,
        "sent": tally.sent,
        "accepted": tally.accepted,
        "rejected": tally.rejected,
        "pending": tally.pending,
        "unknown": tally.unknown,
        "removed": tally.removed,
        "vetoed": tally.vetoed,
    }


def _table(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a table as metadata. Dagster takes none without rows."""
    return {name: dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])} if rows else {}
