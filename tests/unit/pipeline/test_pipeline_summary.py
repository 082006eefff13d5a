"""What a person reads at the end of a run."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.settings import Settings
from orchestration.summary import summary

PUBLISHED = """
    create schema marts;
    create table marts.load_files as select * from (values
        ('orders', 1200, 3, 2, 1), ('orders', 300, 0, 0, 0), ('users', 40, 0, 0, 0)
    ) as t(dataset, rows_read, rows_rejected, rows_duplicate, rows_erased);
    create table marts.rejected_files as select 'orders/broken.parquet' as file, 'bad_parquet' as reason;
    create table marts.segment_catalog as select * from (values
        ('engagement', 1, 'never_seen'), ('engagement', 2, 'new'), ('rfm', 1, 'champions'), ('rfm', 2, 'no_orders')
    ) as t(family, position, segment);
    create table marts.user_segments as
        select 'u' || n as user_id, 'engagement' as family, 'new' as segment from range(1500) as r(n)
        union all select 'u' || n, 'rfm', if(n < 20, 'champions', 'no_orders') from range(1500) as r(n);
    create table marts.contact_pressure as select n as contacts_7d from (values (0), (0), (1), (2), (5), (11)) as t(n);
    create table marts.sync_runs as select * from (values
        ('crm', 'segments', timestamp '2024-06-30 05:00', 9, 9, 0, 0, 0, 0, 0, 'complete'),
        ('crm', 'segments', timestamp '2024-07-01 05:00', 4, 2, 1, 0, 1, 0, 3, 'partial'),
        ('crm', 'winback', timestamp '2024-07-01 05:00', 0, 0, 0, 0, 0, 0, 0, 'complete')
    ) as t(destination, audience, started_at, sent, accepted, rejected, pending, unknown, removed, vetoed, outcome);
    create table marts.sync_rows as select 'crm' as destination, 'segments' as audience, 'u' || n as user_id,
        case when n < 3 then 'accepted' else 'rejected' end as status from range(4) as r(n);
    create table marts.build_info as select date '2024-06-30' as as_of, true as is_final;
"""
SUMMARY = """
Loaded so far
  dataset  files   rows  rejected  duplicate  erased
  orders       2  1,500         3          2       1
  users        1     40         0          0       0

Unreadable files
  file                   reason
  orders/broken.parquet  bad_parquet

Users by engagement
  segment     users
  never_seen      0
  new         1,500

Users by rfm
  segment    users
  champions     20
  no_orders  1,480

Contacts in 7 days
  contacts  users
  0             2
  1-2           2
  3-5           1
  over 10       1

Sent
  destination  audiences  members  sent  rejected  not taken  removed  vetoed  complete
  crm                  2        3     4         1          1        0       3         1

As of      2024-06-30
Warehouse  {data}/warehouse/barometer.duckdb
Extracts   {data}/extracts/2024-06-30 (none written)
Report     {data}/report/barometer.html (none written)
Logs       {data}/logs
Seconds    load 12.3, dbt 4.0, in all 16.3
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path, tmp_path, date(2024, 6, 30), date(2024, 7, 1))
    settings.warehouse.mkdir()
    with duckdb.connect(str(settings.published_file)) as con:
        con.execute(PUBLISHED)
    return settings


def test_summary(settings: Settings) -> None:
    text = summary(settings, {"load_landing_files": 12.34, "dbt_models": 4.0})
    assert text == SUMMARY.format(data=settings.data).rstrip("\n")


def test_what_is_missing_is_left_out(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_file)) as con:
        con.execute("delete from marts.rejected_files; update marts.build_info set is_final = false")
    (settings.extracts / "2024-06-30").mkdir(parents=True)
    settings.reports.mkdir()
    settings.report_page.touch()
    text = summary(settings, {})
    assert "Unreadable files" not in text
    assert "Seconds" not in text
    assert "As of      2024-06-30 (not final)" in text
    assert "(none written)" not in text
