"""The RFM table and the contacts of 7 and 30 days as somebody would write them by hand, over the landing files.

Each peer is a process of its own, so that its memory is its own: `python -m tests.benchmarks.peers NAME LANDING OUT
AS_OF` writes two Parquet files and prints its seconds, without those of its imports, and its peak memory. The rules are
those of RFM with monthly cut points, and of contacts that count, as far as the benchmark's shop needs them: no versions
of orders, no soft bounces, one currency.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.settings import ROOT

_WINDOW, _SHARES = 365, (0.2, 0.4, 0.6, 0.8)
_COUNTING = ("email", "push", "sms", "whatsapp")


def cut_date_of(as_of: date) -> date:
    """The last day of the month before: as of when monthly cut points are taken."""
    return as_of.replace(day=1) - timedelta(days=1)


def with_pandas(landing: Path, out: Path, as_of: date) -> None:
    """Write both tables with pandas."""
    import numpy as np
    import pandas as pd

    orders = pd.read_parquet(
        landing / "orders", columns=["user_id", "ordered_at", "status", "gross_amount", "discount_amount"]
    )
    orders = orders[orders["status"] == "completed"]
    cents = (orders["gross_amount"].astype("float64") * 100).round().astype("int64")
    cents -= (orders["discount_amount"].astype("float64").fillna(0) * 100).round().astype("int64")
    orders = pd.DataFrame(
        {
            "user_id": orders["user_id"],
            "day": orders["ordered_at"].astype("datetime64[s]").dt.normalize(),
            "cents": cents,
        }
    )

    def measured(until: date) -> pd.DataFrame:
        known = orders[orders["day"] <= pd.Timestamp(until)]
        recent = known[known["day"] > pd.Timestamp(until - timedelta(days=_WINDOW))]
        table = (pd.Timestamp(until) - known.groupby("user_id")["day"].max()).dt.days.to_frame("recency_days")
        sums = recent.groupby("user_id")["cents"].agg(["size", "sum"])
        table["frequency"] = sums["size"].reindex(table.index).fillna(0).astype("int64")
        table["cents"] = sums["sum"].reindex(table.index).fillna(0).astype("int64")
        return table

    buyers = measured(cut_date_of(as_of)).query("frequency > 0")
    table = measured(as_of)
    values = {"r": "recency_days", "f": "frequency", "m": "cents"}
    for letter, column in values.items():
        scale = 100 if letter == "m" else 1
        cuts = (buyers[column] / scale).quantile(list(_SHARES)).round(6).to_numpy()
        below = np.searchsorted(cuts, (table[column] / scale).to_numpy(), side="left")
        table[f"{letter}_score"] = 5 - below if letter == "r" else 1 + below
    table.loc[table["frequency"] == 0, [f"{letter}_score" for letter in values]] = 1
    table.reset_index().to_parquet(out / "rfm.parquet")

    since = pd.Timestamp(as_of - timedelta(days=29))
    end = pd.Timestamp(as_of + timedelta(days=1))
    messages = pd.read_parquet(
        landing / "messages",
        columns=["message_id", "user_id", "sent_at", "channel", "message_class"],
        filters=[
            ("sent_at", ">=", since),
            ("sent_at", "<", end),
            ("message_class", "==", "marketing"),
            ("channel", "in", _COUNTING),
        ],
    )
    events = pd.read_parquet(
        landing / "message_events",
        columns=["message_id"],
        filters=[("event", "==", "bounced"), ("occurred_at", ">=", since), ("occurred_at", "<", end)],
    )
    arrived = messages[~messages["message_id"].isin(events["message_id"])]
    week = arrived[arrived["sent_at"] >= pd.Timestamp(as_of - timedelta(days=6))]
    counts = arrived.groupby("user_id").size().to_frame("contacts_30d")
    counts["contacts_7d"] = week.groupby("user_id").size().reindex(counts.index).fillna(0).astype("int64")
    counts.reset_index().to_parquet(out / "contacts.parquet")


def with_polars(landing: Path, out: Path, as_of: date) -> None:
    """Write both tables with polars, streaming."""
    import polars as pl

    orders = (
        pl.scan_parquet(landing / "orders" / "**" / "*.parquet")
        .filter(pl.col("status") == "completed")
        .select(
            "user_id",
            pl.col("ordered_at").dt.date().alias("day"),
            (pl.col("gross_amount") * 100).cast(pl.Int64).alias("gross"),
            (pl.col("discount_amount").fill_null(0) * 100).cast(pl.Int64).alias("discount"),
        )
        .with_columns((pl.col("gross") - pl.col("discount")).alias("cents"))
    )

    def measured(until: date) -> pl.LazyFrame:
        is_recent = pl.col("day") > until - timedelta(days=_WINDOW)
        return (
            orders.filter(pl.col("day") <= until)
            .group_by("user_id")
            .agg(
                (pl.lit(until) - pl.col("day").max()).dt.total_days().alias("recency_days"),
                is_recent.sum().cast(pl.Int64).alias("frequency"),
                pl.when(is_recent).then(pl.col("cents")).otherwise(0).sum().alias("cents"),
            )
        )

    buyers = measured(cut_date_of(as_of)).filter(pl.col("frequency") > 0).collect(engine="streaming")
    scores = []
    for letter, column, scale in (("r", "recency_days", 1), ("f", "frequency", 1), ("m", "cents", 100)):
        # whole cents: polars divides by a constant as it multiplies by its inverse, which is not the same
        quantiles = [float(buyers.select(pl.col(column).quantile(share, "linear")).item()) for share in _SHARES]
        cuts = [round(round(quantile / scale, 6) * scale, 4) for quantile in quantiles]
        below = pl.sum_horizontal([(pl.col(column) > cut).cast(pl.Int64) for cut in cuts])
        score = 5 - below if letter == "r" else 1 + below
        scores.append(pl.when(pl.col("frequency") == 0).then(1).otherwise(score).alias(f"{letter}_score"))
    measured(as_of).with_columns(scores).collect(engine="streaming").write_parquet(out / "rfm.parquet")

    since, end = as_of - timedelta(days=29), as_of + timedelta(days=1)
    bounced = (
        pl.scan_parquet(landing / "message_events" / "**" / "*.parquet")
        .filter((pl.col("event") == "bounced") & pl.col("occurred_at").is_between(since, end, closed="left"))
        .select("message_id")
    )
    (
        pl.scan_parquet(landing / "messages" / "**" / "*.parquet")
        .filter(
            pl.col("sent_at").is_between(since, end, closed="left")
            & (pl.col("message_class") == "marketing")
            & pl.col("channel").is_in(_COUNTING)
        )
        .join(bounced, on="message_id", how="anti")
        .group_by("user_id")
        .agg(
            pl.len().cast(pl.Int64).alias("contacts_30d"),
            (pl.col("sent_at") >= as_of - timedelta(days=6)).sum().cast(pl.Int64).alias("contacts_7d"),
        )
        .collect(engine="streaming")
        .write_parquet(out / "contacts.parquet")
    )


def with_duckdb(landing: Path, out: Path, as_of: date) -> None:
    """Write both tables with a DuckDB script."""
    cut_date = cut_date_of(as_of)

    def measured(until: date) -> str:
        is_recent = f"day > date '{until}' - {_WINDOW}"
        return f"""(
            select user_id, date '{until}' - max(day) as recency_days, count(*) filter ({is_recent}) as frequency,
                coalesce(sum(net) filter ({is_recent}), 0) as monetary
            from orders where day <= date '{until}' group by user_id)"""

    with duckdb.connect() as con:
        con.execute("set threads = 2; set preserve_insertion_order = false")
        con.execute(
            f"""create temp table orders as
            select user_id, ordered_at::date as day, gross_amount - coalesce(discount_amount, 0) as net
            from '{landing}/orders/**/*.parquet' where status = 'completed'"""
        )
        cuts = ", ".join(
            f"list_transform(quantile_cont({value}::double, {list(_SHARES)}), lambda cut: round(cut, 6)) as {letter}"
            for letter, value in (("r", "recency_days"), ("f", "frequency"), ("m", "monetary"))
        )
        below = "len(list_filter(cuts.{letter}, lambda cut: cut < {value}))"
        scores = ", ".join(
            f"if(frequency = 0, 1, {sign} {below.format(letter=letter, value=value)})::int as {letter}_score"
            for letter, value, sign in (
                ("r", "recency_days", "5 -"),
                ("f", "frequency", "1 +"),
                ("m", "monetary", "1 +"),
            )
        )
        con.execute(
            f"""copy (
                with cuts as (select {cuts} from {measured(cut_date)} where frequency > 0)
                select user_id, recency_days, frequency, (monetary * 100)::bigint as cents, {scores}
                from {measured(as_of)}, cuts
            ) to '{out}/rfm.parquet'"""
        )
        since, end = as_of - timedelta(days=29), as_of + timedelta(days=1)
        con.execute(
            f"""copy (
                select user_id, count(*) as contacts_30d,
                    count(*) filter (sent_at >= date '{as_of - timedelta(days=6)}') as contacts_7d
                from '{landing}/messages/**/*.parquet'
                where sent_at >= date '{since}' and sent_at < date '{end}' and message_class = 'marketing'
                    and channel in {_COUNTING}
                    and message_id not in (
                        select message_id from '{landing}/message_events/**/*.parquet'
                        where event = 'bounced' and occurred_at >= date '{since}' and occurred_at < date '{end}')
                group by user_id
            ) to '{out}/contacts.parquet'"""
        )


PEERS: dict[str, Callable[[Path, Path, date], None]] = {
    "pandas": with_pandas,
    "polars": with_polars,
    "DuckDB script": with_duckdb,
}
_DIFFERENCES = {
    "rfm": """
        select count(*) from (
            select user_id, recency_days, frequency, (monetary * 100)::bigint as cents, r_score, f_score, m_score
            from published.marts.rfm
        ) as ours full join '{out}/rfm.parquet' as theirs using (user_id)
        where not coalesce(
            ours.recency_days = theirs.recency_days and ours.frequency = theirs.frequency and ours.cents = theirs.cents
            and ours.r_score = theirs.r_score and ours.f_score = theirs.f_score
            and ours.m_score = theirs.m_score, false)""",
    "contacts": """
        select count(*) from (
            select user_id, contacts_7d, contacts_30d from published.marts.contact_pressure where contacts_30d > 0
        ) as ours full join '{out}/contacts.parquet' as theirs using (user_id)
        where not coalesce(ours.contacts_7d = theirs.contacts_7d and ours.contacts_30d = theirs.contacts_30d, false)""",
}


def compare(landing: Path, published: Path, folder: Path, as_of: date) -> dict[str, dict[str, float]]:
    """Run every peer; return its seconds, its peak memory (GB) and how many users differ from what was published."""
    found = {}
    for name in PEERS:
        out = folder / name.replace(" ", "_")
        out.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.benchmarks.peers", name, str(landing), str(out), str(as_of)]
        done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout)
        with duckdb.connect() as con:
            con.execute(f"attach '{published}' as published (read_only)")
            for table, query in _DIFFERENCES.items():
                (count,) = con.execute(query.format(out=out)).fetchone() or (0,)
                found[name][f"users who differ in {table}"] = count
    return found


def main(name: str, landing: str, out: str, as_of: str) -> None:
    """Run one peer and print what it took, as JSON."""
    for module in {"pandas": ["pandas", "pyarrow"], "polars": ["polars"]}.get(name, []):
        __import__(module)
    started = time.perf_counter()
    PEERS[name](Path(landing), Path(out), date.fromisoformat(as_of))
    seconds = time.perf_counter() - started
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(json.dumps({"seconds": seconds, "GB": int(peak[1]) / 1e6 if peak else 0}))


if __name__ == "__main__":
    main(*sys.argv[1:])
