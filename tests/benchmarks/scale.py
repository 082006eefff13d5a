"""A whole pipeline at a size: what every part takes, beside one raw scan of the events in the same run.

The files are made first; then they are scanned, loaded plainly (`create table as`), and run through the pipeline as
`make run` does, in a process of its own with a limit of memory: the first build, then the next day with 1/730 of the
data.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb

from orchestration.landing.quoting import identifier
from orchestration.settings import ROOT
from orchestration.warehouse.files import STORAGE_VERSION, open_duckdb
from tests.benchmarks.peers import compare
from tests.benchmarks.shop import AS_OF, Scale, write_day, write_history
from tests.pipeline import RUN, environment

#: The models that make what the peers make, from what is loaded.
OF_PEERS = {
    "RFM": ("stg_orders", "int_user_orders_daily", "int_rfm_cut_points", "int_user_orders", "rfm"),
    "contacts": ("int_message_outcomes", "fct_contacts", "int_contact_days", "contact_pressure"),
}
#: What DuckDB may take, in the pipeline and in the plain load.
MEMORY = "8GB"
_SCANS = 3
_SCAN = """
    select max(event_id), max(user_id), max(event), max(timestamp), max(product_id)
    from '{landing}/events/**/*.parquet'"""
_MODEL = re.compile(
    r"OK created sql (?:incremental|table|view) model [\w\"]+\.(?:\w+\.)?(\w+) \.* \[(?:.*) ?in (\d+\.\d+)s\]"
)
_CHECK = re.compile(r"(?:PASS|WARN \d+) (\w+) \.* \[.*in (\d+\.\d+)s\]")
_PARTS = re.compile(r"([a-z][a-z_ ]*) (\d+\.\d)")


def measure(scale: Scale, has_peers: bool = True) -> dict[str, Any]:
    """Run everything at a scale in a temporary folder, which is gone in the end; return what it took."""
    with _ending_well(), TemporaryDirectory(prefix="barometer-bench-") as name:
        folder = Path(name)
        landing, data = folder / "landing", folder / "data"
        _say(f"writing the files of {scale.users:,} users and {scale.days} days")
        write_history(landing, scale)
        found: dict[str, Any] = {
            "scale": scale.name,
            "users": scale.users,
            "days": scale.days,
            "machine": machine(),
            "memory_limit": MEMORY,
            "rows": _rows(landing),
            "landing_GB": _gigabytes(landing),
        }
        scans = [_scan(landing)]
        _say("plain load")
        found["plain_load_seconds"] = _plain_load(landing, folder / "plain.duckdb")
        found["plain_load_in_format_seconds"] = _plain_load(landing, folder / "plain.duckdb", STORAGE_VERSION)
        subprocess.run([sys.executable, "-m", "orchestration", "parse"], cwd=ROOT, check=True, capture_output=True)
        scans.append(_scan(landing))
        _say("first run")
        found["first"] = _run(landing, data, AS_OF)
        scans.append(_scan(landing))
        files = {name: data / "warehouse" / f"{name}.duckdb" for name in ("working", "build")}
        _say("writing its tables once more")
        found["first_copy_seconds"] = _copy(files, folder / "copy.duckdb")
        if has_peers:
            _say("peers")
            published = data / "warehouse" / "barometer.duckdb"
            found["peers"] = compare(landing, published, folder / "peers", AS_OF)
        _say("the next day")
        write_day(landing, scale, 1)
        found["next_day_rows"] = _rows(landing, "days/*.parquet")
        found["next"] = _run(landing, data, AS_OF + timedelta(days=1))
        scans.append(_scan(landing))
        _say("writing its tables once more")
        found["copy_seconds"] = _copy({"build": files["build"]}, folder / "copy.duckdb")
        found["scan_seconds"] = statistics.median(scans)
        found["scans"] = scans
        return found


def machine() -> str:
    """Say which machine this is, and which versions run on it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = f"Python {platform.python_version()}, DuckDB {duckdb.__version__}"
    return f"{os.cpu_count()} cores, {platform.machine()}, {memory:.0f} GiB, {versions}"


def lines(found: dict[str, Any]) -> list[tuple[str, float, str, float | None]]:
    """Return the rows of the table: what, how much, its unit, and for seconds how many raw scans that is."""
    scan = found["scan_seconds"]

    def seconds(what: str, value: float) -> tuple[str, float, str, float | None]:
        return what, value, "s", value / scan

    told: list[tuple[str, float, str, float | None]] = [
        *((f"rows of {dataset}", float(count), "rows", None) for dataset, count in found["rows"].items()),
        ("landing files", found["landing_GB"], "GB", None),
        seconds("raw scan of the events, five columns (the unit)", scan),
        seconds("plain load: create table as, every dataset, on the disk", found["plain_load_seconds"]),
        seconds(f"the same in the pipeline's format ({STORAGE_VERSION})", found["plain_load_in_format_seconds"]),
    ]
    for which, label in (("first", "first run"), ("next", "next day")):
        run = found[which]
        told += [seconds(f"{label}: {part}", value) for part, value in run["parts"].items()]
        told += [
            (f"{label}: peak memory of {stage}", value, "GB", None) for stage, value in run["peak_GB"].items() if value
        ]
        told += [(f"{label}: {file}", value, "GB", None) for file, value in run["files_GB"].items()]
    first, following = found["first"]["parts"], found["next"]["parts"]
    told += [
        ("load / plain load (aim: 1.5)", first["load"] / found["plain_load_seconds"], "x", None),
        ("first run, everything after the load (aim: 90)", (first["in all"] - first["load"]) / scan, "raw scans", None),
        ("next day, all of it (aim: 20)", following["in all"] / scan, "raw scans", None),
    ]
    for of, key in (("all models", "first_copy_seconds"), ("one date", "copy_seconds")):
        if key in found:
            told.append(seconds(f"the tables of {of}, written once more as they are", found[key]))
    for what, models in OF_PEERS.items():
        for which, label in (("first", "first run"), ("next", "next day")):
            of_models = sum(found[which]["models"].get(model, 0) for model in models)
            told.append(seconds(f"{label}: the {len(models)} models behind {what}", of_models))
    for peer, took in found.get("peers", {}).items():
        told.append(seconds(f"RFM and counts of 7 and 30 days by {peer}", took["seconds"]))
        told.append((f"  its memory ({_differences(took)})", took["GB"], "GB", None))
    return told


def slowest(found: dict[str, Any], most: int = 30) -> list[tuple[str, float, float]]:
    """Return the models that take longest: name, seconds in the first run, seconds on the next day."""
    first, following = found["first"]["models"], found["next"]["models"]
    names = sorted({*first, *following}, key=lambda name: -(first.get(name, 0) + following.get(name, 0)))
    return [(name, first.get(name, 0.0), following.get(name, 0.0)) for name in names[:most]]


def as_markdown(found: dict[str, Any]) -> str:
    """Return the table as a page has it."""
    told = [
        f"{found['machine']}; DuckDB limited to {found['memory_limit']}.",
        "",
        "| what | | | raw scans |",
        "| --- | ---: | --- | ---: |",
        *(
            f"| {what.strip()} | {value:,.{0 if unit == 'rows' else 2}f} | {unit} | {_told(units)} |"
            for what, value, unit, units in lines(found)
        ),
        "",
        "| model or check (two at a time) | first run, s | next day, s |",
        "| --- | ---: | ---: |",
        *(f"| `{name}` | {first:.1f} | {following:.1f} |" for name, first, following in slowest(found)),
    ]
    return "\n".join(told)


def as_text(found: dict[str, Any]) -> str:
    """Return the table as a terminal shows it."""
    rows = lines(found)
    width = max(len(what) for what, _, _, _ in rows)
    told = [found["machine"], ""]
    for what, value, unit, units in rows:
        told.append(f"{what:<{width}}  {value:>14,.2f}  {unit:<9}  {_told(units):>8}{' raw scans' if units else ''}")
    told += ["", f"{'model or check':<{width}}  {'first run, s':>14}  next day, s"]
    told += [f"{name:<{width}}  {first:>14.1f}  {following:.1f}" for name, first, following in slowest(found)]
    return "\n".join(told)


def _run(landing: Path, data: Path, as_of: date) -> dict[str, Any]:
    """Run the pipeline; return its seconds by part and by model, its peak memory and what it left on the disk."""
    shutil.rmtree(data / "logs", ignore_errors=True)
    started = time.perf_counter()
    done = subprocess.run(
        RUN,
        cwd=ROOT,
        env={**environment(landing, data, as_of), "BAROMETER_MEMORY_LIMIT": MEMORY},
        check=False,
        capture_output=True,
        text=True,
    )
    took = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(done.stdout[-4000:] + done.stderr[-4000:])
    line = next(line for line in done.stdout.splitlines() if line.startswith("Seconds"))
    parts = {name.strip(): float(seconds) for name, seconds in _PARTS.findall(line.removeprefix("Seconds"))}
    log = "".join(path.read_text(encoding="utf-8") for path in (data / "logs").glob("dbt-*.log"))
    with sqlite3.connect(data / "warehouse" / "activation.sqlite") as con:
        peaks = dict(
            con.execute(
                "select stage, peak_memory_mb / 1e3 from pipeline_runs where as_of = ? and stage not like 'sync%'",
                [as_of.isoformat()],
            ).fetchall()
        )
    return {
        "parts": {**parts, "in all": took},
        "models": {name: float(seconds) for name, seconds in [*_MODEL.findall(log), *_CHECK.findall(log)]},
        "peak_GB": peaks,
        "files_GB": {
            **{path.name: path.stat().st_size / 1e9 for path in sorted((data / "warehouse").glob("*.duckdb"))},
            "extracts": _gigabytes(data / "extracts"),
            "deliveries": _gigabytes(data / "deliveries"),
            "report": _gigabytes(data / "report"),
        },
    }


def _scan(landing: Path) -> float:
    times = []
    with duckdb.connect() as con:
        con.execute("set threads = 2")
        for _ in range(_SCANS):
            started = time.perf_counter()
            con.execute(_SCAN.format(landing=landing)).fetchall()
            times.append(time.perf_counter() - started)
    return statistics.median(times)


def _plain_load(landing: Path, file: Path, version: str = "v1.0.0") -> float:
    """Return what a plain load takes, in the format that DuckDB gives a new file or in a later ``version``."""
    started = time.perf_counter()
    with duckdb.connect(str(file), config={"storage_compatibility_version": version}) as con:
        con.execute(f"set threads = 2; set memory_limit = '{MEMORY}'")
        for folder in sorted(landing.iterdir()):
            con.execute(f"create table {folder.name} as select * from '{folder}/**/*.parquet'")
        con.execute("checkpoint")
    took = time.perf_counter() - started
    file.unlink()
    return took


def _copy(databases: Mapping[str, Path], file: Path) -> float:
    """Return what it takes to write the models' tables where nothing has to be computed: no build can take less."""
    started = time.perf_counter()
    with open_duckdb(file) as con:
        con.execute(f"set threads = 2; set memory_limit = '{MEMORY}'; set preserve_insertion_order = false")
        for name, path in databases.items():
            con.execute(f"attach '{path}' as {name} (read_only)")
        tables = con.execute(
            "select database_name, schema_name, table_name from duckdb_tables() "
            "where database_name in (select unnest(?)) and schema_name not in ('raw', 'control')",
            [list(databases)],
        ).fetchall()
        for table in tables:
            con.execute(f'create table "{"_".join(table)}" as from {".".join(map(identifier, table))}')
        con.execute("checkpoint")
    took = time.perf_counter() - started
    file.unlink()
    return took


def _rows(landing: Path, files: str = "*.parquet") -> dict[str, int]:
    counts = {}
    for folder in sorted(landing.iterdir()):
        if list(folder.glob(files)):
            (counts[folder.name],) = duckdb.sql(f"select count(*) from '{folder}/{files}'").fetchone() or (0,)
    return counts


def _gigabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e9


def _differences(took: dict[str, float]) -> str:
    differ = sum(value for name, value in took.items() if name.startswith("users who differ"))
    return "equal results" if differ == 0 else f"{differ:,.0f} users differ"


def _told(units: float | None) -> str:
    return "" if units is None else f"{units:.1f}"


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


@contextmanager
def _ending_well() -> Iterator[None]:
    """Let a request to end remove the files too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def write(found: dict[str, Any], file: Path) -> None:
    """Keep what was found as JSON."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
