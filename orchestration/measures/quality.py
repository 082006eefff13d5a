"""How well each family tells users apart: what SQL has counted, the silhouette of a sample, and who stayed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from orchestration.landing.quoting import identifier
from orchestration.policy_rules import QUALITY_MEASURES

_SAMPLE = "intermediate.int_quality_sample"
#: Rows of distances that are held at a time: of 20,000 users they take 80 MB.
_ROWS = 500


def segment_quality(con: duckdb.DuckDBPyConnection, policy: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Return a row for each published family, in the order of the table's columns."""
    counted = con.execute(
        """
        select quality.*, closest.other_family as closest_family, closest.cramers_v as closest_cramers_v
        from intermediate.int_family_quality as quality
        left join (
            select family, other_family, cramers_v
            from marts.family_overlap
            where cramers_v is not null
            qualify row_number() over (partition by family order by cramers_v desc, other_family) = 1
        ) as closest on quality.family = closest.family
        order by quality.family
        """
    )
    names = [column[0] for column in counted.description or []]
    rows = [dict(zip(names, row, strict=True)) for row in counted.fetchall()]
    families = [row["family"] for row in rows]
    silhouettes = _silhouettes(con, families)
    unchanged = _unchanged(con, families)
    return [
        (
            row["as_of"],
            row["family"],
            *(row[name] for name in _COUNTED),
            row["built_from"],
            silhouettes[row["family"]],
            unchanged[row["family"]],
            row["closest_family"],
            row["closest_cramers_v"],
        )
        for row in rows
    ]


_COUNTED = (
    "users",
    "segments",
    "is_too_many",
    "smallest_segment",
    "smallest_share",
    "is_too_small",
    "largest_share",
    *(f"eta2_{measure}" for measure in QUALITY_MEASURES),
)


def _silhouettes(con: duckdb.DuckDBPyConnection, families: list[str]) -> dict[str, float | None]:
    """Return the silhouette of each family on the sample."""
    if not families:
        return {}
    measures = ", ".join(f"scaled_{measure}" for measure in QUALITY_MEASURES)
    columns = con.execute(f"select {measures} from {_SAMPLE}").fetchnumpy()
    points = z_scores(np.column_stack([np.ma.filled(columns[name].astype(float), np.nan) for name in columns]))
    named = con.execute(f"select {', '.join(map(identifier, families))} from {_SAMPLE}").fetchnumpy()
    labels = [np.unique(named[family].astype(str), return_inverse=True)[1] for family in families]
    found = silhouettes(points, labels)
    return {family: None if value is None else round(value, 6) for family, value in zip(families, found, strict=True)}


def z_scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return each column as standard deviations from its mean; what is missing (NaN) or all the same is 0."""
    scores = np.zeros_like(values)
    for column, scored in zip(values.T, scores.T, strict=True):
        is_known = ~np.isnan(column)
        known = column[is_known]
        if known.size and known.min() < known.max():
            scored[is_known] = (known - known.mean()) / known.std()
    return scores


def silhouettes(points: NDArray[np.float64], labelings: list[NDArray[np.intp]]) -> list[float | None]:
    """Return the mean silhouette of each labeling of the points, by Euclidean distance; None with a single label.

    Of a point: (b - a) / max(a, b), a its mean distance to the others of its label, b to the points of the nearest
    other label; 0 where it is alone. Labels are 0, 1, 2 and so on. Distances are taken once for all labelings.
    """
    count = len(points)
    squares = (points**2).sum(axis=1)
    sizes = [np.bincount(labels) for labels in labelings]
    members = [np.eye(len(size))[labels] for labels, size in zip(labelings, sizes, strict=True)]
    totals = np.zeros(len(labelings))
    for start in range(0, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        products = points[rows] @ points.T
        distances = np.sqrt(np.maximum(squares[rows, None] + squares[None, :] - 2 * products, 0))
        # a point is at no distance of itself, whatever rounding says
        distances[np.arange(distances.shape[0]), np.arange(rows.start, rows.stop)] = 0
        for number, (labels, size, member) in enumerate(zip(labelings, sizes, members, strict=True)):
            if len(size) > 1:
                totals[number] += _silhouettes_of(distances @ member, labels[rows], size).sum()
    return [float(total / count) if len(size) > 1 else None for total, size in zip(totals, sizes, strict=True)]


def _silhouettes_of(sums: NDArray[np.float64], labels: NDArray[np.intp], size: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the silhouette of each point, given the sums of its distances to the points of each label."""
    places = np.arange(len(labels))
    others = size[labels] - 1
    own = sums[places, labels] / np.maximum(others, 1)
    means = sums / size
    means[places, labels] = np.inf
    nearest = means.min(axis=1)
    greatest = np.maximum(own, nearest)
    apart = (nearest - own) / np.where(greatest > 0, greatest, 1)
    return np.where(others > 0, apart, 0.0)


def _unchanged(con: duckdb.DuckDBPyConnection, families: list[str]) -> dict[str, float | None]:
    """Return the share of users in the segment that they were in as of the built date before, of those known then too.

    None without one: on the first built date, of a new family, and in a backfill, whose file has no history.
    """
    known = {
        column
        for (column,) in con.execute(
            "select column_name from duckdb_columns() where database_name = current_database() "
            "and schema_name = 'history' and table_name = 'segment_changes'"
        ).fetchall()
    }
    asked = [family for family in families if family in known]
    unchanged: dict[str, float | None] = dict.fromkeys(families)
    if asked:
        # an unchanged user's row is valid from an earlier date until now or a later one
        counts = ", ".join(
            f"count(before.{name}), count(case when before.{name} = now.{name} then 1 end)"
            for name in map(identifier, asked)
        )
        row = con.execute(
            f"""
            with day as (
                select max(as_of) as as_of
                from history.built_dates
                where has_history and as_of < (select any_value(as_of) from marts.user_360)
            )
            select {counts}
            from history.segment_changes as before
            inner join marts.user_360 as now on before.user_id = now.user_id
            where before.as_of <= (select as_of from day) and before.valid_to > (select as_of from day)
            """
        ).fetchone()
        assert row is not None
        for number, family in enumerate(asked):
            both, same = row[2 * number : 2 * number + 2]
            unchanged[family] = round(same / both, 6) if both else None
    return unchanged
