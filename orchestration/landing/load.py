"""The loader: every new landing file becomes rows of ``raw``, in one transaction with its ledger row."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
from duckdb.func import FunctionNullHandling

from orchestration.landing import erasures, keeping, keyed, phone_numbers, protection, rejects, typing_sql
from orchestration.landing.contract import DATASETS, Dataset
from orchestration.landing.files import (
    LandingFile,
    UnreadableFile,
    clear,
    find_files,
    prepare,
    sha256,
    unify_line_ends,
)
from orchestration.landing.judging import fallible_columns, judged_rows
from orchestration.landing.progress import Heartbeat
from orchestration.landing.quoting import identifier, literal
from orchestration.landing.reading import MixedLineEndsError, Source, drop_stage, read
from orchestration.landing.schema import create_raw_schema

__all__ = ["DatasetResult", "LoadResult", "LoadSettings", "create_raw_schema", "load_landing"]

Report = Callable[[str], None]
Clock = Callable[[], datetime]

#: The load_id up to which linked erasures and phone numbers are done.
_FINISHED = "finished_load_id"
_REPORT_SECONDS = 3.0
#: Reason of a file that can't be reached: unlike others it holds for one run only, since rights and links change.
_NOT_ACCESSIBLE = "not_accessible"


@dataclass(frozen=True)
class LoadSettings:
    """What loading depends on beside the files."""

    channels: frozenset[str]
    consent_statuses: Mapping[str, str]
    time_zone: str = "UTC"
    min_event_date: date = date(1970, 1, 1)
    settle_seconds: float = 60
    #: Channels whose addresses are phone numbers.
    phone_channels: frozenset[str] = frozenset({"sms", "whatsapp", "voice"})
    #: The secret of keyed hashes; without it erased users are remembered under a salt alone.
    hash_key: str | None = field(default=None, repr=False)

    @property
    def rules(self) -> typing_sql.TypingRules:
        """The part that typing depends on."""
        return typing_sql.TypingRules(self.time_zone, self.min_event_date, self.channels, dict(self.consent_statuses))


@dataclass
class DatasetResult:
    """What a run did with the files of one dataset."""

    dataset: str
    files_loaded: int = 0
    files_same: int = 0
    files_unsettled: int = 0
    files_unreadable: int = 0
    rows_read: int = 0
    rows_accepted: int = 0
    rows_rejected: int = 0
    rows_duplicate: int = 0
    rows_superseded: int = 0
    rows_erased: int = 0
    seconds: float = 0.0


@dataclass
class LoadResult:
    """What a run of the loader did."""

    datasets: dict[str, DatasetResult] = field(default_factory=dict)
    #: Newly found unreadable or unknown files: (file, reason, detail).
    unreadable: list[tuple[str, str, str]] = field(default_factory=list)
    max_load_id: int = 0

    @property
    def files_loaded(self) -> int:
        """How many files were loaded."""
        return sum(result.files_loaded for result in self.datasets.values())


def load_landing(
    con: duckdb.DuckDBPyConnection,
    landing: Path,
    settings: LoadSettings,
    now: Clock,
    report: Report,
    scratch_prefix: str = "landing-",
) -> LoadResult:
    """Load every new file below ``landing`` into the schema ``raw`` of the connection's current catalog.

    Where nothing is new, nothing is written. Trouble with one file sets that file aside; trouble with
    writing is raised. Files are unpacked to a temporary folder whose name begins with ``scratch_prefix``.
    """
    with session(con), tempfile.TemporaryDirectory(prefix=scratch_prefix) as scratch:
        return _Load(con, landing, settings, now, report, Path(scratch)).run()


@contextmanager
def session(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Set what reading depends on, and put it back."""
    wanted = {
        "TimeZone": "UTC",
        "preserve_insertion_order": "true",
        "enable_progress_bar": "true",
        "enable_progress_bar_print": "false",
        # Up to so many values a semi-join filters the scan: a few rows of a big table are found quickly.
        "dynamic_or_filter_threshold": "10000",
        # Each checkpoint writes again what the files since the last have changed: once at the end is enough.
        "checkpoint_threshold": "4GiB",
        # Some statements turn one off.
        "disabled_optimizers": "",
    }
    values = con.execute("select " + ", ".join(f"current_setting({literal(name)})" for name in wanted)).fetchone()
    before = dict(zip(wanted, values or (), strict=True))
    for name, value in wanted.items():
        con.execute(f"set {name} = {literal(value)}")
    con.create_function(
        typing_sql.COMPACT_JSON,
        typing_sql.compact_json,
        ["VARCHAR"],
        "VARCHAR",
        null_handling=FunctionNullHandling.SPECIAL,
    )
    try:
        yield
    finally:
        con.remove_function(typing_sql.COMPACT_JSON)
        for name, value in before.items():
            con.execute(f"set {name} = {literal(str(value))}")


class _Load:
    """One run of the loader over the landing folder."""

    def __init__(
        self,
        con: duckdb.DuckDBPyConnection,
        landing: Path,
        settings: LoadSettings,
        now: Clock,
        report: Report,
        scratch: Path,
    ) -> None:
        self.con = con
        self.landing = landing
        self.settings = settings
        self.rules = settings.rules
        self.now = now
        self.report = report
        self.scratch = scratch
        self.result = LoadResult()
        #: By path: (size, time) and SHA-256 as the ledger knows them.
        self.known_stats: set[tuple[str, int, int]] = set()
        self.known_contents: set[tuple[str, str]] = set()
        #: Files that can't be reached: (file, error).
        self.inaccessible: list[tuple[LandingFile, str]] = []
        #: Files that wait, of which nothing new is known.
        self.waiting: set[str] = set()

    def run(self) -> LoadResult:
        keeping.refresh_key_hashes(self.con)
        keyed.use_key(self.con, self.settings.hash_key)
        for file, content, size, modified_ns in self.con.execute(
            f"""select file, sha256, bytes, modified_ns from raw.load_files
            union all
            select file, sha256, bytes, modified_ns from raw.rejected_files where reason <> '{_NOT_ACCESSIBLE}'"""
        ).fetchall():
            self.known_stats.add((file, size, modified_ns))
            self.known_contents.add((file, content))
        first_load = self._max_load_id() + 1
        found = find_files(self.landing) if self.landing.is_dir() else []
        by_dataset: dict[str, list[LandingFile]] = {name: [] for name in DATASETS}
        for entry in found:
            by_dataset.setdefault(entry.dataset, []).append(entry)
        for name, entries in by_dataset.items():
            if name in DATASETS:
                self._load_dataset(DATASETS[name], entries)
            else:
                self._name_unknown(name, entries)
        self._record_inaccessible()
        self._finish()
        self._sum_up(first_load)
        return self.result

    def _max_load_id(self) -> int:
        (load_id,) = self.con.execute("select coalesce(max(load_id), 0) from raw.load_files").fetchone() or (0,)
        return int(load_id)

    def _load_dataset(self, dataset: Dataset, entries: list[LandingFile]) -> None:
        outcome = self.result.datasets[dataset.name] = DatasetResult(dataset.name)
        started = reported = time.perf_counter()
        for number, entry in enumerate(entries, start=1):
            if entry.error:
                self.inaccessible.append((entry, entry.error))
                outcome.files_unreadable += 1
            elif (entry.file, entry.bytes, entry.modified_ns) in self.known_stats:
                outcome.files_same += 1
            elif not entry.settled(self.now(), self.settings.settle_seconds):
                self.waiting.add(entry.file)
                outcome.files_unsettled += 1
            else:
                with Heartbeat(self.con, self.report, entry.file, _REPORT_SECONDS):
                    self._load_changed(dataset, entry, outcome)
            if time.perf_counter() - reported >= _REPORT_SECONDS and number < len(entries):
                reported = time.perf_counter()
                self.report(f"{dataset.name}: {number} of {len(entries)} files")
        outcome.seconds = time.perf_counter() - started

    def _load_changed(self, dataset: Dataset, entry: LandingFile, outcome: DatasetResult) -> None:
        try:
            content = sha256(entry.path)
        except FileNotFoundError:
            outcome.files_unsettled += 1
            return
        except OSError as error:
            self.inaccessible.append((entry, str(error)))
            outcome.files_unreadable += 1
            return
        if (entry.file, content) in self.known_contents:
            self._remember_stat(entry, content)
            outcome.files_same += 1
            return
        try:
            loaded = self._load_file(dataset, entry, content)
        except UnreadableFile as error:
            self._aside(entry, content, error.reason, error.detail)
            outcome.files_unreadable += 1
            return
        finally:
            clear(self.scratch)
        if loaded:
            outcome.files_loaded += 1
        else:
            outcome.files_unsettled += 1

    def _remember_stat(self, entry: LandingFile, content: str) -> None:
        for table in ("load_files", "rejected_files"):
            self.con.execute(
                f"update raw.{table} set modified_ns = ? where file = ? and sha256 = ?",
                [entry.modified_ns, entry.file, content],
            )

    def _aside(self, entry: LandingFile, content: str, reason: str, detail: str) -> None:
        self.result.unreadable.append((entry.file, reason, detail))
        # the detail may quote the file, and logs are kept
        self.report(f"{entry.file}: not loaded, {reason}")
        self.con.execute(
            "insert into raw.rejected_files values (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                entry.dataset,
                entry.file,
                content,
                entry.bytes,
                entry.modified_ns,
                reason,
                rejects.unless_erased(self.con, detail[:2000]),
                self._utc_now(),
            ],
        )

    def _record_inaccessible(self) -> None:
        """Put what can't be reached now in the place of what could not be reached before."""
        before = self.con.execute("select file from raw.rejected_files where reason = ?", [_NOT_ACCESSIBLE]).fetchall()
        if not before and not self.inaccessible:
            return
        self.con.execute("begin")
        try:
            for (file,) in before:
                if file not in self.waiting:
                    self.con.execute(
                        "delete from raw.rejected_files where reason = ? and file = ?", [_NOT_ACCESSIBLE, file]
                    )
            for entry, error in self.inaccessible:
                self._aside(entry, "", _NOT_ACCESSIBLE, error)
            self.con.execute("commit")
        except BaseException:
            self._roll_back()
            raise

    def _utc_now(self) -> datetime:
        now = self.now()
        return now if now.tzinfo is None else now.astimezone(UTC).replace(tzinfo=None)

    def _name_unknown(self, folder: str, entries: list[LandingFile]) -> None:
        """Name a folder that is no dataset, or a file beside the datasets' folders, once."""
        if folder:
            entry = entries[0]
            entries = [LandingFile(folder, f"{folder}/", entry.path, 0, 0, entry.changed_at, None, False)]
        for entry in entries:
            if not any(file == entry.file for file, _ in self.known_contents) and entry.settled(
                self.now(), self.settings.settle_seconds
            ):
                self._aside(entry, "", "unknown_format", "no dataset has this name" if folder else "in no dataset")

    def _load_file(self, dataset: Dataset, entry: LandingFile, content: str) -> bool:
        """Load one file in one transaction; False where it changed meanwhile and has to wait."""
        if entry.format is None:
            raise UnreadableFile("unknown_format", "the ending is none of .parquet, .csv, .jsonl, .ndjson, .json, .gz")
        started = time.perf_counter()
        try:
            path = prepare(entry, self.scratch)
        except FileNotFoundError:
            return False
        try:
            return self._load_prepared(dataset, entry, content, path, started)
        except MixedLineEndsError:
            unified = self.scratch / "unified"
            unify_line_ends(path, unified)
            return self._load_prepared(dataset, entry, content, unified, started)

    def _load_prepared(self, dataset: Dataset, entry: LandingFile, content: str, path: Path, started: float) -> bool:
        load_id = self._max_load_id() + 1
        self.con.execute("begin")
        try:
            self._load_rows(dataset, entry, content, path, load_id, started)
            if not entry.unchanged():
                self.con.execute("rollback")
                return False
            self.con.execute("commit")
        except duckdb.Error as error:
            self._roll_back()
            self._raise_if_unreadable(dataset, entry, path, error)
            raise
        except BaseException:
            self._roll_back()
            raise
        finally:
            drop_stage(self.con)
        self.known_contents.add((entry.file, content))
        return True

    def _roll_back(self) -> None:
        with suppress(duckdb.Error):  # DuckDB may have rolled back by itself
            self.con.execute("rollback")

    def _raise_if_unreadable(self, dataset: Dataset, entry: LandingFile, path: Path, error: duckdb.Error) -> None:
        """Tell trouble with the file from trouble with writing: read it once more and write nothing."""
        if isinstance(error, duckdb.OutOfMemoryException | duckdb.FatalException | duckdb.InterruptException):
            return
        try:
            source = read(self.con, path, str(entry.format), dataset, self.scratch)
            self.con.execute(
                f"select bit_xor(hash(judged)) from {judged_rows(dataset, source, self.rules)} judged"
            ).fetchone()
        except UnreadableFile:
            raise
        except duckdb.OutOfMemoryException:
            return
        except duckdb.Error as again:
            detail = str(again).split("\n\nLINE ")[0].replace(str(path), entry.file)
            raise UnreadableFile(f"unreadable_{entry.format}", detail) from error

    def _load_rows(
        self, dataset: Dataset, entry: LandingFile, content: str, path: Path, load_id: int, started: float
    ) -> None:
        con = self.con
        source = read(con, path, str(entry.format), dataset, self.scratch)
        judged = judged_rows(dataset, source, self.rules)
        if dataset.name in keyed.HASHED_DATASETS:
            keyed.use_key(con, self.settings.hash_key, make=True)
        kept, has_erased = erasures.split(con, dataset, judged) if source.rows else (judged, False)
        inserted = keeping.insert_accepted(con, dataset, kept, load_id) if source.rows else 0
        erased = erasures.leave_out(con, dataset, load_id) if has_erased else 0
        accepted = inserted + erased
        rejected = source.rows - accepted
        if rejected:
            told = erasures.content_unless_erased(dataset, judged) if has_erased else judged
            relations = [f"select row_number, reason, content from {told} where reason is not null"]
            if source.malformed:
                content_of = rejects.content_unless_erased(con, "content")
                relations.append(f"select row_number, 'malformed_row', {content_of} from {source.malformed}")
            con.execute(
                f"""insert into raw.rejected_rows
                select {load_id}, {literal(dataset.name)}, {literal(entry.file)}, '{content}', * from (
                    {" union all ".join(relations)}) order by row_number"""
            )
            protection.add_consent_stand_ins(con, dataset, judged, load_id, content, self.rules.first_instant())
        if inserted:
            self._count_bad_values(dataset, source, kept, load_id, filtered=rejected > 0)
        self._name_unknown_columns(dataset, entry, source)
        if dataset.name == "consents" and rejected and erasures.any_erasures(con):
            erasures.clear_erased_stand_ins(con)
        duplicate, superseded = keeping.drop_repeated(con, dataset, load_id)
        con.execute(
            "insert into raw.load_files values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                load_id,
                dataset.name,
                entry.file,
                content,
                entry.bytes,
                entry.modified_ns,
                entry.format_name,
                source.rows,
                accepted,
                rejected,
                duplicate,
                superseded,
                erased,
                self._utc_now(),
                round(time.perf_counter() - started, 3),
            ],
        )
        if dataset.name == "erasures" and accepted > duplicate:
            erasures.drop_rows_of_erased_users(con, judged, load_id, self.rules.time_zone)

    def _count_bad_values(self, dataset: Dataset, source: Source, judged: str, load_id: int, filtered: bool) -> None:
        """Count, by column, values that were given in accepted rows and became null."""
        columns = fallible_columns(dataset, source)
        if not columns:
            return
        con = self.con
        condition = "where reason is null" if filtered else ""
        given = ", ".join(f"count(*) filter (given_{column.name})" for column in columns)
        kept = ", ".join(f"count({identifier(column.name)})" for column in columns)
        counts_given = con.execute(f"select {given} from {judged} {condition}").fetchone() or ()
        counts_kept = (
            con.execute(f"select {kept} from raw.{identifier(dataset.name)} where load_id = {load_id}").fetchone() or ()
        )
        for column, there, good in zip(columns, counts_given, counts_kept, strict=True):
            if there > good:
                con.execute(
                    "insert into raw.bad_values values (?, ?, ?, ?)",
                    [load_id, dataset.name, column.name, there - good],
                )

    def _name_unknown_columns(self, dataset: Dataset, entry: LandingFile, source: Source) -> None:
        for name in source.unknown:
            if not self.con.execute(
                "select 1 from raw.unknown_columns where dataset = ? and column_name = ?",
                [dataset.name, name],
            ).fetchone():
                self.con.execute("insert into raw.unknown_columns values (?, ?, ?)", [dataset.name, name, entry.file])
                self.report(f"{entry.file}: column {name} is left out, {dataset.name} has none of this name")

    def _finish(self) -> None:
        """Do, once, what needs all files: rows that hang on erased users, and phone numbers."""
        con = self.con
        last = self._max_load_id()
        done = con.execute("select value from raw.load_meta where name = ?", [_FINISHED]).fetchone()
        since = int(done[0] if done else 0)
        if last == since:
            return
        con.execute("begin")
        try:
            with Heartbeat(con, self.report, "erasures and phone numbers", _REPORT_SECONDS):
                erasures.drop_linked_rows(con, last, since)
                if erasures.any_erasures(con):
                    phone_numbers.drop_unused_phone_numbers(con)
                    rejects.forget(con)
                phone_numbers.add_phone_numbers(con, self.settings.phone_channels, self.scratch)
                con.execute("delete from raw.load_meta where name = ?", [_FINISHED])
                con.execute("insert into raw.load_meta values (?, ?)", [_FINISHED, str(last)])
            con.execute("commit")
        except BaseException:
            self._roll_back()
            raise

    def _sum_up(self, first_load: int) -> None:
        self.result.max_load_id = self._max_load_id()
        counts = (
            "rows_read", "rows_accepted", "rows_rejected", "rows_duplicate", "rows_superseded", "rows_erased",
        )  # fmt: skip
        for name, *values in self.con.execute(
            f"""select dataset, {", ".join(f"sum({count})" for count in counts)} from raw.load_files
            where load_id >= ? group by dataset""",
            [first_load],
        ).fetchall():
            for count, value in zip(counts, values, strict=True):
                setattr(self.result.datasets[name], count, int(value))
        for outcome in self.result.datasets.values():
            if outcome.files_loaded or outcome.files_unreadable or outcome.files_unsettled:
                self.report(_line(outcome))


def _line(outcome: DatasetResult) -> str:
    parts = [f"{outcome.files_loaded} files, {outcome.rows_accepted:,} rows"]
    for name in ("rejected", "duplicate", "superseded", "erased"):
        if count := getattr(outcome, f"rows_{name}"):
            parts.append(f"{count:,} {name}")
    if outcome.files_unreadable:
        parts.append(f"{outcome.files_unreadable} files unreadable")
    if outcome.files_unsettled:
        parts.append(f"{outcome.files_unsettled} files not settled")
    return f"{outcome.dataset}: {', '.join(parts)}, {outcome.seconds:.1f} s"
