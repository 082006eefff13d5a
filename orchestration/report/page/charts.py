"""Charts as Vega-Lite specifications, and how they are drawn: an SVG whose colours are the page's own.

A chart is as wide as a phone. Its colours are stand-ins while it is drawn; in the page they are variables of the style
sheet, so that light, dark and paper each have their own.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from markupsafe import Markup

from orchestration.report.page.parts import visible

WIDTH = 420
_SVG = "http://www.w3.org/2000/svg"

#: Stand-in -> variable of the style sheet.
COLOURS = {
    "#0a0b01": "ink",
    "#0a0b02": "muted",
    "#0a0b03": "grid",
    "#0a0b04": "accent",
    "#0a0b05": "good",
    "#0a0b06": "calm",
    "#0a0b07": "near",
    "#0a0b08": "at",
    "#0a0b09": "over",
    "#0a0b0a": "tired",
    "#0a0b0b": "second",
    "#0a0b0c": "third",
    "#0a0b0d": "card",
    "#0a0b0e": "on-accent",
}
_STAND_IN = {name: colour for colour, name in COLOURS.items()}
INK, MUTED, ACCENT, SECOND, OVER, CARD = (
    _STAND_IN[name] for name in ("ink", "muted", "accent", "second", "over", "card")
)
#: Colour of each pressure status, from rest to too much.
STATUS_COLOURS = {
    status: _STAND_IN[name]
    for status, name in {
        "rested": "calm",
        "healthy": "good",
        "near_cap": "near",
        "at_cap": "at",
        "over_cap": "over",
        "fatigued": "tired",
    }.items()
}
#: Colours of series that have no order.
SERIES = [_STAND_IN[name] for name in ("accent", "over", "good", "tired", "near", "calm", "at", "second")]
_DASHES = [[1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 2], [1, 3]]

Spec = dict[str, Any]
_CONFIG: Spec = {
    "aria": False,
    "background": None,
    "font": "Liberation Sans",
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": _STAND_IN["muted"],
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "gridColor": _STAND_IN["grid"],
        "domainColor": _STAND_IN["grid"],
        "tickColor": _STAND_IN["grid"],
        "labelLimit": 150,
        "labelFlush": False,
        "titlePadding": 8,
    },
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "title": None,
        "orient": "bottom",
        "columns": 3,
        "columnPadding": 18,
        "symbolType": "square",
        "symbolOpacity": 1,
        "labelLimit": 170,
        "padding": 4,
    },
    "text": {"color": INK, "fontSize": 12},
}
#: Of an axis of numbers: lines across, and nothing else.
_AXIS = {"domain": False, "ticks": False}
_THOUSANDS = 10_000
#: Beside bars that may reach the end of their axis.
_ROOM_FOR_TEXT = {"padding": {"left": 5, "right": 48, "top": 5, "bottom": 5}}
#: How the axes of a language write numbers.
_LOCALES: dict[str, Any] = {"en": "en-GB", "fr": "fr-FR"}


def bars(rows: Sequence[Spec], value: str, title: str, share: bool = False) -> Spec:
    """Return horizontal bars: each row has a ``label``, a number, and its ``text``."""
    most = max([row[value] or 0 for row in rows], default=0)
    scale = {"domain": [0, 1 if share else most * 1.22 or 1]}
    marks: Spec = {"values": [0, 0.25, 0.5, 0.75, 1]} if share else {"tickCount": 4, "tickMinStep": 1}
    axis = {**_AXIS, "format": ".0%" if share else _format(most), **marks}
    return {
        **_frame(rows),
        **(_ROOM_FOR_TEXT if share else {}),
        "height": {"step": 26},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}},
            "x": {"field": value, "type": "quantitative", "title": title, "scale": scale, "axis": axis},
        },
        "layer": [
            {"mark": {"type": "bar", "height": 16, "color": ACCENT, "cornerRadiusEnd": 2}},
            {"mark": {"type": "text", "align": "left", "dx": 4}, "encoding": {"text": {"field": "text"}}},
        ],
    }


def grouped_bars(rows: Sequence[Spec], title: str, groups: Sequence[str]) -> Spec:
    """Return horizontal bars in groups: rows have ``label``, ``group``, ``share`` and ``text``."""
    scale = {"domain": [0, min(max([row["share"] or 0 for row in rows], default=0) * 1.2 or 1, 1)]}
    return {
        **_frame(rows),
        **_ROOM_FOR_TEXT,
        "height": {"step": 17},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}},
            "yOffset": {"field": "group", "sort": list(groups)},
            "x": {
                "field": "share",
                "type": "quantitative",
                "title": title,
                "scale": scale,
                "axis": {"format": ".0%", "tickCount": 4, "domain": False, "ticks": False},
            },
        },
        "layer": [
            {
                "mark": {"type": "bar", "cornerRadiusEnd": 2},
                "encoding": {
                    "color": {
                        "field": "group",
                        "type": "nominal",
                        "scale": {"domain": list(groups), "range": [ACCENT, SECOND]},
                    }
                },
            },
            {
                "mark": {"type": "text", "align": "left", "dx": 4, "fontSize": 11},
                "encoding": {"text": {"field": "text"}},
            },
        ],
    }


def stacked(rows: Sequence[Spec], domain: Sequence[str], colours: Sequence[str], title: str) -> Spec:
    """Return horizontal bars of parts that make up 100 %: rows have ``label``, ``part``, ``position`` and ``users``."""
    return {
        **_frame(rows),
        "height": {"step": 28},
        "mark": {"type": "bar", "height": 18, "stroke": CARD, "strokeWidth": 1},
        "encoding": {
            "y": {"field": "label", "type": "nominal", "sort": None, "title": None, "axis": {"ticks": False}},
            "x": {
                "field": "users",
                "type": "quantitative",
                "stack": "normalize",
                "title": title,
                "axis": {"format": ".0%", "tickCount": 5, "domain": False, "ticks": False},
            },
            "color": _scale("part", domain, colours),
            "order": {"field": "position"},
        },
    }


def histogram(
    rows: Sequence[Spec],
    caps: Sequence[Spec],
    domain: Sequence[str],
    colours: Sequence[str],
    titles: tuple[str, str],
    order: Sequence[str],
) -> Spec:
    """Return columns of users by contacts (``bin``, ``part``, ``position``, ``users``) with caps (``bin``, ``text``).

    A cap stands after the last column that it allows.
    """
    across: Spec = {"field": "bin", "type": "ordinal", "sort": list(order)}
    most = max((sum(row["users"] for row in rows if row["bin"] == name) for name in order), default=0)
    layers: list[Spec] = [
        {
            "mark": {"type": "bar", "stroke": CARD, "strokeWidth": 0.5},
            "encoding": {
                "x": {
                    **across,
                    "title": titles[0],
                    "axis": {"labelAngle": 0, "labelOverlap": False, "ticks": False, "labelFontSize": 11},
                    "scale": {"paddingInner": 0.12, "domain": list(order)},
                },
                "y": {
                    "field": "users",
                    "type": "quantitative",
                    "title": titles[1],
                    "axis": {**_AXIS, "tickCount": 5, "tickMinStep": 1, "format": _format(most)},
                },
                "color": _scale("part", domain, colours),
                "order": {"field": "position"},
            },
        }
    ]
    beside = {"type": "text", "align": "left", "dx": 5, "fontSize": 11}
    for cap in caps:
        layers.append(
            {
                "data": {"values": [cap]},
                "mark": {"type": "rule", "strokeDash": [4, 3], "color": INK, "strokeWidth": 1.4},
                "encoding": {"x": {**across, "bandPosition": 1.06}},
            }
        )
    for number, cap in enumerate(caps):
        # the words stand on a ground of their own, over the lines
        layers += [
            {
                "data": {"values": [cap]},
                "mark": {**beside, "y": 8 + 17 * number, "stroke": CARD, "strokeWidth": 5, "strokeJoin": "round"},
                "encoding": {"x": {**across, "bandPosition": 1.06}, "text": {"field": "text"}},
            },
            {
                "data": {"values": [cap]},
                "mark": {**beside, "y": 8 + 17 * number},
                "encoding": {"x": {**across, "bandPosition": 1.06}, "text": {"field": "text"}},
            },
        ]
    return {**_frame(rows), "height": 240, "layer": layers}


def columns(rows: Sequence[Spec], title: str, every: int) -> Spec:
    """Return columns of a number a day: rows have ``day`` and ``value``; every so many days one is named."""
    days = list(dict.fromkeys(row["day"] for row in rows))
    most = max([row["value"] for row in rows], default=0)
    return {
        **_frame(rows),
        "height": 180,
        "mark": {"type": "bar", "color": ACCENT},
        "encoding": {
            "x": {
                "field": "day",
                "type": "ordinal",
                "sort": None,
                "title": None,
                "axis": {"values": days[::every], "labelAngle": 0, "ticks": False},
                "scale": {"paddingInner": 0.15},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": title,
                "axis": {**_AXIS, "tickCount": 4, "tickMinStep": 1, "format": _format(most)},
            },
        },
    }


def lines(rows: Sequence[Spec], domain: Sequence[str], colours: Sequence[str], title: str) -> Spec:
    """Return lines over dates: rows have ``day`` (ISO), ``series`` and ``value``; dates without rows take their room.

    Dashes tell the series apart without colour.
    """
    first, last = (date.fromisoformat(end(row["day"] for row in rows)) for end in (min, max))
    named = range(0, (last - first).days + 1, max((last - first).days // 5, 1))
    most = max([row["value"] for row in rows], default=0)
    return {
        **_frame(rows),
        "height": 220,
        "mark": {"type": "line", "point": {"size": 14}, "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": "day",
                "type": "temporal",
                "scale": {"type": "utc"},
                "title": None,
                "axis": {
                    "labelAngle": 0,
                    "format": "%-d %b",
                    "grid": False,
                    # midnights, in the milliseconds of JavaScript
                    "values": [(first - date(1970, 1, 1) + timedelta(days=age)).days * 86_400_000 for age in named],
                },
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": title,
                "axis": {**_AXIS, "tickCount": 5, "tickMinStep": 1, "format": _format(most)},
            },
            "color": {**_scale("series", domain, colours), "legend": {"symbolType": "stroke"}},
            "strokeDash": {
                "field": "series",
                "type": "nominal",
                "scale": {"domain": list(domain), "range": [_DASHES[i % len(_DASHES)] for i in range(len(domain))]},
                "legend": {"symbolType": "stroke"},
            },
        },
    }


def heat(rows: Sequence[Spec], titles: tuple[str, str], across: Sequence[str], down: Sequence[str]) -> Spec:
    """Return a heat map: rows have ``x``, ``y``, ``users`` and ``text``.

    Depth is the colour's opacity, so that it fits light, dark and paper.
    """
    most = max([row["users"] for row in rows], default=0) or 1
    return {
        **_frame(rows),
        "height": {"step": 40},
        "encoding": {
            "x": {
                "field": "x",
                "type": "ordinal",
                "sort": list(across),
                "title": titles[0],
                "scale": {"domain": list(across)},
                "axis": {"labelAngle": 0 if max(map(len, across), default=0) < 4 else -35, "ticks": False},
            },
            "y": {
                "field": "y",
                "type": "ordinal",
                "sort": list(down),
                "title": titles[1],
                "scale": {"domain": list(down)},
                "axis": {"ticks": False},
            },
        },
        "layer": [
            {
                "mark": {"type": "rect", "color": ACCENT, "stroke": CARD, "strokeWidth": 2},
                "encoding": {
                    "fillOpacity": {
                        "field": "users",
                        "type": "quantitative",
                        "scale": {"domain": [0, most], "range": [0.06, 1]},
                        "legend": None,
                    }
                },
            },
            {
                "mark": {"type": "text", "fontSize": 13},
                "encoding": {
                    "text": {"field": "text"},
                    "color": {
                        "condition": {"test": f"datum.users > {most * 0.55}", "value": _STAND_IN["on-accent"]},
                        "value": INK,
                    },
                },
            },
        ],
    }


def curve(rows: Sequence[Spec], arms: Sequence[Spec], titles: tuple[str, str], names: tuple[str, str]) -> Spec:
    """Return a curve with its interval (``x``, ``y``, ``low``, ``high``, ``kind``) and, beside it, points of arms."""
    across = {"field": "x", "type": "quantitative", "title": titles[0], "axis": {"tickMinStep": 1, "grid": False}}
    up = {
        "field": "y",
        "type": "quantitative",
        "title": titles[1],
        "axis": {"format": ".2~%", "tickCount": 5, "domain": False, "ticks": False},
    }
    colour = _scale("kind", names if arms else names[:1], [ACCENT, OVER])
    interval = {"y": {**up, "field": "low"}, "y2": {"field": "high"}}
    layers: list[Spec] = [
        {"mark": {"type": "area", "opacity": 0.22}, "encoding": {"x": across, **interval, "color": colour}},
        {
            "mark": {"type": "line", "strokeWidth": 2.2, "point": {"size": 22}},
            "encoding": {"x": across, "y": up, "color": colour},
        },
    ]
    if arms:
        layers += [
            {
                "data": {"values": list(arms)},
                "mark": {"type": "rule", "strokeWidth": 2},
                "encoding": {"x": across, **interval, "color": colour},
            },
            {
                "data": {"values": list(arms)},
                "mark": {"type": "point", "filled": True, "shape": "diamond", "size": 90, "opacity": 1},
                "encoding": {"x": across, "y": up, "color": colour},
            },
            {
                "data": {"values": list(arms)},
                "mark": {"type": "text", "align": "left", "dx": 7, "dy": -9, "fontSize": 11},
                "encoding": {"x": across, "y": up, "text": {"field": "text"}},
            },
        ]
    return {**_frame(rows), "height": 230, "layer": layers}


def dots(rows: Sequence[Spec], title: str, is_difference: bool) -> Spec:
    """Return estimates with intervals, a line each: rows have ``label``, ``y``, ``low``, ``high`` and ``mark``."""
    across = {
        "type": "quantitative",
        "title": title,
        "scale": {"zero": True, "nice": True},
        "axis": {
            "format": "+.2~%" if is_difference else ".2~%",
            "labelExpr": "datum.value === 0 ? '0' : datum.label",
            **{"tickCount": 4, "domain": False, "ticks": False},
        },
    }
    down = {
        "field": "label",
        "type": "nominal",
        "sort": None,
        "title": None,
        "axis": {"ticks": False, "labelLimit": 160},
    }
    colour = {"condition": {"test": "datum.mark", "value": OVER}, "value": ACCENT}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                "y": down,
                "x": {**across, "field": "low"},
                "x2": {"field": "high"},
                "color": colour,
            },
        },
        {
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {"y": down, "x": {**across, "field": "y"}, "color": colour},
        },
    ]
    if is_difference:
        zero = {"mark": {"type": "rule", "color": INK, "strokeDash": [3, 3]}, "encoding": {"x": {"datum": 0}}}
        layers.insert(0, zero)
    return {**_frame(rows), "height": {"step": 26}, "layer": layers}


def get_ready_to_draw() -> None:
    """Load the JavaScript engine and what draws in it: a second that the first drawing need not take."""
    draw(bars([], "value", ""), "en", "")


def draw(spec: Mapping[str, Any], language: str, label: str) -> Markup:
    """Return a specification drawn as SVG, with ``label`` as what it says to who does not see it."""
    # it loads a JavaScript engine: only who draws pays for it
    import vl_convert

    locale = _LOCALES.get(language, "en-GB")
    svg = vl_convert.vegalite_to_svg(
        visible({**spec, "config": _CONFIG}), format_locale=locale, time_format_locale=locale
    )
    return Markup(_for_the_page(svg, visible(label)))


def _for_the_page(svg: str, label: str) -> str:
    """Return an SVG with the page's colours and fonts, as wide as its place; one picture to a screen reader."""
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
        kept = {
            name: f"var(--{COLOURS[value]})" if value in COLOURS else value
            for name, value in element.attrib.items()
            if name not in ("role", "font-family", "pointer-events", "style") and not name.startswith(("aria-", "{"))
        }
        element.attrib.clear()
        element.attrib.update(kept)
    width = root.attrib.pop("width")
    root.attrib.pop("height")
    root.attrib.pop("version", None)
    root.set("class", "chart")
    root.set("data-width", width)
    root.set("role", "img")
    root.set("aria-label", label)
    return ElementTree.tostring(root, encoding="unicode")


def _frame(rows: Sequence[Spec]) -> Spec:
    """Return what every chart has: its data, and a width that holds the labels too."""
    return {"data": {"values": list(rows)}, "width": WIDTH, "autosize": {"type": "fit-x", "contains": "padding"}}


def _format(most: float) -> str:
    """Return how the numbers of an axis are written: in full while that is short."""
    return "~s" if most >= _THOUSANDS else ",d"


def _scale(field: str, domain: Sequence[str], colours: Sequence[str]) -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(domain), "range": [colours[i % len(colours)] for i in range(len(domain))]},
    }
