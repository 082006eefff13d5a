"""Audiences, candidates and the plan, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from people import D, ago, event, friend, message, order, planned, reaction, together

from tests.properties import oracle
from tests.properties.oracle import Audience, CampaignSetting, CategorySetting, PolicyRow, UniversalHoldout, World
from tests.properties.oracle.candidates import bucket

P = D + timedelta(days=1)


def audience(name, **parts):
    parts.setdefault("users", [{"user_id": "u"}])
    return oracle.audiences_as_of(World(**parts), D)[name].get("u")


# --- who


@pytest.mark.parametrize("age", [13, 14, 16, 17])
def test_two_weeks_after_the_start(age):
    expected = {} if age in (14, 16) else None
    assert audience("retention_day_15", events=[event(age)]) == expected
    assert audience("retention_day_15", users=[{"user_id": "u", "installed_at": ago(age)}]) == expected
    assert audience("retention_day_15", events=[event(age, "Application Installed"), event(300)]) == expected
    assert audience("retention_day_15", events=[event(age), event(7)]) == expected
    assert audience("retention_day_15", events=[event(age), event(6)]) is None


def test_abandoned_with_what_was_left():
    rows = [event(0, "Product Added", product_id="p", category="tea")]
    assert audience("abandoned_cart", events=rows) == {"product_id": "p", "category": "tea"}
    assert audience("abandoned_browse", events=rows) is None


def test_an_order_of_the_date_and_one_of_the_cycle():
    orders = [order(0), order(0, text="18:00")]
    assert audience("post_purchase_care", orders=orders) == {"since": ago(0, "18:00")}
    assert audience("next_cycle", orders=orders) is None
    assert audience("next_cycle", orders=[order(8), order(100)]) == {"since": ago(8)}


def test_who_buys_anyway_gets_no_offer():
    hot = [event(age, "Product Viewed") for age in (0, 1, 2)]
    assert audience("hot_lead_offer", events=hot) == {}
    assert audience("hot_lead_offer", events=hot, orders=[order(29)]) is None
    assert audience("hot_lead_offer", events=hot, orders=[order(30)]) == {}


def test_news_of_a_category_that_has_a_campaign():
    rows = [event(1, "Product Viewed", category="tea")] * 3
    rows = [{**row, "event_id": f"e{number}"} for number, row in enumerate(rows)]
    seed = {"tea": CategorySetting(False, "news_tea")}
    expected = {"campaign_id": "news_tea", "category": "tea"}
    assert audience("category_news", events=rows, category_settings=seed) == expected
    assert audience("category_news", events=rows, category_settings={"tea": CategorySetting()}) is None


# --- candidates: who has read a page is one of ladder_content

ONE = {"ladder_content": Audience(("email", "push"), Decimal(1), repeat_after_days=14)}


def candidate(**parts):
    parts = {"audiences": ONE, "events": [event(3)], **friend(), **parts}
    (found,) = oracle.candidates_as_of(World(**parts), D)
    return found


def settings(**values):
    return {"campaign_settings": {"ladder_content": CampaignSetting(**values)}}


def test_campaigns_that_are_not_running():
    assert candidate().fall_out is None
    assert candidate(**settings(is_active=False)).fall_out == "campaign_inactive"
    row = {"campaign_id": "ladder_content", "starts_at": ago(-1)}
    assert candidate(campaigns=[row]).fall_out is None
    assert candidate(campaigns=[{**row, "starts_at": ago(-2)}]).fall_out == "campaign_inactive"
    assert candidate(campaigns=[{**row, "ends_at": ago(-1, "00:00")}]).fall_out is None
    assert candidate(campaigns=[{**row, "ends_at": ago(0)}]).fall_out == "campaign_inactive"


def test_sent_already():
    for age, expected in ((12, ("already_sent", D + timedelta(days=2))), (13, (None, None))):
        sent = candidate(messages=[message(age, campaign_id="ladder_content", message_class="service")])
        assert (sent.fall_out, sent.again_from) == expected
        waiting = candidate(planned_contacts=[planned(age, "ladder_content")])
        assert (waiting.fall_out, waiting.again_from) == expected
    assert candidate(planned_contacts=[planned(-1, "ladder_content")]).fall_out is None
    both = [message(20, campaign_id="ladder_content"), message(40, campaign_id="ladder_content")]
    assert candidate(messages=both, **settings(max_sends=2)).fall_out == "already_sent"
    assert candidate(messages=both, **settings(max_sends=3)).fall_out is None
    never_again = {"ladder_content": replace(ONE["ladder_content"], repeat_after_days=None)}
    row = candidate(messages=both, audiences=never_again)
    assert (row.fall_out, row.again_from) == ("already_sent", None)


def test_each_order_begins_anew():
    each = {"next_cycle": Audience(("email",), each_order=True, returns=("since",))}

    def fall_out(**parts):
        return candidate(audiences=each, events=[], orders=[order(10)], **parts).fall_out

    assert fall_out(messages=[message(10, text="12:00", campaign_id="next_cycle")]) is None
    assert fall_out(messages=[message(10, text="12:01", campaign_id="next_cycle")]) == "already_sent"
    assert fall_out(planned_contacts=[planned(10, "next_cycle")]) is None
    assert fall_out(planned_contacts=[planned(9, "next_cycle")]) == "already_sent"


def test_bought_just_now():
    cart = {"abandoned_cart": Audience(("email",), returns=("product_id", "category"))}

    def fall_out(age=10, product="p", category=None, **parts):
        bought = order(age)
        line = {"order_id": bought["order_id"], "line_number": 1, "product_id": product, "category": category}
        left = event(0, "Product Added", product_id="p", category="tea")
        return candidate(audiences=cart, events=[left], orders=[bought], order_items=[line], **parts).fall_out

    assert fall_out(28) == "just_bought"
    assert fall_out(29) is None
    assert fall_out(product="q") is None
    assert fall_out(product="q", category="tea") == "just_bought"
    again_and_again = {"category_settings": {"tea": CategorySetting(True)}}
    assert fall_out(product="q", category="tea", **again_and_again) is None
    assert fall_out(**again_and_again) == "just_bought"


def test_the_best_of_an_audience_stay():
    people = together(*(friend(user) for user in "abc"))
    rows = [{**event(3), "user_id": user} for user in "abc"]
    carried = [planned(-1, "ladder_content", user="c")]
    world = World(
        **people, events=rows, audiences={"ladder_content": replace(ONE["ladder_content"], max_per_day=2)},
        planned_contacts=carried,
    )  # fmt: skip
    found = {c.user_id: (c.fall_out, c.carried_channel) for c in oracle.candidates_as_of(world, D)}
    assert found == {"a": (None, None), "b": ("over_audience_limit", None), "c": (None, "email")}


def test_hashes():
    # md5 of "universal|2020|u" begins with d93fc244
    assert bucket("universal", "2020", "u") == Fraction(0xD93FC244, 2**32)
    assert candidate(universal_holdouts=[UniversalHoldout(P, "x", Decimal(1))]).holdout_kind == "universal"
    rows = [UniversalHoldout(D, "x", Decimal(1)), UniversalHoldout(P, "y", Decimal(0))]
    assert candidate(universal_holdouts=rows).holdout_kind is None
    assert candidate(**settings(holdout_share=Decimal(1))).holdout_kind == "campaign"
    assert candidate(**settings(variants=(("a", Decimal(0)), ("b", Decimal(1))))).variant == "b"


def channels(**parts):
    parts = {"audiences": ONE, "events": [event(3)], **friend(), **parts}
    (rows,) = oracle.candidate_channels_as_of(World(**parts), D).values()
    return [channel for channel, _ in rows]


def test_channels_that_brought_something_come_first():
    sent = [message(40 + number, "push") for number in range(3)]
    assert channels(messages=sent) == ["email", "push"]
    assert channels(messages=sent, message_events=[reaction(sent[0], "clicked", 30)]) == ["push", "email"]
    silent = {"ladder_content": replace(ONE["ladder_content"], drops_silent_channels=True)}
    assert channels(messages=sent, audiences=silent) == ["email"]
    assert channels(messages=sent[:2], audiences=silent) == ["email", "push"]
    opened = [reaction(sent[0], "opened", 30)]
    assert channels(messages=sent, message_events=opened, audiences=silent) == ["email", "push"]
    assert channels(planned_contacts=[planned(-1, "ladder_content", "push")]) == ["push"]


# --- the plan: somebody dormant, with an abandoned ladder, or both

TWO = {
    "ladder_content": Audience(("email",), Decimal(1)),
    "win_back_lapsed": Audience(("email", "in_app"), Decimal(5)),
}


def outcome(**parts):
    """By campaign the channel, or the reason and who won."""
    parts = {"audiences": TWO, "events": [event(3)], "orders": [order(200)], **friend(), **parts}
    world = World(**parts)
    found = {key[1]: row["channel"] for key, row in oracle.contact_plan_as_of(world, D).items()}
    for key, row in oracle.contact_suppressions_as_of(world, D).items():
        found[key[1]] = (row["reason"], row["won_by_campaign_id"])
    return found


def caps(*rows):
    return {"contact_policy": [PolicyRow(*row) for row in rows]}


def test_the_better_one_is_planned_first():
    assert outcome() == {"ladder_content": "email", "win_back_lapsed": "email"}
    won = {"win_back_lapsed": "email", "ladder_content": ("outranked_total", "win_back_lapsed")}
    assert outcome(**caps(("*", "all", 1, 1))) == won
    won["ladder_content"] = ("outranked_channel", "win_back_lapsed")
    assert outcome(**caps(("*", "email", 1, 1))) == won
    assert outcome(channel_gaps={"email": 1}) == won
    assert outcome(channel_gaps={"email": 0}) == outcome()
    swapped = settings(value=Decimal(9)) | caps(("*", "email", 1, 1))
    assert outcome(**swapped) == {"ladder_content": "email", "win_back_lapsed": "in_app"}


def test_nobody_to_reach():
    assert outcome(consents=[]) == {"ladder_content": ("no_consent", None), "win_back_lapsed": "in_app"}
    assert outcome(**caps(("*", "all", 1, 0)))["win_back_lapsed"] == ("total_cap", None)
    quiet = {"consents": [], **caps(("*", "in_app", 1, 0))}
    assert outcome(**quiet)["win_back_lapsed"] == ("channel_cap", None)


def test_who_is_held_out_uses_nothing():
    held = {"campaign_settings": {"win_back_lapsed": CampaignSetting(holdout_share=Decimal(1))}}
    assert outcome(**held, **caps(("*", "all", 1, 1))) == {"ladder_content": "email", "win_back_lapsed": "email"}


def test_what_was_carried_stays():
    carried = {"planned_contacts": [planned(-1, "ladder_content")]}
    kept = {"ladder_content": "email", "win_back_lapsed": ("outranked_total", "ladder_content")}
    assert outcome(**carried, **caps(("*", "all", 1, 1))) == kept
    assert outcome(**carried, **caps(("*", "email", 1, 1))) == {"ladder_content": "email", "win_back_lapsed": "in_app"}
    gone = {"planned_contacts": [planned(-1, "autumn", "push")]}
    nobody = ("outranked_total", None)
    assert outcome(**gone, **caps(("*", "all", 1, 1))) == {"ladder_content": nobody, "win_back_lapsed": nobody}


def test_what_was_carried_goes_when_it_may_not_stay():
    carried = {"planned_contacts": [planned(-1, "ladder_content"), planned(-1, "win_back_lapsed")]}
    assert outcome(**carried) == {"ladder_content": "email", "win_back_lapsed": "email"}
    both = outcome(**carried, **caps(("*", "all", 1, 1)))
    assert {reason for reason, _ in both.values()} == {"outranked_total"}
    assert outcome(**carried, consents=[])["win_back_lapsed"] == ("no_consent", None)


def test_transactional_messages_know_no_caps():
    care = {"post_purchase_care": Audience(("push", "email"), message_class="transactional", each_order=True)}
    parts = {"audiences": care, "orders": [order(0)], **caps(("*", "all", 1, 0)), "consents": []}
    assert outcome(**parts) == {"post_purchase_care": "email"}
    assert outcome(**{**parts, "users": []}) == {"post_purchase_care": ("no_address", None)}
