"""Outlook, purchase stage, lead temperature, affinity and abandonment, by hand."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from people import D, event, message, order, reaction, row_of, segment_of

from tests.properties import oracle
from tests.properties.oracle import World


def outlook(*ages, **parts):
    return row_of("engagement_outlook", events=[event(age) for age in ages], **parts)


def test_engaged_and_silent():
    # Gaps of 4 and 4, the mean is 4: expected 4, so that a silence of 8 is a risk.
    assert outlook(15, 19, 23) == {"segment": "engaged_risky", "expected_gap_days": 4, "silence_days": 15}
    assert outlook(8, 12, 16)["segment"] == "engaged_risky"
    assert outlook(7, 11, 15)["segment"] == "steady"
    # (10 + 20 + 2 · 15) / 4
    assert outlook(1, 11, 31)["expected_gap_days"] == 15


def test_expected_gap_is_pooled():
    other = [event(age, user_id="v") for age in (0, 3)]
    own = [event(age) for age in (6, 15)]
    # All gaps are 3 and 9, their mean is 6: (9 + 12) / 3.
    row = row_of("engagement_outlook", events=[*own, *other])
    assert row == {"segment": "steady", "expected_gap_days": 7, "silence_days": 6}
    # Of no gap: the mean itself. A gap that began 365 days ago counts no more.
    assert row_of("engagement_outlook", events=[event(20), *other])["expected_gap_days"] == 3
    assert outlook(0, 365)["expected_gap_days"] == 14
    assert outlook(0, 364)["expected_gap_days"] == 364
    assert outlook() == {"segment": "steady", "expected_gap_days": None, "silence_days": None}


@pytest.mark.parametrize(
    ("events", "segment"),
    [
        ([event(14)], "steady"),
        ([event(14), event(14, text="18:00")], "steady"),
        ([event(14), event(0)], "new_promising"),
        ([event(3, "Product Added")], "new_promising"),
        ([event(3, "Product Viewed")] * 2, "steady"),
        ([event(3, "Product Viewed") for _ in range(2)], "steady"),
        ([event(3, "Product Viewed") for _ in range(3)], "new_promising"),
        ([event(40), event(3, "Product Added")], "steady"),
    ],
)
def test_new_and_promising(events, segment):
    assert segment_of("engagement_outlook", events=events) == segment


@pytest.mark.parametrize(("age", "segment"), [(0, "dormant_promising"), (6, "dormant_promising"), (7, "steady")])
def test_dormant_and_promising(age, segment):
    sent = message(10)
    for name in ("read", "replied", "opened"):
        events = [event(31), event(50)]
        found = segment_of(
            "engagement_outlook", events=events, messages=[sent], message_events=[reaction(sent, name, age)]
        )
        assert found == segment


@pytest.mark.parametrize(
    ("names", "segment"),
    [
        ((), "unaware"),
        (("Application Uninstalled", "Unheard Of"), "unaware"),
        (("page",), "problem_aware"),
        (("Application Installed",), "problem_aware"),
        (("page", "Products Searched"), "solution_aware"),
        (("Product List Viewed",), "solution_aware"),
        (("Product Viewed", "Products Searched"), "product_aware"),
        (("Product Viewed", "Product Removed"), "most_aware"),
        (("Order Completed",), "most_aware"),
    ],
)
def test_purchase_stage(names, segment):
    assert segment_of("purchase_stage", events=[event(29, name) for name in names]) == segment
    assert segment_of("purchase_stage", events=[event(30, name) for name in names]) == "unaware"


def test_a_click_is_the_lowest_step():
    sent = message(40)
    for name, segment in (("clicked", "problem_aware"), ("replied", "problem_aware"), ("opened", "unaware")):
        parts = {"messages": [sent], "message_events": [reaction(sent, name, 29)]}
        assert segment_of("purchase_stage", **parts) == segment
    machine = reaction(sent, "clicked", 1, is_machine=True)
    assert segment_of("purchase_stage", messages=[sent], message_events=[machine]) == "unaware"
    assert segment_of("purchase_stage", orders=[order()]) == "unaware"


def lead(*events, **parts):
    return row_of("lead_temperature", events=events, **parts)


def test_lead_score():
    assert lead() == {"segment": "cold", "lead_score": 0}
    # 3 · 2^(−1/7) is 2.717…: cold; on the date itself 3: warm.
    assert lead(event(1, "Product Added")) == {"segment": "cold", "lead_score": Decimal("2.717171")}
    assert lead(event(0, "Product Added")) == {"segment": "warm", "lead_score": 3}
    assert lead(*[event(0, "Checkout Started") for _ in range(2)]) == {"segment": "hot", "lead_score": 10}
    assert lead(*[event(7, "Checkout Started") for _ in range(2)])["lead_score"] == 5
    # 5 · 2^(−29/7) = 5 · 0.056607729; 30 days ago counts no more
    assert lead(event(29, "Checkout Started"))["lead_score"] == Decimal("0.283039")
    assert lead(event(30, "Checkout Started"))["lead_score"] == 0
    assert lead(event(0, "page"), event(0, "Application Uninstalled"))["lead_score"] == Decimal("0.1")


def test_product_views_on_three_dates():
    views = [event(age, "Product Viewed") for age in (0, 3, 6)]
    assert lead(*views)["segment"] == "hot"
    assert lead(*[event(age, "Product Viewed") for age in (1, 3, 7)])["segment"] == "cold"
    assert lead(*views[:2], event(0, "Product Viewed", "18:00"))["segment"] == "cold"


def test_signals_after_the_last_order():
    checkouts = [event(0, "Checkout Started", text) for text in ("11:59:59", "12:00", "12:00:00.000001")]
    assert lead(*checkouts)["lead_score"] == 15
    assert lead(*checkouts, orders=[order(0)])["lead_score"] == 5
    assert lead(*checkouts, orders=[order(0, status="cancelled")])["lead_score"] == 15
    assert lead(*checkouts, orders=[order(1)])["lead_score"] == 15
    views = [event(age, "Product Viewed") for age in (0, 3, 6)]
    assert lead(*views, orders=[order(6)])["segment"] == "cold"


def view(category, age=0, name="Product Viewed", **values):
    return event(age, name, category=category, **values)


def affinity(*events, **parts):
    row = row_of("category_affinity", events=events, **parts)
    return (row["segment"], row["share"], row["runner_up"])


def test_category_affinity():
    assert affinity() == ("no_affinity", None, None)
    assert affinity(view("a"), view("a")) == ("no_affinity", 1, None)
    assert affinity(view("a"), view("a"), view("a", 89)) == ("a", 1, None)
    assert affinity(view("a"), view("a"), view("a", 90)) == ("no_affinity", 1, None)
    # 3 of 6: half is enough; b's one cart add weighs as much, but is one signal
    row = affinity(view("a", 1), view("a", 1), view("a", 1), view("b", 0, "Product Added"))
    assert row == ("a", Decimal("0.5"), "b")
    assert affinity(*[view("a") for _ in range(3)], *[view("b") for _ in range(4)]) == ("b", Decimal("0.571429"), "a")
    assert affinity(*[view("a") for _ in range(3)], view("b"), view("b"), view("c"), view("c"))[0] == "no_affinity"


def test_ties_of_affinity():
    early, late = [view("b", 1) for _ in range(3)], [view("a", 0) for _ in range(3)]
    assert affinity(*early, *late) == ("a", Decimal("0.5"), "b")
    assert affinity(*[view("b", 0) for _ in range(3)], *late) == ("a", Decimal("0.5"), "b")
    assert affinity(*[view("b", 0) for _ in range(3)], *[view("a", 2) for _ in range(3)]) == ("b", Decimal("0.5"), "a")


def test_categories_of_products_and_lines():
    products = [
        {"product_id": "p", "category": "old"},
        {"product_id": "p", "category": "new", "updated_at": event(0)["timestamp"]},
    ]
    views = [event(0, "Product Viewed", product_id="p") for _ in range(3)]
    assert affinity(*views, products=products)[0] == "new"
    assert affinity(*views, products=products, day=D - timedelta(days=1)) == ("no_affinity", None, None)
    assert affinity(*views, event(0, "Product Viewed", product_id="q"), products=products) == ("new", 1, None)
    bought = order(89)
    lines = [{"order_id": bought["order_id"], "line_number": n, "product_id": "p", "quantity": 9} for n in (1, 2, 3)]
    lines[1]["category"] = "own"
    row = affinity(view("x"), orders=[bought], order_items=lines, products=products)
    assert row == ("no_affinity", Decimal("0.625"), "own")  # 10 of 16, but two signals
    assert affinity(orders=[{**bought, "status": "refunded"}], order_items=lines)[1] is None
    assert affinity(orders=[order(90, order_id=bought["order_id"])], order_items=lines)[1] is None
    searches = [view("x", name="Products Searched"), view("x", name="Product Removed")]
    assert affinity(*searches) == ("no_affinity", None, None)


def left(*events, **parts):
    return segment_of("abandonment", events=events, **parts)


def test_abandonment():
    search, look, add, checkout = (
        event(0, name) for name in ("Products Searched", "Product Viewed", "Product Added", "Checkout Started")
    )
    assert left(search, look, add, checkout) == "checkout"
    assert left(search, look, add) == "cart"
    assert left(search, look) == "product"
    assert left(search) == "search"
    assert left(event(0, "Product List Viewed"), event(0, "page")) == "none"
    assert left(event(1, "Checkout Started"), event(-1, "Checkout Started")) == "none"


def test_what_was_bought_is_not_left():
    checkout = event(0, "Checkout Started")
    assert left(checkout, orders=[order(0)]) == "none"
    assert left(checkout, orders=[order(0, text="11:59:59.999999")]) == "checkout"
    assert left(checkout, orders=[order(0, text="18:00", status="cancelled")]) == "checkout"
    assert left(checkout, orders=[order(-1)]) == "checkout"
    assert left(checkout, event(0, "Order Completed")) == "none"
    assert left(checkout, event(0, "Order Completed", "11:59")) == "checkout"
    assert left(checkout, event(0, "Product Viewed", "14:00"), orders=[order(0, text="13:00")]) == "product"


def test_what_was_taken_out_is_not_left():
    add = event(0, "Product Added", product_id="p")
    assert left(add, event(0, "Product Removed", product_id="p")) == "none"
    assert left(add, event(0, "Product Removed", product_id="q")) == "cart"
    assert left(add, event(0, "Product Removed")) == "cart"
    assert left(add, event(0, "Product Removed", "11:00", product_id="p")) == "cart"
    assert left(event(0, "Product Added"), event(0, "Product Removed")) == "none"


def test_product_and_category_of_the_last():
    products = [{"product_id": "p", "category": "c"}]
    first, last = event(0, "Product Added", product_id="q", category="d"), event(0, "Product Added", product_id="p")
    row = row_of("abandonment", events=[first, last], products=products)
    assert row == {"segment": "cart", "product_id": "p", "category": "c"}  # at the same time: the greater event_id
    gone = event(0, "Product Removed", product_id="p")
    row = row_of("abandonment", events=[first, last, gone], products=products)
    assert row == {"segment": "cart", "product_id": "q", "category": "d"}
    assert row_of("abandonment") == {"segment": "none", "product_id": None, "category": None}


def test_unmapped_events():
    events = [
        event(0, "Unheard Of"),
        event(5, "Unheard Of", user_id=None, anonymous_id="a"),
        event(-1, "Other"),
        event(0),
    ]
    assert oracle.unmapped_events_as_of(World(events=events), D) == {"Unheard Of": 2}
