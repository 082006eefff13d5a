"""Where people can be reached as of the date, and what is known by now that forbids it: the veto.

Consent, suppression and erasure are applied once more to all that is loaded, rows dated after as_of included. Whoever
may not be contacted by them, as far as the class of the message needs it, is taken out; nobody is added.
"""

from __future__ import annotations

import duckdb

from orchestration.activation.files import fill


def select_reach(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the temp table ``reach``: one row per (user_id, channel) with a usable address as of the date.

    Its columns: address, may_get_marketing (consent and no suppression as of the date), is_vetoed (for marketing) and
    is_vetoed_for_service (for transactional and service messages). ``con`` has the working database in use.
    """
    fill(
        con,
        "reach",
        """
        select
            permissions.user_id,
            permissions.channel,
            permissions.address,
            permissions.has_consent and not permissions.is_suppressed as may_get_marketing,
            vetoes.user_id is not null as is_vetoed,
            coalesce(vetoes.blocks_service, false) as is_vetoed_for_service
        from intermediate.int_channel_permissions as permissions
        left join intermediate.int_channel_vetoes as vetoes
            on permissions.user_id = vetoes.user_id and permissions.channel = vetoes.channel
        """,
    )
