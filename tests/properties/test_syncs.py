"""Whatever goes wrong with a provider, syncs end in what the extracts say; `make soak` plays many more scripts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from orchestration.activation.sync.courier import Courier
from tests.properties.syncs import (
    AUDIENCES,
    FIRST,
    TRIED_KINDS,
    Rows,
    Shared,
    Step,
    Story,
    World,
    names_of,
    shared,
    try_script,
)
from tests.standins.contracts import all_against

#: Of each kind; ``python -m tests.properties.syncs`` plays many more.
_SCRIPTS = 2
_OF_HTTP = [kind for kind in TRIED_KINDS if kind != "files"]


@pytest.fixture(scope="module")
def common() -> Iterator[Shared]:
    with shared() as opened:
        yield opened


@pytest.mark.parametrize("kind", TRIED_KINDS)
def test_after_faults_and_kills_the_provider_has_what_the_extract_says(
    kind: str, common: Shared, tmp_path: Path
) -> None:
    for seed in range(_SCRIPTS):
        assert try_script(kind, seed, tmp_path / str(seed), common).scripts == 1


def test_a_sync_that_forgets_to_mark_rows_is_found_out(
    common: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With rows that are marked only after their call, a lost connection leaves members that nobody knows of."""
    monkeypatch.setattr(Courier, "_begin", lambda *_: None)
    monkeypatch.setattr(Courier, "_finish", lambda *_: None)
    with pytest.raises(AssertionError, match="nothing"):
        try_script("webhook", 0, tmp_path, common)


@pytest.mark.parametrize("kind", _OF_HTTP)
def test_every_call_of_two_days_is_as_the_contract_has_it(kind: str, common: Shared, tmp_path: Path) -> None:
    names = names_of(kind)
    people = {f"u{number}": {"email": f"person{number}@example.com"} for number in range(1, 8)}

    def lists(users: slice, text: str) -> dict[str, Rows]:
        return {
            audience: {
                user: {**row, **dict.fromkeys(names[audience]), names[audience][0]: text}
                for user, row in list(people.items())[users]
            }
            for audience in AUDIENCES
        }

    places, nobody = dict.fromkeys(AUDIENCES, 0), frozenset[tuple[str, str]]()
    days = [
        Step(FIRST, lists(slice(0, 5), "gold"), names, places, nobody, frozenset()),
        Step(FIRST + timedelta(days=1), lists(slice(2, 7), "silver"), names, places, nobody, frozenset()),
    ]
    world = World(Story(kind, days, frozenset(), "mirror"), 0, tmp_path, common)
    with world.provider as stand_in:
        for day in days:
            world.settle(day)
        assert stand_in.problems == []
        assert stand_in.requests
        assert all_against(stand_in) == []
