"""What a sync would send, for people: counts and a few examples, with addresses masked. Nothing is called."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import duckdb

from orchestration.activation.configuration import DestinationConfig
from orchestration.activation.destinations.interface import Row
from orchestration.activation.sync.ledger import Ledger, destinations_of, open_ledger
from orchestration.activation.sync.sync import Preview, Situation, TargetSync
from orchestration.settings import Settings

EXAMPLES = 10
_PHONE = re.compile(r"\+?\d[\d ().-]{6,}\d")


def previews(
    settings: Settings, destinations: Sequence[DestinationConfig], situation: Situation, only: Sequence[tuple[str, str]]
) -> Iterator[Preview]:
    """Return what would be sent of each (destination, audience) in ``only``."""
    with open_ledger(settings.activation_file) as con, duckdb.connect() as reader:
        for config in destinations:
            for target in config.targets:
                if (config.name, target.audience) in only:
                    yield TargetSync(con, reader, config, target, situation).preview(EXAMPLES)


def emptied(settings: Settings, destinations: Sequence[DestinationConfig]) -> Iterator[str]:
    """Return a line for each audience that would be emptied since destinations.yml names it no longer."""
    configs = {config.name: config for config in destinations}
    with open_ledger(settings.activation_file) as con:
        for name in destinations_of(con):
            ledger, config = Ledger(con, name), configs.get(name)
            for stored in ledger.targets():
                if config is None or config.target(stored.audience) is None:
                    rows = sum(entry.target == stored.target for entry in ledger.entries(stored.audience))
                    yield f"{name}/{stored.audience}: {rows:,} to remove: destinations.yml names it no longer"


def in_words(preview: Preview) -> str:
    """Return a preview as lines: what would be sent, what stops it, and examples."""
    counts = [
        f"{number:,} {what}"
        for number, what in (
            (preview.new, "to add"),
            (preview.changed, "to change"),
            (preview.removed, "to remove"),
            (preview.removed_always, "to remove in any case"),
            (preview.vetoed, "vetoed"),
        )
        if number
    ]
    of_rows = "" if preview.rows is None else f" of {preview.rows:,} rows"
    parts = [", ".join(counts) + of_rows] if counts else []
    if preview.is_empty_list:
        parts.append("an empty list to deliver")
    lines = [f"{preview.destination}/{preview.audience}: {'; '.join(parts) or f'nothing to send{of_rows}'}"]
    lines += [f"  stopped by the guard {guard.name}: {guard.message}" for guard in preview.guards]
    lines += [f"  {operation:<6} {shown(row)}" for operation, row in preview.examples]
    return "\n".join(lines)


def shown(row: Row) -> str:
    """Return a row for the eyes of people: addresses masked, attributes as they are sent."""
    parts = [masked(row.key)]
    parts += [f"{kind} {masked(address)}" for kind, address in sorted(row.addresses.items())]
    parts += [f"{name}={_value(value)}" for name, value in sorted(row.attributes.items())]
    return "  ".join(parts)


def _value(value: object) -> str:
    return "unset" if value is None else masked(value) if isinstance(value, str) else str(value)


def masked(text: str) -> str:
    """Return a text as it is, but for what may be an e-mail address or a phone number: of these the ends alone."""
    if "@" in text:
        local, _, domain = text.partition("@")
        return f"{local[:1]}***@{domain[:1]}***"
    if _PHONE.fullmatch(text) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return f"{text[:3]}***{text[-2:]}"
    return text
