"""Where an explanation comes from: which file, which user, and what is never read or said."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from orchestration.command_line import main
from orchestration.errors import BarometerError
from orchestration.explain.facts import Facts
from orchestration.explain.job import explain_job, fenced
from orchestration.explain.reading import file_of, policy_of, read_facts
from orchestration.explain.text import explain
from orchestration.publish.publish import seal
from orchestration.settings import ROOT, Settings, dbt_vars
from tests.unit.pipeline.explain_tables import JUNE, make_tables

MAY, JULY = date(2024, 5, 31), date(2024, 7, 1)
ADDRESS = "anna.of.the.shop@example.org"


class HashedSettings(Settings):
    """Settings of a company whose user_ids are addresses."""

    @property
    def policy(self) -> dict[str, Any]:  # type: ignore[override]
        return {**dbt_vars(), "user_id_is_address": "hash"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(tmp_path / "landing", tmp_path / "data", JUNE, JULY)
    make_tables(settings.published_file)
    return settings


def told(error: pytest.ExceptionInfo[BarometerError]) -> str:
    return str(error.value)


# which date


def test_without_a_date_that_of_the_published_file(settings: Settings) -> None:
    assert file_of(settings, None) == file_of(settings, JUNE) == settings.published_file
    assert read_facts(settings, "anna").as_of == JUNE


def test_an_older_date_is_read_from_its_backfill(settings: Settings) -> None:
    backfill = settings.backfills / "2024-05-31.duckdb"
    make_tables(backfill, MAY)
    assert file_of(settings, MAY) == backfill
    assert read_facts(settings, "anna", MAY).as_of == MAY
    # the published file need not be there
    settings.published_file.unlink()
    assert read_facts(settings, "anna", MAY).as_of == MAY


@pytest.mark.parametrize(
    ("as_of", "message", "hint"),
    [
        (MAY, "2024-05-31 was never built.", 'make run ARGS="--as-of 2024-05-31" (or leave AS_OF out for 2024-06-30)'),
        (
            date(2024, 6, 29),
            "The tables of 2024-06-29 were replaced by those of 2024-06-30.",
            'make run ARGS="--as-of 2024-06-29"',
        ),
        (JULY, "2024-07-01 was never built.", 'make run ARGS="--as-of 2024-07-01"'),
        (date(2024, 7, 2), "2024-07-02 is still to come: today is 2024-07-01.", "Ask for an earlier date."),
    ],
)
def test_a_date_that_is_not_there(settings: Settings, as_of: date, message: str, hint: str) -> None:
    with pytest.raises(BarometerError) as error:
        read_facts(settings, "anna", as_of)
    assert message in error.value.message
    assert hint in error.value.hint


def test_nothing_is_published_yet(tmp_path: Path) -> None:
    with pytest.raises(BarometerError, match="Nothing is published yet") as error:
        read_facts(Settings(tmp_path, tmp_path / "data", JUNE, JULY), "anna")
    assert error.value.hint == "Run the pipeline: make run"
    assert not (tmp_path / "data").exists()


def test_a_file_of_an_earlier_version(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_file)) as con:
        con.execute("drop table marts.contact_plan")
    with pytest.raises(BarometerError, match="it has no contact_plan") as error:
        read_facts(settings, "anna")
    assert error.value.hint == 'Build it again: make run ARGS="--as-of 2024-06-30"'
    with duckdb.connect(str(settings.published_file)) as con:
        con.execute("update marts.build_info set is_final = false")
    with pytest.raises(BarometerError, match="There is no plan yet"):
        read_facts(settings, "anna")


def test_a_run_that_writes_a_backfill(settings: Settings) -> None:
    backfill = settings.backfills / "2024-05-31.duckdb"
    make_tables(backfill, MAY)
    script = "import duckdb, sys; con = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [ROOT / ".venv/bin/python", "-c", script, backfill], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(BarometerError, match="A run is writing") as error:
            read_facts(settings, "anna", MAY)
        assert error.value.hint == "Ask again when it has ended."
        other.communicate()
    assert read_facts(settings, "anna", MAY).user_id == "anna"


# which user


@pytest.mark.parametrize(
    "user_id", ["nobody", "Anna", "ann", "anna' or '1'='1", "'; drop table marts.user_360; --", "\udcff\x1b[2J", "%"]
)
def test_nobody_is_known_by_it_and_nobody_else_is_named(settings: Settings, user_id: str) -> None:
    with pytest.raises(BarometerError, match="Nobody is known by the user_id .* as of 2024-06-30") as error:
        read_facts(settings, user_id)
    text = told(error).replace(user_id, "")
    assert not [name for name in ("anna", "bob", "cleo", "dan") if name in text]
    assert all(character == "\n" or character.isprintable() for character in told(error))
    assert read_facts(settings, "anna").segments


def test_an_id_is_trimmed_and_must_be_there(settings: Settings) -> None:
    assert read_facts(settings, " anna\n").user_id == "anna"
    for nothing in ("", "  "):
        with pytest.raises(BarometerError, match="Nobody was named") as error:
            read_facts(settings, nothing)
        assert "make explain USER=u10702 [AS_OF=2026-06-30] [ARGS=--addresses]" in error.value.hint


def test_only_what_is_of_the_user_and_of_the_last_30_days(settings: Settings) -> None:
    anna, dan = read_facts(settings, "anna"), read_facts(settings, "dan")
    assert [message.contact_date for message in anna.messages] == [
        date(2024, 6, day) for day in (1, 3, 3, 20, 27, 28, 28)
    ]
    assert [contact.plan_date for contact in anna.planned_contacts] == [date(2024, 6, 28), JUNE]
    assert not [*dan.messages, *dan.planned_contacts, *dan.plan]
    assert dan.rfm == dan.pressure_by_channel == {}
    assert {row.channel for row in dan.eligibility} == {"email", "sms"}


def test_the_plan_of_the_night_in_a_build_of_the_day(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_file)) as con:
        con.execute("update marts.build_info set as_of = '2024-07-01', is_final = false")
    facts = read_facts(settings, "anna")
    assert (facts.as_of, facts.plan_date, facts.next_date) == (JULY, JULY, date(2024, 7, 2))


def test_channels_that_brought_no_reaction(settings: Settings) -> None:
    with duckdb.connect(str(settings.published_file)) as con:
        for channel, day, opened in [("sms", 28, False), ("viber", 28, True)]:
            for number in range(3):
                con.execute(
                    "insert into marts.fct_contacts select ?, 'dan', ?, 'news', 'marketing', ?, ?, true, ?, false, "
                    "false, false",
                    [f"{channel}{number}", channel, date(2024, 4, day), date(2024, 4, day), opened and number == 1],
                )
    assert read_facts(settings, "dan").silent_channels == {"sms"}
    with duckdb.connect(str(settings.published_file)) as con:
        # the last of 90 days is 2 April; two contacts are too few to tell
        con.execute("update marts.fct_contacts set contact_date = '2024-04-01' where message_id = 'sms0'")
    assert read_facts(settings, "dan").silent_channels == set()


def test_policy(settings: Settings) -> None:
    policy = policy_of(settings)
    assert policy.channels[0] == "email"
    assert "in_app" in policy.counting
    assert policy.gaps["voice"] == 14
    assert "post_purchase_care" in policy.each_order
    assert "reactivate_dormant" in policy.drops_silent


# hashed ids


@pytest.fixture
def hashed(tmp_path: Path) -> HashedSettings:
    settings = HashedSettings(tmp_path / "landing", tmp_path / "hashed", JUNE, JULY, hash_key="a long secret")
    make_tables(settings.published_file)
    seal(settings.published_file, settings, {})
    return settings


def test_an_id_that_is_published_as_a_hash(hashed: HashedSettings) -> None:
    with duckdb.connect(str(hashed.published_file), read_only=True) as con:
        ids = [user_id for (user_id,) in con.execute("select user_id from marts.user_360").fetchall()]
    assert "anna" not in ids
    title, line, told = explain(hashed, "anna").partition("\n  Pressure")
    assert title.startswith("User anna as of")
    assert "Planned    cart on email" in told
    # who has found a hash in the published file may ask for it
    found = [explain(hashed, user_id).partition(line)[2] for user_id in ids]
    assert found.count(told) == 1


def test_hashes_need_their_key(hashed: HashedSettings) -> None:
    with pytest.raises(BarometerError, match="there is no key") as error:
        read_facts(replace(hashed, hash_key=None), "anna")
    assert "BAROMETER_HASH_KEY" in error.value.hint
    with pytest.raises(BarometerError, match="Nobody is known"):
        read_facts(replace(hashed, hash_key="another"), "anna")


# addresses


@pytest.fixture
def with_addresses(settings: Settings) -> Callable[[], Facts]:
    with duckdb.connect(str(settings.working_file)) as con:
        con.execute("create schema control; create schema intermediate")
        con.execute("create table control.run_context as select date '2024-06-30' as as_of")
        con.execute("create table control.build_state as select 'whole' as fingerprint")
        con.execute(
            "create table intermediate.int_user_addresses as select * from (values "
            f"('anna', 'sms', '+49301234567'), ('anna', 'email', '{ADDRESS}'), ('bob', 'email', 'b@example.org')"
            ") as t(user_id, channel, address)"
        )
    (settings.warehouse / ".lock").touch()
    return lambda: read_facts(settings, "anna", with_addresses=True)


def test_addresses_are_read_only_where_they_are_asked_for(
    settings: Settings, with_addresses: Callable[[], Facts], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert with_addresses().addresses == {"email": ADDRESS, "sms": "+49301234567"}
    assert ADDRESS in explain(settings, "anna", with_addresses=True)
    assert ADDRESS not in explain(settings, "anna")
    assert read_facts(settings, "dan", with_addresses=True).addresses == {}
    # without the working file all else can be told
    settings.working_file.unlink()
    assert read_facts(settings, "anna").addresses is None
    with pytest.raises(BarometerError, match="There are no addresses"):
        with_addresses()


def test_addresses_of_another_date(settings: Settings, with_addresses: Callable[[], Facts]) -> None:
    with duckdb.connect(str(settings.working_file)) as con:
        con.execute("update control.run_context set as_of = '2024-06-29'")
    with pytest.raises(BarometerError, match="There are addresses of 2024-06-29 alone, not of 2024-06-30") as error:
        with_addresses()
    assert "AS_OF=2024-06-29" in error.value.hint
    with duckdb.connect(str(settings.working_file)) as con:
        con.execute("delete from control.build_state")
    with pytest.raises(BarometerError, match="not whole"):
        with_addresses()


def test_addresses_while_a_run_goes_on(settings: Settings, with_addresses: Callable[[], Facts]) -> None:
    with (settings.warehouse / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BarometerError, match="A run is writing to the working file") as error:
            with_addresses()
        assert "leave --addresses out" in error.value.hint
        # nobody waits for a run who does not ask for them
        assert read_facts(settings, "anna").user_id == "anna"
    assert with_addresses().addresses
    # ... and no run waits for somebody who has asked
    with (settings.warehouse / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_addresses_without_the_right_to_read_them(settings: Settings, with_addresses: Callable[[], Facts]) -> None:
    (settings.warehouse / ".lock").unlink()
    with pytest.raises(BarometerError, match="can't be read"):
        with_addresses()


# the command, make and the job


def test_the_command(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    monkeypatch.setenv("BAROMETER_DATA", str(settings.data))
    monkeypatch.setenv("BAROMETER_TODAY", "2024-07-01")
    # what a run was told does not choose the date
    monkeypatch.setenv("BAROMETER_AS_OF", "2024-01-01")
    main(["explain", "anna"])
    said = capfd.readouterr()
    assert said.out == explain(settings, "anna") + "\n"
    assert said.err == ""
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "--as-of", "2024-05-31", "--", "-nobody"])
    assert stopped.value.code == 1
    assert "Barometer stopped: 2024-05-31 was never built." in capfd.readouterr().err


PRINTS_ITS_ARGUMENTS = '#!/bin/sh\nshift 2\nfor argument in "$@"; do echo "<$argument>"; done\n'


ODD = '-x; $(id) `id` "a\'b"'


@pytest.mark.parametrize(
    ("given", "arguments"),
    [
        # every shell has a variable USER: that one is nobody
        ([], ["explain", "--", ""]),
        (["USER=u1"], ["explain", "--", "u1"]),
        ([f"USER={ODD}", "AS_OF=2024-06-30"], ["explain", "--as-of=2024-06-30", "--", ODD]),
        (["USER=u1", "ARGS=--addresses"], ["explain", "--addresses", "--", "u1"]),
    ],
)  # fmt: skip
def test_make(tmp_path: Path, given: list[str], arguments: list[str]) -> None:
    python = tmp_path / "python"
    python.write_text(PRINTS_ITS_ARGUMENTS, encoding="utf-8")
    python.chmod(0o700)
    done = subprocess.run(
        ["make", "--no-print-directory", "--assume-old=.venv/run.installed", "explain", f"BIN={tmp_path}", *given],
        cwd=ROOT,
        env={**os.environ, "USER": "somebody", "AS_OF": "never", "MAKEFLAGS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [f"<{argument}>" for argument in arguments], done.stderr


def run_job(settings: Settings, monkeypatch: pytest.MonkeyPatch, **config: object) -> dg.ExecuteInProcessResult:
    monkeypatch.setenv("BAROMETER_DATA", str(settings.data))
    monkeypatch.setenv("BAROMETER_TODAY", "2024-07-01")
    return explain_job.execute_in_process(run_config={"ops": {"user": {"config": config}}}, raise_on_error=False)


def test_the_job_beside_a_run(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with (settings.warehouse / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run_job(settings, monkeypatch, user_id="anna")
    assert result.success
    (output,) = [event for event in result.all_events if event.is_successful_output]
    shown = output.step_output_data.metadata["explanation"].value
    assert shown == fenced(explain(settings, "anna"))


def test_the_job_says_what_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for config, message in (
        ({"user_id": "nobody"}, "Nobody is known by the user_id nobody"),
        ({"user_id": "anna", "as_of": "June"}, "as_of is 'June', which is no date"),
        ({"user_id": "anna", "as_of": "2024-05-31"}, "2024-05-31 was never built"),
        ({"user_id": "anna", "with_addresses": True}, "There are no addresses"),
    ):
        result = run_job(settings, monkeypatch, **config)
        (failure,) = [event for event in result.all_events if event.is_step_failure]
        assert message in str(failure.step_failure_data.error)


def test_nothing_ends_the_block_of_markdown() -> None:
    assert fenced("a") == "```\na\n```"
    assert fenced("a\n````\n<b>") == "`````\na\n````\n<b>\n`````"
