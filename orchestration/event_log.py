"""Dagster's record of events in SQLite, with connections that stay open.

Dagster opens the file and prepares its statements anew for each event, and a run writes hundreds: that was a third of a
daily run in which nothing had changed (docs/OVERHEAD.md has the figures).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import SingletonThreadPool

#: Files that are kept open: there is one a run, and one that all runs share.
_MOST_OPEN = 8


class OpenSqliteEventLogStorage(SqliteEventLogStorage):
    """The same files in the same place below ``base_dir``, Dagster's folder; configured in dagster.yaml."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        #: While a batch is stored: its connections by file, and what ends their transactions.
        self._batch: tuple[dict[str, Connection], ExitStack] | None = None
        super().__init__(str(Path(base_dir) / "history" / "runs"), inst_data)
        # a batch holds it while it stores its events
        self._db_lock = threading.RLock()  # type: ignore[assignment]

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Any) -> OpenSqliteEventLogStorage:
        """Return the storage that dagster.yaml asks for."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        """Yield a connection in a transaction; one at a time, as in the class above."""
        with self._db_lock, ExitStack() as stack:
            if self._batch is None:
                yield self._begin(shard, stack)
                return
            begun, ending = self._batch
            if shard not in begun:
                begun[shard] = self._begin(shard, ending)
            yield begun[shard]

    def _begin(self, shard: str, stack: ExitStack) -> Connection:
        """Return a connection in a transaction that ends with ``stack``."""
        engine = self._engine(shard)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        connection = stack.enter_context(engine.connect())
        stack.enter_context(connection.begin())
        return connection

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in one transaction a file: what a run plans is some hundred of them."""
        with self._db_lock, ExitStack() as ending:
            self._batch = {}, ending
            ending.callback(setattr, self, "_batch", None)
            super().store_event_batch(events)

    @cached_property
    def supports_asset_checks(self) -> bool:
        """Whether the table of checks is there: asked for each of them, and it does not go."""
        return bool(super().supports_asset_checks)

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=SingletonThreadPool,
                connect_args={"timeout": sqlite_event_log.SQLITE_BUSY_TIMEOUT_SECONDS},
            )
            event.listen(engine, "connect", _sync_less_often)
        self._engines[shard] = engine
        while len(self._engines) > _MOST_OPEN:
            self._engines.popitem(last=False)[1].dispose()
        return engine

    def delete_events(self, run_id: str) -> None:
        """Delete the file of a run, and what the file of all runs has of it.

        Dagster empties the file of the run instead, and leaves it: half a second a run.
        """
        with self._db_lock:
            engine = self._engines.pop(run_id, None)
            if engine is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
            file = Path(self.path_for_shard(run_id))
            for path in file.parent.glob(f"{file.name}*"):
                path.unlink()
        with self.index_connection() as connection:
            self.delete_events_for_run(connection, run_id)
        self.free_concurrency_slots_for_run(run_id)

    def dispose(self) -> None:
        """Close all files."""
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        super().dispose()


def _sync_less_often(connection: Any, _: Any) -> None:
    """Let the operating system write when it likes: a power cut loses the last events at most, never the file."""
    connection.execute("pragma synchronous = normal")
