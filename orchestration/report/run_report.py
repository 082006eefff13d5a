"""The report of a run, from the events that Dagster recorded of it: what was loaded, built, checked and published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

_MOST = 10


@dataclass(frozen=True)
class Check:
    """What became of a check."""

    name: str
    asset: str
    passed: bool
    is_warning: bool
    #: Whether the build was the same, so that it was not run.
    is_skipped: bool
    detail: str


@dataclass(frozen=True)
class RunReport:
    """What a run did. Metadata are plain values by name; assets are named by their key with ``/``."""

    assets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checks: Sequence[Check] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    failed_steps: Sequence[str] = ()

    def of(self, group: str) -> dict[str, Mapping[str, Any]]:
        """Return the assets whose key begins with ``group``."""
        return {key: metadata for key, metadata in self.assets.items() if key.startswith(f"{group}/")}

    @property
    def models(self) -> dict[str, Mapping[str, Any]]:
        """Models and seeds that dbt built, with how long each took."""
        return {key: metadata for key, metadata in self.assets.items() if "Execution Duration" in metadata}

    def count(self, outcome: str) -> int:
        """Return how many checks passed, failed, warned or were skipped."""
        return Counter(outcome_of(check) for check in self.checks)[outcome]


def outcome_of(check: Check) -> str:
    """Return ``passed``, ``failed``, ``warned`` or ``skipped``."""
    if check.is_skipped:
        return "skipped"
    return "passed" if check.passed else "warned" if check.is_warning else "failed"


def report_of(events: Iterable[dg.EventLogEntry]) -> RunReport:
    """Return what the events of a run say."""
    assets: dict[str, Mapping[str, Any]] = {}
    checks, seconds, failed = [], {}, []
    for entry in events:
        event = entry.dagster_event
        if event is None:
            continue
        if event.is_step_materialization and event.asset_key is not None:
            materialization = event.step_materialization_data.materialization
            assets["/".join(event.asset_key.path)] = _values(materialization.metadata)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            evaluation = event.asset_check_evaluation_data
            values = _values(evaluation.metadata)
            checks.append(
                Check(
                    evaluation.check_name,
                    "/".join(evaluation.asset_key.path),
                    evaluation.passed,
                    evaluation.severity == dg.AssetCheckSeverity.WARN,
                    "skipped" in values,
                    str(values.get("what_to_do") or values.get("dagster_dbt/failed_row_count") or ""),
                )
            )
        elif event.is_step_success and event.step_key is not None:
            seconds[event.step_key] = event.step_success_data.duration_ms / 1000
        elif event.is_step_failure and event.step_key is not None:
            failed.append(event.step_key)
    return RunReport(assets, checks, seconds, failed)


def _values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in metadata.items()}


def outline(report: RunReport) -> list[tuple[str, str]]:
    """Return the lines of the report, each with what it is about: loaded, rejected, skipped, built, checked, ..."""
    raw = report.of("raw")
    totals = {
        name: sum(metadata.get(name, 0) for metadata in raw.values())
        for name in (
            "files_loaded",
            "files_unchanged",
            "files_unreadable",
            "rows_read",
            "rows_rejected",
            "rows_duplicate",
            "rows_erased",
        )
    }
    lines = [
        (
            "Loaded",
            f"{totals['rows_read']:,} rows of {totals['files_loaded']:,} files; "
            f"{totals['rows_duplicate']:,} duplicate, {totals['rows_erased']:,} erased",
        ),
        (
            "Rejected",
            f"{totals['rows_rejected']:,} rows, {totals['files_unreadable']:,} unreadable files",
        ),
        ("Skipped", _skipped(report, totals["files_unchanged"])),
        (
            "Built",
            f"{len(report.models):,} models and seeds, "
            f"{sum(metadata.get('dagster/row_count', 0) for metadata in report.models.values()):,} rows",
        ),
        (
            "Checked",
            ", ".join(f"{report.count(outcome):,} {outcome}" for outcome in ("passed", "warned", "failed", "skipped")),
        ),
        *(
            (title, f"{_path(metadata)} ({metadata['skipped']})" if "skipped" in metadata else _path(metadata))
            for title, group in (("Published", "published"), ("Extracts", "extracts"))
            for metadata in report.of(group).values()
        ),
    ]
    if report.failed_steps:
        lines.append(("Failed", ", ".join(report.failed_steps)))
    return lines


def _skipped(report: RunReport, files: int) -> str:
    parts = [f"{files:,} files that were loaded before"] if files else []
    parts += sorted({str(m["skipped"]) for m in report.assets.values() if "skipped" in m})
    return "; ".join(parts) or "nothing"


def _path(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("path", "nothing"))


def markdown(title: str, report: RunReport) -> str:
    """Return the report as Markdown: the outline, then what needs somebody's attention."""
    lines = [f"### {title}", "", "| | |", "| --- | --- |"]
    lines += [f"| **{what}** | {_escaped(text)} |" for what, text in outline(report)]
    attention = [check for check in report.checks if outcome_of(check) in ("failed", "warned")]
    if attention:
        lines += ["", "| check | asset | outcome | detail |", "| --- | --- | --- | --- |"]
        lines += [
            f"| {check.name} | {check.asset} | {outcome_of(check)} | {_escaped(check.detail)} |" for check in attention
        ]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def metadata_of(title: str, report: RunReport, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the report as metadata of an asset: the text, tables, numbers that Dagster plots, and the files' paths."""
    loaded = [
        {"dataset": key.removeprefix("raw/"), **{name: int(metadata.get(name, 0)) for name in _LOADED}}
        for key, metadata in report.of("raw").items()
        if metadata.get("files_loaded") or metadata.get("files_unreadable")
    ]
    slowest = sorted(report.models.items(), key=lambda item: -item[1]["Execution Duration"])[:_MOST]
    rejected = report.assets.get("raw/rejected_rows", {}).get("new_by_reason")
    tables = {
        "loaded": loaded,
        "slowest_models": [
            {
                "model": key,
                "seconds": round(metadata["Execution Duration"], 2),
                "rows": int(metadata.get("dagster/row_count", 0)),
            }
            for key, metadata in slowest
        ],
        "seconds_by_stage": [{"stage": step, "seconds": round(took, 2)} for step, took in report.seconds.items()],
    }
    return {
        "report": dg.MetadataValue.md(markdown(title, report)),
        **{
            name: dg.MetadataValue.table([dg.TableRecord(row) for row in rows]) for name, rows in tables.items() if rows
        },
        **({"rejected": rejected} if rejected else {}),
        "rows_loaded": sum(row["rows_read"] for row in loaded),
        "rows_rejected": sum(row["rows_rejected"] for row in loaded),
        "models_built": len(report.models),
        "checks_failed": report.count("failed"),
        "checks_warned": report.count("warned"),
        "seconds": round(sum(report.seconds.values()), 2),
        **{name: dg.MetadataValue.path(path) for name, path in files.items()},
    }


_LOADED = ("files_loaded", "files_unreadable", "rows_read", "rows_rejected", "rows_duplicate", "rows_erased")
