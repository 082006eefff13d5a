"""The last stage: extracts of who may be contacted, after every blocking check and after the publication."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from orchestration.activation import extracts
from orchestration.activation.configuration import DestinationConfig
from orchestration.errors import BarometerError
from orchestration.ownership import OWNERS
from orchestration.publish.assets import PUBLISHED
from orchestration.report.recording import recorded
from orchestration.resources import WRITER_POOL, Warehouse, log
from orchestration.settings import Settings
from orchestration.warehouse.build import NIGHTLY, Build, is_built, open_working_and_build
from orchestration.warehouse.project import fingerprint_of
from orchestration.warehouse.running_tests import current_tests

CHECK = "nothing_hides_a_wish_to_be_left_alone"
SEGMENT_EXTRACTS = dg.AssetKey(["extracts", "segments"])


@contextmanager
def _open_with_one_thread(settings: Settings, build: Build) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the working file and the build; with several threads the same rows may come out in other bytes."""
    with open_working_and_build(settings, build) as con:
        con.execute("set threads = 1")
        yield con


def raise_if_blocked(settings: Settings, build: Build) -> None:
    """Raise BarometerError, with what to do, while something may hide a wish to be left alone."""
    with _open_with_one_thread(settings, build) as con:
        extracts.raise_if_blocked(con)


@dg.asset_check(
    asset=PUBLISHED,
    name=CHECK,
    blocking=True,
    description="Rejected erasures, consents that name nobody, and unreadable files of consents, erasures or message "
    "events stop extracts until somebody acknowledges them.",
)
def nothing_hides_a_wish_to_be_left_alone(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Fail while a rejected row or file may hide a wish to be left alone."""
    as_of = str(warehouse.settings.as_of)
    if warehouse.kind != NIGHTLY:
        return dg.AssetCheckResult(passed=True, metadata={"skipped": f"{warehouse.kind} runs extract nothing"})
    try:
        raise_if_blocked(warehouse.settings, warehouse.build())
    except BarometerError as error:
        # what an earlier run of this date wrote may hold somebody who has said no since
        extracts.remove_extracts(warehouse.settings.extracts, warehouse.settings.as_of)
        return dg.AssetCheckResult(passed=False, metadata={"what_to_do": str(error), "as_of": as_of})
    return dg.AssetCheckResult(passed=True, metadata={"as_of": as_of})


def segment_extracts_of(
    dates: dg.PartitionsDefinition, freshness: dg.FreshnessPolicy, destinations: Sequence[DestinationConfig]
) -> dg.AssetsDefinition:
    """Return the asset of the extracts, which waits for the published file and its blocking checks."""

    @dg.asset(
        key=SEGMENT_EXTRACTS,
        deps=[PUBLISHED],
        partitions_def=dates,
        freshness_policy=freshness,
        group_name="extracts",
        kinds={"csv", "parquet"},
        owners=OWNERS,
        pool=WRITER_POOL,
        output_required=False,
        description="extracts/<as_of>/<family>/<segment>: user_id, channel and address of everybody of a segment who "
        "has an address, consent and no suppression there. extracts/<as_of>/plan/<audience>: whom the plan contacts on "
        "the plan date, with address, campaign, variant, time zone and hours; each is recorded in planned_contacts "
        "first. extracts/<as_of>/destinations/<destination>/<audience>: what each destination is to know of whom. "
        "Less whoever is held out, and whoever may no longer be contacted by all that is loaded.",
    )
    @recorded("extract")
    def segment_extracts(warehouse: Warehouse) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        """Write the extracts of the date, unless its plan date is past or they are there already."""
        settings, build = warehouse.settings, warehouse.build()
        if build.kind != NIGHTLY or settings.plan_date < settings.today:
            why = (
                f"{build.kind} runs write none"
                if build.kind != NIGHTLY
                else f"{settings.plan_date} is past (today is {settings.today})"
            )
            log.info("No extracts: %s", why)
            # no materialization: what is there is as old as it was
            yield dg.AssetObservation(SEGMENT_EXTRACTS, metadata={"skipped": why})
            return
        if not is_built(settings, build):
            raise BarometerError(
                "No extract is written: the build is older than what has been loaded since, or not whole.",
                "Run the job nightly; it builds, checks and publishes before it extracts.",
            )
        # the check of the same name may not be part of a run that asks for the extracts alone
        raise_if_blocked(settings, build)
        with _open_with_one_thread(settings, build) as con:
            # what is written follows from the build and from the code that writes it
            code = sorted(Path(__file__).parent.glob("*.py"))
            fingerprint = fingerprint_of(code, [build.fingerprint, repr(destinations)])
            result = extracts.write_extracts(
                con,
                settings.extracts,
                settings.planned_contacts,
                settings.as_of,
                fingerprint,
                current_tests(),
                destinations,
            )
        log.info(
            "%s %s (segments: %s rows, %s vetoed; plan lists for %s: %s rows, %s vetoed)",
            "Extracts unchanged:" if result.is_same else "Extracts written:",
            result.folder,
            f"{sum(result.segments.rows.values()):,}",
            f"{result.segments.vetoed:,}",
            settings.plan_date,
            f"{sum(result.plan_lists.rows.values()):,}",
            f"{sum(result.plan_lists.vetoed.values()):,}",
        )
        yield dg.MaterializeResult(metadata=metadata_of(result))

    return segment_extracts


def metadata_of(result: extracts.Extracts) -> dict[str, Any]:
    """Return what is shown of extracts: where they are, and their rows. No table where it would have none."""
    segments, lists = result.segments, result.plan_lists
    by_segment = [dg.TableRecord({"family": f, "segment": s, "rows": n}) for (f, s), n in segments.rows.items()]
    by_audience = [
        dg.TableRecord({"audience": name, "rows": rows, "vetoed": lists.vetoed[name]})
        for name, rows in lists.rows.items()
    ]
    return {
        **({"skipped": "they hold this build already"} if result.is_same else {}),
        "path": dg.MetadataValue.path(str(result.folder)),
        "dagster/row_count": result.rows,
        "vetoed": segments.vetoed + sum(lists.vetoed.values()),
        "universal_holdout": segments.held_out,
        "planned_contacts_added": result.planned,
        # Dagster takes no table without rows
        **({"rows": dg.MetadataValue.table(by_segment)} if by_segment else {}),
        **({"plan_lists": dg.MetadataValue.table(by_audience)} if by_audience else {}),
    }
