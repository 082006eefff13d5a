"""Each macro that DuckDB and Spark write differently gives the same values on both, at the edges of what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import jinja2
import pytest

from orchestration.settings import DBT_PROJECT
from tests import compiled_spark

pytestmark = compiled_spark.NEEDS_SPARK

_FILES = ("dates.sql", "values.sql", "types.sql")


def _macros(engine: str, zone: str = "UTC") -> Any:
    """The macros of the folder engine/, as dbt would dispatch them."""
    text = "\n".join((DBT_PROJECT / "macros" / "engine" / name).read_text(encoding="utf-8") for name in _FILES)
    module: Any = None

    class Adapter:
        @staticmethod
        def dispatch(name: str, package: str) -> Any:
            return getattr(module, f"{engine}__{name}")

    environment = jinja2.Environment(extensions=["jinja2.ext.do"])
    module = environment.from_string(text).make_module({"adapter": Adapter, "var": lambda name: zone})
    return module


def _on_both(template: str, zone: str = "UTC") -> list[list[tuple[Any, ...]]]:
    """The rows of a query on both engines, in their order; ``m`` are the macros in it."""
    sql = {
        engine: jinja2.Environment().from_string(template).render(m=_macros(engine, zone))
        for engine in ("duckdb", "spark")
    }
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    here = con.execute(sql["duckdb"]).fetchall()
    con.close()
    there = [tuple(row) for row in compiled_spark.session().sql(sql["spark"]).collect()]
    return [sorted(rows, key=repr) for rows in (here, there)]


def _values(type_: str, values: Sequence[str]) -> str:
    rows = ", ".join(f"({number}, {value})" for number, value in enumerate(values))
    return f"(select n, cast(v as {type_}) as v from (values {rows}) as given(n, v)) as given"


TIMES = _values(
    "timestamp",
    [
        "null",
        "'2024-03-31 00:59:59'", "'2024-03-31 01:00:00'",  # Paris springs forward
        "'2024-10-26 21:59:59'", "'2024-10-26 22:00:00'", "'2024-10-27 22:59:59'", "'2024-10-27 23:00:00'",
        "'2024-03-10 04:59:59'", "'2024-03-10 05:00:00'", "'2024-03-11 03:59:59.999999'", "'2024-03-11 04:00:00'",
        "'2024-02-29 23:30:00'", "'2023-12-31 23:59:59'", "'1970-01-01 00:00:00'", "'1969-12-31 23:59:59'",
        "'2011-12-30 09:59:59'", "'2011-12-30 10:00:00'",  # Apia leaves out a day
    ],
)  # fmt: skip
DATES = _values(
    "date",
    ["null", "'2024-02-29'", "'2023-03-01'", "'2024-12-31'", "'2024-03-31'", "'1969-12-31'", "'0001-02-28'"],
)
TEXTS = _values(
    "string",
    ["null", "''", "'a'", "'éà'", "'日本語'", "'🙂'", "'Straße'", "'a|b'", "'  a  '", "'a\tb'", "'%_'"],
)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "America/St_Johns"]
)
def test_business_dates(zone: str) -> None:
    here, there = _on_both(f"select n, {{{{ m.business_date('v') }}}} from {TIMES}", zone)
    assert here == there


@pytest.mark.parametrize(
    "expression",
    [
        "m.add_days('v', 1)", "m.add_days('v', -1)", "m.add_days('v', 366)", "m.add_days('v', 'n - 3')",
        "m.days_between('v', \"date '2024-03-01'\")", "m.days_between(\"date '2024-03-01'\", 'v')",
        "m.last_day_of_previous_month('v')", "m.weekday('v')",
    ],
)  # fmt: skip
def test_dates(expression: str) -> None:
    here, there = _on_both(f"select n, {{{{ {expression} }}}} from {DATES}")
    assert here == there


@pytest.mark.parametrize("arguments", ["'v', \"timestamp '2024-03-31 01:00:00'\"", "\"timestamp '1970-01-01'\", 'v'"])
def test_seconds(arguments: str) -> None:
    here, there = _on_both(f"select n, {{{{ m.seconds_between({arguments}) }}}} from {TIMES}")
    assert here == there


def test_series_of_dates() -> None:
    query = "select {{ m.dates_between(\"date '2024-02-27'\", \"date '2024-03-02'\") }} as d"
    here, there = _on_both(query)
    assert here == there
    assert len(here) == 5


def test_series_of_numbers() -> None:
    here, there = _on_both("select n from {{ m.series(-1, 3) }} as numbers")
    assert here == there == [(-1,), (0,), (1,), (2,), (3,)]


@pytest.mark.parametrize("fraction", [0, 0.2, 0.25, 0.5, 0.8, 1])
def test_quantiles(fraction: float) -> None:
    values = _values("decimal(18, 2)", ["null", "0.1", "-3.33", "7", "7", "1000000.01", "0"])
    here, there = _on_both(f"select round({{{{ m.quantile({fraction}, 'v') }}}}, 6) from {values}")
    assert here == there


@pytest.mark.parametrize("expression", ["m.hash_integer('v')", "m.masked('v')", "m.is_email('v')"])
def test_texts(expression: str) -> None:
    here, there = _on_both(f"select n, {{{{ {expression} }}}} from {TEXTS}")
    assert here == there


ADDRESSES = _values(
    "string",
    [
        "null", "''", "'a@b.c'", "' a@b.c '", "'a@b'", "'a@@b.c'", "'a b@c.d'", "'a@b.c, d@e.f'",
        "'é@ü.日'", "'a@b.c;'",
        "'<a@b.c>'", "'a\u00a0@b.c'", "'a@b.c\n'", "'a.b@c.d.e'", "'@b.c'", "'a@.c'", "'a@b.'",
    ],
)  # fmt: skip
PROSE = _values(
    "string",
    [
        "null", "''", "'write to a@b.c and d@e.f now'", "'call +33123456789 or 123456'", "'12345 is short'",
        "'two 1234567 and 7654321'", "'@'", "'x@ y'", "'no address'",
    ],
)  # fmt: skip


def test_addresses() -> None:
    here, there = _on_both(f"select n, {{{{ m.is_email('v') }}}} from {ADDRESSES}")
    assert here == there
    assert {found for _, found in here} == {None, True, False}


def test_what_may_be_an_address_is_masked() -> None:
    here, there = _on_both(f"select n, {{{{ m.masked('v') }}}} from {PROSE}")
    assert here == there


GROUPED = (
    "(values (1, 'b', 2), (1, 'a', 1), (1, 'c', 3), (2, null, 1), (2, 'é', 2), (3, null, 1), (4, 'x', 1), (4, 'x', 1)) "
    "as given(g, v, o)"
)


def test_texts_of_a_group() -> None:
    here, there = _on_both(f"select g, {{{{ m.joined_text('v', 'o') }}}} from {GROUPED} group by g")
    assert here == there


def test_values_of_a_group_as_a_list() -> None:
    lists = f"select g, {{{{ m.collected('v') }}}} as l from {GROUPED} group by g"
    query = (
        f"select g, {{{{ m.list_as_text('l') }}}}, {{{{ m.contains('l', \"'a'\") }}}} from (select * from ({lists}) "
        "as grouped where g in (1, 4)) as two"
    )
    here, there = _on_both(query)
    assert {row[0]: (sorted(row[1].split("|")), row[2]) for row in here} == {
        row[0]: (sorted(row[1].split("|")), row[2]) for row in there
    }
    here, there = _on_both(f"select g, {{{{ m.exploded('l') }}}} as v from ({lists}) as grouped")
    assert here == there


def test_whether_a_list_has_a_value_where_nothing_is_known() -> None:
    lists = f"select g, {{{{ m.collected('v') }}}} as l from {GROUPED} group by g"
    here, there = _on_both(f"select g, {{{{ m.contains('l', \"'a'\") }}}} from ({lists}) as grouped")
    assert here == there


def test_an_order_by_several() -> None:
    query = f"select g, max_by(v, {{{{ m.ordering(['o', 'v']) }}}}) from {GROUPED} where v is not null group by g"
    here, there = _on_both(query)
    assert here == there
