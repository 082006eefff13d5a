"""The numbers of the report, read from a published file. Everything is counted there: no row of a user leaves it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import duckdb

from orchestration.errors import BarometerError

Row = dict[str, Any]

#: Days of contacts, and of built dates, that charts show.
DAYS = 56
#: Contacts of 7 days from which users are counted together.
MOST_CONTACTS = 15
#: How a stage ends that got through.
FINE = ("succeeded", "skipped")
_OF_STAGES = ("run_id", "stage", "started_at", "rows", "seconds", "outcome", "error")
_MOST_CAMPAIGNS = 12
_MOST_TESTS = 40
#: Of a 95 % interval.
Z = 1.959964
_MARKETING = "select campaign_id from marts.fct_contacts where message_class = 'marketing'"
_AS_OF = "(select as_of from marts.build_info)"


@dataclass(frozen=True)
class Meant:
    """Vars of the policy without which numbers can't be read."""

    currency: str = ""
    #: Contacts of 7 days from which the fatigue curves count user-days together.
    most_fatigue_contacts: int | None = None
    measured_days: int = 0


@dataclass(frozen=True)
class Numbers:
    """What a published file says. ``rows`` of a name are None where a mart that they come from is not there yet."""

    as_of: date
    is_final: bool
    built_at: datetime
    rows: Mapping[str, Sequence[Row] | None]
    #: Stages of the last run, where it did not get through and is not the one that the numbers are of.
    failed_run: Sequence[Row] = ()
    policy: Meant = field(default_factory=lambda: Meant())

    def of(self, name: str) -> Sequence[Row]:
        """Return rows, none where their mart is not there."""
        return self.rows[name] or ()

    def is_there(self, name: str) -> bool:
        """Return whether the marts of these rows are in the file."""
        return self.rows[name] is not None


@dataclass(frozen=True)
class _Query:
    marts: tuple[str, ...]
    sql: str


QUERIES: dict[str, _Query] = {
    # of the build itself: an intraday one is in no history
    "sizes_now": _Query(
        ("user_segments", "contact_pressure"),
        """
        select family, segment, count(*) as users
        from marts.user_segments
        where family in ('engagement', 'rfm')
        group by all
        union all
        select 'pressure_status', pressure_status, count(*) from marts.contact_pressure group by all
        order by family, segment
        """,
    ),
    "sizes": _Query(
        ("segment_sizes",),
        f"""
        select as_of, family, segment, users
        from marts.segment_sizes
        where family in ('engagement', 'rfm', 'pressure_status') and as_of between {_AS_OF} - {DAYS} and {_AS_OF}
        order by as_of, family, segment
        """,
    ),
    "days": _Query(
        ("fct_contacts",),
        f"""
        select
            contact_date,
            channel,
            count(*) filter (is_contact) as contacts,
            count(*) filter (is_contact and (is_unsubscribed or is_complained)) as left_after
        from marts.fct_contacts
        where contact_date between {_AS_OF} - {DAYS - 1} and {_AS_OF}
        group by contact_date, channel
        order by contact_date, channel
        """,
    ),
    "distribution": _Query(
        ("contact_pressure",),
        f"""
        select least(contacts_7d, {MOST_CONTACTS})::integer as contacts, pressure_status, count(*) as users
        from marts.contact_pressure
        group by all
        order by all
        """,
    ),
    "most": _Query(("contact_pressure",), "select max(contacts_7d) as contacts from marts.contact_pressure"),
    "caps": _Query(
        ("contact_caps",),
        """
        select policy_segment, window_days, max_contacts
        from marts.contact_caps
        where channel = 'all'
        order by window_days, max_contacts, policy_segment
        """,
    ),
    "pressure": _Query(
        ("contact_pressure",),
        """
        select policy_segment, pressure_status, count(*) as users, sum(contacts_7d)::bigint as contacts_7d
        from marts.contact_pressure
        group by all
        order by all
        """,
    ),
    # a user has one status, and the fatigued have that one: those of them who are over a cap too
    "fatigued_over": _Query(
        ("contact_pressure",),
        """
        select count(*) as users
        from marts.contact_pressure
        where pressure_status = 'fatigued' and is_over_cap
        """,
    ),
    # the last month that is over, else the one that is not, else the last day
    "migration": _Query(
        ("segment_migration",),
        f"""
        select
            period,
            period_start,
            period <> 'month' or last_day(period_start) <= {_AS_OF} as is_over,
            from_segment,
            to_segment,
            sum(users)::bigint as users
        from marts.segment_migration
        where family = 'engagement' and period_start <= {_AS_OF}
        group by period, period_start, from_segment, to_segment
        qualify dense_rank() over (order by period desc, is_over desc, period_start desc) = 1
        order by from_segment nulls first, to_segment nulls last
        """,
    ),
    "rfm": _Query(
        ("rfm",),
        """
        with cells as (
            select r_score, fm_score, segment, count(*) as users from marts.rfm group by all
        )

        select
            r_score,
            fm_score,
            sum(users)::bigint as users,
            string_agg(segment, ', ' order by users desc, segment) as segments
        from cells
        group by all
        order by r_score desc, fm_score
        """,
    ),
    "fatigue": _Query(
        ("fatigue_curve",),
        """
        select source, event, contacts_7d, user_days, users, events, hazard, hazard_low, hazard_high
        from marts.fatigue_curve
        where channel = 'all' and engagement = 'all'
        order by source, event, contacts_7d
        """,
    ),
    "arms": _Query(
        ("dose_response",),
        """
        select
            event, arm, users, mean_contacts_7d, user_days, events, hazard, hazard_low, hazard_high,
            difference, difference_low, difference_high, naive_difference
        from marts.dose_response
        where channel = 'all' and engagement = 'all'
        order by event desc, mean_contacts_7d, arm
        """,
    ),
    # beside the others of the same channel, counted carefully: by the lower end of Wilson's interval
    "best": _Query(
        ("campaign_performance", "fct_contacts"),
        f"""
        with counted as (
            select
                campaign_id,
                channel,
                min(campaign_name) as campaign_name,
                sum(measured)::bigint as reacting,
                sum(measured_clicked)::bigint as clicked
            from marts.campaign_performance
            where campaign_id in ({_MARKETING}) and click_rate is not null
            group by campaign_id, channel
            having sum(measured) > 0
        ),

        compared as (
            select
                *,
                (sum(clicked) over same - clicked) / nullif(sum(reacting) over same - reacting, 0) as other_rate,
                clicked / reacting as rate,
                {Z} * {Z} / reacting as square
            from counted
            window same as (partition by channel)
        ),

        placed as (
            select
                *,
                (rate + square / 2 - sqrt(square * (rate * (1 - rate) + square / 4))) / (1 + square) as lowest
            from compared
        )

        select campaign_id, campaign_name, channel, reacting, clicked, other_rate
        from placed
        order by lowest / nullif(other_rate, 0) desc nulls last, lowest desc, campaign_id
        limit 1
        """,
    ),
    "campaigns": _Query(
        ("campaign_performance", "fct_contacts"),
        f"""
        select
            campaign_id,
            min(campaign_name) as campaign_name,
            list(distinct channel order by channel) as channels,
            sum(sent)::bigint as sent,
            sum(measured)::bigint as measured,
            -- of channels that report reactions
            sum(measured) filter (click_rate is not null)::bigint as reacting,
            sum(measured_opened) filter (click_rate is not null)::bigint as opened,
            sum(measured_clicked) filter (click_rate is not null)::bigint as clicked,
            sum(measured_unsubscribed + measured_complained)::bigint as left_after,
            sum(reengageable)::bigint as reengageable,
            sum(reengaged)::bigint as reengaged,
            sum(last_touch_orders)::bigint as last_touch_orders,
            sum(last_touch_revenue) as last_touch_revenue,
            sum(cost) as cost
        from marts.campaign_performance
        where campaign_id in ({_MARKETING})
        group by campaign_id
        order by sent desc, campaign_id
        limit {_MOST_CAMPAIGNS}
        """,
    ),
    "tests_counted": _Query(
        ("ab_test_results",),
        """
        select
            count(*) as tests,
            -- fewer who leave is better
            count(*) filter (is_significant and (difference > 0) = (metric <> 'unsubscribe')) as better,
            count(*) filter (is_significant and (difference > 0) <> (metric <> 'unsubscribe')) as worse,
            count(*) filter (status <> 'done') as unread
        from marts.ab_test_results
        """,
    ),
    "tests": _Query(
        ("ab_test_results", "campaign_performance"),
        f"""
        with names as (
            select campaign_id, min(campaign_name) as campaign_name from marts.campaign_performance group by campaign_id
        )

        select
            campaign_id, campaign_name, control, variant, metric, status, control_users, variant_users,
            control_value, variant_value, difference, interval_low, interval_high, p_value_holm, is_significant,
            minimum_detectable_effect
        from marts.ab_test_results
        left join names using (campaign_id)
        order by is_significant desc nulls last, starts_on desc nulls last, campaign_id, comparison, variant, metric
        limit {_MOST_TESTS}
        """,
    ),
    "plan": _Query(
        ("contact_plan",),
        """
        select
            count(*) filter (holdout_kind is null) as planned,
            count(*) filter (holdout_kind is not null) as held_out,
            max(plan_date) as plan_date
        from marts.contact_plan
        """,
    ),
    "suppressions": _Query(
        ("contact_suppressions",),
        """
        select reason, count(*) as candidates, sum(value_forgone) as value_forgone
        from marts.contact_suppressions
        group by reason
        order by candidates desc, reason
        """,
    ),
    "what_if": _Query(
        ("cap_simulation",),
        """
        select
            windows, segment, contacts, removed, removed_share, users_over_before, users_over_after,
            clicks_touched, revenue_touched, cost_saved
        from marts.cap_simulation
        where policy = 'current' and channel = 'all'
        order by windows desc, removed desc, segment
        """,
    ),
    "first_contact": _Query(
        ("fct_contacts",), "select min(contact_date) as first_contact from marts.fct_contacts where is_contact"
    ),
    "quality": _Query(
        ("segment_quality",),
        """
        select
            family, segments, is_too_many, smallest_segment, smallest_share, is_too_small, largest_share,
            silhouette, unchanged_share, closest_family, closest_cramers_v
        from marts.segment_quality
        order by family
        """,
    ),
    "profiles": _Query(
        ("segment_profiles",),
        """
        select
            family, segment, users, share, mean_order_value, top_category, best_channel,
            click_rate, standout_1, standout_1_difference
        from marts.segment_profiles
        where family in ('engagement', 'rfm')
        order by family, users desc, segment
        """,
    ),
    "backtest": _Query(
        ("outlook_backtest",),
        """
        select cut_date, prediction, method, users, flagged, precision, recall, auc
        from marts.outlook_backtest
        qualify dense_rank() over (order by cut_date desc) = 1
        order by prediction, method
        """,
    ),
    "rejected": _Query(
        ("rejected_rows", "rejected_files"),
        """
        select dataset, reason, count(*) as found, false as is_file from marts.rejected_rows group by dataset, reason
        union all
        select dataset, reason, count(*), true from marts.rejected_files group by dataset, reason
        order by is_file desc, found desc, dataset, reason
        """,
    ),
    "loaded": _Query(
        ("load_files",),
        """
        select
            dataset, count(*) as files, sum(rows_read)::bigint as rows_read,
            sum(rows_rejected)::bigint as rows_rejected
        from marts.load_files
        group by dataset
        order by rows_read desc, dataset
        """,
    ),
    "checks": _Query(
        ("data_checks",),
        """
        select check_name, subject, checked_date, checked_value, usual_value, finding
        from marts.data_checks
        where finding is not null
        order by check_name, subject
        """,
    ),
    "coverage": _Query(
        ("attribute_coverage",),
        """
        select
            dataset, attribute, max(users_known) as users_known, max(users) as users, max(share) as share,
            list(distinct disables order by disables)
                filter (disables_kind = 'family' and users_affected > 0) as families,
            list(distinct disables order by disables)
                filter (disables_kind = 'audience' and users_affected > 0) as audiences,
            max(users_affected) as users_affected
        from marts.attribute_coverage
        group by dataset, attribute
        order by share, dataset, attribute
        """,
    ),
    "unmapped": _Query(
        ("unmapped_events",),
        """
        select event, events, last_date from marts.unmapped_events order by events desc, event limit 10
        """,
    ),
    "blocks": _Query(("extract_blocks",), "select count(*) as blocks from marts.extract_blocks"),
    "stages": _Query(
        ("pipeline_runs",),
        f"""
        select {", ".join(_OF_STAGES)}
        from marts.pipeline_runs
        where run_id = (select max_by(run_id, started_at) from marts.pipeline_runs where stage = 'build')
        order by started_at, stage
        """,
    ),
    "syncs": _Query(
        ("sync_runs",),
        """
        with last as (
            select * from marts.sync_runs
            qualify row_number() over (partition by destination, audience order by started_at desc) = 1
        )

        select
            destination,
            count(*) as audiences,
            count(*) filter (outcome = 'complete') as complete,
            sum(sent)::bigint as sent,
            sum(rejected)::bigint as rejected,
            sum(pending + unknown)::bigint as not_taken,
            max(as_of) as as_of
        from last
        group by destination
        order by destination
        """,
    ),
}


def read_numbers(
    con: duckdb.DuckDBPyConnection, last_run: Sequence[Mapping[str, Any]] = (), policy: Mapping[str, Any] | None = None
) -> Numbers:
    """Return the numbers of the published file that ``con`` has open.

    ``last_run`` is the stages of the last run as the record of runs has them: a run that publishes nothing is in no
    published file.
    """
    found = con.execute("select as_of, is_final, built_at from marts.build_info").fetchone()
    if found is None:
        raise BarometerError("The published file holds no build.", "Run the pipeline again.")
    marts = {
        name
        for (name,) in con.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' "
            "union all select view_name from duckdb_views() where schema_name = 'marts'"
        ).fetchall()
    }
    rows: dict[str, Sequence[Row] | None] = {
        name: _rows(con, query.sql) if marts >= set(query.marts) else None for name, query in QUERIES.items()
    }
    as_of, is_final, built_at = found
    made = {row["run_id"] for row in rows["stages"] or ()}
    last = [{name: row[name] for name in _OF_STAGES} for row in last_run]
    failed_run: Sequence[Row] = ()
    if last and last[0]["run_id"] in made:
        # the same run may have gone on after it published
        rows["stages"] = last
    elif any(row["outcome"] not in FINE for row in last):
        failed_run = last
    vars_ = policy or {}
    meant = Meant(vars_.get("business_currency", ""), vars_.get("fatigue_max_contacts"), vars_.get("measures_days", 0))
    return Numbers(as_of, is_final, built_at, rows, failed_run, meant)


def _rows(con: duckdb.DuckDBPyConnection, sql: str) -> list[Row]:
    cursor = con.execute(sql)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, map(_plain, row), strict=True)) for row in cursor.fetchall()]


def _plain(value: Any) -> Any:
    """Return what a chart can hold: a decimal has done its work in the sums."""
    return float(value) if isinstance(value, Decimal) else value
