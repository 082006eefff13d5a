"""Which files are loaded, and when."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestration.landing.contract import DATASETS
from orchestration.landing.schema import create_raw_schema, stored_columns


def test_no_landing_folder(world):
    world.landing.rmdir()
    result = world.load()
    assert result.max_load_id == 0
    assert world.query("from raw.load_files") == []


def test_every_dataset_is_an_empty_table(world):
    create_raw_schema(world.con)
    for dataset in DATASETS.values():
        described = [(row[0], row[1]) for row in world.query(f"describe raw.{dataset.name}")]
        assert described == list(stored_columns(dataset))


def test_files_that_are_left_alone(world):
    for name in (".hidden.csv", "_SUCCESS", "_a.csv", "a.csv.tmp", "a.TMP", "_part/a.csv", ".git/a.csv"):
        world.write(f"users/{name}", "user_id\nu1\n")
    assert world.load().unreadable == []
    assert world.query("from raw.users") == []


def test_a_second_run_does_nothing(world, make_event):
    world.write("events/a.jsonl", [make_event(), make_event("e2", user_id="")])
    world.write("users/a.csv", "user_id,phone\nu1,+4915123456789\n")
    world.write("erasures/a.csv", "user_id,requested_at\nu9,2024-01-01\n")
    world.write("orders/bad.parquet", b"no")
    world.write("unheard_of/a.csv", "x\n")
    world.load()
    before, lines = world.dump(), len(world.lines)
    result = world.load()
    assert world.dump() == before
    assert world.lines[lines:] == []
    assert result.files_loaded == 0
    assert result.datasets["events"].files_same == 1


def test_a_touched_file_is_not_loaded_again(world):
    path = world.write("users/a.csv", "user_id\nu1\n")
    world.load()
    os.utime(path, ns=(1, 1))
    result = world.load()
    assert result.datasets["users"].files_same == 1
    assert world.query("select modified_ns, rows_read from raw.load_files") == [(1, 1)]


def test_the_same_content_under_another_path_is_another_file(world):
    world.write("users/a.csv", "user_id\nu1\n")
    world.write("users/b.csv", "user_id\nu1\n")
    world.load()
    assert world.column("select rows_duplicate from raw.load_files order by file") == [0, 1]


def test_settling(world):
    world.set(settle_seconds=60)
    path = world.write("users/a.csv", "user_id\nu1\n")
    changed = datetime.fromtimestamp(path.stat().st_ctime, UTC)
    world.now = changed + timedelta(seconds=59)
    assert world.load().datasets["users"].files_unsettled == 1
    assert world.query("from raw.load_files") == []
    world.now = changed + timedelta(seconds=61)
    assert world.load().datasets["users"].files_loaded == 1


def test_an_old_time_of_change_does_not_settle_a_file_that_just_came(world):
    world.set(settle_seconds=60)
    path = world.write("users/a.csv", "user_id\nu1\n")
    os.utime(path, (0, 0))
    world.now = datetime.fromtimestamp(path.stat().st_ctime, UTC) + timedelta(seconds=5)
    assert world.load().datasets["users"].files_unsettled == 1


def test_links_out_of_the_landing_folder_are_not_followed(world, tmp_path):
    secret = tmp_path / "secret.csv"
    secret.write_text("user_id\nsecret\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.csv").write_text("user_id\nsecret\n")
    (world.landing / "users").mkdir()
    (world.landing / "users" / "a.csv").symlink_to(secret)
    (world.landing / "users" / "more").symlink_to(tmp_path / "more")
    (world.landing / "users" / "gone.csv").symlink_to(tmp_path / "gone.csv")
    world.load()
    assert world.query("from raw.users") == []


def test_unknown_folders_are_named_once(world):
    world.write("unheard_of/a.csv", "x\n")
    world.write("unheard_of/b.csv", "x\n")
    world.write("README.md", "x\n")
    assert [(file, reason) for file, reason, _ in world.load().unreadable] == [
        ("README.md", "unknown_format"), ("unheard_of/", "unknown_format")]  # fmt: skip
    assert world.load().unreadable == []
    assert world.one("select count(*) from raw.rejected_files") == 2


def test_a_repaired_file_is_loaded(world):
    world.write("users/a.csv", "nothing\nu1\n")
    assert len(world.load().unreadable) == 1
    world.write("users/a.csv", "user_id\nu1\n")
    assert world.load().files_loaded == 1
    assert world.column("select user_id from raw.users") == ["u1"]


def test_erasures_load_first_and_files_in_order(world):
    for file in ("users/b.csv", "users/a.csv", "users/a/c.csv"):
        world.write(file, f"user_id\n{file}\n")
    world.write("erasures/z.csv", "user_id,requested_at\nu,2024-01-01\n")
    result = world.load()
    assert world.column("select file from raw.load_files order by load_id") == [
        "erasures/z.csv", "users/a.csv", "users/a/c.csv", "users/b.csv"]  # fmt: skip
    assert result.max_load_id == 4
    assert [(name, outcome.rows_accepted) for name,
        outcome in result.datasets.items() if outcome.rows_accepted] == [
        ("erasures", 1), ("users", 3)]  # fmt: skip


@pytest.mark.parametrize("fail_at", ["raw.load_files", "raw.bad_values", "raw.rejected_rows"])
def test_a_load_that_fails_leaves_nothing_of_its_file(world, make_event, monkeypatch, fail_at):
    world.write("events/a.jsonl", [make_event(updated_at="2024-03-01")])
    world.load()
    before = world.dump()
    world.write(
        "events/b.jsonl",
        [make_event(updated_at="2024-03-02"), make_event("e2", value="x"), make_event("e3", event="")],
    )

    class Failing:
        def __init__(self, con):
            self.con = con

        def execute(self, sql, *parameters):
            if f"insert into {fail_at}" in sql:
                raise KeyboardInterrupt
            return self.con.execute(sql, *parameters)

        def __getattr__(self, name):
            return getattr(self.con, name)

    real, world.con = world.con, Failing(world.con)
    with pytest.raises(KeyboardInterrupt):
        world.load()
    world.con = real
    assert world.dump() == before
    world.load()
    assert world.ledger("events/b.jsonl")["accepted"] == 2


def test_settings_of_the_connection_are_put_back(world):
    world.con.execute("set TimeZone = 'America/New_York'")
    world.write("users/a.csv", "user_id\nu1\n")
    world.load()
    assert world.one("select current_setting('TimeZone')") == "America/New_York"


def test_a_name_that_is_not_utf8(world):
    path = world.write("users/a.csv", "user_id\nu1\n")
    path.rename(Path(os.fsdecode(os.fsencode(path.parent) + b"/caf\xe9.csv")))
    world.load()
    assert world.query("select file, rows_accepted from raw.load_files") == [("users/caf\\xe9.csv", 1)]
    assert world.load().datasets["users"].files_same == 1


def not_accessible(world):
    return world.query(
        "select dataset, file, sha256 from raw.rejected_files where reason = 'not_accessible' order by all"
    )


def test_links_that_lead_nowhere_count_until_they_are_mended(world, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (world.landing / "consents").symlink_to(outside)
    (world.landing / "erasures").symlink_to(tmp_path / "gone")
    (world.landing / "message_events").mkdir()
    (world.landing / "message_events" / "a.csv").symlink_to(tmp_path / "gone")
    expected = [("consents", "consents/", ""), ("erasures", "erasures", ""),
        ("message_events", "message_events/a.csv", "")]  # fmt: skip
    for _ in range(2):
        assert len(world.load().unreadable) == 3
        assert not_accessible(world) == expected
    for name in ("consents", "erasures", "message_events/a.csv"):
        (world.landing / name).unlink()
    assert world.load().unreadable == []
    assert not_accessible(world) == []


def test_a_folder_that_cannot_be_listed(world, monkeypatch):
    world.write("consents/more/a.csv", "user_id\nu1\n")
    scandir = os.scandir

    def deny(path):
        if str(path).endswith("more"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", deny)
        world.load()
    assert not_accessible(world) == [("consents", "consents/more/", "")]
    world.load()
    assert not_accessible(world) == []


def test_a_file_that_cannot_be_opened_is_tried_again(world, monkeypatch):
    world.write("erasures/a.csv", "user_id,requested_at\nu1,2024-01-01\n")

    def deny(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("orchestration.landing.load.sha256", deny)
        for _ in range(2):
            world.load()
            assert not_accessible(world) == [("erasures", "erasures/a.csv", "")]
    assert world.load().files_loaded == 1
    assert not_accessible(world) == []
