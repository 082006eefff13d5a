"""What a folder is, and one of this machine."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from pathlib import Path


class Folder(ABC):
    """A folder for files of one destination. Names are those of files in it, without folders."""

    @abstractmethod
    def tidy(self, name: str) -> None:
        """Remove what a run that was killed left half-made of a file."""

    @abstractmethod
    def place(self, file: Path, name: str) -> None:
        """Put a local file in place of the one before, in one step; it may be gone from where it was."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is removed already."""

    def close(self) -> None:  # noqa: B027
        """Let go of connections."""


class LocalFolder(Folder):
    """A folder of this machine. What is placed must be on the same disk; nothing is half-made there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def tidy(self, name: str) -> None:
        """Do nothing: what is placed is renamed."""

    def place(self, file: Path, name: str) -> None:
        """Rename the file, once it is on the disk."""
        _on_disk(file)
        file.replace(self._path / name)
        _on_disk(self._path)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self._path / name).unlink(missing_ok=True)


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their owner only."""
    for missing in [one for one in (*reversed(folder.parents), folder) if not one.exists()]:
        missing.mkdir(mode=0o700, exist_ok=True)


def _on_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
