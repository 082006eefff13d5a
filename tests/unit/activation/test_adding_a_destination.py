"""The page about destinations, followed to the letter: its module and its lines of destinations.yml, in a sync."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from orchestration.activation import destinations
from orchestration.activation.configuration import DestinationConfig, Known, read_destinations
from orchestration.activation.destinations.interface import Destination, Patience, Target, Value
from orchestration.activation.sync.guards import GUARDS
from orchestration.activation.sync.ledger import Ledger, open_ledger
from orchestration.activation.sync.sync import Report, Situation, TargetSync, build
from orchestration.errors import BarometerError
from orchestration.report.sync_records import COLUMNS
from orchestration.settings import ROOT, seed_rows
from orchestration.warehouse.audiences import audiences
from tests.standins.extracts import Rows, write_extract
from tests.standins.server import Answer, Faults, Request, StandIn

PAGE = ROOT / "docs" / "DESTINATIONS.md"
KEY = "a-key-of-postbox"
AUDIENCE = "hot_lead_offer"
D1, D2 = date(2026, 6, 29), date(2026, 6, 30)
PATIENCE = Patience(attempts=4, first_wait=0.01, longest_wait=1.0, timeout=5.0)
KNOWN = Known(
    tuple(audience.name for audience in audiences()),
    tuple(row["channel"] for row in seed_rows("channels")),
    ("lifecycle", "rfm", "headroom_email", "next_eligible_date"),
)


def blocks(kind: str, holding: str) -> list[str]:
    """Return the fenced blocks of a kind that hold a text."""
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [text for text in found if holding in text]


class PostboxStandIn(StandIn):
    """What the page says of Postbox, and the least that a provider's stand-in is."""

    type = "postbox"

    def __init__(self, faults: Faults | None = None) -> None:
        super().__init__(faults)
        self.lists: dict[str, set[str]] = {"offers": set()}
        self.fields: dict[str, dict[str, Value]] = {}

    def options(self) -> dict[str, Any]:
        return {"key_env": "POSTBOX_KEY", "url": self.url}

    def state(self, target: Target, names: Sequence[str]) -> dict[str, dict[str, Value]]:
        return {key: self.fields.get(key, {}) for key in sorted(self.lists[target.options["list"]])}

    def answer(self, request: Request) -> Answer:
        if not self.need(request, authorization=f"Bearer {KEY}"):
            return Answer(401)
        list_, what = request.path.removeprefix("/v1/lists/").split("/")
        if list_ not in self.lists:
            return Answer(404)
        members = self.lists[list_]
        if request.method == "GET":
            keys, page = sorted(members), int(request.query.get("page") or 0)
            more = {"next": str(page + 2)} if len(keys) > page + 2 else {}
            return Answer(200, {"ids": keys[page : page + 2], **more})
        refused = []
        for contact in request.json["contacts"]:
            key, fields = contact["id"], contact["fields"]
            if (kind := self.faults.refuses(key)) is not None:
                refused.append({"id": key, "reason": "bad_email" if kind == "permanent" else "busy"})
                continue
            (members.add if what == "members" else members.discard)(key)
            held = {**self.fields.get(key, {}), **fields}
            self.fields[key] = {name: value for name, value in held.items() if value is not None}
        return Answer(200, {"refused": refused})


@pytest.fixture
def kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Destination]]:
    """The module of the page, beside those of the project."""
    (module,) = blocks("python", "class Postbox")
    folder = tmp_path / "destinations"
    folder.mkdir()
    (folder / "postbox.py").write_text(module, encoding="utf-8")
    monkeypatch.setattr(destinations, "__path__", [*destinations.__path__, str(folder)])
    found = destinations._kinds()["postbox"]
    monkeypatch.setitem(destinations.KINDS, "postbox", found)
    yield found
    del sys.modules[found.__module__], destinations.postbox  # type: ignore[attr-defined]


@pytest.fixture
def postbox() -> Iterator[PostboxStandIn]:
    stand_in = PostboxStandIn()
    with stand_in:
        yield stand_in
    assert stand_in.problems == []


class Shop:
    """A data folder, and the destination as the page configures it, with the address of the stand-in."""

    def __init__(self, folder: Path, stand_in: PostboxStandIn, list_: str = "offers") -> None:
        (lines,) = blocks("yaml", "type: postbox")
        lines = lines.replace("key_env: POSTBOX_KEY", f"key_env: POSTBOX_KEY\n      url: {stand_in.url}")
        (self.config,) = read_destinations(lines.replace("list: offers", f"list: {list_}"), "destinations.yml", KNOWN)
        self.folder, self.target, self.runs = folder, self.config.targets[0], 0

    def sync(self, as_of: date, rows: Rows, today: date | None = None) -> Report:
        write_extract(self.folder / "extracts", as_of, self.config, {AUDIENCE: rows}, candidates=10)
        self.runs += 1
        situation = Situation(
            f"run {self.runs}",
            self.folder / "extracts",
            self.folder,
            as_of,
            today or as_of + timedelta(days=1),
            patience=PATIENCE,
        )
        with (
            open_ledger(self.folder / "a.sqlite") as con,
            duckdb.connect() as reader,
            closing(build(self.config, situation)) as destination,
        ):
            return TargetSync(con, reader, self.config, self.target, situation).run(destination)


def people(*names: str, variant: str = "a") -> dict[str, dict[str, Any]]:
    return {
        name: {"email": f"{name}@example.com", f"{AUDIENCE}_plan_date": "x", f"{AUDIENCE}_variant": variant}
        for name in names
    }


@pytest.fixture
def shop(
    kind: type[Destination], postbox: PostboxStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Shop, PostboxStandIn]:
    monkeypatch.setenv("POSTBOX_KEY", KEY)
    return Shop(tmp_path, postbox), postbox


def test_a_destination_is_one_module_of_about_a_hundred_lines(kind: type[Destination]) -> None:
    (module,) = blocks("python", "class Postbox")
    assert len(module.splitlines()) <= 110
    assert kind.__module__ == "orchestration.activation.destinations.postbox"


def test_it_sends_the_difference_and_then_nothing(shop: tuple[Shop, PostboxStandIn]) -> None:
    here, postbox = shop
    postbox.lists["offers"] = {"u1", "old1", "old2"}
    report = here.sync(D1, people("u1", "u2"))
    assert (report.outcome, report.tally.accepted, report.tally.removed) == ("complete", 2, 2)
    variant = {f"{AUDIENCE}_plan_date": "x", f"{AUDIENCE}_variant": "a"}
    assert postbox.state(here_target(here), ()) == {"u1": variant, "u2": variant}
    (sent,) = [call.json for call in postbox.requests if call.path.endswith("members") and call.method == "POST"]
    assert [contact["email"] for contact in sent["contacts"]] == ["u1@example.com", "u2@example.com"]
    postbox.requests.clear()
    assert here.sync(D1, people("u1", "u2")).outcome == "complete" and postbox.requests == []
    report = here.sync(D2, people("u2", "u3", variant="b"))
    assert (report.tally.removed, sorted(postbox.lists["offers"])) == (2, ["u2", "u3"])
    assert postbox.fields["u1"] == {} and postbox.fields["u3"][f"{AUDIENCE}_variant"] == "b"


def here_target(shop: Shop) -> Target:
    return Target(AUDIENCE, None, shop.target.options)


def test_a_refused_row_is_shown_with_its_reason_and_the_others_are_there(shop: tuple[Shop, PostboxStandIn]) -> None:
    here, postbox = shop
    postbox.faults = Faults(bad_keys=frozenset({"u2"}))
    long = {"u3": {"email": "u3@example.com", f"{AUDIENCE}_variant": "x" * 201}}
    report = here.sync(D1, people("u1", "u2") | long)
    assert report.outcome == "partial" and sorted(postbox.lists["offers"]) == ["u1"]
    assert report.tally.reasons == {
        ("set", "rejected", "bad_email"): 1,
        ("set", "rejected", f"text_too_long:{AUDIENCE}_variant"): 1,
    }
    postbox.requests.clear()
    assert here.sync(D1, people("u1", "u2") | long).tally.rejected == 2 and postbox.requests == []


@pytest.mark.parametrize("seed", [2])
def test_whatever_goes_wrong_the_list_is_right_in_the_end(shop: tuple[Shop, PostboxStandIn], seed: int) -> None:
    here, postbox = shop
    names = [f"u{number}" for number in range(20)]
    postbox.faults = Faults(seed=seed, share=0.4, row_share=0.2)
    here.sync(D1, people(*names))
    here.sync(D2, people(*names[10:]))
    postbox.faults.mend()
    report = here.sync(D2, people(*names[10:]))
    assert report.outcome == "complete" and sorted(postbox.lists["offers"]) == sorted(names[10:])
    assert all(postbox.fields.get(name, {}) == {} for name in names[:10])
    postbox.requests.clear()
    assert here.sync(D2, people(*names[10:])).outcome == "complete" and postbox.requests == []


def test_wrong_settings_are_said_when_definitions_load_or_in_the_report(
    shop: tuple[Shop, PostboxStandIn], tmp_path: Path
) -> None:
    here, postbox = shop
    report = Shop(tmp_path, postbox, "none").sync(D1, people("u1"))
    assert report.outcome == "failed" and "the list is not there" in str(report.tally.stopped)
    (lines,) = blocks("yaml", "type: postbox")
    long = f"{lines}    plan_attributes:\n      variant: {'x' * 41}\n"
    with pytest.raises(BarometerError, match=r"line 10: post\.plan_attributes\.variant: Postbox takes names of 40"):
        read_destinations(long, "destinations.yml", KNOWN)
    with open_ledger(here.folder / "a.sqlite") as con:
        assert next(Ledger(con, "post").entries(AUDIENCE), None) is None


def test_every_example_of_the_page_is_right(kind: type[Destination]) -> None:
    examples = blocks("yaml", "destinations:\n")
    read: list[DestinationConfig] = []
    for text in examples:
        read += read_destinations(text, "destinations.yml", KNOWN)
    assert {config.kind.type for config in read} == set(destinations.KINDS)


def test_the_page_has_every_option_and_guard() -> None:
    page = PAGE.read_text(encoding="utf-8")
    sections: Mapping[str, str] = {
        part.split("\n", 1)[0].lower(): part for part in re.split(r"^## ", page, flags=re.MULTILINE)
    }
    for name, each in destinations.KINDS.items():
        options = {*each.options, *each.audience_options, *each.secrets} - ({"url"} if name != "braze" else set())
        missing = [option for option in options if option not in sections[name]]
        assert not missing, f"{name}: {missing}"
    assert all(f"| `{guard}` |" in sections["the sync"] for guard in GUARDS)


def test_the_queries_of_the_page_run() -> None:
    queries = blocks("sql", "marts.sync_")
    assert len(queries) == 2
    with duckdb.connect() as con:
        con.execute("create schema marts")
        for table, columns in COLUMNS.items():
            con.execute(
                f"create table marts.{table}({', '.join(f'{name} {type_}' for name, type_ in columns.items())})"
            )
        for query in queries:
            assert con.execute(query).fetchall() == []
