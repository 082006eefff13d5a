"""Segment extracts: who of a segment may be contacted on which channel, with the address, as CSV and Parquet."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from orchestration.errors import BarometerError
from orchestration.landing.quoting import literal

#: The families that are extracted; each gets a folder, each of its segments a file.
FAMILIES = ("engagement", "rfm")
_MANIFEST = "manifest.json"
#: A cell that begins with one of these is run as a formula by spreadsheets, unless it is a plain number.
_FORMULA = r"^[=+\-@\t\r\n|%＝＋－＠]"
_NUMBER = r"^[+\-]?[0-9]+(\.[0-9]+)?$"


@dataclass(frozen=True)
class ExtractResult:
    """What was written: rows by (family, segment), and rows that the veto took out."""

    folder: Path
    rows: dict[tuple[str, str], int]
    vetoed: int
    is_same: bool = False


def extract_segments(con: duckdb.DuckDBPyConnection, extracts: Path, as_of: date, fingerprint: str) -> ExtractResult:
    """Write ``extracts/<as_of>/<family>/<segment>.csv`` and ``.parquet``: a row a (user_id, channel), in that order.

    Only channels with an address, consent and no suppression as of the date, less whoever may not be contacted by all
    that is loaded by now. The folder is put in place whole, readable by its owner only; if it holds this build already,
    nothing is written. ``con`` has the working database in use and the build attached as ``build``.
    """
    folder = extracts / as_of.isoformat()
    same = _read_manifest(folder, fingerprint)
    if same is not None:
        return same
    extracts.mkdir(parents=True, exist_ok=True)
    _clear_half_made(extracts)
    temporary = extracts / f".{as_of.isoformat()}.tmp"
    temporary.mkdir(mode=0o700)
    vetoed = _select_members(con)
    rows = {
        (family, segment): _write_segment(con, temporary / family, family, segment)
        for family in FAMILIES
        for (segment,) in con.execute(
            "select segment from build.marts.segment_catalog where family = ? order by position", [family]
        ).fetchall()
    }
    _write_manifest(temporary, fingerprint, rows, vetoed)
    if folder.exists():
        folder.rename(extracts / f".{as_of.isoformat()}.old")
    temporary.rename(folder)
    _clear_half_made(extracts)
    return ExtractResult(folder, rows, vetoed)


def remove_extracts(extracts: Path, as_of: date) -> None:
    """Remove the extracts of a date, if there are any."""
    shutil.rmtree(extracts / as_of.isoformat(), ignore_errors=True)


def _clear_half_made(extracts: Path) -> None:
    """Remove what a killed run left: nobody else would, and it holds addresses."""
    for folder in extracts.glob(".*"):
        if folder.suffix in (".tmp", ".old"):
            shutil.rmtree(folder)


def raise_if_blocked(con: duckdb.DuckDBPyConnection) -> None:
    """Raise BarometerError while a rejected row or file may hide a wish to be left alone.

    ``con`` has the build attached as ``build``.
    """
    found = con.execute(
        "select dataset, file, row_number, reason, file_sha256 from build.marts.extract_blocks order by all"
    ).fetchall()
    if found:
        places = [
            f"  {dataset}: {file}" + (f", row {row}" if row is not None else "") + f" ({reason}), file_sha256 {sha256}"
            for dataset, file, row, reason, sha256 in found[:10]
        ]
        raise BarometerError(
            f"No extract is written: {len(found)} rejected rows or files may hide a wish to be left alone.\n"
            + "\n".join(places),
            "Mend the files and deliver them again, then acknowledge each of these with a row in "
            "dbt_project/seeds/acknowledged_rejects.csv (dataset, file_sha256, row_number or empty, note).",
        )


def _select_members(con: duckdb.DuckDBPyConnection) -> int:
    """Fill the temp table ``members`` and return how many rows the veto took out."""
    con.execute(
        """
        create or replace temp table permitted as
        select permissions.user_id, permissions.channel, permissions.address, vetoes.user_id is not null as is_vetoed
        from intermediate.int_channel_permissions as permissions
        left join intermediate.int_channel_vetoes as vetoes
            on permissions.user_id = vetoes.user_id and permissions.channel = vetoes.channel
        where permissions.has_consent and not permissions.is_suppressed
        """
    )
    con.execute(
        """
        create or replace temp table members as
        select segments.family, segments.segment, permitted.user_id, permitted.channel, permitted.address
        from build.marts.user_segments as segments
        inner join permitted on segments.user_id = permitted.user_id
        where not permitted.is_vetoed
        """
    )
    row = con.execute("select count(*) from permitted where is_vetoed").fetchone()
    return int(row[0]) if row else 0


def _write_segment(con: duckdb.DuckDBPyConnection, folder: Path, family: str, segment: str) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    rows = f"from members where family = {literal(family)} and segment = {literal(segment)}"
    order = "order by members.user_id, members.channel"
    harmless = ", ".join(
        f"case when regexp_matches({column}, '{_FORMULA}') and not regexp_matches({column}, '{_NUMBER}') "
        f"then '''' || {column} else {column} end as {column}"
        for column in ("user_id", "channel", "address")
    )
    for name, columns, options in (
        (f"{segment}.parquet", "user_id, channel, address", "format parquet, compression zstd"),
        (f"{segment}.csv", harmless, "format csv, header true"),
    ):
        path = folder / name
        con.execute(f"copy (select {columns} {rows} {order}) to {literal(str(path))} ({options})")
        path.chmod(0o600)
    row = con.execute(f"select count(*) {rows}").fetchone()
    return int(row[0]) if row else 0


def _write_manifest(folder: Path, fingerprint: str, rows: dict[tuple[str, str], int], vetoed: int) -> None:
    content = {
        "build": fingerprint,
        "vetoed": vetoed,
        "files": {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        },
        "rows": [[family, segment, count] for (family, segment), count in rows.items()],
    }
    path = folder / _MANIFEST
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)


def _read_manifest(folder: Path, fingerprint: str) -> ExtractResult | None:
    """Return what the folder holds if it was written, whole and unchanged, from the same build."""
    try:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        if content["build"] != fingerprint:
            return None
        for name, digest in content["files"].items():
            if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                return None
        rows = {(family, segment): count for family, segment, count in content["rows"]}
    except (OSError, ValueError, KeyError):
        return None
    return ExtractResult(folder, rows, content["vetoed"], is_same=True)
