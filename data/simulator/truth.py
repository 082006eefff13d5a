"""The truth about a world, which no landing file says: written beside the data, in a folder that loading skips."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from typing import Any

import numpy as np

from data.simulator import catalogue
from data.simulator.files import Writer
from data.simulator.parameters import CHANNEL_NAMES, NEVER, Parameters
from data.simulator.people import APP, DEVICES, GONE, SECOND_WEB, WEB, spread
from data.simulator.relations import Relations, case, quoted
from data.simulator.shop import Shop
from data.simulator.tables import Table

TRUTH = "_truth"


def write_truth(shop: Shop, writer: Writer) -> None:
    """Write people, states and parameters as they are after the last day that the shop lived."""
    relations = Relations(shop.parameters, shop.names)
    writer.copy(f"{TRUTH}/people.parquet", people_table(shop), people_select(shop))
    writer.copy(f"{TRUTH}/states.parquet", states_table(shop), relations.states())
    path = writer.folder / TRUTH / "parameters.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(parameters_as_json(shop.parameters), indent=1) + "\n", encoding="utf-8")


def parameters_as_json(parameters: Parameters) -> dict[str, Any]:
    """Every parameter, and the tables that follow from them."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
        if isinstance(value, tuple):
            return [plain(entry) for entry in value]
        return value.isoformat() if isinstance(value, date) else value

    tables = {"growth": list(parameters.growth), "click_fatigue": list(parameters.click_fatigue)}
    return {**plain(parameters), "first_day": parameters.first_day.isoformat(), **tables}


def states_table(shop: Shop) -> Table:
    """Columns user, state, day: a row a change."""
    changes = shop.truth.states
    if not changes:
        return {name: np.zeros(0, dtype=np.int64) for name in ("user", "state", "day")}
    return {
        "user": np.concatenate([users for _, users, _ in changes]),
        "state": np.concatenate([states for _, _, states in changes]).astype(np.int64),
        "day": np.concatenate([np.full(len(users), day) for day, users, _ in changes]),
    }


def people_table(shop: Shop) -> Table:
    """A row a person, as codes and numbers."""
    people, parameters = shop.people, shop.parameters
    table: Table = {
        "user": np.arange(people.count),
        "kind": people.kind,
        "came_day": people.came_day,
        "seen_day": people.seen_day,
        "left_day": left_days(shop),
        "lost_day": shop.truth.lost_day,
        "favourite": people.favourite,
        "visit_rate": people.visit_rate,
        "buy_rate": people.buy_rate,
        "season": people.season,
        "basket": people.basket,
        "level": people.level,
        "sensitivity": spread(parameters.sensitivities, people.sensitivity),
        "platform": people.platform,
        "web_owner": people.web_owner,
        "has_second": (people.cookie_day[people.web_owner] < parameters.days).astype(np.int8),
        "mailbox": people.mailbox,
        "phone_owner": people.phone_owner,
        "phone": people.phone[people.phone_owner],
        "machine_opens": people.machine_opens,
        "mailbox_is_dead": people.mailbox_is_dead,
        "erasure_day": np.where(people.erasure_day >= np.maximum(people.came_day + 1, 0), people.erasure_day, NEVER),
    }
    for number, name in enumerate(CHANNEL_NAMES):
        table[f"taste_{name}"] = spread(parameters.tastes, people.tastes[number])
    return table


def left_days(shop: Shop) -> np.ndarray:
    """The day on which each person left for good; NEVER for the others."""
    days = np.full(shop.people.count, NEVER, dtype=np.int64)
    for day, users, states in shop.truth.states:
        days[users[states == GONE]] = day
    return days


def people_select(shop: Shop) -> str:
    """SQL for the people of the truth."""
    parameters = shop.parameters
    relations = Relations(parameters, shop.names)
    first = quoted(parameters.first_day.isoformat())

    def on(day: str) -> str:
        return f"case when {day} < {NEVER} then date {first} + {day}::integer end"

    tastes = ", ".join(f"taste_{name}" for name in CHANNEL_NAMES)
    web, second, app = (
        relations.device(f"({owner} * {DEVICES} + {device})")
        for owner, device in (("web_owner", WEB), ("web_owner", SECOND_WEB), ('"user"', APP))
    )
    return f"""select
        {relations.user()} as user_id,
        {case("kind", [kind.name for kind in parameters.kinds])} as kind,
        {on("came_day")} as came_on, {on("seen_day")} as first_seen_on, {on("left_day")} as left_on,
        {on("lost_day")} as lost_on, {on("erasure_day")} as erased_on,
        {case("favourite", catalogue.CATEGORIES)} as favourite_category,
        visit_rate, buy_rate, season as season_month,
        {case("basket", ("small", "usual", "large"))} as basket,
        level as list_level, sensitivity, {tastes},
        {case("platform", ("web", "ios", "android"))} as platform,
        machine_opens, mailbox_is_dead,
        list_filter(
            [{web}, case when has_second = 1 then {second} end, case when platform > 0 then {app} end],
            lambda v: v is not null
        ) as anonymous_ids,
        case when web_owner <> "user" then {relations.user("web_owner")} end as shares_device_with,
        case when mailbox <> "user" then {relations.user("mailbox")} end as shares_mailbox_with,
        case when phone_owner <> "user" then {relations.user("phone_owner")} end as shares_phone_with
        from rows order by "user" """
