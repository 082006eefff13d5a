"""The test of the RFM map finds what is wrong with a map: gaps, overlaps, segments nobody can reach, unknown names."""

from __future__ import annotations

from typing import Any

import pytest

from orchestration.settings import seed_rows
from tests import compiled_sql

TEST = "rfm_map_covers_every_cell_once"
NUMBERS = ("r_min", "r_max", "f_min", "f_max", "m_min", "m_max", "fm_min", "fm_max")


def map_rows() -> list[dict[str, Any]]:
    return [
        {name: int(value) if name in NUMBERS and value else value or None for name, value in row.items()}
        for row in seed_rows("rfm_map")
    ]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))


def problems(compiled: compiled_sql.Compiled, rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    world = compiled_sql.World(compiled, {"rfm_map": rows})
    found = {(str(problem), str(place)) for problem, place in world.failures(TEST)}
    world.close()
    return found


def test_the_default_map_is_whole(compiled: compiled_sql.Compiled) -> None:
    assert problems(compiled, map_rows()) == set()


def test_a_gap_is_found_cell_by_cell(compiled: compiled_sql.Compiled) -> None:
    rows = [row for row in map_rows() if row["segment"] != "lost"]
    assert problems(compiled, rows) == {("gap", "R1 F1 M1")}


def test_an_overlap_is_found(compiled: compiled_sql.Compiled) -> None:
    rows = map_rows()
    for row in rows:
        if row["segment"] == "lost":
            row["r_max"] = 2
    assert problems(compiled, rows) == {("overlap", "R2 F1 M1")}


def test_a_segment_nobody_can_reach_is_found(compiled: compiled_sql.Compiled) -> None:
    never = {**dict.fromkeys(NUMBERS), "segment": "champions", "fm_min": 6, "fm_max": 6}
    assert problems(compiled, [*map_rows(), never]) == {("unreachable", "champions")}


def test_a_segment_without_a_catalogue_entry_is_found(compiled: compiled_sql.Compiled) -> None:
    rows = map_rows()
    for row in rows:
        if row["segment"] == "lost":
            row["segment"] = "forgotten"
    assert problems(compiled, rows) == {("unknown segment", "forgotten")}
