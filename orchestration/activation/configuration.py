"""destinations.yml: which audiences go where, under which names, and how carefully; checked when definitions load."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from orchestration.activation.destinations import KINDS
from orchestration.activation.destinations.interface import SEGMENTS, Destination
from orchestration.errors import BarometerError
from orchestration.policy_words import nearest
from orchestration.settings import seed_rows
from orchestration.warehouse.project import mart_descriptions, read_manifest

#: The variable with the path of another file.
FILE_VARIABLE = "BAROMETER_DESTINATIONS"
DEFAULT_FILE = Path(__file__).parent / "destinations.yml"
#: What a plan list can carry, and the names it has unless the file says otherwise.
PLAN_COLUMNS = (
    "plan_date",
    "channel",
    "campaign_id",
    "variant",
    "message_class",
    "timezone",
    "send_from",
    "send_until",
)
_PLAN_NAMES = {
    column: f"{{audience}}_{column}"
    for column in ("plan_date", "channel", "variant", "timezone", "send_from", "send_until")
}
#: Columns of an extract that are no attributes.
FIXED = ("key", "user_id", "_channel", "email", "phone")
#: The mapping of a single audience or of the segments.
ATTRIBUTES = "attributes"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
_HINT = "Mend the file; `make parse` checks it again without a run. docs/DESTINATIONS.md describes every line."


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Segments(_Model):
    #: Column of user_360, headroom_<channel> or next_eligible_date -> name at the provider.
    attributes: dict[str, str] = Field(min_length=1)
    options: dict[str, Any] = Field(default_factory=dict)


class _Guards(_Model):
    #: The share by which candidates may fall from one sync to the next.
    max_fall: float = Field(default=0.3, ge=0, le=1)
    #: Whether somebody has seen that the lists were empty before the first sync.
    starts_empty: bool = False


class _Destination(_Model):
    type: str
    options: dict[str, Any] = Field(default_factory=dict)
    channels: list[str] | Literal["all"]
    mode: Literal["mirror", "upsert"] = "mirror"
    #: Names, or names with the options of each, and perhaps its own attributes.
    audiences: Literal["all"] | list[str] | dict[str, dict[str, Any] | None] = Field(default_factory=list)
    plan_attributes: dict[str, str] = Field(default_factory=lambda: dict(_PLAN_NAMES))
    segments: _Segments | None = None
    guards: _Guards = Field(default_factory=_Guards)

    @field_validator("channels")
    @classmethod
    def _some(cls, value: list[str] | str) -> list[str] | str:
        if not value:
            raise ValueError("name at least one channel, or write: all")
        return value


#: The keys of the file, for what a misspelt one may have meant.
_KEYS = {name for model in (_Destination, _Segments, _Guards) for name in model.model_fields}


@dataclass(frozen=True)
class TargetConfig:
    """An audience at a destination: its attributes as (column, name at the provider), and its options."""

    audience: str
    attributes: tuple[tuple[str, str], ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names that attributes have at the provider."""
        return tuple(name for _, name in self.attributes)


@dataclass(frozen=True)
class DestinationConfig:
    """A destination as the file has it, with every default filled in."""

    name: str
    kind: type[Destination]
    options: Mapping[str, Any]
    channels: tuple[str, ...]
    mode: str
    targets: tuple[TargetConfig, ...]
    max_fall: float = 0.3
    starts_empty: bool = False

    def target(self, audience: str) -> TargetConfig | None:
        """Return what the destination has of an audience, None if it is not for it."""
        return next((target for target in self.targets if target.audience == audience), None)


@dataclass(frozen=True)
class Known:
    """What names in the file may stand for."""

    audiences: tuple[str, ...]
    channels: tuple[str, ...]
    columns: tuple[str, ...]


def configured() -> list[DestinationConfig]:
    """Return the destinations of the file in use, with the columns that the parsed project has.

    Raises BarometerError with every problem and its line.
    """
    manifest = read_manifest()
    columns = mart_descriptions(manifest)["user_360"].columns
    names = (node["name"] for node in manifest["nodes"].values() if node["fqn"][1] == "audiences")
    file = Path(os.environ.get(FILE_VARIABLE) or DEFAULT_FILE)
    channels = tuple(row["channel"] for row in seed_rows("channels"))
    known = Known(
        tuple(sorted(name.removeprefix("aud_") for name in names)),
        channels,
        (*columns, *(f"headroom_{channel}" for channel in channels), "next_eligible_date"),
    )
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BarometerError(
            f"{file} can't be read: {error}", f"Set {FILE_VARIABLE} to a file, or unset it."
        ) from error
    return read_destinations(text, file.name, known)


def read_destinations(text: str, name: str, known: Known) -> list[DestinationConfig]:
    """Return the destinations that a text describes, by name; BarometerError lists each problem with its line."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text) or {}
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        # what a parser says may quote the file, and the file may hold a secret
        raise BarometerError(f"{name}, {where}this is no YAML of names, texts and numbers.", _HINT) from None
    lines: dict[tuple[str, ...], int] = {}
    problems: list[tuple[int, str]] = []
    if root is not None:
        _find_lines(root, (), lines, problems)
    found: list[DestinationConfig] = []
    wanted = content.get("destinations") if isinstance(content, dict) else None
    if not isinstance(wanted, dict) or set(content) != {"destinations"}:
        problems.append((1, "write `destinations:` and below it a name for each"))
        wanted = {}
    for destination, given in wanted.items():
        path = ("destinations", str(destination))
        config, wrong = _read_one(str(destination), given, known)
        problems += [(_line(lines, (*path, *below)), f"{destination}{_dotted(below)}: {what}") for below, what in wrong]
        if config is not None:
            found.append(config)
    if problems:
        raise BarometerError(
            f"{name} can't be used:\n" + "\n".join(f"  line {line}: {what}" for line, what in sorted(set(problems))),
            _HINT,
        )
    return sorted(found, key=lambda config: config.name)


_Wrong = list[tuple[tuple[str, ...], str]]


def _read_one(name: str, given: object, known: Known) -> tuple[DestinationConfig | None, _Wrong]:
    if not _NAME.fullmatch(name):
        return None, [((), "a name has lower-case letters, digits and _, 40 at most, and begins with a letter")]
    try:
        read = _Destination.model_validate(given)
    except ValidationError as error:
        return None, _wrong_types(error, given)
    kind = KINDS.get(read.type)
    if kind is None:
        return None, [(("type",), f"there is no {read.type!r}{nearest(read.type, KINDS)}; there are {_list(KINDS)}")]
    wrong: _Wrong = []
    channels = known.channels if read.channels == "all" else tuple(dict.fromkeys(read.channels))
    wrong += [
        (("channels", channel), f"there is no channel {channel!r}{nearest(channel, known.channels)}")
        for channel in channels
        if channel not in known.channels
    ]
    if kind.is_whole and read.mode == "upsert":
        wrong.append((("mode",), f"{read.type} always holds the list as it is: mirror"))
    wrong += _options(read.options, kind.options, kind.secrets, ("options",))
    targets = [*_plan_targets(read, kind, known, wrong), *_segment_target(read, kind, known, wrong)]
    if kind.has_profiles:
        wrong += _shared(read, targets)
    if not targets and not wrong:
        wrong.append(((), "it has neither audiences nor segments"))
    if not wrong:
        names = {target.audience: target.names for target in targets}
        wrong += [(_place(problem.path, read, targets), problem.text) for problem in kind.check(read.options, names)]
    return (
        DestinationConfig(
            name,
            kind,
            read.options,
            channels,
            read.mode,
            tuple(targets),
            read.guards.max_fall,
            read.guards.starts_empty,
        ),
        wrong,
    )


def _plan_targets(read: _Destination, kind: type[Destination], known: Known, wrong: _Wrong) -> list[TargetConfig]:
    given = dict.fromkeys(known.audiences) if read.audiences == "all" else read.audiences
    options = given if isinstance(given, dict) else dict.fromkeys(given)
    targets = []
    for audience, own in options.items():
        path = ("audiences", audience)
        if audience not in known.audiences:
            wrong.append((path, f"there is no audience {audience!r}{nearest(audience, known.audiences)}"))
        of_audience = {option: value for option, value in (own or {}).items() if option != ATTRIBUTES}
        wrong += _options(of_audience, kind.audience_options, (), path)
        attributes: tuple[tuple[str, str], ...] = ()
        mapping = _plan_mapping(read, audience)
        at = _plan_path(read, audience)
        if not isinstance(mapping, dict) or not all(isinstance(each, str) for pair in mapping.items() for each in pair):
            wrong.append((at, "write each as column: name"))
        else:
            attributes = tuple((column, name.replace("{audience}", audience)) for column, name in mapping.items())
            wrong += [
                ((*at, column), f"a plan list has no {column!r}; it has {_list(PLAN_COLUMNS)}")
                for column in mapping
                if column not in PLAN_COLUMNS
            ]
            if not mapping:
                wrong.append((at, "a plan list needs at least one attribute"))
        wrong += _names(attributes, at)
        targets.append(TargetConfig(audience, attributes, of_audience))
    return targets


def _plan_mapping(read: _Destination, audience: str) -> Any:
    """Return the mapping of an audience: its own, else that of all plan lists."""
    own = read.audiences.get(audience) if isinstance(read.audiences, dict) else None
    return own[ATTRIBUTES] if own and ATTRIBUTES in own else read.plan_attributes


def _plan_path(read: _Destination, audience: str) -> tuple[str, ...]:
    is_own = _plan_mapping(read, audience) is not read.plan_attributes
    return ("audiences", audience, ATTRIBUTES) if is_own else ("plan_attributes",)


def _place(path: tuple[str, ...], read: _Destination, targets: Sequence[TargetConfig]) -> tuple[str, ...]:
    """Return where in the file a destination's problem is: it knows audiences and names, the file columns."""
    if path[0] != ATTRIBUTES:
        return path
    _, audience, *names = path
    place = ("segments", ATTRIBUTES) if audience == SEGMENTS else _plan_path(read, audience)
    for target in targets:
        for column, name in target.attributes:
            if target.audience == audience and [name] == names:
                return (*place, column)
    return place


def _segment_target(read: _Destination, kind: type[Destination], known: Known, wrong: _Wrong) -> list[TargetConfig]:
    if read.segments is None:
        return []
    path = ("segments", "attributes")
    for column in read.segments.attributes:
        if column not in known.columns:
            wrong.append(((*path, column), f"there is no column {column!r}{nearest(column, known.columns)}"))
    attributes = tuple(read.segments.attributes.items())
    wrong += _names(attributes, path)
    wrong += _options(read.segments.options, kind.audience_options, (), ("segments", "options"))
    return [TargetConfig(SEGMENTS, attributes, read.segments.options)]


def _shared(read: _Destination, targets: Sequence[TargetConfig]) -> _Wrong:
    """Return the names that two audiences use: leaving one would unset what the other has set."""
    users: dict[str, str] = {}
    wrong: _Wrong = []
    for target in targets:
        for name in target.names:
            other = users.setdefault(name.lower(), target.audience)
            if other != target.audience:
                place = _place((ATTRIBUTES, target.audience, name), read, targets)
                wrong.append((place, f"{other} and {target.audience} both set {name!r}; put {{audience}} in the name"))
    return wrong


def _names(attributes: Sequence[tuple[str, str]], path: tuple[str, ...]) -> _Wrong:
    wrong: _Wrong = []
    seen: set[str] = set()
    for column, name in attributes:
        if not name.strip() or name.lower() in FIXED:
            wrong.append(((*path, column), f"{name!r} can't be the name of an attribute"))
        elif "{" in name or "}" in name:
            wrong.append(((*path, column), f"{name!r}: only {{audience}}, in a plan list, stands for something"))
        elif name.lower() in seen:
            wrong.append(((*path, column), f"two attributes are called {name!r}"))
        seen.add(name.lower())
    return wrong


def _options(
    given: Mapping[str, Any], allowed: Mapping[str, bool], secrets: Sequence[str], path: tuple[str, ...]
) -> _Wrong:
    wrong: _Wrong = []
    names = {**allowed, **dict.fromkeys(secrets, True)}
    for option, value in given.items():
        if option not in names:
            wrong.append(((*path, str(option)), f"there is no option {option!r}{nearest(str(option), names)}"))
        elif option in secrets and not re.fullmatch(r"[A-Z][A-Z0-9_]*", str(value)):
            # the value may be the secret itself, so it is not repeated
            wrong.append(
                ((*path, option), "write the name of the environment variable (A-Z, 0-9, _), never the secret itself")
            )
        elif not _is_plain(value):
            wrong.append(((*path, option), "write a text, a number, true or false, or a list of texts"))
    wrong += [
        (path, f"the option {option!r} is missing")
        for option, needed in names.items()
        if needed and option not in given
    ]
    return wrong


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(each, str) for each in value)
    return isinstance(value, str | int | float)


def _find_lines(
    node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int], problems: list[tuple[int, str]]
) -> None:
    """Note the line of every key; a key that is there twice is a problem, since YAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            if below in lines:
                problems.append((key.start_mark.line + 1, f"{'.'.join(below)} is there twice"))
                continue
            lines[below] = key.start_mark.line + 1
            _find_lines(value, below, lines, problems)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            if isinstance(item, yaml.ScalarNode):
                lines[(*path, str(item.value))] = item.start_mark.line + 1


def _line(lines: Mapping[tuple[str, ...], int], path: tuple[str, ...]) -> int:
    """Return the line of a path, or of the nearest key above it that is there."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _wrong_types(error: ValidationError, given: object) -> _Wrong:
    """Return what pydantic says, once a place: it says it again for each kind of value that a key may have."""
    found: dict[tuple[str, ...], str] = {}
    for each in error.errors():
        path, what = _path_of(each["loc"], given), each["msg"].removeprefix("Value error, ")
        if each["type"] == "missing":
            path, what = (*path, str(each["loc"][-1])) if path[-1:] != each["loc"][-1:] else path, "is missing"
        elif each["type"] == "extra_forbidden":
            what = f"there is no such key{nearest(str(path[-1]), _KEYS)}"
        elif each["type"] == "model_type":
            what = "write its keys below it"
        found[path] = f"{found[path]}, or {what.lower()}" if path in found else what[:1].lower() + what[1:]
    return [
        (path, what) for path, what in found.items() if not any(path == other[: len(path)] != other for other in found)
    ]


def _path_of(location: Sequence[int | str], given: object) -> tuple[str, ...]:
    """Return the keys of pydantic's place that are in the file: it names the parts of unions too."""
    path: list[str] = []
    for part in location:
        if isinstance(given, dict) and part in given:
            path.append(str(part))
            given = given[part]
        elif isinstance(given, dict) and not path and isinstance(part, str):
            path.append(part)
    return tuple(path)


def _dotted(path: Sequence[str]) -> str:
    return "".join(f".{part}" for part in path)


def _list(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(sorted(names))
