"""Random worlds: the models, built in full and in steps, against the plain-Python oracle, row by row.

BAROMETER_WORLDS multiplies the number of worlds. A world is a function of its seed; one that fails is cut down to few
rows, which the failure shows.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from orchestration.landing.contract import DATASETS
from tests import compiled_sql
from tests.properties import invariants, oracle
from tests.properties.chunk import Chunk, OneWorld, Plan
from tests.properties.setups import SETUPS, Setup
from tests.properties.worlds import AGES, DATES, Batch, carried, make_batches, make_case, make_policy, whole

# --- what is compared

_SIGNALS = ("unsubscribes", "complaints", "push_offs", "uninstalls", "hard_bounces")
#: Days before a date on which the past is looked at.
_PAST_DAYS = (0, 1, 9, 40)
_MESSAGE_FLAGS = (
    "is_delivered", "is_opened", "is_clicked", "is_bounced", "is_complained", "is_unsubscribed", "is_contact",
)  # fmt: skip
_COMPARED = [
    *(f"fam_{family}" for family in oracle.FAMILIES),
    "int_engagement_spans", "int_known_users", "int_rfm_cut_points", "int_recut_segments", "int_folded_segments",
    "user_360", "rfm", "rfm_cut_points", "rfm_stability", "fct_contacts", "contact_pressure",
    "contact_pressure_by_channel",
    "unmapped_events", "channel_eligibility", *(f"aud_{audience}" for audience in oracle.AUDIENCES),
    "int_candidates", "int_candidate_channels", "contact_plan", "contact_suppressions", "planned_contacts",
]  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    return round(float(value), 6) if isinstance(value, (Decimal, float)) else value


def keyed(rows: Iterable[Mapping[str, Any]], *key: str) -> dict[Any, dict[str, Any]]:
    """Rows by their key; fails where two rows share one."""
    rows = list(rows)
    found = {tuple(row[k] for k in key) if len(key) > 1 else row[key[0]]: dict(row) for row in rows}
    assert len(found) == len(rows), f"rows that share {key}"
    return found


def difference(found: Mapping[Any, Mapping[str, Any]], wanted: Mapping[Any, Mapping[str, Any]], what: str) -> str:
    """Compare the columns that the oracle knows of; empty if they are the same."""
    missing, surplus = wanted.keys() - found.keys(), found.keys() - wanted.keys()
    if missing or surplus:
        return f"{what}: missing {sorted(missing)[:5]}, too many {sorted(surplus)[:5]}"
    for key, columns in wanted.items():
        got = {name: _plain(found[key][name]) for name in columns}
        expected = {name: _plain(value) for name, value in columns.items()}
        if got != expected:
            wrong = [
                f"{name} {got[name]!r}, the oracle says {expected[name]!r}"
                for name in got
                if got[name] != expected[name]
            ]
            return f"{what} of {key}: {', '.join(wrong)}"
    return ""


def _same(found: Mapping[Any, Mapping[str, Any]], wanted: Mapping[Any, Mapping[str, Any]], what: str) -> None:
    text = difference(found, wanted, what)
    assert not text, text


def differences(built: OneWorld, world: oracle.World, as_of: date, with_user_360: bool = True) -> list[str]:
    """Compare every table that the oracle knows with what was built; return where they differ."""
    found = []
    checks = (
        partial(_check_families, with_user_360), _check_engagement_spans, _check_rfm, _check_cut_points,
        _check_contacts, _check_eligibility,
        _check_candidates, _check_plan, _check_invariants,
    )  # fmt: skip
    for check in checks:
        try:
            check(built, world, as_of)
        except AssertionError as error:
            found.append(str(error))
    return found


def _check_families(with_user_360: bool, built: OneWorld, world: oracle.World, as_of: date) -> None:
    users = oracle.users_as_of(world, as_of)
    assert {row["user_id"] for row in built.rows("int_known_users")} == users, "known users"
    families = oracle.families_as_of(world, as_of)
    texts = []
    for family, wanted in families.items():
        # each known user once, and nobody else
        texts.append(difference(keyed(built.rows(f"fam_{family}"), "user_id"), wanted, family))
    folded = oracle.folded_families_as_of(world, families)
    wanted_folds = {
        (family, str(row["segment"]))
        for family, rows in families.items()
        for user, row in rows.items()
        if family in folded and folded[family][user] != row["segment"]
    }
    folds = {(r["family"], r["segment"]) for r in built.rows("int_folded_segments") if r["family"] in folded}
    texts.append(f"folded: {folds}, the oracle says {wanted_folds}" if folds != wanted_folds else "")
    if with_user_360:
        columns: dict[str, dict[str, object]] = {
            user: {
                **{family: rows[user] for family, rows in folded.items()},
                "interests": families["interest"][user]["published"],
            }
            for user in users
        }
        texts.append(difference(keyed(built.rows("user_360"), "user_id"), columns, "user_360"))
    text = "; ".join(text for text in texts if text)
    assert not text, text
    unmapped = {row["event"]: row["events"] for row in built.rows("unmapped_events")}
    assert unmapped == oracle.unmapped_events_as_of(world, as_of), "unmapped events"


def _check_engagement_spans(built: OneWorld, world: oracle.World, as_of: date) -> None:
    spans = built.rows("int_engagement_spans")
    for days in _PAST_DAYS:
        day = as_of - timedelta(days=days)
        found = {row["user_id"]: row["segment"] for row in spans if row["valid_from"] <= day < row["valid_to"]}
        for user, segment in oracle.family_as_of(world, day, "engagement").items():
            assert found.get(user, "never_seen") == segment, f"engagement of {user} on {day}"


def _check_rfm(built: OneWorld, world: oracle.World, as_of: date) -> None:
    _same(keyed(built.rows("rfm"), "user_id"), oracle.rfm_as_of(world, as_of), "rfm")
    _same(keyed(built.rows("int_recut_segments"), "user_id"), oracle.recut_segments_as_of(world, as_of), "recut")
    stability = {row["measure"]: row for row in built.rows("rfm_stability")}
    for measure, row in oracle.rfm_stability_as_of(world, as_of).items():
        got = stability[measure.removesuffix("_days")]
        assert got["users_on_a_cut"] == row["users_at_cut"], measure
        empty = [int(score) for score in (got["empty_scores"] or "").split(",") if score]
        assert empty == sorted(row["missing_scores"]), measure  # type: ignore[call-overload]
        assert _plain(got["share_differing_under_ntile"]) == _plain(row["ntile_share"]), measure


def _check_cut_points(built: OneWorld, world: oracle.World, as_of: date) -> None:
    rows = [row for row in built.rows("int_rfm_cut_points") if row["measure"] != "order_value"]
    published = [{**row, "cut_set": "published"} for row in built.rows("rfm_cut_points")]
    current, previous = oracle.cut_points(world, as_of), oracle.previous_cut_points(world, as_of)
    wanted = {
        (cut_set, measure.removesuffix("_days"), number): {"value": value, "computed_as_of": cuts.computed_as_of}
        for cut_set, cuts in (("current", current), ("published", current), ("previous", previous))
        if cuts is not None
        for measure, values in cuts.cuts.items()
        for number, value in enumerate(values, start=1)
    }
    _same(keyed([*rows, *published], "cut_set", "measure", "cut"), wanted, "cut points")


def _check_contacts(built: OneWorld, world: oracle.World, as_of: date) -> None:
    contacts = oracle.contacts_as_of(world, as_of)
    wanted = {key: {flag: getattr(contact, flag) for flag in _MESSAGE_FLAGS} for key, contact in contacts.items()}
    _same(keyed(built.rows("fct_contacts"), "message_id"), wanted, "fct_contacts")
    for table, rows, key in (
        ("contact_pressure", oracle.contact_pressure_as_of(world, as_of), ("user_id",)),
        ("contact_pressure_by_channel", oracle.contact_pressure_by_channel_as_of(world, as_of), ("user_id", "channel")),
    ):
        renamed = {
            at: {(f"{name}_90d" if name in _SIGNALS else name): value for name, value in row.items()}
            for at, row in rows.items()
        }
        _same(keyed(built.rows(table), *key), renamed, table)


def _check_eligibility(built: OneWorld, world: oracle.World, as_of: date) -> None:
    wanted = oracle.channel_eligibility_as_of(world, as_of)
    _same(keyed(built.rows("channel_eligibility"), "user_id", "channel"), wanted, "channel_eligibility")
    key = ("plan_date", "user_id", "campaign_id", "audience", "channel")
    planned = keyed(built.rows("planned_contacts"), *key)
    _same(planned, oracle.planned_contacts_as_of(world, as_of), "planned_contacts")


def _check_candidates(built: OneWorld, world: oracle.World, as_of: date) -> None:
    texts = []
    for audience, returned in oracle.audiences_as_of(world, as_of).items():
        rows = keyed(built.rows(f"aud_{audience}"), "user_id")
        texts.append(difference(rows, returned, f"aud_{audience}"))
    key = ("user_id", "campaign_id", "audience")
    wanted = {candidate.key: vars(candidate) for candidate in oracle.candidates_as_of(world, as_of)}
    texts.append(difference(keyed(built.rows("int_candidates"), *key), wanted, "int_candidates"))
    channels = {
        (*candidate, channel): {"preference": preference, "reason": reason}
        for candidate, listed in oracle.candidate_channels_as_of(world, as_of).items()
        for preference, (channel, reason) in enumerate(listed, start=1)
    }
    rows = keyed(built.rows("int_candidate_channels"), *key, "channel")
    texts.append(difference(rows, channels, "int_candidate_channels"))
    text = "; ".join(text for text in texts if text)
    assert not text, text


def _check_plan(built: OneWorld, world: oracle.World, as_of: date) -> None:
    key = ("user_id", "campaign_id", "audience")
    _same(keyed(built.rows("contact_plan"), *key), oracle.contact_plan_as_of(world, as_of), "contact_plan")
    wanted = oracle.contact_suppressions_as_of(world, as_of)
    _same(keyed(built.rows("contact_suppressions"), *key), wanted, "contact_suppressions")


def _check_invariants(built: OneWorld, world: oracle.World, as_of: date) -> None:
    """What must always hold of a plan, without a word of the rules that made it."""
    segments = {row["user_id"]: row["policy_segment"] for row in built.rows("contact_pressure")}
    found = invariants.broken(built.rows("contact_plan"), segments, world, as_of)
    assert not found, f"invariants: {found[:5]}"


# --- how worlds are built


def seeds_of(world: oracle.World) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the seeds that say what the world says."""
    return {
        "exchange_rates": [
            {"currency": rate.currency, "rate_date": rate.valid_from, "rate": rate.rate}
            for rate in world.exchange_rates
        ],
        "contact_policy": [row._asdict() for row in world.contact_policy],
        "declared_order": [
            {"family": family, "declared": declared, "position": position}
            for family, values in world.declared_order.items()
            for position, declared in enumerate(values, start=1)
        ],
        "channel_gaps": [{"channel": channel, "min_days": days} for channel, days in world.channel_gaps.items()],
        "blackout_dates": [{**row._asdict(), "blackout_date": row.day} for row in world.blackout_dates],
        "do_not_contact": [{"user_id": user} for user in world.do_not_contact],
        "campaign_settings": [_setting_row(name, row) for name, row in world.campaign_settings.items()],
        "category_settings": [{"category": name, **row._asdict()} for name, row in world.category_settings.items()],
        "universal_holdout": [row._asdict() for row in world.universal_holdouts],
        "dose_arms": [row._asdict() for row in world.dose_arms],
    }


def _setting_row(campaign_id: str, setting: oracle.CampaignSetting) -> dict[str, Any]:
    """A row of the seed campaign_settings; lists as people write them."""
    variants = "|".join(f"{name}:{share}" for name, share in setting.variants or ()) or None
    channels = "|".join(setting.channels or ()) or None
    return {**vars(setting), "campaign_id": campaign_id, "channels": channels, "variants": variants}


def together(batches: Iterable[Batch]) -> Batch:
    """Return the rows of several batches as one."""
    rows: Batch = {}
    for batch in batches:
        for dataset, more in batch.items():
            rows.setdefault(dataset, []).extend(more)
    return rows


def check_worlds(plan: Plan, worlds: Mapping[str, oracle.World], dates: Sequence[date], chooser: random.Random) -> None:
    """Deliver all worlds in steps and all at once, compare; then compare each with the oracle at each date.

    ``worlds`` are by the prefix of their ids, and share the policy. user_360 is built for every second world and the
    last date only, since it takes longer than all that it is made from; what is folded is compared for all.
    """
    number = chooser.randint(2, 3)
    steps = [make_batches(chooser, world, number) for world in worlds.values()]
    seeds = seeds_of(next(iter(worlds.values())))
    chunk, at_once = Chunk(plan, seeds), Chunk(plan, seeds)
    try:
        chunk.deliver([together(step) for step in zip(*steps, strict=True)])
        at_once.deliver([together(whole(world) for world in worlds.values())])
        chunk.fill_planned([row for world in worlds.values() for row in world.planned_contacts])
        wanted = at_once.tables()
        for table, rows in chunk.tables().items():
            only_here, only_there = rows - wanted[table], wanted[table] - rows
            assert not only_here and not only_there, (
                f"{table} in steps has {list(only_here)[:5]}, at once {list(only_there)[:5]}"
            )
        for as_of in dates:
            chunk.build(as_of)
            for place, (prefix, world) in enumerate(worlds.items()):
                with_user_360 = as_of == dates[-1] and place % 2 == 0
                built = chunk.one_world(prefix, without=[] if with_user_360 else ["user_360"])
                found = differences(built, world, as_of, with_user_360)
                if found:
                    raise WorldError(prefix, as_of, "; ".join(found))
    finally:
        chunk.close()
        at_once.close()


class WorldError(AssertionError):
    """A world of a chunk that is not as the oracle says."""

    def __init__(self, prefix: str, as_of: date, text: str) -> None:
        super().__init__(f"world {prefix} as of {as_of}: {text}")
        self.prefix = prefix
        self.as_of = as_of


# --- how a failing world is cut down

_SHRINK_SECONDS = float(os.environ.get("BAROMETER_SHRINK_SECONDS", "60"))


def _fails(plan: Plan, prefix: str, world: oracle.World, as_of: date) -> str | None:
    chunk = Chunk(plan, seeds_of(world))
    try:
        chunk.deliver([whole(world)])
        chunk.fill_planned(world.planned_contacts)
        chunk.build(as_of)
        return "; ".join(differences(chunk.one_world(prefix), world, as_of)) or None
    finally:
        chunk.close()


def smaller(plan: Plan, prefix: str, world: oracle.World, as_of: date) -> str:
    """Leave out rows as long as the world still fails; return what is left, and how it fails."""
    ends = time.monotonic() + _SHRINK_SECONDS
    text = _fails(plan, prefix, world, as_of)
    if text is None:
        return "The world alone, delivered at once, is right."
    rows = [(dataset, row) for dataset in (*DATASETS, "planned_contacts") for row in world.rows(dataset)]
    size = max(1, len(rows) // 2)
    while time.monotonic() < ends:
        start = 0
        while start < len(rows) and time.monotonic() < ends:
            fewer = rows[:start] + rows[start + size :]
            less = _with_rows(world, fewer)
            shorter = _fails(plan, prefix, less, as_of)
            if shorter is None:
                start += size
            else:
                rows, text = fewer, shorter
        if size == 1:
            break
        size = max(1, size // 2)
    lines = [f"  {dataset}: {dict(row)}" for dataset, row in rows]
    policy = [f"  {name}: {value}" for name in _POLICY if (value := getattr(world, name))]
    return "\n".join([f"cut down, as of {as_of}: {text}", *lines, *policy])


_POLICY = (
    "contact_policy", "declared_order", "exchange_rates", "channel_gaps", "blackout_dates", "do_not_contact",
    "campaign_settings", "category_settings", "universal_holdouts", "dose_arms",
)  # fmt: skip


def _with_rows(world: oracle.World, rows: Sequence[tuple[str, oracle.Row]]) -> oracle.World:
    names = (*DATASETS, "planned_contacts")
    datasets: dict[str, Any] = {name: [row for dataset, row in rows if dataset == name] for name in names}
    return replace(world, **datasets)


# --- the tests

_TIMES = int(os.environ.get("BAROMETER_WORLDS", "1"))
_CHUNKS = 2 * _TIMES
_WORLDS = 14


def worlds_of(setup: Setup, number: int, several: int) -> tuple[dict[str, oracle.World], date]:
    """Return the worlds of a chunk: most are mixed, some have many orders or erasures; the first chunk is one world."""
    chooser = random.Random(f"{setup.name} {number}")
    as_of = DATES[(number + 5 * SETUPS.index(setup)) % len(DATES)]
    prefixes = [f"w{place}_" for place in range(1 if number == 0 else several)]
    policy = make_policy(chooser, as_of, prefixes)
    worlds = {}
    for place, prefix in enumerate(prefixes):
        kind = place % 6
        case = make_case(
            chooser.getrandbits(32),
            settings=False,
            time_zone=setup.time_zone,
            as_of=as_of,
            policy=policy,
            prefix=prefix,
            size=20 if kind == 4 else 8,
            erasures=kind == 5,
        )
        worlds[prefix] = carried(setup.of(case.world), as_of, chooser)
    return worlds, as_of


_plans: dict[str, Plan] = {}


def _plan(setup: Setup, folder: Path) -> Plan:
    if setup.name not in _plans:
        _plans[setup.name] = Plan(compiled_sql.compile_project(folder, setup.for_dbt), _COMPARED)
    return _plans[setup.name]


def _in_order() -> list[tuple[Setup, int]]:
    """The chunks, ordered so that two workers begin with setups of their own: compiling takes longer than a chunk."""
    first = [(setup, number) for setup in SETUPS[:2] for number in range(2)]
    rest = [(setup, number) for number in range(_CHUNKS) for setup in (*SETUPS[2:], *SETUPS[:2])]
    return [*first, *(chunk for chunk in rest if chunk not in first)]


@pytest.mark.parametrize(
    ("setup", "number"), [pytest.param(*chunk, id=f"{chunk[0].name}-{chunk[1]}") for chunk in _in_order()]
)
def test_models_are_what_the_oracle_says(setup: Setup, number: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    plan = _plan(setup, tmp_path_factory.mktemp("compiled"))
    worlds, as_of = worlds_of(setup, number, _WORLDS)
    chooser = random.Random(number)
    dates = [as_of - timedelta(days=chooser.choice([age for age in AGES if age])), as_of]
    try:
        check_worlds(plan, worlds, dates, chooser)
    except WorldError as error:
        less = smaller(plan, error.prefix, worlds[error.prefix], error.as_of)
        raise AssertionError(f"{error}\n{less}") from None
