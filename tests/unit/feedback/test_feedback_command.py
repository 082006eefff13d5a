"""Files of providers become landing files that the loader takes without a reject, whatever else is in them."""

import gzip
import json
import stat
from dataclasses import replace
from datetime import UTC, datetime

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from orchestration.command_line import main
from orchestration.errors import BarometerError
from orchestration.feedback.command import feedback
from orchestration.feedback.providers import PROVIDERS
from orchestration.feedback.rows import Rejected, rows_of
from orchestration.landing.load import LoadSettings, create_raw_schema, load_landing
from orchestration.settings import seed_rows
from tests.unit.feedback.test_feedback_providers import (
    EVENTS,
    MESSAGES,
    REASONS,
    batch,
    braze,
    brevo,
    klaviyo,
    sendgrid,
    twilio,
)

CHANNELS = frozenset(row["channel"] for row in seed_rows("channels"))


@pytest.fixture
def landing(tmp_path):
    folder = tmp_path / "landing"
    folder.mkdir()
    return folder


def run(landing, provider, *files, rejects=None, is_dry_run=False):
    """Convert files; what was said of all comes beside the counts."""
    said = []
    counts = feedback(provider, files, landing, rejects, is_dry_run, lambda line: None, said.append)
    return counts, said


def written(landing):
    """The files of a landing folder and what is in them."""
    return {path.relative_to(landing).as_posix(): path.read_bytes() for path in landing.rglob("*") if path.is_file()}


def rows(landing, dataset):
    return [
        json.loads(line)
        for path in sorted((landing / dataset).glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]


def loaded(landing):
    """What the loader makes of a landing folder."""
    con = duckdb.connect(config={"threads": 1})
    create_raw_schema(con)
    load = LoadSettings(channels=CHANNELS, consent_statuses={}, settle_seconds=0)
    load_landing(con, landing, load, lambda: datetime(2030, 1, 1, tzinfo=UTC), lambda line: None)
    return con


def lines(path, documents):
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def refusals(con):
    """What the loader could not use of files that should be its own."""
    return [
        con.execute(f"from raw.{table}").fetchall()
        for table in ("rejected_rows", "rejected_files", "bad_values", "unknown_columns")
    ]


def test_the_loader_takes_everything_that_every_provider_tells(landing, tmp_path):
    total = {}
    for provider in PROVIDERS:
        documents = [case[1] for case in (*EVENTS, *MESSAGES, *REASONS) if case[0] == provider]
        counts, _ = run(landing, provider, lines(tmp_path / f"{provider}.jsonl", documents))
        # a record gives all that it can, or has one reason why not
        assert counts.records == len(documents)
        assert set(counts.reasons) == {reason for name, _, reason in REASONS if name == provider}
        total = {dataset: total.get(dataset, 0) + number for dataset, number in counts.rows.items()} | {
            dataset: number for dataset, number in total.items() if dataset not in counts.rows
        }
    con = loaded(landing)
    assert refusals(con) == [[], [], [], []]
    read = dict(con.execute("select dataset, sum(rows_accepted)::int from raw.load_files group by all").fetchall())
    assert read == total


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
GOOD = {
    "batch": batch("email_click", url="https://example.com"),
    "braze": braze("email.Send"),
    "brevo": brevo("request"),
    "klaviyo": klaviyo("Received Email"),
    "sendgrid": sendgrid("click", url="https://example.com"),
    "twilio": twilio("sent"),
}


@st.composite
def damaged(draw):
    """A good record, with some of its fields, at any depth, changed for anything."""
    provider = draw(st.sampled_from(sorted(GOOD)))
    document = json.loads(json.dumps(GOOD[provider]))
    for _ in range(draw(st.integers(1, 3))):
        inner = document
        while True:
            key = draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            if not isinstance(inner[key], dict | list) or not inner[key] or draw(st.booleans()):
                break
            inner = inner[key]
        inner[key] = draw(JSON)
    return provider, document


def test_the_loader_takes_what_is_made_of_damaged_records(landing, tmp_path):
    documents = {provider: [GOOD[provider]] for provider in PROVIDERS}

    @given(damaged())
    @settings(max_examples=300, deadline=None, database=None, phases=[Phase.generate])
    def collect(found):
        provider, document = found
        for record in PROVIDERS[provider].records(document, {}):
            assert len([each for each in rows_of(PROVIDERS[provider], record) if isinstance(each, Rejected)]) <= 1
        documents[provider].append(document)

    collect()
    counts = [run(landing, name, lines(tmp_path / f"{name}.jsonl", found))[0] for name, found in documents.items()]
    assert sum(counted.rows.total() for counted in counts) > 30
    assert refusals(loaded(landing)) == [[], [], [], []]


FORMS = {
    "array.json": lambda found: json.dumps(found, indent=2),
    "lines.json": lambda found: "\n".join(json.dumps(each) for each in found),
    "bodies.jsonl": lambda found: json.dumps(found[:1]) + "\n\n" + json.dumps(found[1:]) + "\n",
    "bom.json": lambda found: "\ufeff" + json.dumps(found, indent=2),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("is_gzipped", [False, True])
def test_the_same_records_give_the_same_file_however_they_are_written(landing, tmp_path, name, is_gzipped):
    found = [sendgrid("processed"), sendgrid("delivered"), sendgrid("open")]
    run(landing, "sendgrid", lines(tmp_path / "plain.jsonl", found))
    before = written(landing)
    assert len(before) == 2
    content = FORMS[name](found).encode()
    path = tmp_path / (name + ".gz" * is_gzipped)
    path.write_bytes(gzip.compress(content) if is_gzipped else content)
    run(landing, "sendgrid", path)
    assert written(landing) == before


def test_a_second_run_changes_nothing(landing, tmp_path):
    path = lines(tmp_path / "events.jsonl", [sendgrid("processed"), sendgrid("open")])
    run(landing, "sendgrid", path)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in landing.rglob("*.gz")}
    assert {path.name[: len("sendgrid_")] for path in before} == {"sendgrid_"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in before} == {0o600}
    # no time of writing is in them
    assert {content[4:8] for content, _ in before.values()} == {bytes(4)}
    run(landing, "sendgrid", path)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in landing.rglob("*") if path.is_file()} == (
        before
    )


def test_garbage_is_rejected_and_the_rest_goes_on(landing, tmp_path):
    path, kept = tmp_path / "events.jsonl", tmp_path / "rejects.jsonl"
    kept.write_text("old")
    kept.chmod(0o644)
    good = json.dumps(sendgrid("open")).encode()
    path.write_bytes(b"{broken\n" + good + b'\n"\xff"\n[]\n{}\n' + b"[" * 100_000 + b"\n" + good[:-9] + b"\n\n" + good)
    counts, said = run(landing, "sendgrid", path, rejects=kept)
    assert counts.records == 7
    assert counts.rows == {"message_events": 2}
    assert counts.reasons == {"not_json": 4, "not_this_shape": 1}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    found = [json.loads(line) for line in kept.read_text().splitlines()]
    assert [(each["record"], each["reason"]) for each in found] == [
        (1, "not_json"), (3, "not_json"), (4, "not_this_shape"), (5, "not_json"), (6, "not_json")]  # fmt: skip
    assert found[0]["content"] == "{broken"
    assert "4 not_json" in " ".join(said)


def test_a_document_that_is_nested_too_deeply_is_garbage(landing, tmp_path, monkeypatch):
    chosen = PROVIDERS["sendgrid"]

    def records(document, said):
        if "deep" in document:
            raise RecursionError
        return chosen.records(document, said)

    monkeypatch.setitem(PROVIDERS, "sendgrid", replace(chosen, records=records))
    path, kept = tmp_path / "events.jsonl", tmp_path / "rejects.jsonl"
    almost = '{"event": "teleported", "sg_event_id": "e1", "x": ' + "[" * 970 + "]" * 970 + "}\n"
    path.write_text('{"deep": 1}\n' + almost + json.dumps(sendgrid("open")) + "\n")
    counts, _ = run(landing, "sendgrid", path, rejects=kept)
    assert (counts.records, counts.rows) == (3, {"message_events": 1})
    assert counts.reasons["not_json"] >= 1
    assert len(kept.read_text().splitlines()) == 2


def test_lost_withdrawals_are_said_aloud(landing, tmp_path):
    kept = tmp_path / "rejects.jsonl"
    stop = braze("sms.InboundReceive", action="Unsubscribed")
    _, said = run(landing, "braze", lines(tmp_path / "events.jsonl", [stop, braze("sms.Abort")]), rejects=kept)
    assert "lost_withdrawal" in " ".join(said) and "consents" in said[-1]
    # what is ignored is kept nowhere
    (found,) = [json.loads(line) for line in kept.read_text().splitlines()]
    assert (found["reason"], found["content"]["external_user_id"]) == ("lost_withdrawal", "u1")


def test_forms_and_csv(landing, tmp_path):
    form = tmp_path / "callbacks.txt"
    form.write_text(
        "MessageSid=SM1&MessageStatus=sent&user_id=u+1&received_at=2026-03-01T10%3A00%3A00Z\n"
        "MessageSid=SM1&MessageStatus=delivered&received_at=2026-03-01T10%3A00%3A05Z\n"
    )
    run(landing, "twilio", form)
    assert rows(landing, "messages")[0]["user_id"] == "u 1"
    assert rows(landing, "message_events")[0]["occurred_at"] == "2026-03-01T10:00:05Z"
    table = tmp_path / "export.csv"
    table.write_text(
        "Sid;To;Status;SentDate;ErrorCode\nSM2;+15005550001;undelivered;2026-03-01T10:00:00Z;30006\nSM3;;queued;;\n"
    )
    counts, _ = run(landing, "twilio", table)
    # the console's export carries nothing of yours
    assert counts.reasons == {"no_user_id": 1, "ignored": 1}
    assert {row["event"] for row in rows(landing, "message_events") if row["message_id"] == "SM2"} == {
        "failed", "bounced"}  # fmt: skip


def test_a_dry_run_only_counts(landing, tmp_path):
    path = lines(tmp_path / "events.jsonl", [sendgrid("processed")])
    counts, said = run(landing / "away", "sendgrid", path, is_dry_run=True)
    assert counts.rows == {"messages": 1}
    assert "nothing was written" in said[0]
    assert written(landing) == {}


@pytest.mark.parametrize(
    "content",
    [
        b'{"hello": "world"}\n{"hello": "again"}\n',
        b"no json at all",
        b"\x1f\x8bbroken",
        b"PAR1\x00\x15\x04\n\xff\xfe",
    ],
)
def test_another_file_is_refused_and_the_others_go_on(landing, tmp_path, content):
    other, good = tmp_path / "other.json", lines(tmp_path / "good.jsonl", [sendgrid("open")])
    other.write_bytes(content)
    with pytest.raises(BarometerError, match=r"other\.json") as error:
        run(landing, "sendgrid", other, good)
    assert error.value.hint
    assert [name.split("/")[0] for name in written(landing)] == ["message_events"]


def test_an_empty_file_gives_nothing(landing, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    assert run(landing, "brevo", empty)[0].records == 0
    assert written(landing) == {}


def test_what_can_t_be_written_leaves_nothing(landing, tmp_path, monkeypatch):
    path = lines(tmp_path / "events.jsonl", [sendgrid("processed")])

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("orchestration.feedback.writing.fsync", full)
    with pytest.raises(OSError, match="No space"):
        run(landing, "sendgrid", path)
    assert written(landing) == {}


def test_rejects_never_lie_in_the_landing_folder(landing, tmp_path):
    path = lines(tmp_path / "events.jsonl", [sendgrid("open")])
    with pytest.raises(BarometerError, match="landing folder"):
        run(landing, "sendgrid", path, rejects=landing / "messages" / "rejects.jsonl")


def test_the_command(landing, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("BAROMETER_LANDING", str(landing))
    path = lines(tmp_path / "events.jsonl", [sendgrid("processed"), sendgrid("deferred")])
    main(["feedback", "--provider", "sendgrid", str(path)])
    assert "sendgrid: 1 file, 2 records: 1 messages, 0 message events; 1 ignored" in capfd.readouterr().out
    assert len(written(landing)) == 1
    for wrong in (["--into", str(tmp_path / "away"), str(path)], [str(tmp_path / "gone.json")]):
        with pytest.raises(SystemExit) as stopped:
            main(["feedback", "--provider", "sendgrid", *wrong])
        assert stopped.value.code == 1
        printed = capfd.readouterr().err
        assert "Barometer stopped" in printed and "What to do" in printed
        assert "ada@example.com" not in printed
