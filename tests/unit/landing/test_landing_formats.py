"""Every format and dialect reads to the same rows."""

import gzip
import json

import duckdb
import pytest

CSV = (
    "event_id,user_id,event,timestamp,value,properties\n"
    'e1,u1,page,2024-03-01T10:00:00Z,1.5,"{""a"": 1}"\n'
    'e2,u2,"Product, Viewed",2024-03-01T11:00:00Z,,\n'
)
ROWS = [
    ("e1", "u1", "page", "2024-03-01 10:00:00", "1.500000", 1),
    ("e2", "u2", "Product, Viewed", "2024-03-01 11:00:00", None, 2),
]
SELECT = """select event_id, user_id, event, "timestamp"::varchar, value::varchar, row_number
    from raw.events order by event_id"""
JSON = (
    json.dumps({"event_id": "e1", "user_id": "u1", "event": "page", "timestamp": "2024-03-01T10:00:00Z",
                "value": 1.5, "properties": {"a": 1}})
    + "\n\n"
    + json.dumps({"event_id": "e2", "user_id": "u2", "event": "Product, Viewed",
    "timestamp": "2024-03-01T11:00:00Z"})
)  # fmt: skip
PARQUET = """select * from (values
    ('e1', 'u1', 'page', timestamp '2024-03-01 10:00:00', 1.5::double, {'a': 1}),
    ('e2', 'u2', 'Product, Viewed', timestamp '2024-03-01 11:00:00', null, null)
    ) t(event_id, user_id, event, "timestamp", value, properties)"""


@pytest.mark.parametrize("name", ["a.csv", "a.CSV.GZ", "a.jsonl", "a.ndjson.gz", "a.json", "deep/er/a.json.gz"])
def test_text_formats(world, name):
    content = CSV if "csv" in name.lower() else JSON
    path = world.write(f"events/{name}", content)
    if name.endswith(".GZ"):
        path.write_bytes(gzip.compress(content.encode(), mtime=0))
    world.load()
    assert world.query(SELECT) == ROWS
    assert world.column("select properties::json ->> 'a' from raw.events where event_id = 'e1'") == ["1"]


@pytest.mark.parametrize("zipped", [False, True])
def test_parquet(world, zipped):
    path = world.parquet("events/a.parquet", PARQUET)
    if zipped:
        (world.landing / "events/a.parquet.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    world.load()
    assert world.query(SELECT) == ROWS
    assert world.one("select properties from raw.events where event_id = 'e1'") == '{"a":1}'
    assert world.one("select format from raw.load_files") == ("parquet.gz" if zipped else "parquet")


def test_same_rows_in_every_format_are_duplicates(world):
    world.write("events/a.csv", CSV.replace('"{""a"": 1}"', '"{ ""a"":1 }"'))
    world.write("events/b.jsonl", JSON)
    world.parquet("events/c.parquet", PARQUET)
    world.load()
    assert [world.ledger(f"events/{name}")["duplicate"] for name in ("a.csv", "b.jsonl", "c.parquet")] == [
        0,
        2,
        2,
    ]
    assert world.query(SELECT) == ROWS


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_dialects(world, delimiter, encoding):
    text = delimiter.join(("User_ID ", "city", "plan,of|what;x")) + "\n" + delimiter.join(("ü1", '"Köln, \n""x"""', ""))
    text = text.replace("plan,of|what;x", '"a,b;c|d"')
    world.write("users/a.csv", text.encode(encoding))
    world.load()
    assert world.query("select user_id, city from raw.users") == [("ü1", 'Köln, \n"x"')]


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_line_ends_and_blank_lines(world, ends):
    world.write("products/a.csv", ends.join(("", "product_id,name", "p1,a", "", "p2,b")).encode())
    world.load()
    assert world.query("select product_id, name from raw.products order by all") == [("p1", "a"), ("p2", "b")]


def test_mixed_line_ends(world):
    world.write("products/a.csv", b'product_id,name\r\np1,a\np2,b\r\np3,"c\nd"\n')
    world.load()
    assert world.query("select product_id, name from raw.products order by all") == [
        ("p1", "a"), ("p2", "b"), ("p3", "c\nd")]  # fmt: skip


def test_malformed_csv_lines_keep_their_numbers(world):
    lines = [f"p{number},name,cat,{number}" for number in range(1, 31)]
    lines[4] = "p5,too few"
    lines[5] = "p6,one,two,3,too many"
    lines[9] = 'p10,"multi\nline",c,1'
    lines[19] = '"p20"x,a,b,1'
    world.write("products/a.csv", "product_id,name,category,price\n" + "\n".join(lines) + "\n")
    world.load()
    assert world.query("select row_number, reason, content from raw.rejected_rows order by all") == [
        (5, "malformed_row", "p5,too few"),
        (6, "malformed_row", "p6,one,two,3,too many"),
        (20, "malformed_row", '"p20"x,a,b,1'),
    ]
    assert world.query("select product_id, row_number from raw.products where 'p' || row_number <> product_id") == []
    assert world.ledger("products/a.csv")["accepted"] == 27


def test_malformed_json_lines(world, make_event):
    lines = [json.dumps(make_event("e1")), "{nope", "", "[1]", '"text"', json.dumps(make_event("e2"))]
    world.write("events/a.jsonl", "\n".join(lines))
    world.load()
    assert world.query("select row_number, reason, content from raw.rejected_rows order by all") == [
        (2, "malformed_row", "{nope"),
        (3, "malformed_row", "[1]"),
        (4, "malformed_row", '"text"'),
    ]
    assert world.query("select event_id, row_number from raw.events order by all") == [("e1", 1), ("e2", 5)]


def test_line_of_ten_megabytes(world, make_event):
    text = "x" * 11_000_000
    world.write("events/a.jsonl", [make_event("e1"), make_event("e2", properties={"text": text}), make_event("e3")])
    world.write("products/a.csv", f'product_id,name\np1,"{text}"\np2,b\n')
    world.load()
    assert world.query("select event_id, length(properties) from raw.events order by all") == [
        ("e1", None), ("e2", len('{"text":""}') + 11_000_000), ("e3", None)]  # fmt: skip
    assert world.query("select product_id, length(name) from raw.products order by all") == [
        ("p1", 11_000_000),
        ("p2", 1),
    ]


def test_unknown_columns_are_left_out_and_named_once(world):
    world.write("products/a.csv", "product_id,Name,name,colour\np1,a,b,red\n")
    world.write("products/b.jsonl", [{"Product_ID": "p2", "NAME": "x", "colour": "blue"}])
    world.load()
    assert world.query("select product_id, name from raw.products order by all") == [("p1", "b"), ("p2", "x")]
    assert world.query("from raw.unknown_columns order by all") == [
        ("products", "Name", "products/a.csv"), ("products", "colour", "products/a.csv")]  # fmt: skip
    assert sum("colour" in line for line in world.lines) == 1


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("orders/a.csv", b"x,y\n1,2\n", "no_known_columns"),
        ("orders/a.jsonl", b'{"x": 1}\n', "no_known_columns"),
        ("orders/a.parquet", b"PAR1 not parquet at all PAR1", "unreadable_parquet"),
        ("orders/a.parquet.gz", gzip.compress(b"nothing", mtime=0), "unreadable_parquet"),
        ("orders/a.csv.gz", gzip.compress(b"order_id,user_id\n" * 5000, mtime=0)[:-12], "bad_gzip"),
        ("orders/a.csv.gz", b"no gzip", "bad_gzip"),
        ("orders/a.csv.gz", gzip.compress(b"order_id\n1\n", mtime=0) + b"rubbish", "bad_gzip"),
        ("orders/a.parquet", b"", "unreadable_parquet"),
        ("orders/a.parquet.gz", gzip.compress(b"", mtime=0), "unreadable_parquet"),
        ("orders/a.csv.gz", b"", "bad_gzip"),
        ("consents/a.csv", b"", "empty_file"),
        ("erasures/a.jsonl", b"", "empty_file"),
        ("message_events/a.csv.gz", gzip.compress(b"", mtime=0), "empty_file"),
        ("orders/a.xlsx", b"PK", "unknown_format"),
        ("orders/a.csv", "order_id\n1\n".encode("utf-16")[:-1], "bad_encoding"),
    ],
)
def test_unreadable_files_are_set_aside(world, file, content, reason):
    dataset = file.split("/")[0]
    (world.landing / dataset).mkdir()
    (world.landing / file).write_bytes(content)
    world.write("products/a.csv", "product_id\np1\n")
    result = world.load()
    assert [(name, why) for name, why, _ in result.unreadable] == [(file, reason)]
    assert world.query("select dataset, file, reason from raw.rejected_files") == [(dataset, file, reason)]
    assert world.one("select count(*) from raw.products") == 1
    before = world.dump()
    assert world.load().unreadable == []
    assert world.dump() == before


def test_corrupt_parquet_page(world):
    path = world.parquet(
        "orders/a.parquet",
        """select 'o' || i as order_id, md5(i::varchar) as user_id,
            timestamp '2024-01-01' + to_days(i::int) as ordered_at, 1.5 as gross_amount
            from range(20000) t(i)""",
    )
    content = bytearray(path.read_bytes())
    content[1000:40000] = b"\xff" * 39000
    path.write_bytes(content)
    result = world.load()
    assert [why for _, why, _ in result.unreadable] == ["unreadable_parquet"]
    assert world.one("select current_setting('disabled_optimizers')") == ""  # the insert that failed had turned one off
    assert world.one("select count(*) from raw.orders") == 0
    assert world.query("from raw.load_files") == []


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.csv.gz"])
def test_empty_file_has_no_rows(world, name):
    world.write(f"users/{name}", b"")
    world.load()
    assert world.ledger(f"users/{name}")["read"] == 0


def test_header_alone_has_no_rows(world):
    world.write("users/a.csv", "user_id,email\n")
    world.load()
    assert world.ledger("users/a.csv")["read"] == 0


def test_writing_trouble_is_not_the_files_fault(world, make_event):
    world.write("events/a.jsonl", [make_event()])
    world.con.execute("drop table raw.bad_values; alter table raw.events rename to other")
    with pytest.raises(duckdb.Error):
        world.load()
    assert world.query("from raw.rejected_files") == []


def test_no_sql_from_names(world):
    evil = "x'); drop table raw.users; --"
    world.write(f"products/{evil} [a] *?.csv", f'product_id,"{evil}"\np1,"{evil}"\np2\n')
    world.load()
    assert world.column("select product_id from raw.products") == ["p1"]
    assert world.query("from raw.users") == []
    assert world.column("select column_name from raw.unknown_columns") == [evil]
