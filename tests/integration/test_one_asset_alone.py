"""Somebody materialises one model alone in the UI: nothing that was loaded is lost to the runs after it."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests import compiled_sql

AS_OF = date(2026, 3, 1)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled")).only(["rfm", "fam_engagement"])


def put(landing: Path, dataset: str, name: str, *rows: dict[str, Any]) -> None:
    (landing / dataset).mkdir(parents=True, exist_ok=True)
    (landing / dataset / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def order(order_id: str, ordered_at: str) -> dict[str, Any]:
    return {"order_id": order_id, "user_id": "u", "ordered_at": ordered_at, "gross_amount": "10"}


def event(event_id: str, **more: str) -> dict[str, Any]:
    return {"event_id": event_id, "event": "page", "timestamp": "2026-02-01T10:00:00Z", **more}


@pytest.mark.parametrize(
    "alone", [["int_user_orders_daily"], ["touched_user_orders"], ["touched_user_orders", "int_user_orders_daily"]]
)
def test_a_late_order_is_not_lost(compiled: compiled_sql.Compiled, tmp_path: Path, alone: list[str]) -> None:
    world = compiled_sql.World(compiled)
    put(tmp_path, "orders", "a", order("o1", "2026-02-01"))
    world.load(tmp_path)
    world.build(AS_OF)
    put(tmp_path, "orders", "b", order("o2", "2026-02-10"))
    world.load(tmp_path)
    world.build(AS_OF, only=alone)
    world.build(AS_OF)
    assert [row["frequency"] for row in world.rows("rfm")] == [2]
    world.close()


@pytest.mark.parametrize("alone", [["int_identity_links"], ["int_user_activity_daily"], ["touched_user_activity"]])
def test_a_late_link_is_not_lost(compiled: compiled_sql.Compiled, tmp_path: Path, alone: list[str]) -> None:
    world = compiled_sql.World(compiled)
    put(tmp_path, "users", "a", {"user_id": "u"})
    put(tmp_path, "events", "a", event("e1", anonymous_id="device"))
    world.load(tmp_path)
    world.build(AS_OF)
    assert [row["segment"] for row in world.rows("fam_engagement")] == ["never_seen"]
    put(tmp_path, "identities", "a", {"anonymous_id": "device", "user_id": "u", "linked_at": "2026-02-02T00:00:00Z"})
    world.load(tmp_path)
    world.build(AS_OF, only=alone)
    world.build(AS_OF)
    assert [row["segment"] for row in world.rows("fam_engagement")] == ["one_time"]
    world.close()
