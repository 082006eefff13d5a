"""The first stage: landing files become the tables of the schema raw."""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg

from orchestration import clock
from orchestration.landing.by_day import DAILY, DAYS, rows_by_day
from orchestration.landing.contract import DATASETS
from orchestration.landing.load import load_landing
from orchestration.landing.schema import create_raw_schema
from orchestration.ownership import OWNERS
from orchestration.policy import check_policy
from orchestration.report.charts import day_chart
from orchestration.report.recording import recorded
from orchestration.resources import WRITER_POOL, Warehouse, log
from orchestration.settings import load_settings
from orchestration.warehouse import prepare
from orchestration.warehouse.build import BACKFILL
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.forget import forget_files

LOAD = "load_landing_files"
#: So that the charts of several stand one below the other in the report of the run.
_WIDEST = max(map(len, DAILY))

#: What the loader keeps beside the datasets.
LEDGERS = {
    "load_files": "The ledger: rows read, accepted and rejected by file.",
    "rejected_rows": "Rows that could not be used, as they came, with a reason.",
    "rejected_files": "Files that could not be read at all.",
    "bad_values": "Optional values that became null, by file and column.",
    "touches": "Old values of rows that a later load replaced or an erasure dropped.",
    "consent_stand_ins": "Withdrawals that stand for rejected consent rows.",
    "phone_numbers": "Phone numbers as written and in E.164.",
    "returned_users": "Erased users who have rows dated after their request.",
}


def _spec(name: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=["raw", name],
        group_name="raw",
        description=description,
        kinds={"python", "duckdb"},
        owners=OWNERS,
    )


@dg.multi_asset(
    name=LOAD,
    pool=WRITER_POOL,
    specs=[
        *(_spec(name, f"Rows of landing/{name}/, typed; key: {', '.join(d.key)}.") for name, d in DATASETS.items()),
        *(_spec(name, description) for name, description in LEDGERS.items()),
    ],
)
@recorded("load", rows="rows_read")
def load_landing_files(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[dg.MaterializeResult]:
    """Load every new landing file, each in one transaction; files already loaded are skipped."""
    settings = warehouse.settings
    if warehouse.kind == BACKFILL:
        why = "a backfill loads nothing"
        log.info("No files are loaded: %s", why)
        for name in (*DATASETS, *LEDGERS):
            yield dg.MaterializeResult(asset_key=["raw", name], metadata={"skipped": why})
        return
    started = time.perf_counter()
    # somebody may have edited it while the run waited for the lock
    check_policy()
    settings.require_landing()
    log.info("Loading %s", settings.landing)
    with open_duckdb(settings.working_file) as con:
        create_raw_schema(con)
        prepare.create_control_schema(con)
        prepare.check_facts(con, prepare.facts_of(settings.landing, settings.policy["business_time_zone"]))
        before = prepare.last_load_id(con)
        result = load_landing(
            con,
            settings.landing,
            load_settings(settings.policy, settings.settle_seconds, settings.hash_key),
            clock.now,
            log.info,
            settings.scratch_prefix,
        )
        rows = {
            name: con.execute(f'select count(*) from raw."{name}"').fetchone()[0]  # type: ignore[index]
            for name in (*DATASETS, *LEDGERS)
        }
        rejected = con.execute(
            "select dataset, reason, count(*) from raw.rejected_rows where load_id > ? group by all order by all",
            [before],
        ).fetchall()
        by_day = {name: rows_by_day(con, name, settings.as_of, settings.policy["business_time_zone"]) for name in DAILY}
        forget_files(con, settings, context.instance)
    warehouse.has_loaded()
    seconds = time.perf_counter() - started
    log.info(
        "Loaded %s rows of %s new files in %.1f s (%s files unchanged)",
        f"{sum(d.rows_read for d in result.datasets.values()):,}",
        sum(d.files_loaded for d in result.datasets.values()),
        seconds,
        sum(d.files_same for d in result.datasets.values()),
    )
    for name in DATASETS:
        loaded = result.datasets.get(name)
        metadata: dict[str, Any] = {"dagster/row_count": rows[name]}
        if loaded is not None:
            metadata |= {
                "files_loaded": loaded.files_loaded,
                "files_unchanged": loaded.files_same,
                "files_unreadable": loaded.files_unreadable,
                "rows_read": loaded.rows_read,
                "rows_rejected": loaded.rows_rejected,
                "rows_duplicate": loaded.rows_duplicate,
                "rows_erased": loaded.rows_erased,
            }
        if name in by_day:
            days = f"the {DAYS} days to {settings.as_of}"
            metadata["rows_by_day"] = dg.MetadataValue.md(day_chart([(f"{name:<{_WIDEST}}", by_day[name])], days))
        yield dg.MaterializeResult(asset_key=["raw", name], metadata=metadata)
    for name in LEDGERS:
        metadata = {"dagster/row_count": rows[name]}
        if name == "rejected_rows" and rejected:
            metadata["new_by_reason"] = dg.MetadataValue.table(
                [dg.TableRecord({"dataset": d, "reason": reason, "rows": n}) for d, reason, n in rejected]
            )
        yield dg.MaterializeResult(asset_key=["raw", name], metadata=metadata)
