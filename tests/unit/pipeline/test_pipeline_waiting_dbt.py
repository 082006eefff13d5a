"""What replaces parts of dbt in the child that runs it: the same events are heard, the same macros found."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from dbt.context.macros import MacroNamespace
from dbt_common.events.base_types import EventLevel
from dbt_common.events.event_manager import EventManager
from dbt_common.events.logger import LineFormat, LoggerConfig
from dbt_common.events.types import Note

from orchestration.warehouse.waiting_dbt import speed_up


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put dbt back as it was, after the test."""
    monkeypatch.setattr(EventManager, "fire_event", EventManager.fire_event)
    monkeypatch.setattr(MacroNamespace, "_keys", MacroNamespace._keys)
    monkeypatch.setattr(MacroNamespace, "__getitem__", MacroNamespace.__getitem__)


def heard(level: EventLevel) -> list[str]:
    """The messages that reach a log of a level."""
    manager, out = EventManager(), io.StringIO()
    manager.add_logger(LoggerConfig(name=f"of_{level}", level=level, line_format=LineFormat.Json, output_stream=out))
    for fired in (EventLevel.DEBUG, EventLevel.INFO, EventLevel.WARN, EventLevel.ERROR):
        manager.fire_event(Note(msg=str(fired)), level=fired)
    return [json.loads(line)["info"]["level"] for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("level", [EventLevel.DEBUG, EventLevel.INFO, EventLevel.ERROR])
def test_a_log_hears_what_it_heard_from_dbt(level: EventLevel, undone: None) -> None:
    expected = heard(level)
    assert expected[-1] == "error"
    speed_up()
    assert heard(level) == expected


def test_events_that_nobody_hears_are_dropped_before_they_are_told(undone: None) -> None:
    speed_up()
    manager, told = EventManager(), list[Any]()
    manager.add_callback(told.append)
    manager.fire_event(Note(msg="a"), level=EventLevel.DEBUG)
    manager.fire_event(Note(msg="b"), level=EventLevel.WARN)
    assert [each.info.level for each in told] == ["warn"]


def namespace() -> MacroNamespace:
    """A namespace in which several packages have macros of the same name."""
    inner: dict[str, Any] = {"a": "dbt's", "b": "dbt's", "c": "dbt's", "d": "dbt's"}
    outer: dict[str, Any] = {"package": {"a": "package's"}, "b": {"hides": "a macro"}}
    here: dict[str, Any] = {"a": "the root's", "b": "the root's", "c": "the root's"}
    own: dict[str, Any] = {"a": "the node's"}
    return MacroNamespace(here, own, inner, outer)


def test_macros_are_found_in_the_same_order(undone: None) -> None:
    expected = dict(namespace())
    assert expected["a"] == "the node's"
    speed_up()
    assert dict(namespace()) == expected
    assert len(namespace()) == len(expected)
    assert namespace().get("nobody's") is None
