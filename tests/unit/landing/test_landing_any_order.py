"""Any split and order of files and runs gives the same rows in the deduplicated and versioned datasets."""

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing.contract import DATASETS

TIMES = st.sampled_from([None, "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"])
EVENTS = st.fixed_dictionaries(
    {
        "event_id": st.sampled_from(["e1", "e2", "e3"]),
        "user_id": st.sampled_from(["u1", "u2"]),
        "event": st.just("page"),
        "timestamp": st.just("2024-01-01T00:00:00Z"),
        "received_at": TIMES,
        "updated_at": TIMES,
        "value": st.sampled_from([None, 1, 2]),
        "properties": st.sampled_from([None, {"a": 1}, '{ "a" : 1 }']),
    }
)
ITEMS = st.fixed_dictionaries(
    {
        "order_id": st.sampled_from(["o1", "o2"]),
        "line_number": st.sampled_from([1, 2]),
        "product_id": st.just("p"),
        "quantity": st.sampled_from([-1, 1, 2]),
        "unit_price": st.just(1),
        "updated_at": TIMES,
    }
)
USERS = st.fixed_dictionaries({"user_id": st.sampled_from(["u1", "u2"]), "city": st.sampled_from(["A", "B"])})


def content(world):
    """The contract's columns of every row; JSON by what it means."""
    tables = {}
    for name in ("events", "order_items", "users"):
        columns = list(DATASETS[name].column_names)
        rows = world.con.execute(f"select {', '.join(columns)} from raw.{name}").fetchall()
        if name == "events":
            place = columns.index("properties")
            rows = [
                (*row[:place], json.dumps(json.loads(row[place])) if row[place] else None, *row[place + 1 :])
                for row in rows
            ]
        tables[name] = sorted(rows, key=repr)
    return tables


@settings(max_examples=5, deadline=None, database=None)
@given(data=st.data())
def test_any_split_and_order(data):
    from tests.unit.landing.conftest import World

    with tempfile.TemporaryDirectory() as folder:
        worlds = []
        rows = [("events", row) for row in data.draw(st.lists(EVENTS, max_size=8))]
        rows += [("order_items", row) for row in data.draw(st.lists(ITEMS, max_size=5))]
        rows += [("users", row) for row in data.draw(st.lists(USERS, max_size=4))]
        for name in ("one", "two"):
            path = Path(folder) / name
            path.mkdir()
            world = World(path)
            for number, (dataset, row) in enumerate(data.draw(st.permutations(rows))):
                file = world.landing / dataset / f"{data.draw(st.integers(0, 2))}-{number // 3}.jsonl"
                file.parent.mkdir(exist_ok=True)
                with file.open("a") as out:
                    out.write(json.dumps(row) + "\n")
                if data.draw(st.integers(0, 5)) == 5:
                    world.load()
            world.load()
            worlds.append(content(world))
        assert worlds[0] == worlds[1]
