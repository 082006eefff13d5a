"""What a destination is: a few facts about a provider, and calls that say of every row what became of it.

The sync (orchestration/activation/sync) decides what is sent, in which order and how often; a destination only says it
in its provider's words. Nothing here subscribes, unsubscribes or lifts a suppression: consent stays with the company.
"""

from __future__ import annotations

import json
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from orchestration.errors import BarometerError

Value = str | int | float | bool | None
#: The name of the audience that stands for the segments and attributes of everybody who can be reached.
SEGMENTS = "segments"
#: Where copies of what goes out are made, below the data folder; empty between syncs.
OUTGOING = "outgoing"

ACCEPTED, REJECTED, PENDING, UNKNOWN = "accepted", "rejected", "pending", "unknown"
_NOT_IN_A_CODE = re.compile(r"[^a-z0-9_.:-]+")
_LONGEST_CODE = 60


@dataclass(frozen=True, slots=True)
class Row:
    """What a destination shall know of one key.

    ``addresses`` are those the destination's class names, by kind, normalised; one that nobody may use is missing.
    ``attributes`` are by their names at the provider; None unsets. In a removal every attribute is None.
    ``changed`` are the names of attributes that differ from what the provider has accepted; None: all may.
    ``once`` is the token of what must not be said twice (an event), where it has not been tried yet; else None. It has
    certainly not been said for a row that comes back pending or rejected; for one that is unknown it may have been.
    """

    key: str
    user_id: str
    addresses: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Value] = field(default_factory=dict)
    changed: frozenset[str] | None = None
    once: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What rows are for: an audience of the plan on its date, or (without a date) the segments.

    ``options`` are those of the audience in destinations.yml, such as the list at the provider.
    """

    audience: str
    plan_date: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_plan(self) -> bool:
        """Whether membership ends with its date."""
        return self.audience != SEGMENTS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a row. ``code`` is a short word, never the provider's text: that may quote an address."""

    status: str
    code: str = ""
    #: Whether the provider will refuse the same row for ever, so that it waits until it changes.
    is_permanent: bool = False
    #: Of what is pending: whether the provider has certainly taken nothing of it, also no part.
    is_untouched: bool = False


TAKEN = Outcome(ACCEPTED)


def rejected(code: object, is_permanent: bool = True) -> Outcome:
    """Return a refusal; what a provider calls it is made a plain word."""
    return Outcome(REJECTED, as_code(code), is_permanent)


def as_code(text: object) -> str:
    """Return a word of letters, digits and ``_.:-``, at most 60 long; one that may hold an address says so instead."""
    word = str(text).strip().lower()
    if "@" in word or re.search(r"\d{6}", word):
        return "provider_message"
    return _NOT_IN_A_CODE.sub("_", word).strip("_")[:_LONGEST_CODE] or "refused"


class NotTaken(Exception):
    """The provider has certainly taken nothing of a call: it was busy, or could not be reached. Rows stay pending."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class LostAnswer(Exception):
    """Nobody knows whether the provider has taken a call. Its rows are unknown until they are settled."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Refused(Exception):
    """The provider refuses a whole call and does not say which row is to blame: halves of it are tried.

    ``is_permanent``: whether a row that is left alone with it is refused for ever; not where the reason was not told.
    """

    def __init__(self, code: object, is_permanent: bool = True) -> None:
        super().__init__(as_code(code))
        self.code, self.is_permanent = as_code(code), is_permanent


class WrongSettings(BarometerError):
    """No row is to blame: a key, a list or an option of the destination is wrong."""


@dataclass(frozen=True)
class Limits:
    """The most of one call, and how many calls at once. ``bytes`` are of what `Destination.size` counts."""

    rows: int = 1000
    bytes: int = 5_000_000
    concurrency: int = 4


@dataclass(frozen=True)
class Patience:
    """How long a call is tried: times in all, seconds before the second try (then doubled), and of the longest pause.

    A provider that asks for a longer pause than that is left alone until the next run.
    """

    attempts: int = 6
    first_wait: float = 0.5
    longest_wait: float = 90.0
    #: Of one answer, and between two looks at a job that goes on; and how long a job may go on in all.
    timeout: float = 30.0
    poll_wait: float = 2.0
    longest_job: float = 1800.0
    #: How long the second of a rate lasts: shorter against a stand-in whose windows are shorter too.
    second: float = 1.0


@dataclass(frozen=True)
class Problem:
    """What is wrong in destinations.yml: where, and what to do.

    ``path`` is ``("options", option)`` or ``("attributes", audience, name)``, without the name where it is all of them.
    """

    path: tuple[str, ...]
    text: str


class Destination(ABC):
    """A kind of destination. An object lives as long as one sync; its calls may come from several threads at once."""

    #: What destinations.yml calls it.
    type: ClassVar[str]
    #: What the provider knows people by: ``user_id``, or ``email``, then a changed e-mail is another member.
    key: ClassVar[str] = "user_id"
    #: Kinds of address that its rows carry beside the key: ``email``, ``phone``. An object may narrow or widen it.
    addresses: frozenset[str] = frozenset()
    #: Options of destinations.yml: name -> whether it must be given. Values are text, numbers or lists of text.
    options: ClassVar[Mapping[str, bool]] = {}
    #: Options of an audience, likewise.
    audience_options: ClassVar[Mapping[str, bool]] = {}
    #: Options, of the destination or of an audience, that say where rows lie: where one differs, it is another place.
    place: ClassVar[frozenset[str]] = frozenset({"url", "project", "app", "list", "audience"})
    #: Options whose value is the name of the environment variable with a secret; all must be given.
    secrets: ClassVar[tuple[str, ...]] = ()
    #: An object may have its own, from its options.
    limits: Limits = Limits()
    #: Whether it gets the whole list each time something in it differs: then it is a `WholeDestination`.
    is_whole: ClassVar[bool] = False
    #: Whether all audiences set attributes of one profile, so that no two may use the same name.
    has_profiles: ClassVar[bool] = True
    #: Whether `Row.changed` makes a difference: the provider bills by attribute, say.
    uses_changes: ClassVar[bool] = False
    #: Whether membership is a list at the provider, which may hold others before the first sync. Else it is attributes
    #: that nobody else sets.
    has_list: ClassVar[bool] = False

    def __init__(self, name: str, options: Mapping[str, Any], patience: Patience | None = None) -> None:
        """Take the options of destinations.yml, which `check` has seen; nothing is called yet."""
        self.name = name
        self.given = options
        self.patience = patience or Patience()

    @classmethod
    def check(cls, options: Mapping[str, Any], attributes: Mapping[str, Sequence[str]]) -> list[Problem]:
        """Return what is wrong with the values of options, or with the names that attributes shall have by audience."""
        return []

    @classmethod
    def addresses_of(cls, options: Mapping[str, Any]) -> frozenset[str]:
        """Return the kinds of address that rows carry beside the key; a kind may let the option ``addresses`` say."""
        return frozenset(options.get("addresses", ())) if "addresses" in cls.options else cls.addresses

    def secret(self, option: str) -> str:
        """Return the secret that an option names; raise WrongSettings, naming the variable, where it is not set."""
        variable = str(self.given[option])
        value = os.environ.get(variable, "")
        if not value:
            raise WrongSettings(
                f"{self.name}: the environment variable {variable} is not set.",
                f"Set {variable} to the secret that {option} of this destination needs.",
            )
        return value

    def prepare(self, target: Target) -> None:  # noqa: B027
        """Make ready what the target needs at the provider, such as an audience. Said again it changes nothing."""

    def members(self, target: Target) -> Iterator[str] | None:
        """Return the keys that the provider lists as members now; None where it can't list them."""
        return None

    def refuse(self, target: Target, row: Row) -> str | None:
        """Return a code for a row that the provider would drop or cut without saying so; None: it can be sent."""
        return None

    def says_once(self, target: Target) -> bool:
        """Whether rows of a target make it say something that must not be said twice: then `Row.once` is given."""
        return False

    def size(self, target: Target, row: Row) -> int:
        """Return about how many bytes a row takes in a call; never too few."""
        said = json.dumps([row.key, dict(row.addresses), dict(row.attributes)], ensure_ascii=True)
        return len(said) + len(row.key) + 200

    @abstractmethod
    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Make every row a member with its attributes, and return what became of each key (all of them).

        Raises NotTaken, LostAnswer, Refused or WrongSettings where that holds for the whole call. Said twice it changes
        nothing, but for what ``Row.once`` asks for.
        """

    @abstractmethod
    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Take every row out and unset its attributes; a key that the provider does not know is taken out already.

        Returns and raises as `set`.
        """

    def close(self) -> None:  # noqa: B027
        """Let go of connections."""


class WholeDestination(Destination):
    """A destination that holds lists and knows no changes to them, such as a file."""

    is_whole: ClassVar[bool] = True
    has_profiles: ClassVar[bool] = False

    @abstractmethod
    def put(self, target: Target, rows: Path | None, names: Sequence[str]) -> int:
        """Put a list, all of it, in the place of the one before; return how many rows.

        ``rows`` is a Parquet file in the order of its column ``key``, with ``user_id``, the addresses by their kinds
        and the attributes by their names; what it has no column for nobody has. None: the list holds nobody. ``names``
        are the attributes, in order. Either the list before or this one is there at any moment. Raises NotTaken,
        LostAnswer or WrongSettings. Said twice it changes nothing.
        """

    def clear(self, target: Target, names: Sequence[str] = ()) -> None:
        """Let the target hold nobody: the list is there, and empty."""
        self.put(target, None, names)

    def set(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Never called: `put` takes the whole list."""
        raise TypeError(f"{self.type} takes whole lists")

    def remove(self, target: Target, rows: Sequence[Row]) -> Mapping[str, Outcome]:
        """Never called: `put` takes the whole list."""
        raise TypeError(f"{self.type} takes whole lists")
