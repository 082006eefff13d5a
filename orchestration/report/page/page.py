"""Renders the pages of the report and puts them in place."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from orchestration.report.page import outcomes, pressure, records, segments
from orchestration.report.page.charts import draw
from orchestration.report.page.parts import Answer, Figure, Section, visible
from orchestration.report.page.queries import Numbers, read_numbers
from orchestration.report.page.words import Words, words_of
from orchestration.warehouse.files import fsync

_FOLDER = Path(__file__).parent
_NAME = "barometer"


@dataclass(frozen=True)
class Written:
    """The pages, the first language first, and the answers that they begin with, in it.

    ``is_same``: they said the same already, so they were left as they are.
    """

    pages: Sequence[Path]
    as_of: date
    answers: Sequence[Answer]
    is_same: bool


def write_pages(
    published_file: Path,
    folder: Path,
    languages: Sequence[str],
    last_run: Sequence[Mapping[str, Any]] = (),
    policy: Mapping[str, Any] | None = None,
) -> Written:
    """Write a page a language from a published file, each in one step; the first language's is barometer.html.

    ``last_run`` is the stages of the last run, which may have published nothing; ``policy`` says how numbers are meant.
    """
    with duckdb.connect(str(published_file), read_only=True) as con:
        numbers = read_numbers(con, last_run, policy or {})
    folder.mkdir(parents=True, exist_ok=True)
    found = [words_of(language) for language in languages]
    files = [folder / name for name in file_names(languages)]
    mark = _mark(numbers, languages)
    is_same = all(_says(file, mark) for file in files)
    if not is_same:
        for words, file in zip(found, files, strict=True):
            others = [(other, path.name) for other, path in zip(found, files, strict=True) if other is not words]
            _put(file, render(numbers, words, others, mark))
    return Written(files, numbers.as_of, answers(numbers, found[0]), is_same)


def file_names(languages: Sequence[str]) -> list[str]:
    """Return the name of the file of each language."""
    return [f"{_NAME}.html" if not number else f"{_NAME}.{each}.html" for number, each in enumerate(languages)]


def answers(numbers: Numbers, words: Words) -> list[Answer]:
    """Return what a reader with one minute is told."""
    return [
        pressure.where_the_pressure_is(numbers, words),
        pressure.who_is_tired(numbers, words),
        outcomes.what_works(numbers, words),
        outcomes.what_other_caps_do(numbers, words),
    ]


def contents(numbers: Numbers, words: Words) -> list[Section]:
    """Return the sections of the page, without drawings."""
    return [
        pressure.headline(numbers, words),
        pressure.pressure(numbers, words),
        segments.segments(numbers, words),
        outcomes.fatigue(numbers, words),
        outcomes.campaigns(numbers, words),
        outcomes.what_if(numbers, words),
        records.plan(numbers, words),
        records.quality(numbers, words),
        records.data(numbers, words),
        records.run(numbers, words),
    ]


def render(numbers: Numbers, words: Words, others: Sequence[tuple[Words, str]] = (), mark: str = "") -> str:
    """Return the page in one language, with links to the ``others``: a function of the numbers.

    ``mark`` is what it is known by when it would be written again.
    """
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=False
    )
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    page = environment.get_template("template.html.j2").render(
        words=words,
        numbers=numbers,
        others=others,
        mark=mark,
        warnings=records.warnings(numbers, words),
        answers=answers(numbers, words),
        sections=[_drawn(section, words) for section in contents(numbers, words)],
        # what the page's own rule lets a browser use: this text, and no other style
        style=Markup(style),
        style_hash=b64encode(hashlib.sha256(style.encode()).digest()).decode(),
    )
    return str(visible(page))


def _drawn(section: Section, words: Words) -> Section:
    """Return a section with its charts drawn."""
    return replace(
        section,
        blocks=[
            replace(block, svg=draw(block.chart, words.language, f"{block.title}. {block.sentence}"))
            if isinstance(block, Figure)
            else block
            for block in section.blocks
        ],
    )


def _mark(numbers: Numbers, languages: Sequence[str]) -> str:
    """Return a text that differs where numbers, languages or the page's own code do."""
    code = [path.read_bytes() for path in sorted(_FOLDER.glob("*.*")) if path.is_file()]
    told = [repr(numbers).encode(), repr(list(languages)).encode(), *code]
    return hashlib.sha256(b"\0".join(told)).hexdigest()[:32]


def _says(file: Path, mark: str) -> bool:
    """Return whether a page is there and has this mark."""
    if not file.is_file():
        return False
    with file.open(encoding="utf-8", errors="replace") as opened:
        return f'content="{mark}"' in opened.read(2000)


def _put(file: Path, text: str) -> None:
    """Write a file that appears whole: a reader sees the old one or the new one."""
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    fsync(temporary)
    temporary.replace(file)
