"""Online Retail II: the invoices of a British gift wholesaler, December 2009 to December 2010 (Chen, UCI, CC BY 4.0).

Every line of the file is accounted for:

- An invoice is an order: ordered_at is the time of its earliest line, gross_amount the sum of quantity times price over
  its lines with both above 0, rounded to cents.
- An invoice whose number begins with C is a cancellation. It names no invoice that it cancels, so it is an order of its
  own with status cancelled and absolute amounts. (One of its lines in the file has a positive quantity and is taken
  like the others.)
- An invoice without any line with quantity and price above 0 sells nothing: stock written off, a gift, or the bad debt
  of the invoices that begin with A. It is an order with status cancelled and gross_amount 0.
- An invoice without a customer is written with an empty user_id. The loader rejects it for that; its lines wait for
  their order.
- A line is an item: line_number is its place among the lines of its invoice in the file, unit_price its price as it is
  (0 for a gift, negative for bad debt). Equal lines of one invoice stay apart.
- A line with a negative quantity in an invoice that is no cancellation can't be an item: an item's quantity is never
  negative. In this file these are 2,121 invoices of one line each, at price 0 and without a customer: stock written
  off. They go to ``_left_out.csv`` in the landing folder, which the loader passes over.
- Description and country are left out.

Times have no zone and are taken as UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from data.real_orders.folder import prepare_folder, unfinished
from orchestration.errors import BarometerError

COLUMNS = ("Invoice", "StockCode", "Quantity", "InvoiceDate", "Price", "Customer ID")
_ORDERS = "orders/online_retail.csv"
_ITEMS = "order_items/online_retail.parquet"
_LEFT_OUT = "_left_out.csv"
_SOURCE = "https://archive.ics.uci.edu/dataset/502/online+retail+ii"

_LINES = """
    create table lines as
    select
        file_row_number + 1 as row_number,
        cast("Invoice" as varchar) as invoice,
        coalesce(starts_with(cast("Invoice" as varchar), 'C'), false) as is_cancellation,
        row_number() over (partition by "Invoice" order by file_row_number) as line_number,
        cast("StockCode" as varchar) as stock_code,
        cast("Quantity" as bigint) as quantity,
        cast("InvoiceDate" as timestamp) as invoice_date,
        cast("Price" as decimal(18, 6)) as price,
        cast(cast(cast("Customer ID" as double) as bigint) as varchar) as customer_id,
        not is_cancellation and cast("Quantity" as bigint) < 0 as is_left_out
    from read_parquet(?, file_row_number = true)
"""
_ORDERS_QUERY = """
    select
        invoice as order_id,
        min(customer_id) as user_id,
        min(invoice_date) as ordered_at,
        case
            when is_cancellation or not coalesce(bool_or(quantity > 0 and price > 0), false) then 'cancelled'
            else 'completed'
        end as status,
        round(
            coalesce(sum(abs(quantity * price)) filter (where is_cancellation or (quantity > 0 and price > 0)), 0), 2
        )::decimal(18, 2) as gross_amount
    from lines
    group by invoice, is_cancellation
    order by min(row_number)
"""
_ITEMS_QUERY = """
    select
        invoice as order_id,
        line_number,
        stock_code as product_id,
        abs(quantity) as quantity,
        price as unit_price
    from lines
    where is_left_out is not true
    order by row_number
"""
_LEFT_OUT_QUERY = """
    select row_number, invoice, stock_code, quantity, invoice_date, price, customer_id
    from lines
    where is_left_out
    order by row_number
"""


@dataclass(frozen=True)
class Written:
    """Rows read and written: lines = items + left_out."""

    lines: int
    orders: int
    items: int
    left_out: int


def write_online_retail(file: Path, folder: Path, say: Callable[[str], None]) -> Written:
    """Write the invoices of the Parquet file as orders and items into a landing folder.

    Raises BarometerError if the file is missing, is not Parquet, lacks a column or has an invoice of two customers.
    """
    if not file.is_file():
        raise BarometerError(
            f"There is no file {file}.", f"Download Online Retail II from {_SOURCE}, see docs/REAL_ORDERS.md."
        )
    prepare_folder(folder, (_ORDERS, _ITEMS))
    with duckdb.connect() as con:
        _read(con, file)
        lines = _count(con, "select count(*) from lines")
        say(f"{lines:,} lines read")
        mixed = _count(
            con, "select count(*) from (select 1 from lines group by invoice having count(distinct customer_id) > 1)"
        )
        if mixed:
            raise BarometerError(
                f"{mixed} invoices of {file} have lines of more than one customer.",
                "Look whether this is the file from UCI.",
            )
        orders = _copy(con, _ORDERS_QUERY, folder / _ORDERS, "format csv, header")
        say(f"{orders:,} orders written")
        items = _copy(con, _ITEMS_QUERY, folder / _ITEMS, "format parquet, compression zstd")
        left_out = _copy(con, _LEFT_OUT_QUERY, folder / _LEFT_OUT, "format csv, header")
        say(f"{items:,} items written; {left_out:,} lines left out, see {folder / _LEFT_OUT}")
    return Written(lines, orders, items, left_out)


def _read(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    try:
        found = con.execute("select * from read_parquet(?) limit 0", [str(file)]).description or []
        missing = [column for column in COLUMNS if column not in {name for name, *_ in found}]
        if missing:
            raise BarometerError(
                f"{file} lacks the columns {', '.join(missing)}.",
                f"It should have the columns of the file from UCI: {', '.join(COLUMNS)}.",
            )
        con.execute(_LINES, [str(file)])
    except duckdb.Error as error:
        raise BarometerError(
            f"{file} can't be read: {str(error).splitlines()[0]}",
            "Save the sheet from UCI as Parquet, with Invoice and StockCode as text; see docs/REAL_ORDERS.md.",
        ) from None


def _copy(con: duckdb.DuckDBPyConnection, query: str, path: Path, options: str) -> int:
    target = str(unfinished(path)).replace("'", "''")
    written = _count(con, f"copy ({query}) to '{target}' ({options})")
    unfinished(path).replace(path)
    return written


def _count(con: duckdb.DuckDBPyConnection, statement: str) -> int:
    row = con.execute(statement).fetchone()
    return int(row[0]) if row else 0
