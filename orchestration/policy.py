"""Checks the policy, which is the vars of dbt_project.yml, the seeds and the audiences, before anything runs.

What is right stands in `policy_rules`. The functions here look at what is written and return a line for each problem:
where it is, what is wrong, what would be right.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from orchestration.errors import BarometerError
from orchestration.policy_rules import (
    CELLS,
    CUTS,
    MEASURES,
    ORDERS,
    POLICY_SEGMENTS,
    RFM_SCORES,
    SEEDS,
    VARS,
    WEEKDAYS,
    SeedRule,
    channels_of,
)
from orchestration.policy_words import nearest, shown
from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.audiences import Audience, audience_files, read_audiences
from orchestration.warehouse.families import TABLES_IN_WORDS, family_models, placeholders

_YML = "dbt_project.yml"
_HINT = (
    "Mend it in dbt_project/dbt_project.yml, dbt_project/seeds/ and dbt_project/models/audiences/ (docs/OPERATING.md, "
    "Policy); `make parse` checks again without a run."
)
_ASKED = re.compile(r"\bvar\(\s*['\"](\w+)")
#: So many cells or ages are named in one line.
_NAMED = 5
#: The contact policy's word for every channel, and the catalogue's for every segment without a row of its own.
_ALL_CHANNELS, _EVERY_OTHER = "all", "*"
#: The seed of the caps, for which a file of proposed ones may stand.
_CAPS = "contact_policy"
#: The one placeholder of the catalogue that is filled in outside a rule too.
_SEGMENT = "segment"
#: Segments of rfm for buyers who have no scores to look up in the map.
_RFM_BESIDE_THE_MAP = ("lost", "no_orders")
#: Vars with the length of a window in which the weights of the seed decay_factors fade.
_FADING = ("pressure_decay_days", "lead_days")
#: Seeds with a column of channels.
_WITH_CHANNELS = ("contact_policy", "channel_gaps", "blackout_dates", "send_hours")


@dataclass(frozen=True)
class Row:
    """A row of a seed: the line of the file on which it ends, and the values that can be read (None: empty)."""

    line: int
    values: Mapping[str, Any]

    def __getitem__(self, column: str) -> Any:
        return self.values[column]


@dataclass(frozen=True)
class Policy:
    """Vars, seeds without an unreadable cell, the names of the families that have a model, and the audiences.

    ``audiences`` are by the path of their model, and None while one of these is wrong.
    """

    variables: Mapping[str, Any]
    seeds: Mapping[str, Sequence[Row]]
    families: frozenset[str]
    audiences: Mapping[str, Audience] | None

    def has(self, name: str) -> bool:
        """Whether a var is there and what it must be."""
        return name in self.variables and VARS[name].fits(self.variables[name])


def check_policy(project: Path = DBT_PROJECT) -> None:
    """Raise BarometerError with every problem of the policy of a dbt project."""
    text = (project / _YML).read_bytes()
    files = [(path.stem, path.read_bytes()) for path in sorted((project / "seeds").glob("*.csv"))]
    families = frozenset(family_models(project))
    models = tuple(audience_files(project).items())
    problems = _problems_of_same(text, tuple(files), families, models, frozenset())
    if problems:
        # a var of somebody's own is no typo where a model asks for it; to read them all takes time
        problems = _problems_of_same(text, tuple(files), families, models, _asked_vars(project))
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise BarometerError(f"The policy has {count}:\n" + "\n".join(f"  {problem}" for problem in problems), _HINT)


@lru_cache(maxsize=2)
def _problems_of_same(
    text: bytes,
    files: tuple[tuple[str, bytes], ...],
    families: frozenset[str],
    models: tuple[tuple[str, bytes], ...],
    own_vars: frozenset[str],
) -> list[str]:
    """Look once at what does not change: every stage of a run asks."""
    return problems_of(text, dict(files), families, dict(models), own_vars)


def _asked_vars(project: Path) -> frozenset[str]:
    """Return the names of the vars that models, macros and tests ask for."""
    files = [path for folder in ("models", "macros", "tests") for path in (project / folder).rglob("*.sql")]
    return frozenset(name for path in files for name in _ASKED.findall(path.read_text(encoding="utf-8")))


def problems_of(
    project_yml: str | bytes,
    seed_files: Mapping[str, bytes],
    families: Iterable[str],
    audience_models: Mapping[str, bytes],
    own_vars: Collection[str] = (),
) -> list[str]:
    """Return every problem of dbt_project.yml, the seeds and the audiences, given as the files have them.

    ``families`` are those that have a model; ``audience_models`` are by path; ``own_vars`` may be there, and be
    anything.
    """
    policy, problems = _read(project_yml, seed_files, families, audience_models, own_vars)
    if policy is not None:
        for needed, check in _CHECKS:
            if policy.seeds.keys() >= set(needed):
                problems += check(policy)
    return problems


def read_policy(project: Path = DBT_PROJECT) -> Policy:
    """Return the policy of a dbt project that `check_policy` finds right."""
    check_policy(project)
    files = {path.stem: path.read_bytes() for path in (project / "seeds").glob("*.csv")}
    return policy_of((project / _YML).read_bytes(), files, family_models(project), audience_files(project))


def policy_of(
    project_yml: str | bytes,
    seed_files: Mapping[str, bytes],
    families: Iterable[str],
    audience_models: Mapping[str, bytes],
) -> Policy:
    """Return the policy that files hold in which `problems_of` finds no problem."""
    policy, problems = _read(project_yml, seed_files, families, audience_models, ())
    if policy is None:
        raise BarometerError("\n".join(problems), _HINT)
    return policy


def proposed_caps(name: str, content: bytes, project: Path = DBT_PROJECT) -> tuple[Sequence[Row], list[str]]:
    """Return the rows of a file that stands for the seed contact_policy, and warnings; the project stays as it is.

    Raises BarometerError with every problem that `check_policy` would find in it, under the ``name`` of the file.
    """
    check_policy(project)
    text = (project / _YML).read_bytes()
    files = {path.stem: path.read_bytes() for path in (project / "seeds").glob("*.csv")} | {_CAPS: content}
    families, models = family_models(project), audience_files(project)
    # what is wrong with the rest are vars of somebody's own, which check_policy has let pass
    found = problems_of(text, files, families, models)
    problems = [problem for problem in found if problem.startswith(f"seeds/{_CAPS}.csv")]
    if problems:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        said = "\n".join(f"  {_renamed(problem, name)}" for problem in problems)
        raise BarometerError(f"The proposed caps have {count}:\n{said}", f"Mend {name}; it is like seeds/{_CAPS}.csv.")
    policy = policy_of(text, files, families, models)
    return policy.seeds[_CAPS], [_renamed(warning, name) for warning in warnings_of(policy)]


def _renamed(text: str, name: str) -> str:
    """Say of a file what is said of the seed that it stands for."""
    return text.replace(f"seeds/{_CAPS}.csv", name)


def _read(
    project_yml: str | bytes,
    seed_files: Mapping[str, bytes],
    families: Iterable[str],
    audience_models: Mapping[str, bytes],
    own_vars: Collection[str],
) -> tuple[Policy | None, list[str]]:
    """Return the policy as far as it can be read, and what is wrong with each part of it by itself."""
    try:
        document, doubles = _read_yml(project_yml)
        variables = {str(name): value for name, value in document["vars"].items()}
        declared = {
            str(name): dict(seed["+column_types"])
            for name, seed in document["seeds"]["barometer"].items()
            if not str(name).startswith("+")
        }
    except yaml.YAMLError as error:
        return None, [f"{_YML}: can't be read: {' '.join(str(error).split())}"]
    except (AttributeError, KeyError, TypeError, ValueError):
        return None, [f"{_YML}: must have vars, and under seeds, barometer for each seed its +column_types"]
    known = frozenset(families)
    problems = [_of_var(name, "is there twice, must be there once") for name in doubles]
    problems += var_problems(variables, known, own_vars)
    readable: dict[str, Sequence[Row]] = {}
    for name in sorted({*SEEDS, *declared, *seed_files}):
        rows, unreadable = read_seed(name, declared.get(name), seed_files.get(name))
        problems += [*unreadable, *seed_problems(name, rows, SEEDS.get(name, SeedRule([])))]
        if not unreadable:
            readable[name] = rows
    audiences, wrong = read_audiences(audience_models, variables)
    return Policy(variables, readable, known, None if wrong else audiences), problems + wrong


def _read_yml(text: str | bytes) -> tuple[Mapping[str, Any], list[str]]:
    """Return the document, and the vars that stand in it more than once."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        node = loader.get_single_node()
        document = loader.construct_document(node)
    finally:
        loader.dispose()
    parts = {key.value: part.value for key, part in getattr(node, "value", ())}
    names = [name.value for name, _ in parts.get("vars", ())]
    return document, sorted({name for name in names if names.count(name) > 1})


# --- Vars.


def var_problems(
    variables: Mapping[str, Any], families: frozenset[str], own_vars: Collection[str] = ()
) -> Iterator[str]:
    """Look at each var by itself, then at the order between them."""
    for name, value in variables.items():
        if name not in VARS:
            if name not in own_vars:
                yield _of_var(name, f"nothing asks for it{nearest(name, VARS.keys() - variables.keys())}")
        elif not VARS[name].fits(value):
            yield _of_var(name, f"is {shown(value)}, must be {VARS[name].words}")
    for name, rule in VARS.items():
        if name not in variables:
            yield _of_var(name, f"is missing, must be {rule.words}")
    fits = {name for name, rule in VARS.items() if name in variables and rule.fits(variables[name])}
    for lower, order, upper in ORDERS:
        if {lower, upper} <= fits:
            low, high = variables[lower], variables[upper]
            if low > high or (low == high and order == "<"):
                bound = "more than" if order == "<" else "at least"
                yield _of_var(upper, f"is {shown(high)}, must be {bound} {lower} ({shown(low)})")
    if "unpublished_families" in fits:
        for family in variables["unpublished_families"]:
            if family not in families:
                yield _of_var(
                    "unpublished_families",
                    f"names {family}, which has no model models/families/**/fam_{family}.sql"
                    f"{nearest(family, families)}",
                )


# --- Seeds, each by itself.


def read_seed(name: str, types: Mapping[str, str] | None, content: bytes | None) -> tuple[list[Row], list[str]]:
    """Return the rows of a seed with typed values, and what can't be read."""
    if types is None:
        return [], [f"{_YML}: the +column_types of the seed {name} are missing"]
    if content is None:
        return [], [_of_seed(name, f"there is no such file, must be there with the columns {', '.join(types)}")]
    try:
        text = content.decode("utf-8")
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        wrong = _header_problem(header, types)
        if wrong:
            return [], [_of_seed(name, wrong)]
        lines = [(reader.line_num, cells) for cells in reader if cells]
    except UnicodeDecodeError:
        return [], [_of_seed(name, "is not UTF-8, must be saved as CSV UTF-8")]
    except csv.Error as error:
        return [], [_of_seed(name, f"can't be read as CSV: {error}")]
    rows, problems = [], []
    for line, cells in lines:
        if len(cells) != len(header):
            problems.append(
                _of_seed(
                    name,
                    f"has {len(cells)} cells, must have {len(header)} (a cell with a comma needs double quotes)",
                    line,
                )
            )
            continue
        values = {}
        for column, cell in zip(header, cells, strict=True):
            try:
                values[column] = _typed(cell, types[column])
            except ValueError as error:
                problems.append(_of_seed(name, f"{column} is {shown(cell)}, must be {error}", line))
        rows.append(Row(line, values))
    return rows, problems


def _header_problem(header: Sequence[str], types: Mapping[str, str]) -> str | None:
    """Return what is wrong with the first line of a seed, if anything."""
    if header and header[0].startswith("\ufeff"):
        return "begins with a byte order mark, must be saved as UTF-8 without it"
    if len(header) == 1 and ";" in header[0]:
        return "has semicolons between the columns, must have commas"
    missing = [column for column in types if column not in header]
    unknown = [column for column in header if column not in types]
    doubles = sorted({column for column in header if header.count(column) > 1})
    said = [
        f"{what}: {', '.join(columns)}"
        for what, columns in (("missing", missing), ("unknown", unknown), ("twice", doubles))
        if columns
    ]
    return f"has other columns ({'; '.join(said)}), must have {', '.join(types)}" if said else None


def _typed(cell: str, type_: str) -> Any:
    """Return a cell as its type, None if it is empty; ValueError says what it must be."""
    kind, *size = _kind_of(str(type_).lower())
    if kind == "varchar":
        if cell != cell.strip():
            raise ValueError("without a space at its start or end")
        return cell or None
    if cell == "":
        return None
    if kind == "boolean":
        if cell.lower() not in ("true", "false"):
            raise ValueError("true or false")
        return cell.lower() == "true"
    if kind in ("integer", "bigint"):
        if not re.fullmatch(r"-?\d{1,9}", cell):
            raise ValueError("a whole number of at most 9 digits")
        return int(cell)
    if kind == "decimal" and len(size) == 2:
        digits, decimals = int(size[0]), int(size[1])
        if not re.fullmatch(rf"[+-]?\d{{1,{digits - decimals}}}(\.\d{{1,{decimals}}}0*)?", cell):
            raise ValueError(
                f"a number like 1.5, at most {digits - decimals} digits before the point, {decimals} after"
            )
        return Decimal(cell)
    if kind == "double":
        try:
            number = float(cell)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise ValueError("a number like 1.5")
        return number
    if kind == "date":
        try:
            if len(cell) != 10:
                raise ValueError
            return date.fromisoformat(cell)
        except ValueError:
            raise ValueError("a date like 2026-06-30") from None
    raise ValueError(f"of a type that Barometer knows, not {type_}")


@cache
def _kind_of(type_: str) -> list[str]:
    """Return the words and numbers of a type: decimal, 18 and 9."""
    return re.findall(r"\w+", type_) or [""]


def seed_problems(name: str, rows: Sequence[Row], rule: SeedRule) -> Iterator[str]:
    """Look at each cell of a seed, and for rows with the same key."""
    for row in rows:
        for column, value in row.values.items():
            if value is None:
                if name in SEEDS and column not in rule.optional:
                    yield _of_seed(name, f"{column} is empty, must be {_words(rule, column)}", row.line)
            elif column in rule.columns and not rule.columns[column].fits(value):
                yield _of_seed(name, f"{column} is {shown(value)}, must be {_words(rule, column)}", row.line)
    for key in rule.keys:
        lines: dict[tuple[Any, ...], int] = {}
        for row in rows:
            if not row.values.keys() >= set(key):
                continue
            values = tuple(
                row[column].lower() if column in rule.any_case and row[column] is not None else row[column]
                for column in key
            )
            if values in lines:
                yield _of_seed(
                    name,
                    f"has the {' and '.join(key)} of line {lines[values]} "
                    f"({', '.join('empty' if row[column] is None else str(row[column]) for column in key)}), "
                    "must have its own",
                    row.line,
                )
            lines.setdefault(values, row.line)


def _words(rule: SeedRule, column: str) -> str:
    return rule.columns[column].words if column in rule.columns else "filled in"


# --- Seeds as a whole: against themselves, each other and the vars.


def rfm_map_problems(policy: Policy) -> Iterator[str]:
    """Find cells that no row takes or several do, and rows that take none."""
    takers: dict[tuple[int, int, int, int], list[Row]] = {cell: [] for cell in CELLS}
    for row in policy.seeds["rfm_map"]:
        ranges = [_open(row[f"{score}_min"], row[f"{score}_max"]) for score in RFM_SCORES]
        taken = [cell for cell in CELLS if all(low <= n <= high for n, (low, high) in zip(cell, ranges, strict=True))]
        for cell in taken:
            takers[cell].append(row)
        if not taken:
            empty = [
                f"{name.upper()} {low} to {high}"
                for name, (low, high) in zip(RFM_SCORES, ranges, strict=True)
                if low > high
            ]
            why = " and ".join(empty) or "no cell has such scores, since FM is (F + M + 1) div 2"
            yield _of_seed(
                "rfm_map", f"nobody can reach this row ({row['segment']}): {why}, must take a cell", row.line
            )
    together = defaultdict(list)
    for cell, rows in takers.items():
        if len(rows) != 1:
            together[tuple((row.line, row["segment"]) for row in rows)].append(CELLS[cell])
    for rows_of_cells, cells in together.items():
        who = " and ".join(f"line {line} ({segment})" for line, segment in rows_of_cells)
        what = f"overlap: {who} take" if who else "gap: no row takes"
        yield _of_seed("rfm_map", f"{what} {_some(cells)}, must be one row for each cell")


def _open(low: int | None, high: int | None) -> tuple[int, int]:
    """Return a range of scores; an empty end is open."""
    return 1 if low is None else low, 5 if high is None else high


def rfm_segment_problems(policy: Policy) -> Iterator[str]:
    """Compare the segments of the RFM map with those of the catalogue."""
    entries = [row for row in policy.seeds["segment_catalog_entries"] if row["family"] == "rfm"]
    # an empty one has its own line
    explained = {row["segment"] for row in entries if row["segment"]}
    mapped = {row["segment"] for row in policy.seeds["rfm_map"] if row["segment"]}
    for row in policy.seeds["rfm_map"]:
        if row["segment"] and row["segment"] not in explained and _EVERY_OTHER not in explained:
            yield _of_seed(
                "rfm_map",
                f"the segment {row['segment']} must have a row of the family rfm in segment_catalog_entries.csv"
                f"{nearest(row['segment'], explained)}",
                row.line,
            )
    for row in entries:
        if row["segment"] and row["segment"] not in mapped | {*_RFM_BESIDE_THE_MAP, _EVERY_OTHER}:
            yield _of_seed(
                "segment_catalog_entries",
                f"nobody can be in {row['segment']} of the family rfm, must be a segment of rfm_map.csv"
                f"{nearest(row['segment'], mapped)}",
                row.line,
            )


def fixed_cut_point_problems(policy: Policy) -> Iterator[str]:
    """With fixed cut points each measure needs four, none below the one before."""
    if policy.variables.get("rfm_cut_policy") != "fixed":
        return
    for measure in MEASURES:
        rows = {row["cut"]: row for row in policy.seeds["rfm_fixed_cut_points"] if row["measure"] == measure}
        missing = [str(cut) for cut in CUTS if cut not in rows]
        if missing:
            yield _of_seed(
                "rfm_fixed_cut_points",
                f"{measure} lacks cut {', '.join(missing)}, must have cuts 1 to 4 while rfm_cut_policy is fixed",
            )
        for lower, upper in pairwise(cut for cut in CUTS if cut in rows):
            low, high = rows[lower]["value"], rows[upper]["value"]
            if None not in (low, high) and high < low:
                yield _of_seed(
                    "rfm_fixed_cut_points",
                    f"cut {upper} of {measure} is {shown(high)}, must be at least cut {lower} ({shown(low)})",
                    rows[upper].line,
                )


def decay_factor_problems(policy: Policy) -> Iterator[str]:
    """Each age of the windows that fade needs a factor."""
    windows = {name: policy.variables[name] for name in _FADING if policy.has(name)}
    ages = {row["age_days"] for row in policy.seeds["decay_factors"]}
    for name, days in windows.items():
        missing = [str(age) for age in range(days) if age not in ages]
        if missing:
            yield _of_seed(
                "decay_factors",
                f"lacks the age {_some(missing)}, must have every age from 0 to {days - 1}, since {name} is {days}",
            )


def age_band_problems(policy: Policy) -> Iterator[str]:
    """Bands follow each other without gap or overlap; only the last is open."""
    rows = [row for row in policy.seeds["age_bands"] if row["from_age"] is not None]
    if min((row["from_age"] for row in rows), default=None) != 0:
        yield _of_seed("age_bands", "the first band must be from 0: an age below all bands would be unknown")
    for row in rows:
        if row["to_age"] is not None and row["to_age"] < row["from_age"]:
            yield _of_seed(
                "age_bands", f"to_age is {row['to_age']}, must be at least from_age ({row['from_age']})", row.line
            )
    for before, row in pairwise(sorted(rows, key=lambda row: row["from_age"])):
        if before["to_age"] is None:
            said = f"to_age of {before['age_band']} is empty, must be below {row['from_age']}: only the last is open"
            yield _of_seed("age_bands", said, before.line)
        elif row["from_age"] != before["to_age"] + 1:
            what = "overlap" if row["from_age"] <= before["to_age"] else "gap"
            yield _of_seed(
                "age_bands",
                f"{what}: {row['age_band']} is from {row['from_age']}, must be from {before['to_age'] + 1}, "
                f"since {before['age_band']} is to {before['to_age']}",
                row.line,
            )


def channel_problems(policy: Policy) -> Iterator[str]:
    """The channels of every table are those of the seed channels."""
    known = _channels(policy)
    for name in _WITH_CHANNELS:
        others = [_ALL_CHANNELS] if name == "contact_policy" else []
        for row in policy.seeds.get(name, ()):
            if row["channel"] is not None and row["channel"] not in [*known, *others]:
                yield _of_seed(
                    name, f"channel is {shown(row['channel'])}, must be one of {', '.join([*known, *others])}", row.line
                )


def audience_channel_problems(policy: Policy) -> Iterator[str]:
    """So are those of audiences, and of their settings."""
    known = _channels(policy)
    for path, audience in (policy.audiences or {}).items():
        for channel in audience.channels:
            if channel not in known:
                yield f"{path}, meta channels: has {shown(channel)}, must be of {', '.join(known)}"
    for row in policy.seeds.get("campaign_settings", ()):
        for channel in _fitting(row, "channels", channels_of):
            if channel not in known:
                yield _of_seed(
                    "campaign_settings", f"channels has {shown(channel)}, must be of {', '.join(known)}", row.line
                )


def blackout_problems(policy: Policy) -> Iterator[str]:
    """A row is a date or a weekday."""
    for row in policy.seeds["blackout_dates"]:
        if (row["blackout_date"] is None) == (row["weekday"] is None):
            what = "both are filled in" if row["weekday"] else "both are empty"
            yield _of_seed("blackout_dates", f"blackout_date and weekday: {what}, must be exactly one", row.line)


def send_hour_problems(policy: Policy) -> Iterator[str]:
    """Sending begins before it ends."""
    for row in policy.seeds["send_hours"]:
        if None not in (row["send_from"], row["send_until"]) and row["send_from"] >= row["send_until"]:
            yield _of_seed(
                "send_hours",
                f"send_until is {row['send_until']}, must be more than send_from ({row['send_from']})",
                row.line,
            )


def campaign_problems(policy: Policy) -> Iterator[str]:
    """Settings are of campaigns that some audience has; no two audiences have the same."""
    if policy.audiences is None:
        return
    audiences = {audience.name: audience for audience in policy.audiences.values()}
    sends_news = [name for name, audience in audiences.items() if "campaign_id" in audience.returns]
    news = [row for row in policy.seeds["category_settings"] if row["news_campaign_id"]]
    for row in news:
        campaign = row["news_campaign_id"]
        if campaign in audiences and campaign not in sends_news:
            what = "the campaign of the audience of this name, must be another"
        elif audiences and not sends_news:
            what = "of no audience, must be empty: none returns campaign_id"
        else:
            continue
        yield _of_seed("category_settings", f"news_campaign_id is {shown(campaign)}, {what}", row.line)
    campaigns = {*audiences, *(row["news_campaign_id"] for row in news)}
    for row in policy.seeds["campaign_settings"]:
        campaign = row["campaign_id"]
        if campaign is not None and campaign not in campaigns:
            yield _of_seed(
                "campaign_settings",
                f"campaign_id is {shown(campaign)}, must be the name of an audience or a news_campaign_id of "
                f"category_settings.csv{nearest(campaign, campaigns)}",
                row.line,
            )
        audience = audiences.get(campaign)
        if audience and audience.message_class != "marketing" and row["holdout_share"]:
            yield _of_seed(
                "campaign_settings",
                f"holdout_share is {shown(row['holdout_share'])}, must be 0 or empty: nobody is held out of "
                f"{audience.message_class} messages",
                row.line,
            )


def _channels(policy: Policy) -> list[str]:
    return [row["channel"] for row in policy.seeds["channels"] if row["channel"]]


def _fitting(row: Row, column: str, read: Callable[[str], list[str]]) -> list[str]:
    """Return what a cell of campaign_settings lists; nothing if it is empty or has a line already."""
    value = row[column]
    return read(value) if value is not None and SEEDS["campaign_settings"].columns[column].fits(value) else []


def catalog_problems(policy: Policy) -> Iterator[str]:
    """Every family is a model and has rows, and what stands in braces can be filled in."""
    entries = policy.seeds["segment_catalog_entries"]
    for row in entries:
        for column, text in row.values.items():
            if not isinstance(text, str):
                continue
            names = placeholders(text)
            known = {*policy.variables, *VARS, *TABLES_IN_WORDS} if column == "rule" else {_SEGMENT}
            right = f"a var or one of {', '.join(TABLES_IN_WORDS)}" if column == "rule" else f"{{{_SEGMENT}}} or none"
            for name in names:
                if name not in known:
                    yield _of_seed(
                        "segment_catalog_entries",
                        f"{column} has {{{name}}}, must be {right}{nearest(name, known)}",
                        row.line,
                    )
            if not len(names) == text.count("{") == text.count("}"):
                yield _of_seed(
                    "segment_catalog_entries", f"{column} has a brace alone, must be like {{rfm_window_days}}", row.line
                )
    named = {row["family"]: row.line for row in reversed(entries) if row["family"] is not None}
    for family in sorted(named.keys() - policy.families):
        yield _of_seed(
            "segment_catalog_entries",
            f"the family {family} must have a model models/families/**/fam_{family}.sql"
            f"{nearest(family, policy.families - named.keys())}",
            named[family],
        )
    for family in sorted(policy.families - named.keys()):
        yield _of_seed("segment_catalog_entries", f"the family {family} has no rows, must have one for each segment")


#: Which seeds a check reads: it is left out while one of them has an unreadable cell.
_CHECKS: Sequence[tuple[tuple[str, ...], Callable[[Policy], Iterator[str]]]] = (
    (("rfm_map",), rfm_map_problems),
    (("rfm_map", "segment_catalog_entries"), rfm_segment_problems),
    (("rfm_fixed_cut_points",), fixed_cut_point_problems),
    (("decay_factors",), decay_factor_problems),
    (("age_bands",), age_band_problems),
    (("channels",), channel_problems),
    (("channels",), audience_channel_problems),
    (("blackout_dates",), blackout_problems),
    (("send_hours",), send_hour_problems),
    (("campaign_settings", "category_settings"), campaign_problems),
    (("segment_catalog_entries",), catalog_problems),
)


# --- What is allowed, and is hardly meant.


def policy_warnings(project: Path = DBT_PROJECT) -> list[str]:
    """Return what somebody should hear of a policy that `check_policy` finds right."""
    return warnings_of(read_policy(project))


def warnings_of(policy: Policy) -> list[str]:
    """Say so where no marketing can reach anybody: by caps of 0, by blackouts, or by both together."""
    caps = [row for row in policy.seeds["contact_policy"] if row["max_contacts"] == 0]
    quiet = [row for row in policy.seeds["blackout_dates"] if row["weekday"] and row["country"] is None]

    def is_never(segment: str, channel: str) -> bool:
        return any(
            row["policy_segment"] in (segment, _EVERY_OTHER) and row["channel"] in (channel, _ALL_CHANNELS)
            for row in caps
        )

    def is_quiet(weekday: str, channel: str) -> bool:
        return any(row["weekday"] == weekday and row["channel"] in (channel, None) for row in quiet)

    channels = _channels(policy)
    if all(is_never(segment, channel) for segment in POLICY_SEGMENTS for channel in channels):
        return [
            "Nobody can be contacted: in seeds/contact_policy.csv a cap of 0, which means never, fits every policy "
            "segment on all or on each channel. Where there should be no cap, take the row out."
        ]
    if all(is_quiet(weekday, channel) for weekday in WEEKDAYS for channel in channels):
        return [
            "Nobody can be contacted: seeds/blackout_dates.csv has every weekday, on every channel and in every "
            "country. Leave a weekday out."
        ]
    if all(
        is_never(segment, channel) or is_quiet(weekday, channel)
        for segment in POLICY_SEGMENTS
        for weekday in WEEKDAYS
        for channel in channels
    ):
        return [
            "Nobody can be contacted: where seeds/contact_policy.csv has no cap of 0, which means never, "
            "seeds/blackout_dates.csv has every weekday. Take rows out of one of them."
        ]
    return []


# --- How it is said.


def _of_var(name: str, what: str) -> str:
    return f"{_YML}, var {name}: {what}"


def _of_seed(name: str, what: str, line: int | None = None) -> str:
    return f"seeds/{name}.csv{'' if line is None else f', line {line}'}: {what}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
