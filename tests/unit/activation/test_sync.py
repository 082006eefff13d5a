"""One audience at one destination, with a provider that is a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pytest

from orchestration.activation.configuration import DestinationConfig, TargetConfig
from orchestration.activation.destinations import KINDS
from orchestration.activation.destinations.interface import (
    SEGMENTS,
    TAKEN,
    Destination,
    Limits,
    LostAnswer,
    NotTaken,
    Outcome,
    Refused,
    Row,
    Target,
    WholeDestination,
    WrongSettings,
    rejected,
)
from orchestration.activation.sync import dry_run, outgoing
from orchestration.activation.sync.assets import in_words, metadata_of
from orchestration.activation.sync.dry_run import emptied
from orchestration.activation.sync.extract_file import ExtractFile
from orchestration.activation.sync.ledger import Entry, Ledger, mark_erased, open_ledger
from orchestration.activation.sync.run import sync_destination
from orchestration.activation.sync.sync import Report, Situation, TargetSync, retire_stale
from orchestration.settings import Settings
from tests.standins.extracts import Rows, write_extract

D1, D2, D3 = date(2026, 6, 29), date(2026, 6, 30), date(2026, 7, 1)


class Provider:
    """What the provider has, and what it was told."""

    def __init__(self) -> None:
        self.members: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[tuple[str, list[str]]] = []
        self.once: list[str] = []
        self.fail: Callable[[str, Sequence[Row]], Mapping[str, Outcome] | None] = lambda operation, rows: None
        self.listed: list[str] | None = None


class InMemory(Destination):
    type = "in_memory"
    limits = Limits(rows=3, concurrency=2)
    provider: ClassVar[Provider]

    def says_once(self, target: Target) -> bool:
        return target.is_plan

    def members(self, target: Target) -> Any:
        return None if self.provider.listed is None else iter(self.provider.listed)

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        return self._take("set", target, rows)

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        return self._take("remove", target, rows)

    def _take(self, operation: str, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        self.provider.calls.append((operation, [row.key for row in rows]))
        said = self.provider.fail(operation, rows) or {}
        for row in rows:
            if said.get(row.key, TAKEN) is TAKEN:
                place = (target.options.get("list", target.audience), row.key)
                if operation == "remove":
                    self.provider.members.pop(place, None)
                else:
                    self.provider.members[place] = {k: v for k, v in row.attributes.items() if v is not None}
                    self.provider.once += [row.key] if row.once else []
        return {row.key: said.get(row.key, TAKEN) for row in rows}


class ByEmail(InMemory):
    type = "by_email"
    key = "email"


class WithList(InMemory):
    type = "with_list"
    has_list = True


class Whole(WholeDestination):
    """Takes whole lists, and may be the end of the process right after it has taken one."""

    type = "whole"
    provider: ClassVar[Provider]
    is_deadly: ClassVar[bool] = False

    def put(self, target: Target, rows: Path | None, names: Sequence[str]) -> int:
        there = duckdb.from_parquet(str(rows)) if rows else duckdb.sql("select '' as key where false")
        listed = [dict(zip(there.columns, row, strict=True)) for row in there.fetchall()]
        said = {(target.audience, row["key"]): {name: row.get(name) for name in names} for row in listed}
        self.provider.members = {**{k: v for k, v in self.provider.members.items() if k[0] != target.audience}, **said}
        self.provider.calls.append(("put", [key for _, key in said]))
        if self.is_deadly:
            raise KeyboardInterrupt
        return len(said)


class World:
    """A data folder with extracts and a ledger, and the provider."""

    def __init__(self, folder: Path, kind: type[InMemory | Whole] = InMemory, **more: Any) -> None:
        self.folder, self.provider, self.runs = folder, Provider(), 0
        self.target = TargetConfig(more.pop("audience", "winback"), (("variant", "variant"),), more.pop("options", {}))
        kind.provider = self.provider
        given = {"mode": "mirror", "starts_empty": True, **more}
        self.config = DestinationConfig("here", kind, {}, ("email",), targets=(self.target,), **given)

    def extract(self, as_of: date, rows: Rows, candidates: int | None = None) -> None:
        write_extract(self.folder / "extracts", as_of, self.config, {self.target.audience: rows}, candidates)

    def rename(self, *names: str) -> None:
        """Let the audience have attributes of these names."""
        self.target = replace(self.target, attributes=tuple((name, name) for name in names))
        self.config = replace(self.config, targets=(self.target,))

    def situation(self, as_of: date, **more: Any) -> Situation:
        given = {"today": as_of + timedelta(days=1), **more}
        self.runs += 1
        return Situation(f"run {self.runs}", self.folder / "extracts", self.folder, as_of, **given)

    def sync(self, as_of: date, **more: Any) -> Report:
        self.provider.calls.clear()
        with open_ledger(self.folder / "a.sqlite") as con, closing(_Open(self.config)) as open_:
            situation = self.situation(as_of, **more)
            retired = retire_stale(Ledger(con, "here"), "here", self.config, situation)
            return TargetSync(con, duckdb.connect(), self.config, self.target, situation).run(
                open_.destination, retired
            )

    def remove(self, as_of: date, **more: Any) -> Report:
        self.provider.calls.clear()
        with open_ledger(self.folder / "a.sqlite") as con, closing(_Open(self.config)) as open_:
            sync = TargetSync(con, duckdb.connect(), self.config, self.target, self.situation(as_of, **more))
            return sync.remove_what_must_go(open_.destination)

    def veto(self, *users: str) -> None:
        with open_ledger(self.folder / "a.sqlite") as con:
            Ledger(con, "here").keep_vetoes((self.target.audience, user, "no_consent") for user in users)

    def entries(self) -> dict[str, Entry]:
        with open_ledger(self.folder / "a.sqlite") as con:
            return {entry.key: entry for entry in Ledger(con, "here").entries(self.target.audience)}

    @property
    def keys(self) -> list[str]:
        return sorted(key for _, key in self.provider.members)


class _Open:
    def __init__(self, config: DestinationConfig) -> None:
        self.destination = config.kind(config.name, config.options)

    def close(self) -> None:
        self.destination.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def _people(*names: str, variant: str | None = "a") -> dict[str, dict[str, Any]]:
    return {name: {"variant": variant} for name in names}


def test_what_differs_is_sent_and_the_second_time_nothing(world: World) -> None:
    world.extract(D1, _people("u1", "u2", "u3", "u4", "u5"))
    report = world.sync(D1)
    assert (report.tally.accepted, report.outcome, world.keys) == (5, "complete", ["u1", "u2", "u3", "u4", "u5"])
    assert [len(keys) for _, keys in world.provider.calls] == [3, 2]
    again = world.sync(D1)
    assert world.provider.calls == [] and again.outcome == "complete" and again.tally.sent == 0


def test_segments_are_added_changed_and_removed(tmp_path: Path) -> None:
    world = World(tmp_path, audience=SEGMENTS)
    world.extract(D1, _people("u1", "u2", "u3"))
    world.sync(D1)
    world.extract(D2, {**_people("u1"), "u2": {"variant": None}, "u4": {"variant": "b"}})
    report = world.sync(D2)
    assert world.provider.calls == [("remove", ["u3"]), ("set", ["u2", "u4"])]
    assert world.provider.members == {
        (SEGMENTS, "u1"): {"variant": "a"},
        (SEGMENTS, "u2"): {},
        (SEGMENTS, "u4"): {"variant": "b"},
    }
    assert (report.tally.accepted, report.tally.removed) == (2, 1)


def test_a_plan_list_ends_with_its_day_before_anything_is_added(world: World) -> None:
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    world.extract(D2, _people("u2", "u3"))
    world.sync(D2)
    assert world.provider.calls == [("remove", ["u1", "u2"]), ("set", ["u2", "u3"])]


def test_a_plan_list_ends_also_where_the_night_has_made_none(world: World) -> None:
    world.extract(D1, _people("u1"))
    world.sync(D1)
    report = world.sync(D2)
    assert [guard.name for guard in report.guards] == ["incomplete"]
    assert world.keys == [] and report.tally.removed == 1


def test_a_changed_key_is_a_removal_of_the_old_one_first(tmp_path: Path) -> None:
    world = World(tmp_path, ByEmail, audience=SEGMENTS)
    world.extract(D1, {"u1": {"email": "old@example.com", "variant": "a"}})
    world.sync(D1)
    world.extract(D2, {"u1": {"email": "new@example.com", "variant": "a"}})
    world.sync(D2)
    assert world.provider.calls == [("remove", ["old@example.com"]), ("set", ["new@example.com"])]
    assert world.keys == ["new@example.com"]


def test_a_value_that_moves_to_another_name_is_a_change(tmp_path: Path) -> None:
    world = World(tmp_path, audience=SEGMENTS)
    for names in [("a",), ("b",), ("a", "b"), ("b", "a")]:
        world.rename(*names)
        # the same values in the same places, under other names
        world.extract(D1, {"u1": dict(zip(names, ("x", "y"), strict=False))})
        world.sync(D1)
        assert world.provider.members == {(SEGMENTS, "u1"): dict(zip(names, ("x", "y"), strict=False))}


@pytest.mark.parametrize("is_later", [False, True], ids=["vetoed", "the_day_after"])
def test_who_was_in_a_list_whose_delivery_was_killed_is_taken_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_later: bool
) -> None:
    world = World(tmp_path, Whole)
    if not is_later:
        world.extract(D1, _people("u1"))
        world.sync(D1)
    world.extract(D1, _people("u1", "u2"))
    monkeypatch.setattr(Whole, "is_deadly", True)
    with pytest.raises(KeyboardInterrupt):
        world.sync(D1)
    assert world.keys == ["u1", "u2"]
    monkeypatch.setattr(Whole, "is_deadly", False)
    if is_later:
        # and the night has made no extract
        world.sync(D2)
        assert world.keys == []
        return
    world.veto("u2")
    world.sync(D1, blocked="a check failed")
    assert "u2" not in world.keys


def test_only_what_a_killed_delivery_would_have_changed_is_not_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, Whole)
    world.extract(D1, _people("u1", "u2", "u3"))
    world.sync(D1)
    before = world.entries()
    world.extract(D1, {**_people("u1", "u4"), **_people("u3", variant="b")})
    monkeypatch.setattr(Whole, "is_deadly", True)
    with pytest.raises(KeyboardInterrupt):
        world.sync(D1)
    monkeypatch.setattr(Whole, "is_deadly", False)
    assert {key: entry.status for key, entry in world.entries().items()} == {
        "u1": "accepted", "u2": "pending", "u3": "pending", "u4": "pending"
    }  # fmt: skip
    world.sync(D1)
    after = world.entries()
    assert {key: entry.status for key, entry in after.items()} == dict.fromkeys(("u1", "u3", "u4"), "accepted")
    assert after["u1"] == before["u1"] and after["u3"].accepted_hash != before["u3"].accepted_hash
    assert world.keys == ["u1", "u3", "u4"]


def test_who_is_erased_while_a_list_is_delivered_is_taken_out_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, Whole)
    put = Whole.put

    def put_and_erase(self: Whole, target: Target, rows: Path | None, names: Sequence[str]) -> int:
        count = put(self, target, rows, names)
        mark_erased(tmp_path / "a.sqlite", ["u2"])
        return count

    world.extract(D1, _people("u1", "u2"))
    monkeypatch.setattr(Whole, "put", put_and_erase)
    world.sync(D1)
    monkeypatch.setattr(Whole, "put", put)
    assert world.keys == ["u1", "u2"] and world.entries()["u2"].must_remove == "erased"
    world.sync(D1, blocked="a check failed")
    assert world.keys == ["u1"] and world.entries().keys() == {"u1"}


def test_who_is_erased_while_a_list_is_prepared_is_not_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, Whole)
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    copy = ExtractFile.copy_without

    def copy_and_erase(self: ExtractFile, file: Path, users: Iterable[str]) -> None:
        copy(self, file, users)
        mark_erased(tmp_path / "a.sqlite", ["u2"])

    world.extract(D1, _people("u1", "u2", variant="b"))
    monkeypatch.setattr(ExtractFile, "copy_without", copy_and_erase)
    report = world.sync(D1)
    assert world.keys == ["u1"] and world.entries().keys() == {"u1"}
    assert (report.rows, report.tally.vetoed, report.tally.accepted, report.tally.removed) == (2, 1, 1, 1)


def test_a_list_that_was_not_taken_is_recorded_with_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, Whole)
    world.extract(D1, _people("u1", "u2"))
    world.veto("u2")

    def put(*_: Any) -> int:
        raise NotTaken("down")

    monkeypatch.setattr(Whole, "put", put)
    report = world.sync(D1)
    assert (report.rows, report.tally.vetoed, report.outcome) == (2, 1, "failed")


@pytest.mark.parametrize("is_known", [False, True], ids=["its_first", "its_first_with_another_column"])
@pytest.mark.parametrize("error", [NotTaken("down"), KeyboardInterrupt()], ids=["not_taken", "killed"])
@pytest.mark.parametrize("listed", [(), ("u1",)], ids=["nobody", "a_vetoed_one"])
def test_an_empty_list_is_delivered_until_it_was_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: tuple[str, ...], error: BaseException, is_known: bool
) -> None:
    world = World(tmp_path, Whole)

    def sync() -> Report:
        world.extract(D1, {user: dict.fromkeys(world.target.names, "a") for user in listed})
        world.veto(*listed)
        return world.sync(D1)

    def put(*_: Any) -> int:
        raise error

    if is_known:
        sync()
        world.rename("variant", "tier")
    with monkeypatch.context() as patch:
        patch.setattr(Whole, "put", put)
        for _ in range(2):
            if isinstance(error, NotTaken):
                assert sync().outcome == "failed"
            else:
                with pytest.raises(KeyboardInterrupt):
                    sync()
    # nobody who must go is in what was not delivered
    assert world.remove(D1).tally.sent == 0 and world.provider.calls == []
    report, count = sync(), len(listed)
    assert world.provider.calls == [("put", [])] and world.entries() == {}
    assert (report.outcome, report.rows, report.tally.sent, report.tally.vetoed) == ("complete", count, 0, count)
    assert sync().outcome == "complete" and world.provider.calls == []


def test_a_dry_run_tells_of_an_empty_list_until_it_was_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, Whole)

    def told() -> str:
        world.veto("u1")
        with open_ledger(tmp_path / "a.sqlite") as con, duckdb.connect() as reader:
            one = TargetSync(con, reader, world.config, world.target, world.situation(D1))
            return dry_run.in_words(one.preview(10)).splitlines()[0]

    def sync() -> None:
        world.veto("u1")
        world.sync(D1)

    def put(*_: Any) -> int:
        raise NotTaken("down")

    world.extract(D1, {"u1": {"variant": "a"}})
    with monkeypatch.context() as patch:
        patch.setattr(Whole, "put", put)
        for _ in ("never tried", "not taken"):
            assert told() == "here/winback: 1 vetoed of 1 rows; an empty list to deliver"
            sync()
    sync()
    assert told() == "here/winback: 1 vetoed of 1 rows"
    world.extract(D1, {})
    assert told() == "here/winback: nothing to send"
    world.rename("variant", "tier")
    world.extract(D1, {})
    assert told() == "here/winback: an empty list to deliver"


def test_an_empty_list_that_was_taken_by_a_sync_that_was_killed_then_is_delivered_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, Whole)
    world.extract(D1, {})
    monkeypatch.setattr(Whole, "is_deadly", True)
    with pytest.raises(KeyboardInterrupt):
        world.sync(D1)
    monkeypatch.setattr(Whole, "is_deadly", False)
    for calls in ([("put", [])], []):
        world.sync(D1)
        assert world.provider.calls == calls


def test_rows_on_their_way_are_gone_after_a_sync_also_those_that_a_killed_one_left(tmp_path: Path) -> None:
    world = World(tmp_path, Whole)
    world.extract(D1, _people("u1"))
    left = tmp_path / "outgoing" / ".here.winback.tmp" / "rows.parquet"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half a list")
    for _ in ("delivered", "nothing to send"):
        world.sync(D1)
        assert world.keys == ["u1"]
        assert list((tmp_path / "outgoing").iterdir()) == []


def test_rows_that_a_killed_sync_left_go_first(tmp_path: Path) -> None:
    left, other = (tmp_path / "outgoing" / f".{name}.winback.tmp" for name in ("here", "elsewhere"))
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "rows.parquet").write_bytes(b"half a list")
    world = World(tmp_path, Whole)
    with open_ledger(tmp_path / "a.sqlite") as con:
        retire_stale(Ledger(con, "here"), "here", world.config, world.situation(D1))
    assert not left.exists() and other.exists()


def test_rows_on_their_way_go_with_an_audience_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, Whole.type, Whole)
    world = World(tmp_path, Whole)
    world.extract(D1, _people("u1"))
    world.sync(D1)
    left = tmp_path / "outgoing" / ".here.winback.tmp"
    left.mkdir(parents=True)
    (left / "rows.parquet").write_bytes(b"half a list")
    with open_ledger(tmp_path / "a.sqlite") as con:
        config = replace(world.config, targets=())
        retire_stale(Ledger(con, "here"), "here", config, world.situation(D1))
    assert world.keys == [] and not left.exists()


def test_an_erasure_leaves_the_rows_that_a_sync_is_sending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, settings = World(tmp_path, Whole), Settings(tmp_path, tmp_path, D1, D2)
    world.extract(D1, _people("u1"))
    put = Whole.put

    def put_beside_an_erasure(self: Whole, *given: Any) -> int:
        assert outgoing.clear_idle(settings) == 0
        return put(self, *given)

    monkeypatch.setattr(Whole, "put", put_beside_an_erasure)
    (report,) = sync_destination(settings, world.config, world.situation(D1), ["winback"], lambda _: None)
    assert report.outcome == "complete" and world.keys == ["u1"]


def test_a_key_goes_whose_new_holder_may_not_be_sent(tmp_path: Path) -> None:
    world = World(tmp_path, ByEmail, audience=SEGMENTS)
    world.extract(D1, {"u1": {"email": "a@example.com", "variant": "a"}})
    world.sync(D1)
    world.extract(D2, {"u2": {"email": "a@example.com", "variant": "a"}})
    world.veto("u2")
    assert world.sync(D2).outcome == "complete" and world.keys == []


def test_who_comes_back_on_the_same_day_is_not_told_again(world: World) -> None:
    for names in ["u1 u2", "u2", "u1 u2"]:
        world.extract(D1, _people(*names.split()), candidates=2)
        world.sync(D1)
    assert world.keys == ["u1", "u2"] and sorted(world.provider.once) == ["u1", "u2"]
    world.extract(D2, _people("u1", "u2"))
    world.sync(D2)
    assert sorted(world.provider.once) == ["u1", "u1", "u2", "u2"]


def test_an_address_that_is_none_is_refused_without_a_call(tmp_path: Path) -> None:
    world = World(tmp_path, ByEmail)
    world.extract(D1, {"u1": {"email": "no address", "variant": "a"}, "u2": {"email": "b@example.com"}})
    report = world.sync(D1)
    assert world.keys == ["b@example.com"]
    assert report.tally.reasons == {("set", "rejected", "invalid_email"): 1} and report.outcome == "partial"
    assert world.sync(D1).outcome == "partial" and world.provider.calls == []


def test_refused_for_ever_waits_until_the_row_changes_and_else_is_tried_again(world: World) -> None:
    world.extract(D1, _people("u1", "u2", "u3"))
    refusals = {"u1": rejected("bad_id"), "u2": rejected("busy_row", is_permanent=False)}
    world.provider.fail = lambda operation, rows: refusals
    report = world.sync(D1)
    assert report.tally.rejected == 2 and report.outcome == "partial" and world.keys == ["u3"]
    assert world.sync(D1).tally.rejected == 2 and world.provider.calls == [("set", ["u2"])]
    refusals.clear()
    assert world.sync(D1).outcome == "partial" and world.keys == ["u2", "u3"]
    world.extract(D1, {**_people("u1", variant="b"), **_people("u2", "u3")})
    assert world.sync(D1).outcome == "complete" and world.keys == ["u1", "u2", "u3"]


def test_a_lost_answer_is_settled_by_the_next_run(world: World) -> None:
    world.extract(D1, _people("u1", "u2"))

    def lose(operation: str, rows: Sequence[Row]) -> None:
        world.provider.members[("winback", "u1")] = {"variant": "a"}
        raise LostAnswer("answer_lost")

    world.provider.fail = lose
    assert world.sync(D1).tally.unknown == 2
    # it has come, and is wanted no longer: it is taken out, though nobody knows that it is there
    world.provider.fail = lambda operation, rows: None
    world.extract(D1, _people("u2"), candidates=2)
    assert world.sync(D1).outcome == "complete"
    assert world.provider.calls == [("remove", ["u1"]), ("set", ["u2"])] and world.keys == ["u2"]


def test_what_must_not_be_said_twice_is_not_repeated_when_its_answer_is_lost(world: World) -> None:
    world.extract(D1, _people("u1", "u2"))
    lost = [True]

    def lose(operation: str, rows: Sequence[Row]) -> None:
        if lost and any(row.once for row in rows):
            lost.clear()
            world.provider.once += [row.key for row in rows]
            raise LostAnswer("answer_lost")

    world.provider.fail = lose
    assert world.sync(D1).outcome == "complete"
    assert sorted(world.provider.once) == ["u1", "u2"] and world.keys == ["u1", "u2"]
    world.extract(D1, _people("u1", "u2", variant="b"))
    world.sync(D1)
    assert sorted(world.provider.once) == ["u1", "u2"]


def test_what_was_not_taken_may_be_said_after_all(world: World) -> None:
    world.extract(D1, _people("u1"))

    def busy(operation: str, rows: Sequence[Row]) -> None:
        raise NotTaken("too_many_calls")

    world.provider.fail = busy
    assert world.sync(D1).tally.pending == 1
    world.provider.fail = lambda operation, rows: None
    world.sync(D1)
    assert world.provider.once == ["u1"]


def test_rows_to_blame_are_found_by_halves(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.extract(D1, _people("u1", "u2", "u3"))

    def refuse(operation: str, rows: Sequence[Row]) -> None:
        if any(row.key == "u2" for row in rows):
            raise Refused("http_400")

    world.provider.fail = refuse
    report = world.sync(D1)
    assert world.keys == ["u1", "u3"] and report.tally.reasons == {("set", "rejected", "http_400"): 1}


def test_a_row_refused_for_a_reason_that_nobody_told_is_tried_again(world: World) -> None:
    world.extract(D1, _people("u1"))

    def refuse(operation: str, rows: Sequence[Row]) -> None:
        raise Refused("errors_unread", is_permanent=False)

    world.provider.fail = refuse
    assert world.sync(D1).tally.rejected == 1
    world.provider.fail = lambda operation, rows: None
    assert world.sync(D1).outcome == "complete" and world.keys == ["u1"]


def test_who_withdrew_after_the_plan_is_not_sent_and_is_taken_out_first(world: World) -> None:
    world.extract(D1, _people("u1", "u2"))
    world.veto("u2")
    assert world.sync(D1).tally.vetoed == 1 and world.keys == ["u1"]
    world.veto("u1", "u2")
    report = world.remove(D1)
    assert world.provider.calls == [("remove", ["u1"])] and report.tally.removed == 1
    world.veto()
    world.sync(D1)
    assert world.keys == ["u1", "u2"]


def test_an_erased_user_goes_whatever_the_guards_say(world: World) -> None:
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    assert mark_erased(world.folder / "a.sqlite", ["u1"]) == 1
    report = world.sync(D1, blocked="a check failed")
    assert world.provider.calls == [("remove", ["u1"])] and world.keys == ["u2"]
    assert [guard.name for guard in report.guards] == ["blocked"]


@pytest.mark.parametrize(
    ("after", "is_stopped"), [(100, False), (70, False), (69, True), (0, True)], ids=["same", "at", "below", "none"]
)
def test_an_audience_that_falls_is_not_sent(tmp_path: Path, after: int, is_stopped: bool) -> None:
    world = World(tmp_path, audience=SEGMENTS)
    world.extract(D1, _people("u1", "u2"), candidates=100)
    world.sync(D1)
    world.extract(D2, _people("u1"), candidates=after)
    report = world.sync(D2)
    assert [guard.name for guard in report.guards] == (["fallen"] if is_stopped else [])
    assert world.keys == (["u1", "u2"] if is_stopped else ["u1"])
    if is_stopped:
        # the day after it is compared with what was last sent, not with what was stopped
        world.extract(D3, _people("u1"), candidates=after)
        assert world.sync(D3).guards
        assert not world.sync(D3, allowed=frozenset({"fallen"})).guards and world.keys == ["u1"]


def test_an_extract_that_somebody_changed_is_not_sent(world: World) -> None:
    world.extract(D1, _people("u1"))
    file = next((world.folder / "extracts").rglob("*.parquet"))
    file.write_bytes(file.read_bytes() + b"\0")
    assert [guard.name for guard in world.sync(D1).guards] == ["incomplete"] and world.keys == []


def test_a_list_that_has_passed_is_not_sent(world: World) -> None:
    world.extract(D1, _people("u1"))
    assert [guard.name for guard in world.sync(D1, today=D3).guards] == ["past"]
    assert not world.sync(D1, today=D3, allowed=frozenset({"past"})).guards and world.keys == ["u1"]


def test_mirror_takes_over_who_is_listed_and_asks_where_that_cannot_be_read(tmp_path: Path) -> None:
    world = World(tmp_path, WithList, starts_empty=False)
    world.extract(D1, _people("u1"))
    assert [guard.name for guard in world.sync(D1).guards] == ["not-empty"] and world.keys == []
    world.provider.listed = ["stranger", "u1"]
    world.provider.members = {("winback", "stranger"): {}, ("winback", "u1"): {}}
    assert not world.sync(D1).guards
    assert world.keys == ["u1"] and world.provider.members[("winback", "u1")] == {"variant": "a"}


def test_upsert_leaves_who_is_wanted_no_longer(tmp_path: Path) -> None:
    world = World(tmp_path, audience=SEGMENTS, mode="upsert")
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    world.extract(D2, _people("u2"))
    world.sync(D2)
    assert world.keys == ["u1", "u2"]
    world.veto("u1")
    world.sync(D2)
    assert world.keys == ["u2"]


def test_another_list_is_filled_and_the_old_one_emptied(tmp_path: Path) -> None:
    world = World(tmp_path, options={"list": "old"})
    world.extract(D1, _people("u1"))
    world.sync(D1)
    moved = World(tmp_path, options={"list": "new"})
    InMemory.provider = moved.provider = world.provider
    KINDS["in_memory"] = InMemory
    try:
        moved.sync(D1)
    finally:
        del KINDS["in_memory"]
    assert set(moved.provider.members) == {("new", "u1")}


@pytest.mark.parametrize("is_permanent", [True, False])
def test_a_row_that_is_never_taken_out_of_the_old_list_keeps_nobody_out_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_permanent: bool
) -> None:
    world = World(tmp_path, options={"list": "old"})
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    moved = World(tmp_path, options={"list": "new"})
    InMemory.provider = moved.provider = world.provider
    monkeypatch.setitem(KINDS, "in_memory", InMemory)

    def refuse(operation: str, rows: Sequence[Row]) -> Mapping[str, Outcome] | None:
        return {"u1": rejected("broken", is_permanent)} if operation == "remove" else None

    moved.provider.fail = refuse
    report = moved.sync(D1)
    assert ("old", "u1") in moved.provider.members
    # another try may still empty the old list, and that comes first
    assert (("new", "u2") in moved.provider.members) == is_permanent
    assert not report.is_complete


def test_a_listing_that_failed_is_made_again(tmp_path: Path) -> None:
    world = World(tmp_path, WithList, starts_empty=False)
    world.extract(D1, _people("u1"))
    world.provider.members = {("winback", "stranger"): {}}

    def half() -> Any:
        yield "stranger"
        raise NotTaken("too_many_calls")

    world.provider.listed = half()  # type: ignore[assignment]
    assert world.sync(D1).outcome == "failed" and world.keys == ["stranger"]
    world.provider.listed = ["stranger"]
    assert world.sync(D1).outcome == "complete" and world.keys == ["u1"]


@pytest.mark.parametrize("how", ["listed", "unknown"])
def test_a_removal_that_is_refused_is_not_forgotten_while_somebody_may_be_there(tmp_path: Path, how: str) -> None:
    world = World(tmp_path, WithList, audience=SEGMENTS, starts_empty=how == "unknown")
    world.provider.listed, world.provider.members = ["gone"], {(SEGMENTS, "gone"): {}}
    if how == "unknown":
        world.extract(D1, _people("gone", "u1"), candidates=9)

        def lose(operation: str, rows: Sequence[Row]) -> None:
            raise LostAnswer("answer_lost")

        world.provider.fail = lose
        world.sync(D1)
    world.extract(D1, _people("u1"), candidates=9)
    world.provider.fail = lambda operation, rows: {"gone": rejected("no")} if operation == "remove" else None
    assert world.sync(D1).outcome == "partial" and "gone" in world.keys
    world.provider.fail = lambda operation, rows: None
    assert world.sync(D1).outcome == "complete" and world.keys == ["u1"]


def test_half_of_a_refused_batch_is_not_said_to_be_untouched(world: World) -> None:
    world.extract(D1, _people("u1", "u2"))

    def fail(operation: str, rows: Sequence[Row]) -> None:
        if operation == "remove":
            return
        if len(rows) > 1:
            world.provider.members |= {("winback", row.key): {} for row in rows}
            raise Refused("errors_unread")
        raise NotTaken("too_many_calls")

    world.provider.fail = fail
    assert world.sync(D1).tally.pending == 2
    world.veto("u1", "u2")
    assert world.sync(D1).outcome == "complete" and world.keys == []


def test_trouble_at_an_old_place_keeps_nobody_at_the_present_one(tmp_path: Path) -> None:
    world = World(tmp_path, options={"list": "old"})
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    moved = World(tmp_path, options={"list": "new"})
    InMemory.provider = moved.provider = world.provider
    moved.provider.members[("new", "u3")] = {}
    with open_ledger(tmp_path / "a.sqlite") as con:
        sync = TargetSync(con, duckdb.connect(), moved.config, moved.target, moved.situation(D1))
        Ledger(con, "here").adopt(sync._stored(), ["u3"], "now")  # noqa: SLF001
        con.execute("update sync_ledger set must_remove = 'erased' where key = 'u3'")
        con.commit()
    # no kind of this name is registered, so that nothing can be taken out of the old list
    report = moved.sync(D1)
    assert report.outcome == "failed" and ("new", "u3") not in moved.provider.members


def test_a_provider_that_refuses_every_row_blames_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    InMemory.limits = Limits(rows=100, concurrency=2)
    try:
        world.extract(D1, _people(*(f"u{number:03}" for number in range(60))))

        def refuse(operation: str, rows: Sequence[Row]) -> None:
            raise Refused("http_400")

        world.provider.fail = refuse
        report = world.sync(D1)
        assert report.outcome == "failed" and report.tally.rejected == 0 and len(world.provider.calls) < 80
        world.provider.fail = lambda operation, rows: None
        assert world.sync(D1).outcome == "complete" and len(world.keys) == 60
    finally:
        InMemory.limits = Limits(rows=3, concurrency=2)


def test_what_another_run_loads_meanwhile_is_not_sent(world: World) -> None:
    world.extract(D1, _people(*(f"u{number}" for number in range(1, 9))))
    told = []

    def erase(operation: str, rows: Sequence[Row]) -> None:
        if not told:
            told.append(mark_erased(world.folder / "a.sqlite", ["u8"]))

    world.provider.fail = erase
    world.sync(D1)
    world.provider.fail = lambda operation, rows: None
    world.remove(D1)
    assert "u8" not in world.keys


def test_an_extract_that_is_not_as_written_can_be_allowed_and_a_missing_one_not(world: World) -> None:
    world.extract(D1, _people("u1"))
    allowed = frozenset({"incomplete"})
    manifest = world.folder / "extracts" / D1.isoformat() / "manifest.json"
    manifest.write_text(manifest.read_text().replace('.parquet": "', '.parquet": "0'))
    assert world.sync(D1).guards and world.keys == []
    assert not world.sync(D1, allowed=allowed).guards and world.keys == ["u1"]
    assert [guard.name for guard in world.sync(D2, allowed=allowed).guards] == ["incomplete"]


def test_an_error_of_a_destinations_own_code_stops_its_audience_alone_and_is_not_quoted(world: World) -> None:
    world.extract(D1, _people("u1"))

    def break_down(operation: str, rows: Sequence[Row]) -> None:
        raise KeyError("anna@example.com")

    world.provider.fail = break_down
    report = world.sync(D1)
    assert report.outcome == "failed" and "anna" not in in_words(report) + str(metadata_of(report))
    world.provider.fail = lambda operation, rows: None
    assert world.sync(D1).outcome == "complete"


def test_how_rows_are_sent_is_no_other_place(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.extract(D1, _people("u1"))
    world.sync(D1)
    world.config = replace(world.config, options={"rows": 1, "key_env": "ANOTHER"})
    world.sync(D1)
    assert world.provider.calls == [] and world.provider.once == ["u1"]


def test_a_move_to_another_list_forgets_no_veto(tmp_path: Path) -> None:
    world = World(tmp_path, options={"list": "old"})
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    moved = World(tmp_path, options={"list": "new"})
    InMemory.provider = moved.provider = world.provider
    moved.veto("u2")
    KINDS["in_memory"] = InMemory
    try:
        moved.sync(D1)
    finally:
        del KINDS["in_memory"]
    assert set(moved.provider.members) == {("new", "u1")}


def test_wrong_settings_stop_the_audience_and_blame_no_row(world: World) -> None:
    world.extract(D1, _people("u1"))

    def wrong(operation: str, rows: Sequence[Row]) -> None:
        raise WrongSettings("here refuses the key: status 401.", "Look at the key.")

    world.provider.fail = wrong
    report = world.sync(D1)
    assert report.outcome == "failed" and report.tally.rejected == 0
    world.provider.fail = lambda operation, rows: None
    assert world.sync(D1).outcome == "complete" and world.keys == ["u1"]


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(tmp_path: Path) -> None:
    world = World(tmp_path, audience=SEGMENTS)
    world.extract(D1, _people("u1", "u2", "u3"))
    world.sync(D1)
    world.extract(D2, {**_people("u1"), **_people("u2", variant="b"), **_people("u4", "u5")})
    world.veto("u5")
    world.provider.calls.clear()
    with open_ledger(tmp_path / "a.sqlite") as con:
        preview = TargetSync(con, duckdb.connect(), world.config, world.target, world.situation(D2)).preview(10)
    assert (preview.new, preview.changed, preview.removed, preview.vetoed, preview.rows) == (1, 1, 1, 1, 4)
    assert {(operation, row.key) for operation, row in preview.examples} == {
        ("change", "u2"),
        ("add", "u4"),
        ("remove", "u3"),
    }
    assert world.provider.calls == []
    world.sync(D2)
    assert world.keys == ["u1", "u2", "u4"]


def test_a_dry_run_says_which_audiences_would_be_emptied(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.extract(D1, _people("u1", "u2"))
    world.sync(D1)
    settings = Settings(tmp_path, tmp_path, D1, D2)
    settings.warehouse.mkdir()
    (tmp_path / "a.sqlite").rename(settings.activation_file)
    assert list(emptied(settings, [world.config])) == []
    assert list(emptied(settings, [])) == ["here/winback: 2 to remove: destinations.yml names it no longer"]
