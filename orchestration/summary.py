"""What a person sees at the end of a run: a short table of what was loaded and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from orchestration.publish.overview import (
    PLAN_COLUMNS,
    plan_by_audience,
    plan_date,
    reasons_not_to_contact,
    users_by_segment,
)
from orchestration.settings import Settings

_STAGES = {
    "load_landing_files": "load",
    "dbt_models": "dbt",
    "published__barometer_duckdb": "publish",
    "published__barometer_duckdb_nothing_hides_a_wish_to_be_left_alone": "check",
    "what_is_unusual": "unusual",
    "extracts__segments": "extracts",
    "activation__removals": "removals",
    "activation__records": "sync records",
    "report__page": "page",
    "report__run": "report",
}
_SPREAD = """
    select
        case
            when contacts_7d = 0 then '0'
            when contacts_7d <= 2 then '1-2'
            when contacts_7d <= 5 then '3-5'
            when contacts_7d <= 10 then '6-10'
            else 'over 10'
        end as contacts,
        count(*) as users
    from marts.contact_pressure
    group by 1
    order by min(contacts_7d)
"""


_SYNC_COLUMNS = (
    "destination",
    "audiences",
    "members",
    "sent",
    "rejected",
    "not taken",
    "removed",
    "vetoed",
    "complete",
)
#: Of the last sync of each audience. A mirror's members are the rows of the extract that are accepted.
_SYNC = """
    with last as (
        select * from marts.sync_runs
        qualify row_number() over (partition by destination, audience order by started_at desc) = 1
    ),

    members as (
        select destination, count(*) as members from marts.sync_rows where status = 'accepted' group by destination
    )

    select
        last.destination,
        count(*) as audiences,
        coalesce(any_value(members.members), 0) as members,
        cast(sum(sent) as bigint) as sent,
        cast(sum(rejected) as bigint) as rejected,
        cast(sum(pending + unknown) as bigint) as not_taken,
        cast(sum(removed) as bigint) as removed,
        cast(sum(vetoed) as bigint) as vetoed,
        count(*) filter (outcome = 'complete') as complete
    from last
    left join members on last.destination = members.destination
    group by last.destination
    order by last.destination
"""


def print_summary(settings: Settings, seconds: Mapping[str, float]) -> None:
    """Print rows loaded and rejected, users by segment, the spread of contacts, the paths and the seconds by stage."""
    print(summary(settings, seconds))  # noqa: T201


def summary(settings: Settings, seconds: Mapping[str, float]) -> str:
    """Return the text of the summary, from the published file."""
    with duckdb.connect(str(settings.published_file), read_only=True) as con:
        parts = [
            _table(
                "Loaded so far",
                ("dataset", "files", "rows", "rejected", "duplicate", "erased"),
                con.execute(
                    "select dataset, count(*), sum(rows_read), sum(rows_rejected), sum(rows_duplicate), "
                    "sum(rows_erased) from marts.load_files group by dataset order by sum(rows_read) desc, dataset"
                ).fetchall(),
            ),
            _table(
                "Unreadable files",
                ("file", "reason"),
                con.execute("select file, reason from marts.rejected_files order by file").fetchall(),
            ),
            *(
                _table(f"Users by {family}", ("segment", "users"), users_by_segment(con, family))
                for family in ("engagement", "rfm")
            ),
            _table("Contacts in 7 days", ("contacts", "users"), con.execute(_SPREAD).fetchall()),
            _table(f"Plan for {plan_date(con)}", PLAN_COLUMNS, plan_by_audience(con)),
            _table("Not planned", ("reason", "candidates"), reasons_not_to_contact(con)),
            _table("Sent", _SYNC_COLUMNS, con.execute(_SYNC).fetchall()),
        ]
        row = con.execute("select as_of, is_final from marts.build_info").fetchone()
    as_of, is_final = row or (None, True)
    stages = [f"{_STAGES.get(step, step)} {took:.1f}" for step, took in seconds.items()]
    if stages:
        stages.append(f"in all {sum(seconds.values()):.1f}")
    return "\n".join(
        [
            "",
            *(part for part in parts if part),
            f"As of      {as_of}" + ("" if is_final else " (not final)"),
            f"Warehouse  {settings.published_file}",
            f"Extracts   {settings.extracts / str(as_of)}"
            + ("" if (settings.extracts / str(as_of)).is_dir() else " (none written)"),
            f"Report     {settings.report_page}" + ("" if settings.report_page.is_file() else " (none written)"),
            f"Logs       {settings.logs}",
            *([f"Seconds    {', '.join(stages)}"] if stages else []),
        ]
    )


def _table(title: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table with numbers aligned right, or nothing without rows."""
    if not rows:
        return ""
    texts = [[f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row] for row in rows]
    is_number = [all(not isinstance(row[i], str) for row in rows) for i in range(len(header))]
    widths = [max(len(header[i]), *(len(row[i]) for row in texts)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        return "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(cells, widths, is_number, strict=True)
        ).rstrip()

    return "\n".join([title, "  " + line(header), *("  " + line(row) for row in texts), ""])
