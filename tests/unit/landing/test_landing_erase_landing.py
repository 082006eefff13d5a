"""Which landing files still hold erased users."""

from orchestration.landing.erase_landing import erased_in_landing, files_that_hold_erased_users

BEFORE, AFTER = "2024-03-01T00:00:00Z", "2024-03-20T00:00:00Z"
ERASURE = [{"user_id": "u1", "requested_at": "2024-03-10T12:00:00Z"}]


def held(world):
    found = files_that_hold_erased_users(world.con, world.landing, world.settings, world.lines.append)
    return {entry.file: entry.rows for entry in found}


def test_nobody_was_erased(world, make_event):
    world.write("events/a.jsonl", [make_event()])
    world.load()
    assert held(world) == {}


def test_every_file_that_holds_a_row_whatever_became_of_it(world, make_event):
    world.write("events/both.jsonl", [make_event("1", timestamp=BEFORE), make_event("2", user_id="u2")])
    world.write("events/duplicate.jsonl", [make_event("1", timestamp=BEFORE)])
    world.write("events/rejected.jsonl", [make_event("3", event="", timestamp=BEFORE)])
    world.write("events/came_back.jsonl", [make_event("4", timestamp=AFTER)])
    world.write("events/device.jsonl", [
        {"event_id": "5", "anonymous_id": "a1", "event": "page", "timestamp": BEFORE},
        {"event_id": "6", "anonymous_id": "a2", "event": "page", "timestamp": BEFORE}])  # fmt: skip
    world.write("identities/a.csv.gz", f"anonymous_id,user_id,linked_at\na1,u1,{BEFORE}\na2,u2,{BEFORE}\n")
    world.write("orders/a.csv", f"order_id,user_id,ordered_at,gross_amount\no1,u1,{BEFORE},1\n")
    world.write("order_items/a.csv", "order_id,line_number,product_id,quantity,unit_price\no1,1,p,1,1\no2,1,p,1,1\n")
    world.write("messages/broken.parquet", "no parquet")
    world.load()
    world.write("erasures/a.jsonl", ERASURE)
    world.load()
    assert held(world) == {
        "events/both.jsonl": 1,
        "events/duplicate.jsonl": 1,
        "events/rejected.jsonl": 1,
        "events/device.jsonl": 1,
        "identities/a.csv.gz": 1,
        "orders/a.csv": 1,
        "order_items/a.csv": 1,
        "messages/broken.parquet": None,
    }
    text = erased_in_landing(world.con, world.landing, world.settings, world.lines.append)
    assert f"{world.landing}/events/both.jsonl: 1 rows" in text
    assert "7 of the landing files hold rows of erased users." in text
    # somebody takes the rows out
    for file in held(world):
        (world.landing / file).unlink()
    assert held(world) == {}


def test_looking_writes_nothing(world, make_event):
    world.write("events/a.jsonl", [make_event(timestamp=BEFORE)])
    world.write("erasures/a.jsonl", ERASURE)
    world.load()
    before = world.dump()
    assert held(world) == {"events/a.jsonl": 1}
    assert world.dump() == before
