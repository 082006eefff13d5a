"""Candidates: each with what is sent and how, or why it falls out before any cap is looked at (rules, section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from .as_of import AsOf
from .audiences import audiences
from .eligibility import channel_eligibility
from .ledger import carried, is_logged
from .numbers import bucket
from .versions import deduplicated, versions_as_of
from .world import Audience, CampaignSetting, CategorySetting

RESPONSE_DAYS = 90


@dataclass(frozen=True)
class Candidate:
    """Somebody whom an audience would send a campaign to."""

    user_id: str
    audience: str
    campaign_id: str
    message_class: str
    value: Decimal | None
    variant: str | None
    holdout_kind: str | None
    carried_channel: str | None
    fall_out: str | None
    again_from: date | None

    @property
    def key(self) -> tuple[str, str, str]:
        """A row of contact_plan or contact_suppressions."""
        return self.user_id, self.campaign_id, self.audience

    @property
    def rank(self) -> tuple[Decimal, str, str]:
        """The order in which the candidates of a user are taken."""
        return -(self.value or Decimal(0)), self.campaign_id, self.audience


def is_in_universal_holdout(now: AsOf, user: str) -> bool:
    """Whether somebody gets nothing on the plan date."""
    rows = [row for row in now.world.universal_holdouts if row.valid_from <= now.plan_date]
    if not rows:
        return False
    row = max(rows, key=lambda row: row.valid_from)
    return bucket("universal", row.salt, user) < Fraction(row.share)


def _variant(campaign_id: str, salt: str, user: str, variants: Sequence[tuple[str, Decimal]]) -> str | None:
    place, total = bucket(f"variant:{campaign_id}", salt, user), Fraction(0)
    for name, share in variants:
        total += Fraction(share)
        if place < total:
            return name
    return None


def _settled(audience: Audience, setting: CampaignSetting) -> Audience:
    """An audience with what the setting of the campaign says instead."""
    names = (
        "value", "channels", "holdout_share", "variants", "salt", "repeat_after_days", "max_sends", "max_per_day",
    )  # fmt: skip
    return replace(audience, **{n: getattr(setting, n) for n in names if getattr(setting, n) is not None})


def _is_running(now: AsOf, campaign_id: str, setting: CampaignSetting) -> bool:
    """Whether a campaign is running on the plan date."""
    if setting.is_active is False:
        return False
    for row in versions_as_of(now.world, "campaigns", now.day):
        if row["campaign_id"] == campaign_id:
            starts_at, ends_at = row.get("starts_at"), row.get("ends_at")
            if starts_at is not None and now.world.date_of(starts_at) > now.plan_date:
                return False
            if ends_at is not None and now.world.date_of(ends_at) < now.plan_date:
                return False
    return True


def _sends(now: AsOf, user: str, campaign_id: str, since: datetime | None) -> list[date]:
    """The dates on which a campaign was sent, or planned and not reported, after ``since`` if that is given."""
    days = [
        message.contact_date
        for message in now.messages_to(user)
        if message.campaign_id == campaign_id and (since is None or message.sent_at > since)
    ]
    return days + [
        planned["plan_date"]
        for planned in now.world.planned_contacts
        if (planned["user_id"], planned["campaign_id"]) == (user, campaign_id)
        and now.age(planned["plan_date"]) >= 0
        and (since is None or planned["plan_date"] > now.world.date_of(since))
        and not is_logged(now, planned)
    ]


def _already_sent(now: AsOf, audience: Audience, sends: list[date]) -> tuple[bool, date | None]:
    """Whether a campaign may not be sent again, and when it may."""
    is_used_up = audience.max_sends is not None and len(sends) >= audience.max_sends
    if not sends or audience.repeat_after_days is None:
        return bool(sends) or is_used_up, None
    again = max(sends) + timedelta(days=audience.repeat_after_days)
    return is_used_up or now.plan_date < again, None if is_used_up else again


def _just_bought(now: AsOf, user: str, audience: Audience, row: dict[str, object]) -> bool:
    """Whether somebody has just bought what is promoted, or, unless it is bought again and again, something like it."""
    product = row.get("product_id")
    category = row.get("category") or now.product_categories.get(str(product)) or audience.promotes_category
    if now.world.category_settings.get(str(category), CategorySetting()).is_replenishable:
        category = None
    recent = {
        order.order_id
        for order in now.orders.get(user, [])
        if 0 <= (now.plan_date - order.day).days <= now.world.just_bought_days - 1
    }
    lines = [line for line in deduplicated(now.world, "order_items") if line["order_id"] in recent]
    return any(
        (product is not None and line["product_id"] == product)
        or (category is not None and now.category(line) == category)
        for line in lines
    )


def _candidate(now: AsOf, user: str, name: str, row: dict[str, object]) -> Candidate:
    campaign_id = str(row.get("campaign_id") or name)
    setting = now.world.campaign_settings.get(campaign_id, CampaignSetting())
    audience = settled(now, name, campaign_id)
    is_marketing = audience.message_class == "marketing"
    since = row["since"] if audience.each_order else None
    is_again, again_from = _already_sent(now, audience, _sends(now, user, campaign_id, since))  # type: ignore[arg-type]
    fall_out = None
    if user not in now.users:
        fall_out = "erased"
    elif not _is_running(now, campaign_id, setting):
        fall_out = "campaign_inactive"
    elif is_again:
        fall_out = "already_sent"
    elif is_marketing and _just_bought(now, user, audience, row):
        fall_out = "just_bought"
    holdout_kind = None
    if is_marketing and is_in_universal_holdout(now, user):
        holdout_kind = "universal"
    elif is_marketing and bucket(f"holdout:{campaign_id}", audience.salt, user) < Fraction(audience.holdout_share):
        holdout_kind = "campaign"
    channels = [
        planned["channel"]
        for planned in now.once(carried).get(user, [])
        if (planned["campaign_id"], planned["audience"]) == (campaign_id, name)
    ]
    return Candidate(
        user_id=user,
        audience=name,
        campaign_id=campaign_id,
        message_class=audience.message_class,
        value=audience.value,
        variant=_variant(campaign_id, audience.salt, user, audience.variants),
        holdout_kind=holdout_kind,
        carried_channel=next(iter(channels), None),
        fall_out=fall_out,
        again_from=again_from if fall_out == "already_sent" else None,
    )


def settled(now: AsOf, name: str, campaign_id: str) -> Audience:
    """An audience as the setting of a campaign has it."""
    setting = now.world.campaign_settings.get(campaign_id, CampaignSetting())
    return _settled(now.world.audiences[name], setting)


def candidates(now: AsOf) -> list[Candidate]:
    """Everybody whom an audience would contact, of the audiences that the world has."""
    found = []
    for name, rows in now.once(audiences).items():
        if name not in now.world.audiences:
            continue
        all_ = [_candidate(now, user, name, row) for user, row in rows.items()]
        left = [candidate for candidate in all_ if candidate.fall_out is None]
        left.sort(key=lambda c: (c.carried_channel is None, -(c.value or 0), c.user_id, c.campaign_id))
        beyond = set()
        for place, candidate in enumerate(left, start=1):
            most = settled(now, name, candidate.campaign_id).max_per_day
            if most is not None and place > most:
                beyond.add(candidate.key)
        found += [replace(c, fall_out="over_audience_limit") if c.key in beyond else c for c in all_]
    return found


def channel_order(now: AsOf, candidate: Candidate) -> list[str]:
    """The channels of a candidate in the order in which they are tried."""
    audience = settled(now, candidate.audience, candidate.campaign_id)
    if candidate.carried_channel is not None:
        return [channel for channel in audience.channels if channel == candidate.carried_channel]
    rank: dict[str, tuple[int, Fraction]] = {}
    for channel in audience.channels:
        contacts = [
            contact
            for contact in now.contacts_with(candidate.user_id)
            if contact.channel == channel and now.is_in_last(contact.contact_date, RESPONSE_DAYS)
        ]
        clicked = sum(contact.is_clicked for contact in contacts)
        reacted = any(contact.is_opened or contact.is_clicked for contact in contacts)
        if len(contacts) < now.world.response_min_contacts:
            rank[channel] = 2, Fraction(0)
        elif clicked:
            rank[channel] = 1, -Fraction(clicked, len(contacts))
        elif reacted or not audience.drops_silent_channels:
            rank[channel] = 3, Fraction(0)
    return sorted(rank, key=lambda channel: rank[channel])


def candidate_channels(now: AsOf) -> dict[tuple[str, str, str], list[tuple[str, str | None]]]:
    """By candidate that has not fallen out its channels in order, each with why it can't be used (None: it can)."""
    eligibility = now.once(channel_eligibility)
    rows = {}
    for candidate in now.once(candidates):
        if candidate.fall_out is None:
            column = "reason" if candidate.message_class == "marketing" else "service_reason"
            rows[candidate.key] = [
                (channel, eligibility[candidate.user_id, channel][column]) for channel in channel_order(now, candidate)
            ]
    return rows  # type: ignore[return-value]
