"""Rows on their way to destinations, below ``outgoing/``: whoever has a destination to itself clears what is left."""

from __future__ import annotations

import logging
import shutil
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from orchestration.activation.destinations.interface import OUTGOING
from orchestration.settings import Settings
from orchestration.warehouse.lock import LOCK_WAIT_SECONDS, LockedError, file_lock

#: The name of any destination, as a pattern.
_ANY = "[a-z]*"
_log = logging.getLogger("barometer")


def alone(settings: Settings, name: str, wait_seconds: float = LOCK_WAIT_SECONDS) -> AbstractContextManager[int]:
    """Have a destination to oneself, as whoever sends to it has."""
    return file_lock(
        settings.warehouse / f".sync_{name}.lock", wait_seconds, _log.info, f"Another run is sending to {name}"
    )


def clear(data: Path, name: str) -> int:
    """Remove what a killed sync has left on its way to a destination, of all audiences; return how many folders.

    Whoever calls it has the destination to itself.
    """
    left = _left(data, name)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def clear_idle(settings: Settings) -> int:
    """Do so for all destinations, also those that are configured no longer; return how many folders.

    One that a sync has to itself is passed over: what lies there is on its way, and goes at the end of that sync.
    """
    removed = 0
    below = settings.data / OUTGOING
    names = {
        path.relative_to(below).parts[0].removeprefix(".").partition(".")[0] for path in _left(settings.data, _ANY)
    }
    for name in sorted(names):
        # no waiting: a sync may take an hour, and whoever calls this keeps other runs waiting
        with suppress(LockedError), alone(settings, name, wait_seconds=0):
            removed += clear(settings.data, name)
    return removed


def _left(data: Path, name: str) -> list[Path]:
    """Return the folders of copies: of the sync, and of a destination that makes files here before it uploads them."""
    return [path for pattern in (f".{name}.*.tmp", f"{name}/.*.tmp") for path in (data / OUTGOING).glob(pattern)]
