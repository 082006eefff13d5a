"""Errors that tell a person what to do next."""

from __future__ import annotations

_TO_DO = "What to do: "


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
