"""How cost grows: the tables and the plot of docs/SCALE.md, from what the benchmark kept of several sizes.

`python -m tests.benchmarks.growth docs/benchmarks/*.json` writes them anew: nothing in them is typed by hand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import vl_convert

from orchestration.settings import ROOT
from tests.benchmarks.scale import OF_PEERS, as_markdown

_SERIES = {
    "load": lambda found: found["first"]["parts"]["load"],
    "first run after the load": lambda found: found["first"]["parts"]["in all"] - found["first"]["parts"]["load"],
    "next day": lambda found: found["next"]["parts"]["in all"],
}
_PAGE, _PLOT = ROOT / "docs" / "SCALE.md", ROOT / "docs" / "images" / "growth.png"
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


def peers_table(found: list[dict[str, Any]]) -> str:
    """Return what peers take beside the models that make the same two tables, a row a size with peers."""
    sizes = sorted((size for size in found if "peers" in size), key=lambda size: (size["users"], size["days"]))
    names = list(sizes[0]["peers"]) if sizes else []
    headings = ["users", "days", *(f"{name}, s" for name in names), "models on the next day, s", "times the fastest"]
    lines = [f"| {' | '.join(headings)} |", f"|{' ---: |' * len(headings)}"]
    for size in sizes:
        took = [size["peers"][name]["seconds"] for name in names]
        models = sum(size["next"]["models"].get(model, 0) for group in OF_PEERS.values() for model in group)
        cells = [f"{size['users']:,}", str(size["days"]), *(f"{each:.2f}" for each in took), f"{models:.1f}"]
        lines.append(f"| {' | '.join([*cells, f'{models / min(took):.0f}'])} |")
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


def fill(page: str, found: list[dict[str, Any]]) -> str:
    """Return the page with the text between `<!-- NAME -->` and `<!-- end of NAME -->` made anew, where it has them."""
    largest = max(found, key=lambda size: (size["users"], size["days"]))
    parts = {"sizes": table(points(found)), "largest": as_markdown(largest), "peers": peers_table(found)}
    for name, text in parts.items():
        first, last = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if first in page:
            before, rest = page.split(first, 1)
            page = f"{before}{first}\n{text}\n{last}{rest.split(last, 1)[1]}"
    return page


def main() -> None:
    """Write the tables and the plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="what `make bench SCALE=... ARGS='--save FILE'` kept")
    files = parser.parse_args().files
    found = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    _PLOT.write_bytes(plot(points(found)))
    _PAGE.write_text(fill(_PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(table(points(found)))


if __name__ == "__main__":
    main()
