from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Worlds first: two workers begin with compiling different setups, of which the plan alone needs the first."""
    items.sort(key=lambda item: item.path.name == "test_plan.py")
