"""What is known of one user as a text that a person reads without help, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

from orchestration.explain.facts import Audience, Eligibility, Facts, Planned, Policy, Pressure, Segment, Suppression
from orchestration.explain.plain import plain
from orchestration.explain.reading import DAYS, policy_of, read_facts
from orchestration.explain.timeline import timeline
from orchestration.explain.words import (
    DECLARED,
    GROUPS,
    cap_use_in_words,
    count,
    ends_of,
    fall_out_of,
    free_from,
    listed,
    measures_of,
    rule_of,
    why_of,
)
from orchestration.settings import Settings

WIDTH = 100
#: A longer name gets a line of its own.
_MOST_OF_A_NAME = 30


def explain(settings: Settings, user_id: str, as_of: date | None = None, with_addresses: bool = False) -> str:
    """Read what is known of a user as of a date (None: that of the published file) and return it as a text.

    Raises BarometerError where the date was not built, nobody is known by the id, or the addresses can't be read.
    """
    return explanation(read_facts(settings, user_id, as_of, with_addresses), policy_of(settings))


def explanation(facts: Facts, policy: Policy) -> str:
    """Return the whole text."""
    title = f"User {plain(facts.user_id)} as of {facts.as_of}, with the plan of {facts.plan_date:%A} {facts.plan_date}"
    sections = [
        [*_wrapped("", title), "=" * min(len(title), WIDTH), *_in_short(facts, policy)],
        _section("Segments, and why", _segments(facts)),
        _section(f"Contacts of the last {DAYS} days", _contacts(facts, policy)),
        _section(f"Caps on {facts.next_date}{_whose_caps(facts)}", _caps(facts, policy)),
        _section(f"Channels for marketing on {facts.plan_date}", _channels(facts, policy)),
        _section(f"Campaigns on {facts.plan_date}", _campaigns(facts, policy)),
    ]
    if facts.addresses is not None:
        sections.append(_section("Addresses", _addresses(facts, policy)))
    return "\n\n".join("\n".join(lines) for lines in sections)


def _section(title: str, lines: Iterable[str]) -> list[str]:
    return [*_wrapped("", title), "-" * min(len(title), WIDTH), *lines]


def _row(cells: Sequence[tuple[str, int]], text: str) -> list[str]:
    """Return lines: cells of a width each, then the text, wrapped below itself. A cell that is too long goes first."""
    label = "  "
    for cell, width in cells:
        label += f"{cell:<{width}} "
        if len(cell) > width:
            # a line of its own, so that the columns stay columns
            indent = 2 + sum(width + 1 for _, width in cells)
            return [*_wrapped("  ", label.strip()), *(_wrapped(" " * indent, text) if text else [])]
    return _wrapped(label, text)


def _wrapped(label: str, text: str) -> list[str]:
    # dates hold hyphens
    lines = textwrap.wrap(text, WIDTH, initial_indent=label, subsequent_indent=" " * len(label), break_on_hyphens=False)
    return lines or [label.rstrip()]


# what comes first: may the user be contacted, and what will be


def _in_short(facts: Facts, policy: Policy) -> list[str]:
    lines: list[str] = []
    if not facts.is_final:
        lines += _wrapped("  ", f"Not final: {facts.as_of} was not over when this was built.")
    status = f"; status {plain(facts.pressure_status)}" if facts.pressure_status else ""
    lines += _row([("Pressure", 10)], _number_of_contacts(facts) + status)
    lines += _row([("Channels", 10)], _open_channels(facts, policy))
    sent = [plan for plan in facts.plan if plan.holdout_kind is None]
    held = [plan for plan in facts.plan if plan.holdout_kind is not None]
    planned = [f"{_campaign(plan.audience, plan.campaign_id)} on {plain(plan.channel)}" for plan in sent]
    if not planned:
        planned = [f"nothing: {_why_nothing(held, facts.suppressions)}"]
    return lines + _row([("Planned", 10)], listed(planned))


def _why_nothing(held: Sequence[Planned], suppressions: Sequence[Suppression]) -> str:
    if any(plan.holdout_kind == "universal" for plan in held):
        return "held out of all marketing, to measure what it brings (universal holdout)"
    if held:
        return f"held out of {_names(held)}, to measure what it brings"
    return f"left out of {_names(suppressions)}" if suppressions else "no campaign is meant for this user"


def _names(rows: Sequence[Planned] | Sequence[Suppression]) -> str:
    return listed([_campaign(row.audience, row.campaign_id) for row in rows])


def _number_of_contacts(facts: Facts) -> str:
    pressure = facts.pressure
    days = pressure.days_since_last_contact
    if days is None:
        return "never contacted"
    last = f"on {facts.as_of}" if days == 0 else f"{count(days, 'day')} ago"
    return f"{count(pressure.contacts_7d, 'contact')} in 7 days, {pressure.contacts_30d:,} in 30, the last {last}"


def _open_channels(facts: Facts, policy: Policy) -> str:
    if not facts.eligibility:
        return "not judged yet: the user was not known when the plan was made"
    open_ = [plain(row.channel) for row in _in_order(facts, policy) if row.is_eligible]
    if open_:
        return f"marketing may go out on {listed(open_)}"
    dates = [(day, row.channel) for row in _in_order(facts, policy) if (day := free_from(row, facts, policy))]
    if dates:
        first = min(day for day, _ in dates)
        names = [plain(channel) for day, channel in dates if day == first]
        return f"no marketing on {facts.plan_date}; from {first} on {listed(names)}"
    return f"no marketing on {facts.plan_date}, nor later unless something changes (see below)"


# segments


def _segments(facts: Facts) -> list[str]:
    left = {segment.family: segment for segment in facts.segments}
    declared = [left.pop(family) for family in DECLARED if family in left]
    lines = []
    for group, families in [*GROUPS.items(), ("Others", tuple(sorted(left.keys() - _grouped())))]:
        found = [left[family] for family in families if family in left]
        if found:
            lines += [f"{group}:", *(line for segment in found for line in _segment(segment, facts))]
    if declared:
        lines += ["Profile:", *_declared(declared)]
    return lines


def _grouped() -> set[str]:
    return {family for families in GROUPS.values() for family in families}


def _segment(segment: Segment, facts: Facts) -> list[str]:
    cells = [(plain(segment.family), 18), (plain(segment.segment), 18)]
    measures = measures_of(segment.family, facts)
    lines = _row(cells, rule_of(segment))
    return lines + (_wrapped(" " * 40, f"This user: {measures}") if measures else [])


def _declared(segments: Sequence[Segment]) -> list[str]:
    known = [f"{plain(s.family)} {plain(s.segment)}" for s in segments if s.segment != "unknown"]
    unknown = [plain(s.family) for s in segments if s.segment == "unknown"]
    return [
        *(_row([("known", 18)], ", ".join(known)) if known else []),
        *(_row([("unknown", 18)], ", ".join(unknown)) if unknown else []),
    ]


# contacts


def _contacts(facts: Facts, policy: Policy) -> list[str]:
    following: Counter[str] = Counter()
    for plan in facts.plan:
        if plan.holdout_kind is None and facts.plan_date == facts.next_date:
            following[plan.channel] += _uses_room(plan, facts, policy)
    lines = timeline(facts.messages, facts.planned_contacts, following, facts.as_of, DAYS, policy)
    if not lines:
        return ["  No message."]
    counted = [message.campaign_id for message in facts.messages if message.is_contact]
    counted += [contact.campaign_id for contact in facts.planned_contacts if contact.is_pending]
    campaigns = Counter(plain(campaign or "no campaign") for campaign in counted)
    by_number = sorted(campaigns.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{name} {number:,}" for name, number in by_number)
    return [*lines, *(["", *_wrapped("  Contacts by campaign: ", told)] if told else [])]


# caps


#: What an arm of the dose test makes of the caps.
_ARMS = {
    "low": ", each one lower (low arm of the dose test)",
    "high": ", each one higher (high arm of the dose test)",
}


def _whose_caps(facts: Facts) -> str:
    arm = "" if facts.policy_segment == "fatigued" else _ARMS.get(facts.dose_arm or "", "")
    return (f", as for {plain(facts.policy_segment)} users" if facts.policy_segment else "") + arm


def _caps(facts: Facts, policy: Policy) -> list[str]:
    channels = sorted(facts.pressure_by_channel, key=policy.in_order)
    used = Counter(plan.channel for plan in facts.plan if _uses_room(plan, facts, policy))
    rows = [("all channels", facts.pressure, used.total(), 0)]
    rows += [(plain(name), facts.pressure_by_channel[name], used[name], policy.gaps.get(name, 0)) for name in channels]
    lines = []
    for name, pressure, planned, gap in rows:
        words = [cap_use_in_words(pressure)]
        if planned and pressure.headroom is not None:
            words.append(f"the plan uses {planned}")
        if pressure.headroom == 0 and pressure.next_eligible_date is not None:
            words.append(f"room again from {pressure.next_eligible_date}")
        if gap:
            words.append(f"at least {count(gap, 'day')} apart")
        lines += _row([(name, 12), (_room(pressure), 15)], "; ".join(filter(None, words)))
    return lines


def _uses_room(plan: Planned, facts: Facts, policy: Policy) -> bool:
    is_marketing = plan.message_class == "marketing" and plan.holdout_kind is None
    return is_marketing and plan.channel in policy.counting and facts.plan_date == facts.next_date


def _room(pressure: Pressure) -> str:
    if pressure.headroom is None:
        return "no cap"
    if pressure.headroom > 0:
        return f"room for {pressure.headroom}"
    if pressure.next_eligible_date is None:
        return "none (cap 0)"
    return "used up"


# channels


def _in_order(facts: Facts, policy: Policy) -> list[Eligibility]:
    return sorted(facts.eligibility, key=lambda row: policy.in_order(row.channel))


def _channels(facts: Facts, policy: Policy) -> list[str]:
    rows = [(plain(row.channel), *_channel(row, facts, policy)) for row in _in_order(facts, policy)]
    if not rows:
        return ["  Not judged yet: the user was not known when the plan was made."]
    if len(rows) > 1 and len({row[1:] for row in rows}) == 1:
        rows = [("every channel", *rows[0][1:])]
    lines = [line for name, when, why in rows for line in _row([(name, 13), (when, 15)], why)]
    if any(when.startswith("from") for _, when, _ in rows):
        lines += ["", "  A date is the earliest one: it holds if nothing more is sent until then."]
    reached = [plain(row.channel) for row in _in_order(facts, policy) if row.service_reason is None]
    told = f"may go out on {listed(reached)}" if reached else "can't go out on any channel"
    return [*lines, "", *_wrapped("  ", f"Receipts and service messages {told}.")]


def _channel(row: Eligibility, facts: Facts, policy: Policy) -> tuple[str, str]:
    """Return when a channel is open, and why not before."""
    if row.is_eligible or row.reason is None:
        return "yes", ""
    why, day = why_of(row.reason, facts, policy, row.channel), free_from(row, facts, policy)
    if day is not None:
        return f"from {day}", why
    ends = ends_of(row.reason, facts, policy)
    return "no", f"{why}; ends with {ends}" if ends else why


# campaigns


def _campaigns(facts: Facts, policy: Policy) -> list[str]:
    catalogue = {audience.audience: audience for audience in facts.audiences}
    planned = [plan for plan in facts.plan if plan.holdout_kind is None]
    held_out = [plan for plan in facts.plan if plan.holdout_kind is not None]
    met = {plan.audience for plan in facts.plan} | {row.audience for row in facts.suppressions}
    groups = [
        ("Planned", [(_named(plan), _planned(plan)) for plan in planned]),
        ("Held out, to measure what the campaign brings", [(_named(plan), _held_out(plan)) for plan in held_out]),
        (
            "Left out",
            [(_named(row), _left_out(row, catalogue.get(row.audience), facts, policy)) for row in facts.suppressions],
        ),
        (
            "Not meant for this user, but for",
            [(plain(row.audience), plain(row.criteria or "?")) for row in facts.audiences if row.audience not in met],
        ),
    ]
    lines = []
    width = max((len(name) for _, rows in groups for name, _ in rows if len(name) <= _MOST_OF_A_NAME), default=0)
    for title, rows in groups:
        if rows:
            lines += [f"{title}:", *(line for name, words in rows for line in _row([(name, width + 1)], words))]
    return lines or ["  There are no campaigns."]


def _campaign(audience: str, campaign_id: str) -> str:
    return plain(audience) if campaign_id == audience else f"{plain(audience)} ({plain(campaign_id)})"


def _named(row: Planned | Suppression) -> str:
    return _campaign(row.audience, row.campaign_id)


def _planned(plan: Planned) -> str:
    words = [f"on {plain(plan.channel)}"]
    if plan.variant is not None:
        words.append(f"variant {plain(plan.variant)}")
    if plan.message_class != "marketing":
        words.append(f"{plain(plan.message_class)}: it counts towards no cap")
    elif plan.value is not None:
        words.append(f"value {plan.value:,}")
    return ", ".join(words)


def _held_out(plan: Planned) -> str:
    kinds = {
        "universal": "held out of all marketing (universal holdout)",
        "campaign": "held out of this campaign",
    }
    return f"{kinds.get(plan.holdout_kind or '', plain(plan.holdout_kind))}; it would go out on {plain(plan.channel)}"


def _left_out(row: Suppression, audience: Audience | None, facts: Facts, policy: Policy) -> str:
    """Return why a candidate does not get a campaign, and from when it may."""
    if row.reason == "already_sent":
        return f"it was sent already; {_again(row, audience, policy)}"
    if row.reason in ("outranked_channel", "outranked_total"):
        room = "channels" if row.reason == "outranked_channel" else "caps over all channels"
        winner = f"{plain(row.won_by_campaign_id)}, which comes first" if row.won_by_campaign_id else "others"
        return f"the last room in its {room} goes to {winner}; it is tried again the next day"
    fallen = fall_out_of(row.reason, facts, policy)
    if fallen is not None:
        return fallen
    return _closed(row, audience, facts, policy)


def _closed(row: Suppression, audience: Audience | None, facts: Facts, policy: Policy) -> str:
    """Return why no channel of an audience is open, and from when one is."""
    tried, silent = _tried(audience, facts, policy)
    names = listed([plain(channel) for channel in silent])
    if silent and not tried:
        return f"messages on {names} brought no reaction lately, so this campaign leaves them out"
    closed = [channel for channel in tried if not _is_open(channel, row)]
    told = f" ({', '.join(plain(channel.channel) for channel in closed)})" if closed else ""
    words = f"none of its channels is open{told}: {why_of(row.reason, facts, policy)}"
    day, first = _first_open(closed, facts, policy)
    ends = ends_of(row.reason, facts, policy)
    if day is not None and row.message_class == "marketing":
        words += f"; from {day} on {plain(first)}"
    elif ends:
        words += f"; ends with {ends}"
    return f"{words}; {names} left out, since messages there brought no reaction lately" if silent else words


def _is_open(channel: Eligibility, row: Suppression) -> bool:
    return channel.is_eligible if row.message_class == "marketing" else channel.service_reason is None


def _again(row: Suppression, audience: Audience | None, policy: Policy) -> str:
    if row.again_from is not None:
        return f"again from {row.again_from}"
    if row.audience in policy.each_order:
        return "it is sent once for each order"
    if audience is not None and audience.max_sends is not None:
        return f"it is sent {count(audience.max_sends, 'time')} at most"
    return "it is sent once"


def _tried(audience: Audience | None, facts: Facts, policy: Policy) -> tuple[list[Eligibility], list[str]]:
    """Return the channels of an audience, in its order, and those of them that it leaves out as silent."""
    by_channel = {row.channel: row for row in facts.eligibility}
    names = [name for name in (audience.channels or "").split("|") if name in by_channel] if audience else []
    silent = facts.silent_channels if audience and audience.audience in policy.drops_silent else frozenset()
    return [by_channel[name] for name in names if name not in silent], [name for name in names if name in silent]


def _first_open(closed: Sequence[Eligibility], facts: Facts, policy: Policy) -> tuple[date | None, str]:
    dates = [(day, row.channel) for row in closed if (day := free_from(row, facts, policy))]
    return min(dates, key=lambda found: found[0]) if dates else (None, "")


# addresses


def _addresses(facts: Facts, policy: Policy) -> list[str]:
    found = facts.addresses or {}
    rows = [(channel, found[channel]) for channel in sorted(found, key=policy.in_order)]
    return [line for channel, address in rows for line in _row([(plain(channel), 13)], plain(address))] or ["  None."]
