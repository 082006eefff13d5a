"""Braze: events of Currents, as its HTTP connector posts them or as its storage exports hold them (Avro as JSON)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.feedback.fields import Record, carried, first, flag, listed, part
from orchestration.feedback.rows import Provider, Rejected, Report

#: Kind of message and of event in ``users.messages.<kind>.<event>`` -> events of the raw contract.
_EVENTS: dict[str, tuple[str, ...]] = {
    "email.Send": (),
    "email.Delivery": ("delivered",),
    "email.Open": ("opened",),
    "email.Click": ("clicked",),
    "email.Bounce": ("bounced",),
    "email.SoftBounce": ("bounced",),
    "email.MarkAsSpam": ("complained",),
    "email.Unsubscribe": ("unsubscribed",),
    "pushnotification.Send": (),
    "pushnotification.Open": ("opened",),
    "pushnotification.Bounce": ("bounced",),
    "sms.Send": (),
    "sms.Delivery": ("delivered",),
    "sms.DeliveryFailure": ("failed",),
    "sms.Rejection": ("failed",),
    "sms.ShortLinkClick": ("clicked",),
    "whatsapp.Send": (),
    "whatsapp.Delivery": ("delivered",),
    "whatsapp.Failure": ("failed",),
    "whatsapp.Read": ("read",),
    "whatsapp.Click": ("clicked",),
}
#: What may tell of a withdrawal and names no message: an answer to one, a change of a subscription.
_WITHDRAWING = frozenset({"sms.InboundReceive", "whatsapp.InboundReceive"}) | {
    "users.behaviors.subscription.GlobalStateChange",
    "users.behaviors.subscriptiongroup.StateChange",
}
_IGNORED = frozenset({"Abort", "Deferral", "Retry", "CarrierSend", "IosForeground"})
_PREFIX = "users.messages."
_AVRO_TYPES = frozenset({"string", "boolean", "int", "long", "float", "double"})


def _records(document: Any, said_by_name: Mapping[str, str]) -> Iterable[Any]:
    """Give flat records: a storage export has the type of its events in its path alone."""
    events = document["events"] if isinstance(document, Mapping) and "events" in document else document
    for each in listed(events):
        if not isinstance(each, Mapping):
            yield each
            continue
        record = {name: _value(value) for name, value in each.items()}
        flat = {**part(record, "properties"), **part(record, "user"), **record}
        yield {"event_type": said_by_name.get("event_type"), **flat}


def _value(value: Any) -> Any:
    """Return a value of an Avro union, which tools write as ``{"string": …}``."""
    if isinstance(value, Mapping) and len(value) == 1 and (names := set(value)) <= _AVRO_TYPES:
        return value[names.pop()]
    return value


def _recognises(record: Record) -> bool:
    return (first(record, "event_type") or "").startswith("users.") and "id" in record and "time" in record


def _convert(record: Record) -> Report | Rejected:
    kind = (first(record, "event_type") or "").removeprefix(_PREFIX)
    channel = kind.split(".")[0]
    if channel == "pushnotification":
        channel = "web_push" if first(record, "platform") == "web" else "push"
    if kind in _WITHDRAWING:
        if first(record, "action", "subscription_status") != "Unsubscribed":
            return Rejected("ignored")
        return Report(channel=channel, events=("unsubscribed",), message_id=None, time=record.get("time"))
    if kind not in _EVENTS:
        return Rejected("ignored" if kind.split(".")[-1] in _IGNORED else "unmapped")
    dispatch, braze_id = first(record, "dispatch_id"), first(record, "user_id")
    is_open = kind == "email.Open"
    given = carried(record.get("message_extras"))
    return Report(
        channel=channel,
        events=_EVENTS[kind],
        is_sending=kind.endswith(".Send"),
        # a dispatch goes to many people, and to one on several channels
        message_id=f"{dispatch}:{braze_id}:{channel}" if dispatch and braze_id else None,
        user_id=first(record, "external_user_id"),
        time=record.get("time"),
        event_id=first(record, "id"),
        campaign_id=given.get("campaign_id") or first(record, "campaign_id", "canvas_id"),
        variant=given.get("variant") or first(record, "message_variation_id", "canvas_variation_id"),
        message_class=given.get("message_class"),
        # machine_open is "true" or missing
        is_machine=bool(flag(record.get("machine_open"))) if is_open else flag(record.get("is_suspected_bot_click")),
        bounce_type="soft" if kind == "email.SoftBounce" else "hard",
        link_url=first(record, "url"),
    )


PROVIDER = Provider("braze", _records, _recognises, _convert)
