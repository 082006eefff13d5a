"""SendGrid: the Event Webhook, a JSON array of events with the message's custom arguments among their fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.feedback.fields import Record, carried, first, flag, listed, part
from orchestration.feedback.rows import Provider, Rejected, Report

#: Event of SendGrid -> events of the raw contract; empty: none.
_EVENTS: dict[str, tuple[str, ...]] = {
    "processed": (),
    "delivered": ("delivered",),
    "open": ("opened",),
    "click": ("clicked",),
    "bounce": ("bounced",),
    "dropped": ("failed",),
    "spamreport": ("complained",),
    "unsubscribe": ("unsubscribed",),
    # from one group of messages only; to be left alone by more than was asked for does no harm
    "group_unsubscribe": ("unsubscribed",),
}
_IGNORED = frozenset({"deferred", "group_resubscribe", "account_status_change"})
#: Why SendGrid drops a message that it would have to send against somebody's will, or in vain.
_DROPPED = {
    "unsubscribed address": "unsubscribed",
    "spam reporting address": "complained",
    "bounced address": "bounced",
}


def _records(document: Any, _: Mapping[str, str]) -> Iterable[Any]:
    return listed(document)


def _recognises(record: Record) -> bool:
    return "event" in record and ("sg_event_id" in record or "sg_message_id" in record or "smtp-id" in record)


def _convert(record: Record) -> Report | Rejected:
    event = first(record, "event") or ""
    if event in _IGNORED:
        return Rejected("ignored")
    if event not in _EVENTS:
        return Rejected("unmapped")
    given = carried(part(record, "unique_args")) | carried(record)
    events, bounce_type = _EVENTS[event], None
    if event == "bounce":
        bounce_type = "soft" if first(record, "type") == "blocked" else "hard"
    elif event == "dropped" and (why := _DROPPED.get((first(record, "reason") or "").lower())):
        events, bounce_type = (*events, why), "hard"
    is_marketing = first(record, "marketing_campaign_id", "singlesend_id") is not None
    return Report(
        channel="email",
        events=events,
        is_sending=event in ("processed", "dropped"),
        # a bounce that comes late has no id but yours
        message_id=given.get("message_id") or first(record, "sg_message_id"),
        user_id=given.get("user_id"),
        time=record.get("timestamp"),
        event_id=first(record, "sg_event_id"),
        campaign_id=given.get("campaign_id") or first(record, "marketing_campaign_id", "singlesend_id"),
        variant=given.get("variant"),
        message_class=given.get("message_class") or ("marketing" if is_marketing else None),
        is_machine=flag(record.get("sg_machine_open")) if event == "open" else None,
        bounce_type=bounce_type,
        link_url=first(record, "url"),
    )


PROVIDER = Provider("sendgrid", _records, _recognises, _convert)
