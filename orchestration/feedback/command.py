"""The command `feedback`: files of a provider become landing files, and every record is accounted for."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from orchestration.errors import BarometerError
from orchestration.feedback.providers import PROVIDERS
from orchestration.feedback.reading import Broken, documents, said_by_name
from orchestration.feedback.rows import REASONS, Provider, Rejected, Row, rows_of
from orchestration.feedback.writing import DATASETS, Landing

#: After so many records of a file something is said.
_STEP = 1_000_000
_UNREADABLE = ("not_json", "not_this_shape")
_LOST = "lost_withdrawal"

Write = Callable[[str, Any], None]
Say = Callable[[str], None]


@dataclass
class Counts:
    """What became of the records of one or more files."""

    records: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    #: Records that gave nothing, or less than they could, by reason.
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Counts) -> None:
        """Add those of another file."""
        self.records += other.records
        self.rows += other.rows
        self.reasons += other.reasons

    def __str__(self) -> str:
        rows = ", ".join(f"{self.rows[dataset]:,} {dataset.replace('_', ' ')}" for dataset in DATASETS)
        reasons = ", ".join(f"{self.reasons[reason]:,} {reason}" for reason in REASONS if self.reasons[reason])
        records = "1 record" if self.records == 1 else f"{self.records:,} records"
        return f"{records}: {rows}" + (f"; {reasons}" if reasons else "")


def feedback(
    name: str, files: Sequence[Path], into: Path, rejects: Path | None, is_dry_run: bool, log: Say, say: Say
) -> Counts:
    """Convert files of the provider ``name`` into landing files below ``into``; ``log`` tells of each, ``say`` of all.

    A file that is none of the provider's gives nothing; the others go on, then BarometerError names it.
    """
    provider = PROVIDERS[name]
    if not is_dry_run and not into.is_dir():
        raise BarometerError(
            f"There is no folder {into}.", "Name the landing folder with --into, or set BAROMETER_LANDING to it."
        )
    if rejects is not None and rejects.absolute().resolve().is_relative_to(into.absolute().resolve()):
        raise BarometerError(
            f"{rejects} lies in the landing folder.", "Keep rejected records elsewhere: they would be loaded."
        )
    total, failed = Counts(), []
    with ExitStack() as stack:
        kept = stack.enter_context(_private(rejects)) if rejects is not None else None
        for path in files:
            try:
                counts = _convert_file(provider, path, None if is_dry_run else into, kept, log)
            except BarometerError as error:
                log(f"{path.name}: {error.message}")
                failed.append(error)
                continue
            log(f"{path.name}: {counts}")
            total.add(counts)
    _summarise(name, total, len(files) - len(failed), is_dry_run, say)
    if failed:
        more = f" {len(failed) - 1} more can't be used either." if len(failed) > 1 else ""
        raise BarometerError(failed[0].message + more, failed[0].hint)
    return total


def _convert_file(provider: Provider, path: Path, into: Path | None, kept: IO[str] | None, log: Say) -> Counts:
    """Convert one file; without ``into`` only its records are counted."""

    def keep(number: int, reason: str, record: Any) -> None:
        if kept is not None and reason != "ignored":
            content = record.content if isinstance(record, Broken) else record
            line = {"file": path.name, "record": number, "reason": reason}
            try:
                written = json.dumps({**line, "content": content})
            except RecursionError:
                written = json.dumps(line)
            kept.write(written + "\n")

    def progress(records: int) -> None:
        log(f"{path.name}: {records:,} records so far")

    if into is None:
        counts = _convert(provider, path, lambda dataset, values: None, keep, progress)
        _require_shape(provider, path, counts)
        return counts
    with Landing(into, provider.name) as landing:
        counts = _convert(provider, path, landing.write, keep, progress)
        _require_shape(provider, path, counts)
        landing.finish()
    return counts


def _convert(
    provider: Provider,
    path: Path,
    write: Write,
    keep: Callable[[int, str, Any], None],
    progress: Callable[[int], None],
) -> Counts:
    counts = Counts()
    said = said_by_name(path)
    for document in documents(path):
        for record in _records(provider, document, said):
            counts.records += 1
            found = [Rejected("not_json")] if isinstance(record, Broken) else rows_of(provider, record)
            for each in found:
                if isinstance(each, Row):
                    counts.rows[each.dataset] += 1
                    write(each.dataset, each.values)
                else:
                    counts.reasons[each.reason] += 1
                    keep(counts.records, each.reason, record)
            if counts.records % _STEP == 0:
                progress(counts.records)
    return counts


def _records(provider: Provider, document: Any, said: Mapping[str, str]) -> Iterable[Any]:
    """Return the records of a document; one that is nested too deeply is as broken as a line that can't be read."""
    if isinstance(document, Broken):
        return (document,)
    try:
        return list(provider.records(document, said))
    except RecursionError:
        return (Broken(""),)


def _require_shape(provider: Provider, path: Path, counts: Counts) -> None:
    if counts.records and counts.records == sum(counts.reasons[reason] for reason in _UNREADABLE):
        raise BarometerError(
            f"{path} holds nothing that {provider.name} sends.",
            "See that --provider is right, and that the file is one that docs/FEEDBACK.md names.",
        )


def _private(path: Path) -> IO[str]:
    """Open a file for rejected records, which are personal data: for its owner only."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.fchmod(descriptor, 0o600)
    except OSError as error:
        raise BarometerError(
            f"{path} can't be written: {error.strerror}.", "Name another file for --rejects."
        ) from error
    return os.fdopen(descriptor, "w", encoding="utf-8")


def _summarise(name: str, total: Counts, files: int, is_dry_run: bool, say: Say) -> None:
    say(f"{name}: {files} file{'' if files == 1 else 's'}, {total}" + (" (nothing was written)" if is_dry_run else ""))
    for reason, meaning in REASONS.items():
        if total.reasons[reason]:
            say(f"  {total.reasons[reason]:>9,} {reason}: {meaning}")
    if total.reasons[_LOST]:
        say("  Load lost withdrawals as consents: --rejects keeps them, docs/FEEDBACK.md says how.")
