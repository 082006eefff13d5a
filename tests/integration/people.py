"""Small hand-made worlds: rows of a few people, on both sides of one date, and how they become landing files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from orchestration.activation.extracts import Extracts, write_extracts
from orchestration.warehouse.running_tests import current_tests
from tests import compiled_sql

AS_OF = date(2024, 6, 30)
PLAN_DATE = AS_OF + timedelta(days=1)
#: Times before the end of as_of, and after it.
T1, T2, T3 = "2024-02-01T10:00:00Z", "2024-03-01T10:00:00Z", "2024-04-01T10:00:00Z"
LATER, LATEST = "2024-07-01T10:00:00Z", "2024-07-01T12:00:00Z"


@dataclass(frozen=True)
class Row:
    """A row of a dataset, and the file it comes in. A % in its texts becomes the name of the case."""

    dataset: str
    values: dict[str, Any]
    file: str = "all.jsonl"


def user(user_id: str = "%a", **values: Any) -> Row:
    return Row("users", {"user_id": user_id, "email": f"{user_id}@example.org", "created_at": "2024-01-01", **values})


def granted(at: str = T1, channel: str = "email", user_id: str = "%a") -> Row:
    return Row("consents", {"user_id": user_id, "channel": channel, "status": "granted", "occurred_at": at})


def withdrawn(at: str = T2, channel: str = "email", user_id: str = "%a") -> Row:
    return Row("consents", {"user_id": user_id, "channel": channel, "status": "opt_out", "occurred_at": at})


def address(value: str, at: str, channel: str = "push", user_id: str = "%a", status: str = "active") -> Row:
    values = {"user_id": user_id, "channel": channel, "address": value, "status": status, "updated_at": at}
    return Row("addresses", values)


def uninstalled(at: str) -> Row:
    values = {"event_id": f"%-{at}", "user_id": "%a", "event": "Application Uninstalled", "timestamp": at}
    return Row("events", values)


def erased(at: str) -> Row:
    return Row("erasures", {"user_id": "%a", "requested_at": at})


def reacted(event: str, at: str, channel: str = "email", user_id: str = "%a", **values: Any) -> list[Row]:
    """A message that was sent an hour before, and what came back."""
    message_id = f"%-{user_id}-{channel}-{event}-{at}"
    sent_at = at.replace("T10:", "T09:")
    message = {"message_id": message_id, "user_id": user_id, "channel": channel, "sent_at": sent_at}
    reaction = {"event_id": message_id, "message_id": message_id, "event": event, "occurred_at": at, **values}
    return [Row("messages", message), Row("message_events", reaction)]


def bounced(at: str, channel: str = "email", user_id: str = "%a", bounce_type: str = "hard") -> list[Row]:
    return reacted("bounced", at, channel, user_id, bounce_type=bounce_type)


def unreadable_consent(file: str = "all.jsonl", **values: Any) -> Row:
    """A consent row that is rejected, of a user who can be read."""
    return Row(
        "consents", {"user_id": "%a", "channel": "email", "status": "perhaps", "occurred_at": T2, **values}, file
    )


def named(value: Any, case: str) -> Any:
    return value.replace("%", f"{case}.") if case and isinstance(value, str) else value


def write(landing: Path, rows: Iterable[Row | list[Row]], case: str = "") -> None:
    """Append rows to their files, as JSON lines."""
    for item in rows:
        for row in item if isinstance(item, list) else [item]:
            path = landing / row.dataset / named(row.file, case)
            path.parent.mkdir(parents=True, exist_ok=True)
            values = {key: named(value, case) for key, value in row.values.items()}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")


# what extracts are written from

#: What they read of a build, the plan apart.
EXTRACTED_MODELS = (
    "int_channel_permissions",
    "int_channel_vetoes",
    "int_universal_holdout",
    "user_segments",
    "segment_catalog",
    "do_not_contact",
    "send_hours",
)
#: Audiences of hand-made plans: one a message class.
CLASSES = {"sale": "marketing", "receipt": "transactional", "notice": "service"}
_tests = cache(current_tests)


@dataclass(frozen=True)
class Planned:
    """A row of a hand-made plan."""

    user_id: str
    audience: str = "sale"
    channel: str = "email"
    campaign_id: str | None = None
    variant: str | None = None
    holdout_kind: str | None = None
    message_class: str | None = None


def put_plan(world: compiled_sql.World, plan: Sequence[Planned], audiences: Sequence[str] = tuple(CLASSES)) -> None:
    """Put a plan where the models would make one: it can be one that they would not."""
    world.con.execute(
        "create or replace table build.marts.contact_plan(plan_date date, user_id varchar, campaign_id varchar, "
        "audience varchar, channel varchar, message_class varchar, variant varchar, holdout_kind varchar, "
        "value decimal(18, 2))"
    )
    world.con.execute("create or replace table build.marts.audience_catalog(audience varchar)")
    for audience in audiences:
        world.con.execute("insert into build.marts.audience_catalog values (?)", [audience])
    for row in plan:
        campaign_id, message_class = row.campaign_id or row.audience, row.message_class or CLASSES[row.audience]
        world.con.execute(
            "insert into build.marts.contact_plan values (?, ?, ?, ?, ?, ?, ?, ?, null)",
            [PLAN_DATE, row.user_id, campaign_id, row.audience, row.channel, message_class, row.variant]
            + [row.holdout_kind],
        )


def write_all(world: compiled_sql.World, data: Path, build: str = "a build") -> Extracts:
    """Write the extracts of a world into a data folder."""
    return write_extracts(world.con, data / "extracts", data / "planned_contacts", AS_OF, build, _tests())
