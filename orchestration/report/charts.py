"""Charts as text, which Dagster's pages show as they are."""

from __future__ import annotations

from collections.abc import Sequence

_EIGHTHS = " ▏▎▍▌▋▊▉"
#: Characters of the longest bar. A text of 1,000 characters and more would hide behind a link.
_WIDTH = 24
_HEIGHTS = "▁▂▃▄▅▆▇█"
_NONE = "·"


def bar_chart(rows: Sequence[tuple[str, int]]) -> str:
    """Return a horizontal bar chart of (label, number) as Markdown: a block of text, a line a row."""
    longest = max((number for _, number in rows), default=0) or 1
    width = max((len(label) for label, _ in rows), default=0)
    lines = [f"{label:<{width}} {_bar(number / longest)} {number:,}" for label, number in rows]
    return "\n".join(["```", *lines, "```"])


def _bar(share: float) -> str:
    """Return a bar of ``share`` of the full width, to an eighth of a character; at least a trace of what is there."""
    eighths = max(round(share * _WIDTH * 8), 1 if share > 0 else 0)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def day_chart(rows: Sequence[tuple[str, Sequence[int]]], days: str) -> str:
    """Return a chart of (label, number a day) as Markdown, a line a row, each to a scale of its own."""
    width = max((len(label) for label, _ in rows), default=0)
    lines = [
        f"{label:<{width}} {sparkline(numbers)} at most {max(numbers):,}, last {numbers[-1]:,}"
        for label, numbers in rows
    ]
    return "\n".join(["```", *lines, days, "```"])


def joined(charts: Sequence[str]) -> str:
    """Return day charts of the same days as one."""
    lines = [chart.splitlines()[1:-1] for chart in charts]
    return "\n".join(["```", *(line for rows in lines for line in rows[:-1]), lines[0][-1], "```"])


def sparkline(numbers: Sequence[int]) -> str:
    """Return a character a number, as high as it is beside the greatest; a dot where there is none."""
    most = max(numbers, default=0)
    return "".join(_HEIGHTS[-(-number * 8 // most) - 1] if number > 0 else _NONE for number in numbers)
