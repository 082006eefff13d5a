"""The second stage: dbt turns raw tables into marts, in the file that will be published."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DbtCliInvocation, DbtProject, dbt_assets
from packaging.version import Version

from orchestration import clock
from orchestration.errors import BarometerError
from orchestration.landing.assets import LEDGERS
from orchestration.landing.contract import DATASETS
from orchestration.resources import Warehouse, log
from orchestration.settings import Settings
from orchestration.warehouse import build_state, prepare, project
from orchestration.warehouse.dbt import dbt_environment, start_dbt
from orchestration.warehouse.files import open_duckdb

_PROGRESS_SECONDS = 3.0


@dataclass(frozen=True)
class Build:
    """Which build a run asks for."""

    kind: str
    file: Path
    fingerprint: str

    @property
    def is_final(self) -> bool:
        """False for an intraday build, which a final one may replace."""
        return self.kind != prepare.INTRADAY


def build_of(settings: Settings) -> Build:
    """Return the build that a run asks for: its kind, its file, and what its fingerprint has to be."""
    with open_duckdb(settings.build_file) as con:
        build_state.create_history_schema(con)
        kind = prepare.kind_of_run(settings.as_of, settings.today, build_state.final_dates(con))
    with open_duckdb(settings.working_file) as con:
        prepare.create_control_schema(con)
        ledger = prepare.ledger_fingerprint(con)
    file = settings.build_file
    if kind == prepare.BACKFILL:
        file = settings.warehouse / "backfill" / f"{settings.as_of}.duckdb"
    inputs = [project.project_fingerprint(), ledger, str(settings.as_of), kind]
    if settings.policy["user_id_is_address"] == "hash":
        inputs.append(settings.hash_key or "")
    return Build(kind, file, project.fingerprint_of([], inputs))


def is_built(settings: Settings, build: Build) -> bool:
    """Whether the build file holds this very build, whole, and the working file the addresses of its date."""
    with open_duckdb(build.file) as con:
        build_state.create_history_schema(con)
        stored = build_state.stored_fingerprint(con)
    with open_duckdb(settings.working_file) as con:
        return stored == build.fingerprint == build_state.stored_fingerprint(con, "control")


def _store_fingerprint(settings: Settings, build: Build, fingerprint: str | None) -> None:
    with open_duckdb(build.file) as con:
        build_state.store_fingerprint(con, fingerprint)
    with open_duckdb(settings.working_file) as con:
        build_state.store_fingerprint(con, fingerprint, "control")


@dg.multi_asset(
    name="prepare_build",
    specs=[
        dg.AssetSpec(
            key=["control", name],
            group_name="control",
            description=description,
            deps=[dg.AssetKey(["raw", table]) for table in (*DATASETS, *LEDGERS)],
            kinds={"python", "duckdb"},
            owners=["team:data-engineering"],
        )
        for name, description in {
            "run_context": "The one row that says which date the run asks about; models read no clock.",
            "watermarks": "The last load that each incremental model holds.",
        }.items()
    ],
)
def prepare_build(warehouse: Warehouse) -> Iterator[dg.MaterializeResult]:
    """Write the date of the run, and drop incremental models whose logic or policy changed."""
    settings = warehouse.settings
    build = build_of(settings)
    rebuilt: list[str] = []
    if not is_built(settings, build):
        with open_duckdb(settings.working_file) as con:
            context = prepare.RunContext(settings.as_of, build.is_final, clock.now())
            prepare.write_run_context(con, context)
            rebuilt = prepare.drop_changed_models(con, project.incremental_fingerprints(project.read_manifest()))
        for name in rebuilt:
            log.info("%s is rebuilt in full: its logic, seeds or settings changed", name)
    yield dg.MaterializeResult(
        asset_key=["control", "run_context"], metadata={"as_of": str(settings.as_of), "kind": build.kind}
    )
    yield dg.MaterializeResult(asset_key=["control", "watermarks"], metadata={"rebuilt_in_full": rebuilt})


class Translator(DagsterDbtTranslator):
    """How dbt models look in Dagster: grouped by folder, with an owner, beside what dbt's own YAML says."""

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: DbtProject | None) -> dg.AssetSpec:
        """Return the spec of a dbt resource."""
        spec = super().get_asset_spec(manifest, unique_id, project)
        node = self.get_resource_props(manifest, unique_id)
        folder = node["fqn"][1] if node["resource_type"] == "model" else node["schema"]
        return spec.replace_attributes(owners=["team:data-engineering"], group_name=folder)


def dbt_models_of(manifest: Path) -> dg.AssetsDefinition:
    """Return the dbt seeds, models and tests as assets and checks."""

    @dbt_assets(
        manifest=manifest, dagster_dbt_translator=Translator(), name="dbt_models", exclude="resource_type:unit_test"
    )
    def dbt_models(context: dg.AssetExecutionContext, warehouse: Warehouse) -> Iterator[Any]:
        """Build seeds, models and data tests, unless the file holds the same build already."""
        build = build_of(warehouse.settings)
        everything = context.selected_asset_keys == context.assets_def.keys
        if everything and is_built(warehouse.settings, build):
            log.info("dbt: nothing changed since the last build of %s, skipped", warehouse.settings.as_of)
            # only what the stages after this one wait for: the marts, and the checks that gate them
            deps = context.assets_def.asset_deps
            for key in TopologicalSorter({key: deps[key] & deps.keys() for key in deps}).static_order():
                if key.path[0] != build_state.MARTS:
                    continue
                yield dg.MaterializeResult(
                    asset_key=key,
                    metadata={"skipped": "same inputs as the last build"},
                    check_results=[
                        dg.AssetCheckResult(
                            asset_key=key, check_name=spec.name, passed=True, metadata={"skipped": "same build"}
                        )
                        for spec in context.assets_def.check_specs
                        if spec.asset_key == key and spec.blocking and spec.key in context.selected_asset_check_keys
                    ],
                )
            return
        _store_fingerprint(warehouse.settings, build, None)
        selected = [] if everything else ["--select", *(key.path[-1] for key in context.selected_asset_keys)]
        yield from _run_dbt(context, warehouse, build, ["build", "--exclude-resource-type", "unit_test", *selected])
        if everything:
            _store_fingerprint(warehouse.settings, build, build.fingerprint)

    return dbt_models


def _run_dbt(context: dg.AssetExecutionContext, warehouse: Warehouse, build: Build, args: list[str]) -> Iterator[Any]:
    settings = warehouse.settings
    started = time.perf_counter()
    log.info("dbt: building %s (%s)", settings.as_of, build.kind)
    target = project.run_target(settings)
    invocation = DbtCliInvocation(
        process=start_dbt(args, dbt_environment(settings, build.file, target), settings.warehouse, warehouse.lock),
        manifest=project.read_manifest(),
        dagster_dbt_translator=Translator(),
        project_dir=project.DBT_PROJECT,
        target_path=target,
        raise_on_error=False,
        cli_version=Version(version("dbt-core")),
        context=context,
    )
    settings.logs.mkdir(parents=True, exist_ok=True)
    log_file = settings.logs / f"dbt-{context.run_id}.log"
    done, said_at = 0, started
    try:
        with log_file.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            for event in invocation.stream():
                yield event
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
        raise BarometerError(
            "dbt failed; the published file stays as it was.\n" + "\n".join(_failures(log_file)),
            f"Every message is in {log_file}.",
        )
    log.info("dbt: %s models, seeds and checks in %.1f s", done, time.perf_counter() - started)


def _failures(log_file: Path) -> list[str]:
    """Return the lines of a dbt log that say what failed."""
    lines = log_file.read_text(encoding="utf-8").splitlines()
    marks = (" ERROR ", " FAIL ", "Error in ", "Error:")
    return [f"  {line.strip()}" for line in lines if any(mark in line for mark in marks)][:10]
