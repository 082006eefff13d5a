"""What a sync of many users costs, against a receiver that answers at once: the difference, the calls, the ledger."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations.files import Files
from orchestration.activation.destinations.interface import SEGMENTS
from orchestration.activation.destinations.webhook import Webhook
from orchestration.activation.sync.ledger import open_ledger
from orchestration.activation.sync.sync import Report, Situation, TargetSync, build
from orchestration.activation.to_destinations import list_file
from tests.benchmarks.plan import forget_peak, peak_gigabytes

_FIRST = date(2026, 6, 1)
_NAMES = ("engagement", "rfm", "lifecycle", "value_tier", "pressure_status", "next_eligible_date", "headroom_email")
_RECEIVER = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize, disable_nagle_algorithm = -1, True
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


def mirrored_users(folder: Path, users: int) -> list[tuple[str, float, str]]:
    """Return the seconds, rows a second and peak memory of syncs of ``users`` users to a webhook and to files.

    First all of them, then a day on which one in fifty has changed, then the same day again; beside a raw scan of the
    extract in the same process.
    """
    rows: list[tuple[str, float, str]] = []
    with _receiver() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_SECRET", "0123456789abcdef")
        for kind, options in (
            (Webhook, {"url": url, "secret_env": "BENCHMARK_SECRET"}),
            (Files, {"url": "deliveries", "formats": ["csv", "parquet"]}),
        ):
            target = TargetConfig(SEGMENTS, tuple((name, name) for name in _NAMES))
            config = DestinationConfig(kind.type, kind, options, ("email",), "mirror", (target,), starts_empty=True)
            rows += _of_kind(folder / kind.type, config, users)
    return rows


def _of_kind(folder: Path, config: DestinationConfig, users: int) -> list[tuple[str, float, str]]:
    label = f"sync to {config.name}, {users:,} users"
    one_scan = 0.0
    rows, most = [], 0.0
    for number, (what, as_of, changed) in enumerate(
        (
            ("all of them new", _FIRST, 0),
            ("1 in 50 changed", _FIRST + timedelta(days=1), 50),
            ("the same day again", _FIRST + timedelta(days=1), 50),
        )
    ):
        if number < 2:
            one_scan = _write(folder, config, as_of, users, changed)
        forget_peak()
        started = time.perf_counter()
        report = _sync(folder, config, as_of, f"run {number}")
        seconds = time.perf_counter() - started
        most = max(most, peak_gigabytes())
        assert report.outcome == "complete", report
        rows += [(f"{label}: {what}", seconds, "s"), (f"{label}: {what} / one raw scan", seconds / one_scan, "x")]
        if report.tally.sent:
            rows.append((f"{label}: {what}, sent", report.tally.sent / seconds, "rows/s"))
    return [*rows, (f"{label}: most memory of the process", most, "GB")]


def _sync(folder: Path, config: DestinationConfig, as_of: date, run_id: str) -> Report:
    situation = Situation(run_id, folder / "extracts", folder, as_of, as_of + timedelta(days=1))
    with (
        open_ledger(folder / "activation.sqlite") as con,
        duckdb.connect() as reader,
        closing(build(config, situation)) as destination,
    ):
        return TargetSync(con, reader, config, config.targets[0], situation).run(destination)


def _write(folder: Path, config: DestinationConfig, as_of: date, users: int, changed: int) -> float:
    """Write the extract of a date, in which one user in ``changed`` (0: nobody) differs; return a scan's seconds."""
    extract = folder / "extracts" / as_of.isoformat()
    file = list_file(extract, config.name, SEGMENTS)
    file.parent.mkdir(parents=True)
    differs = f"i % {changed} = 0" if changed else "false"
    with duckdb.connect() as con:
        con.execute(
            f"copy (select 'u' || lpad(i::varchar, 9, '0') as key, key as user_id, null::varchar as _channel, "
            f"if({differs}, 'new', 'engaged') as engagement, 'loyal' as rfm, 'active' as lifecycle, "
            "'tier_' || (i % 5) as value_tier, 'ok' as pressure_status, '2026-06-10' as next_eligible_date, "
            f"i % 7 as headroom_email from range({users}) as t(i) order by key) to '{file}' (format parquet)"
        )
        started = time.perf_counter()
        con.execute(f"select max(columns(*)) from read_parquet('{file}')").fetchall()
        seconds = time.perf_counter() - started
    manifest = {
        "build": "benchmark",
        "files": {file.relative_to(extract).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()},
        "destinations": [[config.name, SEGMENTS, users, 0, users]],
    }
    (extract / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return seconds


@contextmanager
def _receiver() -> Iterator[str]:
    """Start what answers, in a process of its own: its memory and its time are not the sync's."""
    with subprocess.Popen([sys.executable, "-c", _RECEIVER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/barometer"
        finally:
            process.kill()
