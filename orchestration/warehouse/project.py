"""The dbt project as the pipeline sees it: its manifest, the fingerprints of its parts."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from orchestration.errors import BarometerError
from orchestration.policy import check_policy
from orchestration.settings import DBT_PROJECT, DUCKDB, ROOT, SPARK, Settings, dbt_vars
from orchestration.warehouse.build_state import MARTS
from orchestration.warehouse.dbt import dbt_environment, start_dbt
from orchestration.warehouse.families import write_generated
from orchestration.warehouse.lock import warehouse_lock

#: Where the manifest that Dagster reads lies, with dbt's parsing state beside it.
MANIFEST_FOLDER = DBT_PROJECT / "target"
MANIFEST = MANIFEST_FOLDER / "manifest.json"
_FINGERPRINT = MANIFEST_FOLDER / "project.sha256"
_PARSED = "partial_parse.msgpack"
_PARSE_WAIT_SECONDS = 600
_log = logging.getLogger("barometer")


def project_files(project: Path = DBT_PROJECT) -> list[Path]:
    """Return the files that decide what dbt does: models, macros, tests, seeds and their YAML, in a fixed order."""
    folders = ("models", "macros", "seeds", "templates", "tests")
    found = (path for folder in folders for path in (project / folder).rglob("*"))
    # what a killed process left half-written is none of them
    files = [path for path in found if path.is_file() and path.suffix != ".tmp"]
    return [project / "dbt_project.yml", *sorted(files)]


def fingerprint_of(files: Iterable[Path], more: Iterable[str] = ()) -> str:
    """Return the SHA-256 of the names and contents of files, and of further texts."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(str(path.name).encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    for text in more:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def project_fingerprint() -> str:
    """Return what changes when the dbt project, profiles.yml, dbt or DuckDB change."""
    versions = (version("dbt-core"), version("dbt-duckdb"), version("duckdb"))
    files = project_files()
    # where a file lies decides its schema
    places = [str(path.relative_to(DBT_PROJECT)) for path in files]
    return fingerprint_of([ROOT / "profiles.yml", *files], [*versions, *places])


def is_manifest_current() -> bool:
    """Whether the parsed project is of the files as they are."""
    return _is_parsed_as(project_fingerprint())


def _is_parsed_as(wanted: str) -> bool:
    return MANIFEST.exists() and _FINGERPRINT.exists() and _FINGERPRINT.read_text() == wanted


def ensure_manifest(settings: Settings) -> Path:
    """Parse the dbt project if it has changed since the last time; return the manifest's path.

    It is parsed as a run will see it, so that dbt need not parse again. Raises BarometerError if the policy is
    wrong, and with dbt's own words if the project can't be parsed.
    """
    with warehouse_lock(MANIFEST_FOLDER, _PARSE_WAIT_SECONDS, _log.info) as lock:
        check_policy()
        write_generated()
        wanted = project_fingerprint()
        if not _is_parsed_as(wanted):
            _FINGERPRINT.unlink(missing_ok=True)
            _parse(settings, lock)
            _FINGERPRINT.write_text(wanted)
    return MANIFEST


def _parse(settings: Settings, lock: int) -> None:
    """Parse in a child that holds the lock and dies with its parent, so that it never writes beside the next one."""
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    # the manifest is that of DuckDB's names on every target: it says which file a table belongs to
    environment = dbt_environment(replace(settings, target=DUCKDB), MANIFEST_FOLDER) | {"DBT_LOG_FORMAT": "text"}
    child = start_dbt(["--quiet", "parse"], environment, settings.warehouse, lock)
    said, _ = child.communicate()
    if child.returncode:
        raise BarometerError(
            f"dbt can't parse the project:\n{said.decode(errors='replace').strip()}",
            "Mend the file that it names in dbt_project/, then run again.",
        )


def run_target(settings: Settings, is_backfill: bool = False) -> Path:
    """Return the folder for what dbt writes during a run, with the parsed project in it.

    A run that is killed, or another one beside it, must not leave the manifest half-written. Backfills and Spark have a
    folder of their own: their names of files differ, so dbt parses the project again before the first, which
    `keep_parsed` keeps.
    """
    folder = settings.warehouse / ("dbt_backfill" if is_backfill else f"dbt_{SPARK}" if settings.is_on_spark else "dbt")
    folder.mkdir(parents=True, exist_ok=True)
    if not (is_backfill or settings.is_on_spark):
        shutil.copyfile(MANIFEST_FOLDER / _PARSED, folder / _PARSED)
    return folder


def is_parsed(target: Path, fingerprint: str) -> bool:
    """Whether a folder of `run_target` holds the project of a fingerprint, so that dbt need not compare its files."""
    mark = target / _FINGERPRINT.name
    return mark.exists() and mark.read_text(encoding="utf-8") == fingerprint


def keep_parsed(target: Path, fingerprint: str) -> None:
    """Say of a folder of `run_target` that dbt has parsed the project of a fingerprint there."""
    (target / _FINGERPRINT.name).write_text(fingerprint, encoding="utf-8")


def read_manifest() -> Mapping[str, Any]:
    """Return the parsed manifest; `ensure_manifest` must have run."""
    return json.loads(MANIFEST.read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Described:
    """What a table is, and what its columns are, by name."""

    text: str
    columns: Mapping[str, str]


def mart_descriptions(manifest: Mapping[str, Any]) -> dict[str, Described]:
    """Return the descriptions of the marts, by name."""
    return {
        node["name"]: Described(
            node["description"], {column["name"]: column["description"] for column in node["columns"].values()}
        )
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == MARTS
    }


def relations_by_database(manifest: Mapping[str, Any]) -> dict[str, set[tuple[str, str]]]:
    """Return (schema, name) of every model by its database, but for marts: there is more in their schema."""
    found: dict[str, set[tuple[str, str]]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model" and node["schema"] != MARTS:
            found.setdefault(node["database"], set()).add((node["schema"], node["name"]))
    return found


def incremental_fingerprints(
    manifest: Mapping[str, Any], project: Path = DBT_PROJECT, target: str = DUCKDB
) -> dict[str, str]:
    """Return, for each incremental model, what forces a full rebuild when it changes.

    Its ``logic_version``, the seeds and vars that its meta names, the incremental models above it, the time zone, and
    the ``target`` that holds its rows. {(database-less) name: SHA-256}.
    """
    nodes = manifest["nodes"]
    project_vars = dbt_vars(project)
    names: dict[str, str] = {}

    def fingerprint(unique_id: str) -> str:
        node = nodes[unique_id]
        name = node["name"]
        if name in names:
            return names[name]
        meta = node["config"].get("meta", {})
        seeds = [project / "seeds" / f"{seed}.csv" for seed in meta.get("fingerprint_seeds", [])]
        variables = {key: project_vars.get(key) for key in meta.get("fingerprint_vars", [])}
        above = [fingerprint(parent) for parent in sorted(_incremental_parents(nodes, unique_id))]
        text = json.dumps(
            {
                "logic_version": meta.get("logic_version"),
                "time_zone": project_vars["business_time_zone"],
                "vars": variables,
                "above": above,
                "target": target,
            },
            sort_keys=True,
        )
        names[name] = fingerprint_of(seeds, [text])
        return names[name]

    for unique_id, node in nodes.items():
        if node["resource_type"] == "model" and node["config"]["materialized"] == "incremental":
            fingerprint(unique_id)
    return names


def _incremental_parents(nodes: Mapping[str, Any], unique_id: str) -> set[str]:
    """Return the nearest incremental models that a node reads, through views and tables between them."""
    found: set[str] = set()
    for parent in nodes[unique_id]["depends_on"]["nodes"]:
        node = nodes.get(parent)
        if node is None or node["resource_type"] != "model":
            continue
        if node["config"]["materialized"] == "incremental":
            found.add(parent)
        else:
            found |= _incremental_parents(nodes, parent)
    return found
