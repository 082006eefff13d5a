"""Stages keep a record of themselves: what their assets say of rows and of what was skipped is what it holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import dagster as dg

from orchestration.report.pipeline_runs import Run, Stage, recording

_P = ParamSpec("_P")
_T = TypeVar("_T")


def recorded(
    stage: str, rows: str = "dagster/row_count"
) -> Callable[[Callable[_P, Iterator[_T]]], Callable[_P, Iterator[_T]]]:
    """Decorate the generator of a stage's assets: it keeps a record of each run. It takes the resource ``warehouse``.

    ``rows`` is the metadata of its events that counts the stage's rows.
    """

    def decorate(compute: Callable[_P, Iterator[_T]]) -> Callable[_P, Iterator[_T]]:
        @wraps(compute)
        def recording_it(*args: _P.args, **kwargs: _P.kwargs) -> Iterator[_T]:
            warehouse: Any = kwargs["warehouse"]
            run = Run(warehouse.run_id, warehouse.settings.as_of, warehouse.kind)
            with recording(warehouse.settings.activation_file, run, stage) as told:
                for event in compute(*args, **kwargs):
                    _note(told, event, rows)
                    yield event

        return recording_it

    return decorate


def _note(told: Stage, event: object, rows: str) -> None:
    """Add what an event says; a stage was skipped when all of its events say so."""
    if not isinstance(event, (dg.Output, dg.MaterializeResult, dg.AssetObservation)):
        return
    metadata: Mapping[str, Any] = event.metadata or {}
    is_first = told.rows is None and not told.is_skipped
    if "skipped" in metadata:
        told.is_skipped = is_first or told.is_skipped
        return
    # only dbt hands over outputs: the others yield what they have made themselves
    told.has_child = told.has_child or isinstance(event, dg.Output)
    told.is_skipped = False
    found = metadata.get(rows, 0)
    told.rows = (told.rows or 0) + int(getattr(found, "value", found))
