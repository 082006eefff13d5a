"""Whom no sync may send by all that is loaded now: consent, suppression and erasure, applied once more before each."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import duckdb

from orchestration.activation.configuration import DestinationConfig
from orchestration.activation.destinations.interface import SEGMENTS
from orchestration.activation.sync.ledger import Ledger
from orchestration.activation.to_destinations import list_file
from orchestration.landing.quoting import literal
from orchestration.warehouse.files import as_file


def keep_vetoes(
    con: duckdb.DuckDBPyConnection,
    ledger: sqlite3.Connection,
    destinations: Sequence[DestinationConfig],
    folder: Path,
    scratch: Path,
) -> int:
    """Note, in the ledger, who of its rows and of the extracts in ``folder`` may not be sent; return how many.

    A plan row is vetoed on its channel, as far as the class of its message needs consent, and where no address is left
    there; a row of the segments when no channel that its destination serves is left. Whoever is in the seed
    do_not_contact is vetoed too. ``con`` has the working database in use and the build attached as
    ``build``. In the folder ``scratch`` rows are on their way for a moment.
    """
    count = 0
    for destination in destinations:
        of_destination = Ledger(ledger, destination.name)
        con.execute("create or replace temp table sendable(audience varchar, user_id varchar, channel varchar)")
        with as_file(of_destination.users(), ("audience", "user_id", "channel"), scratch) as known:
            con.execute(f"insert into sendable select audience, user_id, nullif(channel, '') from {known}")
        for target in destination.targets:
            file = list_file(folder, destination.name, target.audience)
            # a file that can't be read is not sent: a guard sees to that
            with suppress(duckdb.Error):
                con.execute(
                    f"insert into sendable select {literal(target.audience)}, user_id, _channel "
                    f"from read_parquet({literal(str(file))}, hive_partitioning = false)"
                )
        found = con.execute(_VETOED, {"segments": SEGMENTS, "channels": list(destination.channels)}).fetchall()
        of_destination.keep_vetoes(found)
        count += len(found)
    return count


_VETOED = """
    with vetoes as (
        select user_id, channel, reason, blocks_service from intermediate.int_channel_vetoes
    ),

    of_plan as (
        select sendable.audience, sendable.user_id, vetoes.reason
        from sendable
        inner join vetoes on sendable.user_id = vetoes.user_id and sendable.channel = vetoes.channel
        left join build.marts.audience_catalog as catalog on sendable.audience = catalog.audience
        where
            sendable.audience <> $segments
            and (coalesce(catalog.message_class, '') not in ('transactional', 'service') or vetoes.blocks_service)
    ),

    reached as (
        select permissions.user_id
        from intermediate.int_channel_permissions as permissions
        anti join vetoes on permissions.user_id = vetoes.user_id and permissions.channel = vetoes.channel
        where
            permissions.has_consent
            and not permissions.is_suppressed
            and list_contains($channels, permissions.channel)
    ),

    without_address as (
        select sendable.audience, sendable.user_id, 'no_address' as reason
        from sendable
        anti join intermediate.int_channel_permissions as permissions
            on sendable.user_id = permissions.user_id and sendable.channel = permissions.channel
        where sendable.audience <> $segments
    ),

    of_segments as (
        select sendable.audience, sendable.user_id, 'not_reached' as reason
        from sendable
        anti join reached on sendable.user_id = reached.user_id
        where sendable.audience = $segments
    ),

    listed as (
        select sendable.audience, sendable.user_id, 'do_not_contact' as reason
        from sendable
        inner join policy.do_not_contact as entries on sendable.user_id = entries.user_id
        left join build.marts.audience_catalog as catalog on sendable.audience = catalog.audience
        where coalesce(catalog.message_class, '') not in ('transactional', 'service')
    )

    select audience, user_id, min(reason) as reason
    from (
        select * from of_plan
        union all
        select * from without_address
        union all
        select * from of_segments
        union all
        select * from listed
    )
    group by audience, user_id
    order by audience, user_id
"""
