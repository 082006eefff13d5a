"""What protects people: rejected consents that stand for a withdrawal, and phone numbers in one form."""

from __future__ import annotations

import duckdb
import phonenumbers

from orchestration.landing.contract import Dataset
from orchestration.landing.quoting import literal

#: Name of the function, registered by the loader, that brings a phone number into E.164.
E164 = "raw_e164"
_E164_PATTERN = r"\+[1-9][0-9]{7,14}"
_PHONE_CHANNELS = ("sms", "whatsapp", "voice", "viber")

_WANTED_PHONES = f"""(
    select distinct phone,
        case when regexp_full_match(upper(country), '[A-Z]{{2}}') then upper(country) else '' end
        as country
    from raw.users where phone is not null
    union
    select distinct a.address,
        case when regexp_full_match(upper(u.country), '[A-Z]{{2}}') then upper(u.country) else '' end
    from raw.addresses a
    left join (
        select user_id, arg_max_null(
            country, (coalesce(updated_at, created_at, timestamp '0001-01-01'), row_md5)) as country
        from raw.users group by user_id
    ) u using (user_id)
    where a.channel in {_PHONE_CHANNELS}
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


def add_phone_numbers(con: duckdb.DuckDBPyConnection) -> None:
    """Bring every phone number that is not yet in ``raw.phone_numbers`` into E.164."""
    con.execute(
        f"""insert into raw.phone_numbers
        select phone, country,
            case when regexp_full_match(phone, '{_E164_PATTERN}') then phone else {E164}(phone, country) end
        from {_WANTED_PHONES} w
        anti join raw.phone_numbers using (phone, country)"""
    )


def drop_unused_phone_numbers(con: duckdb.DuckDBPyConnection) -> None:
    """Forget phone numbers that no loaded row holds any more."""
    con.execute(
        """delete from raw.phone_numbers where phone not in (
            select phone from raw.users where phone is not null union select address from raw.addresses)"""
    )


def add_consent_stand_ins(
    con: duckdb.DuckDBPyConnection, dataset: Dataset, judged: str, load_id: int, sha256: str
) -> None:
    """Let each rejected consent whose user can be read stand for a withdrawal.

    ``judged`` is the relation of all well-formed rows of the file, typed, with their ``reason``.
    """
    if dataset.name != "consents":
        return
    con.execute(
        f"""insert into raw.consent_stand_ins
        select {load_id}, {literal(sha256)}, row_number, user_id, channel,
            coalesce(occurred_at, updated_at, (select max(occurred_at) from {judged}))
        from {judged} where reason is not null and user_id is not null"""
    )
