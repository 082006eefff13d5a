"""Somebody asks to be forgotten: after the next run no file below the data folder holds a byte that tells of them.

Two people have the same story, told by rows of every dataset; one of them asks to be forgotten. The scan that must not
find that one must find the other, and found both before.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from orchestration.command_line import prepare_dagster_home
from orchestration.settings import Settings, settings_from_environment
from orchestration.warehouse.build import NIGHTLY
from orchestration.warehouse.project import ensure_manifest
from tests.integration.people import Row, write

FIRST, SECOND, THIRD = "2026-06-28", "2026-06-29", "2026-06-30"
#: It comes to us after the contacts of the next day were planned.
REQUESTED = "2026-06-28T23:00:00Z"
GONE, STAYS = "gone77", "stays88"
#: Files of the folder of an older build, which is given the name of a backfill.
OLDER = "2026-06-20"


def telling(name: str) -> list[str]:
    """Every text that tells of somebody: in which rows, ``story_of`` says."""
    return [
        f"u-{name}",
        f"mail-{name}@example.org",
        f"token-{name}",
        f"First-{name}",
        f"device-{name}",
        f"order-{name}",
        f"message-{name}",
        f"subscription-{name}",
        f"event-{name}",
        f"link-{name}",
    ]


def story_of(name: str) -> list[Row]:
    """Somebody new who left a cart, with a row in every dataset, one of them rejected."""
    user = {"user_id": f"u-{name}"}
    message = {"message_id": f"message-{name}", **user, "channel": "email", "campaign_id": "welcome"}
    opened = {"event_id": f"event-{name}-o", "message_id": f"message-{name}", "event": "clicked"}
    start, day = "2026-06-20T10:00:00Z", FIRST
    cart = [
        Row("events", {"event_id": f"event-{name}-{n}", **who, "event": event, "timestamp": f"{day}T1{n}:00:00Z"})
        for n, (event, who) in enumerate(
            [
                ("page", {"anonymous_id": f"device-{name}"}),
                ("Product Viewed", {**user, "product_id": "p1", "category": "shoes"}),
                ("Product Added", {**user, "product_id": "p1", "category": "shoes", "value": 50}),
            ]
        )
    ]
    return [
        Row("users", {**user, "email": f"mail-{name}@example.org", "first_name": f"First-{name}", "created_at": start}),
        Row("identities", {"anonymous_id": f"device-{name}", **user, "linked_at": start}),
        Row("addresses", {**user, "channel": "push", "address": f"token-{name}", "updated_at": start}),
        Row("consents", {**user, "channel": "email", "status": "granted", "occurred_at": start}),
        Row("consents", {**user, "channel": "push", "status": "granted", "occurred_at": start}),
        Row("orders", {"order_id": f"order-{name}", **user, "ordered_at": "2026-03-01T10:00:00Z", "gross_amount": 9}),
        Row("order_items", {"order_id": f"order-{name}", "line_number": 1, "product_id": "p1", "quantity": 1}
            | {"unit_price": 9}),
        Row("messages", {**message, "sent_at": "2026-06-21T09:00:00Z"}),
        Row("message_events", {**opened, "occurred_at": "2026-06-21T10:00:00Z", "link_url": f"https://x/link-{name}"}),
        Row("subscriptions", {"subscription_id": f"subscription-{name}", **user, "started_at": start}),
        *cart,
        # no name of an event: rejected, and kept as it came
        Row("events", {"event_id": f"event-{name}-bad", **user, "timestamp": start}),
    ]  # fmt: skip


def readable(path: Path) -> str:
    """Every text column of every table of a DuckDB or Parquet file, or of SQLite; else the bytes."""
    head = path.read_bytes()[:16]
    if head[8:12] == b"DUCK":
        with duckdb.connect() as con:
            con.execute(f"attach '{path}' as file (read_only)")
            tables = con.execute(
                "select schema_name, table_name from duckdb_tables() where database_name = 'file'"
            ).fetchall()
            return "\n".join(str(con.execute(f'from file."{s}"."{t}"').fetchall()) for s, t in tables)
    if head.startswith(b"PAR1"):
        with duckdb.connect() as con:
            return str(con.execute(f"from read_parquet('{path}')").fetchall())
    if head.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(path)) as lite:
            tables = lite.execute("select name from sqlite_master where type = 'table'").fetchall()
            return "\n".join(str(lite.execute(f'select * from "{table}"').fetchall()) for (table,) in tables)
    return ""


def scan(data: Path, texts: list[str]) -> dict[str, set[str]]:
    """The files below a folder that hold each text, in a table or anywhere in their bytes."""
    found: dict[str, set[str]] = {text: set() for text in texts}
    for path in sorted(path for path in data.rglob("*") if path.is_file()):
        content, raw = readable(path), path.read_bytes()
        for text in texts:
            if text in content or text.encode() in raw:
                found[text].add(path.relative_to(data).as_posix())
    return found


@dataclass
class Story:
    """The folder, and what the scan found before the erasure and after it."""

    settings: Settings
    before: dict[str, set[str]]
    after: dict[str, set[str]]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("erasure")
    landing = folder / "landing"
    write(landing, [*story_of(GONE), *story_of(STAYS)])
    # somebody whom nobody doubts, so that no table is empty
    write(landing, story_of("other"))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("BAROMETER_")]:
            patch.delenv(name)
        patch.setenv("BAROMETER_LANDING", str(landing))
        patch.setenv("BAROMETER_DATA", str(folder / "data"))
        patch.setenv("BAROMETER_SETTLE_SECONDS", "0")
        patch.setenv("DAGSTER_HOME", "")
        patch.setenv("BAROMETER_TODAY", SECOND)
        settings = settings_from_environment()
        prepare_dagster_home(settings)
        ensure_manifest(settings)
        from orchestration.definitions import defs

        definitions = defs()
        texts = telling(GONE) + telling(STAYS)
        with dg.DagsterInstance.get() as instance:

            def run(job: str, date: str | None, **config: object) -> None:
                definitions.resolve_job_def(job).execute_in_process(
                    instance=instance, partition_key=date, run_config=config
                )

            run(NIGHTLY, FIRST)
            for name in (GONE, STAYS):
                config = {"user_id": f"u-{name}", "with_addresses": True}
                run("explain", None, ops={"user": {"config": config}})
            (settings.backfills).mkdir()
            shutil.copyfile(settings.published_file, settings.backfills / f"{OLDER}.duckdb")
            (settings.logs / "dbt-old.log").write_text(f"Could not convert string 'u-{GONE}' to INT32\n")
            before = scan(settings.data, texts)
            write(landing, [Row("erasures", {"user_id": f"u-{GONE}", "requested_at": REQUESTED})])
            patch.setenv("BAROMETER_TODAY", THIRD)
            run(NIGHTLY, SECOND)
            after = scan(settings.data, texts)
            yield Story(settings, before, after)


#: What names somebody at the first: the files of a kind, each by how its path begins.
PLACES = (
    "warehouse/working.duckdb",
    "warehouse/build.duckdb",
    "warehouse/barometer.duckdb",
    f"warehouse/backfill/{OLDER}.duckdb",
    f"extracts/{FIRST}/engagement/",
    f"extracts/{FIRST}/plan/",
    f"planned_contacts/{SECOND}/",
    "dagster/history/runs.db",
    "dagster/history/runs/",
)


@pytest.mark.parametrize("name", [GONE, STAYS])
def test_the_scan_finds_both_before(story: Story, name: str) -> None:
    found = story.before[f"u-{name}"]
    assert [place for place in PLACES if not any(path.startswith(place) for path in found)] == []
    assert [text for text in telling(name) if "warehouse/working.duckdb" not in story.before[text]] == []


def test_nothing_tells_of_whom_was_erased(story: Story) -> None:
    assert {text: files for text in telling(GONE) if (files := story.after[text])} == {}


def test_the_same_scan_still_finds_the_other(story: Story) -> None:
    assert [text for text in telling(STAYS) if "warehouse/working.duckdb" not in story.after[text]] == []
    found = story.after[f"u-{STAYS}"]
    # older extracts and backfills went as they were, and so did the records of whom somebody had explained
    gone = (f"warehouse/backfill/{OLDER}.duckdb", f"extracts/{FIRST}/", "dagster/")
    assert not any(path.startswith(gone) for path in found)
    stays = [place for place in PLACES if not place.startswith(gone)] + [f"extracts/{SECOND}/engagement/"]
    assert [place for place in stays if not any(path.startswith(place) for path in found)] == []


def test_what_was_planned_for_others_is_kept_and_sound(story: Story) -> None:
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        planned = con.execute(
            "select user_id from marts.planned_contacts where plan_date = ? group by all order by all", [SECOND]
        ).fetchall()
    assert planned == [("u-other",), (f"u-{STAYS}",)]


def test_the_erasure_itself_is_counted(story: Story) -> None:
    with duckdb.connect(str(story.settings.published_file), read_only=True) as con:
        erased = dict(con.execute("select dataset, sum(rows_erased) from marts.load_files group by all").fetchall())
    assert {name: rows for name, rows in erased.items() if rows} == {
        "users": 1, "identities": 1, "addresses": 1, "consents": 2, "orders": 1, "order_items": 1, "messages": 1,
        "message_events": 1, "subscriptions": 1, "events": 3,
    }  # fmt: skip
