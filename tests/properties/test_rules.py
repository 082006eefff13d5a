"""Random worlds: the models, built in full and in steps, against the plain-Python oracle, row by row."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestration.settings import seed_rows
from tests import compiled_sql
from tests.properties import oracle
from tests.properties.worlds import Case, batches, cases, other_dates, whole, write_batch

TAXONOMY = {
    row["event"]: oracle.EventMeaning(row["class"], row["is_visit"] == "true") for row in seed_rows("event_taxonomy")
}
CHANNELS = {
    row["channel"]: oracle.Channel(
        row["address_kind"], Decimal(row["intrusiveness"]), row["counts_towards_pressure"] == "true"
    )
    for row in seed_rows("channels")
}


@dataclass(frozen=True)
class Setup:
    """One way to configure the project: its vars, and the same for the oracle."""

    name: str
    variables: dict[str, Any]
    same_for_oracle: dict[str, Any]


SETUPS = [
    Setup("defaults", {}, {"time_zone": "UTC"}),
    Setup(
        "paris_monthly_cuts",
        {
            "business_time_zone": "Europe/Paris",
            "rfm_min_cut_population": 3,
            "link_back_days": 1,
        },
        {"time_zone": "Europe/Paris", "min_cut_population": 3, "link_back_days": 1},
    ),
    Setup(
        "new_york_daily_cuts",
        {
            "business_time_zone": "America/New_York",
            "rfm_cut_policy": "daily",
            "rfm_min_cut_population": 1,
            "max_users_per_device": 2,
            "link_back_days": 0,
        },
        {
            "time_zone": "America/New_York",
            "cut_policy": "daily",
            "min_cut_population": 1,
            "max_users_per_device": 2,
            "link_back_days": 0,
        },
    ),
]


@pytest.fixture(scope="module", params=SETUPS, ids=lambda setup: setup.name)
def setup_and_compiled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Setup, compiled_sql.Compiled]:
    setup: Setup = request.param
    return setup, compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"), setup.variables)


def _table(rows: list[dict[str, Any]], *key: str) -> dict[Any, dict[str, Any]]:
    """Rows by their key, without it; fails where two rows share one."""
    found = {tuple(row[k] for k in key) if len(key) > 1 else row[key[0]]: row for row in rows}
    assert len(found) == len(rows), f"rows that share {key}"
    return {at: {name: value for name, value in row.items() if name not in key} for at, row in found.items()}


def _plain(value: Any) -> Any:
    return round(float(value), 6) if isinstance(value, (Decimal, float)) else value


def _same(found: dict[Any, dict[str, Any]], wanted: dict[Any, dict[str, Any]], what: str) -> None:
    """Compare the columns that the oracle knows of."""
    assert found.keys() == wanted.keys(), what
    for key, columns in wanted.items():
        got = {name: _plain(found[key][name]) for name in columns}
        assert got == {name: _plain(value) for name, value in columns.items()}, f"{what} of {key}"


def _segments(world: compiled_sql.World, family: str) -> dict[str, str]:
    return {user: row["segment"] for user, row in _table(world.rows(f"fam_{family}"), "user_id").items()}


def check_orders_and_visits(built: compiled_sql.World, case: Case, as_of: date) -> None:
    world = case.world
    assert {row["user_id"] for row in built.rows("int_known_users")} == oracle.users_as_of(world, as_of)
    assert _segments(built, "engagement") == oracle.engagement_as_of(world, as_of)
    assert _segments(built, "buyer_recency") == oracle.buyer_recency_as_of(world, as_of)
    assert _segments(built, "rfm") == oracle.rfm_segments_as_of(world, as_of)
    _same(_table(built.rows("rfm"), "user_id"), oracle.rfm_as_of(world, as_of), "rfm")
    cuts = oracle.cut_points(world, as_of)
    found = {(row["measure"], row["cut"]): _plain(row["value"]) for row in built.rows("rfm_cut_points")}
    assert found == {
        (measure.removesuffix("_days"), number): _plain(value)
        for measure, values in cuts.cuts.items()
        for number, value in enumerate(values, start=1)
    }
    for row in built.rows("rfm_cut_points"):
        assert row["computed_as_of"] == cuts.computed_as_of
    stability = {row["measure"]: row for row in built.rows("rfm_stability")}
    for measure, wanted in oracle.rfm_stability_as_of(world, as_of).items():
        got = stability[measure.removesuffix("_days")]
        assert got["users_on_a_cut"] == wanted["users_at_cut"], measure
        empty = [int(score) for score in (got["empty_scores"] or "").split(",") if score]
        assert empty == sorted(wanted["missing_scores"]), measure  # type: ignore[call-overload]
        assert _plain(got["share_differing_under_ntile"]) == _plain(wanted["ntile_share"]), measure


_SIGNALS = ("unsubscribes", "complaints", "push_offs", "uninstalls", "hard_bounces")


def _renamed(rows: dict[Any, dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    return {
        key: {(f"{name}_90d" if name in _SIGNALS else name): value for name, value in row.items()}
        for key, row in rows.items()
    }


def check_contacts(built: compiled_sql.World, case: Case, as_of: date) -> None:
    world = case.world
    found = _table(built.rows("fct_contacts"), "message_id")
    wanted = oracle.contacts_as_of(world, as_of)
    assert found.keys() == wanted.keys()
    for message, contact in wanted.items():
        for flag in (
            "is_delivered",
            "is_opened",
            "is_clicked",
            "is_bounced",
            "is_complained",
            "is_unsubscribed",
            "is_contact",
        ):
            assert found[message][flag] == getattr(contact, flag), (message, flag)
    _same(
        _table(built.rows("contact_pressure"), "user_id"),
        _renamed(oracle.contact_pressure_as_of(world, as_of)),
        "contact_pressure",
    )
    by_channel = _table(built.rows("contact_pressure_by_channel"), "user_id", "channel")
    wanted_by_channel = _renamed(oracle.contact_pressure_by_channel_as_of(world, as_of))
    # an address that is invalid gives no row by itself
    assert by_channel.keys() <= wanted_by_channel.keys()
    missing = wanted_by_channel.keys() - by_channel.keys()
    assert all(wanted_by_channel[key]["open_share_90d"] is None for key in missing)
    _same(by_channel, {key: wanted_by_channel[key] for key in by_channel}, "contact_pressure_by_channel")


_ORDERS_AND_VISITS = [
    "int_known_users", "fam_engagement", "fam_buyer_recency", "fam_rfm", "rfm", "rfm_cut_points", "rfm_stability",
]  # fmt: skip
_CONTACTS = ["fct_contacts", "contact_pressure", "contact_pressure_by_channel"]


@dataclass
class _Run:
    """A drawn case and how it is delivered."""

    case: Case
    deliveries: list[Any]
    dates: list[date]


@st.composite
def runs(draw: Any, setup: Setup, **parts: Any) -> _Run:
    case = draw(cases(settings=False, time_zone=setup.same_for_oracle["time_zone"], **parts))
    world = replace(case.world, taxonomy=TAXONOMY, channels=CHANNELS, **setup.same_for_oracle)
    case = Case(world, case.as_of)
    return _Run(case, draw(batches(world)), [draw(other_dates(case)), case.as_of])


def _seeds(case: Case) -> dict[str, list[dict[str, Any]]]:
    return {
        "exchange_rates": [
            {"currency": rate.currency, "rate_date": rate.valid_from, "rate": rate.rate}
            for rate in case.world.exchange_rates
        ]
    }


def _check_run(
    compiled: compiled_sql.Compiled,
    run: _Run,
    models: list[str],
    check: Callable[[compiled_sql.World, Case, date], None],
) -> None:
    """Deliver in steps with a build after each, then compare; then all at once, and compare again."""
    for deliveries in (run.deliveries, [whole(run.case.world)]):
        with _world(compiled.only(models), run.case) as built, tempfile.TemporaryDirectory() as folder:
            for number, delivery in enumerate(deliveries):
                write_batch(delivery, Path(folder), f"batch_{number}")
                built.load(Path(folder))
                if number < len(deliveries) - 1:
                    built.build(run.dates[0])
            for as_of in run.dates if len(deliveries) > 1 else run.dates[-1:]:
                built.build(as_of)
                check(built, run.case, as_of)


class _world:
    """A world that is closed in the end."""

    def __init__(self, compiled: compiled_sql.Compiled, case: Case) -> None:
        self._world = compiled_sql.World(compiled, _seeds(case))

    def __enter__(self) -> compiled_sql.World:
        return self._world

    def __exit__(self, *_: object) -> None:
        self._world.close()


_SETTINGS = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    derandomize=True,
)


def test_orders_and_visits(setup_and_compiled: tuple[Setup, compiled_sql.Compiled]) -> None:
    setup, compiled = setup_and_compiled

    @settings(_SETTINGS, max_examples=30)
    @given(runs(setup, messages=False))
    def check(run: _Run) -> None:
        _check_run(compiled, run, _ORDERS_AND_VISITS, check_orders_and_visits)

    check()


def test_rfm_of_many_orders(setup_and_compiled: tuple[Setup, compiled_sql.Compiled]) -> None:
    setup, compiled = setup_and_compiled

    @settings(_SETTINGS, max_examples=15)
    @given(runs(setup, messages=False, events=False, size=20))
    def check(run: _Run) -> None:
        _check_run(compiled, run, _ORDERS_AND_VISITS, check_orders_and_visits)

    check()


def test_contacts(setup_and_compiled: tuple[Setup, compiled_sql.Compiled]) -> None:
    setup, compiled = setup_and_compiled

    @settings(_SETTINGS, max_examples=20)
    @given(runs(setup, orders=False))
    def check(run: _Run) -> None:
        _check_run(compiled, run, _CONTACTS, check_contacts)

    check()


def test_erasures(setup_and_compiled: tuple[Setup, compiled_sql.Compiled]) -> None:
    setup, compiled = setup_and_compiled

    @settings(_SETTINGS, max_examples=12)
    @given(runs(setup, messages=False, erasures=True))
    def check(run: _Run) -> None:
        _check_run(compiled, run, _ORDERS_AND_VISITS, check_orders_and_visits)

    check()
