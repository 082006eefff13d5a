"""The segment families of the dbt project, and what dbt must find written about them before it parses.

dbt takes no refs from a loop over its graph, and an enforced contract names every column. So files are written from
the folder models/families/ and the vars: macros with the families and with the placeholders of the catalogue, and
the page of user_360 from its template. A new family is one model and its rows in the catalogue. A macro with the
audiences of models/audiences/ is written along with them.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

from orchestration.errors import BarometerError
from orchestration.policy_rules import FAMILY_META
from orchestration.policy_words import shown
from orchestration.settings import DBT_PROJECT, dbt_vars, read_yaml
from orchestration.warehouse.audiences import audience_macro, audiences

#: Placeholders of the catalogue that no var fills.
TABLES_IN_WORDS = ("rfm_map", "taxonomy_classes", "segment")
_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_WRITTEN = "Written from models/families/ before dbt parses; not to be edited."


@dataclass(frozen=True)
class Family:
    """A segment family: its name, and whether people declare it and others may see it."""

    name: str
    is_declared: bool
    is_published: bool
    #: What its page says: the measures that it is made of, and the attributes without which it says little.
    built_from: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def family_models(project: Path = DBT_PROJECT) -> dict[str, Path]:
    """Return the models of models/families/ and its folders, by the name of their family, sorted."""
    paths = sorted((project / "models" / "families").rglob("fam_*.sql"), key=lambda path: path.stem)
    return {path.stem.removeprefix("fam_"): path for path in paths}


def families(project: Path = DBT_PROJECT) -> list[Family]:
    """Return the families, by name; what people declare of themselves is in the folder declared."""
    pages, published = _pages(project), published_families(project)
    return [
        Family(name, path.parent.name == "declared", name in published, **_meta(pages.get(path.stem, {})))
        for name, path in family_models(project).items()
    ]


def _meta(page: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return what the page of a family's model says under config: meta; BarometerError where that is not so."""
    meta = (page.get("config") or {}).get("meta") or {}
    for key in meta.keys() & FAMILY_META.keys():
        if not FAMILY_META[key].fits(meta[key]):
            raise BarometerError(
                f"{page['name']}, meta {key}: is {shown(meta[key])}, must be {FAMILY_META[key].words}",
                "Mend the page of the family in dbt_project/models/families/.",
            )
    return {key: tuple(meta[key]) for key in FAMILY_META if key in meta}


def published_families(project: Path = DBT_PROJECT) -> list[str]:
    """Return the names of the families that user_360 has a column of, sorted."""
    unpublished = dbt_vars(project).get("unpublished_families") or []
    return [name for name in family_models(project) if name not in unpublished]


def placeholders(text: str) -> list[str]:
    """Return the names in braces of a text of the catalogue."""
    return _PLACEHOLDER.findall(text)


def write_generated(project: Path = DBT_PROJECT) -> None:
    """Write what dbt must find before it parses; a file that is the same already is left alone."""
    found = families(project)
    listed = [
        {
            "name": f.name,
            "is_declared": f.is_declared,
            "is_published": f.is_published,
            "built_from": list(f.built_from),
            "needs": list(f.needs),
        }
        for f in found
    ]
    with (project / "seeds" / "segment_catalog_entries.csv").open(encoding="utf-8", newline="") as file:
        named = {name for row in csv.DictReader(file) for text in row.values() for name in placeholders(text or "")}
    thresholds = sorted(named - set(TABLES_IN_WORDS))
    _write(
        project / "macros" / "generated" / "family_models.sql",
        f"{{# {_WRITTEN} #}}\n"
        f"{{% macro family_models() %}}{{{{ return({listed!r}) }}}}{{% endmacro %}}\n"
        f"{{% macro catalog_thresholds() %}}{{{{ return({thresholds!r}) }}}}{{% endmacro %}}\n",
    )
    _write(project / "macros" / "generated" / "audience_models.sql", audience_macro(audiences(project)))
    published, pages = [f.name for f in found if f.is_published], _pages(project)
    words = {name: pages.get(f"fam_{name}", {}).get("description", "") for name in published}
    said = {name: f"Segment of the family {name}. {words[name]}".strip() for name in published}
    fillings: dict[str, list[Any]] = {
        "families": [{"name": name, "description": said[name], "data_type": "string"} for name in published],
        "families are not null": [f"{name} is not null" for name in published],
    }
    template = read_yaml(project / "templates" / "user_360.yml")
    page = yaml.safe_dump(_filled(template, fillings), sort_keys=False, allow_unicode=True, width=120)
    _write(project / "models" / "marts" / "generated" / "user_360.yml", f"# {_WRITTEN}\n{page}")


def _filled(page: Any, fillings: Mapping[str, list[Any]]) -> Any:
    """Return a page with several items in the place of each item of a list that names a filling."""
    if isinstance(page, dict):
        return {key: _filled(value, fillings) for key, value in page.items()}
    if not isinstance(page, list):
        return page
    items = (fillings[i] if isinstance(i, str) and i in fillings else [_filled(i, fillings)] for i in page)
    return list(chain.from_iterable(items))


def _pages(project: Path) -> dict[str, dict[str, Any]]:
    """Return what the YAML files of the families say of their models, by name."""
    pages = [read_yaml(path) or {} for path in sorted((project / "models" / "families").rglob("*.yml"))]
    return {model["name"]: model for page in pages for model in page.get("models") or []}


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        # in one step: another process may be parsing
        for left in path.parent.glob(f".{path.name}.*.tmp"):
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
