"""Posts to a webhook when the state of the nightly or the intraday run changes, once for each change.

The sensor and the command line tell by the same function and the same state, which is kept in a file: a run that both
see is told once. Nothing here fails a run, and nothing shows the address of the webhook, which is a secret.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from orchestration import clock
from orchestration.report import pipeline_runs
from orchestration.report.run_report import RunReport, outcome_of, report_of
from orchestration.settings import ALERT_WEBHOOK, Settings, settings_from_environment
from orchestration.warehouse.build import INTRADAY, NIGHTLY

SENSOR = "alerts"
_SECONDS = 60
#: The kinds of run that are watched: whoever asks for a backfill looks at it.
WATCHED = (NIGHTLY, INTRADAY)
OK, FAILED = "ok", "failed"
#: What is older than this is not told any more: the webhook was set just now, or could not be reached for long.
_STALE = timedelta(days=7)
_TIMEOUT_SECONDS = 5.0
#: In the place of a kind of run: what is written to see that the state can be kept.
_PROBE = ""
_WAITS = (0.5, 2.0)
_ENDED = {dg.DagsterRunStatus.SUCCESS: OK, dg.DagsterRunStatus.FAILURE: FAILED}
_TABLE = """
    create table if not exists alerts(
        kind text primary key, state text not null, run_id text not null, ended_at text not null,
        warnings text not null)
"""
_log = logging.getLogger("barometer")


@dataclass(frozen=True)
class Outcome:
    """How a run ended, with the checks that were looked at: those that warned (with rows), and those that were well."""

    kind: str
    state: str
    run_id: str
    ended_at: datetime
    as_of: str = ""
    #: (stage, failed or killed, why in short).
    stages: Sequence[tuple[str, str, str | None]] = ()
    failed_checks: Sequence[str] = ()
    warnings: Mapping[str, int] = field(default_factory=dict)
    well: frozenset[str] = frozenset()


@dataclass(frozen=True)
class State:
    """What was told last of a kind of run: its state, the run, and the checks that warned."""

    state: str
    run_id: str
    ended_at: datetime
    warnings: frozenset[str] = frozenset()


def state_after(before: State | None, outcome: Outcome) -> State:
    """Return the state after a run. A check that it did not look at stays as it was."""
    known = before.warnings if before else frozenset()
    return State(outcome.state, outcome.run_id, outcome.ended_at, (known - outcome.well) | frozenset(outcome.warnings))


def post_for(before: State | None, outcome: Outcome) -> dict[str, Any] | None:
    """Return what is to be posted after a run, None where nothing has changed.

    A change is: it failed and did not before, it is well again, or a check warns that did not before.
    """
    was = before.state if before else OK
    new = sorted(set(outcome.warnings) - (before.warnings if before else frozenset()))
    if outcome.state == FAILED:
        event = FAILED if was != FAILED else None
    else:
        event = "recovered" if was == FAILED else "warning" if new else None
    if event is None:
        return None
    return {
        "text": _text(event, outcome, new),
        "source": "barometer",
        "event": event,
        "state": outcome.state,
        "previous_state": was,
        "kind": outcome.kind,
        "as_of": outcome.as_of or None,
        "run_id": outcome.run_id,
        "ended_at": f"{outcome.ended_at.isoformat(timespec='seconds')}Z",
        "stages": [{"stage": stage, "outcome": ended, "error": why} for stage, ended, why in outcome.stages],
        "failed_checks": list(outcome.failed_checks),
        "warnings": [
            {"check": name, "rows": rows, "is_new": name in new} for name, rows in sorted(outcome.warnings.items())
        ],
    }


def _text(event: str, outcome: Outcome, new: Sequence[str]) -> str:
    """Return the post as a sentence, which chats show."""
    run = f"Barometer: the {outcome.kind} run" + (f" of {outcome.as_of}" if outcome.as_of else "")
    if event == FAILED:
        stages = [f"{stage} {ended}" + (f" ({why})" if why else "") for stage, ended, why in outcome.stages]
        said = f"{run} failed" + (f": {', '.join(stages)}" if stages else "")
        if outcome.failed_checks:
            said += f". Failed checks: {', '.join(outcome.failed_checks)}"
    else:
        said = f"{run} has recovered" if event == "recovered" else f"{run} has new warnings"
    warned = [f"{name} ({rows})" + (" new" if name in new else "") for name, rows in sorted(outcome.warnings.items())]
    return said + (f". Warnings: {', '.join(warned)}." if warned else ".")


# telling


def tell(
    settings: Settings, outcomes: Callable[[Mapping[str, State]], Sequence[Outcome]], is_last_resort: bool = False
) -> list[str]:
    """Post what has changed with some outcomes, in order, and return what was said of it; nothing without a webhook.

    ``outcomes`` gives them for the states that were told last. Where the webhook can't be reached, nothing is changed,
    so that it is tried again the next time. Where the state can't be kept, as on a full disk, nothing is posted, since
    whoever looks every minute would post every minute; with ``is_last_resort`` a failure is posted all the same.
    """
    webhook = os.environ.get(ALERT_WEBHOOK)
    if not webhook:
        return []
    said: list[str] = []
    is_posted = False
    try:
        with _alone(settings.warehouse / ".alerts.lock") as is_mine:
            if not is_mine:
                return ["Somebody else is telling."]
            states = _states(settings.activation_file)
            pending = outcomes(states)
            if pending:
                # whether it can be kept is known before anything is posted
                _store(settings.activation_file, _PROBE, State(OK, pending[-1].run_id, clock.now()))
            for outcome in pending:
                content = post_for(states.get(outcome.kind), outcome)
                if content is not None:
                    line, is_posted = _post_and_say(webhook, content)
                    said.append(line)
                    if not is_posted:
                        break
                states[outcome.kind] = state_after(states.get(outcome.kind), outcome)
                _store(settings.activation_file, outcome.kind, states[outcome.kind])
    except Exception as error:
        # the class alone: a message may quote the address
        said.append(f"The state of alerts can't be kept: {type(error).__name__}.")
        if is_last_resort and not is_posted:
            said += _post_without_state(webhook, outcomes)
    return said


def _post_and_say(webhook: str, content: Mapping[str, Any]) -> tuple[str, bool]:
    """Post something; return what is to be said of it, and whether it arrived."""
    problem = post(webhook, content)
    if problem is None:
        return f"Posted: {content['text']}", True
    return f"The alert ({content['event']}) could not be posted: {problem}. It is tried again.", False


def _post_without_state(webhook: str, outcomes: Callable[[Mapping[str, State]], Sequence[Outcome]]) -> list[str]:
    try:
        failed = [outcome for outcome in outcomes({}) if outcome.state == FAILED]
        contents = [post_for(None, outcome) for outcome in failed]
        return [_post_and_say(webhook, content)[0] for content in contents if content is not None]
    except Exception as error:
        return [f"Alerts can't be told: {type(error).__name__}."]


def post(webhook: str, content: Mapping[str, Any], waits: Sequence[float] = _WAITS) -> str | None:
    """Post JSON, a few times where it fails; return None, or what was wrong, without the address."""
    problem = "no answer"
    for wait in (*waits, None):
        try:
            if not webhook.lower().startswith(("http://", "https://")):
                return f"{ALERT_WEBHOOK} is no address that begins with http:// or https://"
            request = urllib.request.Request(
                webhook,
                data=json.dumps(content).encode(),
                headers={"Content-Type": "application/json", "User-Agent": "barometer"},
                method="POST",
            )
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=_TIMEOUT_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            problem = f"it answered {error.code}"
            error.close()
        except urllib.error.URLError as error:
            problem = f"it can't be reached ({type(error.reason).__name__})"
        except (OSError, http.client.HTTPException, ValueError) as error:
            problem = f"it can't be reached ({type(error).__name__})"
        if wait is not None:
            time.sleep(wait)
    return problem


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would be followed without what is posted."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none: it is an error then."""


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Yield whether nobody else is telling; the kernel frees the lock when the process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _states(file: Path) -> dict[str, State]:
    with pipeline_runs.open_activation(file) as con:
        con.execute(_TABLE)
        rows = con.execute("select kind, state, run_id, ended_at, warnings from alerts").fetchall()
    return {
        kind: State(state, run_id, datetime.fromisoformat(ended_at), frozenset(json.loads(warnings)))
        for kind, state, run_id, ended_at, warnings in rows
    }


def _store(file: Path, kind: str, state: State) -> None:
    with pipeline_runs.open_activation(file) as con:
        con.execute(_TABLE)
        con.execute(
            "insert or replace into alerts values (?, ?, ?, ?, ?)",
            [kind, state.state, state.run_id, state.ended_at.isoformat(), json.dumps(sorted(state.warnings))],
        )


# what is told


def tell_ended_runs(settings: Settings, instance: dg.DagsterInstance, is_last_resort: bool = False) -> list[str]:
    """Tell of the runs in Dagster's record that have ended since the last time; return what was said of it."""
    return tell(settings, lambda states: _outcomes(settings, instance, states, clock.now()), is_last_resort)


def tell_of_no_run(settings_of: Callable[[], Settings], error: BaseException) -> list[str]:
    """Tell that the nightly run failed before there was one in Dagster's record.

    ``settings_of`` may be what has failed: then nobody knows where the state is, and nothing is told.
    """
    try:
        settings = settings_of()
    except Exception as reason:
        return [f"No alert is posted: the settings can't be read ({type(reason).__name__})."]
    why = pipeline_runs.in_short(error)
    outcome = Outcome(NIGHTLY, FAILED, "", clock.now(), settings.as_of.isoformat(), [("start", FAILED, why)])
    return tell(settings, lambda _: [outcome], is_last_resort=True)


def _outcomes(
    settings: Settings, instance: dg.DagsterInstance, states: Mapping[str, State], now: datetime
) -> list[Outcome]:
    """Return the outcomes of the runs that ended after the states that were told, in the order in which they ended."""
    ended: dict[str, list[tuple[datetime, dg.DagsterRun]]] = {kind: [] for kind in WATCHED}
    for record in (record for job in WATCHED for record in _records(instance, job, states.get(job), now)):
        run = record.dagster_run
        kind = run.tags.get("barometer/kind", run.job_name)
        if kind in ended and record.end_time is not None:
            ended_at = datetime.fromtimestamp(record.end_time, UTC).replace(tzinfo=None)
            ended[kind].append((ended_at, run))
    chosen = [
        (*run, kind) for kind, runs in ended.items() for run in _untold(sorted(runs, key=_time), states.get(kind), now)
    ]
    return [_outcome(settings, instance, run, kind, at) for at, run, kind in sorted(chosen, key=lambda c: c[0])]


def _records(instance: dg.DagsterInstance, job: str, state: State | None, now: datetime) -> Sequence[dg.RunRecord]:
    """Return the ended runs of a job since the state, of the last days at most."""
    oldest = now - _STALE
    since = max(oldest, state.ended_at) if state is not None and state.ended_at <= now else oldest
    of_job = dg.RunsFilter(job_name=job, statuses=list(_ENDED), updated_after=since.replace(tzinfo=UTC))
    return instance.get_run_records(of_job)


def _untold(
    runs: Sequence[tuple[datetime, dg.DagsterRun]], state: State | None, now: datetime
) -> Sequence[tuple[datetime, dg.DagsterRun]]:
    """Return the runs that ended after the state. Before there is one, and after a clock went back, only the last."""
    if state is None or state.ended_at > now:
        return [pair for pair in runs[-1:] if state is None or pair[1].run_id != state.run_id]
    return [pair for pair in runs if pair[0] > state.ended_at and pair[1].run_id != state.run_id]


def _time(pair: tuple[datetime, dg.DagsterRun]) -> datetime:
    return pair[0]


def _outcome(
    settings: Settings, instance: dg.DagsterInstance, run: dg.DagsterRun, kind: str, ended_at: datetime
) -> Outcome:
    report = report_of(instance.all_logs(run.run_id, of_type={dg.DagsterEventType.ASSET_CHECK_EVALUATION}))
    stages = [
        (row["stage"], row["outcome"], row["error"])
        for row in pipeline_runs.of_run(settings.activation_file, run.run_id)
        if row["outcome"] in (pipeline_runs.FAILED, pipeline_runs.KILLED)
    ]
    return Outcome(
        kind,
        _ENDED[run.status],
        run.run_id,
        ended_at,
        run.tags.get("dagster/partition", ""),
        stages,
        sorted({check.name for check in report.checks if outcome_of(check) == "failed"}),
        _warnings(report),
        frozenset(check.name for check in report.checks if outcome_of(check) == "passed"),
    )


def _warnings(report: RunReport) -> dict[str, int]:
    """Return the checks that warned, each with how many rows it found."""
    return {check.name: check.rows for check in report.checks if outcome_of(check) == "warned"}


def alert_sensor() -> dg.SensorDefinition:
    """Return the sensor that tells of ended runs. It is on: whether anything is told is decided by the webhook."""

    def look(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        if not os.environ.get(ALERT_WEBHOOK):
            return dg.SkipReason(f"{ALERT_WEBHOOK} is not set.")
        said = tell_ended_runs(settings_from_environment(), context.instance)
        for line in said:
            context.log.info(line)
        return dg.SkipReason(" ".join(said) or "No run has ended in another state since the last look.")

    return dg.SensorDefinition(
        name=SENSOR,
        evaluation_fn=look,
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Posts to the webhook in {ALERT_WEBHOOK} when a nightly or intraday run fails, is well again, or "
        "has new warnings; once for each change. Without the variable it does nothing.",
    )
