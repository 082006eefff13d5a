"""Where the pressure is: the headline numbers, contacts a week against the caps, people over and near them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

from orchestration.policy_rules import POLICY_SEGMENTS
from orchestration.report.page import charts
from orchestration.report.page.parts import Answer, Cell, Figure, Note, Section, Table, Tile, Tiles, count, word
from orchestration.report.page.queries import DAYS, MOST_CONTACTS, Numbers
from orchestration.report.page.words import Words

#: Pressure statuses from rest to too much.
STATUSES = ("rested", "healthy", "near_cap", "at_cap", "over_cap", "fatigued")
_WEEK = 7


def users_of(numbers: Numbers, family: str, segment: str | None = None, on: date | None = None) -> int | None:
    """Return the users of a segment, or of a whole family, now or as of a built date; None where it was not built."""
    rows = numbers.of("sizes_now") if on is None else [row for row in numbers.of("sizes") if row["as_of"] == on]
    found = [row for row in rows if row["family"] == family]
    if not found:
        return None
    return sum(row["users"] for row in found if segment in (None, row["segment"]))


def contacts_of_week(numbers: Numbers, last: date, what: str = "contacts") -> int:
    """Return the contacts of the 7 days that end with a date."""
    first = last - timedelta(days=_WEEK - 1)
    return sum(row[what] for row in numbers.of("days") if first <= row["contact_date"] <= last)


def headline(numbers: Numbers, words: Words) -> Section:
    """Return the headline numbers, each with that of the day and of the week before."""
    as_of = numbers.as_of
    before = {"yesterday": as_of - timedelta(days=1), "last_week": as_of - timedelta(days=_WEEK)}

    def built(family: str, segment: str | None = None) -> tuple[int | None, dict[str, int | None]]:
        return users_of(numbers, family, segment), {
            name: users_of(numbers, family, segment, day) for name, day in before.items()
        }

    def of_week(what: str) -> tuple[int, dict[str, int | None]]:
        return contacts_of_week(numbers, as_of, what), {
            name: contacts_of_week(numbers, day, what) for name, day in before.items()
        }

    tiles = []
    for key, (value, earlier) in {
        "users": built("engagement"),
        "engaged": built("engagement", "engaged"),
        "contacts_7d": of_week("contacts"),
        "over_cap": built("pressure_status", "over_cap"),
        "fatigued": built("pressure_status", "fatigued"),
        "left_7d": of_week("left_after"),
    }.items():
        told = [
            words(
                f"headline.{name}",
                value=words.count(then),
                difference=words.signed(value - then),
            )
            if value is not None and then is not None
            else words(f"headline.no_build_{name}")
            for name, then in earlier.items()
        ]
        if key == "left_7d":
            # who got a message a week ago has had a week more to leave: the two can't be compared
            told = [words("headline.left_note")]
        tiles.append(Tile(key, words(f"headline.{key}"), words.count(value), value, told))
    return Section("headline", words("headline.title"), words("headline.lead", date=words.day(as_of)), [Tiles(tiles)])


def where_the_pressure_is(numbers: Numbers, words: Words) -> Answer:
    """Return the answer to the first question: how many are over a cap, and where the most of them are."""
    users = users_of(numbers, "pressure_status") or 0
    tired = sum(row["users"] for row in numbers.of("fatigued_over"))
    over = (users_of(numbers, "pressure_status", "over_cap") or 0) + tired
    worst = max(_by_policy(numbers), key=lambda row: (row[2] / row[1] if row[1] else 0, row[0]), default=None)
    sentence = words("answers.pressure.nobody")
    if over and worst is not None:
        sentence = words(
            "answers.pressure.sentence",
            share=words.share(over / users),
            tired=words.count(tired),
            segment=words.name(worst[0]),
            worst=words.share(worst[2] / worst[1] if worst[1] else 0),
        )
    return Answer(words("answers.pressure.question"), words.count(over), sentence, "pressure")


def who_is_tired(numbers: Numbers, words: Words) -> Answer:
    """Return how many are fatigued, and what that means."""
    users = users_of(numbers, "pressure_status") or 0
    tired = users_of(numbers, "pressure_status", "fatigued") or 0
    got = sum(row["contacts_7d"] for row in numbers.of("pressure") if row["pressure_status"] == "fatigued")
    sentence = words("answers.tired.nobody")
    if tired:
        sentence = words("answers.tired.sentence", share=words.share(tired / users), contacts=words.count(got))
    return Answer(words("answers.tired.question"), words.count(tired), sentence, "pressure")


def pressure(numbers: Numbers, words: Words) -> Section:
    """Return the section of contacts a week, caps, and who is over them."""
    blocks = [
        _distribution(numbers, words),
        _statuses(numbers, words),
        _days(numbers, words),
        _channels(numbers, words),
    ]
    return Section("pressure", words("pressure.title"), words("pressure.lead"), blocks)


def _distribution(numbers: Numbers, words: Words) -> Figure:
    """Users by contacts of 7 days, with the caps of 7 days over all channels drawn in."""
    rows = numbers.of("distribution")
    users = sum(row["users"] for row in rows)
    most = max([row["contacts"] for row in rows], default=0)
    caps: dict[int, list[str]] = {}
    for row in numbers.of("caps"):
        if row["window_days"] == _WEEK:
            caps.setdefault(row["max_contacts"], []).append(row["policy_segment"])
    bins = list(range(max([most, *(cap for cap in caps if cap < MOST_CONTACTS)]) + 1))

    def name(number: int, key: str = "or_more_short") -> str:
        return words(key, number=number) if number == MOST_CONTACTS else str(number)

    by_bin = Counter[int]()
    for row in rows:
        by_bin[row["contacts"]] += row["users"]
    common = max([cap for cap, segments in caps.items() if "*" in segments], default=None)
    above = sum(users for number, users in by_bin.items() if common is not None and number > common)
    key = "pressure.distribution.sentence" if common is not None else "pressure.distribution.sentence_no_cap"
    sentence = words(
        key,
        none=words.count(by_bin[0]),
        none_share=words.share(by_bin[0] / users if users else None),
        above=words.count(above),
        above_share=words.share(above / users if users else None),
        cap=common,
        most=words.count(next((row["contacts"] for row in numbers.of("most")), None)),
    )
    chart = charts.histogram(
        [
            {
                "bin": name(row["contacts"]),
                "part": words.name(row["pressure_status"]),
                "position": STATUSES.index(row["pressure_status"]),
                "users": row["users"],
            }
            for row in rows
        ],
        [
            {
                "bin": name(cap),
                "text": words(
                    "pressure.distribution.cap",
                    cap=cap,
                    segments=", ".join(words.name("everybody" if each == "*" else each) for each in segments),
                ),
            }
            for cap, segments in sorted(caps.items())
            if cap < MOST_CONTACTS
        ],
        [words.name(status) for status in STATUSES],
        [charts.STATUS_COLOURS[status] for status in STATUSES],
        (words("pressure.distribution.across"), words("users")),
        [name(number) for number in bins],
    )
    header = [words("pressure.distribution.across"), *(words.name(status) for status in STATUSES), words("all")]
    of = {(row["contacts"], row["pressure_status"]): row["users"] for row in rows}
    table = Table(
        "distribution",
        words("pressure.distribution.title"),
        header,
        [
            [
                Cell(name(number, "or_more"), number),
                *(count(words.count(of.get((number, status), 0)), of.get((number, status), 0)) for status in STATUSES),
                count(words.count(by_bin[number]), by_bin[number]),
            ]
            for number in bins
        ],
    )
    return Figure(
        words("pressure.distribution.title"), sentence, chart, table, note=words("pressure.distribution.note")
    )


def _by_policy(numbers: Numbers) -> list[tuple[str, int, int, int]]:
    """Return (policy segment, users, over a cap or fatigued segment's none, near or at) in the order of the policy."""
    found = []
    for segment in POLICY_SEGMENTS:
        of = [row for row in numbers.of("pressure") if row["policy_segment"] == segment]
        if of and segment != "fatigued":
            found.append(
                (
                    segment,
                    sum(row["users"] for row in of),
                    sum(row["users"] for row in of if row["pressure_status"] == "over_cap"),
                    sum(row["users"] for row in of if row["pressure_status"] in ("near_cap", "at_cap")),
                )
            )
    return found


def _statuses(numbers: Numbers, words: Words) -> Figure:
    """Shares of the pressure statuses in each policy segment."""
    rows = numbers.of("pressure")
    present = [segment for segment in POLICY_SEGMENTS if any(row["policy_segment"] == segment for row in rows)]
    of = {(row["policy_segment"], row["pressure_status"]): row["users"] for row in rows}
    totals = {segment: sum(row["users"] for row in rows if row["policy_segment"] == segment) for segment in present}
    over, near, users = (
        sum(row["users"] for row in rows if row["pressure_status"] in wanted)
        for wanted in (("over_cap",), ("near_cap", "at_cap"), STATUSES)
    )
    title = words("pressure.statuses.title")
    chart = charts.stacked(
        [
            {
                "label": words.name(segment),
                "part": words.name(status),
                "position": position,
                "users": of.get((segment, status), 0),
            }
            for segment in present
            for position, status in enumerate(STATUSES)
        ],
        [words.name(status) for status in STATUSES],
        [charts.STATUS_COLOURS[status] for status in STATUSES],
        words("pressure.statuses.across"),
    )
    sentence = words(
        "pressure.statuses.sentence",
        over=words.count(over),
        over_share=words.share(over / users if users else None),
        near=words.count(near),
        near_share=words.share(near / users if users else None),
        tired=words.count(sum(row["users"] for row in numbers.of("fatigued_over"))),
    )
    table = Table(
        "statuses",
        title,
        [words("policy_segment"), *(words.name(status) for status in STATUSES), words("all")],
        [
            [
                word(words.name(segment), segment),
                *(
                    count(words.count(of.get((segment, status), 0)), of.get((segment, status), 0))
                    for status in STATUSES
                ),
                count(words.count(totals[segment]), totals[segment]),
            ]
            for segment in present
        ],
    )
    return Figure(title, sentence, chart, table, note=words("pressure.statuses.note"))


def _days(numbers: Numbers, words: Words) -> Figure:
    """Contacts of each day."""
    by_day = Counter[date]()
    for row in numbers.of("days"):
        by_day[row["contact_date"]] += row["contacts"]
    days = [numbers.as_of - timedelta(days=age) for age in reversed(range(DAYS))]
    this, last = (contacts_of_week(numbers, numbers.as_of - timedelta(days=age)) for age in (0, _WEEK))
    title = words("pressure.days.title")
    sentence = words(
        "pressure.days.sentence",
        this=words.count(this),
        last=words.count(last),
        difference=words.share((this - last) / last if last else None),
        busiest=words.day(max(days, key=lambda day: (by_day[day], day))),
        most=words.count(max(by_day.values(), default=0)),
    )
    table = Table(
        "days",
        title,
        [words("date.name"), words("contacts")],
        [[Cell(words.day(day), day.isoformat()), count(words.count(by_day[day]), by_day[day])] for day in days],
    )
    chart = charts.columns([{"day": words.short_day(day), "value": by_day[day]} for day in days], words("contacts"), 14)
    return Figure(title, sentence, chart, table, note=words("pressure.days.note"))


def _channels(numbers: Numbers, words: Words) -> Figure | Note:
    """Contacts of the last seven days by channel, beside the seven before."""
    title = words("pressure.channels.title")
    found = []
    for channel in {row["channel"] for row in numbers.of("days")}:
        weeks = [
            sum(
                row["contacts"]
                for row in numbers.of("days")
                if row["channel"] == channel and 0 <= (numbers.as_of - row["contact_date"]).days - 7 * age < _WEEK
            )
            for age in (0, 1)
        ]
        if any(weeks):
            found.append((channel, *weeks))
    if not found:
        return Note(title, words("pressure.channels.empty"), is_empty=True)
    found.sort(key=lambda row: (-row[1], row[0]))
    total = sum(row[1] for row in found)
    sentence = words(
        "pressure.channels.sentence",
        channel=words.name(found[0][0]),
        share=words.share(found[0][1] / total if total else None),
    )
    chart = charts.bars(
        [{"label": words.name(channel), "value": this, "text": words.count(this)} for channel, this, _ in found],
        "value",
        words("pressure.channels.across"),
    )
    rows: Sequence[Sequence[Cell]] = [
        [
            word(words.name(channel), channel),
            count(words.count(this), this),
            count(words.count(last), last),
            count(words.signed(this - last), this - last),
        ]
        for channel, this, last in found
    ]
    header = [words("channel"), words("last_7_days"), words("7_days_before"), words("difference")]
    return Figure(title, sentence, chart, Table("channels", title, header, rows))
