"""Klaviyo: system webhooks, and events as the API lists them with ``include=metric,profile``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestration.feedback.fields import Record, first, flag, listed, part, plain
from orchestration.feedback.rows import Provider, Rejected, Report

#: Metric of Klaviyo, as plain() writes it -> channel, events of the raw contract, whether the message is told of.
_METRICS: dict[str, tuple[str, tuple[str, ...], bool]] = {
    # nothing tells of the sending: what arrived, bounced or was dropped was sent
    "receivedemail": ("email", ("delivered",), True),
    "emaildelivered": ("email", ("delivered",), True),
    "bouncedemail": ("email", ("bounced",), True),
    "droppedemail": ("email", ("failed",), True),
    "openedemail": ("email", ("opened",), False),
    "clickedemail": ("email", ("clicked",), False),
    "markedemailasspam": ("email", ("complained",), False),
    "unsubscribed": ("email", ("unsubscribed",), False),
    "unsubscribedfromlist": ("email", ("unsubscribed",), False),
    "unsubscribedfromemailmarketing": ("email", ("unsubscribed",), False),
    "manuallysuppressedfromemailmarketing": ("email", ("unsubscribed",), False),
    "sentsms": ("sms", (), True),
    "clickedsms": ("sms", ("clicked",), False),
    "failedtodeliversms": ("sms", ("failed",), False),
    "unsubscribedfromsmsmarketing": ("sms", ("unsubscribed",), False),
    "receivedpush": ("push", ("delivered",), True),
    "openedpush": ("push", ("opened",), False),
    "bouncedpush": ("push", ("bounced",), True),
}
#: An answer of somebody, and what tells of consent given.
_IGNORED = frozenset({"receivedsms", "subscribedtoemailmarketing", "subscribedtosmsmarketing", "subscribedtolist"})
_TOPIC = "event:klaviyo."
_MACHINE = ("machine_open", "Machine Open", "Apple Privacy Open")


def _records(document: Any, _: Mapping[str, str]) -> Iterable[Any]:
    """Give flat records: metric and profile stand beside the events, webhooks wrap each event once more."""
    for each in listed(document):
        if not isinstance(each, Mapping):
            yield each
            continue
        included = {
            (other.get("type"), other.get("id")): part(other, "attributes")
            for other in listed(each.get("included") or [])
            if isinstance(other, Mapping) and _is_named(other)
        }
        for event in listed(each.get("data", each)):
            if isinstance(event, Mapping) and "topic" in event:
                for found in _records(event.get("payload"), _):
                    yield {**(found if isinstance(found, Mapping) else {}), "topic": event["topic"]}
            else:
                yield _flat(event, included)


def _is_named(other: Mapping[str, Any]) -> bool:
    """Tell whether type and id of an included resource are texts, so that it can be looked up."""
    return isinstance(other.get("type"), str) and isinstance(other.get("id"), str)


def _flat(event: Any, included: Mapping[tuple[Any, Any], Mapping[str, Any]]) -> Any:
    if not isinstance(event, Mapping):
        return event
    attributes, related = part(event, "attributes"), part(event, "relationships")
    ids = {name: first(part(part(related, name), "data"), "id") for name in ("metric", "profile")}
    return {
        "type": event.get("type"),
        "id": event.get("id"),
        "time": attributes.get("datetime") or attributes.get("timestamp"),
        "properties": attributes.get("event_properties"),
        "metric": first(included.get(("metric", ids["metric"]), {}), "name"),
        "profile_id": ids["profile"],
        "user_id": first(included.get(("profile", ids["profile"]), {}), "external_id"),
    }


def _recognises(record: Record) -> bool:
    return record.get("type") == "event" and (record.get("topic") or record.get("metric")) is not None


def _convert(record: Record) -> Report | Rejected:
    metric = plain(record.get("metric") or str(record.get("topic")).removeprefix(_TOPIC))
    if metric in _IGNORED:
        return Rejected("ignored")
    if metric not in _METRICS:
        return Rejected("unmapped")
    channel, events, is_sending = _METRICS[metric]
    properties = part(record, "properties")
    message, profile = first(properties, "$message"), first(record, "profile_id")
    machine = (
        (flag(properties.get(name)) for name in _MACHINE)
        if "opened" in events
        else (flag(properties.get("Bot Click")),)
    )
    return Report(
        channel=channel,
        events=events,
        is_sending=is_sending,
        # $message is what was written, not what one person got
        message_id=f"{message}:{profile}" if message and profile else None,
        user_id=first(record, "user_id"),
        time=record.get("time"),
        event_id=first(record, "id"),
        campaign_id=first(properties, "$flow", "$message"),
        variant=first(properties, "$variation"),
        is_machine=next((said for said in machine if said is not None), None),
        bounce_type=plain(properties.get("Bounce Type")) or None,
        link_url=first(properties, "URL"),
    )


PROVIDER = Provider("klaviyo", _records, _recognises, _convert)
