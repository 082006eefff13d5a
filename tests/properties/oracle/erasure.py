"""Erasures: rows of an erased user dated up to the latest request are not there, as of any date."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from typing import Any

from orchestration.landing.contract import DATASETS

from .world import Row, World


def without_erased(world: World) -> World:
    """The world without the rows that its erasures drop, and without parts of dropped orders and messages.

    Not to be applied twice: a dropped link no longer shows that a device was shared.
    """
    if not world.erasures:
        return world
    requested: dict[str, datetime] = {}
    for row in world.erasures:
        user = row["user_id"]
        requested[user] = max(row["requested_at"], requested.get(user, row["requested_at"]))

    linked: dict[str, set[str]] = defaultdict(set)
    for row in (*world.identities, *world.events):
        if row.get("anonymous_id") is not None and row.get("user_id") is not None:
            linked[row["anonymous_id"]].add(row["user_id"])

    def erased_user(row: Row) -> str | None:
        user: str | None = row.get("user_id")
        if user is None and len(users := linked.get(row.get("anonymous_id") or "", set())) == 1:
            (user,) = users
        return user if user in requested else None

    def is_dropped(dataset: str, row: Row) -> bool:
        column, user = DATASETS[dataset].erasure_time, erased_user(row)
        if column is None or user is None:
            return False
        happened = row.get(column)
        return happened is None or happened <= requested[user]

    kept: dict[str, Any] = {
        name: [row for row in world.rows(name) if not is_dropped(name, row)]
        for name, dataset in DATASETS.items()
        if dataset.erasure_time
    }
    for child, parent, key in (
        ("order_items", "orders", "order_id"),
        ("message_events", "messages", "message_id"),
    ):
        gone = {row[key] for row in world.rows(parent)} - {row[key] for row in kept[parent]}
        kept[child] = [row for row in world.rows(child) if row[key] not in gone]
    kept["planned_contacts"] = [
        row
        for row in world.planned_contacts
        if row["user_id"] not in requested or row["plan_date"] > world.date_of(requested[row["user_id"]])
    ]
    return replace(world, **kept)
