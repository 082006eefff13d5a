"""The audiences of the dbt project, one file each in models/audiences/, as the meta of their config describes them.

dbt would tell only after it has parsed, and macros have to know them before. So each file is rendered here with
nothing behind its names: only what config() is given counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from functools import cache, wraps
from pathlib import Path
from typing import Any

import jinja2

from orchestration.errors import BarometerError
from orchestration.policy_rules import META, META_REQUIRED
from orchestration.policy_words import nearest, shown
from orchestration.settings import DBT_PROJECT, dbt_vars

_FOLDER = "models/audiences"
_NAME = re.compile(r"aud_([a-z0-9_]+)")
_WRITTEN = "Written from models/audiences/ before dbt parses; not to be edited."
_HINT = "Mend the file in dbt_project/models/audiences/; `make parse` checks again without a run."


@dataclass(frozen=True)
class Audience:
    """Who could be contacted with what: the meta of an audience, with its defaults filled in.

    ``channels`` are in order of preference; ``variants`` are (name, share) in order, their shares sum to 1; shares are
    0 to 1; None stands for no limit (``repeat_after_days``: never again). ``returns`` are the columns that the model
    has beside user_id; ``needs`` the attributes without which nobody gets into it.
    """

    name: str
    objective: str
    criteria: str
    offer: str
    channels: tuple[str, ...]
    value: Decimal
    message_class: str = "marketing"
    holdout_share: Decimal = Decimal(0)
    variants: tuple[tuple[str, Decimal], ...] = ()
    salt: str = "1"
    repeat_after_days: int | None = None
    max_sends: int | None = None
    max_per_day: int | None = None
    each_order: bool = False
    drops_silent_channels: bool = False
    promotes_category: str | None = None
    returns: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def audience_files(project: Path = DBT_PROJECT) -> dict[str, bytes]:
    """Return the content of the models of audiences, by their path in the project, sorted."""
    paths = sorted((project / _FOLDER).rglob("*.sql"))
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in paths}


def audiences(project: Path = DBT_PROJECT) -> list[Audience]:
    """Return the audiences, by name; BarometerError lists everything that is wrong with their files."""
    found, problems = read_audiences(audience_files(project), dbt_vars(project))
    if problems:
        raise BarometerError("Audiences can't be read:\n" + "\n".join(f"  {p}" for p in problems), _HINT)
    return sorted(found.values(), key=lambda audience: audience.name)


def read_audiences(
    files: Mapping[str, bytes], variables: Mapping[str, Any] | None = None
) -> tuple[dict[str, Audience], list[str]]:
    """Return the audiences whose files are right, by path, and every problem of the others."""
    found: dict[str, Audience] = {}
    paths: dict[str, str] = {}
    problems = []
    for path, content in files.items():
        named = _NAME.fullmatch(Path(path).stem)
        if named is None:
            problems.append(f"{path}: the file's name must be aud_, then small letters, digits and _, then .sql")
            continue
        name = named[1]
        if name in paths:
            problems.append(f"{path}: has the name of {paths[name]} and so its campaign {name}, must have its own")
            continue
        paths[name] = path
        try:
            meta = _meta_of(content.decode("utf-8"), variables or {})
        except Exception as error:  # a template may fail in any way
            line = getattr(error, "lineno", None)
            at = f", line {line}" if line else ""
            problems.append(f"{path}{at}: can't be rendered: {type(error).__name__}: {error}")
            continue
        wrong = [f"{path}, {problem}" for problem in _meta_problems(meta)]
        problems += wrong
        if not wrong:
            found[path] = _audience(name, meta)
    return found, problems


def audience_macro(found: Sequence[Audience]) -> str:
    """Return the file of the macro audience_models(), which tells models of the audiences."""
    listed = [{key: _plain(value) for key, value in asdict(audience).items()} for audience in found]
    return f"{{# {_WRITTEN} #}}\n{{% macro audience_models() %}}{{{{ return({listed!r}) }}}}{{% endmacro %}}\n"


def _plain(value: Any) -> Any:
    """Return a value as Jinja can be given it: decimals as text, so that none becomes a float."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _audience(name: str, meta: Mapping[str, Any]) -> Audience:
    """Return the audience of a meta without problems; what is null is as if it were not there."""
    given = {key: value for key, value in meta.items() if value is not None}
    given |= {key: tuple(given[key]) for key in ("channels", "returns", "needs") if key in given}
    given |= {key: _decimal(given[key]) for key in ("value", "holdout_share") if key in given}
    if "variants" in given:
        given["variants"] = tuple((variant, _decimal(share)) for variant, share in given["variants"].items())
    return Audience(name, **given)


def _decimal(number: float) -> Decimal:
    return Decimal(str(number))


# --- What is wrong with a meta.


def _meta_problems(meta: Any) -> Iterator[str]:
    """Look at each key, then at what goes together."""
    if meta is None:
        yield "config: has no meta, must be like {{ config(meta={...}) }} with " + ", ".join(META_REQUIRED)
        return
    if not isinstance(meta, dict):
        yield f"config: meta is {_shown(meta)}, must be written out as {{...}}"
        return
    for key, value in meta.items():
        if key not in META:
            yield f"meta {key}: is unknown{nearest(str(key), META.keys() - meta.keys())}, must be one of " + ", ".join(
                META
            )
        elif not META[key].fits(value) and (value is not None or key in META_REQUIRED):
            yield f"meta {key}: is {_shown(value)}, must be {META[key].words}"
    for key in META_REQUIRED:
        if key not in meta:
            yield f"meta {key}: is missing, must be {META[key].words}"
    fits = {key: value for key, value in meta.items() if key in META and META[key].fits(value)}
    if fits.get("each_order") and "since" not in fits.get("returns", ["since"] if "returns" in meta else []):
        yield "meta returns: lacks since, must have it, since each_order counts sends after that order"
    if fits.get("message_class", "marketing") != "marketing" and fits.get("holdout_share"):
        yield (
            f"meta holdout_share: is {_shown(fits['holdout_share'])}, must be 0: nobody is held out of "
            f"{fits['message_class']} messages"
        )


def _shown(value: Any) -> str:
    return "not written out" if _has_stub(value) else shown(value)


def _has_stub(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_stub, [*value, *value.values()]))
    return isinstance(value, _Stub) or (isinstance(value, (list, tuple)) and any(map(_has_stub, value)))


# --- The config of a file, with nothing behind the names.


def _meta_of(text: str, variables: Mapping[str, Any]) -> Any:
    """Return the meta that the file gives to config(), None without one; raises what the template raises.

    A meta may name vars, so that its words follow them.
    """
    config = _Config()

    def var(name: str, default: Any = None) -> Any:
        return variables.get(name, _Stub() if default is None else default)

    _environment().from_string(text).render(config=config, var=var)
    return config.meta


class _Config:
    """What a template calls as config: keeps the meta, and answers config.get() and the like with nothing."""

    def __init__(self) -> None:
        self.meta: Any = None

    def __call__(self, *_: Any, **given: Any) -> str:
        self.meta = given.get("meta", self.meta)
        return ""

    def __getattr__(self, name: str) -> _Stub:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Stub()


#: Its operators are typed as never returning; those of a stub do.
_Undefined: Any = jinja2.Undefined


class _Stub(_Undefined):
    """Stands for every name that a template uses: can be called, iterated, compared, counted with and filtered."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def _stub(self, *_: Any, **__: Any) -> _Stub:
        return _Stub()

    def _no(self, *_: Any) -> bool:
        return False

    def _zero(self) -> int:
        return 0

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Stub()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __str__(self) -> str:
        return ""

    def __float__(self) -> float:
        return 0.0

    __call__ = __getitem__ = _stub
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _stub
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = _stub
    __neg__ = __pos__ = __abs__ = __round__ = _stub
    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __bool__ = _no
    __hash__ = __len__ = __int__ = __index__ = _zero


class _AnyName(dict[str, Any]):
    """Filters or tests by name, where a name that nobody knows is one too."""

    def __init__(self, known: Mapping[str, Any], unknown: Callable[..., Any]) -> None:
        super().__init__(known)
        self._unknown = unknown

    def __missing__(self, name: str) -> Any:
        return self._unknown

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]


def _filter_of(known: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter that gives a stub for a stub, and else does what it does."""

    @wraps(known)  # and with it the mark that it wants the context
    def filtered(*values: Any, **options: Any) -> Any:
        return _Stub() if any(isinstance(value, _Stub) for value in values) else known(*values, **options)

    return filtered


@cache
def _environment() -> jinja2.Environment:
    """Return Jinja as dbt sets it up, but for its names."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], undefined=_Stub)
    filters: dict[str, Any] = {name: _filter_of(known) for name, known in environment.filters.items()}
    tests: dict[str, Any] = dict(environment.tests)
    environment.filters = _AnyName(filters, lambda *_, **__: _Stub())
    environment.tests = _AnyName(tests, lambda *_, **__: False)
    # a call block gives what it calls as it is
    environment.concat = lambda parts: "".join(map(str, parts))  # type: ignore[method-assign]
    return environment
