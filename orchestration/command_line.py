"""Runs the pipeline from a terminal: progress by stage, a short summary, errors that say what to do."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestration.activation.sync.guards import GUARDS
from orchestration.automation.backfill import build_range, wanted_dates
from orchestration.errors import BarometerError, hint_of_machine
from orchestration.feedback.providers import PROVIDERS
from orchestration.policy import check_policy, policy_warnings
from orchestration.settings import ALERT_WEBHOOK, ROOT, SAMPLE_MARK, Settings, settings_from_environment
from orchestration.warehouse.build import kind_of_run
from orchestration.warehouse.dbt import DbtAhead, start_dbt
from orchestration.warehouse.lock import LOCK_WAIT_SECONDS, warehouse_lock
from orchestration.warehouse.project import ensure_manifest, is_manifest_current

if TYPE_CHECKING:
    import dagster as dg

SAMPLE = ROOT / "data" / "sample"
_LOOK_CLOSER = "Run the same command with --debug and look at the traceback."
_log = logging.getLogger("barometer")


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the arguments, run the command, exit with 0 or, after an error, 1."""
    options = _parser().parse_args(arguments)
    _show_progress()
    try:
        options.command(options)
    except BarometerError as error:
        if options.debug:
            raise
        print(f"\nBarometer stopped: {error.message}", file=sys.stderr)  # noqa: T201
        if error.hint:
            print(f"What to do: {error.hint}", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    except Exception as error:
        if options.debug:
            raise
        print(f"\nBarometer stopped: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        print(f"What to do: {hint_of_machine(str(error)) or _LOOK_CLOSER}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser = argparse.ArgumentParser(
        prog="python -m orchestration",
        description="Barometer: marketing pressure, RFM and engagement segments.",
        epilog="Folders and dates come from BAROMETER_LANDING, BAROMETER_DATA, BAROMETER_AS_OF and BAROMETER_TODAY; "
        "see README.md.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", parents=[common], help="run the job nightly and print a summary (on the sample unless told otherwise)"
    )
    run.add_argument(
        "--as-of",
        metavar="DATE",
        type=_date,
        help="the date to build (default: yesterday)",
    )
    run.set_defaults(command=_run)
    backfill = commands.add_parser(
        "backfill", parents=[common], help="build older dates, each into a file of its own; what is current stays"
    )
    backfill.add_argument("--from", dest="first", metavar="DATE", type=_date, required=True, help="the first date")
    backfill.add_argument("--to", dest="last", metavar="DATE", type=_date, help="the last date (default: the first)")
    backfill.add_argument("--dry-run", action="store_true", help="only say which dates would be built, and why")
    backfill.set_defaults(command=_backfill)
    parse = commands.add_parser(
        "parse", parents=[common], help="check the policy and parse the dbt project for Dagster"
    )
    parse.set_defaults(command=_parse)
    dev = commands.add_parser("dev", parents=[common], help="open the Dagster UI on this machine")
    dev.add_argument("--port", type=int, default=3000, help="port of the UI (default: 3000)")
    dev.add_argument("--sample", action="store_true", help="look at the committed sample, on its last day")
    dev.set_defaults(command=_dev)
    erase_landing = commands.add_parser(
        "erase-landing", parents=[common], help="list the landing files that still hold erased users"
    )
    erase_landing.set_defaults(command=_erase_landing)
    explain = commands.add_parser("explain", parents=[common], help="say what is known of one user, and why")
    explain.add_argument("user", metavar="USER", help="the user_id, as your own systems write it")
    explain.add_argument("--as-of", metavar="DATE", type=_date, help="a date that was built (default: the published)")
    explain.add_argument("--addresses", action="store_true", help="show the addresses too, which are personal data")
    explain.set_defaults(command=_explain)
    simulate = commands.add_parser(
        "simulate",
        parents=[common],
        help="say what other caps would have done to the contacts that were sent, beside those in force",
        epilog="FILE is CSV like dbt_project/seeds/contact_policy.csv, with all caps and not only the new ones. "
        "Nothing is changed: to put caps in force, replace that file.",
    )
    simulate.add_argument("--policy", metavar="FILE", type=Path, required=True, help="the proposed caps")
    simulate.add_argument("--from", dest="first", metavar="DATE", type=_date, help="the first date (default: all)")
    simulate.add_argument("--to", dest="last", metavar="DATE", type=_date, help="the last date (default: all)")
    simulate.add_argument("--json", action="store_true", help="print every row as JSON instead of a text")
    simulate.set_defaults(command=_simulate)
    sync = commands.add_parser(
        "sync", parents=[common], help="send what providers have not accepted yet of the extracts of a date"
    )
    sync.add_argument("--as-of", metavar="DATE", type=_date, help="the date of the extracts (default: yesterday)")
    sync.add_argument("--dry-run", action="store_true", help="say what would be sent, with examples; send nothing")
    sync.add_argument(
        "--only",
        metavar="DESTINATION[/AUDIENCE]",
        action="append",
        default=[],
        help="leave out all others; may be given several times",
    )
    sync.add_argument(
        "--allow",
        metavar="GUARD",
        action="append",
        default=[],
        help="let a guard through for this run; may be given several times: "
        + "; ".join(f"{name}: {what}" for name, what in GUARDS.items()),
    )
    sync.set_defaults(command=_sync)
    doctor = commands.add_parser("doctor", parents=[common], help="say what is wrong, and how to mend it")
    doctor.add_argument("--fix", action="store_true", help="mend what can be without losing anything")
    doctor.add_argument("--rebuild", action="store_true", help="build everything anew from the landing files")
    doctor.add_argument("--as-of", metavar="DATE", type=_date, help="the date to rebuild (default: the published)")
    doctor.add_argument("--yes", action="store_true", help="rebuild without asking")
    doctor.set_defaults(command=_doctor)
    feedback = commands.add_parser(
        "feedback", parents=[common], help="turn what a provider reports of messages into landing files"
    )
    feedback.add_argument("files", nargs="+", metavar="FILE", type=Path, help="JSON, JSON lines, CSV or form; or .gz")
    feedback.add_argument("--provider", required=True, choices=sorted(PROVIDERS), help="whose reports they are")
    feedback.add_argument("--into", metavar="FOLDER", type=Path, help="the landing folder (default: BAROMETER_LANDING)")
    feedback.add_argument("--rejects", metavar="FILE", type=Path, help="keep the records that gave no row, and why")
    feedback.add_argument("--dry-run", action="store_true", help="only count what the files would give")
    feedback.set_defaults(command=_feedback)
    return parser


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it like 2026-06-30") from None


def _show_progress() -> None:
    """Print what the stages report, with the seconds since the start."""
    started = time.perf_counter()

    class Elapsed(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return f"{time.perf_counter() - started:6.1f} s  {record.getMessage()}"

    # a stream of its own: Dagster and dbt redirect the standard ones
    handler = logging.StreamHandler(os.fdopen(os.dup(sys.stderr.fileno()), "w"))
    handler.setFormatter(Elapsed())
    _log.addHandler(handler)
    _log.setLevel(logging.INFO)
    _log.propagate = False


def _hide_what_stages_report() -> None:
    """Print only what this command says itself, and that it waits for the lock."""
    for handler in _log.handlers:
        handler.addFilter(lambda record: record.module in ("backfill", "command_line", "lock"))


def _use_sample_unless_told() -> None:
    """Without BAROMETER_LANDING the committed sample is the landing folder, and its last day the date."""
    if os.environ.get("BAROMETER_LANDING"):
        return
    sample = json.loads((SAMPLE / SAMPLE_MARK).read_text(encoding="utf-8"))
    os.environ["BAROMETER_LANDING"] = str(SAMPLE)
    os.environ.setdefault("BAROMETER_AS_OF", sample["as_of"])
    os.environ.setdefault("BAROMETER_TODAY", sample["plan_date"])
    os.environ.setdefault("BAROMETER_SETTLE_SECONDS", "0")


def prepare_dagster_home(settings: Settings) -> None:
    """Point Dagster at its folder below the data folder, with the settings of the project."""
    try:
        settings.dagster_home.mkdir(parents=True, exist_ok=True)
        given = (Path(__file__).parent / "dagster.yaml").read_text(encoding="utf-8")
        told = given.replace(": $DAGSTER_HOME", f": {json.dumps(str(settings.dagster_home))}")
        (settings.dagster_home / "dagster.yaml").write_text(told, encoding="utf-8")
    except OSError as error:
        raise BarometerError(
            f"{settings.data} can't be written to: {error.strerror}.",
            "Set BAROMETER_DATA to a folder that this user may write to.",
        ) from error
    os.environ["DAGSTER_HOME"] = str(settings.dagster_home)
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "1")
    # what a run plans is stored at once (orchestration/event_log.py)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")


def _check_policy() -> None:
    """Stop at a wrong policy; say what is allowed and hardly meant."""
    check_policy()
    for warning in policy_warnings():
        _log.warning("Warning: %s", warning)


def _run(options: argparse.Namespace) -> None:
    _use_sample_unless_told()
    if options.as_of:
        os.environ["BAROMETER_AS_OF"] = options.as_of.isoformat()
    started = time.perf_counter()
    try:
        _check_policy()
        settings = settings_from_environment()
        settings.require_landing()
        kind_of_run(settings.as_of, settings.today, set())
        prepare_dagster_home(settings)
        _log.info("Barometer as of %s, into %s", settings.as_of, settings.data)
        with DbtAhead() as ahead:
            definitions = _definitions(settings, ahead)
            import dagster as dg

            from orchestration.automation.alerts import tell_ended_runs
            from orchestration.publish.assets import PUBLISHED
            from orchestration.resources import DEFAULT_DATE_TAG
            from orchestration.summary import print_summary
            from orchestration.warehouse.build import NIGHTLY

            job = definitions.resolve_job_def(NIGHTLY)
            with dg.DagsterInstance.get() as instance:
                seconds = {"start": time.perf_counter() - started}
                tags = {} if settings.is_as_of_given else {DEFAULT_DATE_TAG: "true"}
                result = _execute(job, instance, settings.as_of, options.debug, tags)
                _say(tell_ended_runs(settings, instance, is_last_resort=True))
    except Exception as error:
        if not options.as_of:
            # a date that somebody has just typed is no news of the night
            _tell_of_no_run(error)
        raise
    stages = _seconds_by_stage(result)
    seconds |= {**stages, "records": time.perf_counter() - started - seconds["start"] - sum(stages.values())}
    if PUBLISHED.to_python_identifier() in stages:
        print_summary(settings, seconds)
    if not result.success:
        raise _error_of(result)


def _sync(options: argparse.Namespace) -> None:
    _use_sample_unless_told()
    if options.as_of:
        os.environ["BAROMETER_AS_OF"] = options.as_of.isoformat()
    _check_policy()
    settings = settings_from_environment()
    prepare_dagster_home(settings)
    definitions = _definitions(settings)
    import dagster as dg

    from orchestration.activation.configuration import configured
    from orchestration.activation.sync.assets import RECORDS, REMOVALS, key_of
    from orchestration.activation.sync.command import chosen, preview, unknown_guards
    from orchestration.automation.jobs import SYNC

    destinations = configured()
    only = chosen(destinations, options.only)
    unknown_guards(options.allow)
    if options.dry_run:
        preview(settings, destinations, only, options.allow, print)
        return
    job = definitions.resolve_job_def(SYNC)
    names = sorted({destination for destination, _ in only})
    config = {f"sync_{name}": {"config": {"allow": options.allow}} for name in names}
    with dg.DagsterInstance.get() as instance:
        keys = [*(key_of(*each) for each in only), REMOVALS, RECORDS]
        result = _execute(job, instance, settings.as_of, options.debug, ops=config, assets=keys)
    if not result.success:
        raise _error_of(result)
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    if failed:
        told = [str((check.metadata.get("what_to_do") or check.metadata["found"]).value) for check in failed]
        raise BarometerError(
            "Not everything was accepted:\n" + "\n".join(f"  {each}" for each in told),
            "marts.sync_rows has each row with its reason; what may pass is sent again by the next run.",
        )


def _definitions(settings: Settings, ahead: DbtAhead | None = None) -> dg.Definitions:
    """Return what Dagster finds in the project, parsed if it has changed; ``ahead`` is begun, and starts dbt."""
    # while this process imports Dagster a child of dbt parses, or where there is nothing to parse imports what it needs
    if ahead and is_manifest_current():
        ahead.begin()
    parsing = ThreadPoolExecutor(max_workers=1).submit(ensure_manifest, settings)
    import orchestration.warehouse.light_dagster_dbt  # noqa: F401

    parsing.result()
    if ahead:
        ahead.begin()
    from orchestration.definitions import definitions_with

    return definitions_with(ahead.start if ahead else start_dbt)


def _tell_of_no_run(error: Exception) -> None:
    """Post an alert of a run that Dagster's record may know nothing of, if there is a webhook."""
    if os.environ.get(ALERT_WEBHOOK):
        from orchestration.automation.alerts import tell_of_no_run

        _say(tell_of_no_run(settings_from_environment, error))


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        _log.info(line)


def _execute(
    job: dg.JobDefinition,
    instance: dg.DagsterInstance,
    as_of: date,
    is_debug: bool,
    tags: Mapping[str, str] | None = None,
    ops: Mapping[str, Any] | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job for a date in this process, with ``tags``; ``is_debug``: an error is raised as it is.

    ``ops`` is the configuration of ops, ``assets`` those of the job that are wanted, all of them without it.
    """
    from orchestration.resources import PID_TAG, RUN_TAG

    run_id = str(uuid.uuid4())
    return job.execute_in_process(
        instance=instance,
        partition_key=as_of.isoformat(),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}, "ops": dict(ops or {})},
        asset_selection=assets,
        run_id=run_id,
        tags={RUN_TAG: run_id, PID_TAG: str(os.getpid()), **(tags or {})},
        raise_on_error=is_debug,
    )


def _backfill(options: argparse.Namespace) -> None:
    _use_sample_unless_told()
    first, last = options.first, options.last or options.first
    # a date before the first partition is one where somebody asks for it
    os.environ["BAROMETER_AS_OF"] = first.isoformat()
    _check_policy()
    settings = settings_from_environment()
    with warehouse_lock(settings.warehouse, LOCK_WAIT_SECONDS, _log.info):
        wanted = wanted_dates(settings, first, last)
    if options.dry_run:
        for each in wanted:
            print(f"{each.as_of}  {each.why}")  # noqa: T201
        print(f"{sum(not each.is_same for each in wanted)} of {len(wanted)} dates would be built")  # noqa: T201
        return
    if all(each.is_same for each in wanted):
        build_range(wanted, lambda day: None, _log.info)
        return
    prepare_dagster_home(settings)
    with DbtAhead() as ahead:
        definitions = _definitions(settings, ahead)
        import dagster as dg

        from orchestration.warehouse.build import BACKFILL

        job = definitions.resolve_job_def(BACKFILL)
        if not options.debug:
            _hide_what_stages_report()
        with dg.DagsterInstance.get() as instance:

            def build(day: date) -> None:
                result = _execute(job, instance, day, options.debug)
                if not result.success:
                    raise _error_of(result)

            build_range(wanted, build, _log.info)
    _log.info("%s has a file for each date; what was published stays", settings.backfills)


def _error_of(result: dg.ExecuteInProcessResult) -> BarometerError:
    """Return what made a run fail, with what to do, as it was recorded."""
    from orchestration.activation.assets import CHECK

    for check in result.get_asset_check_evaluations():
        if check.check_name == CHECK and not check.passed:
            # the file is published; only what leaves the company waits
            return BarometerError.from_text(str(check.metadata["what_to_do"].value))
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
        elif event.is_job_failure:
            error = event.job_failure_data.error
        else:
            continue
        while error is not None:
            if error.cls_name in {kind.__name__ for kind in (BarometerError, *BarometerError.__subclasses__())}:
                return BarometerError.from_text(error.message)
            if error.cause is None:
                return BarometerError(error.message.strip(), hint_of_machine(error.message) or _LOOK_CLOSER)
            error = error.cause
    return BarometerError("The run failed.", _LOOK_CLOSER)


def _seconds_by_stage(result: dg.ExecuteInProcessResult) -> dict[str, float]:
    return {
        event.step_key: event.step_success_data.duration_ms / 1000
        for event in result.all_events
        if event.is_step_success and event.step_key is not None
    }


def _parse(options: argparse.Namespace) -> None:
    from orchestration.activation.configuration import configured

    _check_policy()
    ensure_manifest(settings_from_environment())
    # it names columns and audiences of the parsed project
    configured()


def _dev(options: argparse.Namespace) -> None:
    if options.sample:
        _use_sample_unless_told()
    _check_policy()
    settings = settings_from_environment()
    prepare_dagster_home(settings)
    ensure_manifest(settings)
    command = [str(Path(sys.executable).parent / "dagster"), "dev"]
    os.chdir(ROOT)
    os.environ["PYTHONWARNINGS"] = "ignore:Function `dev_command` is superseded"
    # the web server and the daemon read the storage class that dagster.yaml names
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.execv(command[0], [*command, "-h", "127.0.0.1", "-p", str(options.port)])


def _erase_landing(options: argparse.Namespace) -> None:
    from orchestration.landing.erase_landing import erased_in_landing
    from orchestration.settings import load_settings
    from orchestration.warehouse.files import open_duckdb

    _use_sample_unless_told()
    settings = settings_from_environment()
    settings.require_landing()
    if not settings.working_file.exists():
        raise BarometerError(f"There is no {settings.working_file}.", "Run the pipeline first: it loads the erasures.")
    # a run that begins meanwhile waits
    with (
        warehouse_lock(settings.warehouse, LOCK_WAIT_SECONDS, _log.info),
        open_duckdb(settings.working_file, read_only=True) as con,
    ):
        loading = load_settings(settings.policy, hash_key=settings.hash_key)
        print(erased_in_landing(con, settings.landing, loading, _log.info, settings.scratch_prefix))  # noqa: T201


def _explain(options: argparse.Namespace) -> None:
    from orchestration.explain.text import explain

    print(explain(settings_from_environment(), options.user, options.as_of, options.addresses))  # noqa: T201


def _simulate(options: argparse.Namespace) -> None:
    from orchestration.simulate.text import json_of, text_of
    from orchestration.simulate.what_if import read_policy_file, what_if

    settings, file = settings_from_environment(), options.policy
    found = what_if(settings, str(file), read_policy_file(file), options.first, options.last, _log.info)
    print(json_of(found) if options.json else text_of(found))  # noqa: T201


def _feedback(options: argparse.Namespace) -> None:
    from orchestration.feedback.command import feedback

    into = options.into or settings_from_environment().landing
    feedback(options.provider, options.files, into, options.rejects, options.dry_run, _log.info, print)


def _doctor(options: argparse.Namespace) -> None:
    from orchestration.doctor.command import ask_on_terminal, doctor, rebuild

    def run(as_of: date) -> None:
        _run(argparse.Namespace(as_of=as_of, debug=options.debug))

    _use_sample_unless_told()
    settings = settings_from_environment()
    if options.rebuild:
        rebuild(settings, options.as_of, options.yes, ask_on_terminal, print, run)
    else:
        doctor(settings, options.fix, print)
