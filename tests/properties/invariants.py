"""What must always hold of a plan (design, section 11: 1 and 2), said without the rules that make one.

``plan`` are rows of contact_plan, ``segments`` the policy segment of each user. A world here is nothing but rows as
they were supplied, and policy: whoever has rows from elsewhere makes a World of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from tests.properties.oracle.erasure import without_erased
from tests.properties.oracle.known import known_users
from tests.properties.oracle.versions import deduplicated, versions_as_of
from tests.properties.oracle.world import Row, World

Plan = Sequence[Mapping[str, Any]]
#: What shows that a message arrived after a soft bounce.
_ARRIVED = {"delivered", "opened", "clicked", "read", "replied"}


def broken(plan: Plan, segments: Mapping[str, str], world: World, as_of: date) -> list[str]:
    """Every way in which the plan for the day after ``as_of`` breaks what must hold; empty if it keeps all of it."""
    facts = _Facts(world, as_of)
    return [
        *repeated(plan),
        *forbidden(plan, facts),
        *held_out(plan, world, facts.plan_date),
        *over_cap(plan, segments, facts),
    ]


class _Facts:
    """What is known by the end of a date, in the plainest form."""

    def __init__(self, world: World, as_of: date) -> None:
        self.world = without_erased(world)
        self.as_of = as_of
        self.plan_date = as_of + timedelta(days=1)
        self.known = known_users(self.world, as_of)
        self.events: dict[str, list[Row]] = {}
        for event in deduplicated(self.world, "message_events"):
            if self.happened(event["occurred_at"]):
                self.events.setdefault(event["message_id"], []).append(event)
        self.messages = deduplicated(self.world, "messages")
        self.profiles = {
            row["user_id"]: row
            for row in versions_as_of(self.world, "users", as_of)
            if self.happened(row.get("created_at"))
        }
        self.rows_of_addresses = versions_as_of(self.world, "addresses", as_of)

    def happened(self, moment: datetime | None) -> bool:
        return moment is None or self.day(moment) <= self.as_of

    def day(self, moment: datetime) -> date:
        return moment.astimezone(self.world.zone).date()

    def addresses(self, user: str, channel: str) -> set[str]:
        """Every address of a user on a channel, whether it works or not."""
        kind = self.world.channels[channel].address_kind
        if kind == "user_id":
            return {user}
        found = {r["address"] for r in self.rows_of_addresses if (r["user_id"], r["channel"]) == (user, channel)}
        if kind in ("email", "phone"):
            text = (self.profiles.get(user, {}).get(kind) or "").strip()
            found |= {text.lower()} if ("@" in text) == (kind == "email") and len(text) > 7 else set()
        return found

    def people(self, user: str, channel: str) -> set[str]:
        """The user, and whoever has one of the user's addresses of a channel."""
        own = self.addresses(user, channel)
        others = {row["user_id"] for row in (*self.profiles.values(), *self.rows_of_addresses)}
        return {user} | {other for other in others if own & self.addresses(other, channel)}

    def is_contact(self, message: Row) -> bool:
        if (message.get("message_class") or "marketing") != "marketing" or not self.happened(message["sent_at"]):
            return False
        events = self.events.get(message["message_id"], [])
        bounces = [e for e in events if e["event"] == "bounced"]
        if any(e["event"] == "failed" for e in events) or any(e.get("bounce_type") == "hard" for e in bounces):
            return False
        last = max((e["occurred_at"] for e in bounces), default=None)
        arrived = last is None or any(e["event"] in _ARRIVED and e["occurred_at"] > last for e in events)
        return arrived and self.world.channels[message["channel"]].counts

    def contacts(self) -> Iterator[tuple[str, str, date]]:
        """User, channel and date of each contact, sent or pending, up to the date."""
        logged = set()
        for message in self.messages:
            if self.happened(message["sent_at"]):
                day = self.day(message["sent_at"])
                what = (message["user_id"], message.get("campaign_id"), message["channel"])
                logged |= {(*what, day), (*what, day - timedelta(days=1))}
            if self.is_contact(message):
                yield message["user_id"], message["channel"], self.day(message["sent_at"])
        for row in self.world.planned_contacts:
            what = (row["user_id"], row["campaign_id"], row["channel"], row["plan_date"])
            waits = timedelta(0) <= self.as_of - row["plan_date"] <= timedelta(days=self.world.plan_grace_days)
            if waits and what not in logged and self.counts(row):
                yield row["user_id"], row["channel"], row["plan_date"]

    def counts(self, row: Mapping[str, Any]) -> bool:
        return row["message_class"] == "marketing" and self.world.channels[row["channel"]].counts


def _sent(plan: Plan) -> list[Mapping[str, Any]]:
    """The rows that go into a plan list."""
    return [row for row in plan if row["holdout_kind"] is None]


def repeated(plan: Plan) -> list[str]:
    """Whoever is in the plan twice for the same."""
    keys = [(row["user_id"], row["campaign_id"], row["audience"]) for row in plan]
    return [f"twice in the plan: {key}" for key in sorted(set(keys)) if keys.count(key) > 1]


def forbidden(plan: Plan, facts: _Facts) -> list[str]:
    """Who is in a plan list without address or consent, or erased, or suppressed."""
    found = []
    for row in _sent(plan):
        user, channel, is_marketing = row["user_id"], row["channel"], row["message_class"] == "marketing"
        meaning = facts.world.channels[channel]
        needs_consent = meaning.needs_consent if is_marketing else meaning.transactional_needs_consent
        people = facts.people(user, channel)
        what = f"{user} on {channel} by {row['campaign_id']}"
        if user not in facts.known:
            found.append(f"not known: {what}")
        if not facts.addresses(user, channel):
            found.append(f"no address: {what}")
        if is_marketing and user in facts.world.do_not_contact:
            found.append(f"on the list of whom not to contact: {what}")
        consents = [r for r in facts.world.consents if r["channel"] == channel and facts.happened(r["occurred_at"])]
        grants = [r["occurred_at"] for r in consents if r["user_id"] == user and r["status"] == "granted"]
        noes = [r["occurred_at"] for r in consents if r["user_id"] in people and r["status"] == "withdrawn"]
        if (needs_consent and not grants) or (
            (is_marketing or needs_consent) and noes and max(noes) >= max(grants, default=max(noes))
        ):
            found.append(f"no consent: {what}")
        for message in facts.messages:
            if message["channel"] != channel or message["user_id"] not in people:
                continue
            for event in facts.events.get(message["message_id"], []):
                is_old = bool(grants) and event["occurred_at"] < max(grants)
                if is_marketing and event["event"] == "complained":
                    found.append(f"complained: {what}")
                elif is_marketing and event["event"] == "unsubscribed" and not is_old:
                    found.append(f"unsubscribed: {what}")
                elif event.get("bounce_type") == "hard" and _is_as_it_was(facts, message, user):
                    found.append(f"bounced hard: {what}")
    return found


def _is_as_it_was(facts: _Facts, message: Row, user: str) -> bool:
    """Whether a message went to the address that the user has now: neither had ever another, nor was it invalid."""
    world, people = facts.world, {message["user_id"], user}
    own = {
        (r.get("email"), r.get("phone"), r.get("created_at")) for r in world.users if r["user_id"] == message["user_id"]
    }
    rows = [r for r in world.addresses if r["user_id"] in people and r["channel"] == message["channel"]]
    was_there = all(created is None or created <= message["sent_at"] for _, _, created in own)
    return len(own) <= 1 and was_there and all(r.get("status") != "invalid" for r in rows)


def _is_below(purpose: str, salt: str, user: str, share: Any) -> bool:
    first = hashlib.md5(f"{purpose}|{salt}|{user}".encode(), usedforsecurity=False).hexdigest()[:8]
    return int(first, 16) < share * 2**32


def held_out(plan: Plan, world: World, plan_date: date) -> list[str]:
    """Who is in a plan list though held out of its campaign, or of all."""
    found = []
    rows = sorted((row for row in world.universal_holdouts if row.valid_from <= plan_date), key=lambda r: r.valid_from)
    for row in _sent(plan):
        if row["message_class"] != "marketing":
            continue
        user, campaign = row["user_id"], row["campaign_id"]
        audience, setting = world.audiences[row["audience"]], world.campaign_settings.get(campaign)
        salt = audience.salt if setting is None or setting.salt is None else setting.salt
        is_own = setting is not None and setting.holdout_share is not None
        share = setting.holdout_share if is_own and setting is not None else audience.holdout_share
        if rows and _is_below("universal", rows[-1].salt, user, rows[-1].share):
            found.append(f"held out of everything: {user} by {campaign}")
        if _is_below(f"holdout:{campaign}", salt, user, share):
            found.append(f"held out: {user} by {campaign}")
    return found


def over_cap(plan: Plan, segments: Mapping[str, str], facts: _Facts) -> list[str]:
    """Whom the plan would bring over a cap, or contact within a gap, with all that was sent, pending or carried."""
    world, found = facts.world, []
    contacts = list(facts.contacts())
    mine = [row for row in _sent(plan) if facts.counts(row)]
    for user in sorted({row["user_id"] for row in mine}):
        planned = [row["channel"] for row in mine if row["user_id"] == user]
        again = {(row["campaign_id"], row["audience"], row["channel"]) for row in mine if row["user_id"] == user}
        gone = [
            row["channel"]
            for row in world.planned_contacts
            if (row["user_id"], row["plan_date"]) == (user, facts.plan_date)
            and facts.counts(row)
            and (row["campaign_id"], row["audience"], row["channel"]) not in again
        ]
        days = [(channel, day) for who, channel, day in contacts if who == user]
        for channel in set(planned):
            sharers = _sharers(facts, user, channel) - {user}
            days += [(where, day) for who, where, day in contacts if who in sharers and where == channel]
        days += [(channel, facts.plan_date) for channel in (*planned, *gone)]
        extra = _extra_contacts(user, segments[user], world, facts.plan_date)
        found += [
            f"{user}: {text}" for text in _exceeded(days, set(planned), segments[user], world, facts.plan_date, extra)
        ]
        for channel in set(planned):
            gap = world.channel_gaps.get(channel, 0)
            before = [day for where, day in days if where == channel and day < facts.plan_date]
            if before and (facts.plan_date - max(before)).days < gap:
                found.append(f"{user}: {channel} within its gap of {gap} days")
            if gap >= 1 and (planned + gone).count(channel) > 1:
                found.append(f"{user}: {channel} twice on a day in spite of its gap")
    return found


def _sharers(facts: _Facts, user: str, channel: str) -> set[str]:
    """Known users whose only address on a channel is the user's."""
    own = facts.addresses(user, channel)
    return {other for other in facts.known if facts.addresses(other, channel) == own and _works(facts, other, channel)}


def _works(facts: _Facts, user: str, channel: str) -> bool:
    """Whether no row says that the address is invalid."""
    return not any(
        (row["user_id"], row["channel"], row.get("status")) == (user, channel, "invalid")
        for row in facts.world.addresses
    ) and not any(
        "uninstall" in event["event"].lower() and (event.get("user_id") in (None, user)) for event in facts.world.events
    )


def _extra_contacts(user: str, segment: str, world: World, plan_date: date) -> int:
    """What the arm of a dose test adds to the caps of a user: 1, 0 or -1."""
    rows = sorted((row for row in world.dose_arms if row.valid_from <= plan_date), key=lambda row: row.valid_from)
    if not rows or segment == "fatigued":
        return 0
    if _is_below("dose", rows[-1].salt, user, rows[-1].share):
        return -1
    return int(_is_below("dose", rows[-1].salt, user, 2 * rows[-1].share))


def _exceeded(
    days: Iterable[tuple[str, date]], channels: set[str], segment: str, world: World, plan_date: date, extra: int
) -> Iterator[str]:
    days = list(days)
    for cap in world.contact_policy:
        if cap.policy_segment not in ("*", segment) or cap.channel not in (*channels, "all"):
            continue
        since = plan_date - timedelta(days=cap.window_days - 1)
        number = sum(day >= since and cap.channel in ("all", channel) for channel, day in days)
        # no arm makes a cap of 0 or lifts one
        most = max(cap.max_contacts + extra, 1) if cap.max_contacts else 0
        if number > most:
            yield f"{number} contacts in {cap.window_days} days on {cap.channel}, at most {most}"
