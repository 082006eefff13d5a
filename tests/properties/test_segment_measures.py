"""How segments and the outlook are judged: against SciPy on random users; what was known against what came later."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from orchestration.measures.quality import silhouettes, z_scores
from orchestration.policy_rules import QUALITY_MEASURES
from orchestration.warehouse.families import published_families
from tests import compiled_sql

AS_OF = date(2026, 6, 30)
#: The ends of months whose truth is over.
CUTS = [date(2026, 5, 31), date(2026, 4, 30), date(2026, 3, 31)]

Row = Mapping[str, Any]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> compiled_sql.Compiled:
    return compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))


def fill(world: compiled_sql.World, relation: str, rows: Sequence[Row], types: Mapping[str, str] | None = None) -> None:
    """Put rows into a table, made with the types given where it is not there; what they leave out is null."""
    if types is not None:
        world.con.execute(f"create table {relation} ({', '.join(f'{name} {typed}' for name, typed in types.items())})")
    if rows:
        places = ", ".join("?" for _ in rows[0])
        world.con.executemany(
            f"insert into {relation} ({', '.join(rows[0])}) values ({places})", [list(row.values()) for row in rows]
        )


# quality

DOUBLES = {"revenue_365d", "click_rate_90d", "open_rate_90d", "mean_order_value"}
_BUILT = ["int_segment_measures", "int_segment_pairs", "int_family_quality", "int_quality_sample", "family_overlap"]


@pytest.fixture(scope="module")
def users() -> list[dict[str, Any]]:
    """Random users whose measures lean on the segments of some families, and not on those of others."""
    rng = random.Random(7)
    found = []
    for _ in range(400):
        segments = {family: f"s{rng.randrange(2 + place % 6)}" for place, family in enumerate(published_families())}
        # one family follows from another, and one has a single segment
        segments["rfm"], segments["gender"] = f"r{segments['lifecycle']}", "unknown"
        lean = int(segments["engagement"][1:])
        contacts = rng.choice([0, 0, 3, 9])
        found.append({
            "segments": segments,
            "visits_30d": rng.randrange(3) + 4 * lean,
            "orders_365d": 0,
            "revenue_365d": rng.choice([0.0, -3.0, 20.5, 310.25]),
            "contacts_30d": contacts,
            "contacts_90d": contacts,
            "clicked_contacts_90d": min(contacts, lean % 3),
        })  # fmt: skip
    return found


@pytest.fixture(scope="module")
def judged(compiled: compiled_sql.Compiled, users: Sequence[Row]) -> Iterator[compiled_sql.World]:
    world = compiled_sql.World(compiled)
    measured = []
    for number, user in enumerate(users):
        rate = user["clicked_contacts_90d"] / user["contacts_90d"] if user["contacts_90d"] else None
        numbers = {name: value for name, value in user.items() if name != "segments"}
        numbers |= {"opened_contacts_90d": 0, "click_rate_90d": rate, "open_rate_90d": None}
        measured.append({"user_id": f"u{number}", **numbers, "mean_order_value": None, "age": None})
    types = {name: "double" if name in DOUBLES else "bigint" for name in measured[0]} | {"user_id": "varchar"}
    fill(world, "build.intermediate.int_user_measures", measured, types)
    wide = [{"user_id": f"u{number}", "as_of": AS_OF, **user["segments"]} for number, user in enumerate(users)]
    fill(world, "build.marts.user_360", wide, dict.fromkeys(wide[0], "varchar") | {"as_of": "date"})
    world.build(AS_OF, only=_BUILT)
    world.measure("segment_quality")
    yield world
    world.close()


def rows_of(world: compiled_sql.World, relation: str) -> list[dict[str, Any]]:
    cursor = world.con.execute(f"from {relation}")
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def compared(user: Row, measure: str) -> float | None:
    if measure == "click_rate_90d":
        return round(user["clicked_contacts_90d"] / user["contacts_90d"], 6) if user["contacts_90d"] else None
    return math.log1p(max(user[measure], 0))


def test_eta_squared_is_that_of_an_analysis_of_variance(judged: compiled_sql.World, users: Sequence[Row]) -> None:
    from scipy.stats import f_oneway

    found = {row["family"]: row for row in rows_of(judged, "build.measures.segment_quality")}
    assert set(found) == set(published_families())
    for family, row in found.items():
        for measure in QUALITY_MEASURES:
            groups: dict[str, list[float]] = defaultdict(list)
            for user in users:
                if (value := compared(user, measure)) is not None:
                    groups[user["segments"][family]].append(value)
            if measure == "orders_365d":  # everybody has none
                assert row[f"eta2_{measure}"] is None
                continue
            between, within = len(groups) - 1, sum(map(len, groups.values())) - len(groups)
            f = f_oneway(*groups.values()).statistic * between if between else 0
            assert row[f"eta2_{measure}"] == pytest.approx(f / (f + within), abs=2e-6), (family, measure)
    assert found["engagement"]["eta2_visits_30d"] > 0.5 > 0.1 > found["abandonment"]["eta2_revenue_365d"]
    assert found["engagement"]["built_from"] == "visits_30d"


def test_sizes_of_segments(judged: compiled_sql.World, users: Sequence[Row]) -> None:
    for row in rows_of(judged, "build.measures.segment_quality"):
        sizes = Counter(user["segments"][row["family"]] for user in users)
        smallest = min(sizes, key=lambda segment: (sizes[segment], segment))
        assert (row["users"], row["segments"], row["smallest_segment"]) == (400, len(sizes), smallest)
        assert row["smallest_share"] == pytest.approx(sizes[smallest] / 400)
        assert row["largest_share"] == pytest.approx(max(sizes.values()) / 400)


def test_cramers_v_is_that_of_scipy(judged: compiled_sql.World, users: Sequence[Row]) -> None:
    from scipy.stats.contingency import association

    found = {
        (row["family"], row["other_family"]): row["cramers_v"] for row in rows_of(judged, "build.marts.family_overlap")
    }
    families = published_families()
    assert len(found) == len(families) * (len(families) - 1)
    for one, other in combinations(families, 2):
        pairs = Counter((user["segments"][one], user["segments"][other]) for user in users)
        rows, columns = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
        assert found[one, other] == found[other, one]
        if min(len(rows), len(columns)) == 1:
            assert found[one, other] is None
        else:
            table = np.array([[pairs[row, column] for column in columns] for row in rows])
            assert found[one, other] == pytest.approx(association(table, method="cramer"), abs=2e-6)
    closest = {row["family"]: row for row in rows_of(judged, "build.measures.segment_quality")}["rfm"]
    assert (closest["closest_family"], closest["closest_cramers_v"]) == ("lifecycle", 1)


def brute_silhouette(points: Sequence[Sequence[float]], labels: Sequence[int]) -> float:
    total = 0.0
    for one, label in enumerate(labels):
        distances: dict[int, list[float]] = defaultdict(list)
        for other, other_label in enumerate(labels):
            if other != one:
                distances[other_label].append(math.dist(points[one], points[other]))
        if label in distances:
            own = sum(distances[label]) / len(distances[label])
            nearest = min(sum(d) / len(d) for other, d in distances.items() if other != label)
            total += (nearest - own) / max(nearest, own) if max(nearest, own) else 0
    return total / len(labels)


def test_silhouettes_are_those_of_the_definition(judged: compiled_sql.World, users: Sequence[Row]) -> None:
    columns = [[compared(user, measure) for user in users] for measure in QUALITY_MEASURES]
    points = z_scores(np.array(columns, dtype=float).T)
    found = {row["family"]: row["silhouette"] for row in rows_of(judged, "build.measures.segment_quality")}
    assert found["gender"] is None
    for family in ("engagement", "lifecycle"):
        labels = [int(user["segments"][family][1:]) for user in users]
        assert found[family] == pytest.approx(brute_silhouette(points.tolist(), labels), abs=2e-6)


def test_a_point_alone_in_its_label_and_points_of_one_place() -> None:
    points = np.array([[0.0], [0.0], [5.0], [9.0]])
    (alone, one_place, single) = silhouettes(
        points, [np.array([0, 0, 1, 2]), np.array([0, 1, 0, 1]), np.array([0, 0, 0, 0])]
    )
    assert alone == pytest.approx(0.5)
    assert one_place == pytest.approx(brute_silhouette(points.tolist(), [0, 1, 0, 1]))
    assert single is None
    assert z_scores(np.array([[1.0, 2.0], [3.0, 2.0], [np.nan, 2.0]])).tolist() == [[-1, 0], [1, 0], [0, 0]]


def test_who_stayed_is_counted_against_the_built_date_before(judged: compiled_sql.World, users: Sequence[Row]) -> None:
    con = judged.con
    assert {row["unchanged_share"] for row in rows_of(judged, "build.measures.segment_quality")} == {None}
    con.execute(
        "insert into build.history.built_dates(as_of, has_history) values ('2026-06-28', true), ('2026-06-30', true)"
    )
    # u0 and u1 as now, u2 in another segment of engagement, u3 gone long ago, one who is no longer known
    for number, until in (
        (0, "9999-12-31"),
        (1, "2026-06-30"),
        (2, "2026-06-30"),
        (3, "2026-06-27"),
        (400, "2026-06-30"),
    ):
        segments = {**users[min(number, 399)]["segments"]}
        segments |= {"engagement": "was_another"} if number == 2 else {}
        row = {"user_id": f"u{number}", "as_of": "2026-06-20", "valid_to": until, **segments}
        fill(judged, "build.history.segment_changes", [row])
    judged.measure("segment_quality")
    shares = {row["family"]: row["unchanged_share"] for row in rows_of(judged, "build.measures.segment_quality")}
    assert shares.pop("engagement") == pytest.approx(2 / 3, abs=1e-6)
    assert set(shares.values()) == {1}


# backtest


def test_auc_is_that_of_the_rank_test(compiled: compiled_sql.Compiled) -> None:
    from scipy.stats import mannwhitneyu

    rng = random.Random(3)
    rows: list[dict[str, Any]] = []
    for number in range(300):
        came = rng.random() < 0.4
        row = {
            "cut_date": CUTS[0],
            "user_id": f"u{number}",
            "engagement": rng.choice(["engaged", "dormant", "one_time"]),
        }
        row |= {"silence_days": rng.randrange(40), "silence_score": rng.randrange(9) / 4 + came / 2}
        row |= {"is_overdue": rng.random() < 0.3, "lead_score": rng.randrange(5) + 1.0 * came}
        rows.append({**row, "is_promising": rng.random() < 0.2, "is_visitor_later": came})
    world = compiled_sql.World(compiled.only(["outlook_backtest"]))
    types = dict.fromkeys(("silence_score", "lead_score"), "double") | {"silence_days": "integer", "cut_date": "date"}
    texts = dict.fromkeys(("user_id", "engagement"), "varchar")
    fill(world, "build.intermediate.int_backtest_users", rows, dict.fromkeys(rows[0], "boolean") | types | texts)
    world.build(AS_OF, only=["outlook_backtest"])
    found = {(row["prediction"], row["method"]): row for row in world.rows("outlook_backtest")}
    asked = {"risky": ("engaged", "silence_score", 1, False), "promising": ("dormant", "lead_score", -1, True)}
    for prediction, (engagement, score, sign, wanted) in asked.items():
        population = [row for row in rows if row["engagement"] == engagement]
        positives = [row for row in population if row["is_visitor_later"] == wanted]
        negatives = [row for row in population if row["is_visitor_later"] != wanted]
        for method, name, by in (("model", score, 1), ("naive", "silence_days", sign)):
            u = mannwhitneyu([by * row[name] for row in positives], [by * row[name] for row in negatives]).statistic
            assert found[prediction, method]["auc"] == pytest.approx(u / len(positives) / len(negatives), abs=2e-6)
        assert found[prediction, "model"]["flagged"] == found[prediction, "naive"]["flagged"] > 0
    world.close()


def events_of(rng: random.Random) -> list[dict[str, Any]]:
    """Events of a few people and devices around two cut dates, many of which come late, in any order."""
    events = []
    for number in range(500):
        cut = rng.choice(CUTS[:2])
        happened = datetime(cut.year, cut.month, cut.day) + timedelta(
            days=rng.choice([-33, -16, -3, -1, 0, 0, 0, 1, 2]), minutes=rng.choice([0, 9, 25, 700, 1410, 1425, 1439])
        )
        late = rng.choice([None, 0, 0, 0, 20, 300, 1500, 5000, 60000])
        user, device = rng.choice([(True, False), (False, True), (False, True), (True, True)])
        events.append({
            "event_id": f"e{number}",
            "user_id": f"u{rng.randrange(14)}" if user else None,
            "anonymous_id": f"a{rng.randrange(25)}" if device else None,
            "event": rng.choice(["page", "page_view", "unheard_of", "Product Added", "Product Viewed", "App Opened"]),
            "timestamp": happened,
            "received_at": None if late is None else happened + timedelta(minutes=late),
            "session_id": rng.choice([None, None, f"s{rng.randrange(40)}"]),
            "load_id": 1,
        })  # fmt: skip
    return events


def orders_of(rng: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "order_id": f"o{number}",
            "user_id": f"u{rng.randrange(14)}",
            "status": "placed",
            "gross_amount": 10,
            "ordered_at": datetime(2026, 5, 31, 12) - timedelta(hours=12 * rng.randrange(-8, 70)),
            "row_md5": f"m{number}",
            "load_id": 1,
        }
        for number in range(8)
    ]


@pytest.mark.parametrize("seed", range(2))
def test_the_backtest_knows_nothing_of_the_future(compiled: compiled_sql.Compiled, seed: int) -> None:
    """What it says of a cut date is what the families say as of it, where only what was received by then is there."""
    rng = random.Random(seed)
    events, orders = events_of(rng), orders_of(rng)
    links = [
        {"anonymous_id": f"a{rng.randrange(25)}", "user_id": f"u{rng.randrange(14)}", "load_id": 1}
        | {"linked_at": rng.choice([None, datetime(2026, 4, 30, 8), datetime(2026, 5, 30, 9), datetime(2026, 6, 2)])}
        for _ in range(12)
    ]

    def world_of(until: date, names: Sequence[str], as_of: date) -> compiled_sql.World:
        world = compiled_sql.World(compiled.only(names))
        for dataset, rows, by in (("events", events, "timestamp"), ("orders", orders, "ordered_at")):
            received = [row for row in rows if (row.get("received_at") or row[by]).date() <= until]
            fill(world, f"working.raw.{dataset}", [row for row in received if row[by].date() <= until])
        fill(
            world,
            "working.raw.identities",
            [row for row in links if not row["linked_at"] or row["linked_at"].date() <= until],
        )
        world.build(as_of)
        return world

    now = world_of(date(2026, 12, 31), ["outlook_backtest"], AS_OF)
    told = now.rows("int_backtest_users")
    late = {(row["cut_date"], row["user_id"]) for row in now.rows("int_backtest_late_days")}
    now.close()
    for cut in CUTS[:2]:
        then = world_of(cut, ["fam_engagement_outlook", "fam_lead_temperature"], cut)
        cadence = {row["user_id"]: row for row in then.rows("int_user_cadence")}
        leads = {row["user_id"]: row["lead_score"] for row in then.rows("fam_lead_temperature")}
        outlook = {row["user_id"]: row["segment"] for row in then.rows("fam_engagement_outlook")}
        wanted = {}
        for row in then.rows("fam_engagement"):
            user = row["user_id"]
            if row["segment"] != "never_seen":
                rhythm = [cadence[user][name] for name in ("silence_days", "expected_gap_days", "is_overdue")]
                wanted[user] = (row["segment"], *rhythm, leads[user], outlook[user].endswith("promising"))
        then.close()
        names = ("engagement", "silence_days", "expected_gap_days", "is_overdue", "lead_score", "is_promising")
        found = {row["user_id"]: tuple(row[name] for name in names) for row in told if row["cut_date"] == cut}
        assert found == wanted
        assert len([user for day, user in late if day == cut]) > 5
