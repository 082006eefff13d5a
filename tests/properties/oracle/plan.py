"""The plan: who is contacted, and why the others are not (rules, section 7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from .as_of import AsOf
from .candidates import Candidate, candidate_channels, candidates
from .eligibility import latest_reason
from .headroom import answers_for, rooms
from .ledger import carried_contacts

#: A row of contact_plan or contact_suppressions: user, campaign, audience.
Key = tuple[str, str, str]
Choice = tuple[Candidate, str]


def carried_on(now: AsOf, user: str) -> Counter[str]:
    """How many contacts were carried to a user for the plan date, by channel and in ``all``."""
    channels = [planned["channel"] for planned in carried_contacts(now, user)]
    for (who, where), others in now.once(answers_for).items():
        if who == user:
            channels += [p["channel"] for o in others for p in carried_contacts(now, o) if p["channel"] == where]
    return Counter([*channels, *("all" for _ in channels)])


def limit(now: AsOf, user: str, channel: str) -> int | None:
    """How many contacts a user may get on the plan date on a channel, or in ``all``; None: there is no limit."""
    headroom = now.once(rooms)[user, channel].headroom
    if now.world.channel_gaps.get(channel, 0) >= 1:
        return 1 if headroom is None else min(headroom, 1)
    return headroom


def _counts(now: AsOf, choice: Choice) -> bool:
    candidate, channel = choice
    return candidate.holdout_kind is None and now.world.channels[channel].counts


def _carried_in_vain(now: AsOf, user: str, picks: Iterable[Choice]) -> Counter[str]:
    """What was carried, counts as a contact and is not among the picks, by channel and in ``all``."""
    kept = [channel for candidate, channel in picks if candidate.carried_channel is not None]
    return carried_on(now, user) - Counter([*kept, *("all" for _ in kept)])


def _marketing(now: AsOf, user: str, own: list[Candidate]) -> dict[Key, Choice]:
    """The choices for one user, in order of value.

    Who is held out is tried as if what was carried of less value were not there yet: a plan that is built again after
    its list was carried holds out the same people.
    """
    channels = now.once(candidate_channels)
    chosen: dict[Key, Choice] = {}

    def rest(bound: str, candidate: Candidate | None) -> int | None:
        """What is left of a channel, or in all; before a candidate only, if one is given."""
        most = limit(now, user, bound)
        if most is None:
            return None
        picks = [choice for choice in chosen.values() if _counts(now, choice)]
        used = [choice for choice in picks if candidate is None or choice[0].rank < candidate.rank]
        on_it = sum(bound in ("all", channel) for _, channel in used)
        return most - _carried_in_vain(now, user, picks)[bound] - on_it

    for candidate in own:
        if candidate.carried_channel is not None:
            for channel, reason in channels[candidate.key]:
                bounds = ((limit(now, user, bound), carried_on(now, user)[bound]) for bound in (channel, "all"))
                if reason is None and all(most is None or number <= most for most, number in bounds):
                    chosen[candidate.key] = candidate, channel
    for candidate in own:
        if candidate.carried_channel is not None:
            continue
        before = candidate if candidate.holdout_kind is not None else None
        for channel, reason in channels[candidate.key]:
            rests = [rest(channel, before), rest("all", before)]
            if reason is None and all(left is None or left > 0 for left in rests):
                chosen[candidate.key] = candidate, channel
                break
    return chosen


def _service(now: AsOf, own: Iterable[Candidate]) -> dict[Key, Choice]:
    """Each on its first channel that a message of its class may take."""
    channels = now.once(candidate_channels)
    usable = {c.key: [channel for channel, reason in channels[c.key] if reason is None] for c in own}
    return {c.key: (c, usable[c.key][0]) for c in own if usable[c.key]}


def plan(now: AsOf) -> dict[Key, Choice]:
    """Every candidate that is planned, with its channel."""
    chosen: dict[Key, Choice] = {}
    left = sorted((c for c in now.once(candidates) if c.fall_out is None), key=lambda c: c.rank)
    for user in sorted({candidate.user_id for candidate in left}):
        own = [candidate for candidate in left if candidate.user_id == user]
        chosen |= _marketing(now, user, [c for c in own if c.message_class == "marketing"])
        chosen |= _service(now, [c for c in own if c.message_class != "marketing"])
    return chosen


def contact_plan(now: AsOf) -> dict[Key, dict[str, object]]:
    """The rows of contact_plan."""
    return {
        key: {
            "plan_date": now.plan_date,
            "channel": channel,
            "message_class": candidate.message_class,
            "variant": candidate.variant,
            "holdout_kind": candidate.holdout_kind,
            "value": candidate.value,
        }
        for key, (candidate, channel) in now.once(plan).items()
    }


def _outranked(now: AsOf, candidate: Candidate, eligible: set[str]) -> tuple[str, str | None]:
    """Who took the room of a candidate that has an eligible channel."""
    user = candidate.user_id
    picks = [
        choice
        for key, choice in now.once(plan).items()
        if key[0] == user and choice[0].message_class == "marketing" and _counts(now, choice)
    ]
    picks.sort(key=lambda choice: choice[0].rank)
    before = [choice for choice in picks if choice[0].rank < candidate.rank]
    gone = _carried_in_vain(now, user, picks)["all"]
    total = now.once(rooms)[user, "all"].headroom
    for those in (before, picks):
        on_them = [choice for choice in those if choice[1] in eligible]
        if total is not None and total - gone - len(those) <= 0:
            return "outranked_total", those[-1][0].campaign_id if those else None
        if on_them:
            return "outranked_channel", on_them[-1][0].campaign_id
    return "outranked_channel", None


def contact_suppressions(now: AsOf) -> dict[Key, dict[str, object]]:
    """The rows of contact_suppressions."""
    rows: dict[Key, dict[str, object]] = {}
    for candidate in now.once(candidates):
        if candidate.key in now.once(plan):
            continue
        reason, won_by = candidate.fall_out, None
        if reason is None:
            channels = now.once(candidate_channels)[candidate.key]
            eligible = {channel for channel, why in channels if why is None}
            if eligible:
                reason, won_by = _outranked(now, candidate, eligible)
            else:
                reason = latest_reason([why for _, why in channels if why is not None])
        rows[candidate.key] = {
            "plan_date": now.plan_date,
            "message_class": candidate.message_class,
            "reason": reason,
            "won_by_campaign_id": won_by,
            "value_forgone": candidate.value,
            "again_from": candidate.again_from,
        }
    return rows
