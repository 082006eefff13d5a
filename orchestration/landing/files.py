"""Landing files: finding them, telling whether they have settled, and preparing one to be read.

Nothing here writes to the landing folder. What has to be unpacked or re-encoded goes to a scratch folder.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import os
import re
import shutil
import stat
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from orchestration.landing.contract import DATASETS

CHUNK = 1 << 20
#: Enough of a text file to hold its header and to recognise its encoding.
HEAD_BYTES = 1 << 18
DELIMITERS = (",", ";", "\t", "|")
_FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json"}
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./=+-]+")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class UnreadableFile(Exception):
    """A landing file that can't be read at all, with a reason code and what exactly was wrong."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class LandingFile:
    """A file below the landing folder as it was found."""

    dataset: str
    #: Path relative to the landing folder, with ``/`` between its parts.
    file: str
    path: Path
    bytes: int
    modified_ns: int
    #: The later of content and status change, in seconds.
    changed_at: float
    #: ``parquet``, ``csv`` or ``json``; None where the ending is unknown.
    format: str | None
    gzipped: bool
    #: Why it can't be reached at all; empty where it can.
    error: str = ""

    @property
    def format_name(self) -> str:
        """The format as the ledger names it."""
        return f"{self.format}.gz" if self.gzipped else str(self.format)

    def settled(self, now: datetime, settle_seconds: float) -> bool:
        """Tell whether size and time have not changed for ``settle_seconds``; ``now`` is UTC without a zone."""
        return settle_seconds <= 0 or now.replace(tzinfo=UTC).timestamp() - self.changed_at >= settle_seconds

    def unchanged(self) -> bool:
        """Tell whether the file still has the size and time with which it was found."""
        try:
            found = self.path.stat()
        except OSError:
            return False
        return (found.st_size, found.st_mtime_ns) == (self.bytes, self.modified_ns)


def detect_format(name: str) -> tuple[str | None, bool]:
    """Return the format that a file name's ending stands for, and whether it is gzipped."""
    name = name.lower()
    gzipped = name.endswith(".gz")
    if gzipped:
        name = name[: -len(".gz")]
    return _FORMATS.get(Path(name).suffix), gzipped


def _left_alone(name: str) -> bool:
    return name.startswith(("_", ".")) or name.lower().endswith(".tmp")


def _file_name(path: Path, root: Path) -> str:
    """Return a path below ``root`` as it is recorded; bytes of a name that are not UTF-8 are written as ``\\xff``."""
    return os.fsencode(path.relative_to(root).as_posix()).decode("utf-8", "backslashreplace")


def _unreachable(file: str, path: Path, error: str) -> LandingFile:
    """Return what stands for a file, or a folder (``file`` ends with ``/``), that can't be reached."""
    first, *others = file.split("/")
    dataset = first if others or first in DATASETS else ""
    return LandingFile(dataset, file, path, 0, 0, 0.0, None, False, error)


def find_files(landing: Path) -> list[LandingFile]:
    """Return every file below ``landing`` that is not left alone, in the order of its path.

    A file that lies in no dataset's folder, that has an unknown ending, or that is a link out of the
    landing folder comes back with ``format`` None; what can't be reached, with ``error``: a file or folder
    without the rights, a dangling link, a linked folder (links to folders are not followed).
    """
    root = landing.resolve()
    found: list[LandingFile] = []

    def note_folder(error: OSError) -> None:
        path = Path(error.filename)
        if path == root:
            raise error
        if not isinstance(error, FileNotFoundError):  # else gone meanwhile
            found.append(_unreachable(f"{_file_name(path, root)}/", path, str(error)))

    for folder, folders, names in os.walk(root, onerror=note_folder):
        folders[:] = sorted(name for name in folders if not _left_alone(name))
        for path in (Path(folder) / name for name in folders):
            if path.is_symlink():
                found.append(_unreachable(f"{_file_name(path, root)}/", path, "a link to a folder is not followed"))
        for name in names:
            if _left_alone(name):
                continue
            path = Path(folder) / name
            file = _file_name(path, root)
            try:
                status = path.stat()
                inside = path.resolve().is_relative_to(root)
            except OSError as error:
                if path.is_symlink() or not isinstance(error, FileNotFoundError):  # else gone meanwhile
                    found.append(_unreachable(file, path, str(error)))
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            dataset = file.split("/")[0] if "/" in file else ""
            format_, gzipped = detect_format(name)
            found.append(
                LandingFile(
                    dataset=dataset,
                    file=file,
                    path=path,
                    bytes=status.st_size,
                    modified_ns=status.st_mtime_ns,
                    changed_at=max(status.st_mtime, status.st_ctime),
                    format=format_ if inside and dataset in DATASETS else None,
                    gzipped=gzipped,
                )
            )
    return sorted(found, key=lambda entry: entry.file)


def sha256(path: Path, advance: Callable[[int], None] = lambda _: None) -> str:
    """Return the SHA-256 of a file's bytes; ``advance`` is told the bytes read so far."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as source:
        while chunk := source.read(CHUNK):
            digest.update(chunk)
            done += len(chunk)
            advance(done)
    return digest.hexdigest()


def _gunzip(source: Path, target: Path) -> None:
    """Unpack ``source``; a broken one is unreadable, trouble with writing ``target`` is raised."""
    if source.stat().st_size == 0:
        raise UnreadableFile("bad_gzip", "the file is empty")
    with target.open("wb") as out, source.open("rb") as raw:
        unpacked = gzip.GzipFile(fileobj=raw)
        while True:
            try:
                chunk = unpacked.read(CHUNK)
            except (EOFError, gzip.BadGzipFile, zlib.error) as error:
                raise UnreadableFile("bad_gzip", str(error)) from error
            if not chunk:
                return
            out.write(chunk)


def _decoded(source: BinaryIO, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    while chunk := source.read(CHUNK):
        yield decoder.decode(chunk).encode("utf-8")
    yield decoder.decode(b"", final=True).encode("utf-8")


def recode(source: Path, target: Path, encoding: str) -> None:
    """Write ``source``, which is in ``encoding``, as UTF-8 to ``target``."""
    with source.open("rb") as raw, target.open("wb") as out:
        try:
            for chunk in _decoded(raw, encoding):
                out.write(chunk)
        except UnicodeError as error:
            raise UnreadableFile("bad_encoding", str(error)) from error


def unify_line_ends(source: Path, target: Path) -> None:
    """Write ``source`` to ``target`` with LF at the end of every line."""
    with source.open("rb") as raw, target.open("wb") as out:
        held = b""
        while chunk := raw.read(CHUNK):
            chunk = held + chunk
            held = b"\r" if chunk.endswith(b"\r") else b""
            out.write(chunk.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
        out.write(held.replace(b"\r", b"\n"))


def detect_encoding(head: bytes) -> str:
    """Return the encoding that the first bytes of a text file speak for; UTF-8 unless they say otherwise."""
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    sample = head[:1024]
    if len(sample) >= 4:
        odd, even = sample[1::2].count(0), sample[0::2].count(0)
        if odd > len(sample) // 4 and even == 0:
            return "utf-16-le"
        if even > len(sample) // 4 and odd == 0:
            return "utf-16-be"
    return "utf-8"


def prepare(entry: LandingFile, scratch: Path) -> Path:
    """Return a path of the file's content: unpacked, UTF-8 where it is text, with a safe name."""
    path = entry.path
    if entry.gzipped:
        path = scratch / "unpacked"
        _gunzip(entry.path, path)
    if entry.format != "parquet":
        encoding = detect_encoding(read_head(path))
        if encoding != "utf-8":
            recoded = scratch / "utf8"
            recode(path, recoded, encoding)
            path = recoded
    if not _PLAIN_PATH.fullmatch(str(path)):
        # DuckDB would read *, ? and [ in a path as a pattern.
        link = scratch / "file"
        link.symlink_to(path)
        path = link
    return path


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as source:
        return source.read(HEAD_BYTES)


def clear(scratch: Path) -> None:
    """Empty the scratch folder."""
    for path in scratch.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written: its delimiter, its header, and the blank lines before that."""

    delimiter: str
    header: tuple[str, ...]
    skip: int


def column_name(name: str) -> str:
    """Return a header's name as it is compared with the contract: trimmed and in lower case."""
    return name.strip().lower()


def detect_dialect(head: bytes, known: frozenset[str]) -> Dialect | None:
    """Choose the delimiter with most of the ``known`` columns in the header; None for a file without text."""
    text = head.decode("utf-8", errors="replace")
    lines = text.splitlines(keepends=True)
    skip = next((number for number, line in enumerate(lines) if line.strip()), None)
    if skip is None:
        return None
    best: Dialect | None = None
    most = -1
    rest = "".join(lines[skip:])
    for delimiter in DELIMITERS:
        try:
            header = tuple(next(csv.reader(io.StringIO(rest, newline=""), delimiter=delimiter)))
        except csv.Error as error:
            raise UnreadableFile("bad_header", str(error)) from error
        names = len({column_name(name) for name in header} & known)
        if names > most:
            best, most = Dialect(delimiter, header, skip), names
    return best
