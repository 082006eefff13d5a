"""Reads a plan: which marketing messages are to be sent on a day."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from data.simulator.draws import Ints
from data.simulator.messages import MESSAGE_CLASSES
from data.simulator.names import Names
from data.simulator.parameters import CHANNEL_NAMES

COLUMNS = ("user_id", "campaign_id", "channel", "variant", "message_class")


@dataclass(frozen=True)
class Plan:
    """One entry a planned message, as codes; ``variant`` is -1 without one."""

    user: Ints
    campaign: Ints
    channel: Ints
    variant: Ints
    message_class: Ints


def read_plan(path: Path, names: Names, users: int) -> Plan:
    """Read a Parquet file with the columns user_id, campaign_id, channel, variant and message_class.

    Campaigns and variants that are not known get codes of their own. variant may be null or missing; without a
    message_class it is marketing. A row that is there twice is one message. Raises ValueError for people, channels or
    classes that don't exist.
    """
    with duckdb.connect(config={"threads": 1}) as connection:
        given = {row[0] for row in connection.execute("describe from read_parquet(?)", [str(path)]).fetchall()}
        if missing := {"user_id", "campaign_id", "channel"} - given:
            raise ValueError(f"{path}: a plan needs the columns {', '.join(sorted(missing))}")
        chosen = ", ".join(f"{name if name in given else 'null'}::varchar as {name}" for name in COLUMNS)
        connection.execute(f"create table plan as select distinct {chosen} from read_parquet(?)", [str(path)])

        def texts(column: str) -> list[str]:
            rows = connection.execute(f"select distinct {column} from plan where {column} is not null order by 1")
            return [row[0] for row in rows.fetchall()]

        for campaign_id in texts("campaign_id"):
            names.campaign(campaign_id)
        for name in texts("variant"):
            names.variant(name)
        lists = {
            "campaign_id": names.campaigns,
            "channel": list(CHANNEL_NAMES),
            "variant": names.variants,
            "message_class": list(MESSAGE_CLASSES),
        }
        for column, known in lists.items():
            if unknown := sorted(set(texts(column)) - set(known)):
                raise ValueError(f"{path}: unknown {column} {unknown[0]!r}")
        number = f"try_cast(substr(user_id, 2) as bigint) - {names.user_base}"
        wrong = f"not starts_with(user_id, 'u') or coalesce({number} not between 0 and {users - 1}, true)"
        rows = connection.execute(f"select user_id from plan where {wrong} or user_id is null limit 1").fetchall()
        if rows:
            raise ValueError(f"{path}: no such user: {rows[0][0]!r}")
        codes = ", ".join(
            f"coalesce(list_position(${column}::varchar[], {column}), {int(column == 'message_class')})::bigint - 1"
            f" as {column}"
            for column in lists
        )
        query = f"select {number} as user_number, {codes} from plan order by all"
        found = connection.execute(query, lists).fetchnumpy()
    columns = [np.asarray(values, dtype=np.int64) for values in found.values()]
    user, campaign, channel, variant, message_class = columns
    if (campaign < 0).any() or (channel < 0).any():
        raise ValueError(f"{path}: a row has no campaign_id or no channel")
    return Plan(user, campaign, channel, variant, message_class)
