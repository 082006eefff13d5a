"""The second stage: dbt turns raw tables into marts, in the file that will be published."""

import contextlib
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from packaging.version import Version

from orchestration import clock
from orchestration.errors import BarometerError, hint_of_machine
from orchestration.landing.assets import LEDGERS
from orchestration.landing.contract import DATASETS
from orchestration.measures.tables import MEASURES
from orchestration.ownership import OWNERS
from orchestration.report.recording import recorded
from orchestration.resources import WRITER_POOL, Warehouse, log
from orchestration.settings import DUCKDB, Settings
from orchestration.warehouse import build_state, prepare, project
from orchestration.warehouse.build import (
    BACKFILL,
    INTRADAY,
    MEASURE_FOLDERS,
    PLAN_FOLDERS,
    begin,
    begin_upstream,
    finish,
    finish_upstream,
    is_built,
    is_upstream_current,
    stale_upstream,
)
from orchestration.warehouse.dbt import StartDbt, run_environment
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.forget import forget_everywhere
from orchestration.warehouse.light_dagster_dbt import (
    NO_UNIT_TESTS,
    DagsterDbtTranslator,
    DbtCliInvocation,
    DbtProject,
    dbt_assets,
)
from orchestration.warehouse.spark import files as spark_files

DBT_MODELS = "dbt_models"
#: Folders of models/ whose models are of one date. All others hold every date, and a backfill only reads them.
AS_OF_FOLDERS = ("intermediate/as_of", "families", "marts", "audiences", "plan")
#: One of their folders: views of the segment history, which the file of a backfill has not.
HISTORY_FOLDER = "marts/history"
_PROGRESS_SECONDS = 3.0
#: So many lines of a dbt log are shown.
_MOST_FAILURES = 10
#: What a kind of run does not build.
_LEFT_OUT = {INTRADAY: (*PLAN_FOLDERS, *MEASURE_FOLDERS), BACKFILL: (HISTORY_FOLDER,)}
#: Sources that are written after dbt, from what it has built.
_WRITTEN_AFTER = ("history", MEASURES)
_PLANS_NOTHING = "intraday runs plan and measure nothing"
_SAID_OF_AUDIENCES = ("objective", "criteria", "offer", "channels")
_ROWS = re.compile(r"(\d+) rows")

#: What models read that the pipeline writes before dbt starts, and what they keep of themselves.
CONTROL_TABLES = [
    dg.AssetSpec(
        key=["control", name],
        group_name="control",
        description=description,
        deps=[dg.AssetKey(["raw", table]) for table in (*DATASETS, *LEDGERS)],
        kinds={"duckdb"},
        owners=OWNERS,
    )
    for name, description in {
        "run_context": "The one row that says which date the run asks about; models read no clock.",
        "watermarks": "The last load that each incremental model holds.",
        "checked_models": "Incremental models as the last run whose checks passed has left them.",
        "planned_contacts": "What plan lists carried, and whom the plan held out, from the files of planned_contacts/.",
        "planned_tests": "Since when the test of each campaign is as it is, from the files of planned_contacts/.",
        "pipeline_runs": "What the stages of each run took and came to, from warehouse/activation.sqlite.",
        "sync_runs": "What each sync of an audience came to, from warehouse/activation.sqlite.",
        "sync_rows": "What each provider has accepted, user by user, from warehouse/activation.sqlite.",
    }.items()
]


class Translator(DagsterDbtTranslator):
    """How dbt models look in Dagster: grouped by folder, with an owner, and of a date where they are one's."""

    def __init__(self, dates: dg.PartitionsDefinition) -> None:
        super().__init__()
        self._dates = dates
        self._specs: dict[str, dg.AssetSpec] = {}

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the spec of a dbt resource; made once, since every event of a run asks for it."""
        if unique_id not in self._specs:
            node = self.get_resource_props(manifest, unique_id)
            spec = super().get_asset_spec(manifest, unique_id, project)
            if _is_in(node, (HISTORY_FOLDER, "marts/measures")):
                # what they read is written after dbt; they name the model that it is written from
                deps = [dep for dep in spec.deps if dep.asset_key.path[0] not in _WRITTEN_AFTER]
                spec = spec.replace_attributes(deps=deps)
            if node["resource_type"] == "model" and node["fqn"][1] == "audiences":
                spec = _with_its_meta(spec, node["config"]["meta"])
            self._specs[unique_id] = spec.replace_attributes(
                owners=OWNERS,
                group_name=_group_of(node),
                partitions_def=self._dates if _is_of_a_date(node) else None,
            )
        return self._specs[unique_id]


def _group_of(node: Mapping[str, Any]) -> str:
    """Return the group of a node: a model's folder, with what is of a date apart from what holds every date."""
    if node["resource_type"] != "model":
        return str(node["schema"])
    return "as_of" if node["fqn"][1:3] == ["intermediate", "as_of"] else str(node["fqn"][1])


def _is_of_a_date(node: Mapping[str, Any]) -> bool:
    """Whether a node of the manifest is a model of the folders whose models are of one date."""
    return _is_in(node, AS_OF_FOLDERS)


def _with_its_meta(spec: dg.AssetSpec, meta: Mapping[str, Any]) -> dg.AssetSpec:
    """Show what an audience says of itself: its objective, its criteria, its offer and its channels."""
    said = {key: " > ".join(meta[key]) if key == "channels" else meta[key] for key in _SAID_OF_AUDIENCES}
    return spec.replace_attributes(
        description=f"{meta['objective']}.\n\nWho: {meta['criteria']}", metadata={**spec.metadata, **said}
    )


def _names_in(manifest: Mapping[str, Any], folders: tuple[str, ...]) -> set[str]:
    """Return the names of the models in some folders of models/."""
    return {node["name"] for node in manifest["nodes"].values() if _is_in(node, folders)}


def _is_in(node: Mapping[str, Any], folders: tuple[str, ...]) -> bool:
    """Whether a node of the manifest is a model in one of some folders of models/."""
    return node["resource_type"] == "model" and "/".join(node["fqn"][1:-1]).startswith(folders)


def as_of_selection(manifest: Mapping[str, Any]) -> list[str]:
    """Return dbt's selectors of all that is of one date: the models, and tests that ask for the date themselves.

    Tests of those models come with them.
    """
    tests = [
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "test" and "source.barometer.control.run_context" in node["depends_on"]["nodes"]
    ]
    return [*map(_selector_of, AS_OF_FOLDERS), *sorted(tests)]


def _selector_of(folder: str) -> str:
    """Return dbt's selector of a folder of models/: by name, which dbt compares sooner than paths."""
    return f"fqn:barometer.{folder.replace('/', '.')}"


def dbt_models_of(manifest: Path, dates: dg.PartitionsDefinition, start: StartDbt) -> dg.AssetsDefinition:
    """Return the dbt seeds, models and tests as assets and checks.

    ``dates`` are the partitions of those of a date; ``start`` is what starts dbt.
    """
    translator = Translator(dates)
    run_dbt = partial(_run_dbt, translator, start)

    @dbt_assets(
        manifest=manifest,
        dagster_dbt_translator=translator,
        name=DBT_MODELS,
        exclude=NO_UNIT_TESTS,
        pool=WRITER_POOL,
    )
    @recorded("build")
    def dbt_models(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
        """Build seeds, models and data tests, unless the file holds the same build already."""
        settings, build, selected = warehouse.settings, warehouse.build(), context.selected_asset_keys
        # of the whole definition: the context's has only what was selected
        if settings.is_on_spark:
            spark_files.take_over(settings)
        specs = list(dbt_models.specs)
        everything = {spec.key for spec in specs}
        of_a_date = {spec.key for spec in specs if spec.partitions_def is not None}
        project.ensure_manifest(settings)
        _refuse_other_models(everything)
        manifest = project.read_manifest()
        as_of_only = ["--select", *as_of_selection(manifest)]
        folders = _LEFT_OUT.get(build.kind, ())
        left_out = ["--exclude", *map(_selector_of, folders)] if folders else []
        unbuilt = _names_in(manifest, folders)
        unmade = {key for key in everything if key.path[-1] in unbuilt}
        plan_of_the_night = selected & unmade if build.kind == INTRADAY else set()
        skipped = partial(_skipped, context.assets_def, context.selected_asset_check_keys)
        if not selected:
            # somebody runs checks alone: they look at all that is there
            with open_duckdb(settings.working_file) as con:
                prepare.create_control_schema(con)
                prepare.distrust_all_models(con)
            names = [key.name for key in context.selected_asset_check_keys]
            yield from run_dbt(context, warehouse, ["--select", *names], is_backfill=False)
        elif not selected & of_a_date:
            begin_upstream(settings, build, clock.now())
            if selected == everything - of_a_date:
                _drop_changed_models(settings)
                args = ["--exclude", *as_of_only[1:]]
                yield from run_dbt(context, warehouse, args, is_backfill=False)
                finish_upstream(settings, build)
            else:
                yield from run_dbt(context, warehouse, _select(selected), is_backfill=False)
        elif not of_a_date - unmade <= selected:
            if build.is_backfill:
                raise BarometerError(
                    f"{settings.as_of} is an older date, which is built whole or not at all.",
                    "Run the job backfill, or choose all assets that have partitions.",
                )
            # what the files hold then is not whole
            begin(settings, build, clock.now())
            if not selected <= of_a_date:
                begin_upstream(settings, build, clock.now())
            yield from run_dbt(context, warehouse, _select(selected), is_backfill=False)
        elif is_built(settings, build):
            log.info("dbt: nothing changed since the last build of %s, skipped", settings.as_of)
            forget_everywhere(settings, context.instance)
            yield from skipped(selected - unmade, "same inputs as the last build")
            yield from skipped(plan_of_the_night, _PLANS_NOTHING)
        elif is_upstream_current(settings, build):
            log.info("dbt: nothing new was loaded; staging and rollups stay as they are")
            begin(settings, build, clock.now())
            yield from run_dbt(context, warehouse, [*as_of_only, *left_out], build.is_backfill)
            finish(settings, build)
            forget_everywhere(settings, context.instance)
            yield from skipped(plan_of_the_night, _PLANS_NOTHING)
            if build.is_backfill:
                log.info("%s is built; the published file and the extracts stay as they are", build.file)
        elif build.is_backfill or not everything - unmade <= selected:
            raise stale_upstream(settings.as_of)
        else:
            begin(settings, build, clock.now())
            begin_upstream(settings, build, clock.now())
            _drop_changed_models(settings)
            yield from run_dbt(context, warehouse, left_out, is_backfill=False)
            finish(settings, build, is_upstream_checked=True)
            forget_everywhere(settings, context.instance)
            yield from skipped(plan_of_the_night, _PLANS_NOTHING)

    return dbt_models


def _refuse_other_models(loaded: Collection[dg.AssetKey]) -> None:
    """Raise BarometerError if the project has other models than Dagster loaded, as after an edit while it runs."""
    manifest = project.read_manifest()
    names = {n["name"] for n in manifest["nodes"].values() if n["resource_type"] in ("model", "seed")}
    known = {key.path[-1] for key in loaded}
    if names != known:
        raise BarometerError(
            f"The dbt project has changed: {', '.join(sorted(names ^ known))} came or went since Dagster loaded it.",
            "Choose Reload definitions in the UI, or start `make dev` again; then run again.",
        )


def _select(models: Collection[dg.AssetKey]) -> list[str]:
    """Return dbt's arguments for some models alone, as somebody asks for them in the UI."""
    return ["--select", *(key.path[-1] for key in models)]


def _skipped(
    assets: dg.AssetsDefinition, checks: Collection[dg.AssetCheckKey], keys: Collection[dg.AssetKey], why: str
) -> Iterator[Any]:
    """Materialise what the stages after this one wait for: those marts of ``keys``, and the checks that gate them.

    Each comes after those that it reads, as Dagster wants it.
    """
    deps = assets.asset_deps
    for key in TopologicalSorter({key: deps[key] & deps.keys() for key in deps}).static_order():
        if key.path[0] == build_state.MARTS and key in keys:
            yield dg.MaterializeResult(
                asset_key=key,
                metadata={"skipped": why},
                check_results=[
                    dg.AssetCheckResult(asset_key=key, check_name=spec.name, passed=True, metadata={"skipped": why})
                    for spec in assets.check_specs
                    if spec.asset_key == key and spec.blocking and spec.key in checks
                ],
            )


def _drop_changed_models(settings: Settings) -> None:
    """Drop incremental models whose logic or policy changed, for dbt to build in full, and what is no model now."""
    manifest = project.read_manifest()
    with open_duckdb(settings.working_file) as con:
        if not settings.is_on_spark:
            spark_files.leave(con)
        wanted = project.incremental_fingerprints(manifest, target=settings.target)
        changed = prepare.drop_changed_models(con, wanted)
    if not settings.is_on_spark:
        files = {"working": settings.working_file, "build": settings.build_file}
        for database, models in project.relations_by_database(manifest).items():
            with open_duckdb(files[database]) as con:
                for name in prepare.drop_former_models(con, models):
                    log.info("%s is no model any longer: dropped", name)
    for name in changed:
        log.info("%s is rebuilt in full: its logic, seeds or settings changed", name)


def spark_selections(manifest: Mapping[str, Any], selection: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return what of dbt's arguments DuckDB builds when Spark builds the rest, and what Spark builds.

    Marts that are views: they read each other, or what the pipeline writes to the build's file after dbt.
    """
    views = sorted(
        node["name"]
        for node in manifest["nodes"].values()
        if _is_in(node, ("marts",)) and node["config"]["materialized"] == "view"
    )
    split = selection.index("--exclude") if "--exclude" in selection else len(selection)
    selected, excluded = list(selection[1:split]), list(selection[split + 1 :])
    of_views = [f"{one},{view}" for one in selected for view in views] or views
    here = ["--select", *of_views, *(["--exclude", *excluded] if excluded else [])]
    return here, [*selection[:split], "--exclude", *excluded, *views]


def _brought_back(manifest: Mapping[str, Any]) -> set[str]:
    """Return the names of what Spark builds and others read: what is of a date, and the seeds."""
    return {
        node["name"] for node in manifest["nodes"].values() if node["resource_type"] == "seed" or _is_of_a_date(node)
    }


def _run_dbt(
    translator: Translator,
    start: StartDbt,
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    selection: Sequence[str],
    is_backfill: bool,
) -> Iterator[Any]:
    """Run `dbt build` and yield what becomes of each model and test; ``is_backfill``: in the files of a backfill."""
    settings, invoke = warehouse.settings, partial(_invoke_dbt, translator, start, context, warehouse)
    if not settings.is_on_spark:
        yield from invoke(settings, selection, is_backfill)
        return
    manifest = project.read_manifest()
    here, there = spark_selections(manifest, selection)
    spark_files.hand_over(settings)
    built: set[str] = set()
    yield from invoke(settings, there, built=built)
    spark_files.bring_back(settings, manifest, built & _brought_back(manifest))
    yield from invoke(replace(settings, target=DUCKDB), here)


def _invoke_dbt(
    translator: Translator,
    start: StartDbt,
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    settings: Settings,
    selection: Sequence[str],
    is_backfill: bool = False,
    built: set[str] | None = None,
) -> Iterator[Any]:
    """Run `dbt build` on the target of the settings; the names of what it has built are added to ``built``."""
    started = time.perf_counter()
    log.info("dbt: building %s (%s)", settings.as_of, warehouse.kind)
    target, parsed = project.run_target(settings, is_backfill), project.project_fingerprint()
    has_own_names = is_backfill or settings.is_on_spark
    is_parsed = not has_own_names or project.is_parsed(target, parsed)
    manifest = project.read_manifest()
    invocation = DbtCliInvocation(
        process=start(
            ["build", "--exclude-resource-type", "unit_test", *selection],
            run_environment(settings, target, is_backfill, is_parsed),
            settings.warehouse,
            warehouse.lock,
        ),
        manifest=manifest,
        dagster_dbt_translator=translator,
        project_dir=project.DBT_PROJECT,
        target_path=target,
        raise_on_error=False,
        cli_version=Version(version("dbt-core")),
        context=context,
    )
    settings.logs.mkdir(parents=True, exist_ok=True)
    log_file = settings.dbt_log(context.run.run_id)
    done, said_at, began_at = 0, started, started
    try:
        with log_file.open("a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            for message in invocation.stream_raw_events():
                if began_at == started and message.raw_event["info"]["name"] == "LogStartLine":
                    began_at = time.perf_counter()
                if built is not None and message.is_result_event:
                    built.add(message.raw_event["data"]["node_info"]["node_name"])
                for event in message.to_default_asset_events(manifest, translator, context, target):
                    yield _with_rows(event, message.raw_event["data"].get("status"))
                    done += 1
                if time.perf_counter() - said_at > _PROGRESS_SECONDS:
                    log.info("dbt: %s models, seeds and checks done", done)
                    said_at = time.perf_counter()
    finally:
        # a run that is cancelled or fails on the way leaves no child behind that holds the lock
        if invocation.process.poll() is None:
            invocation.process.kill()
            invocation.process.wait()
    if invocation.process.wait() != 0:
        failures = _failures(log_file)
        raise BarometerError(
            "dbt failed; the published file stays as it was.\n" + "\n".join(failures[:_MOST_FAILURES]),
            " ".join(filter(None, [hint_of_machine("\n".join(failures)), f"Every message is in {log_file}."])),
        )
    if not is_parsed:
        project.keep_parsed(target, parsed)
    if done == 0 and not warehouse.settings.is_on_spark:
        raise BarometerError("dbt found nothing to build.", f"What it said is in {log_file}.")
    log.info(
        "dbt: %s models, seeds and checks in %.1f s, of which %.1f to start",
        done,
        time.perf_counter() - started,
        began_at - started,
    )


def _with_rows(event: Any, status: str | None) -> Any:
    """Add the number of rows to what is said of a model, from the status that macros/engine/rows.sql gives it."""
    told = _ROWS.fullmatch(status or "")
    if told is None or not isinstance(event, dg.Output):
        return event
    return event.with_metadata({**event.metadata, "dagster/row_count": int(told[1])})


def _failures(log_file: Path) -> list[str]:
    """Return the lines of a dbt log that say what failed."""
    lines = log_file.read_text(encoding="utf-8").splitlines()
    marks = (" ERROR ", " FAIL ", "Error in ", "Error:")
    return [f"  {line.strip()}" for line in lines if any(mark in line for mark in marks)]
