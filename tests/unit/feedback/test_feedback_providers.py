"""What each provider's reports become: every kind of event, and every reason why there is none."""

import json

import pytest

from orchestration.feedback.providers import PROVIDERS
from orchestration.feedback.rows import Row, rows_of

AT, SECONDS = "2026-03-01T10:00:00Z", 1772359200
MESSAGE_ID = {
    "sendgrid": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
    "twilio": "SM00000000000000000000000000000001",
    "brevo": "<202603011000.5787683@relay.example.com>",
    "braze": "disp1:braze1:email",
    "klaviyo": "MSG1:PROF1",
    "batch": "send1:u1:email",
}


def convert(provider, document, said_by_name=None):
    """Rows as pairs of dataset and values, and reasons as texts."""
    chosen = PROVIDERS[provider]
    found = []
    for record in chosen.records(document, said_by_name or {}):
        found += [
            (each.dataset, dict(each.values)) if isinstance(each, Row) else each.reason
            for each in rows_of(chosen, record)
        ]
    return found


def sendgrid(event, **fields):
    return {
        "email": "ada@example.com",
        "timestamp": SECONDS,
        "smtp-id": "<14c5d75ce93.dfd.64b469@ismtpd-555>",
        "event": event,
        "sg_event_id": f"sg-{event}",
        "sg_message_id": MESSAGE_ID["sendgrid"],
        "user_id": "u1",
        "campaign_id": "spring",
        "variant": "B",
        **fields,
    }


def twilio(status, **fields):
    return {
        "AccountSid": "AC1",
        "From": "+15005550006",
        "To": "+15005550001",
        "MessageSid": MESSAGE_ID["twilio"],
        "MessageStatus": status,
        "user_id": "u1",
        "received_at": AT,
        **fields,
    }


def brevo(event, **fields):
    return {
        "event": event,
        "email": "ada@example.com",
        "id": 26224,
        "date": "2026-03-01 11:00:00",
        "ts": SECONDS,
        "ts_event": SECONDS,
        "message-id": MESSAGE_ID["brevo"],
        "X-Mailin-custom": "user_id:u1|campaign_id:spring|variant:B",
        "tags": ["news"],
        **fields,
    }


def brevo_campaign(event, **fields):
    return {
        "id": 26224,
        "camp_id": 7,
        "email": "ada@example.com",
        "campaign name": "Spring",
        "event": event,
        "ts_sent": SECONDS - 60,
        "ts_event": SECONDS,
        **fields,
    }


def brevo_sms(status, **fields):
    return {
        "id": 26570,
        "to": "15005550001",
        "messageId": 123,
        "msg_status": status,
        "date": "2026-03-01 11:00:00",
        "type": "marketing",
        "tag": '["user_id:u1"]',
        **fields,
    }


def braze(kind, **properties):
    return {
        "event_type": f"users.messages.{kind}",
        "id": f"braze-{kind}",
        "time": SECONDS,
        "user": {"user_id": "braze1", "external_user_id": "u1", "timezone": "Europe/Paris"},
        "properties": {
            "campaign_id": "c1",
            "message_variation_id": "v1",
            "dispatch_id": "disp1",
            "email_address": "ada@example.com",
            **properties,
        },
    }


def klaviyo(metric, **properties):
    """An event as the API lists it, with its metric and profile beside it."""
    return {
        "data": [
            {
                "type": "event",
                "id": "ev1",
                "attributes": {
                    "timestamp": SECONDS,
                    "datetime": "2026-03-01T11:00:00+01:00",
                    "event_properties": {"$message": "MSG1", "$event_id": "x", **properties},
                    "uuid": "uuid1",
                },
                "relationships": {
                    "profile": {"data": {"type": "profile", "id": "PROF1"}},
                    "metric": {"data": {"type": "metric", "id": "MET1"}},
                },
            }
        ],
        "included": [
            {"type": "metric", "id": "MET1", "attributes": {"name": metric}},
            {"type": "profile", "id": "PROF1", "attributes": {"external_id": "u1", "email": "ada@example.com"}},
        ],
    }


def batch(event, **fields):
    return {"id": f"batch-{event}", "event": event, "date": AT, "custom_id": "u1", "send_id": "send1", **fields}


#: Provider, document -> values of the one event that it becomes, beside id, message and time.
EVENTS = [
    ("sendgrid", sendgrid("delivered"), {"event": "delivered"}),
    ("sendgrid", sendgrid("open"), {"event": "opened"}),
    ("sendgrid", sendgrid("open", sg_machine_open=True), {"event": "opened", "is_machine_open": True}),
    ("sendgrid", sendgrid("open", sg_machine_open=False), {"event": "opened", "is_machine_open": False}),
    (
        "sendgrid",
        sendgrid("click", url="https://example.com/a"),
        {"event": "clicked", "link_url": "https://example.com/a"},
    ),
    ("sendgrid", sendgrid("bounce", type="bounce"), {"event": "bounced", "bounce_type": "hard"}),
    ("sendgrid", sendgrid("bounce", type="blocked"), {"event": "bounced", "bounce_type": "soft"}),
    ("sendgrid", sendgrid("spamreport"), {"event": "complained"}),
    ("sendgrid", sendgrid("unsubscribe"), {"event": "unsubscribed"}),
    ("sendgrid", sendgrid("group_unsubscribe", asm_group_id=10), {"event": "unsubscribed"}),
    ("twilio", twilio("delivered"), {"event": "delivered"}),
    ("twilio", twilio("undelivered", ErrorCode="30008"), {"event": "failed"}),
    ("twilio", twilio("read", To="whatsapp:+15005550001"), {"event": "read"}),
    ("brevo", brevo("delivered"), {"event": "delivered"}),
    ("brevo", brevo("opened"), {"event": "opened", "is_machine_open": False}),
    ("brevo", brevo("unique_opened"), {"event": "opened", "is_machine_open": False}),
    ("brevo", brevo("proxy_open"), {"event": "opened", "is_machine_open": True}),
    ("brevo", brevo("loadedByProxy"), {"event": "opened", "is_machine_open": True}),
    ("brevo", brevo("click", link="https://example.com"), {"event": "clicked", "link_url": "https://example.com"}),
    ("brevo", brevo("hard_bounce"), {"event": "bounced", "bounce_type": "hard"}),
    ("brevo", brevo("soft_bounce"), {"event": "bounced", "bounce_type": "soft"}),
    ("brevo", brevo("blocked"), {"event": "failed"}),
    ("brevo", brevo("spam"), {"event": "complained"}),
    ("brevo", brevo("unsubscribed"), {"event": "unsubscribed"}),
    ("braze", braze("email.Delivery"), {"event": "delivered"}),
    ("braze", braze("email.Open"), {"event": "opened", "is_machine_open": False}),
    ("braze", braze("email.Open", machine_open="true"), {"event": "opened", "is_machine_open": True}),
    (
        "braze",
        braze("email.Click", url="https://example.com", is_suspected_bot_click=True),
        {"event": "clicked", "link_url": "https://example.com", "is_machine": True},
    ),
    ("braze", braze("email.Bounce"), {"event": "bounced", "bounce_type": "hard"}),
    ("braze", braze("email.SoftBounce"), {"event": "bounced", "bounce_type": "soft"}),
    ("braze", braze("email.MarkAsSpam"), {"event": "complained"}),
    ("braze", braze("email.Unsubscribe"), {"event": "unsubscribed"}),
    ("klaviyo", klaviyo("Opened Email"), {"event": "opened"}),
    ("klaviyo", klaviyo("Opened Email", machine_open=True), {"event": "opened", "is_machine_open": True}),
    (
        "klaviyo",
        klaviyo("Opened Email", **{"Apple Privacy Open": "False"}),
        {"event": "opened", "is_machine_open": False},
    ),
    (
        "klaviyo",
        klaviyo("Clicked Email", URL="https://example.com", **{"Bot Click": True}),
        {"event": "clicked", "link_url": "https://example.com", "is_machine": True},
    ),
    ("klaviyo", klaviyo("Marked Email as Spam"), {"event": "complained"}),
    ("klaviyo", klaviyo("Unsubscribed from Email Marketing"), {"event": "unsubscribed"}),
    ("klaviyo", klaviyo("Failed to Deliver SMS"), {"event": "failed"}),
    ("batch", batch("email_delivered"), {"event": "delivered"}),
    ("batch", batch("email_open"), {"event": "opened"}),
    ("batch", batch("EMAIL_MACHINE_OPEN"), {"event": "opened", "is_machine_open": True}),
    ("batch", batch("email_click", url="https://example.com"), {"event": "clicked", "link_url": "https://example.com"}),
    ("batch", batch("email_hard_bounce"), {"event": "bounced", "bounce_type": "hard"}),
    ("batch", batch("email_soft_bounce"), {"event": "bounced", "bounce_type": "soft"}),
    ("batch", batch("email_complaint"), {"event": "complained"}),
    ("batch", batch("email_unsubscribe"), {"event": "unsubscribed"}),
]


@pytest.mark.parametrize(("provider", "document", "said"), EVENTS)
def test_an_event_of_a_message(provider, document, said):
    ((dataset, values),) = convert(provider, document)
    assert dataset == "message_events"
    assert values.pop("event_id")
    assert values == {"message_id": MESSAGE_ID[provider], "occurred_at": AT, **said}


SPRING = {"campaign_id": "spring", "variant": "B"}
#: Provider, document -> the message that it tells of, beside user and time, and the events that it tells of too.
MESSAGES = [
    ("sendgrid", sendgrid("processed"), {"message_id": MESSAGE_ID["sendgrid"], "channel": "email", **SPRING}, []),
    (
        "sendgrid",
        sendgrid("processed", message_id="own1", message_class="transactional", marketing_campaign_id=9),
        {"message_id": "own1", "channel": "email", "message_class": "transactional", **SPRING},
        [],
    ),
    (
        "sendgrid",
        sendgrid("dropped", reason="Unsubscribed Address"),
        {"message_id": MESSAGE_ID["sendgrid"], "channel": "email", **SPRING},
        ["failed", "unsubscribed"],
    ),
    ("twilio", twilio("sent", campaign_id="spring"), {"channel": "sms", "campaign_id": "spring"}, []),
    ("twilio", twilio("sent", To="whatsapp:+15005550001"), {"channel": "whatsapp"}, []),
    ("twilio", twilio("failed", ErrorCode="21610"), {"channel": "sms"}, ["failed", "unsubscribed"]),
    ("twilio", twilio("failed", ErrorCode=30005), {"channel": "sms"}, ["failed", "bounced"]),
    ("brevo", brevo("request"), {"channel": "email", **SPRING}, []),
    (
        "brevo",
        brevo_campaign("delivered", user_id="u1", ts_sent=SECONDS),
        {"message_id": "campaign:7:u1", "channel": "email", "campaign_id": "7", "message_class": "marketing"},
        ["delivered"],
    ),
    ("brevo", brevo_sms("sent"), {"message_id": "123", "channel": "sms", "message_class": "marketing"}, []),
    ("braze", braze("email.Send"), {"channel": "email", "campaign_id": "c1", "variant": "v1"}, []),
    (
        "braze",
        braze("email.Send", message_extras='{"campaign_id": "spring", "variant": "B", "message_class": "service"}'),
        {"channel": "email", "message_class": "service", **SPRING},
        [],
    ),
    (
        "braze",
        braze("pushnotification.Send", platform="web"),
        {"message_id": "disp1:braze1:web_push", "channel": "web_push", "campaign_id": "c1", "variant": "v1"},
        [],
    ),
    ("klaviyo", klaviyo("Received Email"), {"channel": "email", "campaign_id": "MSG1"}, ["delivered"]),
    (
        "klaviyo",
        klaviyo("Bounced Email", **{"Bounce Type": "Hard", "$flow": "F1"}),
        {"channel": "email", "campaign_id": "F1"},
        ["bounced"],
    ),
    ("klaviyo", klaviyo("Sent SMS", **{"$variation": "V1"}), {"channel": "sms", "variant": "V1"}, []),
    ("batch", batch("email_sent", campaign_token="spring"), {"channel": "email", "campaign_id": "spring"}, []),
    ("batch", batch("push_sent", custom_payload='{"campaign_id": "spring"}'), {"channel": "push"}, []),
]


@pytest.mark.parametrize(("provider", "document", "said", "events"), MESSAGES)
def test_a_message(provider, document, said, events):
    (dataset, values), *others = convert(provider, document)
    assert dataset == "messages"
    assert {**values, **said, "user_id": "u1", "provider": provider, "sent_at": AT} == values
    assert [(name, row["event"], row["message_id"]) for name, row in others] == [
        ("message_events", event, values["message_id"]) for event in events
    ]
    assert len({row["event_id"] for _, row in others}) == len(events)


def without(document, *names):
    return {name: value for name, value in document.items() if name not in names}


REASONS = [
    ("sendgrid", {"hello": 1}, "not_this_shape"),
    ("sendgrid", 5, "not_this_shape"),
    ("sendgrid", sendgrid("teleported"), "unmapped"),
    ("sendgrid", sendgrid("deferred"), "ignored"),
    ("sendgrid", sendgrid("open", timestamp="soon"), "no_time"),
    ("sendgrid", without(sendgrid("open"), "sg_message_id"), "no_message_id"),
    ("sendgrid", without(sendgrid("bounce"), "sg_message_id"), "lost_withdrawal"),
    ("sendgrid", sendgrid("unsubscribe", timestamp=None), "lost_withdrawal"),
    ("sendgrid", without(sendgrid("processed"), "user_id"), "no_user_id"),
    ("twilio", {"MessageSid": "SM1"}, "not_this_shape"),
    ("twilio", twilio("queued"), "ignored"),
    ("twilio", twilio("lost"), "unmapped"),
    ("twilio", without(twilio("delivered"), "received_at"), "no_time"),
    ("twilio", without(twilio("sent"), "user_id"), "no_user_id"),
    ("twilio", twilio("received", OptOutType="STOP"), "lost_withdrawal"),
    ("twilio", twilio("received", OptOutType="START"), "ignored"),
    ("twilio", twilio("received", Body="Thanks"), "ignored"),
    ("brevo", {"event": "opened"}, "not_this_shape"),
    ("brevo", brevo("list_addition"), "ignored"),
    ("brevo", brevo("exploded"), "unmapped"),
    ("brevo", without(brevo("request"), "X-Mailin-custom"), "no_user_id"),
    ("brevo", brevo_campaign("opened"), "no_message_id"),
    ("brevo", brevo_campaign("unsubscribe"), "lost_withdrawal"),
    ("braze", {"id": "x", "time": 1}, "not_this_shape"),
    ("braze", braze("email.Abort"), "ignored"),
    ("braze", braze("email.Teleport"), "unmapped"),
    ("braze", braze("email.Open", dispatch_id=None), "no_message_id"),
    ("braze", {**braze("email.Send"), "user": {"user_id": "braze1"}}, "no_user_id"),
    ("braze", braze("sms.InboundReceive", action="Unsubscribed"), "lost_withdrawal"),
    ("braze", braze("sms.InboundReceive", action="Subscribed"), "ignored"),
    ("klaviyo", {"data": [{"type": "profile"}]}, "not_this_shape"),
    ("klaviyo", {"data": [{"topic": "event:klaviyo.opened_email", "payload": None}]}, "not_this_shape"),
    ("klaviyo", klaviyo("Placed Order"), "unmapped"),
    ("klaviyo", klaviyo("Received SMS"), "ignored"),
    ("klaviyo", klaviyo("Unsubscribed from Email Marketing", **{"$message": None}), "lost_withdrawal"),
    ("batch", {"custom_id": "u1"}, "not_this_shape"),
    ("batch", batch("email_exploded"), "unmapped"),
    ("batch", batch("push_optin"), "ignored"),
    ("batch", without(batch("push_optout"), "send_id"), "lost_withdrawal"),
    ("batch", batch("email_sent", custom_id=None, message_id="m1"), "no_user_id"),
]


@pytest.mark.parametrize(("provider", "document", "reason"), REASONS)
def test_a_reason(provider, document, reason):
    assert convert(provider, document) == [reason]


def test_an_event_of_an_unknown_user_is_kept():
    ((dataset, values),) = convert("sendgrid", without(sendgrid("unsubscribe"), "user_id"))
    assert (dataset, values["event"], values["event_id"]) == ("message_events", "unsubscribed", "sg-unsubscribe")


def test_brevo_gives_the_same_open_the_same_id():
    (opened,), (unique,) = (convert("brevo", brevo(event)) for event in ("opened", "unique_opened"))
    assert opened == unique
    assert convert("brevo", brevo("opened", ts_event=SECONDS + 1)) != [opened]


def test_the_time_of_a_brevo_sms_is_central_european():
    assert convert("brevo", brevo_sms("delivered"))[0][1]["occurred_at"] == AT
    assert convert("brevo", brevo_sms("delivered", date="2026-07-01 12:00:00"))[0][1]["occurred_at"] == (
        "2026-07-01T10:00:00Z"
    )


def test_braze_storage_exports_name_the_event_in_the_path():
    flat = {
        "id": "e1",
        "user_id": "braze1",
        "external_user_id": {"string": "u1"},
        "time": SECONDS,
        "dispatch_id": {"string": "disp1"},
        "machine_open": None,
    }
    said = {"event_type": "users.messages.email.Open"}
    assert convert("braze", flat, said) == [
        (
            "message_events",
            {
                "event_id": "e1",
                "message_id": "disp1:braze1:email",
                "event": "opened",
                "occurred_at": AT,
                "is_machine_open": False,
            },
        )
    ]
    assert convert("braze", flat) == ["not_this_shape"]


def test_braze_posts_many_events_at_once():
    assert len(convert("braze", {"events": [braze("email.Send"), braze("email.Delivery")]})) == 2


def test_a_klaviyo_webhook_wraps_each_event():
    body = {
        "data": [
            {"external_id": "ev1", "topic": f"event:klaviyo.{topic}", "payload": klaviyo(metric)}
            for topic, metric in (("received_email", "Received Email"), ("opened_email", None))
        ],
        "meta": {"klaviyo_webhook_id": "w1"},
    }
    assert [row["event"] for dataset, row in convert("klaviyo", body) if dataset == "message_events"] == [
        "delivered",
        "opened",
    ]


def test_twilio_event_streams_carry_tags_and_times():
    event = {
        "specversion": "1.0",
        "type": "com.twilio.messaging.message.sent",
        "id": "NO1",
        "data": {
            "messageSid": "SM1",
            "messageStatus": "SENT",
            "timestamp": "2026-03-01T10:00:00.000Z",
            "to": "+15005550001",
            "tags": {"user_id": "u1", "campaign_id": "spring"},
        },
    }
    ((dataset, values),) = convert("twilio", [event])
    assert (dataset, values["user_id"], values["campaign_id"], values["sent_at"]) == ("messages", "u1", "spring", AT)
    delivered = json.loads(json.dumps(event).replace("SENT", "DELIVERED"))
    assert convert("twilio", [delivered])[0][1]["event_id"] == "NO1"


def test_the_list_of_twilio_messages_tells_of_sending_and_of_what_became_of_it():
    listed = {
        "sid": "SM1",
        "status": "delivered",
        "direction": "outbound-api",
        "to": "+15005550001",
        "date_sent": "Sun, 01 Mar 2026 09:59:00 +0000",
        "date_updated": "Sun, 01 Mar 2026 10:00:00 +0000",
        "user_id": "u1",
    }
    (_, message), (_, event) = convert("twilio", {"messages": [listed], "page": 0})
    assert (message["sent_at"], event["occurred_at"]) == ("2026-03-01T09:59:00Z", AT)


def test_an_answer_to_a_known_whatsapp_message():
    answer = twilio("received", From="whatsapp:+15005550001", OriginalRepliedMessageSid="SM1")
    assert [row["event"] for _, row in convert("twilio", answer)] == ["replied"]
    assert [row["event"] for _, row in convert("twilio", {**answer, "OptOutType": "STOP"})] == ["unsubscribed"]
