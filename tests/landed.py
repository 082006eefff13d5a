"""What must hold of a plan, asked of the rows that landed, in Python that shares nothing with the models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb

from data.simulator.profiles import GRANTS
from orchestration.landing.contract import DATASETS
from orchestration.warehouse.audiences import audiences
from tests import compiled_sql
from tests.properties import invariants, oracle
from tests.properties.oracle.erasure import without_erased
from tests.properties.oracle.known import DATED_BY, known_users

Row = dict[str, Any]
#: What of a user is needed to say who the user is and may be reached.
OF_USERS = ("users", "events", "orders", "consents", "addresses", "subscriptions", "identities", "erasures")


class Landed:
    """The rows that landed, by dataset and user; those of message events by their message."""

    def __init__(self) -> None:
        self._read: set[Path] = set()
        self.rows: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
        #: By address, e-mail or phone: who ever had it.
        self._owners: dict[str, set[str]] = defaultdict(set)
        self._addresses: dict[str, set[str]] = defaultdict(set)

    def read(self, landing: Path) -> None:
        """Read the Parquet files of a landing folder that are new."""
        for path in sorted(set(landing.glob("*/*.parquet")) - self._read):
            self._read.add(path)
            for row in rows_of(duckdb.execute("from read_parquet(?)", [str(path)])):
                self._keep(path.parent.name, row)

    def take(self, con: duckdb.DuckDBPyConnection) -> None:
        """Take the rows that were loaded, typed and without those that were rejected."""
        for dataset in DATASETS:
            for row in rows_of(con.execute(f"from raw.{dataset}")):
                self._keep(dataset, row)

    def _keep(self, dataset: str, row: Row) -> None:
        if dataset == "consents":
            row["status"] = "granted" if row["status"] in GRANTS else "withdrawn"
        self.rows[dataset][row["message_id"] if dataset == "message_events" else row.get("user_id")].append(row)
        for column in {"users": ("email", "phone"), "addresses": ("address",)}.get(dataset, ()):
            if row[column]:
                self._owners[row[column].lower()].add(row["user_id"])
                self._addresses[row["user_id"]].add(row[column].lower())

    def messages(self) -> list[Row]:
        """Every message."""
        return [row for rows in self.rows["messages"].values() for row in rows]

    def together(self, user: str) -> set[str]:
        """The user, and whoever ever shared an address with one of them."""
        found, new = {user}, {user}
        while new:
            new = {other for one in new for text in self._addresses[one] for other in self._owners[text]} - found
            found |= new
        return found

    def of(self, users: Collection[str]) -> dict[str, list[Row]]:
        """The rows of some users."""
        found = {name: [row for user in users for row in self.rows[name].get(user, ())] for name in OF_USERS}
        found["messages"] = [row for user in users for row in self.rows["messages"].get(user, ())]
        found["message_events"] = [
            row for message in found["messages"] for row in self.rows["message_events"].get(message["message_id"], ())
        ]
        return found

    def known(self, as_of: date) -> set[str]:
        """Every known user."""
        names = ({*DATED_BY, "erasures"}) - {"messages"}
        world = {name: [row for user in self.rows[name] if user for row in self.rows[name][user]] for name in names}
        return known_users(without_erased(oracle.World(**world, messages=self.messages())), as_of)


def rows_of(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """The rows of a query as dicts, times in UTC."""
    names = [column[0] for column in cursor.description or []]
    return [{name: _typed(value) for name, value in zip(names, values, strict=True)} for values in cursor.fetchall()]


def _typed(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


def policy_of(world: compiled_sql.World) -> dict[str, Any]:
    """The seeds and audiences, as they are shipped."""
    return {
        "channels": {
            row["channel"]: oracle.Channel(
                row["address_kind"],
                row["intrusiveness"],
                counts=row["counts_towards_pressure"],
                needs_consent=row["marketing_needs_consent"],
                transactional_needs_consent=row["transactional_needs_consent"],
            )
            for row in world.rows("channels")
        },
        "contact_policy": [
            oracle.PolicyRow(row["policy_segment"], row["channel"], row["window_days"], row["max_contacts"])
            for row in world.rows("contact_policy")
        ],
        "channel_gaps": {row["channel"]: row["min_days"] for row in world.rows("channel_gaps")},
        "do_not_contact": [row["user_id"] for row in world.rows("do_not_contact")],
        "universal_holdouts": [
            oracle.UniversalHoldout(row["valid_from"], row["salt"], row["share"])
            for row in world.rows("universal_holdout")
        ],
        "dose_arms": [oracle.DoseArms(row["valid_from"], row["salt"], row["share"]) for row in world.rows("dose_arms")],
        "audiences": {
            described.name: oracle.Audience(
                **{name: said for name, said in asdict(described).items() if name in oracle.Audience.__annotations__}
            )
            for described in audiences()
        },
    }


def wrong_in(
    plan: Sequence[Row],
    segments: Mapping[str, str],
    landed: Landed,
    carried: Sequence[Row],
    policy: Mapping[str, Any],
    as_of: date,
) -> list[str]:
    """What the plan breaks, person by person with whoever shares an address: their rows alone say it."""
    found, done = [], set()
    for user in sorted({row["user_id"] for row in plan}):
        people = landed.together(user)
        if user in done:
            continue
        done |= people
        rows = {
            **landed.of(people),
            "planned_contacts": [row for row in carried if row["user_id"] in people],
        }
        theirs = [row for row in plan if row["user_id"] in people]
        found += invariants.broken(theirs, segments, oracle.World(**rows, **policy), as_of)
    return found
