"""All that was logged in a test, for a fixture that asks for it after the test: `caplog.text` is empty by then."""

from __future__ import annotations

import logging

import pytest


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Return what was logged while a test was set up and called, tracebacks included."""
    formatter = logging.Formatter("%(name)s %(message)s")
    records = [record for when in ("setup", "call") for record in caplog.get_records(when)]
    return "\n".join(formatter.format(record) for record in records)
