"""Alerts: one post for each change of state, whoever sees the run, whatever becomes of the webhook."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from orchestration import clock, command_line
from orchestration.automation import alerts
from orchestration.automation.alerts import (
    Outcome,
    State,
    alert_sensor,
    post_for,
    state_after,
    tell,
    tell_ended_runs,
    tell_of_no_run,
)
from orchestration.errors import BarometerError
from orchestration.report import pipeline_runs
from orchestration.report.pipeline_runs import Run, recording
from orchestration.resources import PID_TAG, RUN_TAG, clear_killed_runs
from orchestration.settings import Settings

DAY = date(2026, 6, 30)
AT = datetime(2026, 7, 1, 3, 20)
SECRET = "services/T0/B0/very-secret-token"


class Webhook:
    """A server that answers as it is told, and keeps what was posted."""

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        self.asked = 0
        #: What it answers, the last one again and again; None hangs up without an answer.
        self.answers: list[int | None] = [200]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked += 1
                content = self.rfile.read(int(self.headers["Content-Length"]))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                if answer is None:
                    self.close_connection = True
                    return
                if answer == 200:
                    assert self.headers["Content-Type"] == "application/json"
                    outer.posts.append(json.loads(content))
                self.send_response(answer)
                if answer == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/{SECRET}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def events(self) -> list[str]:
        return [post["event"] for post in self.posts]


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    server = Webhook()
    monkeypatch.setenv("BAROMETER_ALERT_WEBHOOK", server.address)
    monkeypatch.setattr(alerts, "_TIMEOUT_SECONDS", 2.0)
    monkeypatch.setattr(alerts.post, "__defaults__", ((0.0, 0.0),))
    yield server
    server.close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("BAROMETER_DATA", str(tmp_path / "data"))
    return Settings(tmp_path / "landing", tmp_path / "data", DAY, DAY + timedelta(days=1))


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


# what is a change


def outcome(state: str, run: str = "r", warnings: dict[str, int] | None = None, well: tuple[str, ...] = ()) -> Outcome:
    return Outcome("nightly", state, run, AT, "2026-06-30", (), (), warnings or {}, frozenset(well))


@pytest.mark.parametrize(
    ("states", "events"),
    [
        (["ok", "ok"], []),
        (["failed", "failed", "failed"], ["failed"]),
        (["ok", "failed", "failed", "ok", "ok", "failed"], ["failed", "recovered", "failed"]),
    ],
)
def test_only_a_change_is_told(states: list[str], events: list[str]) -> None:
    state: State | None = None
    told = []
    for name in states:
        content = post_for(state, outcome(name))
        told += [content["event"]] if content else []
        state = state_after(state, outcome(name))
    assert told == events


def test_a_warning_is_told_when_it_is_new() -> None:
    state: State | None = None
    told = []
    for given in (
        outcome("ok", warnings={"unmapped": 2}),
        outcome("ok", warnings={"unmapped": 3}),
        # nothing was built, so nothing was looked at
        outcome("ok"),
        outcome("ok", warnings={"unmapped": 3}),
        outcome("ok", well=("unmapped",)),
        outcome("ok", warnings={"unmapped": 1}),
    ):
        content = post_for(state, given)
        told.append(content["warnings"] if content else None)
        state = state_after(state, given)
    first = {"check": "unmapped", "rows": 2, "is_new": True}
    assert told == [[first], None, None, None, None, [{**first, "rows": 1}]]


# the webhook


def test_a_post_is_a_sentence_for_chats_and_fields_for_programs(settings: Settings, webhook: Webhook) -> None:
    failed = Outcome(
        "nightly",
        "failed",
        "r",
        AT,
        "2026-06-30",
        [("build", "failed", "dbt failed")],
        ["unique_key_rfm"],
        {"unmapped": 2},
    )
    tell(settings, lambda _: [failed])
    assert webhook.posts == [
        {
            "text": "Barometer: the nightly run of 2026-06-30 failed: build failed (dbt failed). "
            "Failed checks: unique_key_rfm. Warnings: unmapped (2) new.",
            "source": "barometer",
            "event": "failed",
            "state": "failed",
            "previous_state": "ok",
            "kind": "nightly",
            "as_of": "2026-06-30",
            "run_id": "r",
            "ended_at": "2026-07-01T03:20:00Z",
            "stages": [{"stage": "build", "outcome": "failed", "error": "dbt failed"}],
            "failed_checks": ["unique_key_rfm"],
            "warnings": [{"check": "unmapped", "rows": 2, "is_new": True}],
        }
    ]


def test_it_is_tried_a_few_times(settings: Settings, webhook: Webhook) -> None:
    webhook.answers = [500, None, 200]
    assert "Posted" in tell(settings, lambda _: [outcome("failed")])[0]
    assert (webhook.asked, webhook.events) == (3, ["failed"])


@pytest.mark.parametrize("answer", [500, 404, 302, None])
def test_a_webhook_that_fails_is_said_and_tried_again_the_next_time(
    settings: Settings, webhook: Webhook, answer: int | None
) -> None:
    webhook.answers = [answer]
    (said,) = tell(settings, lambda _: [outcome("failed"), outcome("ok")])
    assert said.startswith("The alert (failed) could not be posted")
    assert SECRET not in said
    assert webhook.asked == 3
    webhook.answers = [200]
    tell(settings, lambda _: [outcome("failed"), outcome("ok")])
    assert webhook.events == ["failed", "recovered"]


@pytest.mark.parametrize(
    "address",
    [
        "ftp://very-secret-token",
        "http://[very-secret-token",
        "http://127.0.0.1:1/very-secret-token",
        "very secret-token",
    ],
)
def test_an_address_that_is_none_is_never_shown(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str
) -> None:
    monkeypatch.setenv("BAROMETER_ALERT_WEBHOOK", address)
    monkeypatch.setattr(alerts.post, "__defaults__", ((),))
    with caplog.at_level(logging.DEBUG):
        (said,) = tell(settings, lambda _: [outcome("failed")])
    assert "secret" not in said + caplog.text
    assert "failed" in said


def test_without_a_webhook_nothing_is_said_or_kept(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BAROMETER_ALERT_WEBHOOK", raising=False)
    assert tell(settings, lambda _: [outcome("failed")]) == []
    assert not settings.data.exists()


def test_where_the_state_cannot_be_kept_only_the_command_posts_failures(settings: Settings, webhook: Webhook) -> None:
    settings.warehouse.mkdir(parents=True)
    settings.activation_file.write_text("no database, " * 99)
    # the sensor would post every minute
    kept = "The state of alerts can't be kept: DatabaseError."
    assert tell(settings, lambda _: [outcome("failed")]) == [kept]
    assert webhook.events == []
    said = tell(settings, lambda _: [outcome("failed")], is_last_resort=True)
    assert (said[0], webhook.events) == (kept, ["failed"])
    tell(settings, lambda _: [outcome("ok", warnings={"unmapped": 2})], is_last_resort=True)
    assert webhook.events == ["failed"]


# runs of Dagster's record


def run_once(instance: dg.DagsterInstance, fails: bool, job: str = "nightly", warns: bool = False, **tags: str) -> str:
    @dg.asset(check_specs=[dg.AssetCheckSpec("rows_of_future_dates", asset="built")])
    def built() -> dg.MaterializeResult:
        if fails:
            raise BarometerError("dbt failed; anna@example.org")
        found = dg.AssetCheckResult(passed=not warns, severity=dg.AssetCheckSeverity.WARN, metadata={"rows": 3})
        return dg.MaterializeResult(check_results=[found])

    definition = dg.Definitions(assets=[built], jobs=[dg.define_asset_job(job)]).resolve_job_def(job)
    return definition.execute_in_process(instance=instance, raise_on_error=False, tags=tags).run_id


def test_ended_runs_are_told_in_order_and_once(
    settings: Settings, webhook: Webhook, instance: dg.DagsterInstance
) -> None:
    run_once(instance, fails=True)
    failed = run_once(instance, fails=True)
    with pytest.raises(ValueError), recording(settings.activation_file, Run(failed, DAY, "nightly"), "build"):
        raise ValueError("anna")
    # before there is a state, only the last run counts
    tell_ended_runs(settings, instance)
    assert [(post["event"], post["run_id"]) for post in webhook.posts] == [("failed", failed)]
    assert webhook.posts[0]["stages"] == [{"stage": "build", "outcome": "failed", "error": "ValueError"}]
    run_once(instance, fails=True)
    run_once(instance, fails=False, warns=True)
    run_once(instance, fails=False, warns=True)
    assert len(tell_ended_runs(settings, instance)) == 1
    assert tell_ended_runs(settings, instance) == []
    assert webhook.events == ["failed", "recovered"]
    assert webhook.posts[1]["warnings"] == [{"check": "rows_of_future_dates", "rows": 3, "is_new": True}]
    assert "anna" not in json.dumps(webhook.posts)


def test_kinds_of_run_have_states_of_their_own_and_backfills_none(
    settings: Settings, webhook: Webhook, instance: dg.DagsterInstance
) -> None:
    run_once(instance, fails=True, job="intraday")
    run_once(instance, fails=False)
    run_once(instance, fails=True, job="backfill")
    # an older date that somebody asked the nightly job for
    run_once(instance, fails=True, **{"barometer/kind": "backfill"})
    tell_ended_runs(settings, instance)
    assert [(post["kind"], post["event"]) for post in webhook.posts] == [("intraday", "failed")]


def test_a_killed_run_that_the_next_one_clears_has_failed(
    settings: Settings, webhook: Webhook, instance: dg.DagsterInstance
) -> None:
    run_once(instance, fails=False)
    tell_ended_runs(settings, instance)
    killed = str(uuid.uuid4())
    tags = {PID_TAG: "1", RUN_TAG: killed, "barometer/lock": "held"}
    instance.add_run(dg.DagsterRun(job_name="nightly", run_id=killed, status=dg.DagsterRunStatus.STARTED, tags=tags))
    never_ended = recording(settings.activation_file, Run(killed, DAY, "nightly"), "load")
    never_ended.__enter__()
    clear_killed_runs(instance, "next")
    pipeline_runs.close_killed(settings.activation_file, "next")
    run_once(instance, fails=False)
    tell_ended_runs(settings, instance)
    assert webhook.events == ["failed", "recovered"]
    assert webhook.posts[0]["stages"] == [{"stage": "load", "outcome": "killed", "error": None}]


def test_after_a_clock_that_went_back_alerts_go_on(
    settings: Settings, webhook: Webhook, instance: dg.DagsterInstance
) -> None:
    ahead = Outcome("nightly", "ok", "r", clock.now() + timedelta(days=400))
    tell(settings, lambda _: [ahead])
    run_once(instance, fails=True)
    tell_ended_runs(settings, instance)
    tell_ended_runs(settings, instance)
    assert webhook.events == ["failed"]


# through the sensor and through the command


def test_as_dagster_evaluates_the_sensor(
    settings: Settings, webhook: Webhook, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tick() -> str | None:
        with dg.build_sensor_context(instance=instance) as context:
            return alert_sensor().evaluate_tick(context).skip_message

    run_once(instance, fails=True)
    assert tick() == "Posted: Barometer: the nightly run failed."
    assert tick() == "No run has ended in another state since the last look."
    # the command sees the same run, and keeps the same state
    assert tell_ended_runs(settings, instance) == []
    webhook.answers = [503]
    run_once(instance, fails=False)
    assert tick() == "The alert (recovered) could not be posted: it answered 503. It is tried again."
    monkeypatch.delenv("BAROMETER_ALERT_WEBHOOK")
    assert tick() == "BAROMETER_ALERT_WEBHOOK is not set."
    assert webhook.events == ["failed"]


def test_a_run_that_cannot_begin_is_told_once_by_the_command(
    webhook: Webhook, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAROMETER_LANDING", str(settings.landing / "of-anna@example.org"))
    monkeypatch.setattr(command_line, "_show_progress", lambda: None)
    for _ in range(2):
        with pytest.raises(SystemExit):
            command_line.main(["run"])
    assert "There is no folder" in capsys.readouterr().err
    assert webhook.events == ["failed"]
    assert webhook.posts[0]["stages"] == [{"stage": "start", "outcome": "failed", "error": "There is no folder"}]


def test_settings_that_cannot_be_read_stop_nothing(webhook: Webhook) -> None:
    def broken() -> Settings:
        raise BarometerError("BAROMETER_TODAY is 'anna', which is no date.")

    assert tell_of_no_run(broken, ValueError()) == ["No alert is posted: the settings can't be read (BarometerError)."]


def test_two_that_tell_at_once_post_once(settings: Settings, webhook: Webhook) -> None:
    inner: list[str] = []

    def meanwhile(_: Any) -> list[Outcome]:
        inner.extend(tell(settings, lambda _: [outcome("failed")]))
        return [outcome("failed")]

    tell(settings, meanwhile)
    assert (inner, webhook.events) == (["Somebody else is telling."], ["failed"])
