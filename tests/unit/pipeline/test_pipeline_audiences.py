"""Audiences are read from the configs of their files, without dbt."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import jinja2
import pytest

from orchestration.errors import BarometerError
from orchestration.warehouse.audiences import Audience, audience_macro, audiences, read_audiences
from orchestration.warehouse.families import write_generated

LEAST = "'objective': 'o', 'criteria': 'c', 'offer': 'f', 'channels': ['email'], 'value': 3"
#: What models write: none of it is known when the meta is read.
SQL = """
{% set days = var('retention_first_days') %}{% set rows = [] %}{% do rows.append(days) %}
{% if execute and days[0] > 3 or days[1] <= days[0] %}{{ exceptions.raise_compiler_error('never') }}{% endif %}
{% for family in family_models() if family.is_published %}{{ family.name }},{% else %}null{% endfor %}
{% for n in range(days[0], days[1] + 1) %}{{ n }}{% endfor %}
{% macro own(column) %}cast({{ column }} as {{ api.Column.translate_type('string') }}){% endmacro %}
{% call statement('x', fetch_result=true) %}select 1{% endcall %}
select {{ own('user_id') }}, {{ 'a' ~ days }}, {{ 'a' + days }}, {{ '%d %s' % (days, days) }}, {{ -days * 2 / days }}
from {{ ref('int_known_users') }} where {{ dateadd('day', -(days[0] | int), as_of()) }} > {{ days | as_native | upper }}
and {{ rows | map(attribute='x') | join(', ') }} and {{ [days, 1] | sort | list }}
and {{ [1, 2] | sum }} > {{ days | tojson }}
and {{ days is anything }} {{ config.get('meta').channels | join }} {{ modules.datetime.timedelta(days=days) }}
{{ 3 < days }} {{ days in [1] }} {{ 1 in days }} {{ {'a': 1}[days] }}
{{ days | round(2) }} {{ days | float }} {{ days | abs }} {{ days.values() | first }} {{ loop_over(days)() }}
"""


def model(more: str = "", sql: str = "select 1") -> bytes:
    return f"-- One row per user.\n{{{{ config(materialized='table', meta={{{LEAST}{more}}}) }}}}\n{sql}".encode()


def read(**files: bytes) -> tuple[list[Audience], list[str]]:
    found, problems = read_audiences({f"models/audiences/{name}.sql": content for name, content in files.items()})
    return list(found.values()), problems


def test_what_is_not_said_has_a_default() -> None:
    (found,), problems = read(aud_thanks=model())
    assert problems == []
    assert found == Audience("thanks", "o", "c", "f", ("email",), Decimal(3))
    assert (found.message_class, found.holdout_share, found.variants, found.salt) == ("marketing", 0, (), "1")
    assert (found.repeat_after_days, found.max_sends, found.max_per_day, found.promotes_category) == (None,) * 4
    assert (found.each_order, found.drops_silent_channels, found.returns) == (False, False, ())


def test_everything_that_can_be_said() -> None:
    (found,), problems = read(
        aud_a1=model(
            ", 'channels': ['push', 'email'], 'value': 2.50, 'message_class': 'marketing', 'holdout_share': 0.1,"
            "'variants': {'b': 0.1, 'a': 0.2, 'c': 0.7}, 'salt': '2026', 'repeat_after_days': 30, 'max_sends': 3,"
            "'max_per_day': 100, 'each_order': true, 'drops_silent_channels': True, 'promotes_category': 'Tea & more',"
            "'returns': ['since', 'value']"
        )
    )
    assert problems == []
    assert found.channels == ("push", "email")
    assert (found.value, found.holdout_share) == (Decimal("2.5"), Decimal("0.1"))
    assert found.variants == (("b", Decimal("0.1")), ("a", Decimal("0.2")), ("c", Decimal("0.7")))
    assert (found.repeat_after_days, found.max_sends, found.max_per_day) == (30, 3, 100)
    assert (found.each_order, found.drops_silent_channels, found.returns) == (True, True, ("since", "value"))


def test_null_is_as_if_it_were_not_said() -> None:
    said = read(aud_a=model(", 'repeat_after_days': none, 'max_sends': none, 'variants': none, 'salt': none"))
    assert said == read(aud_a=model())


def test_the_sql_may_use_any_name() -> None:
    (found,), problems = read(aud_a=model(sql=SQL))
    assert problems == []
    assert found.name == "a"


UNKNOWN = (
    "must be one of objective, criteria, offer, channels, value, message_class, holdout_share, variants, salt, "
    "repeat_after_days, max_sends, max_per_day, each_order, drops_silent_channels, promotes_category, returns, needs"
)
CASES: dict[str, tuple[bytes, str]] = {
    "no config": (b"select 1", ", config: has no meta, must be like {{ config(meta={...}) }} with objective, criteria, "
                               "offer, channels, value"),
    "a meta from elsewhere": (
        b"{{ config(meta=meta_of('a')) }}", ", config: meta is not written out, must be written out as {...}"
    ),
    "no literal": (
        model(", 'value': var('worth')"),
        ", meta value: is not written out, must be a number, 0 or more, with at most two decimals",
    ),
    "a misspelt key": (model(", 'retuns': []"), f", meta retuns: is unknown (meant returns?), {UNKNOWN}"),
    "an unknown key": (model(", 'colour': 'blue'"), f", meta colour: is unknown, {UNKNOWN}"),
    "a missing key": (
        b"{{ config(meta={'objective': 'o', 'criteria': 'c', 'offer': 'f', 'channels': ['email']}) }}",
        ", meta value: is missing, must be a number, 0 or more, with at most two decimals",
    ),
    "null where something is needed": (
        model(", 'offer': none"), ", meta offer: is null, must be a text of one line, without braces"
    ),
    "no words": (model(", 'offer': ' '"), ', meta offer: is " ", must be a text of one line, without braces'),
    "braces": (model(", 'offer': '%}'"), ', meta offer: is "%}", must be a text of one line, without braces'),
    "no channel": (
        model(", 'channels': []"),
        ", meta channels: is [], must be a list of channels, each once, the preferred one first",
    ),
    "a channel alone": (
        model(", 'channels': 'email'"),
        ', meta channels: is "email", must be a list of channels, each once, the preferred one first',
    ),
    "a channel twice": (
        model(", 'channels': ['email', 'email']"),
        ', meta channels: is ["email", "email"], must be a list of channels, each once, the preferred one first',
    ),
    "too many decimals": (
        model(", 'value': 1.005"),
        ", meta value: is 1.005, must be a number, 0 or more, with at most two decimals",
    ),
    "a class that is none": (
        model(", 'message_class': 'advert'"),
        ', meta message_class: is "advert", must be one of marketing, transactional, service',
    ),
    "a holdout in percent": (
        model(", 'holdout_share': 10"),
        ", meta holdout_share: is 10, must be a share from 0 to 1 with at most six decimals",
    ),
    "a holdout of transactional messages": (
        model(", 'holdout_share': 0.1, 'message_class': 'transactional'"),
        ", meta holdout_share: is 0.1, must be 0: nobody is held out of transactional messages",
    ),
    "variants that don't sum to 1": (
        model(", 'variants': {'a': 0.5, 'b': 0.4}"),
        ", meta variants: is {\"a\": 0.5, \"b\": 0.4}, must be a name and a share for each, like {'control': 0.5, "
        "'offer': 0.5}, which sum to 1",
    ),
    "variants without shares": (
        model(", 'variants': ['a', 'b']"),
        ", meta variants: is [\"a\", \"b\"], must be a name and a share for each, like {'control': 0.5, 'offer': 0.5}, "
        "which sum to 1",
    ),
    "a number as salt": (model(", 'salt': 2"), ", meta salt: is 2, must be a text in quotes"),
    "again after no day": (
        model(", 'repeat_after_days': 0"),
        ", meta repeat_after_days: is 0, must be a whole number of days, 1 to 36500",
    ),
    "at most nothing": (model(", 'max_sends': 0"), ", meta max_sends: is 0, must be a whole number, 1 or more"),
    "a text for yes": (model(", 'drops_silent_channels': 'yes'"),
                       ', meta drops_silent_channels: is "yes", must be true or false'),
    "a column that is none": (
        model(", 'returns': ['campaign']"),
        ', meta returns: is ["campaign"], must be a list out of campaign_id, value, product_id, category, since, each '
        "once",
    ),
    "each order, but which": (
        model(", 'each_order': true"),
        ", meta returns: lacks since, must have it, since each_order counts sends after that order",
    ),
    "a broken template": (
        b"\nselect {{ 1",
        ", line 2: can't be rendered: TemplateSyntaxError: unexpected end of template, expected 'end of print "
        "statement'.",
    ),
    "a template that fails": (b"{{ 1 / 0 }}", ": can't be rendered: ZeroDivisionError: division by zero"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_problem_names_its_file(name: str) -> None:
    content, said = CASES[name]
    found, problems = read(aud_good=model(), aud_bad=content)
    assert problems == [f"models/audiences/aud_bad.sql{said}"]
    assert [audience.name for audience in found] == ["good"]


def test_a_file_that_is_not_utf_8() -> None:
    _, (problem,) = read(aud_bad="-- é".encode("latin-1"))
    assert problem.startswith("models/audiences/aud_bad.sql: can't be rendered: UnicodeDecodeError")


@pytest.mark.parametrize("name", ["thanks", "aud_", "aud_Thanks", "aud_a-b", "aud_ä"])
def test_a_file_with_another_name(name: str) -> None:
    found, problems = read(**{name: model()})
    assert not found
    assert problems == [
        f"models/audiences/{name}.sql: the file's name must be aud_, then small letters, digits and _, then .sql"
    ]


def test_two_files_of_a_name() -> None:
    _, problems = read_audiences(
        {"models/audiences/a/aud_thanks.sql": model(), "models/audiences/b/aud_thanks.sql": model()}
    )
    assert problems == [
        "models/audiences/b/aud_thanks.sql: has the name of models/audiences/a/aud_thanks.sql and so its campaign "
        "thanks, must have its own"
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dbt_project.yml").write_text("vars: {quiet_days: 7}\n", encoding="utf-8")
    folder = tmp_path / "models" / "audiences" / "mine"
    folder.mkdir(parents=True)
    (folder / "aud_b.sql").write_bytes(model(", 'variants': {'x': 0.25, 'y': 0.75}, 'offer': 'It\\'s \"new\"'"))
    (folder.parent / "aud_c.sql").write_bytes(model())
    return tmp_path


def test_audiences_are_the_folder_by_name(project: Path) -> None:
    assert [audience.name for audience in audiences(project)] == ["b", "c"]
    (project / "models" / "audiences" / "aud_a.sql").write_bytes(b"{{")
    (project / "models" / "audiences" / "aud_d.sql").write_bytes(b"")
    with pytest.raises(BarometerError) as error:
        audiences(project)
    assert "models/audiences/aud_a.sql, line 1: " in error.value.message
    assert "models/audiences/aud_d.sql, config: " in error.value.message
    assert "dbt_project/models/audiences/" in error.value.hint


def test_the_words_may_name_vars(project: Path) -> None:
    file = project / "models" / "audiences" / "mine" / "aud_b.sql"
    meta = "{'objective': 'o', 'criteria': 'none in ' ~ var('quiet_days') ~ ' days', 'offer': 'f', 'value': 1}"
    file.write_text("{{ config(meta=dict(" + meta + ", channels=['email'])) }} select 1", encoding="utf-8")
    assert audiences(project)[0].criteria == "none in 7 days"


def test_no_folder_is_no_audience(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("vars: {}\n", encoding="utf-8")
    assert audiences(tmp_path) == []


def test_the_macro_tells_every_key(project: Path) -> None:
    returned: list[Any] = []
    text = audience_macro(audiences(project)) + "{{ audience_models() }}"
    jinja2.Environment().from_string(text).render(**{"return": lambda value: returned.append(value) or ""})
    ((b, c),) = returned
    assert b == {
        "name": "b",
        "objective": "o",
        "criteria": "c",
        "offer": 'It\'s "new"',
        "channels": ["email"],
        "value": "3",
        "message_class": "marketing",
        "holdout_share": "0",
        "variants": [["x", "0.25"], ["y", "0.75"]],
        "salt": "1",
        "repeat_after_days": None,
        "max_sends": None,
        "max_per_day": None,
        "each_order": False,
        "drops_silent_channels": False,
        "promotes_category": None,
        "returns": [],
        "needs": [],
    }
    assert c["name"] == "c"
    assert "{{ return([]) }}" in audience_macro([])


def test_the_macro_is_written_with_the_families(project: Path) -> None:
    (project / "seeds").mkdir()
    (project / "seeds" / "segment_catalog_entries.csv").write_text("family,segment,rule\n")
    (project / "templates").mkdir()
    (project / "templates" / "user_360.yml").write_text("models: []")
    (project / "dbt_project.yml").write_text("vars: {}")
    write_generated(project)
    written = (project / "macros" / "generated" / "audience_models.sql").read_text()
    assert written == audience_macro(audiences(project))


def test_the_project_s_audiences() -> None:
    found = {audience.name: audience for audience in audiences()}
    assert {"retention_day_15", "abandoned_cart", "category_news", "win_back_lapsed"} <= found.keys()
    assert found["post_purchase_care"].message_class == "transactional"
    assert found["category_news"].returns[0] == "campaign_id"
    assert found["win_back_lapsed"].max_sends == 3
    assert found["champions_thanks"].needs == ("orders.order_id", "orders.currency")
