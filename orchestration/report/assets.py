"""The report of a run in the UI."""

import dagster as dg

from orchestration.ownership import OWNERS
from orchestration.report.run_report import metadata_of, outline, report_of
from orchestration.resources import Warehouse, log

RUN_REPORT = dg.AssetKey(["report", "run"])
_EVENTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_SUCCESS,
    dg.DagsterEventType.STEP_FAILURE,
}


def run_report_of(dates: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset of the run's report. It comes last, and also where a stage before it has failed."""

    @dg.asset(
        key=RUN_REPORT,
        # no other stage, so that it runs when one of them fails; the priority puts it behind all that can still run
        deps=[dg.AssetKey(["raw", "load_files"])],
        op_tags={"dagster/priority": "-100"},
        partitions_def=dates,
        group_name="report",
        kinds={"markdown"},
        owners=OWNERS,
        description="Comes last, also after a stage that failed: what the run loaded, rejected, skipped, built, "
        "checked and published, how long it took, and where the files are.",
    )
    def run(context: dg.AssetExecutionContext, warehouse: Warehouse) -> dg.MaterializeResult:
        settings = warehouse.settings
        report = report_of(context.instance.all_logs(context.run.run_id, of_type=_EVENTS))
        title = f"The {warehouse.kind} run of {settings.as_of}"
        for what, text in outline(report):
            log.info("%-9s %s", what, text)
        built = warehouse.build()
        files = {
            **({"backfilled_file": built.file} if built.is_backfill else {"published_file": settings.published_file}),
            "extracts_folder": settings.extracts / str(settings.as_of),
            **({} if built.is_backfill else {"report_page": settings.report_page}),
            "dbt_log": settings.dbt_log(context.run.run_id),
        }
        return dg.MaterializeResult(
            metadata=metadata_of(title, report, {name: str(path) for name, path in files.items() if path.exists()})
        )

    return run
