"""A run's part in the sync: what it knows while it holds the lock, then destination by destination without it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import duckdb

from orchestration.activation.configuration import DestinationConfig
from orchestration.activation.extracts import raise_if_blocked
from orchestration.activation.sync.ledger import Ledger, destinations_of, open_ledger
from orchestration.activation.sync.outgoing import alone
from orchestration.activation.sync.sync import Report, Situation, TargetSync, build, retire_stale
from orchestration.activation.sync.vetoes import keep_vetoes
from orchestration.errors import BarometerError
from orchestration.settings import Settings
from orchestration.warehouse.build import Build, is_built, open_working_and_build

if TYPE_CHECKING:
    from orchestration.resources import Warehouse


def situation_of(warehouse: Warehouse, destinations: Sequence[DestinationConfig], allowed: Sequence[str]) -> Situation:
    """Return what a sync of this run goes by, and let go of the lock: a sync may take an hour, and others shall run.

    While the lock is held, it is noted in the ledger who of ``destinations``, which are all, may not be sent.
    """
    settings = warehouse.settings
    if warehouse.is_held:
        warehouse.release(look(settings, warehouse.build(), destinations))
    return Situation(
        warehouse.run_id,
        settings.extracts,
        settings.data,
        settings.as_of,
        settings.today,
        warehouse.blocked,
        frozenset(allowed),
    )


def look(settings: Settings, build: Build, destinations: Sequence[DestinationConfig]) -> str | None:
    """Note the vetoes, and return why additions have to wait, None if they have not. Whoever calls it has the lock."""
    if not (settings.working_file.exists() and build.file.exists()):
        return "nothing is built"
    folder = settings.extracts / settings.as_of.isoformat()
    try:
        with open_ledger(settings.activation_file) as ledger, open_working_and_build(settings, build) as con:
            keep_vetoes(con, ledger, destinations, folder, settings.warehouse)
            raise_if_blocked(con)
    except duckdb.CatalogException:
        return "nothing is built, or the build is not whole"
    except duckdb.Error as error:
        # removals go out all the same, by what was known before
        return f"the build can't be read ({type(error).__name__})"
    except BarometerError as error:
        return error.message.split("\n")[0]
    return None if is_built(settings, build) else "the build is older than what has been loaded since, or not whole"


def sync_destination(
    settings: Settings,
    config: DestinationConfig,
    situation: Situation,
    audiences: Sequence[str],
    say: Callable[[Report], None],
) -> list[Report]:
    """Sync some audiences of a destination, one sync of it at a time; return, and say at once, what came of each.

    One object of the destination serves all of them: the provider counts what comes from all together.
    """
    reports: list[Report] = []

    def ended(report: Report) -> None:
        say(report)
        reports.append(report)

    with (
        alone(settings, config.name),
        open_ledger(settings.activation_file) as con,
        duckdb.connect() as reader,
    ):
        try:
            destination = build(config, situation)
        except BarometerError as error:
            for audience in audiences:
                ended(_failed(config.name, audience, error))
            return reports
        with closing(destination):
            retired = retire_stale(Ledger(con, config.name), config.name, config, situation)
            for report in retired:
                if report.audience not in audiences:
                    say(report)
            for audience in audiences:
                target = config.target(audience)
                assert target is not None
                ended(TargetSync(con, reader, config, target, situation).run(destination, retired))
    return reports


def remove_what_must_go(
    settings: Settings, destinations: Sequence[DestinationConfig], situation: Situation
) -> list[Report]:
    """Send the removals that wait for nothing, where this run has not synced, and empty what is configured no longer.

    Returns what came of the audiences of which something had to be removed, or could not be.
    """
    reports: list[Report] = []
    with open_ledger(settings.activation_file) as con:
        known = destinations_of(con)
        done = set(
            con.execute(
                "select destination, audience from sync_runs where run_id = ? and outcome <> 'failed'",
                [situation.run_id],
            ).fetchall()
        )
    configs = {config.name: config for config in destinations}
    for name in known:
        try:
            with (
                alone(settings, name),
                open_ledger(settings.activation_file) as con,
                duckdb.connect() as reader,
            ):
                reports += _removed(con, reader, name, configs.get(name), situation, done)
        except BarometerError as error:
            # of the key or the lock of this destination: the others go on
            reports.append(_failed(name, "all", error))
    return [report for report in reports if report.tally.sent or report.tally.stopped]


def _removed(
    con: sqlite3.Connection,
    reader: duckdb.DuckDBPyConnection,
    name: str,
    config: DestinationConfig | None,
    situation: Situation,
    done: set[tuple[str, str]],
) -> list[Report]:
    """Take out of one destination what must go: first where its audiences are now, then where they were before."""
    reports = []
    ledger = Ledger(con, name)
    of_now = {stored.audience for stored in ledger.targets()} if config else set()
    targets = [target for target in config.targets if target.audience in of_now] if config else []
    open_ones = [target for target in targets if (name, target.audience) not in done]
    if config is not None and open_ones:
        try:
            with closing(build(config, situation)) as destination:
                for target in open_ones:
                    sync = TargetSync(con, reader, config, target, situation)
                    reports.append(sync.remove_what_must_go(destination))
        except BarometerError as error:
            reports.append(_failed(name, "all", error))
    retired = retire_stale(ledger, name, config, situation)
    for report in retired:
        if config is None or config.target(report.audience) is None:
            ledger.forget_vetoes(report.audience)
    return reports + retired


def _failed(name: str, audience: str, error: BaseException) -> Report:
    report = Report(name, audience)
    report.tally.stopped = error
    return report
