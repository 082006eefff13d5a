"""Words of the report, a file a language, and numbers and dates as each writes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from orchestration.errors import BarometerError
from orchestration.settings import read_yaml

#: How the codes of rejected rows begin that name a column, and of files that name a format.
_REJECTS = ("missing", "invalid", "unknown", "negative", "unreadable")
_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Words:
    """The words of one language, by dotted key, and how it writes numbers."""

    language: str
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return the text of a key with its places filled; raise BarometerError where the file lacks the key."""
        if key not in self.texts:
            raise BarometerError(f"words.{self.language}.yml has no {key}.", "Add it, as the other languages have it.")
        return self.texts[key].format(**values)

    def name(self, code: object) -> str:
        """Return what a code of the data (a segment, a channel, a reason) is called; unknown ones as they are."""
        if code is None:
            return self("none")
        text = str(code)
        return self.texts.get(f"names.{text}") or text.replace("_", " ")

    def reject(self, reason: str) -> str:
        """Return why a row or a file could not be used; columns are called as in the file."""
        kind, _, column = reason.partition("_")
        if f"names.{reason}" in self.texts or kind not in _REJECTS:
            return self.name(reason)
        return self(f"rejects.{kind}", column=column)

    def count(self, value: float | None) -> str:
        """Return a whole number."""
        return self.number(value, 0)

    def number(self, value: float | None, digits: int = 1) -> str:
        """Return a number with ``digits`` decimals; a dash for what is not known."""
        if value is None:
            return "–"
        # never "-0"
        text = f"{round(value, digits) + 0:,.{digits}f}"
        table = {",": self("number.thousands"), ".": self("number.decimal"), "-": "−"}
        return "".join(table.get(character, character) for character in text)

    def share(self, value: float | None, digits: int = 1) -> str:
        """Return a share of 1 in per cent."""
        return "–" if value is None else self.number(value * 100, digits) + self("number.percent")

    def signed(self, value: float | None, digits: int = 0) -> str:
        """Return a difference with its sign."""
        if value is None:
            return "–"
        return ("+" if round(value, digits) > 0 else "") + self.number(value, digits)

    def points(self, value: float | None, digits: int = 2) -> str:
        """Return a difference of shares in percentage points."""
        return "–" if value is None else self("number.points", value=self.signed(value * 100, digits))

    def day(self, value: date | None) -> str:
        """Return a date in words."""
        if value is None:
            return "–"
        months = self("date.months").split()
        return self("date.day", day=value.day, month=months[value.month - 1], year=value.year)

    def short_day(self, value: date) -> str:
        """Return day and month, for an axis."""
        months = self("date.short_months").split()
        return self("date.short_day", day=value.day, month=months[value.month - 1])

    def time(self, value: datetime) -> str:
        """Return a date with its time (UTC)."""
        return f"{self.day(value.date())}, {value:%H:%M} UTC"


def languages() -> list[str]:
    """Return the languages that have a file of words."""
    return sorted(path.name.split(".")[1] for path in _FOLDER.glob("words.*.yml"))


def words_of(language: str) -> Words:
    """Return the words of a language; raise BarometerError where there is no file of them."""
    file = _FOLDER / f"words.{language}.yml"
    if not file.is_file():
        raise BarometerError(
            f"There are no words for the report's language {language!r}.",
            f"Set the var report_languages to some of: {', '.join(languages())}.",
        )
    return Words(language, dict(_flat(read_yaml(file))))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)
