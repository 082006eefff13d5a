"""What the parts of the simulator hand to each other: rows with the time at which they arrive."""

from __future__ import annotations

from typing import Any

#: Column name to value. Times are whole seconds since 1970 (UTC) until they are written; lists and properties
#: are Python lists and dicts. A plain string in place of a row is a raw line of the file, written as it is.
Row = dict[str, Any]

#: When a row arrives (seconds since 1970), and the row. The time of arrival decides which file it is in.
Record = tuple[int, Row | str]

Tables = dict[str, list[Record]]


def row(**values: Any) -> Row:
    """Make a row without its empty values."""
    return {name: value for name, value in values.items() if value is not None}
