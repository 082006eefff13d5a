"""Real orders through the real pipeline: what it gives equals what was published, and what plain Python computes."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from data.real_orders.cdnow import published_summary, write_cdnow
from data.real_orders.online_retail import Written, write_online_retail
from data.real_orders.table import rfm_table
from orchestration.errors import BarometerError
from orchestration.settings import ROOT
from orchestration.warehouse.families import published_families
from tests import compiled_sql
from tests.pipeline import run_pipeline
from tests.properties import oracle

CDNOW_DAY = date(1997, 9, 30)
RETAIL_DAY = date(2010, 12, 9)
RETAIL_FILE = Path(
    os.environ.get("ONLINE_RETAIL_FILE") or ROOT.parent / "shared" / "data" / "online_retail_2009_2010.parquet"
)
FAMILIES = set(published_families())


@dataclass(frozen=True)
class Shop:
    """A landing folder, and the data folder of the pipeline that reads it."""

    landing: Path
    data: Path
    as_of: date

    def run(self) -> str:
        """Run the whole pipeline and return what it said."""
        return run_pipeline(self.landing, self.data, self.as_of)

    @property
    def published(self) -> Path:
        return self.data / "warehouse" / "barometer.duckdb"

    def rows(self, query: str, file: str = "barometer.duckdb") -> list[tuple[Any, ...]]:
        """Ask the published file, or another of the warehouse."""
        with duckdb.connect(str(self.data / "warehouse" / file), read_only=True) as con:
            return con.execute(query).fetchall()

    def by_user(self, table: str) -> dict[str, dict[str, Any]]:
        """Return a table of the marts by user_id."""
        with duckdb.connect(str(self.published), read_only=True) as con:
            cursor = con.execute(f"select * from marts.{table}")
            names = [column[0] for column in cursor.description or []]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        assert len({row["user_id"] for row in found}) == len(found)
        return {row["user_id"]: row for row in found}

    def files(self) -> dict[str, bytes]:
        """Return what the run leaves for others: the published file and the extracts."""
        extracts = (path for path in (self.data / "extracts").rglob("*") if path.is_file())
        return {str(path.relative_to(self.data)): path.read_bytes() for path in (self.published, *extracts)}


def _check_families(memberships: list[tuple[str, str, str]], users: set[str]) -> None:
    """Every known user is in exactly one segment of each family."""
    assert {family for family, _, _ in memberships} == FAMILIES
    for family in FAMILIES:
        found = [user for name, user, _ in memberships if name == family]
        assert len(found) == len(users)
        assert set(found) == users
    assert all(segment for _, _, segment in memberships)


def _check_rfm(found: dict[str, dict[str, Any]], orders: list[dict[str, Any]], as_of: date) -> None:
    """The table rfm is, row by row, what the oracle makes of the orders."""
    wanted = oracle.rfm_as_of(oracle.World(orders=orders), as_of)
    assert found.keys() == wanted.keys()
    for user, row in wanted.items():
        assert {name: _plain(found[user][name]) for name in row} == {name: _plain(v) for name, v in row.items()}, user


def _plain(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, (Decimal, float)) else value


def _orders_of(folder: Path) -> list[dict[str, Any]]:
    """The orders of a landing folder, as the oracle reads them."""
    (path,) = (folder / "orders").glob("*.csv")
    with path.open(encoding="utf-8", newline="") as file:
        return [
            {
                **row,
                "ordered_at": datetime.fromisoformat(row["ordered_at"]).replace(tzinfo=UTC),
                "gross_amount": Decimal(row["gross_amount"]),
            }
            for row in csv.DictReader(file)
            if row["user_id"]
        ]


def _check_published_summary(found: dict[str, dict[str, Any]]) -> None:
    """repeat_frequency, recency and t of the sample's customers equal the published summary, which is in weeks."""
    summary = published_summary()
    assert len(summary) == 2357
    for customer, published in summary.items():
        row = found[customer]
        assert row["repeat_frequency"] == published.frequency, customer
        for days, weeks in ((row["recency"], published.recency), (row["t"], published.t)):
            assert days == round(weeks * 7), customer
            assert abs(days / 7 - weeks) < 0.00501, customer


# CDNOW, the sample: the whole pipeline, by `make soak`; everybody below has the sample's customers too


@pytest.fixture(scope="module")
def cdnow(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("cdnow")
    shop = Shop(folder / "landing", folder / "data", CDNOW_DAY)
    assert write_cdnow(shop.landing, is_sample=True) == 6919
    shop.run()
    return shop


@pytest.mark.soak
def test_cdnow_sample_equals_the_published_summary(cdnow: Shop) -> None:
    found = cdnow.by_user("rfm")
    assert found.keys() == published_summary().keys()
    _check_published_summary(found)
    _check_rfm(found, _orders_of(cdnow.landing), CDNOW_DAY)


@pytest.mark.soak
def test_cdnow_sample_is_in_every_family_once(cdnow: Shop) -> None:
    users = set(cdnow.by_user("user_360"))
    assert users == published_summary().keys()
    _check_families(cdnow.rows("select family, user_id, segment from marts.user_segments"), users)


@pytest.mark.soak
def test_a_second_run_skips_what_is_the_same(cdnow: Shop) -> None:
    before = cdnow.files()
    said = cdnow.run()
    assert "Loaded 0 rows of 0 new files" in said
    assert f"dbt: nothing changed since the last build of {CDNOW_DAY}, skipped" in said
    assert "Already published" in said
    assert "Extracts unchanged" in said
    assert cdnow.files() == before


# CDNOW, everybody: the loader and the compiled SQL


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[compiled_sql.World, Path]]:
    landing = tmp_path_factory.mktemp("cdnow_master")
    assert write_cdnow(landing) == 69659
    world = compiled_sql.World(compiled_sql.compile_project(tmp_path_factory.mktemp("compiled")))
    world.load(landing)
    world.build(CDNOW_DAY)
    yield world, landing
    world.close()


def test_all_rows_of_the_master_file_load(everybody: tuple[compiled_sql.World, Path]) -> None:
    world, landing = everybody
    (file,) = world.rows("load_files")
    assert file["file"] == "orders/cdnow.csv"
    assert (file["rows_read"], file["rows_accepted"]) == (69659, 69659)
    assert (file["rows_rejected"], file["rows_duplicate"], file["rows_erased"]) == (0, 0, 0)
    # rows that repeat another are orders of their own
    landed = [(row["user_id"], row["ordered_at"], row["gross_amount"]) for row in _orders_of(landing)]
    assert len(landed) - len(set(landed)) == 255
    assert len({row["order_id"] for row in world.rows("stg_orders", ["order_id"])}) == 69659


def test_the_master_file_gives_the_same_and_more(everybody: tuple[compiled_sql.World, Path]) -> None:
    world, _ = everybody
    found = {row["user_id"]: row for row in world.rows("rfm")}
    assert len(found) == 23570
    _check_published_summary(found)
    segments = [(row["family"], row["user_id"], row["segment"]) for row in world.rows("user_segments")]
    _check_families(segments, set(found))


def test_every_order_of_the_master_file_counts_in_the_end(everybody: tuple[compiled_sql.World, Path]) -> None:
    world, landing = everybody
    world.build(date(1998, 6, 30))
    users = world.rows("user_360")
    assert len(users) == 23570
    assert sum(row["orders"] for row in users) == 69659
    assert sum(row["net_revenue"] for row in users) == sum(row["gross_amount"] for row in _orders_of(landing))


# Online Retail II: the whole pipeline, by `make soak`


@pytest.fixture(scope="module")
def retail(tmp_path_factory: pytest.TempPathFactory) -> tuple[Shop, Written]:
    if not RETAIL_FILE.is_file():
        pytest.skip("Online Retail II is not here: name its Parquet file in ONLINE_RETAIL_FILE (docs/REAL_ORDERS.md)")
    folder = tmp_path_factory.mktemp("retail")
    shop = Shop(folder / "landing", folder / "data", RETAIL_DAY)
    written = write_online_retail(RETAIL_FILE, shop.landing, lambda _: None)
    shop.run()
    return shop, written


@dataclass
class Invoice:
    """An invoice of the file, put together line by line."""

    customer: str | None
    ordered_at: datetime
    gross: Decimal = Decimal(0)
    sells: bool = False
    lines: int = 0


@pytest.fixture(scope="module")
def invoices() -> dict[str, Invoice]:
    """The invoices of the file, read without the converter."""
    if not RETAIL_FILE.is_file():
        pytest.skip("Online Retail II is not here")
    found: dict[str, Invoice] = {}
    query = 'select Invoice, Quantity, InvoiceDate, Price, "Customer ID" from read_parquet(?)'
    with duckdb.connect() as con:
        for number, quantity, moment, price, customer in con.execute(query, [str(RETAIL_FILE)]).fetchall():
            at = datetime.fromisoformat(moment).replace(tzinfo=UTC)
            invoice = found.setdefault(number, Invoice(None if customer is None else str(int(customer)), at))
            invoice.ordered_at = min(invoice.ordered_at, at)
            invoice.lines += 1
            if quantity > 0 and price > 0:
                invoice.sells = True
                invoice.gross += quantity * Decimal(str(price))
    return found


def _sold(invoices: dict[str, Invoice]) -> dict[str, Invoice]:
    """The invoices that are orders which count."""
    return {n: i for n, i in invoices.items() if i.customer is not None and i.sells and not n.startswith("C")}


@pytest.mark.download
@pytest.mark.soak
def test_online_retail_is_accounted_for(retail: tuple[Shop, Written], invoices: dict[str, Invoice]) -> None:
    shop, written = retail
    assert written == Written(lines=525461, orders=28816, items=523340, left_out=2121)
    assert written.lines == written.items + written.left_out == sum(invoice.lines for invoice in invoices.values())
    files = shop.rows("select dataset, rows_read, rows_accepted, rows_rejected, rows_duplicate from marts.load_files")
    assert sorted(files) == [("order_items", 523340, 523340, 0, 0), ("orders", 28816, 23587, 5229, 0)]
    # rejected: the invoices without a customer, and nothing else
    rejected = shop.rows(
        "select reason, json_extract_string(content, '$.order_id') from raw.rejected_rows", "working.duckdb"
    )
    assert {reason for reason, _ in rejected} == {"missing_user_id"}
    assert len(rejected) == 5229
    without_customer = {number for number, invoice in invoices.items() if invoice.customer is None}
    assert {order_id for _, order_id in rejected} == without_customer
    # their lines are kept and wait
    waiting = "select count(*), count(distinct order_id) from raw.order_items where order_id not in (from known)"
    ((lines, orders),) = shop.rows(f"with known as (select order_id from raw.orders) {waiting}", "working.duckdb")
    assert (lines, orders) == (sum(invoices[n].lines for n in without_customer) - 2121, len(without_customer) - 2121)


@pytest.mark.download
@pytest.mark.soak
def test_online_retail_orders_customers_and_revenue(retail: tuple[Shop, Written], invoices: dict[str, Invoice]) -> None:
    shop, _ = retail
    users = shop.by_user("user_360")
    buyers = {user: row for user, row in users.items() if row["orders"]}
    assert sum(row["orders"] for row in buyers.values()) == 19213
    assert len(buyers) == 4312
    assert sum(row["net_revenue"] for row in users.values()) == Decimal("8832003.26")
    wanted: dict[str, list[Decimal]] = defaultdict(list)
    for invoice in _sold(invoices).values():
        wanted[str(invoice.customer)].append(invoice.gross.quantize(Decimal("0.01"), ROUND_HALF_UP))
    assert {user: (row["orders"], row["net_revenue"]) for user, row in buyers.items()} == {
        user: (len(amounts), sum(amounts)) for user, amounts in wanted.items()
    }
    # who only cancelled is known and no buyer
    assert users.keys() == {invoice.customer for invoice in invoices.values() if invoice.customer is not None}
    assert {user for user, row in users.items() if row["rfm"] == "no_orders"} == users.keys() - buyers.keys()
    _check_families(shop.rows("select family, user_id, segment from marts.user_segments"), set(users))


@pytest.mark.download
@pytest.mark.soak
def test_online_retail_rfm(retail: tuple[Shop, Written], invoices: dict[str, Invoice]) -> None:
    shop, _ = retail
    orders = [
        {
            "order_id": number,
            "user_id": invoice.customer,
            "ordered_at": invoice.ordered_at,
            "gross_amount": invoice.gross.quantize(Decimal("0.01"), ROUND_HALF_UP),
        }
        for number, invoice in _sold(invoices).items()
    ]
    found = shop.by_user("rfm")
    _check_rfm(found, orders, RETAIL_DAY)
    # the table that the documentation shows is the one that this run prints
    table = rfm_table(shop.data)
    assert table in (ROOT / "docs" / "REAL_ORDERS.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert len(rows) == 12
    for segment, users, _, _, count, revenue in rows:
        members = [row for row in found.values() if segment in ("all", row["segment"])]
        assert int(users.replace(",", "")) == len(members)
        assert int(count.replace(",", "")) == sum(row["frequency"] for row in members)
        assert Decimal(revenue.replace(",", "")) == sum(row["monetary"] for row in members)


# What a person does wrong


def _write_parquet(path: Path, query: str) -> Path:
    with duckdb.connect() as con:
        con.execute(f"copy ({query}) to '{path}' (format parquet)")
    return path


_LINE = """select 'C1' as Invoice, 'a' as StockCode, -2 as Quantity, '2010-01-01 10:00:00' as InvoiceDate,
    1.255 as Price, 1.0 as "Customer ID" """


def test_small_invoices(tmp_path: Path) -> None:
    """Each kind of invoice and line, one by one."""
    lines = [
        "('1', 'a', 2, '2010-01-02 10:05:00', 1.0025, 7.0)",  # rounded with the whole invoice, half up
        "('1', 'a', 2, '2010-01-02 10:04:00', 1.0, 7.0)",
        "('1', 'gift', 1, '2010-01-02 10:04:00', 0.0, 7.0)",
        "('C2', 'a', -2, '2010-01-03 10:00:00', 1.0, 7.0)",
        "('C2', 'M', 1, '2010-01-03 10:00:00', 5.0, 7.0)",
        "('3', 'gift', 1, '2010-01-04 10:00:00', 0.0, 8.0)",
        "('4', 'lost', -9, '2010-01-05 10:00:00', 0.0, null)",
        "('A5', 'B', 1, '2010-01-06 10:00:00', -50.0, null)",
        "('6', 'a', 1, '2010-01-07 10:00:00', 1.0, null)",
    ]
    names = 'Invoice, StockCode, Quantity, InvoiceDate, Price, "Customer ID"'
    file = _write_parquet(tmp_path / "some.parquet", f"select * from (values {', '.join(lines)}) as l({names})")
    written = write_online_retail(file, tmp_path / "landing", lambda _: None)
    assert written == Written(lines=9, orders=6, items=8, left_out=1)
    assert (tmp_path / "landing/orders/online_retail.csv").read_text(encoding="utf-8").splitlines() == [
        "order_id,user_id,ordered_at,status,gross_amount",
        "1,7,2010-01-02 10:04:00,completed,4.01",
        "C2,7,2010-01-03 10:00:00,cancelled,7.00",
        "3,8,2010-01-04 10:00:00,cancelled,0.00",
        "4,,2010-01-05 10:00:00,cancelled,0.00",
        "A5,,2010-01-06 10:00:00,cancelled,0.00",
        "6,,2010-01-07 10:00:00,completed,1.00",
    ]
    with duckdb.connect() as con:
        items = con.execute(
            "select order_id, line_number, product_id, quantity::int, unit_price::double from read_parquet(?)",
            [str(tmp_path / "landing/order_items/online_retail.parquet")],
        ).fetchall()
    assert items == [
        ("1", 1, "a", 2, 1.0025),
        ("1", 2, "a", 2, 1.0),
        ("1", 3, "gift", 1, 0.0),
        ("C2", 1, "a", 2, 1.0),
        ("C2", 2, "M", 1, 5.0),
        ("3", 1, "gift", 1, 0.0),
        ("A5", 1, "B", 1, -50.0),
        ("6", 1, "a", 1, 1.0),
    ]
    assert "4,lost,-9" in (tmp_path / "landing/_left_out.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select 1 as Invoice", "lacks the columns StockCode, Quantity"),
        (_LINE.replace("'2010-01-01 10:00:00'", "'yesterday'"), "can't be read"),
        (f"{_LINE} union all {_LINE.replace('1.0 as', '2.0 as')}", "more than one customer"),
    ],
)
def test_a_file_that_is_not_online_retail_is_refused(tmp_path: Path, query: str, message: str) -> None:
    file = _write_parquet(tmp_path / "some.parquet", query)
    with pytest.raises(BarometerError, match=message):
        write_online_retail(file, tmp_path / "landing", lambda _: None)
    assert not list((tmp_path / "landing").rglob("*.csv"))


def test_a_folder_of_another_shop_is_refused(tmp_path: Path) -> None:
    write_cdnow(tmp_path, is_sample=True)
    write_cdnow(tmp_path, is_sample=True)
    with pytest.raises(BarometerError, match="holds other files"):
        write_cdnow(tmp_path)


def test_the_command_says_what_to_do(tmp_path: Path) -> None:
    for arguments, message in (
        (["table", "--data", str(tmp_path)], "There is no published file"),
        (["online-retail", "--file", str(tmp_path / "none"), "--out", str(tmp_path)], "There is no file"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "data.real_orders", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert message in done.stderr
        assert "What to do:" in done.stderr
        assert "Traceback" not in done.stderr
