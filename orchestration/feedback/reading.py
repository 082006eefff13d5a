"""Reads what providers report, document by document: JSON, JSON lines, CSV or forms, gzipped or not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from orchestration.errors import BarometerError, hint_of_machine

_GZIP, _BOM = b"\x1f\x8b", b"\xef\xbb\xbf"
_FORM = re.compile(rb"[A-Za-z][\w.%+-]*=")
_PARTITION = re.compile(r"([a-z_]+)=(.+)")


@dataclass(frozen=True)
class Broken:
    """A line that can't be read."""

    content: str


def documents(path: Path) -> Iterator[Any]:
    """Give every document of a file; a line that can't be read comes as Broken.

    A line is read at a time. Only one JSON document over several lines is read whole. Raises BarometerError where the
    file can't be read.
    """
    try:
        with _opened(path) as file:
            if path.name.lower().removesuffix(".gz").endswith(".csv"):
                yield from _of_csv(file)
            else:
                yield from _of_lines(file)
    except (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise BarometerError(
            f"{path} can't be read: {type(error).__name__}.",
            "Fetch it from the provider again; it must be whole, and text in it UTF-8.",
        ) from error
    except OSError as error:
        raise BarometerError(
            f"{path} can't be read: {error.strerror}.", hint_of_machine(str(error)) or "Name files that are there."
        ) from error


def said_by_name(path: Path) -> Mapping[str, str]:
    """Return what the names of a file's folders say, as exports write it: ``event_type=users.messages.email.Open``."""
    found = (_PARTITION.fullmatch(part) for part in path.absolute().parts[:-1])
    return {match[1]: match[2] for match in found if match}


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        is_gzipped = file.read(len(_GZIP)) == _GZIP
        file.seek(0)
        if not is_gzipped:
            yield file
            return
        with gzip.open(file) as unpacked:
            yield io.BufferedReader(unpacked)


def _of_csv(file: BinaryIO) -> Iterator[dict[str, str]]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    header = text.readline()
    delimiter = ";" if header.count(";") > header.count(",") else ","
    names = next(csv.reader([header], delimiter=delimiter), [])
    for row in csv.DictReader(text, names, delimiter=delimiter):
        yield {name: value for name, value in row.items() if name and value}
    text.detach()


def _of_lines(file: BinaryIO) -> Iterator[Any]:
    first = next((line for line in file if line.strip()), b"").removeprefix(_BOM)
    if not first.strip():
        return
    document = _parsed(first)
    if isinstance(document, Broken) and first.lstrip()[:1] in (b"{", b"["):
        # one document over several lines, or lines of which the first is broken
        content = first + file.read()
        document = _parsed(content)
        if not isinstance(document, Broken):
            yield document
            return
        yield from _each(content.splitlines())
        return
    yield document
    yield from _each(file)


def _each(lines: Iterable[bytes]) -> Iterator[Any]:
    return (_parsed(line) for line in lines if line.strip())


def _parsed(line: bytes) -> Any:
    line = line.strip()
    if _FORM.match(line):
        try:
            return dict(parse_qsl(line.decode(), errors="strict"))
        except ValueError:
            return Broken(line.decode(errors="replace"))
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return Broken(line.decode(errors="replace"))
