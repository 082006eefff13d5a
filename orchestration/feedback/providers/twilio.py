"""Twilio: status callbacks, events of Event Streams, and the list of messages as the API or the console gives it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.feedback.fields import Record, carried, first, listed, plain
from orchestration.feedback.rows import Provider, Rejected, Report

#: Status of Twilio -> events of the raw contract.
_STATUSES: dict[str, tuple[str, ...]] = {
    "sent": (),
    "delivered": ("delivered",),
    "undelivered": ("failed",),
    "failed": ("failed",),
    "read": ("read",),
}
_IGNORED = frozenset({"accepted", "scheduled", "queued", "sending", "receiving", "canceled", "partiallydelivered"})
#: Error codes of numbers that will never receive a message: unknown, a landline, no number at all.
_DEAD_NUMBER = frozenset({"30005", "30006", "21211", "21614"})
#: Error code of a message to somebody who has answered STOP.
_STOPPED = "21610"


def _records(document: Any, _: Mapping[str, str]) -> Iterable[Any]:
    for each in listed(document):
        if isinstance(each, Mapping) and isinstance(each.get("messages"), list):
            yield from (_named(message) for message in each["messages"])
        elif isinstance(each, Mapping) and isinstance(each.get("data"), Mapping):
            # an event of Event Streams: what happened in ``data``, its id around it
            yield _named({**each["data"], **carried(each["data"].get("tags")), "event_id": each.get("id")})
        else:
            yield _named(each)


def _named(record: Any) -> Any:
    """Return a record with plain names: ``MessageSid``, ``messageSid`` and ``message_sid`` are one."""
    return {plain(name): value for name, value in record.items()} if isinstance(record, Mapping) else record


def _recognises(record: Record) -> bool:
    return first(record, "messagesid", "smssid", "sid") is not None and _status(record) != ""


def _status(record: Record) -> str:
    return plain(first(record, "messagestatus", "smsstatus", "status"))


def _convert(record: Record) -> Report | Rejected:
    status = _status(record)
    channel = "whatsapp" if (first(record, "to") or "").startswith("whatsapp:") else "sms"
    time = first(record, "timestamp", "receivedat", "dateupdated", "datesent", "sentdate")
    if status == "received" or plain(record.get("direction")) == "inbound":
        return _inbound(record, channel, time)
    if status in _IGNORED:
        return Rejected("ignored")
    if status not in _STATUSES:
        return Rejected("unmapped")
    events, bounce_type = _STATUSES[status], None
    code = first(record, "errorcode")
    if "failed" in events and code in _DEAD_NUMBER:
        events, bounce_type = (*events, "bounced"), "hard"
    elif "failed" in events and code == _STOPPED:
        events = (*events, "unsubscribed")
    # the list of messages has a row a message, whatever became of it
    sent_time = first(record, "datesent", "sentdate")
    return Report(
        channel=channel,
        events=events,
        is_sending=status in ("sent", "failed") or sent_time is not None,
        message_id=first(record, "messageid", "messagesid", "smssid", "sid"),
        user_id=first(record, "userid"),
        time=time,
        sent_time=sent_time,
        event_id=first(record, "eventid"),
        campaign_id=first(record, "campaignid"),
        variant=first(record, "variant"),
        message_class=first(record, "messageclass"),
        bounce_type=bounce_type,
    )


def _inbound(record: Record, channel: str, time: str | None) -> Report | Rejected:
    if (first(record, "from") or "").startswith("whatsapp:"):
        channel = "whatsapp"
    answered = first(record, "originalrepliedmessagesid")
    if first(record, "optouttype") == "STOP":
        events: tuple[str, ...] = ("unsubscribed",)
    elif answered is not None and first(record, "optouttype") is None:
        events = ("replied",)
    else:
        return Rejected("ignored")
    return Report(channel=channel, events=events, message_id=answered, time=time, event_id=first(record, "eventid"))


PROVIDER = Provider("twilio", _records, _recognises, _convert)
