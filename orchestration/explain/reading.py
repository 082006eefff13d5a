"""Reads what is known of one user: from the published file, or from the build of an older date."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from orchestration.errors import BarometerError
from orchestration.explain.facts import (
    Audience,
    Blackout,
    Eligibility,
    Facts,
    Message,
    Planned,
    PlannedContact,
    Policy,
    Pressure,
    Segment,
    Suppression,
)
from orchestration.explain.plain import plain
from orchestration.policy_rules import WEEKDAYS
from orchestration.publish.hashing import keyed_hash
from orchestration.publish.publish import published_dates, published_state
from orchestration.settings import Settings, seed_rows
from orchestration.warehouse import build_state
from orchestration.warehouse.audiences import audiences
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.lock import not_beside_a_run

#: Days of contacts that are shown, the last of them as_of.
DAYS = 30
_HOW_TO_CALL = "Say whom: make explain USER=u10702 [AS_OF=2026-06-30] [ARGS=--addresses]"
_TABLES = {
    "audience_catalog",
    "build_info",
    "channel_eligibility",
    "contact_plan",
    "contact_pressure",
    "contact_pressure_by_channel",
    "contact_suppressions",
    "fct_contacts",
    "planned_contacts",
    "rfm",
    "segment_catalog",
    "user_360",
    "user_segments",
}
_SEGMENTS = """
    select segments.family, segments.segment, catalog.rule
    from marts.user_segments as segments
    left join marts.segment_catalog as catalog
        on segments.family = catalog.family and segments.segment = catalog.segment
    where segments.user_id = ?
    order by segments.family
"""
_MESSAGES = """
    select
        contact_date, channel, campaign_id, message_class, is_contact, is_opened, is_clicked,
        is_complained or is_unsubscribed
    from marts.fct_contacts
    where user_id = ? and contact_date between ? and ?
    order by sent_at, message_id
"""
_SILENT = """
    select channel
    from marts.fct_contacts
    where user_id = ? and is_contact and contact_date between ? and ?
    group by channel
    having count(*) >= ? and not bool_or(is_opened or is_clicked)
"""
_Row = TypeVar("_Row")


def read_facts(settings: Settings, user_id: str, as_of: date | None = None, with_addresses: bool = False) -> Facts:
    """Return what is known of a user as of a date (None: that of the published file).

    Raises BarometerError where the date was not built, nobody is known by the id, or the addresses can't be read.
    """
    user_id = user_id.strip()
    if not user_id:
        raise BarometerError("Nobody was named.", _HOW_TO_CALL)
    ids = ids_in_tables(settings, user_id)
    file = file_of(settings, as_of)
    with _open(file) as con:
        _refuse_older_tables(con, file)
        built = build_state.built_date(con)
        if as_of is not None and built.as_of != as_of:
            raise BarometerError(f"{file} has just been replaced by a build of {built.as_of}.", "Ask again.")
        found = [known for known in ids if _is_known(con, known)]
        if not found:
            raise BarometerError(
                f"Nobody is known by the user_id {plain(user_id)} as of {built.as_of}.",
                "Write the user_id as your own systems do, capital and small letters alike.",
            )
        facts = _facts_of(con, found[0], built, settings.policy)
    # as the person who asks wrote it
    facts = replace(facts, user_id=user_id)
    return replace(facts, addresses=_addresses_of(settings, user_id, facts.as_of)) if with_addresses else facts


def policy_of(settings: Settings) -> Policy:
    """Return what the words need of the policy."""
    policy, channels, found = settings.policy, seed_rows("channels"), audiences()
    return Policy(
        channels=[row["channel"] for row in channels],
        counting=frozenset(row["channel"] for row in channels if row["counts_towards_pressure"].lower() == "true"),
        gaps={row["channel"]: int(row["min_days"]) for row in seed_rows("channel_gaps")},
        blackouts=[
            Blackout(
                date.fromisoformat(row["blackout_date"]) if row["blackout_date"] else None,
                WEEKDAYS.index(row["weekday"].strip().lower()) if row["weekday"] else None,
                row["channel"] or None,
                row["country"].strip().upper() or None,
            )
            for row in seed_rows("blackout_dates")
        ],
        min_marketing_age=policy["min_marketing_age"],
        marketing_retention_days=policy["marketing_retention_days"],
        just_bought_days=policy["just_bought_days"],
        follow_up_days=policy["post_purchase_follow_up_days"],
        each_order=frozenset(audience.name for audience in found if audience.each_order),
        drops_silent=frozenset(audience.name for audience in found if audience.drops_silent_channels),
        fatigue_signal_days=policy["fatigue_signal_days"],
    )


def ids_in_tables(settings: Settings, user_id: str) -> list[str]:
    """Return what may stand for a user in the files that others open: the id, or its keyed hash before it.

    An id that was looked up in a published file is a hash already. Raises BarometerError without the key.
    """
    try:
        user_id.encode()
    except UnicodeEncodeError:
        # bytes that are no text: nobody's id
        return []
    if settings.policy["user_id_is_address"] != "hash":
        return [user_id]
    if not settings.hash_key:
        raise BarometerError(
            "user_id_is_address is hash, but there is no key.", "Set BAROMETER_HASH_KEY as every run does."
        )
    return [keyed_hash(user_id, settings.hash_key), user_id]


def file_of(settings: Settings, as_of: date | None) -> Path:
    """Return the file that holds a date; raises BarometerError, with how to build it, where there is none."""
    published = settings.published_file
    if not published.exists() and (as_of is None or not settings.backfills.is_dir()):
        raise BarometerError(f"Nothing is published yet: there is no {published}.", "Run the pipeline: make run")
    current = published_state(published).as_of
    if as_of is None or as_of == current:
        return published
    backfill = settings.backfills / f"{as_of}.duckdb"
    if backfill.exists():
        return backfill
    if as_of > settings.today:
        raise BarometerError(f"{as_of} is still to come: today is {settings.today}.", "Ask for an earlier date.")
    was_built = as_of in published_dates(published)
    raise BarometerError(
        f"The tables of {as_of} were replaced by those of {current}." if was_built else f"{as_of} was never built.",
        f'Build it, then ask again: make run ARGS="--as-of {as_of}"'
        + (f" (or leave AS_OF out for {current})." if current else "."),
    )


@contextmanager
def _open(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with open_duckdb(file, read_only=True) as con:
            yield con
    except BarometerError as error:
        if isinstance(error.__cause__, duckdb.Error) and "lock" in str(error.__cause__).lower():
            raise BarometerError(f"A run is writing {file}.", "Ask again when it has ended.") from error
        raise


def _refuse_older_tables(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    found = con.execute("select table_name from duckdb_columns() where schema_name = 'marts'").fetchall()
    missing = _TABLES - {name for (name,) in found}
    if missing:
        row = con.execute("select as_of, is_final from marts.build_info").fetchone()
        if row and not row[1]:
            raise BarometerError(
                f"There is no plan yet: {file} was built before {row[0]} was over.", "Ask again after a nightly run."
            )
        raise BarometerError(
            f"{file} was built by an earlier version: it has no {', '.join(sorted(missing))}.",
            f'Build it again: make run ARGS="--as-of {row[0]}"' if row else "Build it again: make run",
        )


def _is_known(con: duckdb.DuckDBPyConnection, user_id: str) -> bool:
    return con.execute("select 1 from marts.user_360 where user_id = ?", [user_id]).fetchone() is not None


def _facts_of(
    con: duckdb.DuckDBPyConnection, user_id: str, built: build_state.BuiltDate, policy: Mapping[str, Any]
) -> Facts:
    as_of, first = built.as_of, built.as_of - timedelta(days=DAYS - 1)
    pressure = _record(con, "contact_pressure", user_id)
    planned = con.execute("select plan_date from marts.channel_eligibility limit 1").fetchone()
    answered_since = as_of - timedelta(days=max(policy["response_days"]) - 1)
    silent = con.execute(_SILENT, [user_id, answered_since, as_of, policy["response_min_contacts"]]).fetchall()
    columns = ", ".join(field.name for field in dataclasses.fields(Pressure))
    return Facts(
        user_id=user_id,
        as_of=as_of,
        plan_date=planned[0] if planned else as_of + timedelta(days=1),
        is_final=built.is_final,
        measures=_record(con, "user_360", user_id),
        rfm=_record(con, "rfm", user_id),
        segments=[Segment(*row) for row in con.execute(_SEGMENTS, [user_id]).fetchall()],
        messages=[Message(*row) for row in con.execute(_MESSAGES, [user_id, first, as_of]).fetchall()],
        planned_contacts=[
            contact
            for contact in _rows_of(con, PlannedContact, "planned_contacts", user_id, "plan_date, channel, campaign_id")
            if first <= contact.plan_date
        ],
        policy_segment=pressure["policy_segment"],
        pressure_status=pressure["pressure_status"],
        pressure=Pressure(*(pressure[field.name] for field in dataclasses.fields(Pressure))),
        pressure_by_channel={
            channel: Pressure(*of_channel)
            for channel, *of_channel in con.execute(
                f"select channel, {columns} from marts.contact_pressure_by_channel where user_id = ? order by channel",
                [user_id],
            ).fetchall()
        },
        eligibility=_rows_of(con, Eligibility, "channel_eligibility", user_id, "channel"),
        plan=_rows_of(con, Planned, "contact_plan", user_id, "value desc nulls last, campaign_id, audience"),
        suppressions=_rows_of(con, Suppression, "contact_suppressions", user_id, "campaign_id, audience"),
        audiences=_rows_of(con, Audience, "audience_catalog", None, "audience"),
        silent_channels=frozenset(channel for (channel,) in silent),
        dose_arm=pressure["dose_arm"],
    )


def _rows_of(
    con: duckdb.DuckDBPyConnection, row: type[_Row], table: str, user_id: str | None, order: str
) -> Sequence[_Row]:
    """Return rows of a mart, those of a user or all; the fields of ``row`` are its columns."""
    columns = ", ".join(field.name for field in dataclasses.fields(row))  # type: ignore[arg-type]
    where, values = ("where user_id = ?", [user_id]) if user_id is not None else ("", [])
    found = con.execute(f"select {columns} from marts.{table} {where} order by {order}", values).fetchall()
    return [row(*values) for values in found]


def _record(con: duckdb.DuckDBPyConnection, table: str, user_id: str) -> Mapping[str, Any]:
    """Return the user's one row of a mart by column, empty without one."""
    cursor = con.execute(f"select * from marts.{table} where user_id = ?", [user_id])
    names = [column[0] for column in cursor.description]
    row = cursor.fetchone()
    return dict(zip(names, row, strict=True)) if row else {}


def _addresses_of(settings: Settings, user_id: str, as_of: date) -> Mapping[str, str]:
    """Return the usable addresses of a user by channel, from the working file.

    Raises BarometerError while a run writes to it, and where it holds those of another date.
    """
    file = settings.working_file
    if not file.exists():
        raise BarometerError(f"There are no addresses: {file} is gone.", "Run the pipeline again: make run")
    what, otherwise = "the working file, which holds the addresses", ", or leave --addresses out"
    with not_beside_a_run(settings.warehouse, what, otherwise), _open(file) as con:
        row = con.execute("select as_of from control.run_context").fetchone()
        is_whole = build_state.stored_fingerprint(con, build_state.ADDRESSES) is not None
        if row is None or not is_whole:
            raise BarometerError(
                "The addresses are not whole: the last run failed or was killed.", "Run the pipeline again: make run"
            )
        if row[0] != as_of:
            raise BarometerError(
                f"There are addresses of {row[0]} alone, not of {as_of}.",
                f"Ask for them with AS_OF={row[0]}, or leave --addresses out.",
            )
        found = con.execute(
            "select channel, address from intermediate.int_user_addresses where user_id = ? order by channel", [user_id]
        ).fetchall()
    return dict(found)
