"""Brevo: webhooks of transactional and marketing e-mails and of SMS, and weekly exports of them as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from orchestration.feedback.fields import Record, carried, first, listed, plain, utc
from orchestration.feedback.rows import Provider, Rejected, Report

#: Event of Brevo, as plain() writes it -> events of the raw contract. Webhooks and exports name them differently.
_EVENTS: dict[str, tuple[str, ...]] = {
    "request": (),
    "requests": (),
    "sent": (),
    "delivered": ("delivered",),
    "opened": ("opened",),
    # the first open, which may be reported as an open too: the same event then
    "uniqueopened": ("opened",),
    "uniqueproxyopen": ("opened",),
    "proxyopen": ("opened",),
    "loadedbyproxy": ("opened",),
    "click": ("clicked",),
    "clicks": ("clicked",),
    "clicked": ("clicked",),
    "hardbounce": ("bounced",),
    "hardbounces": ("bounced",),
    "invalid": ("bounced",),
    "invalidemail": ("bounced",),
    "softbounce": ("bounced",),
    "softbounces": ("bounced",),
    "blocked": ("failed",),
    "error": ("failed",),
    "rejected": ("failed",),
    "spam": ("complained",),
    "unsubscribe": ("unsubscribed",),
    "unsubscribed": ("unsubscribed",),
    "blacklisted": ("failed", "unsubscribed"),
    "reply": ("replied",),
    "replied": ("replied",),
}
_IGNORED = frozenset(
    {"deferred", "accepted", "skip", "listaddition", "contactupdated", "contactdeleted", "inboundemailprocessed"}
)
_SOFT = frozenset({"softbounce", "softbounces"})
_PROXY = frozenset({"proxyopen", "uniqueproxyopen", "loadedbyproxy"})
#: ``date`` is Central European Time; the ``ts_`` fields are seconds and go first.
_ZONE = ZoneInfo("Europe/Paris")


def _records(document: Any, _: Mapping[str, str]) -> Iterable[Any]:
    return listed(document)


def _recognises(record: Record) -> bool:
    is_email = "event" in record and ("message-id" in record or "camp_id" in record or "ts_event" in record)
    return is_email or ("msg_status" in record and "messageId" in record)


def _convert(record: Record) -> Report | Rejected:
    is_sms = "msg_status" in record
    event = plain(record.get("msg_status" if is_sms else "event"))
    if event in _IGNORED:
        return Rejected("ignored")
    if event not in _EVENTS:
        return Rejected("unmapped")
    given = carried(record.get("tag")) | carried(record.get("tags")) | carried(record.get("X-Mailin-custom"))
    given = carried(record) | given
    campaign = first(record, "camp_id")
    user_id = given.get("user_id")
    of_campaign = f"campaign:{campaign}:{user_id}" if campaign and user_id else None
    tells_of_sending = campaign is not None and event in ("delivered", "hardbounce", "softbounce")
    return Report(
        channel="sms" if is_sms else "email",
        events=_EVENTS[event],
        # a campaign reports no sending of its own; its first events say when that was
        is_sending=event in ("request", "requests", "sent") or tells_of_sending,
        message_id=given.get("message_id") or first(record, "message-id", "messageId") or of_campaign,
        user_id=user_id,
        time=first(record, "ts_event", "ts") or utc(record.get("date"), _ZONE),
        sent_time=record.get("ts_sent"),
        campaign_id=given.get("campaign_id") or campaign,
        variant=given.get("variant"),
        message_class=given.get("message_class") or _message_class(record, campaign),
        is_machine=(event in _PROXY) if _EVENTS[event] == ("opened",) else None,
        bounce_type="soft" if event in _SOFT else "hard",
        link_url=first(record, "link", "URL", "url"),
    )


def _message_class(record: Record, campaign: str | None) -> str | None:
    """Return what a campaign or an SMS says of itself; a transactional e-mail says nothing, and may be either."""
    return "marketing" if campaign else plain(record.get("type")) or None


PROVIDER = Provider("brevo", _records, _recognises, _convert)
