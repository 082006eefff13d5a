"""What Dagster finds in the project, and what every model and macro of it must be like."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from orchestration.activation.configuration import DEFAULT_FILE
from orchestration.landing.assets import LEDGERS
from orchestration.landing.contract import DATASETS
from orchestration.settings import DBT_PROJECT, ROOT, settings_from_environment
from orchestration.warehouse.audiences import audiences
from orchestration.warehouse.families import families
from orchestration.warehouse.project import ensure_manifest, read_manifest

#: Intermediate models of one date.
AS_OF_MODELS = {
    "int_ab_test_arms",
    "int_ab_test_units",
    "int_ab_tests",
    "int_address_holders",
    "int_address_holders_now",
    "int_attribute_coverage",
    "int_audience_members",
    "int_audiences",
    "int_backtest_cuts",
    "int_backtest_events",
    "int_backtest_late_days",
    "int_backtest_late_events",
    "int_backtest_links",
    "int_backtest_needed_days",
    "int_backtest_orders",
    "int_backtest_users",
    "int_bounced_addresses",
    "int_campaign_variants",
    "int_campaigns",
    "int_candidate_channels",
    "int_candidates",
    "int_cap_headroom",
    "int_category_interest",
    "int_channel_permissions",
    "int_channel_response",
    "int_channel_vetoes",
    "int_contact_days",
    "int_contact_segments",
    "int_dose_arms",
    "int_dose_curve",
    "int_dose_days",
    "int_dose_tests",
    "int_dose_users",
    "int_family_quality",
    "int_fatigue_days",
    "int_folded_segments",
    "int_known_users",
    "int_later_messages",
    "int_measured_orders",
    "int_message_orders",
    "int_negative_signals",
    "int_plan",
    "int_plan_room",
    "int_planned_contacts",
    "int_policy_caps",
    "int_quality_sample",
    "int_reachable_spans",
    "int_recent_events",
    "int_recent_orders",
    "int_restated_days",
    "int_recent_purchases",
    "int_recut_segments",
    "int_rfm_cut_points",
    "int_segment_measures",
    "int_segment_pairs",
    "int_shared_addresses",
    "int_universal_holdout",
    "int_user_abandonment",
    "int_user_activity",
    "int_user_addresses",
    "int_user_awareness",
    "int_user_cadence",
    "int_user_cap_use",
    "int_user_last_activity",
    "int_user_lead_score",
    "int_user_measures",
    "int_user_messages",
    "int_user_orders",
    "int_user_policy_segment",
    "int_user_profiles",
    "int_user_starts",
}
#: Every asset there is, by the first part of its key. A new model is named here too: nothing appears by accident.
ASSETS = {
    "raw": {*DATASETS, *LEDGERS},
    "control": {
        "checked_models",
        "pipeline_runs",
        "planned_contacts",
        "planned_tests",
        "run_context",
        "sync_rows",
        "sync_runs",
        "watermarks",
    },
    "policy": {
        "acknowledged_rejects",
        "age_bands",
        "blackout_dates",
        "campaign_settings",
        "category_settings",
        "channel_gaps",
        "channels",
        "consent_statuses",
        "contact_policy",
        "decay_factors",
        "declared_order",
        "do_not_contact",
        "dose_arms",
        "event_taxonomy",
        "exchange_rates",
        "rfm_fixed_cut_points",
        "rfm_map",
        "segment_catalog_entries",
        "send_hours",
        "universal_holdout",
    },
    "staging": {
        "stg_addresses",
        "stg_campaigns",
        "stg_consents",
        "stg_erasures",
        "stg_events",
        "stg_exchange_rates",
        "stg_identities",
        "stg_message_events",
        "stg_messages",
        "stg_order_items",
        "stg_orders",
        "stg_planned_contacts",
        "stg_products",
        "stg_subscriptions",
        "stg_users",
        "touched_addresses",
        "touched_campaigns",
        "touched_consents",
        "touched_orders",
        "touched_products",
        "touched_subscriptions",
        "touched_users",
    },
    "intermediate": {
        *AS_OF_MODELS,
        "int_engagement_spans",
        "int_events__credited",
        "int_fatigued_before_contacts",
        "int_identity_links",
        "int_message_events__classified",
        "int_segments_before_contacts",
        "int_sessions",
        "int_user_activity_daily",
        "int_message_outcomes",
        "int_user_interest_daily",
        "int_user_orders_daily",
        "touched_contact_segments",
        "touched_identity_links",
        "touched_user_activity",
        "touched_user_contacts",
        "touched_user_orders",
    },
    "families": {f"fam_{family.name}" for family in families()},
    "audiences": {f"aud_{audience.name}" for audience in audiences()},
    "marts": {
        "ab_test_results",
        "attribute_coverage",
        "audience_catalog",
        "bad_values",
        "build_info",
        "calendar",
        "campaign_performance",
        "cap_simulation",
        "channel_eligibility",
        "contact_caps",
        "contact_plan",
        "contact_pressure",
        "contact_pressure_by_channel",
        "contact_suppressions",
        "data_checks",
        "dose_response",
        "extract_blocks",
        "family_overlap",
        "fatigue_curve",
        "fct_contacts",
        "load_files",
        "outlook_backtest",
        "pipeline_runs",
        "planned_contacts",
        "rejected_files",
        "rejected_rows",
        "rfm",
        "rfm_cut_points",
        "rfm_stability",
        "segment_catalog",
        "segment_history",
        "segment_migration",
        "segment_profiles",
        "segment_quality",
        "segment_sizes",
        "sync_rows",
        "sync_runs",
        "unmapped_events",
        "user_360",
        "user_segments",
    },
    "published": {"barometer_duckdb"},
    "extracts": {"segments"},
    "sync": {f"files/{audience}" for audience in ("segments", *(audience.name for audience in audiences()))},
    "activation": {"records", "removals"},
    "report": {"page", "run"},
}
_AFTER_DBT = ("published", "extracts", "sync", "activation", "report")
#: What is of one date; everything else holds every date.
OF_A_DATE = {
    "intermediate": AS_OF_MODELS,
    **{first: ASSETS[first] for first in ("families", "audiences", "marts", *_AFTER_DBT)},
}
#: Written by the stages before dbt, not by an op of their own.
EXTERNAL = {f"control/{name}" for name in ASSETS["control"]}
JOBS = {"nightly", "intraday", "backfill", "sync"}
#: Jobs that build nothing, need no lock and have no partitions.
READERS = {"explain", "simulate"}
#: Steps that write a DuckDB file.
WRITERS = {"load_landing_files", "dbt_models", "published__barometer_duckdb", "extracts__segments"}
OUR_CHECKS = {"nothing_hides_a_wish_to_be_left_alone"}
OUR_WARNINGS = {
    *{"rows_by_dataset", "clock_skew", "segment_sizes", "what_must_go_is_gone"},
    *(f"files_has_all_of_{key.removeprefix('files/')}" for key in ASSETS["sync"]),
}
#: Numbers that count nothing: of loads, rows and places, and scores of 1 to 5.
WITHOUT_UNIT = {"load_id", "row_number", "position", "cut", "r_score", "f_score", "m_score"}
#: What the published file must not hold, by column name.
PERSONAL = {
    "email",
    "phone",
    "first_name",
    "last_name",
    "birth_date",
    "address",
    "normalised_address",
    "link_url",
    "properties",
    "content",
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The manifest of the project as it is now."""
    ensure_manifest(settings_from_environment({"BAROMETER_DATA": str(tmp_path_factory.mktemp("data"))}))
    return read_manifest()


@pytest.fixture(scope="module")
def definitions(manifest: Mapping[str, Any]) -> dg.Definitions:
    from orchestration.definitions import defs

    return defs()


@pytest.fixture(scope="module")
def specs(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    return {"/".join(spec.key.path): spec for spec in definitions.resolve_all_asset_specs()}


@pytest.fixture(scope="module")
def models(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}


def data_tests(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    return (node for node in manifest["nodes"].values() if node["resource_type"] == "test")


# assets, checks and jobs

LOADING = """
import os, pathlib, sys
manifest = pathlib.Path(sys.argv[1])
opened = []
def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], str) and arguments[0].startswith(sys.argv[2]):
        opened.append(arguments[0])
    if event in ("subprocess.Popen", "socket.connect"):
        opened.append(f"{event} {arguments}")
import dagster
import orchestration.definitions
sys.addaudithook(watch)
orchestration.definitions.defs()
print(sorted({name for name in opened if ".venv" not in name and not name.endswith((".py", ".pyc"))}))
"""


def test_definitions_load_from_the_manifest_and_the_policy_alone(manifest: Mapping[str, Any], tmp_path: Path) -> None:
    path = DBT_PROJECT / "target" / "manifest.json"
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(path), str(ROOT)],
        cwd=ROOT,
        env={"BAROMETER_DATA": str(tmp_path / "data"), "PATH": "", "DAGSTER_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    policy = [DBT_PROJECT / "dbt_project.yml", DBT_PROJECT / "seeds" / "channels.csv", DEFAULT_FILE]
    assert done.stdout.splitlines()[-1] == repr(sorted(map(str, [path, *policy])))
    assert not (tmp_path / "data").exists()


def keys(assets: Mapping[str, set[str]]) -> set[str]:
    return {f"{first}/{name}" for first, names in assets.items() for name in names}


def test_assets(specs: dict[str, dg.AssetSpec]) -> None:
    assert set(specs) == keys(ASSETS)


def test_assets_of_a_date_have_daily_partitions(specs: dict[str, dg.AssetSpec]) -> None:
    assert {key for key, spec in specs.items() if spec.partitions_def is not None} == keys(OF_A_DATE)
    assert len({spec.partitions_def for spec in specs.values()}) == 2


def assets_of(definitions: dg.Definitions, job: str) -> set[str]:
    return {"/".join(key.path) for key in definitions.resolve_job_def(job).asset_layer.selected_asset_keys}


def test_jobs(definitions: dg.Definitions) -> None:
    assert {job.name for job in definitions.resolve_all_job_defs()} - {"__ASSET_JOB"} == JOBS | READERS
    assert assets_of(definitions, "nightly") == keys(ASSETS) - EXTERNAL
    sent = {"extracts/segments"} | {key for key in keys(ASSETS) if key.startswith(("sync/", "activation/"))}
    assert assets_of(definitions, "intraday") == keys(ASSETS) - EXTERNAL - sent
    of_the_published = {"published/barometer_duckdb", "report/page"}
    assert assets_of(definitions, "backfill") == keys(OF_A_DATE) - sent - of_the_published
    assert assets_of(definitions, "sync") == sent - {"extracts/segments"}
    for job in JOBS:
        assert definitions.resolve_job_def(job).partitions_def is not None, job


def test_a_job_that_only_reads_waits_for_nobody(definitions: dg.Definitions) -> None:
    for job in READERS:
        found = definitions.resolve_job_def(job)
        assert found.partitions_def is None, job
        assert not [node.name for node in found.graph.nodes if node.definition.pool is not None], job
        assert "warehouse" not in found.required_resource_keys, job


def test_schedule_and_sensor(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    assert [(s.name, s.job_name, s.cron_schedule) for s in repository.schedule_defs] == [
        ("every_night", "nightly", "0 3 * * *")
    ]
    asking = [s for s in repository.sensor_defs if s.targets]
    assert [(s.name, s.job_name) for s in asking] == [("new_landing_files", "intraday")]
    # nothing runs by itself until somebody switches it on; the sensor that only tells waits for its webhook instead
    for definition in (*repository.schedule_defs, *asking):
        assert definition.default_status.value == "STOPPED"
    telling = [s for s in repository.sensor_defs if s not in asking]
    assert [(s.name, s.default_status.value) for s in telling] == [("alerts", "RUNNING")]


def test_whatever_writes_waits_for_its_turn_and_no_step_is_retried(definitions: dg.Definitions) -> None:
    ops = {node.name: node.definition for node in definitions.resolve_job_def("nightly").graph.nodes}
    assert {name for name, op in ops.items() if op.pool == "duckdb_writer"} == WRITERS
    # a step that failed would fail again; a run whose process died is run again once
    assert not [name for name, op in ops.items() if op.retry_policy is not None]
    settings = yaml.safe_load((ROOT / "orchestration" / "dagster.yaml").read_text(encoding="utf-8"))
    assert settings["run_retries"] == {"enabled": True, "max_retries": 1, "retry_on_asset_or_op_failure": False}
    assert settings["concurrency"] == {
        "pools": {"default_limit": 1, "granularity": "op"},
        # a killed run would count for ever
        # ... but one of the two of a backfill of a range clears the other away
        "runs": {
            "max_concurrent_runs": -1,
            "tag_concurrency_limits": [{"key": "dagster/backfill", "limit": 2}],
        },
    }
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}


def test_what_the_night_makes_has_a_time_by_which_it_is_due(specs: dict[str, dg.AssetSpec]) -> None:
    due = {key: spec.freshness_policy for key, spec in specs.items() if spec.freshness_policy is not None}
    assert set(due) == {"published/barometer_duckdb", "extracts/segments"}


def test_every_asset_can_be_understood(specs: dict[str, dg.AssetSpec]) -> None:
    for key, spec in specs.items():
        assert spec.description and len(spec.description) > 10, key
        assert spec.group_name not in (None, "default"), key
        assert spec.owners, key
        assert spec.kinds, key


def test_every_data_test_is_a_check_and_errors_block(definitions: dg.Definitions, manifest: Mapping[str, Any]) -> None:
    checks = {
        spec.name: spec.blocking
        for asset in definitions.resolve_asset_graph().assets_defs
        for spec in asset.check_specs
    }
    tests = {node["name"]: node["config"]["severity"].lower() == "error" for node in data_tests(manifest)}
    assert checks == {**tests, **dict.fromkeys(OUR_CHECKS, True), **dict.fromkeys(OUR_WARNINGS, False)}
    assert len(tests) < 150


def test_extracts_wait_for_the_published_file_and_that_for_every_mart(specs: dict[str, dg.AssetSpec]) -> None:
    def deps(key: str) -> set[str]:
        return {"/".join(dep.asset_key.path) for dep in specs[key].deps}

    assert deps("extracts/segments") == {"published/barometer_duckdb"}
    assert deps("published/barometer_duckdb") == {f"marts/{name}" for name in ASSETS["marts"]}


# models


def test_every_mart_is_public_described_and_under_contract(models: dict[str, Any]) -> None:
    for name in ASSETS["marts"]:
        node = models[name]
        assert node["access"] == "public", name
        assert node["contract"]["enforced"], name
        assert node["description"], name
        assert node["columns"], name
        for column in node["columns"].values():
            assert column["description"], f"{name}.{column['name']}"
            # a number says its unit in parentheses
            is_number = re.match("(big)?int|double|decimal", column["data_type"])
            if is_number and column["name"] not in WITHOUT_UNIT:
                assert "(" in column["description"], f"{name}.{column['name']}"


def test_exposures_say_who_reads_what(manifest: Mapping[str, Any]) -> None:
    exposures = {node["name"]: node for node in manifest["exposures"].values()}
    assert set(exposures) == {
        "explain", "plan_lists", "published_file", "report", "run_summary", "segment_extracts", "simulate"
    }  # fmt: skip
    read = {name: {key.split(".")[-1] for key in node["depends_on"]["nodes"]} for name, node in exposures.items()}
    assert read["published_file"] == ASSETS["marts"]
    assert all(node["owner"]["name"] and node["description"] for node in exposures.values())


def test_only_marts_are_public_and_every_model_is_described(models: dict[str, Any]) -> None:
    for name, node in models.items():
        # an audience says in its own file what it is for, and its asset shows that
        assert node["description"] or node["config"]["meta"].get("objective"), name
        assert (node["access"] == "public") == (node["schema"] == "marts"), name


def test_no_mart_holds_personal_data(models: dict[str, Any]) -> None:
    for name in ASSETS["marts"]:
        assert not PERSONAL & set(models[name]["columns"]), name


def test_addresses_stay_in_the_working_file(models: dict[str, Any]) -> None:
    for name, node in models.items():
        code = "\n".join(line for line in node["raw_code"].splitlines() if not line.strip().startswith("--"))
        is_personal = re.search(r"\b(normalised_)?address\b", code)
        assert node["database"] == "working" or not is_personal, name


def test_a_models_first_line_states_its_grain(models: dict[str, Any]) -> None:
    for name, node in models.items():
        first = (DBT_PROJECT / node["original_file_path"]).read_text(encoding="utf-8").splitlines()[0]
        assert re.match(r"-- One row( per|:) .+\.$", first), f"{name}: {first}"


def test_only_the_engine_macros_name_an_engine() -> None:
    allowed = {f"macros/engine/{path.name}" for path in (DBT_PROJECT / "macros" / "engine").glob("*.sql")}
    # the form that the incremental strategy has where no rows can be deleted
    allowed.add("macros/incremental/spark.sql")
    # ... and the strategy and the names that dbt looks up by engine itself
    dispatched = {"macros/incremental/touched.sql", "macros/generate_names.sql"}
    for folder in ("models", "macros", "tests"):
        for path in (DBT_PROJECT / folder).rglob("*.sql"):
            place = str(path.relative_to(DBT_PROJECT))
            lines = [
                line for line in path.read_text(encoding="utf-8").splitlines() if re.search("duckdb|spark", line, re.I)
            ]
            if place in allowed:
                continue
            if place in dispatched:
                lines = [line for line in lines if not re.match(r"{% macro (duckdb|spark)__\w+\(", line)]
            assert not lines, f"{place}: {lines}"


def test_every_macro_that_engines_write_differently_has_a_form_for_both() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (DBT_PROJECT / "macros").rglob("*.sql")]
    names = {name for text in texts for name in re.findall(r"adapter\.dispatch\('(\w+)', 'barometer'\)", text)}
    assert names
    for engine in ("duckdb", "spark"):
        forms = {name for text in texts for name in re.findall(rf"{{% macro {engine}__(\w+)\(", text)}
        assert names <= forms, engine


def test_no_table_reads_a_view_of_the_marts(models: dict[str, Any]) -> None:
    """Where Spark builds the tables, DuckDB makes those views when all tables are there."""
    views = {
        node["unique_id"]
        for node in models.values()
        if node["config"]["materialized"] == "view" and node["schema"] == "marts"
    }
    assert views
    for node in models.values():
        if node["unique_id"] not in views:
            assert not views & set(node["depends_on"]["nodes"]), node["name"]


def incremental_parts(manifest: Mapping[str, Any], unique_id: str) -> set[str]:
    """An incremental model, and what it reads that dbt makes anew each time."""
    found = {unique_id}
    for parent in manifest["nodes"][unique_id]["depends_on"]["nodes"]:
        node = manifest["nodes"].get(parent)
        if node and node["resource_type"] == "model" and node["config"]["materialized"] != "incremental":
            found |= incremental_parts(manifest, parent)
    return found


def code_of(manifest: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """The code of a node and of all macros of the project that it calls."""
    text, macros, seen = node["raw_code"], list(node["depends_on"]["macros"]), set()
    while macros:
        name = macros.pop()
        macro = manifest["macros"].get(name)
        if name in seen or macro is None or macro["package_name"] != "barometer":
            continue
        seen.add(name)
        text += macro["macro_sql"]
        macros += macro["depends_on"]["macros"]
    return text


def test_whatever_an_incremental_model_reads_rebuilds_it(manifest: Mapping[str, Any]) -> None:
    nodes = manifest["nodes"]
    incremental = [
        key
        for key, node in nodes.items()
        if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental"
    ]
    assert incremental
    for unique_id in incremental:
        meta = nodes[unique_id]["config"]["meta"]
        assert {"logic_version", "touched_by", "touched_keys"} <= meta.keys(), unique_id
        assert nodes[unique_id]["database"] == "working", unique_id
        parts = [nodes[part] for part in incremental_parts(manifest, unique_id)]
        seeds = {nodes[p]["name"] for part in parts for p in part["depends_on"]["nodes"] if p.startswith("seed.")}
        assert seeds <= set(meta.get("fingerprint_seeds", [])), unique_id
        variables = {name for part in parts for name in re.findall(r"var\(['\"](\w+)['\"]", code_of(manifest, part))}
        assert variables - {"business_time_zone"} <= set(meta.get("fingerprint_vars", [])), unique_id
