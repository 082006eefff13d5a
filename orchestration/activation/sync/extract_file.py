"""Reads the extract of a target: keys and hashes of all its rows, and whole rows of those that are sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import starmap
from pathlib import Path

import duckdb
from email_validator import EmailNotValidError, validate_email

from orchestration.activation.configuration import FIXED
from orchestration.activation.destinations.interface import Row, Value
from orchestration.activation.files import count_rows
from orchestration.activation.sync.decide import Wanted
from orchestration.activation.sync.ledger import Sending
from orchestration.landing.quoting import identifier, literal

#: The column of a copy that holds the hash of a row: no attribute can have this name.
_HASH = '"{hash}"'
_CHUNK = 5_000
_ADDRESSES = ("email", "phone")


class ExtractFile:
    """The Parquet file of a target, one at a time on a connection in memory.

    ``names`` are all attributes that its provider was ever told; those that the file has no longer are to be unset. A
    row is read together with its hash, so that what is sent and what is remembered of it agree, also where a run puts
    another file in this place meanwhile.
    """

    def __init__(self, con: duckdb.DuckDBPyConnection, file: Path, names: Sequence[str], plan_date: str | None) -> None:
        self._con = con
        self._con.execute(
            f"create or replace view extract as from read_parquet({literal(str(file))}, hive_partitioning = false)"
        )
        columns = [name for name, *_ in self._con.execute("describe extract").fetchall()]
        self._addresses = [kind for kind in _ADDRESSES if kind in columns]
        self._here = [name for name in columns if name not in FIXED]
        self._retired = [name for name in names if name not in self._here]
        self._con.execute("create or replace table to_send(key varchar)")
        # whatever changes what is said of a row changes its hash
        said = json.dumps([plan_date, sorted(self._here), sorted(self._retired)])
        salt = hashlib.md5(said.encode(), usedforsecurity=False).hexdigest()
        values = ", ".join(
            f"coalesce(cast({identifier(name)} as varchar), chr(30))" for name in sorted(columns) if name != "key"
        )
        self._hash = f"md5(concat_ws(chr(31), {literal(salt)}, {values}))"

    def wanted(self) -> Iterator[Wanted]:
        """Return every row, in the order of the file."""
        cursor = self._con.cursor()
        cursor.execute(f"select key, user_id, {self._hash}, _channel from extract")
        while rows := cursor.fetchmany(_CHUNK):
            yield from map(Wanted._make, rows)

    def count(self) -> int:
        """Return how many rows there are."""
        return count_rows(self._con, "from extract")

    def note(self, keys: Iterable[str]) -> None:
        """Note rows that `noted` shall return."""
        self._con.execute("insert into to_send select unnest(?::varchar[])", [list(keys)])

    def copy_without(self, file: Path, users: Iterable[str]) -> None:
        """Write the rows of all but some users to a Parquet file, in the order of keys, each with its hash."""
        self._con.execute("create or replace table left_out as select unnest(?::varchar[]) as user_id", [list(users)])
        self._copy(file, "anti join left_out using (user_id)")

    def copy_known(self, file: Path, hashes: Mapping[str, str | None]) -> None:
        """Write the rows whose hash is that of their key in ``hashes`` as `copy_without` does."""
        self._con.execute(
            f"create or replace table known as select unnest(?::varchar[]) as key, unnest(?::varchar[]) as {_HASH}",
            [list(hashes), list(hashes.values())],
        )
        self._copy(file, f"semi join known using (key, {_HASH})")

    def _copy(self, file: Path, joined: str) -> None:
        self._con.execute(
            f"copy (select * from (select *, {self._hash} as {_HASH} from extract) as hashed {joined} order by key) "
            f"to {literal(str(file))} (format parquet)"
        )
        file.chmod(0o600)

    def noted(self) -> Iterator[tuple[Row, str, str | None]]:
        """Return the noted rows in the order of keys, each with its hash and channel."""
        cursor = self._con.cursor()
        selected = [*self._addresses, *self._here]
        cursor.execute(
            f"select key, user_id, _channel, {self._hash}, {', '.join(map(identifier, selected))} "
            "from extract semi join to_send using (key) order by key"
        )
        count = len(self._addresses)
        while rows := cursor.fetchmany(_CHUNK):
            for key, user_id, channel, hash_, *values in rows:
                addresses = {
                    kind: value
                    for kind, value in zip(self._addresses, values[:count], strict=True)
                    if value is not None
                }
                attributes: dict[str, Value] = dict(zip(self._here, values[count:], strict=True))
                attributes.update(dict.fromkeys(self._retired))
                yield Row(key, user_id, addresses, attributes), hash_, channel


def copied(con: duckdb.DuckDBPyConnection, file: Path) -> Iterator[Sending]:
    """Return what the ledger keeps of each row of a copy, in the order of keys."""
    cursor = con.cursor()
    cursor.execute(
        f"select key, user_id, _channel, {_HASH} from read_parquet({literal(str(file))}, hive_partitioning = false)"
    )
    while rows := cursor.fetchmany(_CHUNK):
        yield from starmap(Sending, rows)


def normalised(row: Row, key_kind: str) -> Row | str:
    """Return a row with its addresses as providers compare them, or a code where one is none.

    E-mail addresses are lower-cased whole: the library keeps the case of the local part, mailboxes do not.
    """
    email = row.key if key_kind == "email" else row.addresses.get("email")
    if email is None:
        return row
    try:
        normal = validate_email(email, check_deliverability=False).normalized.lower()
    except EmailNotValidError:
        return "invalid_email"
    if key_kind == "email":
        # the key is what the ledger knows the row by
        return row if normal == row.key else "email_not_normal"
    if normal == email:
        return row
    return Row(row.key, row.user_id, {**row.addresses, "email": normal}, row.attributes, row.changed, row.once)


def parts_of(attributes: Mapping[str, Value]) -> str:
    """Return a text from which `changed_since` tells what differs: a hash of the names, then one of each value."""
    names = sorted(attributes)
    return "".join(_short(text) for text in (json.dumps(names), *(json.dumps(attributes[name]) for name in names)))


def changed_since(attributes: Mapping[str, Value], parts: str | None) -> frozenset[str] | None:
    """Return the names whose values differ from those of ``parts``; None where that can't be told."""
    now = parts_of(attributes)
    if parts is None or len(parts) != len(now) or parts[:_WIDTH] != now[:_WIDTH]:
        return None
    return frozenset(
        name
        for number, name in enumerate(sorted(attributes), start=1)
        if parts[number * _WIDTH : (number + 1) * _WIDTH] != now[number * _WIDTH : (number + 1) * _WIDTH]
    )


_WIDTH = 16


def _short(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:_WIDTH]
