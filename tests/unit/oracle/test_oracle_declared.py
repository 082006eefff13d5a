"""What people declare, and how it is folded, by hand."""

from __future__ import annotations

from datetime import date

import pytest
from people import ago, row_of, segment_of

from tests.properties.oracle import World
from tests.properties.oracle.declared import folded


@pytest.mark.parametrize(
    ("born", "band"),
    [
        (None, "unknown"),
        (date(2024, 6, 15), "under_18"),
        (date(2024, 6, 16), "unknown"),
        (date(2006, 6, 16), "under_18"),
        (date(2006, 6, 15), "18_24"),
        (date(1999, 6, 16), "18_24"),
        (date(1999, 6, 15), "25_34"),
        (date(1959, 6, 16), "55_64"),
        (date(1959, 6, 15), "65_plus"),
        (date(1903, 6, 16), "65_plus"),
        (date(1903, 6, 15), "unknown"),
    ],
)
def test_age_band(born, band):
    assert segment_of("age_band", users=[{"user_id": "u", "birth_date": born}]) == band


def test_who_is_born_on_a_leap_day():
    users = [{"user_id": "u", "birth_date": date(2004, 2, 29)}]
    for day, band in ((date(2022, 2, 28), "under_18"), (date(2022, 3, 1), "18_24"), (date(2029, 2, 28), "18_24")):
        assert segment_of("age_band", day=day, users=users) == band
    assert segment_of("age_band", day=date(2029, 3, 1), users=users) == "25_34"


def test_plain_values():
    users = [{"user_id": "u", "gender": "Female", "country": "fr", "city": None}]
    found = {family: segment_of(family, users=users) for family in ("gender", "country", "city")}
    assert found == {"gender": "Female", "country": "FR", "city": "unknown"}
    assert segment_of("gender", users=[{**users[0], "created_at": ago(0)}]) == "Female"


def test_a_profile_as_of_the_date():
    first = {"user_id": "u", "city": "Lyon", "created_at": ago(5)}
    versions = [first, {**first, "city": "Nice", "updated_at": ago(0)}]
    assert segment_of("city", users=versions) == "Nice"
    assert segment_of("city", users=versions, day=ago(1).date()) == "Lyon"
    created_later = [{"user_id": "u", "city": "Lyon", "created_at": ago(-1)}]
    orders = [{"order_id": "o", "user_id": "u", "ordered_at": ago(0), "gross_amount": 1}]
    assert segment_of("city", users=created_later, orders=orders) == "unknown"


def test_lists():
    users = [{"user_id": "u", "interests": ["tools", " books ", "", "books", "garden"], "values": []}]
    found = row_of("interest", users=users, declared_min_users=1)
    assert found == {"segment": "books", "declared": "books|garden|tools", "published": "books|garden|tools"}
    order = {"interest": ("garden", "chess", "tools")}
    row = row_of("interest", users=users, declared_order=order)
    assert row == {"segment": "garden", "declared": "garden|tools|books", "published": "other"}
    assert row_of("value", users=users) == {"segment": "unknown", "declared": None, "published": None}
    two = [*users, {"user_id": "v", "interests": ["tools"]}]
    assert row_of("interest", users=two, declared_min_users=2)["published"] == "other|tools"


def fold(family, text, **settings):
    segments = dict(enumerate(text))
    names = {"u": "unknown", "o": "other"}
    world = World(**settings)
    result = folded(world, family, {str(n): names.get(s, s) for n, s in segments.items()})
    return "".join({"unknown": "u", "other": "o"}.get(s, s) for s in result.values())


def test_few_users_become_other():
    assert fold("city", "aabu", declared_min_users=2) == "aaou"
    assert fold("city", "aabu") == "ooou"
    assert fold("city", "aabuo", declared_min_users=2) == "aaouo"
    assert fold("lifecycle", "aabu", declared_min_users=2) == "aabu"


def test_many_segments_become_other():
    assert fold("lifecycle", "aaabbccd", family_max_segments=4) == "aaabbccd"
    assert fold("lifecycle", "aaabbccd", family_max_segments=3) == "aaabbooo"  # b and c: by name
    assert fold("lifecycle", "aaabccdd", family_max_segments=3) == "aaaoccoo"
    # other is one of them, however many it is
    assert fold("lifecycle", "aabboooo", family_max_segments=3) == "aabboooo"
    assert fold("lifecycle", "aabbcoooo", family_max_segments=3) == "aabbooooo"
    # first the small ones, then the many
    assert fold("city", "aaabbccd", declared_min_users=2, family_max_segments=4) == "aaabbcco"
    assert fold("city", "aaabbccd", declared_min_users=2, family_max_segments=3) == "aaabbooo"
