"""Measures by hand, put into a copy of a published file: every section of the report has something to show."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import duckdb

#: A campaign that is named to do harm, if a page believed it.
HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>\"'=1+1 Sale\x0bof\ufffeMay"
_DAYS = 21

_TABLES = {
    "campaign_performance": """
        select
            (select as_of from marts.build_info) as as_of, campaign_id,
            case when campaign_id = 'email_news' then $hostile else campaign_id end as campaign_name,
            'A' as variant, any_value(channel) as channel, 'engaged' as engagement, count(*)::bigint as sent,
            count(*)::bigint as measured, count(*) filter (is_opened)::bigint as measured_opened,
            count(*) filter (is_clicked)::bigint as measured_clicked,
            count(*) filter (is_unsubscribed)::bigint as measured_unsubscribed,
            count(*) filter (is_complained)::bigint as measured_complained,
            count(*) filter (is_clicked) / count(*) as click_rate, count(*) filter (is_delivered)::bigint as delivered,
            count(*) filter (is_opened)::bigint as opened, count(*) filter (is_clicked)::bigint as clicked,
            count(*) filter (is_unsubscribed)::bigint as unsubscribed,
            count(*) filter (is_complained)::bigint as complained, 0::bigint as any_touch_orders,
            0.00::decimal(18, 2) as any_touch_revenue, (count(*) // 40)::bigint as last_touch_orders,
            (count(*) * 1.5)::decimal(18, 2) as last_touch_revenue, (count(*) // 3)::bigint as reengageable,
            (count(*) // 50)::bigint as reengaged, (count(*) * 0.01)::decimal(18, 4) as cost
        from marts.fct_contacts where is_contact and campaign_id is not null group by campaign_id
    """,
    "ab_test_results": """
        select
            (select as_of from marts.build_info) as as_of, *
        from (values
            ('reactivate_dormant', 'variants', 'A', 'B', 'click', 'done', 4210, 4188, 0.0310, 0.0422, 0.0112, 0.0031,
             0.0194, 0.0068, 0.0136, true, 0.011, 0.6, date '2026-05-01', date '2026-05-31'),
            ('reactivate_dormant', 'variants', 'A', 'B', 'revenue', 'done', 4210, 4188, 1.21, 1.19, -0.02, -0.31,
             0.27, 0.88, 0.88, false, 0.42, 0.6, date '2026-05-01', date '2026-05-31'),
            ('win_back_lapsed', 'holdout', 'holdout', 'sent', 'order', 'done', 610, 5400, 0.021, 0.024, 0.003, -0.011,
             0.014, 0.64, 1.0, false, 0.018, 0.4, date '2026-04-01', date '2026-05-31'),
            ('category_news', 'variants', 'A', 'B', 'visit', 'running', 40, 44, null, null, null, null, null, null,
             null, null, null, null, date '2026-06-20', null)
        ) as t(campaign_id, comparison, control, variant, metric, status, control_users, variant_users, control_value,
            variant_value, difference, interval_low, interval_high, p_value, p_value_holm, is_significant,
            minimum_detectable_effect, balance_p_value, starts_on, ends_on)
    """,
    "fatigue_curve": """
        select
            (select as_of from marts.build_info) as as_of, 'observational' as source, event, 'all' as channel,
            'all' as engagement, n::integer as contacts_7d, (90000 // n)::bigint as user_days,
            (1800 // n)::bigint as users, (90 // n + 3)::bigint as events, base * (1 + n * slope) as hazard,
            base * (1 + n * slope) * (1 - n * 0.03) as hazard_low,
            base * (1 + n * slope) * (1 + n * 0.05) as hazard_high
        from range(1, 13) as r(n), (values ('leave', 0.0011, 0.08), ('click', 0.021, -0.03)) as e(event, base, slope)
    """,
    "dose_response": """
        select
            (select as_of from marts.build_info) as as_of, 'leave' as event, 'all' as channel, 'all' as engagement, *
        from (values
            ('low', 400, 2.1, 12000, 9, 0.00075, 0.0004, 0.0012, -0.00055, -0.0012, 0.0001, -0.0001),
            ('control', 1200, 3.0, 36000, 47, 0.0013, 0.0009, 0.0017, null, null, null, null),
            ('high', 400, 3.9, 12000, 25, 0.0021, 0.0014, 0.0029, 0.0008, 0.0001, 0.0016, 0.0001)
        ) as t(arm, users, mean_contacts_7d, user_days, events, hazard, hazard_low, hazard_high, difference,
            difference_low, difference_high, naive_difference)
    """,
    "cap_simulation": """
        select
            (select as_of from marts.build_info) as as_of, 'current' as policy, windows, segment, 'all' as channel,
            contacts::bigint as contacts, removed::bigint as removed, removed / contacts as removed_share,
            users::bigint as users, (users * 0.6)::bigint as users_over_before, 0::bigint as users_over_after,
            (removed * 0.02)::bigint as clicks_touched, (removed * 0.4)::decimal(18, 2) as revenue_touched,
            (removed * 0.01)::decimal(18, 4) as cost_saved
        from (values
            ('rolling', 'all', 38200, 12910, 1400), ('rolling', 'engaged', 15400, 4010, 610),
            ('rolling', 'dormant', 12100, 5300, 470), ('rolling', 'one_time', 6200, 1900, 210),
            ('rolling', 'new', 1500, 300, 60), ('rolling', 'default', 3000, 1400, 250),
            ('calendar', 'all', 38200, 11010, 1400), ('calendar', 'engaged', 15400, 3510, 610),
            ('calendar', 'dormant', 12100, 4600, 470), ('calendar', 'one_time', 6200, 1500, 210),
            ('calendar', 'new', 1500, 200, 60), ('calendar', 'default', 3000, 1200, 250)
        ) as t(windows, segment, contacts, removed, users)
    """,
    "segment_quality": """
        select
            (select as_of from marts.build_info) as as_of, family, sum(users)::bigint as users,
            count(*)::bigint as segments, count(*) > 12 as is_too_many, arg_min(segment, users) as smallest_segment,
            min(users) / sum(users) as smallest_share, min(users) / sum(users) < 0.005 as is_too_small,
            max(users) / sum(users) as largest_share, 0.3 as eta2_visits_30d, 0.12 as silhouette,
            null::double as unchanged_share, 'lifecycle' as closest_family, 0.41 as closest_cramers_v
        from marts.segment_sizes where as_of = (select as_of from marts.build_info) group by family
    """,
    "segment_profiles": """
        select
            (select as_of from marts.build_info) as as_of, family, segment, users,
            users / sum(users) over (partition by family) as share, 41.5 as median_age, 61.2 as mean_order_value,
            'shoes' as top_category, 'email' as best_channel, 0.031 as click_rate, 'visits_30d' as standout_1,
            1.24 as standout_1_difference
        from marts.segment_sizes where as_of = (select as_of from marts.build_info) and family in ('engagement', 'rfm')
    """,
    "attribute_coverage": """
        select (select as_of from marts.build_info) as as_of, *
        from (values
            ('users', 'birth_date', 702, 1997, 0.3515, 'family', 'age_band', 1295),
            ('users', 'country', 1840, 1997, 0.9214, 'family', 'country', 157),
            ('consents', 'status', 1510, 1997, 0.7561, 'audience', 'reactivate_dormant', 487)
        ) as t(dataset, attribute, users_known, users, share, disables_kind, disables, users_affected)
    """,
    "outlook_backtest": """
        select (select as_of from marts.build_info) as as_of, *
        from (values
            (date '2026-05-31', 'risky', 'model', 600, 90, 140, 60, 0.667, 0.429, 0.781),
            (date '2026-05-31', 'risky', 'naive', 600, 90, 140, 51, 0.567, 0.364, 0.722)
        ) as t(cut_date, prediction, method, users, flagged, positives, true_positives, precision, recall, auc)
    """,
}


def fill(published: Path, target: Path, is_history_filled: bool = True) -> None:
    """Copy a published file and put measures by hand in the place of its own, and three weeks of segment history."""
    shutil.copyfile(published, target)
    with duckdb.connect(str(target)) as con:
        for name, query in _TABLES.items():
            con.execute(f"drop view if exists marts.{name}") if _is_view(con, name) else con.execute(
                f"drop table if exists marts.{name}"
            )
            values = {"hostile": HOSTILE} if "$hostile" in query else None
            con.execute(f"create table marts.{name} as {query}", values)
        if is_history_filled:
            _history(con)


def _is_view(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    return bool(con.execute("select 1 from duckdb_views() where view_name = ?", [name]).fetchall())


def _history(con: duckdb.DuckDBPyConnection) -> None:
    """Sizes of the weeks before that grow by one user a day in one segment, and a month of moves."""
    (as_of,) = con.execute("select as_of from marts.build_info").fetchone() or (date.min,)
    for age in range(1, _DAYS):
        con.execute(
            "insert into history.segment_sizes "
            "select ?, family, segment, greatest(users - ? * (1 + hash(segment) % 3), 0)::bigint "
            "from history.segment_sizes where as_of = ?",
            [as_of - timedelta(days=age), age, as_of],
        )
    con.execute("delete from history.segment_moves")
    con.executemany(
        "insert into history.segment_moves values ('month', ?, 'engagement', ?, ?, ?, false)",
        [
            [as_of.replace(day=1), source, target, users]
            for source, target, users in (
                ("new", "one_time", 31),
                ("new", "engaged", 22),
                ("engaged", "dormant", 57),
                ("dormant", "engaged", 18),
                ("never_seen", "new", 66),
                (None, "never_seen", 12),
            )
        ],
    )
