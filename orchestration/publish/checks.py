"""What is unusual about a published build: rows, segments and clocks that changed suddenly. A warning each, no more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import dagster as dg
import duckdb

from orchestration.publish.assets import PUBLISHED
from orchestration.resources import Warehouse, log

ROWS, CLOCKS, SEGMENTS = "rows_by_dataset", "clock_skew", "segment_sizes"
_DESCRIPTIONS = {
    ROWS: "Rows of a day by dataset, beside the same weekday of the weeks before: a sudden fall or jump.",
    CLOCKS: "How long events were on the way, by platform: a clock of the source that is ahead or behind.",
    SEGMENTS: "Users in each segment, beside the dates built before: a sudden fall or jump.",
}
_MOST_SAID = 5


@dataclass(frozen=True)
class Finding:
    """Something unusual: of what (a dataset, a platform, a segment), what it is, and the numbers behind it."""

    subject: str
    finding: str
    checked_date: date
    value: float
    usual: float | None

    def in_words(self) -> str:
        """Return it as a person says it."""
        if self.usual is None:
            return f"{self.subject} is {self.finding} by {abs(self.value) / 60:,.0f} minutes"
        return f"{self.finding} of {self.subject} to {self.value:,.0f} from {self.usual:,.0f}"


def sizes_found(
    sizes: Mapping[date, Mapping[tuple[str, str], int]], as_of: date, policy: Mapping[str, Any]
) -> list[Finding]:
    """Return the segments whose users of ``as_of`` are far from their median on the dates before.

    ``sizes`` are users by (family, segment) of each date; a segment that a date does not name had nobody then. A family
    is looked at once it was there on enough dates.
    """
    first = as_of - timedelta(days=policy["segments_check_days"])
    before = [day for day in sizes if first <= day < as_of]
    found = []
    for family in sorted({family for family, _ in sizes.get(as_of, {})}):
        days = [day for day in before if any(name == family for name, _ in sizes[day])]
        if len(days) < policy["segments_check_min_dates"]:
            continue
        for key in sorted({key for day in (*days, as_of) for key in sizes[day] if key[0] == family}):
            users, usual = sizes[as_of].get(key, 0), float(median(sizes[day].get(key, 0) for day in days))
            if max(users, usual) < policy["segments_check_min_users"]:
                continue
            if users < (1 - policy["segments_check_fall_share"]) * usual:
                found.append(Finding("/".join(key), "fall", as_of, users, usual))
            elif users > policy["segments_check_jump_factor"] * usual:
                found.append(Finding("/".join(key), "jump", as_of, users, usual))
    return found


def findings(published_file: Path, policy: Mapping[str, Any]) -> dict[str, list[Finding]]:
    """Return what is unusual about a published file, by check; nothing of segments while its date is not over."""
    found: dict[str, list[Finding]] = {ROWS: [], CLOCKS: [], SEGMENTS: []}
    with duckdb.connect(str(published_file), read_only=True) as con:
        for check, *finding in con.execute(
            "select check_name, subject, finding, checked_date, checked_value, usual_value from marts.data_checks "
            "where finding is not null order by all"
        ).fetchall():
            found[check].append(Finding(*finding))
        row = con.execute("select as_of, is_final from marts.build_info").fetchone()
        if row is not None and row[1]:
            sizes: dict[date, dict[tuple[str, str], int]] = {}
            for day, family, segment, users in con.execute(
                "select as_of, family, segment, users from marts.segment_sizes where as_of between ? and ?",
                [row[0] - timedelta(days=policy["segments_check_days"]), row[0]],
            ).fetchall():
                sizes.setdefault(day, {})[family, segment] = users
            found[SEGMENTS] = sizes_found(sizes, row[0], policy)
    return found


def in_words(found: Sequence[Finding]) -> str:
    """Return the first of some findings as a sentence, and how many more there are."""
    more = f", and {len(found) - _MOST_SAID} more" if len(found) > _MOST_SAID else ""
    return "; ".join(finding.in_words() for finding in found[:_MOST_SAID]) + more


@dg.multi_asset_check(
    name="what_is_unusual",
    specs=[
        dg.AssetCheckSpec(name, asset=PUBLISHED, description=description) for name, description in _DESCRIPTIONS.items()
    ],
    can_subset=True,
)
def what_is_unusual(context: dg.AssetCheckExecutionContext, warehouse: Warehouse) -> Iterator[dg.AssetCheckResult]:
    """Warn of what is unusual about the file that was published."""
    found = findings(warehouse.settings.published_file, warehouse.settings.policy)
    for key in sorted(context.selected_asset_check_keys):
        of_check = found[key.name]
        if of_check:
            log.info("Unusual (%s): %s", key.name, in_words(of_check))
        yield dg.AssetCheckResult(
            asset_key=PUBLISHED,
            check_name=key.name,
            passed=not of_check,
            severity=dg.AssetCheckSeverity.WARN,
            metadata=_metadata_of(of_check),
        )


def _metadata_of(found: Sequence[Finding]) -> dict[str, Any]:
    """Return findings as metadata. Dagster takes no table without rows."""
    if not found:
        return {}
    rows = [
        dg.TableRecord({
            "subject": finding.subject,
            "finding": finding.finding,
            "date": str(finding.checked_date),
            "value": finding.value,
            "usual": "" if finding.usual is None else finding.usual,
        })
        for finding in found
    ]  # fmt: skip
    return {"found": in_words(found), "findings": dg.MetadataValue.table(rows), "rows": len(rows)}
