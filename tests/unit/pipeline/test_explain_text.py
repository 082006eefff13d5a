"""What an explanation says: in plain words, aligned, and nothing of data that a terminal would obey."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from orchestration.explain.facts import (
    Audience,
    Blackout,
    Eligibility,
    Facts,
    Message,
    Planned,
    PlannedContact,
    Policy,
    Pressure,
    Segment,
    Suppression,
)
from orchestration.explain.plain import plain
from orchestration.explain.text import WIDTH, explanation
from orchestration.explain.timeline import timeline
from orchestration.explain.words import cap_use_in_words, free_from, listed, measures_of
from orchestration.settings import Settings
from tests.unit.pipeline.explain_tables import JUNE, make_tables

MONDAY = date(2024, 7, 1)
POLICY = Policy(
    channels=["email", "sms", "push", "telegram", "viber"],
    counting=frozenset({"email", "sms", "push"}),
    gaps={"sms": 3},
    blackouts=[],
    min_marketing_age=16,
    marketing_retention_days=1095,
    just_bought_days=30,
    follow_up_days=7,
    each_order=frozenset({"care"}),
    drops_silent=frozenset({"wake"}),
    fatigue_signal_days=90,
)
FREE = Pressure(0, 0, None, None, None, MONDAY)
FACTS = Facts(
    user_id="u1",
    as_of=JUNE,
    plan_date=MONDAY,
    is_final=True,
    measures={"last_order_date": date(2024, 6, 28), "country": "DE"},
    rfm={},
    segments=[],
    messages=[],
    planned_contacts=[],
    policy_segment="engaged",
    pressure_status="healthy",
    pressure=FREE,
    pressure_by_channel={},
    eligibility=[],
    plan=[],
    suppressions=[],
    audiences=[],
)
#: Those of the rules.
CHANNEL_REASONS = [
    "erased", "do_not_contact", "minor", "inactive_too_long", "no_address", "duplicate_address", "no_consent",
    "suppressed", "blackout", "post_purchase", "min_gap", "channel_cap", "total_cap", "fatigued",
]  # fmt: skip
FALL_OUTS = ["campaign_inactive", "already_sent", "just_bought", "over_audience_limit"]


def text_of(facts: Facts, policy: Policy = POLICY) -> str:
    return explanation(facts, policy)


def section(text: str, title: str) -> list[str]:
    """The lines of a section, without its title."""
    found = [part.splitlines() for part in text.split("\n\n") if part.startswith(title)]
    assert len(found) == 1, text
    return found[0][2:]


def planned(name: str, **what: Any) -> Planned:
    return replace(Planned(name, name, "sms", "marketing", None, None, None), **what)


def refused(channel: str, reason: str | None) -> Eligibility:
    return Eligibility(channel, reason is None, reason, None)


# the whole text

ANNA = """\
User anna as of 2024-06-30, with the plan of Monday 2024-07-01
==============================================================
  Pressure   2 contacts in 7 days, 6 in 30, the last on 2024-06-30; status near_cap
  Channels   marketing may go out on email
  Planned    cart on email

Segments, and why
-----------------
Visits:
  engagement         engaged            All others: more than one visit, the last at most 30 days
                                        ago
                                        This user: 12 visits, the first 2024-01-04, the last
                                        2024-06-29 (1 day ago)
  engagement_outlook steady             No other segment of the family fits
                                        This user: last visit 2024-06-29 (1 day ago); a visit is
                                        expected every 6.2 days
Buying:
  lifecycle          loyal              At least 4 orders in 365 days, the last at most 90 days ago
                                        This user: 4 orders, the last 2024-05-01 (60 days ago); net
                                        revenue 1,234.50
  rfm                champions          R 5 and FM 4 to 5, scores over 365 days
                                        This user: R 5, F 4, M 5, FM 5: last order 60 days ago, 4
                                        orders worth 1,234.50 in the window
Messages:
  pressure_status    near_cap           Contacts at least 0.6 times what some cap allows
                                        This user: 2 contacts in 7 days, 6 in 30
Others:
  shoe_size          large              (the catalogue has no words for it)
Profile:
  known              country DE
  unknown            gender

Contacts of the last 30 days
----------------------------
                  3 Jun  10 Jun 17 Jun 24 Jun          contacts in
                SSMTWTFSSMTWTFSSMTWTFSSMTWTFSS M   7 days  30 days
  email         s.C................!.......s.. >        1        5
  push          ..........................tx.? .        1        1
  contacts      1.2................1.......1.1 1        2        6

  ! led to a complaint or unsubscribe
  C contact, clicked
  s contact, sent
  ? contact, planned and not yet reported by the provider
  x marketing that does not count (failed, bounced, ...)
  t receipt or service message
  > planned for 2024-07-01

  Contacts by campaign: news 4, cart 1, deal 1

Caps on 2024-07-01, as for engaged users
----------------------------------------
  all channels room for 1      1 of 2 in 1 day, 2 of 5 in 7 days, 6 of 15 in 30 days; the plan uses
                               1
  email        room for 1      0 of 1 in 1 day, 1 of 4 in 7 days; the plan uses 1
  push         used up         0 of 1 in 1 day, 3 of 3 in 7 days; room again from 2024-07-03
  telegram     no cap

Channels for marketing on 2024-07-01
------------------------------------
  email         yes
  sms           no              no usable address; ends with an address
  push          from 2024-07-03 the caps of this channel are used up
  telegram      no              no consent; ends with the user's consent
  viber         no              unsubscribed, complained, or the address bounced; ends with a new
                                consent after an unsubscribe, a new address after a bounce; nothing
                                after a complaint

  A date is the earliest one: it holds if nothing more is sent until then.

  Receipts and service messages may go out on email and push.

Campaigns on 2024-07-01
-----------------------
Planned:
  cart                      on email, variant offer, value 12.00
Held out, to measure what the campaign brings:
  champions                 held out of this campaign; it would go out on email
Left out:
  category_news (news_tea)  the last room in its channels goes to cart, which comes first; it is
                            tried again the next day
  once                      it was sent already; it is sent once
  texts                     none of its channels is open (sms, push): the caps of this channel are
                            used up; from 2024-07-03 on push
Not meant for this user, but for:
  care                      ordered on the date"""


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], Facts]:
    from orchestration.explain.reading import read_facts

    settings = Settings(tmp_path, tmp_path, JUNE, MONDAY)
    make_tables(settings.published_file)
    return lambda user_id: read_facts(settings, user_id)


def test_the_whole_text(read: Callable[[str], Facts]) -> None:
    assert text_of(read("anna")) == ANNA


@pytest.mark.parametrize("user_id", ["anna", "bob", "cleo", "dan"])
def test_no_line_is_too_long_or_ends_in_blanks(read: Callable[[str], Facts], user_id: str) -> None:
    for line in text_of(read(user_id)).splitlines():
        assert len(line) <= WIDTH
        assert line == line.rstrip()
        assert "None" not in line


def test_what_is_long_or_would_be_obeyed() -> None:
    evil = "\x1b[2J\r\x9b\u202e\u2028" + "x" * 300
    facts = replace(
        FACTS,
        user_id=evil,
        pressure_status=evil,
        policy_segment=evil,
        measures={"abandoned_product_id": evil, "reachable_channels": evil, "country": evil},
        segments=[Segment(name, evil, evil) for name in ("abandonment", "reachability", "country", evil)],
        messages=[Message(JUNE, evil, evil, evil, True, False, False, False)],
        pressure_by_channel={evil: replace(FREE, headroom=0, cap_use=evil)},
        eligibility=[Eligibility(evil, False, evil, None), Eligibility("email", False, evil, evil)],
        plan=[
            Planned(evil, evil, evil, evil, evil, None, None),
            Planned(evil, evil, evil, "marketing", None, evil, None),
        ],
        suppressions=[Suppression(evil, evil, evil, reason, evil, None, None) for reason in (evil, "outranked_total")],
        audiences=[Audience("other", evil, evil, evil, None, None), Audience(evil, evil, evil, evil, None, None)],
        addresses={evil: evil},
    )
    text = text_of(facts)
    assert "\\x1b[2J" in text
    assert all(character == "\n" or character.isprintable() for character in text)
    assert max(map(len, text.splitlines())) <= WIDTH


def test_plain() -> None:
    assert plain("Zoë\tÅ 東京 🙂") == "Zoë\\tÅ 東京 🙂"
    assert plain("\x1b]0;x\x07") == "\\x1b]0;x\\x07"
    assert plain("\udce9") == "\\udce9"


# what comes first


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"is_final": False}, "  Not final: 2024-06-30 was not over when this was built."),
        (
            {"pressure": replace(FREE, contacts_30d=1, days_since_last_contact=9)},
            "Pressure   0 contacts in 7 days, 1 in 30, the last 9 days ago",
        ),
        ({}, "Pressure   never contacted; status healthy"),
        ({}, "Channels   not judged yet: the user was not known when the plan was made"),
        ({"eligibility": [refused("sms", None), refused("email", None)]}, "marketing may go out on email and sms"),
        ({"eligibility": [refused("sms", "minor")]}, "no marketing on 2024-07-01, nor later unless something changes"),
        (
            {"eligibility": [refused("sms", "minor"), refused("email", "post_purchase")]},
            "no marketing on 2024-07-01; from 2024-07-06 on email",
        ),
        ({}, "Planned    nothing: no campaign is meant for this user"),
        ({"suppressions": [Suppression("a", "a", "marketing", "minor", None, None, None)]}, "nothing: left out of a"),
        ({"plan": [planned("a", holdout_kind="campaign")]}, "nothing: held out of a, to measure"),
        ({"plan": [planned("a", holdout_kind="universal")]}, "nothing: held out of all marketing"),
        ({"plan": [planned(name) for name in "abc"]}, "Planned    a on sms, b on sms and c on sms"),
    ],
)
def test_in_short(changed: dict[str, object], line: str) -> None:
    assert line in text_of(replace(FACTS, **changed)).split("\n\n")[0]


# segments


def test_measures_that_are_not_known_are_not_told() -> None:
    bare = replace(FACTS, measures={})
    for family in ("engagement", "engagement_outlook", "lead_temperature", "category_affinity", "abandonment"):
        assert measures_of(family, bare) == ""
    for family in ("lifecycle", "rfm", "value_tier", "loyalty_basket", "post_purchase", "reachability", "my_own"):
        assert measures_of(family, bare) == ""


def test_measures() -> None:
    measures = {
        "lead_score": 10.04,
        "category_affinity_share": 0.484,
        "category_runner_up": "Tea",
        "abandoned_category": "Tea",
        "abandoned_product_id": "p1",
        "mean_order_value": 1234.5,
        "orders_in_window": 1,
        "reachable_channels": "email|sms",
    }
    facts = replace(FACTS, measures=measures, rfm={"f_score": 2, "m_score": 3})
    assert measures_of("lead_temperature", facts) == "score 10.0"
    assert measures_of("category_affinity", facts) == "48% of the interest goes to the first category; next is Tea"
    assert measures_of("abandonment", facts) == "product p1, category Tea"
    assert measures_of("loyalty_basket", facts) == "1 order in the year, 1,234.50 on average"
    assert measures_of("value_tier", facts) == "F 2, M 3"
    assert measures_of("reachability", facts) == "email, sms"


# contacts


def message(day: date, channel: str = "email", **what: bool) -> Message:
    flags = {"is_contact": True, "is_opened": False, "is_clicked": False, "is_negative": False}
    return Message(day, channel, "news", "marketing", **{**flags, **what})


def test_a_day_shows_what_tells_most() -> None:
    opened, clicked = message(JUNE, is_opened=True), message(JUNE, is_opened=True, is_clicked=True)
    failed, angry = message(JUNE, is_contact=False), message(JUNE, is_contact=False, is_negative=True)
    receipt = replace(failed, message_class="transactional")
    pending = PlannedContact(JUNE, "email", "news", "marketing", True)
    growing = [receipt, failed, message(JUNE), opened, clicked, angry]
    shown = [timeline(growing[: n + 1], [], {}, JUNE, 2, POLICY)[2] for n in range(len(growing))]
    assert [line[16:20] for line in shown] == [".t .", ".x .", ".s .", ".O .", ".C .", ".! ."]
    assert timeline([receipt, failed], [pending], {}, JUNE, 2, POLICY)[2].split() == ["email", ".?", ".", "1", "1"]
    assert timeline([message(JUNE)], [pending], {}, JUNE, 2, POLICY)[2].split() == ["email", ".s", ".", "2", "2"]
    assert timeline([], [replace(pending, is_pending=False)], {}, JUNE, 2, POLICY) == []


def test_more_than_nine_contacts_on_a_day() -> None:
    lines = timeline([message(JUNE, name) for name in ("email", "sms") for _ in range(5)], [], {}, JUNE, 7, POLICY)
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["email", "......s"],
        ["sms", "......s"],
        ["contacts", "......+"],
    ]


def test_channels_are_in_the_order_of_the_seed() -> None:
    lines = timeline([message(JUNE, name) for name in ("unknown", "push", "email")], [], {"sms": 0}, JUNE, 7, POLICY)
    assert [line.split()[0] for line in lines[2:7]] == ["email", "sms", "push", "unknown", "contacts"]


def test_the_day_of_the_plan() -> None:
    plan = [planned("a"), planned("b"), planned("c", channel="email", message_class="transactional")]
    held = planned("d", channel="push", holdout_kind="campaign")
    lines = section(text_of(replace(FACTS, plan=[*plan, held])), "Contacts of")
    # two contacts; a receipt is no contact, and who is held out gets nothing
    assert [line.split()[0::2][:2] for line in lines[2:]] == [["email", ">"], ["sms", ">"], ["contacts", "2"]]


def test_nobody_is_shown_an_empty_timeline() -> None:
    assert section(text_of(FACTS), "Contacts of") == ["  No message."]


# caps


@pytest.mark.parametrize(
    ("cap_use", "words"),
    [
        (None, ""),
        ("1d 0/2", "0 of 2 in 1 day"),
        ("7d 3/5|30d 1000/1500", "3 of 5 in 7 days, 1,000 of 1,500 in 30 days"),
        # of two caps of a window the higher never binds
        ("1d 1/1|1d 1/2|7d 2/2|7d 2/5", "1 of 1 in 1 day, 2 of 2 in 7 days"),
    ],
)
def test_use_of_caps(cap_use: str | None, words: str) -> None:
    assert cap_use_in_words(replace(FREE, cap_use=cap_use)) == words


def test_room() -> None:
    channels = {
        "email": replace(FREE, headroom=2, cap_use="7d 1/3"),
        "sms": replace(FREE, headroom=0, cap_use="7d 1/1", next_eligible_date=date(2024, 7, 5)),
        "push": replace(FREE, headroom=0, cap_use="1d 0/0", next_eligible_date=None),
    }
    assert section(text_of(replace(FACTS, pressure_by_channel=channels)), "Caps on 2024-07-01, as for engaged") == [
        "  all channels no cap",
        "  email        room for 2      1 of 3 in 7 days",
        "  sms          used up         1 of 1 in 7 days; room again from 2024-07-05; at least 3 days apart",
        "  push         none (cap 0)    0 of 0 in 1 day",
    ]


@pytest.mark.parametrize(
    ("segment", "arm", "words"),
    [
        ("engaged", "high", "engaged users, each one higher (high arm of the dose test)"),
        ("engaged", "low", "engaged users, each one lower (low arm of the dose test)"),
        ("engaged", "control", "engaged users"),
        ("fatigued", "high", "fatigued users"),
    ],
)
def test_caps_of_an_arm_of_the_dose_test(segment: str, arm: str, words: str) -> None:
    text = text_of(replace(FACTS, policy_segment=segment, dose_arm=arm))
    assert f"Caps on 2024-07-01, as for {words}\n" in text


# channels


@pytest.mark.parametrize("reason", CHANNEL_REASONS)
def test_every_reason_of_a_channel_has_words_and_an_end(reason: str) -> None:
    facts = replace(FACTS, eligibility=[refused("sms", reason)])
    (line, *more) = section(text_of(facts), "Channels for")
    told = " ".join([line, *more])
    assert reason not in without_names(told)
    assert "from 2024-" in told or "ends with" in told, told


def test_one_line_where_every_channel_is_closed_alike() -> None:
    facts = replace(FACTS, eligibility=[refused(name, "minor") for name in ("email", "sms")])
    assert section(text_of(facts), "Channels for")[0] == (
        "  every channel no              the user is younger than 16; ends with the birthday"
    )


def test_from_when() -> None:
    later = replace(FREE, next_eligible_date=date(2024, 7, 9))
    facts = replace(FACTS, pressure_by_channel={"sms": later, "push": replace(FREE, next_eligible_date=None)})
    for reason in ("min_gap", "channel_cap", "total_cap", "fatigued"):
        assert free_from(refused("sms", reason), facts, POLICY) == date(2024, 7, 9)
        assert free_from(refused("push", reason), facts, POLICY) is None
    assert free_from(refused("email", None), facts, POLICY) == MONDAY
    # the order of 28 June rests for 7 days, to 5 July
    assert free_from(refused("push", "post_purchase"), facts, POLICY) == date(2024, 7, 6)
    assert free_from(refused("sms", "post_purchase"), facts, POLICY) == date(2024, 7, 9)
    assert free_from(refused("sms", "no_consent"), facts, POLICY) is None


@pytest.mark.parametrize(
    ("blackouts", "country", "day"),
    [
        ([Blackout(MONDAY, None, None, None)], "DE", date(2024, 7, 2)),
        ([Blackout(None, 0, None, None), Blackout(date(2024, 7, 2), None, "sms", "DE")], "DE", date(2024, 7, 3)),
        ([Blackout(None, 0, None, None), Blackout(date(2024, 7, 2), None, "email", None)], "DE", date(2024, 7, 2)),
        ([Blackout(None, 0, None, None), Blackout(date(2024, 7, 2), None, None, "FR")], "DE", date(2024, 7, 2)),
        ([Blackout(None, day, None, None) for day in range(7)], "DE", None),
        # a country of few users is published as `other`
        ([Blackout(MONDAY, None, None, "LI")], "other", None),
        ([Blackout(MONDAY, None, None, None)], "other", date(2024, 7, 2)),
    ],
)
def test_the_day_after_a_blackout(blackouts: list[Blackout], country: str, day: date | None) -> None:
    facts, policy = replace(FACTS, measures={"country": country}), replace(POLICY, blackouts=blackouts)
    assert free_from(refused("sms", "blackout"), facts, policy) == day


def test_service_messages() -> None:
    rows = [Eligibility("email", False, "no_consent", None), Eligibility("push", False, "no_address", "no_address")]
    text = text_of(replace(FACTS, eligibility=rows))
    assert "Receipts and service messages may go out on email.\n" in text
    text = text_of(replace(FACTS, eligibility=rows[1:]))
    assert "Receipts and service messages can't go out on any channel.\n" in text


# campaigns


def left_out(row: Suppression, audience: Audience | None = None, **changed: object) -> str:
    facts = replace(FACTS, suppressions=[row], audiences=[audience] if audience else [], **changed)
    lines = text_of(facts).split("Left out:\n")[1].splitlines()
    return " ".join(line.strip() for line in lines).removeprefix(row.audience).strip()


def without_names(told: str) -> str:
    """The words, without the names of seeds and the word for people who are tired."""
    return re.sub(r"seeds/\w+\.csv|\(fatigued\)", "", told)


def suppression(reason: str, **what: object) -> Suppression:
    return replace(Suppression("cart", "cart", "marketing", reason, None, None, None), **what)


@pytest.mark.parametrize("reason", [*CHANNEL_REASONS, *FALL_OUTS, "outranked_channel", "outranked_total"])
def test_every_reason_has_words(reason: str) -> None:
    assert reason not in without_names(left_out(suppression(reason)))


def test_already_sent() -> None:
    sent, audience = suppression("already_sent"), Audience("cart", "", "email", "marketing", None, None)
    assert left_out(sent, audience) == "it was sent already; it is sent once"
    assert left_out(sent, replace(audience, max_sends=3, repeat_after_days=30)).endswith("it is sent 3 times at most")
    assert left_out(replace(sent, again_from=date(2024, 7, 9)), audience).endswith("again from 2024-07-09")
    each = left_out(replace(sent, audience="care"), replace(audience, audience="care"))
    assert each.endswith("it is sent once for each order")


def test_outranked() -> None:
    row = suppression("outranked_total", won_by_campaign_id="offer")
    assert left_out(row).startswith("the last room in its caps over all channels goes to offer, which comes first; ")
    assert "goes to others" in left_out(suppression("outranked_channel"))


def test_no_channel_is_open() -> None:
    audience = Audience("cart", "left a cart", "push|email|fax", "marketing", 7, None)
    later = {
        "email": replace(FREE, next_eligible_date=date(2024, 7, 4)),
        "push": replace(FREE, next_eligible_date=date(2024, 7, 9)),
    }
    closed = [refused("email", "channel_cap"), refused("push", "total_cap"), refused("sms", None)]
    row = suppression("total_cap")
    assert left_out(row, audience, eligibility=closed, pressure_by_channel=later) == (
        "none of its channels is open (push, email): the caps over all channels are used up; from 2024-07-04 on email"
    )
    service = replace(row, message_class="transactional", reason="no_address")
    assert left_out(service, audience, eligibility=closed, pressure_by_channel=later).endswith("ends with an address")


def test_channels_that_brought_no_reaction() -> None:
    audience = Audience("wake", "is dormant", "push|email", "marketing", 30, None)
    rows = [refused("email", None), refused("push", "no_consent")]
    row = Suppression("wake", "wake", "marketing", "no_consent", None, None, None)
    told = left_out(row, audience, eligibility=rows, silent_channels=frozenset({"email", "sms"}))
    assert told == (
        "none of its channels is open (push): no consent; ends with the user's consent; "
        "email left out, since messages there brought no reaction lately"
    )
    row = replace(row, reason="no_address")
    told = left_out(row, audience, eligibility=rows, silent_channels=frozenset({"email", "push"}))
    assert told == "messages on push and email brought no reaction lately, so this campaign leaves them out"
    # other audiences leave nothing out
    others = replace(row, audience="cart", reason="no_consent"), replace(audience, audience="cart")
    assert "reaction" not in left_out(*others, eligibility=rows, silent_channels=frozenset({"email"}))


def test_held_out_and_transactional() -> None:
    plan = [planned("a", holdout_kind="universal"), planned("b", message_class="service")]
    lines = section(text_of(replace(FACTS, plan=plan)), "Campaigns on 2024-07-01")
    assert lines == [
        "Planned:",
        "  b  on sms, service: it counts towards no cap",
        "Held out, to measure what the campaign brings:",
        "  a  held out of all marketing (universal holdout); it would go out on sms",
    ]


def test_no_campaigns() -> None:
    assert section(text_of(FACTS), "Campaigns on") == ["  There are no campaigns."]


def test_a_build_of_the_day_itself_still_has_the_plan_of_the_night() -> None:
    plan = [planned("a")]
    channels = {"sms": replace(FREE, headroom=1, cap_use="1d 0/1")}
    text = text_of(replace(FACTS, plan_date=JUNE, is_final=False, plan=plan, pressure_by_channel=channels))
    assert "with the plan of Sunday 2024-06-30" in text
    assert "Caps on 2024-07-01" in text
    assert "Campaigns on 2024-06-30" in text
    # what is planned today is no plan for tomorrow
    assert "the plan uses" not in text
    assert "planned for" not in text


def test_addresses_only_where_asked_for() -> None:
    assert "Addresses" not in text_of(FACTS)
    assert section(text_of(replace(FACTS, addresses={})), "Addresses") == ["  None."]
    found = replace(FACTS, addresses={"sms": "+49301234567", "email": "a@example.org"})
    assert section(text_of(found), "Addresses") == ["  email         a@example.org", "  sms           +49301234567"]


def test_a_list_in_words() -> None:
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
