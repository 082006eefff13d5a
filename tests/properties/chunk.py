"""Many small worlds in one warehouse.

Most of the time of a small world goes into files and statements, not rows. So worlds are loaded and built together:
the ids of each begin with its own prefix, and the loader and most models treat every user, order and message by
itself. What looks at everybody (cut points, means, folding, limits of audiences) and what is made from it runs for one
world at a time, on views that show its rows only. A model that looked at everybody and were not named here would
disagree with the oracle.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from orchestration.landing.contract import DATASETS
from tests import compiled_sql
from tests.properties.oracle import Row
from tests.properties.worlds import Batch, write_batch

LOOK_AT_EVERYBODY = (
    "int_rfm_cut_points",
    "int_user_cadence",
    "int_folded_segments",
    "fam_interest",
    "fam_value",
    "rfm_stability",
    "unmapped_events",
    # the best of an audience by value stay
    "int_candidates",
)
#: Any date: staging and rollups don't depend on it.
_ANY_DATE = date(2024, 1, 1)
#: Columns that say when and where from a row was loaded, which differs with the deliveries.
_LOAD_COLUMNS = frozenset({"load_id", "changed_load_id", "key_hash", "row_number"})
#: Columns of erasures that are hashed with a salt of the warehouse.
_SALTED = frozenset({"user_id", "row_md5"})
#: The first of these that a table has tells whose row it is.
_KEYS = ("event_id", "order_id", "message_id", "subscription_id", "user_id", "product_id", "anonymous_id")

Rows = list[dict[str, Any]]


def fill_planned(con: duckdb.DuckDBPyConnection, rows: Sequence[Row]) -> None:
    """Fill raw.planned_contacts of a world, as the files of plan lists would."""
    names = ("plan_date", "user_id", "campaign_id", "audience", "channel", "variant", "message_class")
    marks = ", ".join("?" for _ in names)
    for row in rows:
        con.execute(
            f"insert into raw.planned_contacts ({', '.join(names)}, file) values ({marks}, 'file')",
            [row.get(name) for name in names],
        )


class Plan:
    """Which models of a compiled project run when: those of rows by key, those of a date, those of one world."""

    def __init__(self, compiled: compiled_sql.Compiled, wanted: Sequence[str]) -> None:
        incremental = [model.name for model in compiled.models if model.materialized == "incremental"]
        self.layer = [model.name for model in compiled.only(incremental).models]
        self.compiled = compiled.only([*wanted, *self.layer])
        of_one_world = set(LOOK_AT_EVERYBODY)
        for model in self.compiled.models:
            if of_one_world & set(model.parents):
                of_one_world.add(model.name)
        self.of_one_world = [model for model in self.compiled.models if model.name in of_one_world]
        self.of_a_date = [
            model.name
            for model in self.compiled.models
            if model.name not in self.layer and model.name not in of_one_world
        ]

    @cached_property
    def seen_by_one_world(self) -> list[str]:
        """The models of whose rows one world must see only its own."""
        own = {model.name for model in self.of_one_world}
        parents = {parent for model in self.of_one_world for parent in model.parents}
        return sorted(parents - own - set(self.compiled.seeds))


class Chunk:
    """One warehouse with the rows of many worlds, which share date and policy."""

    def __init__(self, plan: Plan, seeds: Mapping[str, Rows]) -> None:
        self._plan = plan
        self._world = compiled_sql.World(plan.compiled, seeds)
        self._con = self._world.con
        self._rows: dict[str, dict[str, Rows]] = {}
        self._own: list[compiled_sql.Model] = []

    def deliver(self, deliveries: Sequence[Batch]) -> None:
        """Load one delivery after the other, each followed by an incremental build."""
        with tempfile.TemporaryDirectory() as folder:
            for number, delivery in enumerate(deliveries):
                write_batch(delivery, Path(folder), f"batch_{number}")
                self._world.load(Path(folder))
                self._world.build(_ANY_DATE, only=self._plan.layer)

    def fill_planned(self, rows: Sequence[Row]) -> None:
        """Fill raw.planned_contacts, as the files of plan lists would."""
        fill_planned(self._con, rows)

    def tables(self) -> dict[str, Counter[tuple[str, ...]]]:
        """The rows of raw and of every incremental model, without what depends on the deliveries."""
        relations = [m.relation for m in self._plan.compiled.models if m.materialized == "incremental"]
        found = {}
        for relation in [*relations, *(f"raw.{dataset}" for dataset in DATASETS)]:
            left_out = _LOAD_COLUMNS | (_SALTED if "erasures" in relation else set())
            columns = [f'"{name}"' for name in self._columns(relation) if name not in left_out]
            rows = self._con.execute(f"select {', '.join(columns)} from {relation}").fetchall()
            found[relation] = Counter(tuple(map(str, row)) for row in rows)
        return found

    def build(self, as_of: date) -> None:
        """Build what can be built for all worlds together."""
        self._rows = {}
        self._world.build(as_of, only=self._plan.of_a_date)
        if not self._own:
            self._own = self._models_of_one_world()

    def _models_of_one_world(self) -> list[compiled_sql.Model]:
        """Their SQL, reading views of the rows whose ids begin with the variable `world`."""
        views = {}
        self._con.execute("attach ':memory:' as one_world")
        for name in self._plan.seen_by_one_world:
            relation = self._plan.compiled.relations[name]
            key = self._key(relation)
            if key is None:
                continue
            views[relation] = f'"one_world"."main"."{name}"'
            self._con.execute(
                f"create view {views[relation]} as from {relation} where starts_with({key}, getvariable('world'))"
            )

        def on_views(sql: str) -> str:
            for relation, view in views.items():
                sql = sql.replace(relation, view)
            return sql

        return [replace(model, full_sql=on_views(model.full_sql)) for model in self._plan.of_one_world]

    def one_world(self, prefix: str, without: Sequence[str] = ()) -> OneWorld:
        """Build the rest for one world, but for the models ``without``."""
        self._con.execute(f"set variable world = '{prefix}'")
        for model in self._own:
            if model.name not in without:
                self._con.execute(f"create or replace table {model.relation} as {model.full_sql}")
        return OneWorld(self, prefix)

    def rows_of(self, model: str, prefix: str) -> Rows:
        """The rows of one world."""
        if any(own.name == model for own in self._own):
            return self._world.rows(model)
        if model not in self._rows:
            key = self._key(self._plan.compiled.relations[model])
            by_world: dict[str, Rows] = {}
            for row in self._world.rows(model):
                by_world.setdefault(row[key].partition("_")[0] + "_", []).append(row)
            self._rows[model] = by_world
        return self._rows[model].get(prefix, [])

    def _columns(self, relation: str) -> list[str]:
        return [column[0] for column in self._con.execute(f"from {relation} limit 0").description or []]

    def _key(self, relation: str) -> str | None:
        """The column that begins with the prefix of a world; None: all worlds share the rows."""
        columns = self._columns(relation)
        return next((name for name in _KEYS if name in columns), None)

    def close(self) -> None:
        """Forget everything."""
        self._world.close()


class OneWorld:
    """The tables of one world."""

    def __init__(self, chunk: Chunk, prefix: str) -> None:
        self._chunk = chunk
        self._prefix = prefix

    def rows(self, model: str) -> Rows:
        """The rows of a model."""
        return self._chunk.rows_of(model, self._prefix)
