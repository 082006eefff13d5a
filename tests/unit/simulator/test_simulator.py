"""The simulator gives the same bytes every time, and the committed sample is what it gives."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from data.simulator.__main__ import write_sample
from data.simulator.draws import Draws
from data.simulator.parameters import CHANNELS, Parameters
from data.simulator.people import make_people, people_tables

SAMPLE = Path(__file__).parents[3] / "data" / "sample"
SMALL = Parameters(users=150, days=40, seed=7)


def _hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_same_options_give_the_same_bytes(tmp_path: Path) -> None:
    write_sample(SMALL, tmp_path / "one")
    write_sample(SMALL, tmp_path / "two")
    assert _hashes(tmp_path / "one") == _hashes(tmp_path / "two")


def test_a_second_run_replaces_the_first(tmp_path: Path) -> None:
    write_sample(Parameters(users=150, days=70, seed=2), tmp_path / "twice")
    write_sample(SMALL, tmp_path / "twice")
    write_sample(SMALL, tmp_path / "once")
    assert _hashes(tmp_path / "twice") == _hashes(tmp_path / "once")


def test_the_committed_sample_is_what_the_simulator_makes(tmp_path: Path) -> None:
    about = json.loads((SAMPLE / "_sample.json").read_text())
    parameters = Parameters(about["users"], about["days"], about["seed"], date.fromisoformat(about["as_of"]))
    write_sample(parameters, tmp_path)
    assert _hashes(tmp_path) == _hashes(SAMPLE)


def test_files_of_others_are_never_replaced(tmp_path: Path) -> None:
    real = tmp_path / "orders" / "orders.csv"
    real.parent.mkdir()
    real.write_text("order_id\n")
    with pytest.raises(FileExistsError, match="name another folder"):
        write_sample(SMALL, tmp_path)
    assert real.exists()


def test_draws_are_those_that_the_sample_was_made_with() -> None:
    draws = Draws(1, "pinned")
    assert draws.below(1000, 5).tolist() == [42, 480, 774, 535, 168]
    assert draws.choose([1, 0, 3], 6).tolist() == [0, 2, 2, 2, 2, 2]


def test_draws_keep_to_their_bounds() -> None:
    draws = Draws(3, "bounds")
    assert set(draws.choose([2, 0, 1], 500).tolist()) == {0, 2}
    assert set(draws.below(np.asarray([1, 2] * 500), 1000).tolist()) == {0, 1}
    assert ((luck := draws.uniform(1000)) >= 0).all() and (luck < 1).all()


def test_people_are_fictional_and_reachable_in_many_ways() -> None:
    people = make_people(SMALL)
    tables = people_tables(SMALL, people)
    users = [record for _, record in tables["users"] if isinstance(record, dict)]
    domains = {user["email"].lower().split("@")[1] for user in users if "email" in user}
    assert domains == {"example.com", "example.org", "example.net"}
    assert people.reachable.shape == (len(CHANNELS), SMALL.users)
    assert len(tables["erasures"]) == 3
