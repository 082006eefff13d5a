"""Errors that tell a person what to do next."""

from __future__ import annotations

_TO_DO = "What to do: "

#: What to do where the machine is at fault, by what its libraries say then, in lower case.
_OF_THE_MACHINE = {
    "Make room on the disk of BAROMETER_DATA (old extracts and logs first), then run again; nothing is lost.": (
        "no space left on device",
        "disk quota exceeded",
        "database or disk is full",
        "file too large",
    ),
    "See that the disk of BAROMETER_DATA has room and is sound, then run again; `make doctor` looks at both.": (
        # what SQLite says of a full disk, too
        "disk i/o error",
    ),
    "`make doctor` says which file is damaged; `make doctor ARGS=--fix` puts it aside, and the next run makes it "
    "anew.": (
        "corrupt database file",
        "not a valid duckdb database file",
        "could not read enough bytes",
        "database disk image is malformed",
        "file is not a database",
    ),
    "Give the user who runs Barometer the right to read the landing folder and to write to BAROMETER_DATA, then run "
    "again; `make doctor` says where it is missing.": (
        "permission denied",
        "read-only file system",
        "readonly database",
        "unable to open database file",
    ),
}


class BarometerError(Exception):
    """Something that a person can mend: the message says what is wrong, ``hint`` what to do.

    The command line prints both without a traceback (unless ``--debug`` is given) and exits with 1.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{_TO_DO}{self.hint}" if self.hint else self.message

    @classmethod
    def from_text(cls, text: str) -> BarometerError:
        """Return the error whose text, perhaps with the name of this class in front, was recorded."""
        message, _, hint = text.split(f"{cls.__name__}: ", 1)[-1].strip().partition(f"\n{_TO_DO}")
        return cls(message, hint)


def hint_of_machine(text: str) -> str | None:
    """Return what to do about an error of the disk, of rights or of a damaged file; None if it is none of these."""
    said = text.lower()
    return next((hint for hint, marks in _OF_THE_MACHINE.items() if any(mark in said for mark in marks)), None)
