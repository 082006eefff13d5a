"""What is told of proposed caps, on a build of a few contacts: numbers, refusals, and that nothing changes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from orchestration.errors import BarometerError
from orchestration.measures.cap_simulation import CURRENT
from orchestration.measures.replay import CALENDAR, ROLLING
from orchestration.settings import Settings
from orchestration.simulate.text import WIDTH, json_of, text_of
from orchestration.simulate.what_if import PROPOSED, WhatIf, read_policy_file, what_if
from orchestration.warehouse import build_state

AS_OF = date(2026, 6, 30)
HEADER = "policy_segment,channel,window_days,max_contacts\n"
#: One a week in all, and no push to who is dormant.
CAPS = (HEADER + "*,all,7,1\ndormant,push,1,0\n").encode()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Four contacts of one user, whom the caps in force let pass, and one of another, who is dormant."""
    settings = Settings(tmp_path / "landing", tmp_path / "data", AS_OF, date(2026, 7, 1))
    settings.warehouse.mkdir(parents=True)
    (settings.warehouse / ".lock").touch()
    with duckdb.connect(str(settings.build_file)) as con:
        build_state.create_history_schema(con)
        build_state.store_fingerprint(con, "whole")
        con.execute("""
            create schema marts;
            create schema intermediate;
            create table marts.fct_contacts as
            select *, contact_date + interval 9 hour as sent_at, true as is_contact
            from (values
                ('m1', 'a', 'email', date '2026-06-05', false),
                ('m2', 'a', 'email', date '2026-06-07', true),
                ('m3', 'a', 'email', date '2026-06-08', true),
                ('m4', 'a', 'sms', date '2026-06-20', false),
                ('m5', 'b', 'push', date '2026-06-20', false)
            ) as sent (message_id, user_id, channel, contact_date, is_clicked);
            create table intermediate.int_contact_segments as
            select user_id, contact_date, case user_id when 'a' then 'engaged' else 'dormant' end as policy_segment
            from marts.fct_contacts;
            create table intermediate.int_message_orders as
            select * from (values
                ('m2', 'o1', 10.50::decimal(18, 2)), ('m3', 'o1', 10.50), ('m3', 'o2', null), ('m4', 'o3', 99)
            ) as touched (message_id, order_id, revenue);
        """)  # fmt: skip
    return settings


@pytest.fixture
def found(settings: Settings) -> WhatIf:
    return what_if(settings, "my_caps.csv", CAPS)


def test_proposed_caps_stand_beside_those_in_force(found: WhatIf) -> None:
    proposed = found.outcome(PROPOSED, ROLLING)
    assert found.outcome(CURRENT, ROLLING).removed == 0
    assert (proposed.contacts, proposed.removed, proposed.users) == (5, 3, 2)
    assert (proposed.users_over_before, proposed.users_over_after) == (2, 0)
    # 7 June is a Sunday: the week of 8 June is another
    calendar = found.outcome(PROPOSED, CALENDAR)
    assert (calendar.removed, calendar.users_over_after) == (2, 1)


def test_an_order_is_touched_once_and_one_without_a_value_is_not(found: WhatIf) -> None:
    proposed = found.outcome(PROPOSED, ROLLING)
    assert (proposed.clicks_touched, str(proposed.revenue_touched), str(proposed.cost_saved)) == (2, "10.50", "0.0011")


def test_contacts_before_the_first_date_count_and_are_not_judged(settings: Settings) -> None:
    later = what_if(settings, "my_caps.csv", CAPS, first=date(2026, 6, 7), last=date(2026, 6, 8))
    total = later.outcome(PROPOSED, ROLLING)
    assert (total.contacts, total.removed, total.users_over_before) == (2, 2, 1)


def test_the_text_has_both_policies_and_says_what_touched_means(found: WhatIf) -> None:
    lines = text_of(found).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "5 contacts with 2 users, 2026-06-05 to 2026-06-20" in lines[0]
    (removed,) = [line.split() for line in lines if line.startswith("Contacts removed")]
    assert removed == ["Contacts", "removed", "0", "3", "0", "2"]
    (dormant,) = [line.split() for line in lines if line.startswith("  dormant")]
    assert dormant == ["dormant", "1", "0", "0.0%", "1", "100.0%", "+1"]
    assert "upper limit" in text_of(found)


def test_json_has_the_rows_of_the_mart(found: WhatIf) -> None:
    document = json.loads(json_of(found))
    (total,) = [
        row
        for row in document["rows"]
        if [row[key] for key in ("policy", "windows", "segment", "channel")] == [PROPOSED, ROLLING, "all", "all"]
    ]
    assert (document["from"], total["removed"], total["revenue_touched"]) == ("2026-06-05", 3, 10.5)


def test_nothing_on_the_disk_changes(settings: Settings) -> None:
    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in settings.data.rglob("*") if path.is_file()}

    before = files()
    what_if(settings, "my_caps.csv", CAPS)
    assert files() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("policy_segment,channel,window_days\n*,all,7\n", "missing: max_contacts"),
        (HEADER + "*,fax,7,1\n", 'my_caps.csv, line 2: channel is "fax"'),
        (HEADER + "*,all,7,-1\n", "line 2: max_contacts is -1, must be a whole number, 0 or more"),
        (HEADER + "*,all,7,1\n*,all,7,2\n", "line 3: has the policy_segment and channel and window_days of line 2"),
    ],
)
def test_wrong_caps_are_refused_as_the_seed_would_be(settings: Settings, content: str, said: str) -> None:
    with pytest.raises(BarometerError, match="my_caps.csv") as error:
        what_if(settings, "my_caps.csv", content.encode())
    assert said in str(error.value)
    assert "seeds" not in error.value.message


def test_caps_that_let_nobody_be_contacted_are_warned_of(settings: Settings) -> None:
    told: list[str] = []
    what_if(settings, "my_caps.csv", (HEADER + "*,all,1,0\n").encode(), report=told.append)
    assert told[0].startswith("Warning: Nobody can be contacted: in my_caps.csv a cap of 0")


@pytest.fixture
def running(settings: Settings) -> Iterator[None]:
    with (settings.warehouse / ".lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_beside_a_run_one_is_asked_to_come_again(settings: Settings, running: None) -> None:
    with pytest.raises(BarometerError, match="A run is writing"):
        what_if(settings, "my_caps.csv", CAPS)


def test_what_can_not_be_played_says_what_to_do(settings: Settings) -> None:
    with pytest.raises(BarometerError, match="dates from 2026-06-05 to 2026-06-20"):
        what_if(settings, "my_caps.csv", CAPS, first=date(2026, 6, 21))
    with duckdb.connect(str(settings.build_file)) as con:
        build_state.store_fingerprint(con, None)
    with pytest.raises(BarometerError, match="not whole"):
        what_if(settings, "my_caps.csv", CAPS)
    settings.build_file.unlink()
    with pytest.raises(BarometerError, match="Nothing is built yet"):
        what_if(settings, "my_caps.csv", CAPS)
    with pytest.raises(BarometerError, match="can't be read"):
        read_policy_file(settings.data / "my_caps.csv")


def test_the_job_takes_the_caps_as_its_configuration(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestration.simulate.job import simulate_job

    monkeypatch.setenv("BAROMETER_DATA", str(settings.data))
    result = simulate_job.execute_in_process(run_config={"ops": {"caps": {"config": {"policy": CAPS.decode()}}}})
    (output,) = [event for event in result.all_events if event.is_successful_output]
    metadata = output.step_output_data.metadata
    totals = [record.data for record in metadata["totals"].records]
    assert [(row["policy"], row["windows"], row["removed"]) for row in totals] == [
        ("current", "rolling", 0), ("proposed", "rolling", 3), ("current", "calendar", 0), ("proposed", "calendar", 2),
    ]  # fmt: skip
    assert {record.data["segment"] for record in metadata["by_segment"].records} == {"engaged", "dormant"}
    assert "upper limit" in metadata["in_words"].value
