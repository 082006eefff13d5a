"""What protects people: rejected consents that stand for a withdrawal, and phone numbers in one form."""

from __future__ import annotations

from collections.abc import Collection

import duckdb
import phonenumbers

from orchestration.landing.contract import Dataset
from orchestration.landing.quoting import literal, literals

#: Name of the function, registered by the loader, that brings a phone number into E.164.
E164 = "raw_e164"


def _country(sql: str) -> str:
    return f"case when regexp_full_match(upper({sql}), '[A-Z]{{2}}') then upper({sql}) else '' end"


def _wanted_phones(phone_channels: Collection[str]) -> str:
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


def e164(phone: str | None, country: str | None) -> str | None:
    """Return a phone number in E.164, or None where it is no valid number of the country."""
    try:
        number = phonenumbers.parse(phone or "", country or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def add_phone_numbers(con: duckdb.DuckDBPyConnection, phone_channels: Collection[str]) -> None:
    """Bring every phone number that is not yet in ``raw.phone_numbers`` into E.164."""
    con.execute(
        f"""insert into raw.phone_numbers
        select phone, country, {E164}(phone, country)
        from {_wanted_phones(phone_channels)} w
        anti join raw.phone_numbers using (phone, country)"""
    )


def drop_unused_phone_numbers(con: duckdb.DuckDBPyConnection) -> None:
    """Forget phone numbers that no loaded row holds any more."""
    con.execute(
        """delete from raw.phone_numbers where phone not in (
            select phone from raw.users where phone is not null union select address from raw.addresses)"""
    )


def add_consent_stand_ins(
    con: duckdb.DuckDBPyConnection, dataset: Dataset, judged: str, load_id: int, sha256: str, first_instant: str
) -> None:
    """Let each rejected consent whose user can be read stand for a withdrawal.

    ``judged`` is the relation of all well-formed rows of the file, typed, with their ``reason``. A time before
    ``first_instant`` (SQL) is none: the clock that wrote it was never set.
    """
    if dataset.name != "consents":
        return

    def dated(column: str) -> str:
        return f"case when {column} >= {first_instant} then {column} end"

    con.execute(
        f"""insert into raw.consent_stand_ins
        select {load_id}, {literal(sha256)}, row_number, user_id, channel,
            coalesce({dated("occurred_at")}, {dated("updated_at")},
                (select max({dated("occurred_at")}) from {judged})),
            false
        from {judged} where reason is not null and user_id is not null"""
    )
