"""Any order, splitting and repetition of the same files ends in the tables of one full build, every row counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.landing import keeping
from tests import compiled_sql
from tests.properties.orders import AS_OF, WORLDS, Warehouse, try_round

#: ``python -m tests.properties.orders`` tries many more.
_ROUNDS = 1


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))


@pytest.mark.parametrize("number", range(_ROUNDS))
def test_any_order_ends_as_a_full_build(compiled: compiled_sql.Compiled, number: int, tmp_path: Path) -> None:
    assert try_round(compiled, number, tmp_path).orders == WORLDS


def test_a_loader_that_keeps_repeated_rows_is_found_out(
    compiled: compiled_sql.Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "drop_repeated", lambda *_: (0, 0))
    with pytest.raises(AssertionError, match="a full build has"):
        try_round(compiled, 0, tmp_path, worlds=2)


def test_events_of_a_device_go_with_its_link_from_what_was_built(
    compiled: compiled_sql.Compiled, tmp_path: Path
) -> None:
    """The link that says whose they were goes in the same load."""
    warehouse = Warehouse(compiled, tmp_path / "landing")
    event = {"event_id": "e", "anonymous_id": "device", "event": "page", "timestamp": "2024-06-03T00:00:00Z"}
    link = {"anonymous_id": "device", "user_id": "u", "linked_at": "2024-06-10T00:00:00Z"}
    warehouse.run([("events", "a", [event], "jsonl"), ("identities", "a", [link], "jsonl")], AS_OF, is_whole=False)
    assert len(warehouse.rows("int_user_activity_daily")) == 1
    erasure = {"user_id": "u", "requested_at": "2024-06-12T00:00:00Z"}
    warehouse.run([("erasures", "a", [erasure], "jsonl")], AS_OF, is_whole=False)
    assert not warehouse.rows("int_user_activity_daily")
    assert not warehouse.rows("int_sessions")
    warehouse.close()
