"""destinations.yml: what it may say, and that each mistake is named with its line."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest

from orchestration import command_line
from orchestration.activation import configuration
from orchestration.activation.configuration import (
    FILE_VARIABLE,
    PLAN_COLUMNS,
    DestinationConfig,
    Known,
    configured,
    read_destinations,
)
from orchestration.activation.destinations import KINDS
from orchestration.activation.destinations.interface import SEGMENTS, WrongSettings
from orchestration.errors import BarometerError
from orchestration.settings import ROOT, seed_rows
from orchestration.warehouse.audiences import audiences
from orchestration.warehouse.project import Described

CHANNELS = tuple(row["channel"] for row in seed_rows("channels"))
KNOWN = Known(
    ("late", "vip", "winback"),
    CHANNELS,
    ("rfm", "lifecycle", "next_eligible_date", *(f"headroom_{channel}" for channel in CHANNELS)),
)
SECRET = "SG.kAq1-not-a-variable"

RIGHT = """
destinations:
  crm:
    type: brevo
    options:
      api_key_env: BREVO_API_KEY
    channels: [email, sms]
    mode: upsert
    audiences:
      vip: {list: 12}
      winback:
        list: 13
        attributes: {plan_date: WINBACK_DAY}
    plan_attributes:
      plan_date: "{audience}_plan_date"
      variant: "{audience}_variant"
    segments:
      attributes:
        rfm: rfm
        headroom_email: left_email
      options: {list: 14}
    guards:
      max_fall: 0.5
      starts_empty: true
  app:
    type: batch
    options: {project: project_1, key_env: BATCH_KEY}
    channels: all
    audiences: all
"""


def read(text: str) -> list[DestinationConfig]:
    return read_destinations(text, "destinations.yml", KNOWN)


def message(text: str) -> str:
    with pytest.raises(BarometerError) as caught:
        read(text)
    assert "make parse" in caught.value.hint and "docs/DESTINATIONS.md" in caught.value.hint
    return caught.value.message


def test_every_line_of_a_destination_is_read() -> None:
    app, crm = read(RIGHT)
    assert (crm.name, crm.kind, crm.channels, crm.mode) == ("crm", KINDS["brevo"], ("email", "sms"), "upsert")
    assert (crm.max_fall, crm.starts_empty, crm.options) == (0.5, True, {"api_key_env": "BREVO_API_KEY"})
    assert [(target.audience, target.attributes, target.options) for target in crm.targets] == [
        ("vip", (("plan_date", "vip_plan_date"), ("variant", "vip_variant")), {"list": 12}),
        ("winback", (("plan_date", "WINBACK_DAY"),), {"list": 13}),
        (SEGMENTS, (("rfm", "rfm"), ("headroom_email", "left_email")), {"list": 14}),
    ]
    assert crm.target("vip") == crm.targets[0] and crm.target("late") is None
    assert (app.channels, app.mode, app.max_fall, app.starts_empty) == (CHANNELS, "mirror", 0.3, False)
    assert [target.audience for target in app.targets] == ["late", "vip", "winback"]
    assert app.targets[0].names == tuple(
        f"late_{column}" for column in ("plan_date", "channel", "variant", "timezone", "send_from", "send_until")
    )


#: The line that is put in the place of another of RIGHT, that line, and what is said of it.
MISTAKES = [
    ("    type: brewo", "    type: brevo", "crm.type: there is no 'brewo' (meant brevo?)"),
    ("    type: 5", "    type: brevo", "crm.type: input should be a valid string"),
    (
        "      api_key_emv: BREVO_API_KEY",
        "      api_key_env: BREVO_API_KEY",
        "crm.options.api_key_emv: there is no option 'api_key_emv' (meant api_key_env?)",
    ),
    ("      api_key_env: " + SECRET, "      api_key_env: BREVO_API_KEY", "crm.options.api_key_env: write the name of"),
    ("      api_key_env:", "      api_key_env: BREVO_API_KEY", "crm.options.api_key_env: write the name of"),
    ("    channels: [emial, sms]", "    channels: [email, sms]", "there is no channel 'emial' (meant email?)"),
    ("    channels: []", "    channels: [email, sms]", "crm.channels: name at least one channel"),
    ("    channels: email", "    channels: [email, sms]", "crm.channels: input should be"),
    ("    chanels: all", "    channels: [email, sms]", "crm.chanels: there is no such key (meant channels?)"),
    ("    mode: mirrored", "    mode: upsert", "crm.mode: input should be 'mirror' or 'upsert'"),
    ("      vipp: {list: 12}", "      vip: {list: 12}", "there is no audience 'vipp' (meant vip?)"),
    ("      vip: {lists: 12}", "      vip: {list: 12}", "there is no option 'lists' (meant list?)"),
    ("      vip: {}", "      vip: {list: 12}", "crm.audiences.vip: the option 'list' is missing"),
    ("      vip: {list: 2026-06-11}", "      vip: {list: 12}", "crm.audiences.vip.list: write a text, a number"),
    ("      vip: {list: {id: 12}}", "      vip: {list: 12}", "crm.audiences.vip.list: write a text, a number"),
    ("      vip: 12", "      vip: {list: 12}", "crm.audiences.vip: input should be a valid dict"),
    (
        "        attributes: {plan_day: WINBACK_DAY}",
        "        attributes: {plan_date: WINBACK_DAY}",
        "crm.audiences.winback.attributes.plan_day: a plan list has no 'plan_day'",
    ),
    (
        "        attributes: [plan_date]",
        "        attributes: {plan_date: WINBACK_DAY}",
        "crm.audiences.winback.attributes: write each as column: name",
    ),
    (
        "        attributes: {}",
        "        attributes: {plan_date: WINBACK_DAY}",
        "crm.audiences.winback.attributes: a plan list needs at least one attribute",
    ),
    (
        "        attributes: {plan_date: vip_plan_date}",
        "        attributes: {plan_date: WINBACK_DAY}",
        "crm.audiences.winback.attributes.plan_date: vip and winback both set 'vip_plan_date'",
    ),
    (
        '      varient: "{audience}_variant"',
        '      variant: "{audience}_variant"',
        "crm.plan_attributes.varient: a plan list has no 'varient'",
    ),
    (
        '      variant: "{audience}_plan_date"',
        '      variant: "{audience}_plan_date"',
        "crm.plan_attributes.variant: two attributes are called 'vip_plan_date'",
    ),
    (
        '      variant: "{aud}_variant"',
        '      variant: "{audience}_variant"',
        "crm.plan_attributes.variant: '{aud}_variant': only {audience}",
    ),
    ("      variant: email", '      variant: "{audience}_variant"', "'email' can't be the name of an attribute"),
    ("        rfn: rfm", "        rfm: rfm", "crm.segments.attributes.rfn: there is no column 'rfn'"),
    (
        "        headroom_emial: left_email",
        "        headroom_email: left_email",
        "there is no column 'headroom_emial' (meant headroom_email?)",
    ),
    ("        headroom_email: RFM", "        headroom_email: left_email", "two attributes are called 'RFM'"),
    ("        headroom_email: 5", "        headroom_email: left_email", "headroom_email: input should be a valid str"),
    (
        "        headroom_email: vip_variant",
        "        headroom_email: left_email",
        "crm.segments.attributes.headroom_email: vip and segments both set 'vip_variant'",
    ),
    ("      options: {}", "      options: {list: 14}", "crm.segments.options: the option 'list' is missing"),
    ("      max_fall: 1.5", "      max_fall: 0.5", "crm.guards.max_fall: input should be less than or equal to 1"),
    ("      starts_empty: perhaps", "      starts_empty: true", "crm.guards.starts_empty: input should be a valid b"),
    ("  Crm:", "  crm:", "Crm: a name has lower-case letters"),
    ("    options: {project: p}", "    options: {project: project_1, key_env: BATCH_KEY}", "'key_env' is missing"),
]


@pytest.mark.parametrize(("wrong", "right", "said"), MISTAKES, ids=[wrong.strip() for wrong, *_ in MISTAKES])
def test_a_mistake_is_named_with_its_line(wrong: str, right: str, said: str) -> None:
    lines = RIGHT.split("\n")
    # the mistake of two equal names is made of the line before
    number = lines.index(right if right in lines else '      variant: "{audience}_variant"')
    lines[number] = wrong
    found = message("\n".join(lines)).split("\n")
    assert found[0] == "destinations.yml can't be used:"
    assert any(line.startswith(f"  line {number + 1}: ") and said in line for line in found[1:]), found
    assert SECRET not in "".join(found)


def test_a_mistake_is_said_once() -> None:
    for wrong, right in (
        ("    channels: 5", "    channels: [email, sms]"),
        ("      vip: 12", "      vip: {list: 12}"),
        ("      api_key_env: " + SECRET, "      api_key_env: BREVO_API_KEY"),
    ):
        assert message(RIGHT.replace(right, wrong)).count("\n") == 1
    # a line that serves two audiences
    text = RIGHT.replace('"{audience}_variant"', "email").replace("attributes: {plan_date: WINBACK_DAY}", "")
    assert message(text).count("can't be the name") == 1


def test_all_mistakes_of_all_destinations_are_said_at_once_in_the_order_of_lines() -> None:
    text = RIGHT.replace("type: brevo", "typo: brevo").replace("channels: all", "channels: [pigeon]")
    text = text.replace("project: project_1, ", "projekt: p, ")
    found = message(text).split("\n")[1:]
    assert [int(re.findall(r"line (\d+)", line)[0]) for line in found] == [3, 4, 27, 27, 28]
    for part, line in zip(
        ("crm.type: is missing", "crm.typo", "'projekt' (meant project?)", "'project' is missing", "'pigeon'"),
        found,
        strict=True,
    ):
        assert part in line


def test_a_key_that_is_there_twice_is_named_where_it_comes_again() -> None:
    assert "line 5: destinations.crm.type is there twice" in message(
        "destinations:\n  crm:\n    type: batch\n    channels: all\n    type: braze\n"
    )
    assert message(RIGHT.replace("  app:", "  crm:")).split("\n")[1:] == ["  line 25: destinations.crm is there twice"]


def test_names_that_need_not_differ_may_be_the_same() -> None:
    (config,) = read(
        "destinations:\n  drop:\n    type: files\n    options: {url: out}\n    channels: all\n"
        "    audiences: [vip, late]\n    plan_attributes: {variant: variant}\n"
    )
    assert [target.names for target in config.targets] == [("variant",), ("variant",)]
    text = "destinations:\n  hook:\n    type: {type}\n    options: {options}\n    channels: all\n"
    text += "    audiences: [vip, late]\n    plan_attributes: {variant: variant}\n"
    shared = text.replace("{type}", "onesignal").replace(
        "{options}", "{app: 7b2c1f0e-0000-4000-8000-123456789abc, key_env: KEY}"
    )
    assert "line 7: hook.plan_attributes.variant: vip and late both set 'variant'" in message(shared)


def test_a_whole_list_is_a_mirror() -> None:
    text = "destinations:\n  drop:\n    type: files\n    options: {url: out}\n    channels: all\n    mode: upsert\n"
    assert "line 6: drop.mode: files always holds the list as it is" in message(text + "    audiences: all\n")


def test_a_destination_of_nobody_is_a_mistake() -> None:
    text = "destinations:\n  app:\n    type: batch\n    options: {project: p, key_env: K}\n    channels: all\n"
    for more in ("", "    audiences: []\n", "    audiences: {}\n"):
        assert "line 2: app: it has neither audiences nor segments" in message(text + more)
    assert "line 6: app.segments.attributes: is missing" in message(text + "    segments: {}\n")
    assert "line 2: app: write its keys below it" in message("destinations:\n  app:\n")


#: What the module of a destination finds wrong, and the line on which it is.
OF_DESTINATIONS = [
    ("batch", "{project: p, key_env: K, mass_update_from: 0}", "variant: ok", 4, "options.mass_update_from"),
    ("batch", "{project: p, key_env: K}", "variant: Vip", 8, "plan_attributes.variant"),
    ("braze", "{url: 'https://b.example.com', key_env: K, rows: 99}", "variant: ok", 4, "options.rows"),
    ("braze", "{url: 'https://b.example.com', key_env: K}", "variant: email_subscribe", 8, "plan_attributes.variant"),
    ("onesignal", "{app: mine, key_env: K}", "variant: ok", 4, "options.app"),
    ("klaviyo", "{api_key_env: K}", "variant: $consent", 8, "plan_attributes.variant"),
    ("sendgrid", "{api_key_env: K}", "variant: vip_variant", 8, "plan_attributes.variant"),
    ("webhook", "{url: 'http://crm.example.com', secret_env: K}", "variant: ok", 4, "options.url"),
    ("files", "{url: out, formats: [xml]}", "variant: ok", 4, "options.formats"),
    ("files", "{url: out}", "variant: '=1'", 8, "plan_attributes.variant"),
]


@pytest.mark.parametrize(("kind", "options", "mapped", "line", "place"), OF_DESTINATIONS)
def test_what_a_destination_finds_has_its_line_too(kind: str, options: str, mapped: str, line: int, place: str) -> None:
    text = f"destinations:\n  x:\n    type: {kind}\n    options: {options}\n    channels: all\n    audiences: [vip]\n"
    text += f"    plan_attributes:\n      {mapped}\n"
    assert f"  line {line}: x.{place}: " in message(text)


def test_what_a_destination_finds_in_the_attributes_of_one_audience_or_the_segments_has_its_line_too() -> None:
    found = message(RIGHT.replace("left_email", "no-dash").replace("WINBACK_DAY", "EMAIL_DAY-"))
    assert "  line 13: crm.audiences.winback.attributes.plan_date: " in found
    assert "  line 20: crm.segments.attributes.headroom_email: " in found


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("destinations:\n  crm: {type: batch\n", 3),
        ("destinations:\n\tcrm:\n", 2),
        (f"destinations:\n  crm: *{SECRET.replace('.', '')}\n", 2),
        (f"destinations:\n  crm:\n    options: !env {SECRET}\n", 3),
        ("destinations:\n  ? [a]\n  : 1\n", 2),
        ("destinations:\n  crm: 2026-99-99\n", None),
        ("a: \x00\n", None),
        ("destinations: {}\n---\ndestinations: {}\n", 2),
    ],
)
def test_what_is_no_yaml_is_said_so(text: str, line: int | None) -> None:
    found = message(text)
    assert "this is no YAML" in found and (line is None or f"line {line}: " in found), found
    assert SECRET not in found and SECRET.replace(".", "") not in found


@pytest.mark.parametrize("text", ["", "5", "- crm\n", "destinations:\n", "crm: {type: batch}\n", RIGHT + "more: 1\n"])
def test_the_file_begins_with_destinations(text: str) -> None:
    assert "line 1: write `destinations:`" in message(text)


def test_there_may_be_no_destination() -> None:
    assert read("destinations: {}\n") == []


#: What each kind needs, for tests of its other options.
NEEDED: dict[str, dict[str, Any]] = {
    "batch": {"project": "p"},
    "braze": {"url": "https://b.example.com"},
    "files": {"url": "out"},
    "onesignal": {"app": "7b2c1f0e-0000-4000-8000-123456789abc"},
    "webhook": {"url": "https://crm.example.com"},
}
ODD: list[Any] = [5, -1, 0.5, float("nan"), True, "", " ", [], ["x"], "http://[", "s3://", "sftp://h", "http://a:b"]


@pytest.mark.parametrize("name", sorted(KINDS))
def test_no_value_of_an_option_lets_a_destination_stumble(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is none is a problem with a line, never an exception while definitions load or a sync begins."""
    kind = KINDS[name]
    monkeypatch.setenv("KEY", "0123456789abcdef")
    right = {**NEEDED.get(name, {}), **dict.fromkeys(kind.secrets, "KEY")}
    assert kind.check(right, {"vip": []}) == []
    for option in set(kind.options) - set(kind.secrets):
        for value in ODD:
            options = {**right, option: value}
            if not kind.check(options, {"vip": []}) and not kind.is_whole:
                with contextlib.suppress(WrongSettings):
                    kind("x", options).close()


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the project be parsed: user_360 has a column for each family."""
    families = [file.stem.removeprefix("fam_") for file in (ROOT / "dbt_project/models/families").glob("fam_*.sql")]
    user_360 = Described("", dict.fromkeys(families, ""))
    names = [f"aud_{audience.name}" for audience in audiences()]
    nodes = {name: {"name": name, "fqn": ["barometer", "audiences", name]} for name in names}
    monkeypatch.setattr(configuration, "read_manifest", lambda: {"nodes": nodes})
    monkeypatch.setattr(configuration, "mart_descriptions", lambda manifest: {"user_360": user_360})


@pytest.mark.usefixtures("columns")
def test_the_committed_file_is_right_and_writes_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    (files,) = configured()
    assert (files.name, files.kind, files.options["url"]) == ("files", KINDS["files"], "deliveries")
    assert [target.audience for target in files.targets] == [*(each.name for each in audiences()), SEGMENTS]
    assert {column for column, _ in files.targets[0].attributes} == set(PLAN_COLUMNS)


@pytest.mark.usefixtures("columns")
def test_another_file_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yml"
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    with pytest.raises(BarometerError, match="mine.yml can't be read") as caught:
        configured()
    assert FILE_VARIABLE in caught.value.hint
    file.write_text("destinations: {}\n", encoding="utf-8")
    assert configured() == []
    file.write_text("destinations:\n  crm: {type: brewo, channels: all}\n", encoding="utf-8")
    with pytest.raises(BarometerError, match=r"mine.yml can't be used:\n  line 2: crm.type"):
        configured()


@pytest.mark.usefixtures("columns")
def test_make_parse_checks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yml"
    file.write_text("destinations:\n  crm: {type: brewo, channels: all}\n", encoding="utf-8")
    monkeypatch.setenv(FILE_VARIABLE, str(file))
    monkeypatch.setattr(command_line, "ensure_manifest", lambda settings: None)
    monkeypatch.setattr(command_line, "_show_progress", lambda: None)
    with pytest.raises(SystemExit):
        command_line.main(["parse"])
    assert "mine.yml can't be used:\n  line 2: crm.type" in capsys.readouterr().err
