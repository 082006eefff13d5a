"""Whole runs are shared by all tests of faults: they cost many seconds each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import story
from tests.faults.harness import Folder, copy_repository
from tests.faults.world import World


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return story.new_world(tmp_path_factory.mktemp("landing"))


@pytest.fixture(scope="session")
def blocked(world: World, tmp_path_factory: pytest.TempPathFactory) -> story.FirstDay:
    """In a copy of the repository, so that a seed can be edited."""
    repository = copy_repository(tmp_path_factory.mktemp("repository"))
    return story.first_day(Folder(repository, world.landing, tmp_path_factory.mktemp("folders") / "first"), world)


@pytest.fixture(scope="session")
def outcome(blocked: story.FirstDay, world: World) -> Iterator[story.Outcome]:
    with story.second_day(blocked, world) as outcome:
        yield outcome
