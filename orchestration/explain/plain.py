"""Texts that come from data, made fit for a terminal."""

from __future__ import annotations

import unicodedata


def plain(text: object) -> str:
    """Return a text with every character that a terminal might obey (controls, changes of direction) as its code."""
    return "".join(
        character.encode("unicode_escape").decode() if _is_control(character) else character for character in str(text)
    )


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
