"""Keyed hashes of ids: how an erased user is known again without being kept.

A hash is SHA-256 over a key and the id, as hex digits. The key follows from a salt that is made with the first erasure
and kept in the working file, and from BAROMETER_HASH_KEY where that was set then: without it, who has the working file
can try ids.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import duckdb

from orchestration.errors import BarometerError

#: The SQL function of a connection that has the key, and the variable that holds it.
_FUNCTION, _VARIABLE = "keyed_hash_of", "hash_key_of_erasures"
_SALT, _SOURCE, _PROOF = "erasure_salt", "erasure_key", "erasure_key_proof"
_WITH_ENVIRONMENT, _SALT_ALONE = "salt and BAROMETER_HASH_KEY", "salt alone"
#: Datasets of which the user_id is stored as its hash only.
HASHED_DATASETS = frozenset({"erasures"})


def hashed(sql: str) -> str:
    """SQL for the keyed hash of a text; null stays null. The connection must have the key."""
    return f"{_FUNCTION}({sql})"


def use_key(con: duckdb.DuckDBPyConnection, hash_key: str | None, make: bool = False) -> bool:
    """Give the connection, whose catalog has ``raw``, the function behind ``hashed``; False while there is no key.

    With ``make`` one is made where there is none. Raises BarometerError where BAROMETER_HASH_KEY is not what it was
    when the first erasure came: nobody who was erased then would be known again.
    """
    known = dict(con.execute("select name, value from raw.load_meta").fetchall())
    if _SALT not in known:
        if not make:
            return False
        known = {_SALT: secrets.token_hex(32), _SOURCE: _WITH_ENVIRONMENT if hash_key else _SALT_ALONE}
        known[_PROOF] = _proof(_key(known, hash_key))
        con.executemany("insert into raw.load_meta values (?, ?)", [list(pair) for pair in known.items()])
    key = _key(known, hash_key)
    if _proof(key) != known[_PROOF]:
        raise BarometerError(
            "BAROMETER_HASH_KEY is not the one under which erased users are remembered: they would not be known again.",
            "Set it to what it was. If that is lost, move the folder warehouse/ away: the next run loads everything "
            "anew from the landing files, erasures too.",
        )
    con.execute(f"set variable {_VARIABLE} = ?", [key])
    con.execute(f"create or replace temp macro {_FUNCTION}(id) as sha256(getvariable('{_VARIABLE}') || id)")
    return True


def _key(known: dict[str, str], hash_key: str | None) -> str:
    secret = hash_key if known[_SOURCE] == _WITH_ENVIRONMENT else None
    return hmac.new(known[_SALT].encode(), (secret or "").encode(), hashlib.sha256).hexdigest()


def _proof(key: str) -> str:
    return hashlib.sha256(f"proof of {key}".encode()).hexdigest()
