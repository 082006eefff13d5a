"""Who they are: sizes over time, moves between segments, and the RFM grid."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from orchestration.report.page import charts
from orchestration.report.page.parts import Cell, Figure, Note, Section, Table, count, word
from orchestration.report.page.pressure import STATUSES, users_of
from orchestration.report.page.queries import Numbers
from orchestration.report.page.words import Words

_ENGAGEMENT = ("engaged", "new", "one_time", "dormant", "never_seen")
_RFM = (
    "champions",
    "loyal",
    "potential_loyalist",
    "new_customers",
    "promising",
    "need_attention",
    "about_to_sleep",
    "at_risk",
    "cant_lose_them",
    "hibernating",
    "lost",
    "no_orders",
)


def segments(numbers: Numbers, words: Words) -> Section:
    """Return the section of segment sizes, migration and RFM."""
    blocks = [
        _over_time(numbers, words, "engagement", _ENGAGEMENT, charts.SERIES),
        _over_time(numbers, words, "pressure_status", STATUSES, [charts.STATUS_COLOURS[status] for status in STATUSES]),
        _migration(numbers, words),
        _grid(numbers, words),
        _sizes(numbers, words, "rfm", _RFM),
    ]
    return Section("segments", words("segments.title"), words("segments.lead"), blocks)


def _over_time(
    numbers: Numbers, words: Words, family: str, order: Sequence[str], colours: Sequence[str]
) -> Figure | Note:
    """Sizes of a family's segments over the dates that were built; with one date alone, as bars."""
    rows = [row for row in numbers.of("sizes") if row["family"] == family]
    days = sorted({row["as_of"] for row in rows})
    if len(days) < 2:
        return _sizes(numbers, words, family, order, words("segments.over_time.one_date"))
    title = words("segments.over_time.title", family=words.name(family))
    of = {(row["as_of"], row["segment"]): row["users"] for row in rows}
    first, last = days[0], days[-1]
    changes = {segment: of.get((last, segment), 0) - of.get((first, segment), 0) for segment in order}
    most = max(order, key=lambda segment: (abs(changes[segment]), segment))
    sentence = words(
        "segments.over_time.sentence",
        first=words.day(first),
        last=words.day(last),
        segment=words.name(most),
        before=words.count(of.get((first, most), 0)),
        now=words.count(of.get((last, most), 0)),
    )
    chart = charts.lines(
        [
            {
                "day": day.isoformat(),
                "series": words.name(segment),
                "value": of.get((day, segment), 0),
            }
            for day in days
            for segment in order
        ],
        [words.name(segment) for segment in order],
        colours,
        words("users"),
    )
    table = Table(
        f"sizes_{family}",
        title,
        [words("date.name"), *(words.name(segment) for segment in order)],
        [
            [
                Cell(words.day(day), day.isoformat()),
                *(count(words.count(of.get((day, segment), 0)), of.get((day, segment), 0)) for segment in order),
            ]
            for day in reversed(days)
        ],
    )
    return Figure(title, sentence, chart, table)


def _sizes(numbers: Numbers, words: Words, family: str, order: Sequence[str], note: str = "") -> Figure | Note:
    """Users by segment of a family, with those of a week before in the table."""
    rows = {row["segment"]: row["users"] for row in numbers.of("sizes_now") if row["family"] == family}
    title = words("segments.sizes.title", family=words.name(family))
    if not rows:
        return Note(title, words("segments.sizes.empty"), is_empty=True)
    users = sum(rows.values())
    largest = max(order, key=lambda segment: (rows.get(segment, 0), segment))
    week = numbers.as_of - timedelta(days=7)
    sentence = words(
        "segments.sizes.sentence",
        segment=words.name(largest),
        users=words.count(rows.get(largest, 0)),
        share=words.share(rows.get(largest, 0) / users),
    )
    chart = charts.bars(
        [
            {
                "label": words.name(segment),
                "value": rows.get(segment, 0),
                "text": words.count(rows.get(segment, 0)),
            }
            for segment in order
        ],
        "value",
        words("users"),
    )
    cells = []
    for segment in order:
        now, then = rows.get(segment, 0), users_of(numbers, family, segment, week)
        cells.append(
            [
                word(words.name(segment), segment),
                count(words.count(now), now),
                count(words.share(now / users), now / users),
                count(words.count(then), then),
            ]
        )
    header = [words("segment"), words("users"), words("share"), words("a_week_before")]
    return Figure(
        title, sentence, chart, Table(f"sizes_{family}", title, header, cells), note=note, is_wide=family == "rfm"
    )


def _migration(numbers: Numbers, words: Words) -> Figure | Note:
    """Moves between engagement segments in the last month that is known, or else on the last day."""
    rows = numbers.of("migration")
    title = words("segments.migration.title")
    if not rows:
        return Note(title, words("segments.migration.empty"), is_empty=True)
    start, is_month = rows[0]["period_start"], rows[0]["period"] == "month"
    key = "month" if rows[0]["is_over"] else "month_so_far"
    known = [*_ENGAGEMENT]
    sources = [segment for segment in [*known, None] if any(row["from_segment"] == segment for row in rows)]
    targets = [segment for segment in [*known, None] if any(row["to_segment"] == segment for row in rows)]

    def name(segment: str | None) -> str:
        return words.name(segment) if segment else words("segments.migration.nobody")

    moved = sum(row["users"] for row in rows)
    largest = max(rows, key=lambda row: row["users"])
    sentence = words(
        f"segments.migration.sentence_{key}" if is_month else "segments.migration.sentence_day",
        date=words.day(start),
        last=words.day(numbers.as_of),
        users=words.count(moved),
        largest=words.count(largest["users"]),
        source=name(largest["from_segment"]),
        target=name(largest["to_segment"]),
    )
    chart = charts.heat(
        [
            {
                "x": name(row["to_segment"]),
                "y": name(row["from_segment"]),
                "users": row["users"],
                "text": words.count(row["users"]),
            }
            for row in rows
        ],
        (words("segments.migration.to"), words("segments.migration.from")),
        [name(segment) for segment in targets],
        [name(segment) for segment in sources],
    )
    table = Table(
        "migration",
        title,
        [words("segments.migration.from"), words("segments.migration.to"), words("users")],
        [
            [
                word(name(row["from_segment"]), row["from_segment"] or ""),
                word(name(row["to_segment"]), row["to_segment"] or ""),
                count(words.count(row["users"]), row["users"]),
            ]
            for row in rows
        ],
    )
    return Figure(title, sentence, chart, table)


def _grid(numbers: Numbers, words: Words) -> Figure | Note:
    """Buyers by the two scores of RFM."""
    rows = numbers.of("rfm")
    title = words("segments.rfm.title")
    if not rows:
        return Note(title, words("segments.rfm.empty"), is_empty=True)
    buyers = sum(row["users"] for row in rows)
    best = sum(row["users"] for row in rows if row["r_score"] >= 4 and row["fm_score"] >= 4)
    slipping = sum(row["users"] for row in rows if row["r_score"] <= 2 and row["fm_score"] >= 3)
    sentence = words(
        "segments.rfm.sentence",
        buyers=words.count(buyers),
        best=words.count(best),
        best_share=words.share(best / buyers),
        slipping=words.count(slipping),
        slipping_share=words.share(slipping / buyers),
    )
    scores = [str(score) for score in range(1, 6)]
    of = {(row["r_score"], row["fm_score"]): row["users"] for row in rows}
    chart = charts.heat(
        [
            {"x": str(fm), "y": str(r), "users": of.get((r, fm), 0), "text": words.count(of.get((r, fm), 0))}
            for r in range(1, 6)
            for fm in range(1, 6)
        ],
        (words("segments.rfm.across"), words("segments.rfm.down")),
        scores,
        scores[::-1],
    )
    table = Table(
        "rfm_grid",
        title,
        [words("segments.rfm.r"), words("segments.rfm.fm"), words("users"), words("segments.rfm.segments")],
        [
            [
                count(str(row["r_score"]), row["r_score"]),
                count(str(row["fm_score"]), row["fm_score"]),
                count(words.count(row["users"]), row["users"]),
                word(", ".join(words.name(segment) for segment in row["segments"].split(", ")), row["segments"]),
            ]
            for row in rows
        ],
    )
    return Figure(title, sentence, chart, table)
