"""Keys of rollups are checked where a night changed them, and whole where the night before did not end well."""

from __future__ import annotations

import json
import subprocess
from datetime import date, timedelta
from pathlib import Path

import duckdb

from orchestration.settings import ROOT
from tests.pipeline import RUN, environment

FIRST = date(2026, 3, 1)
ROLLUP = "intermediate.int_user_orders_daily"


def run(folder: Path, day: int) -> subprocess.CompletedProcess[str]:
    """Run the pipeline for a day with one more order of it."""
    as_of = FIRST + timedelta(days=day)
    order = {"order_id": f"o{day}", "user_id": f"u{day}", "ordered_at": f"{as_of}T10:00:00Z", "gross_amount": "10"}
    orders = folder / "landing" / "orders"
    orders.mkdir(parents=True, exist_ok=True)
    (orders / f"{as_of}.jsonl").write_text(json.dumps(order) + "\n", encoding="utf-8")
    return subprocess.run(
        RUN,
        cwd=ROOT,
        env=environment(folder / "landing", folder / "data", as_of),
        capture_output=True,
        text=True,
        check=False,
    )


def check_of_orders(folder: Path) -> str:
    """The query of the check of the rollup's key, as the last run put it."""
    (file,) = (folder / "data" / "warehouse" / "dbt" / "run").rglob("unique_key_int_user_orders_dai*.sql")
    return file.read_text(encoding="utf-8")


def test_keys_are_checked_where_they_may_have_changed(tmp_path: Path) -> None:
    first = run(tmp_path, 0)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "touched_user_orders" not in check_of_orders(tmp_path)
    second = run(tmp_path, 1)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "touched_user_orders" in check_of_orders(tmp_path)
    # what a run leaves that dies before its checks: a rollup with a later load than the last that was checked
    with duckdb.connect(str(tmp_path / "data" / "warehouse" / "working.duckdb")) as con:
        con.execute(f"insert into {ROLLUP} from {ROLLUP} where user_id = 'u0'")
        con.execute("update control.checked_models set load_id = load_id - 1")
    third = run(tmp_path, 2)
    assert third.returncode != 0
    assert "unique_key_int_user_orders_dai" in third.stdout + third.stderr
    assert "touched_user_orders" not in check_of_orders(tmp_path)
