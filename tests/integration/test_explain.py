"""What is said of people of the sample, after whole runs: it must agree with the tables, for every one of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from orchestration.command_line import SAMPLE
from orchestration.explain.facts import Policy
from orchestration.explain.reading import policy_of, read_facts
from orchestration.explain.text import WIDTH, explanation
from orchestration.settings import ROOT, Settings
from tests.pipeline import environment, run_pipeline

AS_OF = date(2026, 6, 30)
EARLIER = AS_OF - timedelta(days=3)
#: People of each kind that are looked at.
_PEOPLE = 15


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """The sample as of its last day, and a backfill of a day before it."""
    data = tmp_path_factory.mktemp("explain")
    run_pipeline(SAMPLE, data, AS_OF)
    settings = Settings(SAMPLE, data, AS_OF, AS_OF + timedelta(days=1))
    env = {**environment(SAMPLE, data, EARLIER), "BAROMETER_TODAY": settings.today.isoformat()}
    subprocess.run([sys.executable, "-m", "orchestration", "run"], cwd=ROOT, env=env, check=True, capture_output=True)
    yield settings
    shutil.rmtree(data)


@pytest.fixture(scope="module")
def policy(settings: Settings) -> Policy:
    return policy_of(settings)


def users(settings: Settings, query: str, file: Path | None = None) -> list[str]:
    with duckdb.connect(str(file or settings.published_file), read_only=True) as con:
        return [user for (user,) in con.execute(f"select distinct user_id from ({query}) order by 1").fetchall()]


KINDS = {
    "planned": "from marts.contact_plan where holdout_kind is null",
    "held out": "from marts.contact_plan where holdout_kind is not null",
    "left out": "from marts.contact_suppressions",
    "fatigued": "from marts.contact_pressure where policy_segment = 'fatigued'",
    "bought lately": "from marts.contact_pressure where policy_segment = 'recent_buyer'",
    "unreachable": "from marts.user_360 where reachability = 'unreachable'",
    "much contacted": "from marts.contact_pressure where contacts_7d > 10",
    "never seen": "from marts.user_360 where engagement = 'never_seen'",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_agrees_with_the_tables(settings: Settings, policy: Policy, kind: str) -> None:
    found = users(settings, KINDS[kind])
    assert found, kind
    for user_id in found[:: max(1, len(found) // _PEOPLE)]:
        facts = read_facts(settings, user_id)
        text = explanation(facts, policy)
        assert max(map(len, text.splitlines())) <= WIDTH
        # a rule of the catalogue begins with it
        assert not re.search(r"\bNone\b(?! of)", text)
        # contacts that are drawn are those that are counted
        counted = re.findall(r"^  (\S+) +[^ ]{30} .(?: +(\d+))(?: +(\d+))$", text, re.M)
        drawn = {name: (int(week), int(month)) for name, week, month in counted}
        for channel, pressure in facts.pressure_by_channel.items():
            assert drawn.get(channel, (0, 0)) == (pressure.contacts_7d, pressure.contacts_30d), user_id
        if len(drawn) > 1:
            assert drawn["contacts"] == (facts.pressure.contacts_7d, facts.pressure.contacts_30d), user_id
        # each campaign is told once
        told = text.split("\n\n")[-1]
        for audience in facts.audiences:
            named = {plan.campaign_id for plan in facts.plan if plan.audience == audience.audience}
            named |= {row.campaign_id for row in facts.suppressions if row.audience == audience.audience}
            lines = re.findall(rf"^  {audience.audience}(?: |$)", told, re.M)
            assert len(lines) == max(len(named), 1), (user_id, audience.audience)
        # whoever is open is free on plan_date, and nobody else is
        for row in facts.eligibility:
            assert re.search(rf"^  (?:{row.channel}|every channel) +(yes|no|from \S+)", text, re.M), (
                user_id,
                row.channel,
            )


def test_an_older_date_is_told_from_its_backfill(settings: Settings, policy: Policy) -> None:
    backfill = settings.backfills / f"{EARLIER}.duckdb"
    (user_id, *_) = users(settings, KINDS["planned"], backfill)
    facts = read_facts(settings, user_id, EARLIER)
    assert (facts.as_of, facts.plan_date) == (EARLIER, EARLIER + timedelta(days=1))
    assert any(plan.holdout_kind is None for plan in facts.plan)
    assert f"with the plan of {facts.plan_date:%A} {facts.plan_date}" in explanation(facts, policy)


def test_addresses_only_where_they_are_asked_for(settings: Settings, policy: Policy) -> None:
    with duckdb.connect(str(settings.working_file), read_only=True) as con:
        found = con.execute(
            "select user_id, channel, address from intermediate.int_user_addresses "
            "where channel = 'email' order by 1 limit 20"
        ).fetchall()
    assert found
    for user_id, channel, address in found:
        assert address not in explanation(read_facts(settings, user_id), policy)
        shown = read_facts(settings, user_id, with_addresses=True)
        assert (shown.addresses or {})[channel] == address
        assert address in explanation(shown, policy)


def test_the_command_says_it(settings: Settings, policy: Policy) -> None:
    (user_id, *_) = users(settings, KINDS["planned"])
    env = {**os.environ, "BAROMETER_DATA": str(settings.data), "BAROMETER_TODAY": settings.today.isoformat()}
    done = subprocess.run(
        [sys.executable, "-m", "orchestration", "explain", user_id], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.stdout == explanation(read_facts(settings, user_id), policy) + "\n", done.stderr
    assert done.stderr == ""
