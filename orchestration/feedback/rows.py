"""What a converter makes of a provider's record: rows of the raw contract, or the reason why there are none."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestration.feedback.fields import Record, utc

#: Events after which somebody may have to be left alone.
PROTECTIVE = frozenset({"unsubscribed", "complained", "bounced"})
#: The reasons for which a record gives not all that it could, and what each means.
REASONS = {
    "not_json": "no JSON, or no UTF-8",
    "not_this_shape": "not what this provider sends",
    "unmapped": "a kind of event that the converter does not know",
    "ignored": "a known kind of event that the raw contract has no row for",
    "no_time": "without a time that can be read",
    "no_message_id": "tells of no message",
    "lost_withdrawal": "an unsubscribe, complaint or bounce without a message or a time",
    "no_user_id": "the message does not carry your user_id back, so nothing that happens to it counts",
}

_CLASSES = ("marketing", "transactional", "service")
_BOUNCES = ("hard", "soft")


@dataclass(frozen=True)
class Row:
    """A row for a landing file of a dataset; values that are None are left out."""

    dataset: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Rejected:
    """Why a record gives nothing, or less than it could: one of REASONS."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What one record says of one message, in the words of the raw contract but not yet judged."""

    channel: str
    #: Events of the raw contract; none where the record only tells of the sending.
    events: tuple[str, ...] = ()
    #: Whether the record tells that the message was sent, so that it gives a row of messages too.
    is_sending: bool = False
    message_id: str | None
    user_id: str | None = None
    time: Any
    #: When the message was sent, if that is not ``time``.
    sent_time: Any = None
    #: The provider's own id of the event.
    event_id: str | None = None
    campaign_id: str | None = None
    variant: str | None = None
    message_class: str | None = None
    #: Whether a machine opened or clicked, as far as the provider tells.
    is_machine: bool | None = None
    bounce_type: str | None = None
    link_url: str | None = None


@dataclass(frozen=True)
class Provider:
    """How the reports of one provider are read.

    ``records`` takes one parsed document (a webhook's body, a line of an export, a row of a CSV) and what the name of
    its file says, and gives the records in it. ``convert`` takes one of them. Both are pure.
    """

    name: str
    records: Callable[[Any, Mapping[str, str]], Iterable[Any]]
    recognises: Callable[[Record], bool]
    convert: Callable[[Record], Report | Rejected]


def rows_of(provider: Provider, record: Any) -> list[Row | Rejected]:
    """Return what a record gives: rows, and at most one reason why they are not all that it could give."""
    if not isinstance(record, Mapping) or not provider.recognises(record):
        return [Rejected("not_this_shape")]
    report = provider.convert(record)
    if isinstance(report, Rejected):
        return [report]
    when = utc(report.time)
    if when is None or report.message_id is None:
        is_protective = not PROTECTIVE.isdisjoint(report.events)
        return [Rejected("lost_withdrawal" if is_protective else "no_time" if when is None else "no_message_id")]
    found: list[Row | Rejected] = []
    if report.is_sending and report.user_id is None:
        found.append(Rejected("no_user_id"))
    elif report.is_sending:
        found.append(_message(provider.name, report, utc(report.sent_time) or when))
    for number, event in enumerate(report.events):
        found.append(_message_event(provider.name, report, event, when, is_first=number == 0))
    return found


def _message(provider: str, report: Report, sent_at: str) -> Row:
    values = {
        "message_id": report.message_id,
        "user_id": report.user_id,
        "channel": report.channel,
        "provider": provider,
        "campaign_id": report.campaign_id,
        "variant": report.variant,
        "message_class": report.message_class if report.message_class in _CLASSES else None,
        "sent_at": sent_at,
    }
    return Row("messages", {name: value for name, value in values.items() if value is not None})


def _message_event(provider: str, report: Report, event: str, when: str, *, is_first: bool) -> Row:
    machine = None if report.is_machine is None else str(report.is_machine).lower()
    own = report.event_id if is_first or not report.event_id else f"{report.event_id}:{event}"
    values = {
        "event_id": own or stable_id(provider, report.message_id, event, when, report.link_url, machine),
        "message_id": report.message_id,
        "event": event,
        "occurred_at": when,
        "is_machine": report.is_machine if event == "clicked" else None,
        "is_machine_open": report.is_machine if event == "opened" else None,
        "bounce_type": report.bounce_type if event == "bounced" and report.bounce_type in _BOUNCES else None,
        "link_url": report.link_url if event == "clicked" else None,
    }
    return Row("message_events", {name: value for name, value in values.items() if value is not None})


def stable_id(*parts: str | None) -> str:
    """Return the id of an event that the provider gives none: the SHA-256 of what makes it, joined by U+001F."""
    return hashlib.sha256("\x1f".join(part or "" for part in parts).encode()).hexdigest()
