"""What proposed caps would have done, as a text of at most 100 columns."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from decimal import Decimal

from orchestration.measures.cap_simulation import ALL, CURRENT, Outcome
from orchestration.measures.replay import CALENDAR, ROLLING
from orchestration.simulate.what_if import PROPOSED, WhatIf

WIDTH = 100
_FIRST, _OTHER = 30, 14
_SIDES = ((CURRENT, ROLLING), (PROPOSED, ROLLING), (CURRENT, CALENDAR), (PROPOSED, CALENDAR))
NOTES = (
    "Contacts are played again in the order in which they were sent. One is kept if it is within the caps beside the "
    "kept ones before it; the caps are those of the user's policy segment as of the day before. Contacts sent before "
    "the first date count as they were. Gaps between messages and blackouts are not looked at.",
    "Rolling windows end with the day of the contact, as in the plan. Calendar windows of 7 days are ISO weeks, those "
    "of 28 to 31 days months. Who is over a cap is told by rolling windows in both.",
    "Touched is an upper limit of what would be lost: clicks on removed contacts, and the orders soon after them "
    "(the var outcome_days), each once. Most of these orders would have been placed without the message too.",
)


def text_of(found: WhatIf) -> str:
    """Return totals of both policies, then what each removes by segment and by channel, then what the words mean."""
    total = found.outcome(CURRENT, ROLLING)
    lines = [
        f"Caps in force and proposed caps: {total.contacts:,} contacts with {total.users:,} users, "
        f"{found.period.first} to {found.period.last}",
        "",
        _line("", ["rolling", "rolling", "calendar", "calendar"]),
        _line("", ["in force", "proposed"] * 2),
    ]
    totals = [found.outcome(*side) for side in _SIDES]
    lines += [_line(label, [shown(outcome) for outcome in totals]) for label, shown in measures_of(found.currency)]
    for what, rows in (
        ("segment", [(name, name, ALL) for name in found.segments()]),
        ("channel", [(name, ALL, name) for name in found.channels()]),
    ):
        lines += ["", _line(f"Removed, by {what}", ["contacts", "in force", "proposed", "difference"])]
        for label, segment, channel in rows:
            now, then = (found.outcome(policy, ROLLING, segment, channel) for policy in (CURRENT, PROPOSED))
            cells = [f"{now.contacts:,}", _removed(now), _removed(then), f"{then.removed - now.removed:+,}"]
            lines.append(_line(f"  {label}", cells))
    lines.append("")
    lines += ["\n".join(textwrap.wrap(note, WIDTH)) for note in NOTES]
    return "\n".join(lines)


def json_of(found: WhatIf) -> str:
    """Return every row, as the mart cap_simulation has them, with the dates that were played."""
    rows = [outcome._asdict() for outcome in found.outcomes.values()]
    document = {"from": found.period.first, "to": found.period.last, "currency": found.currency, "rows": rows}
    return json.dumps(document, default=_plain, indent=1)


def measures_of(currency: str) -> Sequence[tuple[str, Callable[[Outcome], str]]]:
    """Return the measures of a policy: how each is called and shown."""
    return (
        ("Contacts removed", lambda found: f"{found.removed:,}"),
        ("  share of all", lambda found: _percent(found)),
        ("Users over a cap, before", lambda found: f"{found.users_over_before:,}"),
        ("  after", lambda found: f"{found.users_over_after:,}"),
        ("Clicks touched, at most", lambda found: f"{found.clicks_touched:,}"),
        (f"Revenue touched, at most, {currency}", lambda found: f"{found.revenue_touched:,.0f}"),
        (f"Cost saved, {currency}", lambda found: f"{found.cost_saved:,.2f}"),
    )


def _removed(found: Outcome) -> str:
    return f"{found.removed:,} {_percent(found):>6}"


def _percent(found: Outcome) -> str:
    return "" if found.removed_share is None else f"{found.removed_share:.1%}"


def _line(first: str, others: Sequence[str]) -> str:
    return (f"{first:<{_FIRST}}" + "".join(f" {each:>{_OTHER}}" for each in others)).rstrip()


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)
