"""Errors that tell a person what to do next."""

from __future__ import annotations


class BarometerError(Exception):
    """Something that a person can mend: the message says what is wrong, ``hint`` what to do.

    The command line prints both without a traceback (unless ``--debug`` is given) and exits with 1.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message
