"""A range of dates asked for in the Dagster UI: the daemon starts its runs, of which one at a time builds.

The server and the daemon are those of `make dev`; what the page sends when somebody launches a backfill is sent to it.
"""

from __future__ import annotations

import hashlib
import json
import time
import urllib.request
from datetime import date
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus

from tests.browser.conftest import AS_OF, Ui, start, stop
from tests.pipeline import run_pipeline

DAYS = ["2026-06-25", "2026-06-26", "2026-06-27", "2026-06-28"]
MOST_SECONDS = 1800
LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


def ask(ui: Ui, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    content = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(f"{ui.address}/graphql", content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read())["data"]


def test_a_range_is_built_in_ascending_order(tmp_path_factory: pytest.TempPathFactory) -> None:
    ui, process = start(tmp_path_factory.mktemp("ui"))
    try:
        run_pipeline(ui.landing, ui.data, date.fromisoformat(AS_OF))
        published = ui.data / "warehouse" / "barometer.duckdb"
        before = hashlib.sha256(published.read_bytes()).hexdigest()
        place = {"repositoryName": "__repository__", "repositoryLocationName": "barometer"}
        selector = {"partitionSetName": "backfill_partition_set", "repositorySelector": place}
        launched = ask(ui, LAUNCH, {"params": {"selector": selector, "partitionNames": DAYS}})[
            "launchPartitionBackfill"
        ]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        with dg.DagsterInstance.from_config(str(ui.data / "dagster")) as instance:
            deadline = time.monotonic() + MOST_SECONDS
            while (found := instance.get_backfill(launched["backfillId"])) is None or (
                found.status not in (BulkActionStatus.COMPLETED_SUCCESS, BulkActionStatus.COMPLETED_FAILED)
            ):
                assert time.monotonic() < deadline, found
                time.sleep(2)
            assert found.status == BulkActionStatus.COMPLETED_SUCCESS
            records = instance.get_run_records(dg.RunsFilter(tags={"dagster/backfill": launched["backfillId"]}))
        ended = sorted((record.end_time, record.dagster_run.tags["dagster/partition"]) for record in records)
        assert [day for _, day in ended] == DAYS
        # never more than the one that builds and the one that waits
        spans = [(record.start_time, record.end_time) for record in records]
        assert max(sum(one[0] <= start < one[1] for one in spans) for start, _ in spans) <= 2
        files = {path.name for path in (ui.data / "warehouse" / "backfill").iterdir()}
        assert files == {f"{day}.duckdb" for day in DAYS}
        assert hashlib.sha256(published.read_bytes()).hexdigest() == before
    finally:
        stop(process)
