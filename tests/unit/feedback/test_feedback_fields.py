"""How fields are read: times, ids, and what was sent along with a message."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.feedback.fields import carried, flag, text, utc

AT = "2026-03-01T10:00:00Z"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1772359200, AT),
        ("1772359200", AT),
        (1772359200000, AT),
        ("1772359200000", AT),
        (1772359200.25, "2026-03-01T10:00:00.250000Z"),
        ("2026-03-01T11:00:00+01:00", AT),
        ("2026-03-01 10:00:00", AT),
        ("2026-03-01T10:00:00.000Z", AT),
        ("Sun, 01 Mar 2026 10:00:00 +0000", AT),
        (0, None),
        (-1, None),
        (1772359200000000, None),
        (float("nan"), None),
        (True, None),
        ("1969-12-31T23:59:59Z", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("soon", None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_times(value, said):
    assert utc(value) == said


@given(st.datetimes(min_value=datetime(1973, 4, 1), max_value=datetime(2200, 1, 1)))
def test_seconds_milliseconds_and_texts_are_one_time(moment):
    moment = moment.replace(microsecond=0)
    seconds = int(moment.replace(tzinfo=UTC).timestamp())
    assert utc(seconds) == utc(seconds * 1000) == utc(moment.isoformat()) == moment.isoformat() + "Z"


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()))
def test_whatever_is_in_a_field_it_is_read(value):
    assert utc(value) is None or utc(value).endswith("Z")
    assert text(value) is None or text(value).encode()
    assert flag(value) in (True, False, None)
    assert isinstance(carried(value), dict)


@pytest.mark.parametrize(
    "value",
    [
        {"user_id": "u1", "variant": "B", "colour": "red"},
        '{"user_id": "u1", "variant": "B"}',
        "user_id:u1|variant:B|colour:red",
        "user_id=u1&variant=B",
        ["user_id:u1", "variant:B", "news"],
        '["user_id:u1", "variant:B"]',
    ],
)
def test_what_was_sent_along(value):
    assert carried(value) == {"user_id": "u1", "variant": "B"}


@pytest.mark.parametrize("value", ["news", "{broken", "a:b", None, 5, "{}", "null", [[["user_id:u1"]]]])
def test_nothing_was_sent_along(value):
    assert carried(value) == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [(" u1\n", "u1"), (17, "17"), ("\u00a0u1", "\u00a0u1"), (" ", None), ("\ud800", None), (True, None), (1.5, None)],
)
def test_an_id_is_as_the_loader_reads_it(value, said):
    assert text(value) == said
