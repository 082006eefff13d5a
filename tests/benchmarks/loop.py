"""The plan in the loop beside the same campaigns sent to everybody who matches, over some months of a simulated shop.

Each arm is the same shop with the same people, seed and history; what people do by themselves is the same in all.
``everybody`` gets every campaign on every day on which he or she matches; with ``repeats`` not before the campaign's
own rule allows it again. A last arm goes on with the shop's own calendar, which has other campaigns.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from data.simulator.messages import BY_COMPLAINT, BY_SWITCH, BY_UNSUBSCRIBE
from data.simulator.parameters import CHANNEL, Parameters
from data.simulator.shop import Shop
from orchestration.warehouse.planned import COLUMNS
from tests import compiled_sql
from tests.loop import THE_PLAN, Loop

#: Days of the shop's own calendar before all arms.
HISTORY = 60
#: Logs come up to so many days late; in these days nothing more is sent.
_TAIL = 3
_MODELS = ("contact_plan", "int_campaigns", "int_channel_permissions", "int_user_orders_daily", "fam_reachability")
#: Every candidate but those of these fall-outs, on the first channel of the campaign's order that is allowed.
_EVERYBODY = f"""
    with options as (
        select
            candidates.*,
            unnest(string_split(campaigns.channels, '|')) as channel,
            generate_subscripts(string_split(campaigns.channels, '|'), 1) as place
        from build.intermediate.int_candidates as candidates
        inner join build.intermediate.int_campaigns as campaigns using (audience, campaign_id)
        where candidates.message_class = 'marketing' and coalesce(candidates.fall_out, '') not in ({{fall_outs}})
    ),

    chosen as (
        select date '{{plan_date}}' as plan_date, options.*
        from options
        inner join working.intermediate.int_channel_permissions as permissions using (user_id, channel)
        where permissions.has_consent and not permissions.is_suppressed
        qualify row_number() over (partition by user_id, audience, campaign_id order by place) = 1
    )

    select {", ".join(COLUMNS)} from chosen
    union all by name
    {THE_PLAN} and message_class <> 'marketing'
"""
#: Channels with a line of their own.
_CHANNELS = ("email", "push", "web_push", "sms")
_REACHABLE = "select user_id from build.families.fam_reachability where segment not in ('unreachable', 'in_app_only')"
_NOT_RUNNING = "'erased', 'campaign_inactive'"
#: Name of an arm, and what its lists carry; None: it has none, and sends the calendar.
_ARMS = {
    "the plan": THE_PLAN,
    "everybody": _EVERYBODY.replace("{fall_outs}", _NOT_RUNNING),
    "repeats": _EVERYBODY.replace("{fall_outs}", f"{_NOT_RUNNING}, 'already_sent', 'over_audience_limit'"),
    "calendar": None,
}


@dataclass(frozen=True)
class _Measure:
    """One line of the table: ``places`` are those behind the point."""

    what: str
    unit: str
    of: Callable[[Mapping[str, float]], float]
    places: int = 0


def _fact(name: str) -> Callable[[Mapping[str, float]], float]:
    return lambda facts: facts[name]


def _by_users(name: str) -> Callable[[Mapping[str, float]], float]:
    return lambda facts: 1000 * facts[name] / facts["users"]


_MEASURES = (
    _Measure("people known at the end", "people", lambda f: f["users"]),
    _Measure("marketing messages sent", "messages", lambda f: f["messages"]),
    _Measure("messages a person", "messages", lambda f: f["messages"] / f["users"], 1),
    _Measure("messages that are more than 2 of a person in 7 days", "messages", lambda f: f["tiring"]),
    *(_Measure(f"  arrived by {name}", "messages", _fact(f"by_{name}")) for name in _CHANNELS),
    _Measure("  arrived by other channels", "messages", _fact("by_others")),
    _Measure("days on which somebody had one on a channel", "days", lambda f: f["days"]),
    _Measure("unsubscribes, of 1,000 people", "", _by_users("unsubscribes"), 1),
    _Measure("complaints, of 1,000 people", "", _by_users("complaints"), 1),
    _Measure("push or the like switched off, of 1,000 people", "", _by_users("switched_off"), 1),
    _Measure("  of these the app removed, of 1,000 people", "", _by_users("removed_app"), 1),
    _Measure("channels left in all, of 1,000 people", "", _by_users("left"), 1),
    _Measure("  expected by the simulator's chances", "", _by_users("expected_to_leave"), 1),
    _Measure("  expected, of 1,000 such days", "", lambda f: 1000 * f["expected_to_leave"] / f["days"], 2),
    _Measure("people who left a channel, of 1,000", "", _by_users("leavers"), 1),
    _Measure("channels left, of 1,000 messages", "", lambda f: 1000 * f["left"] / f["messages"], 2),
    _Measure("messages clicked", "messages", lambda f: f["clicks"]),
    _Measure("clicks, of 1,000 messages", "", lambda f: 1000 * f["clicks"] / f["messages"], 1),
    _Measure("orders", "orders", lambda f: f["orders"]),
    _Measure("  of these by a visit that a message led to", "orders", lambda f: f["caused_orders"]),
    _Measure("revenue, net", "EUR", lambda f: f["revenue"]),
    _Measure("people reachable at the start", "people", lambda f: f["reachable_before"]),
    _Measure("  of these still at the end", "people", lambda f: f["still_reachable"]),
    _Measure("people reachable at the end, new ones too", "people", lambda f: f["reachable_after"]),
    _Measure("channels open at the start", "channels", lambda f: f["open_before"]),
    _Measure("channels open at the end, of new people too", "channels", lambda f: f["open_after"]),
    _Measure("people who lost their last channel to messages (truth)", "people", lambda f: f["lost"]),
    _Measure("seconds", "s", lambda f: f["seconds"]),
)


def plan_in_the_loop(folder: Path, users: int, days: int, seed: int, others: float) -> list[tuple[str, float, str]]:
    """Return each measure of each arm. ``others``: the share of the calendar that another team sends in any case."""
    compiled = compiled_sql.compile_project(folder / "compiled").only(_MODELS)
    parameters = Parameters(users=users, days=HISTORY + days + _TAIL, seed=seed, others=others)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        running = {arm: pool.submit(_live, compiled, parameters, folder, arm) for arm in _ARMS}
        facts = {arm: future.result() for arm, future in running.items()}
    return [
        (f"{measure.what}: {arm}", round(measure.of(of_arm), measure.places), measure.unit)
        for measure in _MEASURES
        for arm, of_arm in facts.items()
    ]


def table(rows: list[tuple[str, float, str]]) -> str:
    """Return the measures as a table with a column an arm, and the difference of the first two."""
    values = {what: value for what, value, _ in rows}
    first, second, *_ = _ARMS
    lines = [f"{'':<56}" + "".join(f"{arm:>12}" for arm in _ARMS) + f"{f'{first} - {second}':>22}"]
    for measure in _MEASURES:
        of_arms = [values[f"{measure.what}: {arm}"] for arm in _ARMS]
        plan, other = of_arms[:2]
        share = f"{plan / other - 1:+.0%}" if other else ""
        shown = "".join(f"{value:>12,.{measure.places}f}" for value in of_arms)
        lines.append(f"{measure.what:<56}{shown}{plan - other:>+14,.{measure.places}f}{share:>8}")
    return "\n".join(lines)


def _live(compiled: compiled_sql.Compiled, parameters: Parameters, folder: Path, arm: str) -> dict[str, float]:
    """Live all days of an arm, and return what came of it."""
    started = time.perf_counter()
    days = parameters.days - HISTORY - _TAIL
    shop, world, lists = Shop(parameters), compiled_sql.World(compiled), _ARMS[arm]
    own = folder / arm.replace(" ", "_")
    own.mkdir()
    loop = Loop(shop, world, own)
    loop.begin(HISTORY)
    shop.truth.take_contacts()
    first = loop.build()
    world.con.execute(f"create temp table reachable_before as {_REACHABLE}")
    facts = {f"{name}_before": value for name, value in _reach(world).items()}
    for number in range(1, days + 1):
        if lists is not None:
            plan_date = loop.build() if number > 1 else first
            loop.carry(lists.format(plan_date=plan_date.isoformat()))
        last = loop.live(by_calendar=lists is None)
        if number % 10 == 0 or number == days:
            spent = time.perf_counter() - started
            print(f"{arm}: day {number} of {days}, {spent:,.0f} s", file=sys.stderr, flush=True)
    loop.build()
    facts |= {f"{name}_after": value for name, value in _reach(world).items()}
    facts |= _orders(world, first, last)
    lost_day = shop.truth.lost_day
    facts["lost"] = int(((lost_day >= HISTORY) & (lost_day < HISTORY + days)).sum())
    facts |= _left(shop)
    for _ in range(_TAIL):
        loop.live()
    facts |= _messages(world, first, last)
    world.close()
    return {
        **facts,
        "users": facts["users_after"],
        "still_reachable": facts["still_reachable_after"],
        "seconds": time.perf_counter() - started,
    }


def _numbers(world: compiled_sql.World, sql: str, *values: object) -> list[float]:
    return [float(value or 0) for value in world.con.execute(sql, list(values)).fetchall()[0]]


def _reach(world: compiled_sql.World) -> dict[str, float]:
    """Who can be reached with something that is not only in the app, and all channels on which somebody can be."""
    (known,) = _numbers(world, "select count(*) from build.families.fam_reachability")
    reachable, still = _numbers(
        world,
        "select count(*), count(reachable_before.user_id) "
        f"from ({_REACHABLE}) as reachable left join reachable_before using (user_id)",
    )
    (open_,) = _numbers(
        world,
        "select count(*) from working.intermediate.int_channel_permissions "
        "where has_consent and not is_suppressed and channel <> 'in_app'",
    )
    return {"users": known, "reachable": reachable, "still_reachable": still, "open": open_}


def _orders(world: compiled_sql.World, first: date, last: date) -> dict[str, float]:
    """Orders of the days that count, and their net revenue. Ids of orders that a message led to begin with q."""
    orders, revenue = _numbers(
        world,
        "select sum(orders), sum(net_revenue) from working.intermediate.int_user_orders_daily "
        "where order_date between ? and ? and known_date <= ?",
        first,
        last,
        last,
    )
    (caused,) = _numbers(
        world,
        "select count(distinct order_id) from raw.orders where order_id like 'q%' and ordered_at::date between ? and ?",
        first,
        last,
    )
    return {"orders": orders, "revenue": revenue, "caused_orders": caused}


def _left(shop: Shop) -> dict[str, float]:
    """What arrived, and who left a channel because of it, by the truth of the simulator."""
    contacts = shop.truth.take_contacts()
    way, chance = contacts["way"], contacts["chance"]
    is_gone = way > 0
    by_channel = {f"by_{name}": int((contacts["channel"] == CHANNEL[name]).sum()) for name in _CHANNELS}
    return {
        **by_channel,
        "by_others": len(way) - sum(by_channel.values()),
        # a day is listed with one of its messages
        "days": int((chance >= 0).sum()),
        "tiring": int((contacts["contacts"] > shop.parameters.free_contacts).sum()),
        "unsubscribes": int((way == BY_UNSUBSCRIBE).sum()),
        "complaints": int((way == BY_COMPLAINT).sum()),
        "switched_off": int((way == BY_SWITCH).sum()),
        "left": int(is_gone.sum()),
        "leavers": len(np.unique(contacts["user"][is_gone])),
        "expected_to_leave": float(chance[chance > 0].sum()),
    }


def _messages(world: compiled_sql.World, first: date, last: date) -> dict[str, float]:
    """Marketing messages sent on the days, those that people clicked, and apps removed because of one."""
    messages, clicks = _numbers(
        world,
        """
        select count(*), count(case when clicks.message_id is not null then 1 end)
        from raw.messages as messages
        left join (
            select distinct message_id from raw.message_events
            where event = 'clicked' and not coalesce(is_machine, false)
        ) as clicks using (message_id)
        where coalesce(message_class, 'marketing') = 'marketing' and sent_at::date between ? and ?
        """,
        first,
        last,
    )
    (removed,) = _numbers(
        world,
        "select count(*) from raw.events where event = 'Application Uninstalled' and event_id like 'c%' "
        "and timestamp::date between ? and ?",
        first,
        last,
    )
    return {"messages": messages, "clicks": clicks, "removed_app": removed}
