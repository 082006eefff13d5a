"""The command `sync`: which audiences it is asked for, and what it says of a dry run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from orchestration.activation.configuration import DestinationConfig
from orchestration.activation.sync.dry_run import emptied, in_words, previews
from orchestration.activation.sync.guards import GUARDS
from orchestration.activation.sync.run import look
from orchestration.activation.sync.sync import Situation
from orchestration.errors import BarometerError
from orchestration.policy_words import nearest
from orchestration.settings import Settings
from orchestration.warehouse.build import build_of
from orchestration.warehouse.lock import LOCK_WAIT_SECONDS, warehouse_lock

_log = logging.getLogger("barometer")


def chosen(destinations: Sequence[DestinationConfig], only: Sequence[str]) -> list[tuple[str, str]]:
    """Return the (destination, audience) that are asked for: all without ``only``; raise BarometerError for others."""
    everything = [(config.name, target.audience) for config in destinations for target in config.targets]
    if not only:
        return everything
    names = [*{name for name, _ in everything}, *(f"{name}/{audience}" for name, audience in everything)]
    for each in only:
        if each not in names:
            raise BarometerError(
                f"destinations.yml has no {each!r}{nearest(each, names)}.",
                f"Name a destination ({', '.join(sorted({name for name, _ in everything}))}), or one of its audiences "
                "as destination/audience.",
            )
    return [(name, audience) for name, audience in everything if name in only or f"{name}/{audience}" in only]


def unknown_guards(allowed: Sequence[str]) -> None:
    """Raise BarometerError where a guard is named that there is not."""
    for name in allowed:
        if name not in GUARDS:
            raise BarometerError(
                f"There is no guard {name!r}{nearest(name, GUARDS)}.", f"There are: {', '.join(sorted(GUARDS))}."
            )


def preview(
    settings: Settings,
    destinations: Sequence[DestinationConfig],
    only: Sequence[tuple[str, str]],
    allowed: Sequence[str],
    say: Callable[[str], None],
) -> None:
    """Say what a sync would send. Vetoes are looked up as before a real one; nothing is called."""
    with warehouse_lock(settings.warehouse, LOCK_WAIT_SECONDS, _log.info):
        blocked = look(settings, build_of(settings), destinations)
    situation = Situation(
        "dry run",
        settings.extracts,
        settings.data,
        settings.as_of,
        settings.today,
        blocked,
        frozenset(allowed),
    )
    for each in previews(settings, destinations, situation, only):
        say(in_words(each))
    # whatever is chosen: every run empties them
    for line in emptied(settings, destinations):
        say(line)
