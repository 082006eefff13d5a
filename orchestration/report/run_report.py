"""The report of a run, from the events that Dagster recorded of it: what was loaded, built, checked and published."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from orchestration.report.charts import joined

_MOST = 10
#: Columns of the table of what was loaded, and what the loader calls them.
_LOADED = {
    "files": "files_loaded",
    "unreadable": "files_unreadable",
    "rows": "rows_read",
    "rejected": "rows_rejected",
    "duplicate": "rows_duplicate",
    "erased": "rows_erased",
}


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
    #: How many rows it found that should not be.
    rows: int = 0


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
        elif event.is_asset_observation and event.asset_key is not None:
            assets["/".join(event.asset_key.path)] = _values(event.asset_observation_data.asset_observation.metadata)
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
                    _detail(values),
                    int(values.get("dagster_dbt/failed_row_count") or values.get("rows") or 0),
                )
            )
        elif event.is_step_success and event.step_key is not None:
            seconds[event.step_key] = event.step_success_data.duration_ms / 1000
        elif event.is_step_failure and event.step_key is not None:
            failed.append(event.step_key)
    return RunReport(assets, checks, seconds, failed)


def _detail(values: Mapping[str, Any]) -> str:
    """Return what a check says of what it found."""
    rows = values.get("dagster_dbt/failed_row_count")
    return str(values.get("what_to_do") or values.get("found") or ("" if rows is None else _count(rows, "row")))


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _values(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in metadata.items()}


def outline(report: RunReport) -> list[tuple[str, str]]:
    """Return the lines of the report, each with what it is about: loaded, rejected, skipped, built, checked, ..."""
    totals = {
        name: _total(report, name)
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
            f"{_count(totals['rows_read'], 'row')} of {_count(totals['files_loaded'], 'file')}; "
            f"{totals['rows_duplicate']:,} duplicate, {totals['rows_erased']:,} erased",
        ),
        (
            "Rejected",
            f"{_count(totals['rows_rejected'], 'row')}, {_count(totals['files_unreadable'], 'unreadable file')}",
        ),
        ("Skipped", _skipped(report, totals["files_unchanged"])),
        (
            "Built",
            f"{len(report.models):,} models and seeds, "
            + _count(sum(metadata.get("dagster/row_count", 0) for metadata in report.models.values()), "row"),
        ),
        (
            "Checked",
            ", ".join(f"{report.count(outcome):,} {outcome}" for outcome in ("passed", "warned", "failed", "skipped")),
        ),
        ("Published", _made(report, "published")),
        ("Extracts", _made(report, "extracts")),
    ]
    if report.failed_steps:
        lines.append(("Failed", ", ".join(report.failed_steps)))
    return lines


def _total(report: RunReport, name: str) -> int:
    """Return the sum of a number over all that was loaded."""
    return sum(int(metadata.get(name, 0)) for metadata in report.of("raw").values())


def _skipped(report: RunReport, files: int) -> str:
    parts = [f"{_count(files, 'file')} loaded before"] if files else []
    parts += sorted({str(m["skipped"]) for m in report.assets.values() if "skipped" in m})
    return "; ".join(parts) or "nothing"


def _made(report: RunReport, group: str) -> str:
    """Return where a stage has put its files, and why it put none, or no new ones."""
    for metadata in report.of(group).values():
        path = str(metadata.get("path", "nothing"))
        return f"{path} ({metadata['skipped']})" if "skipped" in metadata else path
    return "nothing"


def markdown(title: str, report: RunReport) -> str:
    """Return the outline as Markdown. Dagster shows up to 1,000 characters at once, more behind a link."""
    lines = [f"### {title}", "", "| | |", "| --- | --- |"]
    return "\n".join([*lines, *(f"| **{what}** | {_escaped(text)} |" for what, text in outline(report))])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def metadata_of(title: str, report: RunReport, files: Mapping[str, str]) -> dict[str, Any]:
    """Return the report as metadata of an asset: the text, tables, numbers that Dagster plots, and the files' paths."""
    loaded = [
        {
            "dataset": key.removeprefix("raw/"),
            **{title: int(metadata.get(name, 0)) for title, name in _LOADED.items()},
        }
        for key, metadata in report.of("raw").items()
        if metadata.get("files_loaded") or metadata.get("files_unreadable")
    ]
    slowest = sorted(report.models.items(), key=lambda item: -item[1]["Execution Duration"])[:_MOST]
    rejected = report.assets.get("raw/rejected_rows", {}).get("new_by_reason")
    published = report.assets.get("published/barometer_duckdb", {})
    plan = published.get("plan")
    charts = {name: text for name, text in published.items() if name.startswith("users_by_")}
    by_day = [str(metadata["rows_by_day"]) for metadata in report.of("raw").values() if "rows_by_day" in metadata]
    charts |= {"rows_by_day": joined(by_day)} if by_day else {}
    tables: dict[str, list[dict[str, Any]]] = {
        "needs_attention": [
            {"check": check.name, "asset": check.asset, "outcome": outcome_of(check), "detail": check.detail}
            for check in report.checks
            if outcome_of(check) in ("failed", "warned")
        ],
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
        **({"plan": plan} if plan else {}),
        **{name: dg.MetadataValue.md(text) for name, text in charts.items()},
        "rows_loaded": _total(report, "rows_read"),
        "rows_rejected": _total(report, "rows_rejected"),
        "models_built": len(report.models),
        "checks_failed": report.count("failed"),
        "checks_warned": report.count("warned"),
        "seconds": round(sum(report.seconds.values()), 2),
        **{name: dg.MetadataValue.path(path) for name, path in files.items()},
    }
