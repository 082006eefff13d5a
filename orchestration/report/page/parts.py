"""What a page is made of: sections of tiles, figures, tables and notes. Text is plain; the template escapes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

#: What XML forbids, though a name may hold it: control characters, half of a pair, two that are no characters.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def visible(value: Any) -> Any:
    """Return text, or all text in lists and mappings, with a sign for what no page or drawing may hold."""
    if isinstance(value, str):
        return _FORBIDDEN.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {visible(name): visible(each) for name, each in value.items()}
    return [visible(each) for each in value] if isinstance(value, (list, tuple)) else value


@dataclass(frozen=True)
class Cell:
    """A cell of a table: its text, and the number or word of the warehouse that it stands for."""

    text: str
    value: object = None
    is_number: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a name; ``key`` marks it for who reads the page by program."""

    key: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    #: What it says, in a sentence; a figure has its own.
    text: str = ""
    kind: str = "table"


@dataclass(frozen=True)
class Figure:
    """A chart: a title, a sentence that says what it shows, and the table of its data."""

    title: str
    sentence: str
    chart: dict[str, Any]
    table: Table
    note: str = ""
    is_wide: bool = False
    #: The drawing, once it is made.
    svg: Markup = Markup("")
    kind: str = "figure"


@dataclass(frozen=True)
class Note:
    """A paragraph; ``is_empty`` marks one that stands for what is missing, ``is_warning`` one not to be overlooked."""

    title: str
    text: str
    is_empty: bool = False
    is_warning: bool = False
    kind: str = "note"


@dataclass(frozen=True)
class Tile:
    """A headline number with what it was before."""

    key: str
    label: str
    text: str
    value: object
    before: Sequence[str]


@dataclass(frozen=True)
class Tiles:
    """Headline numbers side by side."""

    tiles: Sequence[Tile]
    kind: str = "tiles"


@dataclass(frozen=True)
class Answer:
    """One of the answers that the page begins with: a question, its number, a sentence, and where there is more."""

    question: str
    number: str
    sentence: str
    section: str


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    key: str
    title: str
    lead: str
    blocks: Sequence[Figure | Table | Note | Tiles] = field(default_factory=tuple)


def count(text: str, value: object) -> Cell:
    """Return a cell with a number."""
    return Cell(text, value, is_number=True)


def word(text: str, value: object = None) -> Cell:
    """Return a cell with words, and what they stand for."""
    return Cell(text, value)
