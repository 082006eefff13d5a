"""What the environment may say, and what a person reads who said it wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from orchestration.command_line import main
from orchestration.errors import BarometerError
from orchestration.settings import ROOT, load_settings, settings_from_environment


def test_defaults() -> None:
    settings = settings_from_environment({"BAROMETER_TODAY": "2024-03-01"})
    assert (settings.as_of, settings.plan_date) == (date(2024, 2, 29), date(2024, 3, 1))
    assert settings.landing == ROOT / "data" / "landing"
    assert settings.published_file == ROOT / "data" / "warehouse" / "barometer.duckdb"
    assert (settings.target, settings.hash_key, settings.settle_seconds) == ("duckdb", None, None)


def test_everything_can_be_said(tmp_path: Path) -> None:
    settings = settings_from_environment(
        {
            "BAROMETER_LANDING": str(tmp_path / "in"),
            "BAROMETER_DATA": str(tmp_path / "out"),
            "BAROMETER_AS_OF": "2024-01-31",
            "BAROMETER_TODAY": "2024-03-01",
            "BAROMETER_SETTLE_SECONDS": "0",
            "BAROMETER_HASH_KEY": "secret",
        }
    )
    assert settings.landing == tmp_path / "in"
    assert settings.working_file == tmp_path / "out" / "warehouse" / "working.duckdb"
    assert (settings.as_of, settings.plan_date) == (date(2024, 1, 31), date(2024, 2, 1))
    assert load_settings(settings.policy, settings.settle_seconds).settle_seconds == 0
    assert load_settings(settings.policy).settle_seconds == 60
    assert "secret" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("BAROMETER_AS_OF", "yesterday", "2026-06-30"),
        ("BAROMETER_AS_OF", "2024-02-30", "2026-06-30"),
        ("BAROMETER_TODAY", "01/03/2024", "2026-06-30"),
        ("BAROMETER_TARGET", "postgres", "duckdb, spark"),
        ("BAROMETER_SETTLE_SECONDS", "a minute", "60"),
        ("BAROMETER_SETTLE_SECONDS", "-1", "60"),
    ],
)
def test_a_wrong_value_is_named_with_what_to_write(name: str, value: str, hint: str) -> None:
    with pytest.raises(BarometerError, match=name) as error:
        settings_from_environment({"BAROMETER_TODAY": "2024-03-01", name: value})
    assert hint in error.value.hint


def test_empty_means_not_set() -> None:
    settings = settings_from_environment({"BAROMETER_AS_OF": "", "BAROMETER_TODAY": "2024-03-01", "BAROMETER_DATA": ""})
    assert settings.as_of == date(2024, 2, 29)
    assert settings.data == ROOT / "data"


def test_the_command_line_says_what_to_do_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAROMETER_LANDING", str(tmp_path / "nowhere"))
    monkeypatch.setenv("BAROMETER_DATA", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as stopped:
        main(["run"])
    assert stopped.value.code == 1
    said = capfd.readouterr().err
    assert f"Barometer stopped: There is no folder {tmp_path / 'nowhere'}." in said
    assert "What to do: Put the raw files there" in said
    assert "Traceback" not in said
    assert not (tmp_path / "data").exists()
    with pytest.raises(BarometerError):
        main(["run", "--debug"])


def test_a_wrong_date_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAROMETER_LANDING", str(tmp_path))
    monkeypatch.setenv("BAROMETER_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("BAROMETER_AS_OF", "2024-01-01")
    with pytest.raises(SystemExit):
        main(["run", "--as-of", "June"])
    assert "'June' is no date; write it like 2026-06-30" in capfd.readouterr().err
