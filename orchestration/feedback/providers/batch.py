"""Batch: events of its webhook and of its event exports, one object each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.feedback.fields import Record, carried, first, flag, listed, part, plain
from orchestration.feedback.rows import Provider, Rejected, Report

_CHANNELS = {"email": "email", "sms": "sms", "push": "push", "webpush": "web_push", "inapp": "in_app"}
#: What happened, after the channel and as plain() writes it -> events of the raw contract.
_EVENTS: dict[str, tuple[str, ...]] = {
    "sent": (),
    "delivered": ("delivered",),
    "open": ("opened",),
    "opened": ("opened",),
    "machineopen": ("opened",),
    "click": ("clicked",),
    "clicked": ("clicked",),
    "hardbounce": ("bounced",),
    "hardbounced": ("bounced",),
    "softbounce": ("bounced",),
    "softbounced": ("bounced",),
    "failed": ("failed",),
    "undelivered": ("failed",),
    "complaint": ("complained",),
    "complained": ("complained",),
    "spam": ("complained",),
    "unsubscribe": ("unsubscribed",),
    "unsubscribed": ("unsubscribed",),
    "optout": ("unsubscribed",),
    "stop": ("unsubscribed",),
}
_IGNORED = frozenset({"optin", "subscribed", "subscribe", "displayed", "dismissed", "closed", "deferred"})
_NAMES = ("event", "event_type", "eventType", "name", "type")
_CUSTOM_IDS = ("custom_id", "customId", "custom_user_id", "customUserId")
_TIMES = ("date", "timestamp", "event_date", "eventDate", "occurred_at", "time")
#: What a message belongs to; the first that is there.
_SENDINGS = ("send_id", "sendId", "orchestration_id", "orchestrationId", "orchestration_token", "campaign_token")
_CAMPAIGNS = ("campaign_id", "campaign_token", "campaignToken", "orchestration_token", *_SENDINGS[2:4])


def _records(document: Any, _: Mapping[str, str]) -> Iterable[Any]:
    """Give records with the fields of their parts beside their own."""
    events = (
        document["events"] if isinstance(document, Mapping) and isinstance(document.get("events"), list) else document
    )
    for each in listed(events):
        if not isinstance(each, Mapping):
            yield each
            continue
        inner: dict[str, Any] = {}
        for name in ("payload", "attributes", "identifiers", "campaign", "orchestration", "profile"):
            inner |= {key: value for key, value in part(each, name).items() if key not in ("id", "name", "type")}
        yield {**inner, **each}


def _kind(record: Record) -> tuple[str, str]:
    """Return channel and event of a record, both empty where it names neither."""
    name = plain(first(record, *_NAMES))
    for prefix in sorted(_CHANNELS, key=len, reverse=True):
        if name.startswith(prefix):
            return _CHANNELS[prefix], name.removeprefix(prefix)
    return _CHANNELS.get(plain(record.get("channel")), ""), name


def _recognises(record: Record) -> bool:
    return first(record, *_NAMES) is not None and first(record, *_TIMES) is not None


def _convert(record: Record) -> Report | Rejected:
    channel, event = _kind(record)
    if event in _IGNORED:
        return Rejected("ignored")
    if not channel or event not in _EVENTS:
        return Rejected("unmapped")
    given = carried(part(record, "custom_payload") or record.get("custom_payload")) | carried(part(record, "labels"))
    user_id, sending = first(record, *_CUSTOM_IDS), first(record, *_SENDINGS)
    composed = f"{sending}:{user_id}:{channel}" if sending and user_id else None
    is_machine = True if event == "machineopen" else flag(record.get("is_machine", record.get("machine_open")))
    return Report(
        channel=channel,
        events=_EVENTS[event],
        is_sending=event == "sent",
        message_id=first(record, "message_id", "messageId") or composed,
        user_id=user_id or given.get("user_id"),
        time=first(record, *_TIMES),
        event_id=first(record, "id", "event_id", "eventId"),
        campaign_id=given.get("campaign_id") or first(record, *_CAMPAIGNS),
        variant=given.get("variant") or first(record, "variant", "version"),
        message_class=given.get("message_class") or plain(record.get("message_type")) or None,
        is_machine=is_machine,
        bounce_type="soft" if event.startswith("soft") else "hard",
        link_url=first(record, "url", "link", "deeplink"),
    )


PROVIDER = Provider("batch", _records, _recognises, _convert)
