"""Rows for hand-made worlds, by the age of their date as of D."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

from tests.properties import oracle
from tests.properties.oracle import World

D = date(2024, 6, 15)
_ids = count()


def ago(age, text="12:00"):
    return datetime.fromisoformat(f"{(D - timedelta(days=age)).isoformat()}T{text}").replace(tzinfo=UTC)


def event(age=0, name="page", text="12:00", **values):
    return {"event_id": f"e{next(_ids):06}", "user_id": "u", "event": name, "timestamp": ago(age, text), **values}


def order(age=0, gross="10", text="12:00", **values):
    row = {"order_id": f"o{next(_ids)}", "user_id": "u", "ordered_at": ago(age, text), "gross_amount": Decimal(gross)}
    return {**row, **values}


def message(age=0, channel="email", text="12:00", **values):
    row = {"message_id": f"m{next(_ids)}", "user_id": "u", "channel": channel, "sent_at": ago(age, text)}
    return {**row, **values}


def reaction(to, name, age=0, text="13:00", **values):
    row = {"event_id": f"x{next(_ids)}", "message_id": to["message_id"], "event": name}
    return {**row, "occurred_at": ago(age, text), **values}


def consent(status="granted", age=0, channel="email", user="u", text="12:00"):
    return {"user_id": user, "channel": channel, "status": status, "occurred_at": ago(age, text)}


def row_of(family, user="u", day=D, **parts):
    """What a family says of one user of a world; everybody named in ``users`` is known."""
    parts.setdefault("users", [{"user_id": user}])
    return oracle.families_as_of(World(**parts), day)[family][user]


def segment_of(family, user="u", day=D, **parts):
    return row_of(family, user, day, **parts)["segment"]


def planned(age=0, campaign="spring", channel="email", user="u", **values):
    """A planned contact; age -1 is the plan date."""
    row = {"plan_date": D - timedelta(days=age), "user_id": user, "campaign_id": campaign, "audience": campaign}
    return {**row, "channel": channel, "variant": None, "message_class": "marketing", **values}


def friend(user="u", *channels, **values):
    """Rows of somebody who has an e-mail address and a phone, and has said yes on some channels (default: e-mail)."""
    profile = {"user_id": user, "email": f"{user}@example.org", "phone": "+33612345678", **values}
    consents = [consent(age=20, channel=channel, user=user) for channel in channels or ("email",)]
    return {"users": [profile], "consents": consents}


def together(*parts):
    """The rows of several people."""
    return {name: [row for part in parts for row in part.get(name, [])] for name in {n for part in parts for n in part}}
