"""The contacts of the last days as text: a line a channel, a character a day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from orchestration.explain.facts import Message, PlannedContact, Policy
from orchestration.explain.plain import plain

NOTHING, PLANNED_NEXT = ".", ">"
#: What a day of a channel can show, the most telling first, and what it means.
SIGNS = {
    "!": "led to a complaint or unsubscribe",
    "C": "contact, clicked",
    "O": "contact, opened",
    "s": "contact, sent",
    "?": "contact, planned and not yet reported by the provider",
    "x": "marketing that does not count (failed, bounced, ...)",
    "t": "receipt or service message",
}
_LETTERS = "MTWTFSS"
_LABEL = 14


def timeline(
    messages: Sequence[Message],
    planned: Sequence[PlannedContact],
    following: Mapping[str, int],
    as_of: date,
    days: int,
    policy: Policy,
) -> list[str]:
    """Return the lines: a header of dates, a line a channel with its contacts in 7 and in ``days`` days, the legend.

    ``following`` are the channels that the plan uses on the day after ``as_of``, each with how many contacts that
    makes (0: a receipt). No line without a message.
    """
    signs: dict[tuple[str, date], set[str]] = {}
    contacts: Counter[tuple[str, date]] = Counter()
    for message in messages:
        signs.setdefault((message.channel, message.contact_date), set()).add(sign_of(message))
        contacts[message.channel, message.contact_date] += message.is_contact
    pending = [contact for contact in planned if contact.is_pending]
    for contact in pending:
        signs.setdefault((contact.channel, contact.plan_date), set()).add("?")
        contacts[contact.channel, contact.plan_date] += 1
    channels = sorted({channel for channel, _ in signs} | set(following), key=policy.in_order)
    if not channels:
        return []
    dates = [as_of - timedelta(days=age) for age in range(days - 1, -1, -1)]
    order = list(SIGNS)

    def line(label: str, signs: str, next_day: str, numbers: Sequence[int]) -> str:
        counts = "".join(f"{number:>9}" for number in numbers)
        return f"  {label:<{_LABEL}}{signs} {next_day}{counts}".rstrip()

    lines = [
        f"  {'':<{_LABEL}}{_mondays(dates):<{len(dates) + 2}}{'contacts in':>18}",
        f"  {'':<{_LABEL}}{''.join(_LETTERS[day.weekday()] for day in dates)} "
        f"{_LETTERS[(as_of + timedelta(days=1)).weekday()]}{'7 days':>9}{f'{days} days':>9}",
    ]
    used: set[str] = set()
    for channel in channels:
        shown = [min(signs.get((channel, day), {NOTHING}), key=[*order, NOTHING].index) for day in dates]
        counts = [contacts[channel, day] for day in dates]
        next_day = PLANNED_NEXT if channel in following else NOTHING
        used.update(shown)
        lines.append(line(plain(channel)[: _LABEL - 1], "".join(shown), next_day, [sum(counts[-7:]), sum(counts)]))
    if len(channels) > 1:
        totals = [sum(contacts[channel, day] for channel in channels) for day in dates]
        next_day = _digit(sum(following.values()))
        lines.append(line("contacts", "".join(map(_digit, totals)), next_day, [sum(totals[-7:]), sum(totals)]))
    meanings = [(sign, SIGNS[sign]) for sign in order if sign in used]
    if following:
        meanings.append((PLANNED_NEXT, f"planned for {as_of + timedelta(days=1)}"))
    return [*lines, "", *(f"  {sign} {meaning}" for sign, meaning in meanings)]


def sign_of(message: Message) -> str:
    """Return the sign of what became of a message."""
    if message.is_negative:
        return "!"
    if message.is_contact:
        return "C" if message.is_clicked else "O" if message.is_opened else "s"
    return "x" if message.message_class == "marketing" else "t"


def _digit(number: int) -> str:
    return NOTHING if number == 0 else str(number) if number < 10 else "+"


def _mondays(dates: Sequence[date]) -> str:
    """Return the dates of the Mondays, each above its day; 7 characters hold `15 Jun` and a space."""
    text = ""
    for position, day in enumerate(dates):
        if day.weekday() == 0:
            text = f"{text:<{position}}{day.day} {day:%b}"
    return text
