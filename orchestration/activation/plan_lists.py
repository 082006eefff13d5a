"""Plan lists: whom an audience contacts on the plan date, on which channel, at which address, and when that day."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.activation.files import file_name, fill, write_pair
from orchestration.landing.quoting import literal

#: Their folder, beside those of the families.
FOLDER = "plan"
COLUMNS = (
    "plan_date",
    "user_id",
    "channel",
    "address",
    "campaign_id",
    "variant",
    "message_class",
    "timezone",
    "send_from",
    "send_until",
)

#: Of a plan with its reach. Fails closed: a row without an address, or of a class that nobody knows.
_IS_VETOED = """
    coalesce(
        case
            when plan.message_class in ('transactional', 'service') then reach.is_vetoed_for_service
            else reach.is_vetoed
        end,
        true
    )"""


@dataclass(frozen=True)
class PlanLists:
    """By audience: rows of its list, and rows of the plan that the veto took out of it."""

    rows: Mapping[str, int]
    vetoed: Mapping[str, int]


def write_plan_lists(con: duckdb.DuckDBPyConnection, folder: Path) -> PlanLists:
    """Write ``plan/<audience>`` of every audience, also of one that contacts nobody: a row a (user_id, campaign_id).

    What the plan has, less whoever it holds out and less the veto. ``con`` has the temp table reach, the working
    database in use, and the build attached as ``build``.
    """
    _select_plan(con)
    lists = folder / FOLDER
    lists.mkdir(mode=0o700)
    rows, vetoed = {}, {}
    for (audience,) in con.execute("select audience from build.marts.audience_catalog order by audience").fetchall():
        of_audience = f"from plan_rows where audience = {literal(audience)}"
        rows[audience] = write_pair(
            con,
            lists / file_name(audience),
            f"{of_audience} and not is_vetoed",
            COLUMNS,
            "plan_rows.user_id, plan_rows.campaign_id",
        )
        ((vetoed[audience],),) = con.execute(f"select count(*) {of_audience} and is_vetoed").fetchall()
    return PlanLists(rows, vetoed)


def carried(folder: Path, audiences: Iterable[str]) -> str | None:
    """Return a query for what the lists of a folder of extracts carry, as planned contacts; None without audiences."""
    rows = [
        f"select plan_date, user_id, campaign_id, {literal(audience)} as audience, channel, variant, message_class, "
        "cast(null as varchar) as holdout_kind "
        f"from read_parquet({literal(str(folder / FOLDER / audience) + '.parquet')}, hive_partitioning = false)"
        for audience in audiences
    ]
    return " union all ".join(rows) or None


def held_out(since: Mapping[str, date]) -> str:
    """Return a query for whom the plan holds out, as planned contacts: who is not recorded since the test began.

    ``since`` has the date for every campaign of the plan; the temp table reach is filled. The veto concerns both sides
    of a test, or they would not be alike. Who is held out gets nothing, so comes again night after night: what counts
    is the first.
    """
    dates = (
        ", ".join(f"({literal(campaign)}, date '{day}')" for campaign, day in since.items())
        or "(cast(null as varchar), cast(null as date))"
    )
    return f"""
        select
            plan.plan_date, plan.user_id, plan.campaign_id, plan.audience, plan.channel, plan.variant,
            plan.message_class, plan.holdout_kind
        from build.marts.contact_plan as plan
        left join reach on plan.user_id = reach.user_id and plan.channel = reach.channel
        where
            plan.holdout_kind is not null
            and not {_IS_VETOED}
            and not exists (
                select 1
                from raw.planned_contacts as known
                inner join (values {dates}) as tests(campaign_id, started_on)
                    on known.campaign_id = tests.campaign_id and known.plan_date >= tests.started_on
                where
                    known.user_id = plan.user_id
                    and known.campaign_id = plan.campaign_id
                    and known.plan_date < plan.plan_date
                    and known.holdout_kind is not null
            )
    """


def _select_plan(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the temp table ``plan_rows``: what the plan contacts, with address, time zone and hours."""
    fill(
        con,
        "plan_rows",
        f"""
        with profiles as (
            select user_id, timezone, upper(trim(country)) as country from intermediate.int_user_profiles
        ),

        hours as (
            select channel, nullif(upper(trim(country)), '') as country, send_from, send_until from policy.send_hours
        )

        select
            plan.plan_date,
            plan.user_id,
            plan.channel,
            reach.address,
            plan.campaign_id,
            plan.variant,
            plan.message_class,
            plan.audience,
            profiles.timezone,
            -- the hours of the user's country, else those of every other
            case when own.channel is null then others.send_from else own.send_from end as send_from,
            case when own.channel is null then others.send_until else own.send_until end as send_until,
            {_IS_VETOED} as is_vetoed
        from build.marts.contact_plan as plan
        left join reach on plan.user_id = reach.user_id and plan.channel = reach.channel
        left join profiles on plan.user_id = profiles.user_id
        left join hours as own on plan.channel = own.channel and profiles.country = own.country
        left join hours as others on plan.channel = others.channel and others.country is null
        where plan.holdout_kind is null
        """,
    )
