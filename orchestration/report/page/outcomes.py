"""What came of it: fatigue, campaigns, tests, and what other caps would have done."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from orchestration.report.page import charts
from orchestration.report.page.parts import Answer, Cell, Figure, Note, Section, Table, count, word
from orchestration.report.page.queries import Numbers, Row, Z
from orchestration.report.page.words import Words

_EVENTS = ("leave", "click")
#: A number of contacts with fewer user-days says nothing that can be drawn: its interval would hide the others.
_LEAST_USER_DAYS = 100
#: Nor does one that fewer people reached.
_LEAST_USERS = 30
#: Characters of a campaign's name beside a chart.
_LABEL = 24
_DRAWN_TESTS = 16
_AMOUNTS = ("revenue", "cost", "revenue_touched", "cost_saved", "mean_order_value", "value_forgone")
#: Windows of the caps, as the policy counts them first.
_WINDOWS = ("rolling", "calendar")


def what_works(numbers: Numbers, words: Words) -> Answer:
    """Return the campaign that is clicked most surely beside the others of its channel, and how many tests are proven.

    A share of one channel says nothing of another's.
    """
    question = words("answers.works.question")
    if not numbers.of("best"):
        return Answer(question, "–", words("answers.works.nothing"), "campaigns")
    (best,) = numbers.of("best")
    low, high = wilson(best["clicked"], best["reacting"])
    sentence = words(
        "answers.works.sentence" if best["other_rate"] is not None else "answers.works.sentence_alone",
        campaign=_campaign(best),
        channel=words.name(best["channel"]),
        low=words.share(low),
        high=words.share(high),
        measured=words.count(best["reacting"]),
        others=words.share(best["other_rate"]),
    )
    tests = _counted(numbers)
    told = (
        words("answers.works.tests", better=words.count(tests["better"]), worse=words.count(tests["worse"]))
        if tests
        else ""
    )
    return Answer(question, words.share(best["clicked"] / best["reacting"]), f"{sentence} {told}".strip(), "campaigns")


def what_other_caps_do(numbers: Numbers, words: Words) -> Answer:
    """Return what today's caps would have taken out of the history."""
    question = words("answers.what_if.question")
    total = _whole(numbers)
    if total is None:
        return Answer(question, "–", words("answers.what_if.nothing"), "what-if")
    sentence = words(
        "answers.what_if.sentence",
        removed=words.count(total["removed"]),
        contacts=words.count(total["contacts"]),
        clicks=words.count(total["clicks_touched"]),
        before=words.count(total["users_over_before"]),
        after=words.count(total["users_over_after"]),
    )
    return Answer(question, words.share(total["removed_share"]), sentence, "what-if")


def fatigue(numbers: Numbers, words: Words) -> Section:
    """Return the curves of leaving and of clicking, and what dose arms say."""
    blocks: list[Figure | Table | Note] = [
        Note(words("fatigue.warning.title"), words("fatigue.warning.text"), is_warning=True),
        *(_curve(numbers, words, event) for event in _EVENTS),
        _arms(numbers, words),
    ]
    return Section("fatigue", words("fatigue.title"), words("fatigue.lead"), blocks)


def campaigns(numbers: Numbers, words: Words) -> Section:
    """Return campaigns and tests, with intervals."""
    blocks = [_campaigns(numbers, words), _tests(numbers, words)]
    return Section("campaigns", words("campaigns.title"), words("campaigns.lead"), blocks)


def what_if(numbers: Numbers, words: Words) -> Section:
    """Return what the caps of today would have done to the history."""
    return Section("what-if", words("what_if.title"), words("what_if.lead"), [_what_if(numbers, words)])


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson's)."""
    share, square = successes / trials, Z**2
    middle = share + square / (2 * trials)
    spread = Z * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2))
    below = 1 + square / trials
    return max((middle - spread) / below, 0.0), min((middle + spread) / below, 1.0)


def missing(numbers: Numbers, words: Words, name: str, title: str) -> Note:
    """Return why there are no rows of a name: their mart is not built yet, or it is empty."""
    key = f"{name}.empty" if numbers.is_there(name) else "not_built"
    return Note(title, words(key), is_empty=True)


def heading(numbers: Numbers, words: Words, name: str) -> str:
    """Return what a column is called; one of amounts with their currency."""
    currency = numbers.policy.currency if name in _AMOUNTS else ""
    return words("in_currency", name=words(name), currency=currency) if currency else words(name)


def _curve(numbers: Numbers, words: Words, event: str) -> Figure | Table | Note:
    """The hazard of an event by contacts of 7 days, and beside it the arms."""
    title = words(f"fatigue.{event}.title")
    rows = [
        row
        for row in numbers.of("fatigue")
        if row["event"] == event and row["source"] == "observational" and row["hazard"] is not None
    ]
    if not rows:
        return missing(numbers, words, "fatigue", title)
    drawn = [row for row in rows if row["user_days"] >= _LEAST_USER_DAYS and row["users"] >= _LEAST_USERS]
    most = numbers.policy.most_fatigue_contacts or max(row["contacts_7d"] for row in rows)

    def contacts(row: Row) -> str:
        number = row["contacts_7d"]
        return words("or_more", number=number) if number >= most else words.count(number)

    table = Table(
        f"fatigue_{event}",
        title,
        [words("contacts_7d"), words("user_days"), words("users"), words("events"), words("hazard"), words("interval")],
        [
            [
                count(contacts(row), row["contacts_7d"]),
                count(words.count(row["user_days"]), row["user_days"]),
                count(words.count(row["users"]), row["users"]),
                count(words.count(row["events"]), row["events"]),
                count(words.share(row["hazard"], 3) if row in drawn else words("fatigue.too_few"), row["hazard"]),
                _interval(words.share(row["hazard_low"], 3), words.share(row["hazard_high"], 3), words)
                if row in drawn
                else word("–"),
            ]
            for row in rows
        ],
    )
    note = words("fatigue.observational_note", days=words.count(_LEAST_USER_DAYS), users=words.count(_LEAST_USERS))
    if not drawn:
        return replace(table, text=note)
    first, last = drawn[0], drawn[-1]
    names = (words("fatigue.observational"), words("fatigue.arms_name"))
    arms = [row for row in numbers.of("arms") if row["event"] == event and row["hazard"] is not None]

    def points(found: Sequence[Row], x: str, kind: str) -> list[dict[str, object]]:
        return [
            {
                "x": row[x],
                "y": row["hazard"],
                "low": row["hazard_low"],
                "high": row["hazard_high"],
                "kind": kind,
                "text": words.name(f"arm_{row['arm']}") if "arm" in row else "",
            }
            for row in found
        ]

    chart = charts.curve(
        points(drawn, "contacts_7d", names[0]),
        points(arms, "mean_contacts_7d", names[1]),
        (words("fatigue.across"), words(f"fatigue.{event}.up")),
        names,
    )
    sentence = words(
        f"fatigue.{event}.sentence",
        first=contacts(first),
        first_hazard=words.share(first["hazard"], 2),
        last=contacts(last),
        last_hazard=words.share(last["hazard"], 2),
        last_low=words.share(last["hazard_low"], 2),
        last_high=words.share(last["hazard_high"], 2),
    )
    return Figure(title, sentence, chart, table, note=note)


def _arms(numbers: Numbers, words: Words) -> Table | Note:
    """What the dose arms say, and how far the naive comparison is off."""
    title = words("fatigue.arms.title")
    rows = numbers.of("arms")
    if not rows:
        return missing(numbers, words, "arms", title)
    more = next((row for row in rows if row["event"] == "leave" and row["arm"] == "high"), None)
    sentence = ""
    control = next((row for row in rows if row["event"] == "leave" and row["arm"] == "control"), None)
    if more is not None and control is not None and more["difference"] is not None:
        sentence = words(
            "fatigue.arms.sentence",
            more=words.signed(_difference(more["mean_contacts_7d"], control["mean_contacts_7d"]), 2),
            difference=words.points(more["difference"], 3),
            low=words.points(more["difference_low"], 3),
            high=words.points(more["difference_high"], 3),
            naive=words.points(more["naive_difference"], 3),
        )
    cells = [
        [
            word(words.name(f"event_{row['event']}"), row["event"]),
            word(words.name(f"arm_{row['arm']}"), row["arm"]),
            count(words.count(row["users"]), row["users"]),
            count(words.number(row["mean_contacts_7d"], 2), row["mean_contacts_7d"]),
            count(words.share(row["hazard"], 3), row["hazard"]),
            count(words.points(row["difference"], 3), row["difference"]),
            _interval(words.points(row["difference_low"], 3), words.points(row["difference_high"], 3), words),
            count(words.points(row["naive_difference"], 3), row["naive_difference"]),
        ]
        for row in rows
    ]
    header = ["event", "arm", "users", "mean_contacts_7d", "hazard", "difference", "interval", "naive_difference"]
    return Table("arms", title, [words(name) for name in header], cells, text=sentence)


def _difference(value: float | None, other: float | None) -> float | None:
    """Return how much more a number is than another, where both are known."""
    return None if value is None or other is None else value - other


def _counted(numbers: Numbers) -> Row | None:
    """Return how many comparisons tests have made, and how they ended; None where there are none."""
    found = numbers.of("tests_counted")
    return found[0] if found and found[0]["tests"] else None


def _campaign(row: Row) -> str:
    """Return what a campaign is called."""
    return str(row.get("campaign_name") or row["campaign_id"])


def _campaigns_named(rows: Sequence[Row]) -> dict[str, str]:
    """Return what campaigns are called by id: those that share a name have their ids too."""
    names = {str(row["campaign_id"]): _campaign(row) for row in rows}
    often = Counter(names.values())
    return {each: f"{name} ({each})" if often[name] > 1 and name != each else name for each, name in names.items()}


def _labels(rows: Sequence[Row]) -> dict[str, str]:
    """Return names of campaigns by id that a chart can hold: what is the same once it is cut has the id instead."""
    named = _campaigns_named(rows)
    cut = {each: name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…" for each, name in named.items()}
    often = Counter(cut.values())
    return {each: each if often[label] > 1 else label for each, label in cut.items()}


def _campaigns(numbers: Numbers, words: Words) -> Figure | Note:
    """Click rates of the campaigns that sent the most, with intervals; the rest in the table."""
    title = words("campaigns.rates.title")
    rows = numbers.of("campaigns")
    measured = [row for row in rows if row["reacting"]]
    named, labels = _campaigns_named(rows), _labels(rows)
    if not measured:
        return missing(numbers, words, "campaigns", title)
    ordered = sorted(measured, key=lambda row: (-row["clicked"] / row["reacting"], row["campaign_id"]))
    points = []
    for row in ordered:
        low, high = wilson(row["clicked"], row["reacting"])
        points.append(
            {
                "label": labels[row["campaign_id"]],
                "y": row["clicked"] / row["reacting"],
                "low": low,
                "high": high,
                "mark": False,
            }
        )
    best, worst = ordered[0], ordered[-1]
    sentence = words(
        "campaigns.rates.sentence",
        campaigns=words.count(len(rows)),
        best=named[best["campaign_id"]],
        best_rate=words.share(best["clicked"] / best["reacting"]),
        worst=named[worst["campaign_id"]],
        worst_rate=words.share(worst["clicked"] / worst["reacting"]),
    )

    def rate(top: int | None, below: int | None) -> Cell:
        share = (top or 0) / below if below else None
        return count(words.share(share), share)

    table = Table(
        "campaigns",
        title,
        [
            heading(numbers, words, name)
            for name in (
                *("campaign", "channel", "sent", "measured", "open_rate", "click_rate", "interval", "leave_rate"),
                *("reengagement_rate", "orders", "revenue", "cost"),
            )
        ],
        [
            [
                word(named[row["campaign_id"]], row["campaign_id"]),
                word(", ".join(words.name(each) for each in row["channels"]), ", ".join(row["channels"])),
                count(words.count(row["sent"]), row["sent"]),
                count(words.count(row["measured"]), row["measured"]),
                rate(row["opened"], row["reacting"]),
                rate(row["clicked"], row["reacting"]),
                _wilson(row, words),
                rate(row["left_after"], row["measured"]),
                _came_back(row, words),
                count(words.count(row["last_touch_orders"]), row["last_touch_orders"]),
                count(words.count(row["last_touch_revenue"]), row["last_touch_revenue"]),
                count(words.number(row["cost"], 2), row["cost"]),
            ]
            for row in rows
        ],
    )
    chart = charts.dots(points, words("click_rate"), is_difference=False)
    return Figure(title, sentence, chart, table, note=words("campaigns.rates.note"))


def _tests(numbers: Numbers, words: Words) -> Figure | Table | Note:
    """Differences that tests found, with intervals."""
    title = words("campaigns.tests.title")
    rows = numbers.of("tests")
    if not rows:
        return missing(numbers, words, "tests", title)

    def told(value: float | None, metric: str) -> str:
        return words.signed(value, 2) if metric == "revenue" else words.points(value)

    named, labels = _campaigns_named(rows), _labels(rows)
    cells = []
    for row in rows:
        metric = row["metric"]
        plain = words.number if metric == "revenue" else words.share
        cells.append(
            [
                word(named[row["campaign_id"]], row["campaign_id"]),
                word(words("campaigns.tests.against", variant=row["variant"], control=row["control"]), row["variant"]),
                word(words.name(f"metric_{metric}"), metric),
                word(words.name(f"test_{row['status']}"), row["status"]),
                count(words.count(row["control_users"]), row["control_users"]),
                count(words.count(row["variant_users"]), row["variant_users"]),
                count(plain(row["control_value"], 2), row["control_value"]),
                count(plain(row["variant_value"], 2), row["variant_value"]),
                count(told(row["difference"], metric), row["difference"]),
                _interval(told(row["interval_low"], metric), told(row["interval_high"], metric), words),
                count(
                    told(row["minimum_detectable_effect"], metric).removeprefix("+"), row["minimum_detectable_effect"]
                ),
                count(words.number(row["p_value_holm"], 3), row["p_value_holm"]),
                word(words("yes" if row["is_significant"] else "no"), row["is_significant"]),
            ]
        )
    names = (
        *("campaign", "comparison", "metric", "status", "control_users", "variant_users"),
        *("control_value", "variant_value", "difference", "interval", "detectable", "p_value", "significant"),
    )
    table = Table("tests", title, [words(name) for name in names], cells)
    counted = _counted(numbers) or {"tests": len(rows), "better": 0, "worse": 0, "unread": 0}
    sentence = words(
        "campaigns.tests.sentence",
        rows=words.count(counted["tests"]),
        better=words.count(counted["better"]),
        worse=words.count(counted["worse"]),
        unread=words.count(counted["unread"]),
    )
    if counted["tests"] > len(rows):
        first = words("campaigns.tests.first", shown=words.count(len(rows)), rows=words.count(counted["tests"]))
        sentence = f"{sentence} {first}"
    readable = [row for row in rows if row["metric"] != "revenue" and row["interval_low"] is not None]
    if not readable:
        return replace(table, text=sentence)
    drawn = readable[:_DRAWN_TESTS]
    if len(readable) > len(drawn):
        sentence = f"{sentence} {words('campaigns.tests.drawn', drawn=words.count(len(drawn)))}"
    chart = charts.dots(
        [
            {
                "label": words(
                    "campaigns.tests.label",
                    campaign=labels[row["campaign_id"]],
                    variant=row["variant"],
                    metric=words.name(f"metric_{row['metric']}"),
                ),
                "y": row["difference"],
                "low": row["interval_low"],
                "high": row["interval_high"],
                "mark": bool(row["is_significant"]),
            }
            for row in drawn
        ],
        words("campaigns.tests.across"),
        is_difference=True,
    )
    return Figure(title, sentence, chart, table, note=words("campaigns.tests.note"))


def _whole(numbers: Numbers) -> Row | None:
    """Return the row of everybody under rolling windows."""
    rows = [row for row in numbers.of("what_if") if row["segment"] == "all" and row["windows"] == "rolling"]
    return rows[0] if rows and rows[0]["contacts"] else None


def _what_if(numbers: Numbers, words: Words) -> Figure | Note:
    """What the caps would have removed, by segment, in both kinds of window."""
    title = words("what_if.figure.title")
    rows, total = numbers.of("what_if"), _whole(numbers)
    if total is None:
        return missing(numbers, words, "what_if", title)
    segments = list(dict.fromkeys(row["segment"] for row in rows if row["segment"] != "all"))
    of = {(row["segment"], row["windows"]): row for row in rows}
    groups = {window: words.name(window) for window in _WINDOWS}
    chart = charts.grouped_bars(
        [
            {
                "label": words.name("everybody" if segment == "all" else segment),
                "group": groups[window],
                "share": of[segment, window]["removed_share"] or 0,
                "text": words.share(of[segment, window]["removed_share"]),
            }
            for segment in ["all", *segments]
            for window in _WINDOWS
            if (segment, window) in of
        ],
        words("what_if.figure.across"),
        list(groups.values()),
    )
    calendar = of.get(("all", "calendar"))
    began = numbers.of("first_contact")[0]["first_contact"] if numbers.of("first_contact") else None
    days = numbers.policy.measured_days
    first = max(numbers.as_of - timedelta(days=days - 1), began) if days and began else began
    sentence = words(
        "what_if.figure.sentence",
        first=words.day(first),
        last=words.day(numbers.as_of),
        removed=words.count(total["removed"]),
        contacts=words.count(total["contacts"]),
        share=words.share(total["removed_share"]),
        before=words.count(total["users_over_before"]),
        after=words.count(total["users_over_after"]),
        calendar=words.share(calendar["removed_share"] if calendar else None),
        clicks=words.count(total["clicks_touched"]),
        revenue=f"{words.count(total['revenue_touched'])} {numbers.policy.currency}".strip(),
        cost=f"{words.number(total['cost_saved'], 2)} {numbers.policy.currency}".strip(),
    )
    names = (
        *("segment", "windows", "contacts", "removed", "share", "users_over_before", "users_over_after"),
        *("clicks_touched", "revenue_touched", "cost_saved"),
    )
    table = Table(
        "what_if",
        title,
        [heading(numbers, words, name) for name in names],
        [
            [
                word(words.name("everybody" if row["segment"] == "all" else row["segment"]), row["segment"]),
                word(words.name(row["windows"]), row["windows"]),
                count(words.count(row["contacts"]), row["contacts"]),
                count(words.count(row["removed"]), row["removed"]),
                count(words.share(row["removed_share"]), row["removed_share"]),
                count(words.count(row["users_over_before"]), row["users_over_before"]),
                count(words.count(row["users_over_after"]), row["users_over_after"]),
                count(words.count(row["clicks_touched"]), row["clicks_touched"]),
                count(words.count(row["revenue_touched"]), row["revenue_touched"]),
                count(words.number(row["cost_saved"], 2), row["cost_saved"]),
            ]
            for row in rows
        ],
    )
    return Figure(title, sentence, chart, table, note=words("what_if.figure.note"), is_wide=True)


def _came_back(row: Row, words: Words) -> Cell:
    """Return a cell with how many of the silent came back: of few, the share alone would mislead."""
    if not row["reengageable"]:
        return count("–", None)
    share = row["reengaged"] / row["reengageable"]
    text = words(
        "campaigns.came_back",
        share=words.share(share),
        users=words.count(row["reengaged"]),
        silent=words.count(row["reengageable"]),
    )
    return count(text, share)


def _wilson(row: Row, words: Words) -> Cell:
    """Return a cell with the interval of a campaign's click rate."""
    if not row["reacting"]:
        return word("–")
    low, high = wilson(row["clicked"], row["reacting"])
    return _interval(words.share(low), words.share(high), words)


def _interval(low: str, high: str, words: Words) -> Cell:
    """Return a cell with an interval in words; a dash where there is none."""
    text = words("interval_text", low=low, high=high) if "–" not in (low, high) else "–"
    return Cell(text, is_number=True)
