"""The simulator gives the same bytes every time, its files are what the loader expects, and dirt is as ordered."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from data.simulator import dirt
from data.simulator.draws import Draws
from data.simulator.files import Format
from data.simulator.parameters import Parameters
from data.simulator.shop import Shop
from data.simulator.world import write_day, write_world
from orchestration.landing.contract import DATASETS
from orchestration.landing.keyed import HASHED_DATASETS
from orchestration.landing.load import LoadResult, LoadSettings, create_raw_schema, load_landing

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "data" / "sample"
_REASONS = "select dataset, reason, count(*) from raw.rejected_rows group by all"
SMALL = Parameters(users=250, days=33, seed=7)
#: Three months, so that all formats and ways to write a time occur.
CLEAN = Parameters(users=400, days=32, seed=9, last_day=date(2026, 3, 2), dirt=0)


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _seed(name: str) -> list[dict[str, str]]:
    with (ROOT / "dbt_project" / "seeds" / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Loaded:
    """A world's files, loaded by the real loader."""

    def __init__(self, landing: Path) -> None:
        self.con = duckdb.connect()
        create_raw_schema(self.con)
        settings = LoadSettings(
            channels=frozenset(row["channel"] for row in _seed("channels")),
            consent_statuses={row["synonym"]: row["status"] for row in _seed("consent_statuses")},
            settle_seconds=0,
        )
        self.result: LoadResult = load_landing(
            self.con, landing, settings, lambda: datetime(2030, 1, 1, tzinfo=UTC), lambda _: None
        )

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return self.con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small") / "one"
    write_world(SMALL, folder)
    return folder


@pytest.fixture(scope="module")
def loaded(small: Path) -> Loaded:
    return Loaded(small)


def test_another_process_with_other_threads_gives_the_same_bytes(small: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data.simulator", "--out", str(tmp_path / "two"), "--writers", "1"]
    for name in ("users", "days", "seed"):
        command += [f"--{name}", str(getattr(SMALL, name))]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True, env={"OMP_NUM_THREADS": "1"})
    assert _hashes(tmp_path / "two") == _hashes(small)


def test_another_seed_gives_other_bytes(small: Path, tmp_path: Path) -> None:
    write_world(replace(SMALL, seed=8), tmp_path)
    one, other = _hashes(small), _hashes(tmp_path)
    same = {name for name in one if one[name] == other.get(name)}
    assert all(name.startswith(("products/", "campaigns/")) for name in same)


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    short = replace(SMALL, users=100, days=10)
    write_world(replace(short, seed=2, days=14), tmp_path / "twice", "parquet", has_truth=False)
    write_world(short, tmp_path / "twice")
    write_world(short, tmp_path / "once")
    assert _hashes(tmp_path / "twice") == _hashes(tmp_path / "once")


def test_the_committed_sample_is_what_the_simulator_makes(tmp_path: Path) -> None:
    about = json.loads((SAMPLE / "_sample.json").read_text())
    parameters = Parameters(about["users"], about["days"], about["seed"], date.fromisoformat(about["as_of"]))
    assert parameters == Parameters()
    write_world(parameters, tmp_path)
    assert _hashes(tmp_path) == _hashes(SAMPLE)


def test_files_of_others_are_never_replaced(tmp_path: Path) -> None:
    real = tmp_path / "orders" / "orders.csv"
    real.parent.mkdir()
    real.write_text("order_id\n")
    with pytest.raises(FileExistsError, match="name another folder"):
        write_world(SMALL, tmp_path)
    assert real.exists()


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Counter[str], Loaded]]:
    """A world without dirt by format: the counts of its rows, and what the loader made of it."""
    worlds = {}
    formats: tuple[Format, ...] = ("mixed", "parquet")
    for format_ in formats:
        folder = tmp_path_factory.mktemp(format_)
        worlds[str(format_)] = write_world(CLEAN, folder, format_), Loaded(folder)
    return worlds


@pytest.mark.parametrize("format_", ["mixed", "parquet"])
def test_a_world_without_dirt_loads_whole(format_: str, clean: dict[str, tuple[Counter[str], Loaded]]) -> None:
    counts, loaded = clean[format_]
    assert loaded.result.unreadable == []
    for dataset, result in loaded.result.datasets.items():
        assert (result.rows_rejected, result.rows_duplicate, result.rows_superseded) == (0, 0, 0), dataset
        assert result.rows_read == counts[dataset], dataset
    assert set(loaded.result.datasets) >= set(DATASETS) - {"erasures"}
    assert loaded.rows("select count(*) from raw.bad_values") == [(0,)]
    assert loaded.rows("select count(*) from raw.unknown_columns") == [(0,)]
    assert loaded.rows("select count(*) from raw.phone_numbers where e164 is null") == [(0,)]
    assert loaded.rows("select count(*) from raw.phone_numbers")[0][0] > 100


def test_both_formats_hold_the_same_rows(clean: dict[str, tuple[Counter[str], Loaded]]) -> None:
    for dataset in DATASETS.values():
        # of erasures the user_id is hashed under a salt of the warehouse
        left_out = {"user_id"} if dataset.name in HASHED_DATASETS else set()
        names = ", ".join(f'"{name}"' for name in dataset.column_names if name not in left_out)
        one, two = (
            Counter(map(str, world.rows(f"select {names} from raw.{dataset.name}"))) for _, world in clean.values()
        )
        assert one == two, dataset.name


@pytest.mark.parametrize("format_", ["mixed", "parquet"])
def test_dirt_gives_every_reason_as_often_as_ordered(format_: Any, tmp_path: Path) -> None:
    parameters = Parameters(users=500, days=12, seed=6, dirt=300.0)
    counts = write_world(parameters, tmp_path, format_, has_truth=False)
    loaded = Loaded(tmp_path)
    expected: Counter[tuple[str, str]] = Counter()
    for dataset, reasons in dirt.REASONS.items():
        for reason in reasons:
            expected[dataset, reason] += dirt.kind_count(parameters, counts[dataset])
    assert expected["events", "missing_event"] > 5
    found = {(dataset, reason): count for dataset, reason, count in loaded.rows(_REASONS)}
    # broken lines are one a file; the first Parquet file holds rows without a key as well
    expected["events", "malformed_row"] = 1
    if format_ == "mixed":
        expected["orders", "malformed_row"] = 1
    elif ("orders", "malformed_row") in found:
        expected["orders", "malformed_row"] = found["orders", "malformed_row"]
    assert found.pop(("events", "missing_event_id")) > expected.pop(("events", "missing_event_id"))
    assert found == dict(expected)
    assert [reason for _, reason, _ in loaded.result.unreadable] == ["bad_gzip"]
    for dataset in dirt.DUPLICATED - {"products"}:
        ordered = counts[dataset] / dirt.duplicate_every(parameters)
        assert 0.7 * ordered <= loaded.result.datasets[dataset].rows_duplicate <= 1.3 * ordered + 10, dataset
    assert loaded.rows("select count(*) from raw.bad_values")[0][0] >= 5


def test_dirt_is_a_share_of_the_rows() -> None:
    assert dirt.kind_count(Parameters(dirt=0), 10**9) == 0
    assert dirt.kind_count(Parameters(), 1000) == 1
    assert dirt.kind_count(Parameters(), 10**7) == 10 * dirt.kind_count(Parameters(), 10**6) == 100
    assert dirt.duplicate_every(Parameters(dirt=0)) == 0


def test_nothing_blocks_extracts(loaded: Loaded) -> None:
    assert loaded.rows("select count(*) from raw.rejected_rows where dataset = 'erasures'") == [(0,)]
    assert loaded.rows(
        """select count(*) from raw.rejected_rows where dataset = 'consents' and content not like '%u1%'"""
    ) == [(0,)]
    assert {file for file, _, _ in loaded.result.unreadable} == {dirt.BROKEN_FILE}


def test_the_days_of_the_loop_hold_the_rows_of_the_files(tmp_path: Path) -> None:
    """Day by day, each day's files written as they arrive, is the same world."""
    parameters = replace(SMALL, dirt=0, days=5)
    write_world(parameters, tmp_path / "whole", "parquet", has_truth=False)
    shop = Shop(parameters)
    write_day(shop, shop.history, tmp_path / "days")
    for _ in range(parameters.days):
        paths = write_day(shop, shop.next_day(), tmp_path / "days")
        assert paths
    with pytest.raises(ValueError, match="only 5 days"):
        shop.next_day()
    with duckdb.connect() as connection:
        for dataset in DATASETS:
            files = [f"'{tmp_path / way / dataset}/**/*.parquet'" for way in ("whole", "days")]
            if (tmp_path / "whole" / dataset).exists():
                one, two = (Counter(map(str, connection.execute(f"from read_parquet({f})").fetchall())) for f in files)
                assert one == two, dataset


def test_the_truth_is_written_and_loading_leaves_it_alone(small: Path, loaded: Loaded) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"create view people as from '{small}/_truth/people.parquet'")
        connection.execute(f"create view states as from '{small}/_truth/states.parquet'")
        connection.execute(f"create view contacts as from '{small}/_truth/contacts/*.parquet'")
        one = connection.execute(
            "select count(*), count(distinct user_id), count(distinct kind) from people"
        ).fetchone()
        assert one == (SMALL.users, SMALL.users, len(SMALL.kinds))
        overlaps = connection.execute("""select count(*) from states where "to" <= "from"
            or "to" is distinct from (select min(b."from") from states b where b.user_id = states.user_id
            and b."from" > states."from")""").fetchone()
        assert overlaps == (0,)
        assert {state for (state,) in connection.execute("select distinct state from states").fetchall()} == {
            "awake", "asleep", "gone",
        }  # fmt: skip
        assert connection.execute("select count(*) > 100 and max(leave_chance) < 1 from contacts").fetchone() == (True,)
    said = json.loads((small / "_truth" / "parameters.json").read_text())
    assert said["growth"] == list(SMALL.growth) and said["users"] == SMALL.users and said["calendar"][1]["variants"]
    assert not any(file.startswith("_") for (file,) in loaded.rows("select file from raw.load_files"))


def test_draws_are_those_that_the_sample_was_made_with() -> None:
    draws = Draws(1, "pinned")
    assert draws.below(1000, 5).tolist() == [42, 480, 774, 535, 168]
    assert draws.choose([1, 0, 3], 6).tolist() == [0, 2, 2, 2, 2, 2]
    keyed = Draws(1, "pinned", 3).keyed(np.asarray([0, 1, 2, 10**12]))
    assert (keyed * 1000).astype(int).tolist() == [532, 622, 990, 775]


def test_draws_keep_to_their_bounds() -> None:
    draws = Draws(3, "bounds")
    assert set(draws.choose([2, 0, 1], 500).tolist()) == {0, 2}
    assert set(draws.below(np.asarray([1, 2] * 500), 1000).tolist()) == {0, 1}
    for luck in (draws.uniform(10_000), draws.keyed(np.arange(10_000))):
        assert (luck >= 0).all() and (luck < 1).all()
        assert np.abs(np.bincount((luck * 10).astype(int)) - 1000).max() < 150


def test_keyed_draws_do_not_depend_on_each_other() -> None:
    draws, again = Draws(3, "keys", 1), Draws(3, "keys", 1)
    assert draws.keyed(np.asarray([5, 6]))[1] == again.keyed(np.asarray([6]))[0]
    assert draws.keyed(np.asarray([6]))[0] != Draws(3, "keys", 2).keyed(np.asarray([6]))[0]
