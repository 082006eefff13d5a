"""The metrics that dbt describes: MetricFlow queries each on a built file, and the numbers are those of plain SQL."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.settings import DBT_PROJECT, ROOT, settings_from_environment
from orchestration.warehouse.project import ensure_manifest, read_manifest
from tests import compiled_sql

AS_OF = date(2026, 6, 30)
SAMPLE = ROOT / "data" / "sample"
#: What is loaded: of these datasets the last month, and what has no months. Visits would take longer than all the rest.
MONTH = "2026-06"
DATASETS = ("addresses", "campaigns", "consents", "message_events", "messages", "orders", "users")
#: Channels that report clicks: of a row without any the rate is unknown, not nothing.
REACTING = "from marts.campaign_performance where click_rate is not null"
MEASURED = "from marts.campaign_performance"
#: What plain SQL says of each metric over everything.
WANTED = {
    "users": "select count(*) from marts.contact_pressure",
    "contacts_7d": "select sum(contacts_7d) from marts.contact_pressure",
    "contacts_30d": "select sum(contacts_30d) from marts.contact_pressure",
    "contacts_per_user_7d": "select avg(contacts_7d) from marts.contact_pressure",
    "contacts_per_user_30d": "select avg(contacts_30d) from marts.contact_pressure",
    **{
        f"users_{status}": f"select count(*) from marts.user_360 where pressure_status = '{status}'"
        for status in ("over_cap", "at_cap", "near_cap", "fatigued")
    },
    **{
        f"share_{status}": f"select avg((pressure_status = '{status}')::int) from marts.contact_pressure"
        for status in ("over_cap", "at_cap", "near_cap", "fatigued")
    },
    "messages": "select count(*) from marts.fct_contacts",
    "contacts": "select count(*) from marts.fct_contacts where is_contact",
    "contacts_by_day": "select count(*) from marts.fct_contacts where is_contact",
    "contacted_users": "select count(distinct user_id) from marts.fct_contacts where is_contact",
    "contacts_per_contacted_user": (
        "select count(*) / count(distinct user_id) from marts.fct_contacts where is_contact"
    ),
    "planned_contacts": "select sum(planned) from marts.audience_catalog",
    "held_out_candidates": "select sum(held_out) from marts.audience_catalog",
    "suppressed_candidates": "select sum(suppressed) from marts.audience_catalog",
    "share_suppressed": "select sum(suppressed) / sum(candidates) from marts.audience_catalog",
    "value_forgone": "select sum(value_forgone) from marts.contact_suppressions",
    "messages_measured": f"select sum(measured) {MEASURED}",
    "messages_that_can_react": f"select sum(measured) {REACTING}",
    "messages_opened": f"select sum(measured_opened) {REACTING}",
    "messages_clicked": f"select sum(measured_clicked) {REACTING}",
    "messages_unsubscribed": f"select sum(measured_unsubscribed) {MEASURED}",
    "messages_complained": f"select sum(measured_complained) {MEASURED}",
    "messages_to_win_back": f"select sum(reengageable) {MEASURED}",
    "messages_that_won_back": f"select sum(reengaged) {MEASURED}",
    "message_cost": f"select sum(cost) {MEASURED}",
    "cost_of_clickable_messages": f"select sum(cost) {REACTING}",
    "clicks": f"select sum(clicked) {REACTING}",
    "last_touch_orders": f"select sum(last_touch_orders) {MEASURED}",
    "last_touch_revenue": f"select sum(last_touch_revenue) {MEASURED}",
    "open_rate": f"select sum(measured_opened) / sum(measured) {REACTING}",
    "click_rate": f"select sum(measured_clicked) / sum(measured) {REACTING}",
    "unsubscribe_rate": f"select sum(measured_unsubscribed) / sum(measured) {MEASURED}",
    "complaint_rate": f"select sum(measured_complained) / sum(measured) {MEASURED}",
    "reengagement_rate": f"select sum(reengaged) / nullif(sum(reengageable), 0) {MEASURED}",
    "cost_per_click": f"select sum(cost) / sum(clicked) {REACTING}",
}
#: Metrics that visits make, which the fixture leaves out.
WITHOUT_VISITS = {"messages_to_win_back", "messages_that_won_back", "reengagement_rate"}
#: ... and of some by what they are grouped by, which others need: (metrics, group by) -> SQL, all its columns.
WANTED_BY: dict[tuple[str, str], str] = {
    ("segment_size", "segment_size__family,segment_size__segment"): (
        "select family, segment, count(*) from marts.user_segments group by all"
    ),
    ("contacts_per_user_30d,share_over_cap", "user_id__rfm"): (
        "select rfm, avg(contacts_30d), avg((pressure_status = 'over_cap')::int) from marts.user_360 group by all"
    ),
    ("contacts_7d", "user_id__policy_segment"): (
        "select policy_segment, sum(contacts_7d) from marts.contact_pressure group by all"
    ),
    ("contacts", "message__channel,metric_time__month"): (
        "select channel, date_trunc('month', contact_date), count(*) filter (where is_contact) "
        "from marts.fct_contacts group by all"
    ),
    ("contacts", "user_id__lifecycle"): (
        "select lifecycle, count(*) filter (where is_contact) "
        "from marts.fct_contacts left join marts.user_360 using (user_id) group by all"
    ),
    ("planned_contacts,suppressed_candidates", "audience__objective"): (
        "select objective, sum(planned), sum(suppressed) from marts.audience_catalog where candidates > 0 group by all"
    ),
    ("cost_per_click,last_touch_revenue", "campaign__channel"): (
        f"select channel, sum(cost) filter (where click_rate is not null) "
        "/ sum(clicked) filter (where click_rate is not null), sum(last_touch_revenue) "
        f"{MEASURED} group by all"
    ),
    ("suppressed_candidates", "suppressed__reason"): (
        "select reason, count(*) from marts.contact_suppressions group by all"
    ),
    ("rolling_contacts_7d", "metric_time__day"): (
        "select calendar_date, sum(is_contact::int) from marts.calendar inner join marts.fct_contacts "
        "on contact_date between calendar_date - 6 and calendar_date group by all"
    ),
    ("contacts_week_on_week", "metric_time__day"): """
        with days as (
            select calendar_date, count(*) filter (where is_contact) as contacts
            from marts.calendar left join marts.fct_contacts on contact_date = calendar_date group by all
        )
        select days.calendar_date, days.contacts - coalesce(before.contacts, 0)
        from days left join days as before on before.calendar_date = days.calendar_date - 7
    """,
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Any:
    ensure_manifest(settings_from_environment({"BAROMETER_DATA": str(tmp_path_factory.mktemp("data"))}))
    return read_manifest()


@pytest.fixture(scope="module")
def built(manifest: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build file of the last month of the sample, as a reader finds it."""
    landing, folder = tmp_path_factory.mktemp("landing"), tmp_path_factory.mktemp("warehouse")
    for dataset in DATASETS:
        (landing / dataset).mkdir()
        for path in (SAMPLE / dataset).glob("*.*"):
            if MONTH in path.name or not re.match(r"\d{4}-\d{2}", path.name):
                shutil.copy(path, landing / dataset)
    compiled = compiled_sql.compile_project(tmp_path_factory.mktemp("compiled"))
    models = {key.split(".")[-1] for model in semantic_models(manifest) for key in model["depends_on"]["nodes"]}
    world = compiled_sql.World(compiled.only([*models, "calendar", "user_segments"]), folder=folder)
    world.load(landing)
    world.build(AS_OF)
    # sizes of two dates, of which the last counts
    for days in (0, 1):
        world.con.execute(
            "insert into build.history.segment_sizes by name "
            f"select date '{AS_OF}' - {days} as as_of, family, segment, count(*) + {days} as users "
            "from build.marts.user_segments group by family, segment"
        )
    world.close()
    return folder / "build.duckdb"


@pytest.fixture(scope="module")
def plain(built: Path) -> dict[str, list[tuple[Any, ...]]]:
    """What plain SQL says, by query; asked before MetricFlow has the file open."""
    with duckdb.connect(str(built), read_only=True) as con:
        return {query: con.execute(query).fetchall() for query in (*WANTED.values(), *WANTED_BY.values())}


@pytest.fixture(scope="module")
def metricflow(built: Path, plain: Any) -> Iterator[Any]:
    """MetricFlow as the command `mf` has it, on the file that was built."""
    from dbt.adapters.factory import reset_adapters
    from dbt_metricflow.cli.cli_configuration import CLIConfiguration

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BAROMETER_TARGET", "published")
        patch.setenv("BAROMETER_PUBLISHED_FILE", str(built))
        patch.setenv("DBT_LOG_PATH", str(built.parent / "logs"))
        configuration = CLIConfiguration()
        configuration.setup(ROOT, DBT_PROJECT, configure_file_logging=False)
        yield configuration
        configuration.sql_client.close()
        reset_adapters()


def semantic_models(manifest: Any) -> Sequence[Any]:
    return list(manifest["semantic_models"].values())


def asked(metricflow: Any, metrics: str, group_by: str = "") -> list[tuple[Any, ...]]:
    """What MetricFlow answers: what it is grouped by first, then the metrics, in the order in which they were named."""
    from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

    names = [name for name in f"{group_by},{metrics}".split(",") if name]
    request = MetricFlowQueryRequest.create(
        metric_names=metrics.split(","), group_by_names=group_by.split(",") if group_by else None
    )
    table = metricflow.mf.query(request).result_df
    places = [list(table.column_names).index(name) for name in names]
    return [tuple(row[place] for place in places) for row in table.rows]


def comparable(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows in an order that both sides share: dates as dates, and numbers to nine places."""

    def value(cell: Any) -> Any:
        if isinstance(cell, datetime):
            return cell.date()
        return cell if cell is None or isinstance(cell, str | date) else round(float(cell), 9)

    return sorted((tuple(value(cell) for cell in row) for row in rows), key=repr)


def test_a_metric_says_what_it_is_and_its_unit(manifest: Any) -> None:
    metrics = list(manifest["metrics"].values())
    assert {metric["name"] for metric in metrics} == set(WANTED) | {
        name for names, _ in WANTED_BY for name in names.split(",")
    }
    for metric in metrics:
        assert re.search(r"\(.+\)$", metric["description"]), metric["name"]
        assert metric["label"], metric["name"]


def test_semantic_models_name_columns_that_are_there(manifest: Any) -> None:
    for model in semantic_models(manifest):
        columns = manifest["nodes"][model["depends_on"]["nodes"][0]]["columns"]
        for part in [*model["entities"], *model["dimensions"], *model["measures"]]:
            assert (part["expr"] or part["name"]) in columns or " " in part["expr"] or part["expr"] == "1", part


@pytest.mark.parametrize("metric", WANTED)
def test_a_metric_over_everything(metricflow: Any, plain: Any, metric: str) -> None:
    found = comparable(asked(metricflow, metric))
    assert found == comparable(plain[WANTED[metric]])
    # without visits nobody can be won back
    assert metric in WITHOUT_VISITS or found[0][0] > 0


@pytest.mark.parametrize(("metrics", "group_by"), WANTED_BY)
def test_metrics_by_what_they_are_grouped_by(metricflow: Any, plain: Any, metrics: str, group_by: str) -> None:
    found = comparable(asked(metricflow, metrics, group_by))
    assert found == comparable(plain[WANTED_BY[metrics, group_by]])
    assert len(found) > 1


def test_the_commands_of_the_documentation_run(metricflow: Any) -> None:
    from click.testing import CliRunner
    from dbt_metricflow.cli.main import query

    text = (ROOT / "docs" / "BI.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"^.*/mf query (.+)$", text, re.MULTILINE)
    assert commands
    for command in commands:
        done = CliRunner().invoke(query, [*shlex.split(command), "--quiet"], obj=metricflow)
        assert done.exit_code == 0, done.output
        assert len(done.output.splitlines()) > 2, done.output
