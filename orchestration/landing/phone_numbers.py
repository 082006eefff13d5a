"""Phone numbers in one form, E.164. Many are read by a process for each of DuckDB's threads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import duckdb
import phonenumbers

from orchestration.errors import BarometerError
from orchestration.landing.quoting import literals
from orchestration.warehouse.files import as_file

#: A number as it came, and the country that it may be read in: two letters, or none.
Number = tuple[str, str]

#: So many are read before another process is worth its start.
_AT_ONCE = 50_000
_WANTED = "landing_phone_numbers"
_ROOT = Path(__file__).resolve().parents[2]


def e164(phone: str, country: str) -> str | None:
    """Return a phone number in E.164, or None where it is no valid number of the country."""
    try:
        number = phonenumbers.parse(phone, country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def add_phone_numbers(con: duckdb.DuckDBPyConnection, phone_channels: Collection[str], scratch: Path) -> None:
    """Bring every phone number that is not yet in ``raw.phone_numbers`` into E.164."""
    con.execute(
        f"""create or replace temp table {_WANTED} as
        select row_number() over () as number, phone, country
        from {_wanted(phone_channels)} w
        anti join raw.phone_numbers using (phone, country)"""
    )
    rows = ((str(number), read) for number, read in enumerate(_read_wanted(con), start=1))
    with as_file(rows, ("number", "e164"), scratch) as read:
        con.execute(
            f"""insert into raw.phone_numbers
            select phone, country, nullif(e164, '')
            from {read} r
            join temp.{_WANTED} w on w.number = r.number::bigint"""
        )
    con.execute(f"drop table temp.{_WANTED}")


def drop_unused_phone_numbers(con: duckdb.DuckDBPyConnection) -> None:
    """Forget phone numbers that no loaded row holds any more."""
    con.execute(
        """delete from raw.phone_numbers where phone not in (
            select phone from raw.users where phone is not null union select address from raw.addresses)"""
    )


def _country(sql: str) -> str:
    return f"case when regexp_full_match(upper({sql}), '[A-Z]{{2}}') then upper({sql}) else '' end"


def _wanted(phone_channels: Collection[str]) -> str:
    """SQL for every number with each country that it may be read in.

    An address is read in every country that its user ever had and in none, which is what counts before the user
    is known: which versions and files came first must not matter.
    """
    return f"""(
        select phone, {_country("country")} as country from raw.users where phone is not null
        union
        select a.address, unnest(list_distinct(['', {_country("u.country")}]))
        from raw.addresses a
        left join (select distinct user_id, country from raw.users) u using (user_id)
        where list_contains([{literals(sorted(phone_channels))}]::varchar[], a.channel)
    )"""


def _read_wanted(con: duckdb.DuckDBPyConnection) -> Iterator[str | None]:
    """Give what is wanted in E.164, in the order of its numbers; a part of it at a time is in memory."""
    (count,) = con.execute(f"select count(*) from temp.{_WANTED}").fetchone() or (0,)
    (threads,) = con.execute("select current_setting('threads')").fetchone() or (1,)

    def part(first: int) -> list[Number]:
        last = first + _AT_ONCE - 1
        return con.execute(
            f"select phone, country from temp.{_WANTED} where number between ? and ? order by number", [first, last]
        ).fetchall()

    if count <= _AT_ONCE:
        yield from (e164(*number) for number in part(1))
        return
    firsts = range(1, count + 1, _AT_ONCE)
    with ThreadPoolExecutor(threads) as pool:
        for place in range(0, len(firsts), threads):
            parts = [part(first) for first in firsts[place : place + threads]]
            yield from chain.from_iterable(pool.map(_elsewhere, parts))


def _elsewhere(numbers: list[Number]) -> list[str | None]:
    """Bring numbers into E.164 in a process of their own, which ends when this one is gone."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestration.landing.phone_numbers"],
        cwd=_ROOT,
        input=json.dumps(numbers),
        stdout=subprocess.PIPE,
        # a trace would tell of numbers
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BarometerError(
            f"The process that reads phone numbers ended with {done.returncode}.",
            "Run again; if it stays, see that the machine has memory to spare.",
        )
    return list(json.loads(done.stdout))


if __name__ == "__main__":
    json.dump([e164(*number) for number in json.load(sys.stdin)], sys.stdout)
