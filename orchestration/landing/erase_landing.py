"""Which landing files still hold rows of erased users: Barometer never changes or deletes them, somebody else must."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from orchestration.landing import erasures, keyed, typing_sql
from orchestration.landing.contract import DATASETS, Dataset
from orchestration.landing.files import LandingFile, UnreadableFile, clear, find_files, prepare, unify_line_ends
from orchestration.landing.judging import judged_rows
from orchestration.landing.load import LoadSettings, session
from orchestration.landing.reading import MixedLineEndsError, drop_stage, read


@dataclass(frozen=True)
class Held:
    """A landing file with how many of its rows are erased users'; ``rows`` is None where it can't be read."""

    file: str
    rows: int | None


def erased_in_landing(
    con: duckdb.DuckDBPyConnection,
    landing: Path,
    settings: LoadSettings,
    report: Callable[[str], None],
    scratch_prefix: str = "landing-",
) -> str:
    """Return what to tell of the landing files that still hold erased users; see files_that_hold_erased_users."""
    held = files_that_hold_erased_users(con, landing, settings, report, scratch_prefix)
    rows = [f"{landing / entry.file}: {entry.rows:,} rows" for entry in held if entry.rows is not None]
    unread = [f"{landing / entry.file}: can't be read, look yourself" for entry in held if entry.rows is None]
    return "\n".join(
        [
            *rows,
            *unread,
            f"{len(rows)} of the landing files hold rows of erased users.",
            *(["Take these rows out; then the files of erasures/ are the last to name the users."] if rows else []),
        ]
    )


def files_that_hold_erased_users(
    con: duckdb.DuckDBPyConnection,
    landing: Path,
    settings: LoadSettings,
    report: Callable[[str], None],
    scratch_prefix: str = "landing-",
) -> list[Held]:
    """Return the landing files with rows that the loader would drop, or of which nobody can tell, by path.

    ``con`` has the working database in use; nothing is written to it. Files of erasures, which name users by what they
    are, are not among them.
    """
    with session(con), tempfile.TemporaryDirectory(prefix=scratch_prefix) as scratch:
        if not keyed.use_key(con, settings.hash_key):
            return []
        erasures.select_erased_devices(con)
        held = []
        files = [entry for entry in find_files(landing) if entry.dataset not in keyed.HASHED_DATASETS]
        for number, entry in enumerate(files, start=1):
            if number % 100 == 0:
                report(f"{number} of {len(files)} files")
            rows = _rows_held(con, entry, settings.rules, Path(scratch))
            if rows != 0:
                held.append(Held(entry.file, rows))
        return held


def _rows_held(
    con: duckdb.DuckDBPyConnection, entry: LandingFile, rules: typing_sql.TypingRules, scratch: Path
) -> int | None:
    """Return how many rows of a file are erased users', None where it can't be read."""
    dataset = DATASETS.get(entry.dataset)
    if dataset is None or entry.format is None or entry.error:
        return None
    try:
        path = prepare(entry, scratch)
        try:
            return _rows_of(con, path, entry.format, dataset, rules, scratch)
        except MixedLineEndsError:
            unify_line_ends(path, scratch / "unified")
            return _rows_of(con, scratch / "unified", entry.format, dataset, rules, scratch)
    except (UnreadableFile, OSError, duckdb.Error):
        return None
    finally:
        clear(scratch)
        drop_stage(con)


def _rows_of(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    format_: str,
    dataset: Dataset,
    rules: typing_sql.TypingRules,
    scratch: Path,
) -> int:
    source = read(con, path, format_, dataset, scratch)
    if not source.rows:
        return 0
    judged = judged_rows(dataset, source, rules)
    _, has_erased = erasures.split(con, dataset, judged)
    queries = []
    if has_erased:
        queries.append(f"select row_number from temp.{erasures.ERASED_ROWS}")
        # a rejected row names the user all the same
        queries.append(f"select row_number from {judged} where reason is not null and {erasures.is_found(dataset)}")
    if dataset.name == "events":
        queries.append(f"select row_number from {judged} where {erasures.is_of_erased_device()}")
    if not queries:
        return 0
    (count,) = con.execute(f"select count(*) from ({' union '.join(queries)})").fetchone() or (0,)
    return int(count)
