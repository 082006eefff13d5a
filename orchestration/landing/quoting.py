"""Quoting for SQL text: what comes from a file or a path goes through here, so that it never becomes SQL."""

from __future__ import annotations

from collections.abc import Iterable


def literal(text: str) -> str:
    """Return ``text`` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return ``name`` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literals(texts: Iterable[str]) -> str:
    """Return a comma-separated list of string literals."""
    return ", ".join(literal(text) for text in texts)


def identifiers(names: Iterable[str]) -> str:
    """Return a comma-separated list of quoted identifiers."""
    return ", ".join(identifier(name) for name in names)
