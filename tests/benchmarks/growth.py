"""How cost grows: a table and a plot from what the benchmark kept of several sizes.

`python -m tests.benchmarks.growth docs/benchmarks/*.json --plot docs/images/growth.png` prints the table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import vl_convert

_SERIES = {
    "load": lambda found: found["first"]["parts"]["load"],
    "first run after the load": lambda found: found["first"]["parts"]["in all"] - found["first"]["parts"]["load"],
    "next day": lambda found: found["next"]["parts"]["in all"],
}
_HEADINGS = (
    "users",
    "days",
    "million rows",
    "raw scan, s",
    "load, s",
    "first run after the load, s",
    "next day, s",
    "peak memory, GB",
    "disk, GB",
)


def points(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a size: users, days, millions of rows, seconds of each part, peak memory and bytes (GB)."""
    rows = [
        {
            "users": size["users"],
            "days": size["days"],
            "million rows": sum(size["rows"].values()) / 1e6,
            "raw scan": size["scan_seconds"],
            **{name: seconds(size) for name, seconds in _SERIES.items()},
            "memory": max(max(size[run]["peak_GB"].values()) for run in ("first", "next")),
            "disk": sum(size["next"]["files_GB"].values()),
        }
        for size in found
    ]
    return sorted(rows, key=lambda row: (row["users"], row["days"]))


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a page has them."""
    lines = [
        f"| {' | '.join(_HEADINGS)} |",
        f"|{' ---: |' * len(_HEADINGS)}",
    ]
    lines += [
        f"| {row['users']:,} | {row['days']} | {row['million rows']:,.1f} | {row['raw scan']:.2f} | {row['load']:,.0f} "
        f"| {row['first run after the load']:,.0f} | {row['next day']:,.0f} | {row['memory']:.1f} | {row['disk']:.1f} |"
        for row in rows
    ]
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]]) -> bytes:
    """Return a PNG: seconds and memory over millions of rows, both axes logarithmic; half a year of history apart."""
    values = [
        {
            "rows": row["million rows"],
            "value": row[name],
            "what": name,
            "panel": "memory, GB" if name == "memory" else "seconds",
            "history": f"{row['days']} days",
        }
        for row in rows
        for name in (*_SERIES, "memory")
    ]

    def panel(name: str) -> dict[str, Any]:
        encoding = {
            "x": {"field": "rows", "type": "quantitative", "scale": {"type": "log"}, "title": "million rows loaded"},
            "y": {"field": "value", "type": "quantitative", "scale": {"type": "log"}, "title": name},
            "color": {"field": "what", "type": "nominal", "title": None},
        }
        return {
            "width": 360,
            "height": 280,
            "transform": [{"filter": f"datum.panel === '{name}'"}],
            "layer": [
                {
                    "mark": {"type": "line", "opacity": 0.5},
                    "transform": [{"filter": f"datum.history === '{max(row['days'] for row in rows)} days'"}],
                    "encoding": encoding,
                },
                {
                    "mark": {"type": "point", "filled": True, "size": 70},
                    "encoding": {**encoding, "shape": {"field": "history", "type": "nominal", "title": "history"}},
                },
            ],
        }

    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": "white",
        "data": {"values": values},
        "hconcat": [panel("seconds"), panel("memory, GB")],
    }
    return bytes(vl_convert.vegalite_to_png(json.dumps(spec), scale=1.5))


def main() -> None:
    """Print the table and, if asked to, write the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="what `make bench SCALE=... ARGS='--save FILE'` kept")
    parser.add_argument("--plot", type=Path, help="where the PNG goes")
    options = parser.parse_args()
    rows = points([json.loads(file.read_text(encoding="utf-8")) for file in options.files])
    if options.plot:
        options.plot.write_bytes(plot(rows))
    print(table(rows))


if __name__ == "__main__":
    main()
