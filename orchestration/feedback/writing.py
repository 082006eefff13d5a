"""Writes landing files of converted rows: whole or not there at all, the same rows always as the same file."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from orchestration.warehouse.files import fsync

#: Where the rows go, in the order in which the files appear.
DATASETS = ("messages", "message_events")

_JSON = json.JSONEncoder(separators=(",", ":"))


class LandingFile:
    """A file of JSON lines in a dataset's folder that gets its name, which is that of its content, when it is whole."""

    def __init__(self, folder: Path, provider: str) -> None:
        self._folder, self._provider = folder, provider
        self._digest = hashlib.sha256()
        folder.mkdir(parents=True, exist_ok=True)
        # for its owner only; the loader leaves names alone that begin with a dot
        descriptor, name = tempfile.mkstemp(prefix=".feedback-", suffix=".tmp", dir=folder)
        self._unfinished = Path(name)
        self._raw = os.fdopen(descriptor, "wb")
        self._file = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._raw, mtime=0)

    def write(self, values: Mapping[str, Any]) -> None:
        """Add a row."""
        line = (_JSON.encode(values) + "\n").encode()
        self._digest.update(line)
        self._file.write(line)

    def finish(self) -> Path:
        """Let the file appear and return it; one that is there already stays as it is."""
        self._close()
        path = self._folder / f"{self._provider}_{self._digest.hexdigest()[:12]}.jsonl.gz"
        if path.exists():
            self._unfinished.unlink()
            return path
        fsync(self._unfinished)
        self._unfinished.rename(path)
        fsync(self._folder)
        return path

    def discard(self) -> None:
        """Leave nothing."""
        self._unfinished.unlink(missing_ok=True)
        # what is left to write may find the disk full, and is not wanted
        with suppress(OSError):
            self._close()

    def _close(self) -> None:
        self._file.close()
        self._raw.close()


class Landing:
    """The landing files that one file of a provider gives; without ``finish`` there are none."""

    def __init__(self, landing: Path, provider: str) -> None:
        self._landing, self._provider = landing, provider
        self._files: dict[str, LandingFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for file in self._files.values():
            file.discard()

    def write(self, dataset: str, values: Mapping[str, Any]) -> None:
        """Add a row to the file of its dataset."""
        if dataset not in self._files:
            self._files[dataset] = LandingFile(self._landing / dataset, self._provider)
        self._files[dataset].write(values)

    def finish(self) -> list[Path]:
        """Let the files appear and return them."""
        found = [self._files[dataset].finish() for dataset in DATASETS if dataset in self._files]
        self._files.clear()
        return found
