"""Addresses, consent and suppression; the segment family reachability.

Worlds keep to one address row a user and channel (in any number of versions), for channels without a fallback to the
profile, and to phone numbers in their international form: which of several addresses is used is tested elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from .as_of import AsOf
from .contacts import is_hard_bounce
from .versions import by_key, deduplicated, version_as_of, versions_as_of
from .world import Row


def normalised(kind: str, address: str | None) -> str | None:
    """What makes two addresses the same; None: it can't be used."""
    if address is None:
        return None
    if kind == "email":
        return address.strip().lower() if re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", address.strip()) else None
    if kind == "phone":
        return address if re.fullmatch(r"\+[0-9]{8,15}", address) else None
    return address


def _profile_address(now: AsOf, channel: str, profile: Row | None) -> str | None:
    kind = now.world.channels[channel].address_kind
    return normalised(kind, profile.get(kind)) if profile is not None and kind in ("email", "phone") else None


def _is_invalid(now: AsOf, row: Row) -> bool:
    """Whether a row of addresses is invalid, by itself or by an uninstall that no newer row has followed."""
    if (row.get("status") or "active") == "invalid":
        return True
    if not now.world.channels[row["channel"]].invalidated_by_uninstall:
        return False
    uninstalls = [event["timestamp"] for event in now.events(row["user_id"], "uninstall")]
    return any(time >= row["updated_at"] or not now.is_by(row["updated_at"]) for time in uninstalls)


def all_addresses(now: AsOf) -> dict[tuple[str, str], set[str]]:
    """By user and channel every address that the user answers for, usable or not."""
    found: dict[tuple[str, str], set[str]] = {}
    for row in versions_as_of(now.world, "addresses", now.day):
        found.setdefault((row["user_id"], row["channel"]), set()).add(row["address"])
    for user, profile in now.profiles.items():
        for channel in now.world.channels:
            address = _profile_address(now, channel, profile)
            if address is not None:
                found.setdefault((user, channel), set()).add(address)
    for user in now.users:
        for channel, meaning in now.world.channels.items():
            if meaning.address_kind == "user_id":
                found[user, channel] = {user}
    return found


def usable_addresses(now: AsOf) -> dict[tuple[str, str], str]:
    """By user and channel the address that is used."""
    invalid = {
        (row["user_id"], row["channel"])
        for row in versions_as_of(now.world, "addresses", now.day)
        if _is_invalid(now, row)
    }
    return {key: min(addresses) for key, addresses in all_addresses(now).items() if key not in invalid}


def _address_sent_to(now: AsOf, user: str, channel: str, sent_at: datetime) -> str | None:
    """The address that a message went to, by what was known on the date of sending.

    An address that became invalid on that very date may have done so by this message.
    """
    kind = now.world.channels[channel].address_kind
    sent_on = now.world.date_of(sent_at)
    if kind == "user_id":
        return user
    if kind in ("email", "phone"):
        versions = [row for row in now.world.users if row["user_id"] == user]
        profile = version_as_of(now.world, "users", versions, sent_on) if versions else None
        return _profile_address(now, channel, profile)
    for rows in by_key("addresses", now.world.addresses).values():
        if (rows[0]["user_id"], rows[0]["channel"]) == (user, channel):
            for day in (sent_on, sent_on - timedelta(days=1)):
                if (version_as_of(now.world, "addresses", rows, day).get("status") or "active") == "active":
                    return str(rows[0]["address"])
    return None


@dataclass(frozen=True)
class Permission:
    """What stands between a known user and a channel."""

    address: str | None
    has_consent: bool
    is_suppressed: bool
    #: Whether the address has bounced hard, which stops messages of every class.
    has_bounced: bool

    @property
    def may_be_contacted(self) -> bool:
        """Whether nothing does."""
        return self.address is not None and self.has_consent and not self.is_suppressed


def permissions(now: AsOf) -> dict[tuple[str, str], Permission]:
    """By known user and channel.

    A person is an address: whatever one user forbids holds for everybody whose address that user has, too.
    """
    usable, everybodys = now.once(usable_addresses), now.once(all_addresses)
    granted: dict[tuple[str, str], datetime] = {}
    withdrawn: dict[tuple[str, str], list[datetime]] = {}
    for row in versions_as_of(now.world, "consents", now.day):
        key = (row["user_id"], row["channel"])
        if now.is_by(row["occurred_at"]) and row["status"] == "granted":
            granted[key] = max(row["occurred_at"], granted.get(key, row["occurred_at"]))
        elif now.is_by(row["occurred_at"]):
            withdrawn.setdefault(key, []).append(row["occurred_at"])
    unsubscribed: dict[tuple[str, str], list[datetime]] = {}
    complained: set[tuple[str, str]] = set()
    bounced: set[tuple[str, str]] = set()
    # what protects people counts even where the message is dated after it
    for message in deduplicated(now.world, "messages"):
        key = (message["user_id"], message["channel"])
        for event in now.events_of(message["message_id"]):
            if event["event"] == "unsubscribed":
                unsubscribed.setdefault(key, []).append(event["occurred_at"])
            elif event["event"] == "complained":
                complained.add(key)
            elif is_hard_bounce(event):
                address = _address_sent_to(now, *key, message["sent_at"])
                if address is not None:
                    bounced.add((message["channel"], address))

    def permission(user: str, channel: str) -> Permission:
        address = usable.get((user, channel))
        people = {who for (who, where), held in everybodys.items() if where == channel and address in held} | {user}
        grant = granted.get((user, channel))
        noes = [time for who in people for time in withdrawn.get((who, channel), ())]
        stops = [time for who in people for time in unsubscribed.get((who, channel), ())]
        if grant is None:
            has_consent = not noes and not now.world.channels[channel].needs_consent
        else:
            has_consent = all(grant > time for time in noes)
        has_bounced = (channel, address) in bounced
        is_suppressed = (
            any((who, channel) in complained for who in people)
            or has_bounced
            or any(grant is None or grant <= time for time in stops)
        )
        return Permission(address, has_consent, is_suppressed, has_bounced)

    return {(user, channel): permission(user, channel) for user in now.users for channel in now.world.channels}


def reachable_channels(now: AsOf) -> dict[str, list[str]]:
    """The channels on which each known user may be contacted, sorted."""
    found = now.once(permissions)
    return {
        user: [channel for channel in sorted(now.world.channels) if found[user, channel].may_be_contacted]
        for user in now.users
    }


def reachability(now: AsOf) -> dict[str, dict[str, object]]:
    """On how many channels somebody can be reached, with the list of them."""
    rows: dict[str, dict[str, object]] = {}
    for user, channels in reachable_channels(now).items():
        segment = "multi_channel" if len(channels) > 1 else f"{channels[0]}_only" if channels else "unreachable"
        rows[user] = {"segment": segment, "channels": "|".join(channels) or None}
    return rows
