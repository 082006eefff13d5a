"""Lists as files: the same rows are the same bytes, and whoever reads sees a whole file, wherever it is."""

import csv
import hashlib
import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from orchestration.activation.destinations.files import Files
from orchestration.activation.destinations.interface import LostAnswer, NotTaken, Patience, Row, Target, WrongSettings
from orchestration.errors import BarometerError
from orchestration.settings import ROOT
from tests.standins.folders import S3, Sftp
from tests.standins.logs import logged

PATIENCE = Patience(attempts=2, first_wait=0.01, longest_wait=0.1, timeout=10)
PLAN = Target("hot_lead_offer", "2026-03-02")
NAMES = ["tier", "visits", "score", "is_new"]
ENVIRONMENT = {"S3_KEY": S3.key, "S3_SECRET": S3.secret, "SFTP_PASSWORD": Sftp.password}


@pytest.fixture(scope="module")
def s3():
    with S3().running() as server:
        yield server


@pytest.fixture(scope="module")
def sftp(tmp_path_factory):
    with Sftp(tmp_path_factory.mktemp("sftp")).running() as server:
        yield server


@pytest.fixture(autouse=True)
def _nothing_secret_is_logged(monkeypatch, caplog):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    caplog.set_level(logging.DEBUG)
    yield
    for secret in (*ENVIRONMENT.values(), "@example.com", "PRIVATE KEY"):
        assert secret not in logged(caplog)


def rows(*numbers: int, **attributes) -> list[Row]:
    return [
        Row(f"u{n:03}", f"u{n:03}", {"email": f"u{n}@example.com"} if n % 2 else {}, {"visits": n, **attributes})
        for n in numbers
    ]


def listed(folder: Path, members: list[Row]) -> Path:
    """Write rows to a file as the sync hands them over: without a column of what nobody has."""
    columns: dict[str, str] = {"key": "varchar", "user_id": "varchar"}
    told = [{"key": row.key, "user_id": row.user_id, **row.addresses, **row.attributes} for row in members]
    types = {bool: "boolean", int: "bigint", float: "double", str: "varchar"}
    for row in told:
        columns |= {name: types[type(value)] for name, value in row.items() if value is not None}
    file = folder / "given.parquet"
    with duckdb.connect() as con:
        con.execute(f"create table given ({', '.join(f'{name} {type_}' for name, type_ in columns.items())})")
        con.executemany(
            f"insert into given values ({', '.join('?' * len(columns))})",
            [[row.get(name) for name in columns] for row in told],
        )
        con.execute(f"copy (from given order by key) to '{file}'")
    return file


def s3_options(s3: S3) -> dict:
    given = {"url": f"s3://{s3.bucket}/to/crm", "key_env": "S3_KEY", "secret_env": "S3_SECRET"}
    return {**given, "endpoint_url": s3.url, "region": "us-east-1"}


def sftp_options(sftp: Sftp, **login: str) -> dict:
    login = login or {"password_env": "SFTP_PASSWORD"}
    return {"url": f"sftp://{sftp.user}@127.0.0.1:{sftp.port}/in", "host_key": sftp.public_key, **login}


def destination(base: Path, options: dict | None = None, **more) -> Files:
    given = {"url": "out", "formats": ["csv", "parquet", "jsonl"], "addresses": ["email"], **(options or {}), **more}
    return Files("drop", {**given, "base": str(base)}, PATIENCE)


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fits(manifest: bytes, files: dict[str, bytes], folder: str = "") -> bool:
    said = json.loads(manifest)["files"]
    return all(hashlib.sha256(files[folder + name]).hexdigest() == digest for name, digest in said.items())


def test_three_formats_hold_the_same_rows_with_their_types(tmp_path):
    files = destination(tmp_path)
    members = rows(1, 2, tier="gold", score=1.5, is_new=True) + rows(3, tier=None, score=2.0, is_new=None)
    assert files.put(PLAN, listed(tmp_path, members), NAMES) == 3
    folder = tmp_path / "out" / "drop"
    wanted = [
        ("u001", "u1@example.com", "gold", 1, 1.5, True),
        ("u002", None, "gold", 2, 1.5, True),
        ("u003", "u3@example.com", None, 3, 2.0, None),
    ]
    with duckdb.connect() as con:
        found = con.execute(f"select * from '{folder}/hot_lead_offer.parquet'").fetchall()
    assert found == wanted
    assert [type(value) for value in found[0]] == [str, str, str, int, float, bool]
    lines = (folder / "hot_lead_offer.jsonl").read_text(encoding="utf-8").splitlines()
    assert [tuple(json.loads(line).values()) for line in lines] == wanted
    with (folder / "hot_lead_offer.csv").open(encoding="utf-8", newline="") as file:
        header, first, *_ = csv.reader(file)
    assert header == ["user_id", "email", *NAMES]
    assert first == ["u001", "u1@example.com", "gold", "1", "1.5", "true"]
    manifest = (folder / "hot_lead_offer.manifest.json").read_bytes()
    assert fits(manifest, files_in(folder))
    assert {**json.loads(manifest), "files": None} == {
        "audience": "hot_lead_offer",
        "plan_date": "2026-03-02",
        "rows": 3,
        "files": None,
    }
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, folder.parent)} == {0o700}


def test_the_same_rows_are_the_same_bytes_and_a_list_is_replaced_whole(tmp_path):
    files = destination(tmp_path)
    files.put(PLAN, listed(tmp_path, rows(*range(500), tier="gold")), NAMES)
    before = files_in(tmp_path)
    destination(tmp_path).put(PLAN, listed(tmp_path, rows(*range(500), tier="gold")), NAMES)
    assert files_in(tmp_path) == before
    files.put(PLAN, listed(tmp_path, rows(7, tier="gold")), NAMES)
    assert b"u007" in files_in(tmp_path)["out/drop/hot_lead_offer.csv"]
    assert b"u008" not in files_in(tmp_path)["out/drop/hot_lead_offer.csv"]
    files.clear(PLAN, NAMES)
    left = files_in(tmp_path)
    assert left["out/drop/hot_lead_offer.csv"] == b"user_id,email,tier,visits,score,is_new\n"
    assert left["out/drop/hot_lead_offer.jsonl"] == b""
    assert set(left) == set(before)


def test_what_a_killed_run_left_while_it_sorted_goes_with_the_next_list(tmp_path):
    left = tmp_path / "out" / "drop" / ".sorting.tmp" / "duckdb_temp_storage_DEFAULT-0.tmp"
    left.parent.mkdir(parents=True)
    left.write_text("u1@example.com")
    destination(tmp_path).put(PLAN, listed(tmp_path, rows(1)), NAMES)
    assert not left.exists()


def test_only_asked_for_addresses_and_formats_are_there(tmp_path):
    destination(tmp_path).put(PLAN, listed(tmp_path, rows(1)), NAMES)
    destination(tmp_path, formats=["jsonl"], addresses=[]).put(PLAN, listed(tmp_path, rows(1)), NAMES)
    left = files_in(tmp_path / "out" / "drop")
    assert set(left) == {"hot_lead_offer.jsonl", "hot_lead_offer.manifest.json"}
    assert b"@" not in left["hot_lead_offer.jsonl"]


def test_no_cell_of_the_csv_is_a_formula_and_awkward_values_stay_what_they_are(tmp_path):
    odd = {"tier": '=HYPERLINK("x")', "visits": 2**62, "score": float("nan"), "is_new": 'a "b", \n ü🌦'}
    fine = {"tier": "-3", "visits": 1, "score": -1e-7, "is_new": ""}
    destination(tmp_path).put(PLAN, listed(tmp_path, rows(1, **odd) + rows(2, **fine)), NAMES)
    folder = tmp_path / "out" / "drop"
    with (folder / "hot_lead_offer.csv").open(encoding="utf-8", newline="") as file:
        _, first, second = csv.reader(file)
    assert first[2:] == ["'" + odd["tier"], str(2**62), "", odd["is_new"]]
    assert second[2:] == ["-3", "1", "-1e-07", ""]
    with duckdb.connect() as con:
        found = con.execute(f"select tier, visits, score, is_new from '{folder}/hot_lead_offer.parquet'").fetchall()
    assert found == [(odd["tier"], 2**62, None, odd["is_new"]), ("-3", 1, -1e-7, "")]


@pytest.mark.parametrize("login", ["password", "private_key"])
def test_an_sftp_server_gets_the_files_of_a_folder(tmp_path, sftp, login, monkeypatch):
    monkeypatch.setenv("SFTP_KEY", sftp.user_key.export_private_key().decode())
    given = {"password": {"password_env": "SFTP_PASSWORD"}, "private_key": {"private_key_env": "SFTP_KEY"}}[login]
    there = destination(tmp_path, sftp_options(sftp, **given))
    for members in (rows(1, 2), rows(2, 3, tier="gold")):
        there.put(PLAN, listed(tmp_path, members), NAMES)
        destination(tmp_path).put(PLAN, listed(tmp_path, members), NAMES)
        assert files_in(sftp.root / "in" / "drop") == files_in(tmp_path / "out" / "drop")
    assert Sftp.password not in repr(vars(there))
    there.clear(PLAN, NAMES)
    assert (sftp.root / "in/drop/hot_lead_offer.jsonl").read_bytes() == b""
    assert files_in(tmp_path / "outgoing") == {}


def test_an_s3_bucket_gets_the_files_of_a_folder(tmp_path, s3):
    there = destination(tmp_path, s3_options(s3))
    there.put(PLAN, listed(tmp_path, rows(1, 2)), NAMES)
    destination(tmp_path, s3_options(s3), formats=["csv"]).put(PLAN, listed(tmp_path, rows(3)), NAMES)
    destination(tmp_path, formats=["csv"]).put(PLAN, listed(tmp_path, rows(3)), NAMES)
    local = files_in(tmp_path / "out" / "drop")
    found = {name: content for name, content in s3.files().items() if "hot_lead_offer" in name}
    assert found == {f"to/crm/drop/{name}": content for name, content in local.items()}
    assert files_in(tmp_path / "outgoing") == {}


#: What is killed while it writes the files of a list of some megabytes, or while it uploads them.
CHILD = """
import json, sys
from pathlib import Path
from orchestration.activation.destinations import files
from orchestration.activation.destinations.interface import Target
options, rows, waits = json.loads(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
write = files.write_file
def write_and_wait(con, file, *more):
    write(con, file, *more)
    print("half", flush=True)
    sys.stdin.read()
if waits:
    files.write_file = write_and_wait
files.Files("drop", options).put(Target("big", "2026-03-02"), rows, ["text"])
"""


def big_rows(folder: Path, megabytes: int) -> Path:
    return listed(folder, [Row(f"u{n:03}", f"u{n:03}", {}, {"text": chr(97 + n) * 2**20}) for n in range(megabytes)])


def begin(files: Files, rows: Path, waits: bool = False) -> subprocess.Popen:
    """Start a child that puts a list there; it may wait once a file is written."""
    command = [sys.executable, "-c", CHILD, json.dumps(dict(files.given)), str(rows), json.dumps(waits)]
    return subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def kill(child: subprocess.Popen) -> None:
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.communicate()


def test_killed_while_it_writes_a_folder_holds_the_old_list(tmp_path):
    files = destination(tmp_path, formats=["csv"], addresses=[])
    target = Target("big", "2026-03-02")
    files.put(target, listed(tmp_path, rows(1)), ["text"])
    old = files_in(tmp_path / "out" / "drop")
    child = begin(files, big_rows(tmp_path, 2), waits=True)
    assert child.stdout.readline() == b"half\n"
    kill(child)
    left = files_in(tmp_path / "out" / "drop")
    assert {name: content for name, content in left.items() if not name.startswith(".")} == old
    assert set(left) != set(old)
    files.prepare(target)
    assert files_in(tmp_path / "out" / "drop") == old


def test_killed_while_it_uploads_an_sftp_server_holds_whole_files(tmp_path, sftp):
    target = Target("big", "2026-03-02")
    given = {"formats": ["csv", "jsonl"], "addresses": []}
    files = destination(tmp_path, sftp_options(sftp), **given)
    files.put(target, listed(tmp_path, rows(1)), ["text"])
    folder = sftp.root / "in" / "drop"
    old = {name: content for name, content in files_in(folder).items() if "big." in name}
    sftp.gate.shut(".big.jsonl.tmp", after=2**20)
    child = begin(files, big_rows(tmp_path, 2))
    try:
        assert sftp.gate.reached.wait(20)
        kill(child)
        left = files_in(folder)
    finally:
        sftp.gate.open()
    here = destination(tmp_path, **given)
    here.put(target, big_rows(tmp_path, 2), ["text"])
    new = files_in(tmp_path / "out" / "drop")
    assert left["big.csv"] == new["big.csv"]
    assert left["big.jsonl"] == old["big.jsonl"]
    assert len(left[".big.jsonl.tmp"]) < len(new["big.jsonl"])
    # a reader who compares knows that the pair is not complete
    assert left["big.manifest.json"] == old["big.manifest.json"]
    assert not fits(left["big.manifest.json"], left)
    files.put(target, big_rows(tmp_path, 2), ["text"])
    assert {name: content for name, content in files_in(folder).items() if "big." in name} == new
    assert files_in(tmp_path / "outgoing") == {}


def test_killed_while_it_uploads_a_bucket_holds_the_old_list(tmp_path, s3):
    target = Target("big", "2026-03-02")
    files = destination(tmp_path, s3_options(s3), formats=["csv"], addresses=[])
    files.put(target, listed(tmp_path, rows(1)), ["text"])
    old = {name: content for name, content in s3.files().items() if "/big." in name}
    s3.gate.shut("big.csv", after=2)
    child = begin(files, big_rows(tmp_path, 11))
    try:
        assert s3.gate.reached.wait(20)
        kill(child)
    finally:
        s3.gate.open()
    assert {name: content for name, content in s3.files().items() if "/big." in name} == old
    assert s3.half_made() == ["to/crm/drop/big.csv"]
    files.put(target, big_rows(tmp_path, 11), ["text"])
    assert s3.half_made() == []
    new = {name.rpartition("/")[2]: content for name, content in s3.files().items() if "/big." in name}
    assert len(new["big.csv"]) > 11 * 2**20
    assert fits(new["big.manifest.json"], new)


def said(error: pytest.ExceptionInfo) -> str:
    """Return all that an error says, its causes included."""
    text, one = "", error.value
    while one is not None:
        text, one = f"{text}\n{one!r} {one}", one.__cause__
    return text


def test_a_server_with_another_key_gets_nothing(tmp_path, sftp):
    other = Sftp(tmp_path).public_key
    hosts = tmp_path / "known_hosts"
    hosts.write_text(f"[127.0.0.1]:{sftp.port} {other}\n")
    options = sftp_options(sftp)
    for trust in (
        {"host_key": other},
        {"host_key": "", "known_hosts": str(hosts)},
        {"host_key": "ssh-ed25519 rubbish"},
    ):
        with pytest.raises(WrongSettings, match="trust|host_key") as raised:
            destination(tmp_path, {**options, **trust}).put(Target("secretly"), listed(tmp_path, rows(1)), NAMES)
        assert Sftp.password not in said(raised)
    assert not list(sftp.root.rglob("*secretly*"))
    hosts.write_text(f"[127.0.0.1]:{sftp.port} {sftp.public_key}\n")
    files = destination(tmp_path, {**options, "known_hosts": str(hosts)})
    assert files.put(Target("openly"), listed(tmp_path, rows(1)), NAMES) == 1


@pytest.mark.parametrize(
    ("login", "value"),
    [("password_env", "wrong password"), ("private_key_env", "no key at all"), ("private_key_env", None)],
)
def test_a_login_that_an_sftp_server_refuses_is_a_wrong_setting(tmp_path, sftp, login, value, monkeypatch):
    value = value or Sftp(tmp_path).user_key.export_private_key().decode()
    monkeypatch.setenv("SFTP_LOGIN", value)
    with pytest.raises(WrongSettings) as raised:
        destination(tmp_path, sftp_options(sftp, **{login: "SFTP_LOGIN"})).put(PLAN, listed(tmp_path, rows(1)), NAMES)
    assert value not in said(raised)


def test_a_key_that_s3_refuses_is_a_wrong_setting(tmp_path, s3, monkeypatch):
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    with pytest.raises(WrongSettings) as raised:
        destination(tmp_path, s3_options(s3)).put(PLAN, listed(tmp_path, rows(1)), NAMES)
    assert S3.secret not in said(raised)
    assert S3.key not in said(raised)


def test_a_bucket_that_is_not_there_is_a_wrong_setting(tmp_path, s3):
    with pytest.raises(WrongSettings):
        destination(tmp_path, {**s3_options(s3), "url": "s3://nowhere"}).put(PLAN, listed(tmp_path, rows(1)), NAMES)


def test_a_secret_that_is_not_set_is_named_by_its_variable(tmp_path, s3, sftp, monkeypatch):
    for options, variable in ((s3_options(s3), "S3_SECRET"), (sftp_options(sftp), "SFTP_PASSWORD")):
        monkeypatch.setenv(variable, "")
        with pytest.raises(WrongSettings, match=variable):
            destination(tmp_path, options).put(PLAN, listed(tmp_path, rows(1)), NAMES)


def test_a_server_out_of_reach_has_taken_nothing(tmp_path, sftp):
    for options in (
        {**sftp_options(sftp), "url": "sftp://drop@127.0.0.1:9/in"},
        {"url": "s3://lists", "key_env": "S3_KEY", "secret_env": "S3_SECRET", "endpoint_url": "http://127.0.0.1:9"},
    ):
        files = destination(tmp_path, options)
        files.patience = Patience(attempts=1, timeout=2)
        with pytest.raises(NotTaken, match="no_connection"):
            files.put(PLAN, listed(tmp_path, rows(1)), NAMES)
    assert files_in(tmp_path / "outgoing") == {}


def test_a_server_that_fails_half_way_leaves_an_answer_open(tmp_path, sftp, monkeypatch):
    monkeypatch.setattr(sftp.gate, "holds", lambda name, at: 1 / 0)
    with pytest.raises(LostAnswer, match="upload_lost"):
        destination(tmp_path, sftp_options(sftp)).put(PLAN, listed(tmp_path, rows(1)), NAMES)


def test_a_server_that_cannot_replace_a_file_keeps_the_old_one(tmp_path, sftp, monkeypatch):
    files = destination(tmp_path, sftp_options(sftp))
    files.put(PLAN, listed(tmp_path, rows(1)), NAMES)
    old = (sftp.root / "in/drop/hot_lead_offer.csv").read_bytes()
    monkeypatch.setattr(sftp, "can_replace", False)
    with pytest.raises(WrongSettings, match="one step"):
        files.put(PLAN, listed(tmp_path, rows(2)), NAMES)
    assert (sftp.root / "in/drop/hot_lead_offer.csv").read_bytes() == old


S3_RIGHT = {"url": "s3://lists/x", "key_env": "K", "secret_env": "S"}
SFTP_RIGHT = {"url": "sftp://me@host/in", "password_env": "P", "host_key": "ssh-ed25519 AAAA"}


@pytest.mark.parametrize(
    ("options", "paths"),
    [
        ({"url": "out"}, []),
        ({"url": "/mnt/share"}, []),
        (S3_RIGHT, []),
        (SFTP_RIGHT, []),
        ({"url": ""}, ["url"]),
        ({"url": "../out"}, ["url"]),
        ({"url": "ftp://host/x"}, ["url"]),
        ({"url": "file:///etc"}, ["url"]),
        ({"url": "s3://"}, ["url"]),
        ({"url": "sftp://[host/x"}, ["url"]),
        ({"url": "out", "formats": ["xlsx"]}, ["formats"]),
        ({"url": "out", "formats": []}, ["formats"]),
        ({"url": "out", "addresses": ["postal"]}, ["addresses"]),
        ({"url": "out", "password_env": "P"}, ["password_env"]),
        ({"url": "s3://lists", "key_env": "K"}, ["secret_env"]),
        ({**S3_RIGHT, "endpoint_url": "http://store.example.com"}, ["endpoint_url"]),
        ({**S3_RIGHT, "host_key": "x"}, ["host_key"]),
        ({**SFTP_RIGHT, "url": "sftp://me:word@host/in"}, ["url"]),
        ({**SFTP_RIGHT, "url": "sftp://host/in"}, ["url"]),
        ({**SFTP_RIGHT, "url": "sftp://me@host/../in"}, ["url"]),
        ({**SFTP_RIGHT, "url": "sftp://me@host/%2e%2e/in"}, ["url"]),
        ({**SFTP_RIGHT, "private_key_env": "K"}, ["password_env"]),
        ({"url": "sftp://me@host/in", "password_env": "P"}, ["host_key"]),
    ],
)
def test_wrong_options_are_found_without_a_call(options, paths):
    assert [problem.path for problem in Files.check(options, {})] == [("options", path) for path in paths]


def test_a_secret_in_place_of_its_variable_is_found_and_not_repeated():
    (problem,) = Files.check({**S3_RIGHT, "secret_env": S3.secret}, {})
    assert problem.path == ("options", "secret_env")
    assert S3.secret not in problem.text


def test_columns_that_would_be_formulas_are_found():
    wrong = Files.check({"url": "out"}, {"segments": ["rfm", "=rfm", "last visit"], "hot": ["a_b", "e\nmail"]})
    assert [problem.path for problem in wrong] == [
        ("attributes", "segments", "=rfm"),
        ("attributes", "hot", "e\nmail"),
    ]
    assert "'=rfm'" in wrong[0].text


def test_names_that_lead_elsewhere_are_refused(tmp_path):
    with pytest.raises(BarometerError):
        destination(tmp_path).put(Target("../../x"), None, NAMES)
    with pytest.raises(BarometerError):
        Files("../x", {"url": "out", "base": str(tmp_path)})
