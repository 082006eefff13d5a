"""Extracts as the pipeline writes them, of rows that a test names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations import KINDS
from orchestration.activation.to_destinations import list_file

Rows = Mapping[str, Mapping[str, Any]]
PLAN_NAMES = ("variant",)


def config_of(
    kind: str, options: Mapping[str, Any], targets: Sequence[TargetConfig], name: str = "here", **more: Any
) -> DestinationConfig:
    """Return a destination of some targets, which mirrors all channels unless ``more`` says otherwise."""
    given = {"mode": "mirror", "starts_empty": True, **more}
    return DestinationConfig(name, KINDS[kind], options, ("email",), targets=tuple(targets), **given)


def write_extract(
    extracts: Path,
    as_of: date,
    config: DestinationConfig,
    lists: Mapping[str, Rows],
    candidates: int | None = None,
    writer: duckdb.DuckDBPyConnection | None = None,
) -> None:
    """Write the extracts of a date: by audience, and by user_id, the attributes (and ``email``, ``phone``, ``key``).

    ``writer`` is a connection in memory, for those who write many.
    """
    folder = extracts / as_of.isoformat()
    files, counts = {}, []
    for audience, rows in lists.items():
        target = config.target(audience)
        assert target is not None
        file = list_file(folder, config.name, audience)
        file.parent.mkdir(parents=True, exist_ok=True)
        addresses = sorted(config.kind.addresses_of(config.options))
        columns = ["key", "user_id", "_channel", *addresses, *target.names]
        key = "user_id" if config.kind.key == "user_id" else config.kind.key
        content = sorted(
            (
                (row.get("key") or (user if key == "user_id" else row[key]), user, "email")
                + tuple(row.get(kind) for kind in addresses)
                + tuple(row.get(name) for name in target.names)
            )
            for user, row in rows.items()
        )
        with duckdb.connect() if writer is None else nullcontext(writer) as con:
            types = [_type([row[i] for row in content]) for i in range(len(columns))]
            typed = ", ".join(f'"{c}" {t}' for c, t in zip(columns, types, strict=True))
            con.execute(f"create or replace temp table t({typed})")
            if content:
                places = ", ".join([f"({', '.join('?' * len(columns))})"] * len(content))
                con.execute(f"insert into t values {places}", [value for row in content for value in row])
            con.execute(f"copy t to '{file}' (format parquet)")
        files[file.relative_to(folder).as_posix()] = hashlib.sha256(file.read_bytes()).hexdigest()
        counts.append([config.name, audience, len(rows), 0, len(rows) if candidates is None else candidates])
    manifest = {"build": "x", "files": files, "destinations": counts}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def _type(values: Sequence[Any]) -> str:
    found = {type(value) for value in values if value is not None}
    return {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE"}.get(next(iter(found)), "VARCHAR") if found else "VARCHAR"
