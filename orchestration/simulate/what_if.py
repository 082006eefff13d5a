"""Plays the measured contacts again under proposed caps and under those in force. Nothing on the disk changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.measures.cap_simulation import (
    ALL,
    CURRENT,
    Outcome,
    Period,
    cap_of,
    caps_in_force,
    simulate,
)
from orchestration.policy import proposed_caps
from orchestration.settings import Settings
from orchestration.warehouse import build_state
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.lock import not_beside_a_run

PROPOSED = "proposed"
_HOW_TO_CALL = "Name a CSV file like dbt_project/seeds/contact_policy.csv: make simulate POLICY=my_caps.csv"
_BUILD_FIRST = "Run the pipeline for a day that is over: make run"
_MEASURED = """
    select min(contact_date), max(contact_date) from marts.fct_contacts
    where is_contact and contact_date >= (select min(contact_date) from intermediate.int_contact_segments)
"""
_HAS_MEASURES = """
    select 1 from duckdb_columns()
    where database_name = current_database() and table_name = 'int_contact_segments' and column_name = 'policy_segment'
"""


@dataclass(frozen=True)
class WhatIf:
    """What two policies, those in force and the proposed, would have done to the contacts of a period."""

    period: Period
    currency: str
    outcomes: Mapping[tuple[str, str, str, str], Outcome]

    def outcome(self, policy: str, windows: str, segment: str = ALL, channel: str = ALL) -> Outcome:
        """Return the outcome of a policy; raises KeyError where a segment had no contact on a channel."""
        return self.outcomes[policy, windows, segment, channel]

    def segments(self) -> list[str]:
        """Return the policy segments that had contacts."""
        return list(dict.fromkeys(segment for *_, segment, _ in self.outcomes if segment != ALL))

    def channels(self) -> list[str]:
        """Return the channels that had contacts."""
        return list(dict.fromkeys(channel for *_, channel in self.outcomes if channel != ALL))


def read_policy_file(path: Path) -> bytes:
    """Return what a file of proposed caps holds; raises BarometerError where it can't be read."""
    if path == Path():
        raise BarometerError("No file with proposed caps was named.", _HOW_TO_CALL)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BarometerError(f"{path} can't be read: {error.strerror}.", _HOW_TO_CALL) from error


def what_if(
    settings: Settings,
    name: str,
    content: bytes,
    first: date | None = None,
    last: date | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> WhatIf:
    """Play the contacts of the measured days, or from ``first`` to ``last`` of them, under both policies.

    ``content`` is a file like the seed contact_policy and ``name`` what it is called. Raises BarometerError where it is
    not right, where nothing is built, and while a run writes.
    """
    rows, warnings = proposed_caps(name, content)
    for warning in warnings:
        report(f"Warning: {warning}")
    policies = {CURRENT: caps_in_force(), PROPOSED: [cap_of(row.values) for row in rows]}
    file = settings.build_file
    if not file.exists():
        raise BarometerError(f"Nothing is built yet: there is no {file}.", _BUILD_FIRST)
    with not_beside_a_run(settings.warehouse, str(file)), open_duckdb(file, read_only=True) as con:
        period = _period(con, file, first, last)
        report(f"Playing the contacts of {period.first} to {period.last} again, under both policies")
        found = simulate(con, policies, period, report)
    outcomes = {(each.policy, each.windows, each.segment, each.channel): each for each in found}
    return WhatIf(period, settings.policy["business_currency"], outcomes)


def _period(con: duckdb.DuckDBPyConnection, file: Path, first: date | None, last: date | None) -> Period:
    """Return the dates asked for, which must be among those that are measured."""
    if not con.execute(_HAS_MEASURES).fetchone():
        raise BarometerError(f"{file} has no measures yet.", _BUILD_FIRST)
    if build_state.stored_fingerprint(con) is None:
        raise BarometerError("The build is not whole: the last run failed or was killed.", "Run it again: make run")
    measured: Sequence[date | None] = con.execute(_MEASURED).fetchall()[0]
    earliest, latest = measured
    if earliest is None or latest is None:
        raise BarometerError("Nobody was contacted in the measured days.", "Load messages, and run: make run")
    period = Period(max(first or earliest, earliest), min(last or latest, latest))
    if period.first > period.last:
        raise BarometerError(
            "No contact of the dates asked for is measured.",
            f"Ask for dates from {earliest} to {latest}; the var measures_days says how many are measured.",
        )
    return period
