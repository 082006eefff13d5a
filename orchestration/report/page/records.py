"""What holds it up: the plan, the quality of segments, the gaps in the data, and the health of the last run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestration.report.page import charts
from orchestration.report.page.outcomes import heading, missing
from orchestration.report.page.parts import Cell, Figure, Note, Section, Table, count, word
from orchestration.report.page.queries import FINE, Numbers, Row
from orchestration.report.page.words import Words

Columns = dict[str, Callable[[Row], Cell]]


def warnings(numbers: Numbers, words: Words) -> list[str]:
    """Return what a reader must know before anything else: what is not final, blocked or failed."""
    found = [] if numbers.is_final else [words("warnings.not_final")]
    blocks = sum(row["blocks"] for row in numbers.of("blocks"))
    stages = numbers.failed_run or numbers.of("stages")
    failed = [row for row in stages if row["outcome"] not in FINE]
    checks = len(numbers.of("checks"))
    return [
        *([_failed(failed, numbers, words)] if failed else []),
        *found,
        *([words("warnings.blocked", blocks=words.count(blocks))] if blocks else []),
        *([words("warnings.unusual", checks=words.count(checks))] if checks else []),
    ]


def _failed(failed: Sequence[Row], numbers: Numbers, words: Words) -> str:
    """Return which stages failed, when, and of when the numbers are all the same."""
    return words(
        "warnings.failed",
        time=words.time(failed[0]["started_at"]),
        stages=", ".join(_stage(row, words) for row in failed),
        date=words.day(numbers.as_of),
        built_at=words.time(numbers.built_at),
    )


def _stage(row: Row, words: Words) -> str:
    """Return a stage with what stopped it: a class of error or its first words, nothing of what a row holds."""
    return f"{_stage_name(row, words)} ({row['error'] or words.name('outcome_' + row['outcome'])})"


def _stage_name(row: Row, words: Words) -> str:
    """Return what a stage is called; that of a destination by what the policy calls it."""
    kind, _, destination = str(row["stage"]).partition(" ")
    return words("sync_to", destination=destination) if kind == "sync" and destination else words.name(row["stage"])


def plan(numbers: Numbers, words: Words) -> Section:
    """Return why candidates are not contacted."""
    found = numbers.of("plan")
    lead = words("plan.lead")
    if found and found[0]["plan_date"] is not None:
        lead = words(
            "plan.lead_of_date",
            date=words.day(found[0]["plan_date"]),
            planned=words.count(found[0]["planned"]),
            held_out=words.count(found[0]["held_out"]),
        )
    return Section("plan", words("plan.title"), lead, [_suppressions(numbers, words)])


def quality(numbers: Numbers, words: Words) -> Section:
    """Return how good the segments are, and who is in them."""
    return Section(
        "quality",
        words("quality.title"),
        words("quality.lead"),
        [_quality(numbers, words), _profiles(numbers, words), _backtest(numbers, words)],
    )


def data(numbers: Numbers, words: Words) -> Section:
    """Return what could not be used, what is not known, and what is unusual."""
    return Section(
        "data",
        words("data.title"),
        words("data.lead"),
        [
            _rejected(numbers, words),
            _coverage(numbers, words),
            _table(numbers, words, "unmapped", _unmapped(words)),
            _table(numbers, words, "checks", _checks(words)),
        ],
    )


def run(numbers: Numbers, words: Words) -> Section:
    """Return what the last run did."""
    lead = words("run.lead", built_at=words.time(numbers.built_at))
    columns = _stages(words)
    made = _table(numbers, words, "stages", columns, "title_made" if numbers.failed_run else "title")
    cells = [[cell(row) for cell in columns.values()] for row in numbers.failed_run]
    failed = Table("failed_run", words("stages.title_failed"), [heading(numbers, words, key) for key in columns], cells)
    blocks = [*([failed] if cells else []), made, _table(numbers, words, "syncs", _syncs(words))]
    return Section("run", words("run.title"), lead, blocks)


def _table(numbers: Numbers, words: Words, name: str, columns: Columns, title: str = "title") -> Table | Note:
    """Return the rows of a name as a table, or why there are none."""
    title = words(f"{name}.{title}")
    rows = numbers.of(name)
    if not rows:
        return missing(numbers, words, name, title)
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    return Table(name, title, [heading(numbers, words, key) for key in columns], cells)


def _suppressions(numbers: Numbers, words: Words) -> Figure | Note:
    rows = numbers.of("suppressions")
    title = words("suppressions.title")
    if not rows:
        return missing(numbers, words, "suppressions", title)
    total = sum(row["candidates"] for row in rows)
    sentence = words(
        "suppressions.sentence",
        candidates=words.count(total),
        reason=words.name(rows[0]["reason"]),
        share=words.share(rows[0]["candidates"] / total),
    )
    chart = charts.bars(
        [
            {
                "label": words.name(row["reason"]),
                "value": row["candidates"],
                "text": words.count(row["candidates"]),
            }
            for row in rows
        ],
        "value",
        words("candidates"),
    )
    columns: Columns = {
        "reason": lambda row: word(words.name(row["reason"]), row["reason"]),
        "candidates": lambda row: count(words.count(row["candidates"]), row["candidates"]),
        "value_forgone": lambda row: count(words.number(row["value_forgone"], 2), row["value_forgone"]),
    }
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    table = Table("suppressions", title, [heading(numbers, words, key) for key in columns], cells)
    return Figure(title, sentence, chart, table, note=words("suppressions.note"), is_wide=True)


def _quality(numbers: Numbers, words: Words) -> Table | Note:
    def finding(row: Row) -> Cell:
        told = [words(f"quality.{name}") for name in ("is_too_many", "is_too_small") if row[name]]
        return word(", ".join(told) or "–", bool(told))

    return _table(
        numbers,
        words,
        "quality",
        {
            "family": lambda row: word(words.name(row["family"]), row["family"]),
            "segments_count": lambda row: count(words.count(row["segments"]), row["segments"]),
            "smallest": lambda row: word(
                f"{words.name(row['smallest_segment'])} ({words.share(row['smallest_share'])})", row["smallest_share"]
            ),
            "largest_share": lambda row: count(words.share(row["largest_share"]), row["largest_share"]),
            "silhouette": lambda row: count(words.number(row["silhouette"], 2), row["silhouette"]),
            "unchanged_share": lambda row: count(words.share(row["unchanged_share"]), row["unchanged_share"]),
            "closest": lambda row: word(
                f"{words.name(row['closest_family'])} ({words.number(row['closest_cramers_v'], 2)})"
                if row["closest_family"]
                else "–"
            ),
            "finding": finding,
        },
        title="table_title",
    )


def _profiles(numbers: Numbers, words: Words) -> Table | Note:
    return _table(
        numbers,
        words,
        "profiles",
        {
            "family": lambda row: word(words.name(row["family"]), row["family"]),
            "segment": lambda row: word(words.name(row["segment"]), row["segment"]),
            "users": lambda row: count(words.count(row["users"]), row["users"]),
            "share": lambda row: count(words.share(row["share"]), row["share"]),
            "mean_order_value": lambda row: count(words.number(row["mean_order_value"], 2), row["mean_order_value"]),
            "top_category": lambda row: word(words.name(row["top_category"])),
            "best_channel": lambda row: word(words.name(row["best_channel"])),
            "click_rate": lambda row: count(words.share(row["click_rate"]), row["click_rate"]),
            "standout": lambda row: word(
                f"{words.name(row['standout_1'])} ({words.signed(row['standout_1_difference'], 1)})"
                if row["standout_1"]
                else "–"
            ),
        },
    )


def _backtest(numbers: Numbers, words: Words) -> Table | Note:
    """How well the outlook foresaw what came, and whether a simple rule does as well."""
    found = {(row["prediction"], row["method"]): row["auc"] for row in numbers.of("backtest")}
    told = []
    for prediction in sorted({name for name, _ in found}, reverse=True):
        model, naive = found.get((prediction, "model")), found.get((prediction, "naive"))
        if model is None or naive is None:
            continue
        ahead = round(model, 3) - round(naive, 3)
        key = "better" if ahead > 0 else "worse" if ahead < 0 else "same"
        told.append(
            words(
                f"backtest.{key}",
                prediction=words.name(f"prediction_{prediction}"),
                model=words.number(model, 3),
                naive=words.number(naive, 3),
            )
        )
    table = _table(
        numbers,
        words,
        "backtest",
        {
            "cut_date": lambda row: word(words.day(row["cut_date"]), row["cut_date"].isoformat()),
            "prediction": lambda row: word(words.name(f"prediction_{row['prediction']}"), row["prediction"]),
            "method": lambda row: word(words.name(f"method_{row['method']}"), row["method"]),
            "users": lambda row: count(words.count(row["users"]), row["users"]),
            "flagged": lambda row: count(words.count(row["flagged"]), row["flagged"]),
            "precision": lambda row: count(words.share(row["precision"]), row["precision"]),
            "recall": lambda row: count(words.share(row["recall"]), row["recall"]),
            "auc": lambda row: count(words.number(row["auc"], 3), row["auc"]),
        },
    )
    return replace(table, text=" ".join([*told, words("backtest.meaning")])) if isinstance(table, Table) else table


def _rejected(numbers: Numbers, words: Words) -> Figure | Note:
    rows, loaded = numbers.of("rejected"), numbers.of("loaded")
    title = words("rejected.title")
    if not rows:
        return missing(numbers, words, "rejected", title)
    read = sum(row["rows_read"] for row in loaded)
    lost = sum(row["found"] for row in rows if not row["is_file"])
    files = sum(row["found"] for row in rows if row["is_file"])
    by_dataset: dict[str, int] = {}
    for row in rows:
        if not row["is_file"]:
            by_dataset[row["dataset"]] = by_dataset.get(row["dataset"], 0) + row["found"]
    sentence = words(
        "rejected.sentence",
        rejected=words.count(lost),
        read=words.count(read),
        share=words.share(lost / read if read else None, 3),
        files=words("rejected.one_file" if files == 1 else "rejected.files", files=words.count(files)),
    )
    columns: Columns = {
        "dataset": lambda row: word(words.name(row["dataset"]), row["dataset"]),
        "reason": lambda row: word(words.reject(row["reason"]), row["reason"]),
        "what": lambda row: word(words("a_file" if row["is_file"] else "rows"), row["is_file"]),
        "found": lambda row: count(words.count(row["found"]), row["found"]),
    }
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    table = Table("rejected", title, [heading(numbers, words, key) for key in columns], cells)
    ordered = sorted(by_dataset.items(), key=lambda item: (-item[1], item[0]))
    if not ordered:
        return Note(title, sentence)
    chart = charts.bars(
        [{"label": words.name(name), "value": found, "text": words.count(found)} for name, found in ordered],
        "value",
        words("rows"),
    )
    return Figure(title, sentence, chart, table)


def _coverage(numbers: Numbers, words: Words) -> Figure | Note:
    rows = numbers.of("coverage")
    title = words("coverage.title")
    if not rows:
        return missing(numbers, words, "coverage", title)
    worst = rows[0]

    def attribute(row: Row) -> str:
        return words.name(f"{row['dataset']}.{row['attribute']}")

    sentence = words("coverage.none")
    if worst["users_affected"]:
        sentence = words(
            "coverage.sentence",
            attribute=attribute(worst),
            share=words.share(worst["share"]),
            users=words.count(worst["users"]),
            disables=", ".join([*map(words.name, worst["families"] or ()), *(worst["audiences"] or ())]),
        )
    chart = charts.bars(
        [{"label": attribute(row), "value": row["share"], "text": words.share(row["share"], 0)} for row in rows],
        "value",
        words("coverage.across"),
        share=True,
    )
    columns: Columns = {
        "attribute": lambda row: word(attribute(row), f"{row['dataset']}.{row['attribute']}"),
        "users_known": lambda row: count(words.count(row["users_known"]), row["users_known"]),
        "users_asked": lambda row: count(words.count(row["users"]), row["users"]),
        "share": lambda row: count(words.share(row["share"]), row["share"]),
        "families": lambda row: word(", ".join(map(words.name, row["families"] or ())) or "–"),
        # audiences are named in the project of whoever runs this
        "audiences": lambda row: word(", ".join(row["audiences"] or ()) or "–"),
        "users_affected": lambda row: count(words.count(row["users_affected"]), row["users_affected"]),
    }
    cells = [[cell(row) for cell in columns.values()] for row in rows]
    table = Table("coverage", title, [heading(numbers, words, key) for key in columns], cells)
    return Figure(title, sentence, chart, table)


def _unmapped(words: Words) -> Columns:
    return {
        "event": lambda row: word(row["event"], row["event"]),
        "events": lambda row: count(words.count(row["events"]), row["events"]),
        "last_date": lambda row: word(words.day(row["last_date"]), row["last_date"].isoformat()),
    }


def _checks(words: Words) -> Columns:
    return {
        "check": lambda row: word(words.name(row["check_name"]), row["check_name"]),
        "subject": lambda row: word(words.name(row["subject"]), row["subject"]),
        "date.name": lambda row: word(words.day(row["checked_date"])),
        "found": lambda row: count(words.number(row["checked_value"], 0), row["checked_value"]),
        "usual": lambda row: count(words.number(row["usual_value"], 0), row["usual_value"]),
        "finding": lambda row: word(words.name(f"finding_{row['finding']}"), row["finding"]),
    }


def _stages(words: Words) -> Columns:
    return {
        "stage": lambda row: word(_stage_name(row, words), row["stage"]),
        "outcome": lambda row: word(words.name(f"outcome_{row['outcome']}"), row["outcome"]),
        "error": lambda row: word(row["error"] or "–", row["error"]),
        "rows": lambda row: count(words.count(row["rows"]), row["rows"]),
        "seconds": lambda row: count(words.number(row["seconds"], 1), row["seconds"]),
    }


def _syncs(words: Words) -> Columns:
    return {
        "destination": lambda row: word(row["destination"], row["destination"]),
        "date.name": lambda row: word(words.day(row["as_of"])),
        "audiences_count": lambda row: count(words.count(row["audiences"]), row["audiences"]),
        "complete": lambda row: count(words.count(row["complete"]), row["complete"]),
        "sent_rows": lambda row: count(words.count(row["sent"]), row["sent"]),
        "rejected_count": lambda row: count(words.count(row["rejected"]), row["rejected"]),
        "not_taken": lambda row: count(words.count(row["not_taken"]), row["not_taken"]),
    }
