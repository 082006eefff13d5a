"""Tests that run: who is held out and who gets which variant must not change while one does.

A user's place in a test follows from its salt and shares. So the stage that writes plan lists records these beside the
planned contacts of the date, and a build of a later plan is refused while they are others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from orchestration.errors import BarometerError
from orchestration.policy import Policy, read_policy
from orchestration.policy_rules import variants_of
from orchestration.settings import DBT_PROJECT
from orchestration.warehouse.audiences import Audience
from orchestration.warehouse.files import fsync

#: Beside the planned contacts of a plan date.
FILE = "tests.json"
_CAMPAIGNS, _UNIVERSAL, _DOSE = "campaigns", "universal_holdout", "dose_arms"


@dataclass(frozen=True)
class CampaignTest:
    """The test of a campaign of an audience: shares from 0 to 1, variants in order; no end: it goes on."""

    audience: str
    salt: str
    holdout_share: Decimal
    variants: tuple[tuple[str, Decimal], ...]
    test_ends_on: date | None = None

    @property
    def is_one(self) -> bool:
        """Whether anybody is held out or gets a variant."""
        return bool(self.variants) or self.holdout_share > 0

    def ended_before(self, plan_date: date) -> bool:
        """Whether its last day is past on a date."""
        return self.test_ends_on is not None and self.test_ends_on < plan_date


@dataclass(frozen=True)
class ShareFrom:
    """A row of the seed universal_holdout or dose_arms: a share of all users, by a salt, from a date on."""

    valid_from: date
    salt: str
    share: Decimal


@dataclass(frozen=True)
class CampaignSettings:
    """What a row of campaign_settings says of a test; None: as the audience says."""

    salt: str | None = None
    holdout_share: Decimal | None = None
    variants: tuple[tuple[str, Decimal], ...] | None = None
    test_ends_on: date | None = None


@dataclass(frozen=True)
class CurrentTests:
    """The tests as audiences and seeds have them now.

    ``audiences`` are by name, ``settings`` by campaign; ``news`` are the campaigns of the seed category_settings, which
    those audiences send that return a campaign_id.
    """

    audiences: Mapping[str, Audience]
    settings: Mapping[str, CampaignSettings]
    news: frozenset[str]
    universal: tuple[ShareFrom, ...]
    dose: tuple[ShareFrom, ...] = ()

    def campaigns(self) -> Iterator[tuple[str, str]]:
        """Yield the campaign and audience of all that the policy knows, by audience."""
        for name, audience in sorted(self.audiences.items()):
            yield name, name
            if "campaign_id" in audience.returns:
                yield from ((campaign, name) for campaign in sorted(self.news - self.audiences.keys()))

    def of(self, campaign_id: str, audience: str) -> CampaignTest | None:
        """Return the test of a campaign of an audience; None if there is no such campaign."""
        meta = self.audiences.get(audience)
        if meta is None or (campaign_id != audience and "campaign_id" not in meta.returns):
            return None
        given = self.settings.get(campaign_id, CampaignSettings())
        return CampaignTest(
            audience,
            meta.salt if given.salt is None else given.salt,
            meta.holdout_share if given.holdout_share is None else given.holdout_share,
            meta.variants if given.variants is None else given.variants,
            given.test_ends_on,
        )

    def universal_on(self, day: date) -> ShareFrom | None:
        """Return the universal holdout of a date: the latest row that is valid from then or before."""
        return _in_force(self.universal, day)

    def dose_on(self, day: date) -> ShareFrom | None:
        """Return the arms of the dose test of a date, likewise."""
        return _in_force(self.dose, day)


def _in_force(rows: Iterable[ShareFrom], day: date) -> ShareFrom | None:
    return max((row for row in rows if row.valid_from <= day), key=lambda row: row.valid_from, default=None)


def current_tests(project: Path = DBT_PROJECT) -> CurrentTests:
    """Return the tests of a dbt project; BarometerError if its policy is wrong."""
    policy = read_policy(project)
    settings = {
        row["campaign_id"]: CampaignSettings(
            row["salt"],
            row["holdout_share"],
            None if row["variants"] is None else tuple(variants_of(row["variants"])),
            row["test_ends_on"],
        )
        for row in policy.seeds["campaign_settings"]
    }
    return CurrentTests(
        {audience.name: audience for audience in (policy.audiences or {}).values()},
        settings,
        frozenset(row["news_campaign_id"] for row in policy.seeds["category_settings"] if row["news_campaign_id"]),
        _shares(policy, "universal_holdout"),
        _shares(policy, "dose_arms"),
    )


def _shares(policy: Policy, seed: str) -> tuple[ShareFrom, ...]:
    return tuple(ShareFrom(row["valid_from"], row["salt"], row["share"]) for row in policy.seeds[seed])


# --- What was recorded.


@dataclass(frozen=True)
class _Record:
    plan_date: date
    campaigns: Mapping[str, CampaignTest]
    universal: ShareFrom | None
    #: None also where it was recorded before there were such tests.
    dose: ShareFrom | None


def record_tests(
    folder: Path, plan_date: date, tests: CurrentTests, planned: Iterable[tuple[str, str]] | None = None
) -> None:
    """Write ``<folder>/<plan_date>/tests.json``: the tests of a plan, for good when this returns.

    ``folder`` is that of the planned contacts. ``planned`` are the (campaign_id, audience) of the plan, None: all that
    the policy knows. What is recorded of other campaigns of that date is kept; a file that is the same is left alone.
    """
    path = folder / plan_date.isoformat() / FILE
    campaigns = dict(_read(path, plan_date).campaigns) if path.exists() else {}
    known = _tests_of(tests, tests.campaigns())
    of_plan = known if planned is None else _tests_of(tests, planned)
    # also one that is no test: on this date it can't become one, its lists have gone out
    campaigns |= of_plan
    # whatever becomes of it, it is no longer what ran before
    campaigns |= {campaign_id: test for campaign_id, test in known.items() if test.ended_before(plan_date)}
    document = {
        _CAMPAIGNS: {name: _campaign_json(test) for name, test in sorted(campaigns.items())},
        _UNIVERSAL: _share_json(tests.universal_on(plan_date)),
        _DOSE: _share_json(tests.dose_on(plan_date)),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = path.with_name(f".{FILE}.tmp")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
    for changed in (path.parent, folder, folder.parent):
        fsync(changed)


def _tests_of(tests: CurrentTests, campaigns: Iterable[tuple[str, str]]) -> dict[str, CampaignTest]:
    """Return the tests of (campaign_id, audience), by campaign."""
    found = ((campaign_id, tests.of(campaign_id, audience)) for campaign_id, audience in sorted(campaigns))
    return {campaign_id: test for campaign_id, test in found if test is not None}


def _campaign_json(test: CampaignTest) -> dict[str, Any]:
    return {
        "audience": test.audience,
        "salt": test.salt,
        "holdout_share": f"{test.holdout_share:f}",
        "variants": [[name, f"{share:f}"] for name, share in test.variants],
        "test_ends_on": test.test_ends_on and test.test_ends_on.isoformat(),
    }


def _share_json(row: ShareFrom | None) -> dict[str, str] | None:
    return (
        None if row is None else {"valid_from": row.valid_from.isoformat(), "salt": row.salt, "share": f"{row.share:f}"}
    )


def _share_of(given: Mapping[str, str] | None) -> ShareFrom | None:
    if given is None:
        return None
    return ShareFrom(date.fromisoformat(given["valid_from"]), given["salt"], Decimal(given["share"]))


def _read(path: Path, plan_date: date) -> _Record:
    """Return what a file records; BarometerError if it can't be read."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return _Record(
            plan_date,
            {
                name: CampaignTest(
                    test["audience"],
                    test["salt"],
                    Decimal(test["holdout_share"]),
                    tuple((variant, Decimal(share)) for variant, share in test["variants"]),
                    test["test_ends_on"] and date.fromisoformat(test["test_ends_on"]),
                )
                for name, test in document[_CAMPAIGNS].items()
            },
            _share_of(document[_UNIVERSAL]),
            _share_of(document.get(_DOSE)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise BarometerError(
            f"{path}, which records the tests of that date, can't be read: {error}",
            "Bring it back from a backup. If it is lost, delete it: tests of that date are then compared with an "
            "earlier date.",
        ) from error


def _records(planned: Path, until: date) -> list[_Record]:
    """Return what is recorded of plan dates up to a date, the latest first."""
    paths = {path: _date_of(path.parent.name) for path in planned.glob(f"*/{FILE}")}
    dated = sorted(((day, path) for path, day in paths.items() if day is not None and day <= until), reverse=True)
    return [_read(path, day) for day, path in dated]


def _date_of(name: str) -> date | None:
    try:
        return date.fromisoformat(name)
    except ValueError:
        return None


# --- What may not change.


def refuse_changed_tests(planned: Path, plan_date: date, tests: CurrentTests) -> None:
    """Raise BarometerError where salt, shares or variants of a running test are not what they were.

    ``planned`` is the folder of the planned contacts. A campaign is compared with the latest plan up to ``plan_date``
    that recorded it; it is free once its test_ends_on, as it is now, is before ``plan_date``, or once it is gone. What
    was no test may become one, but not on a date whose lists have gone out. The
    universal holdout that was in force in the latest plan must be in force on that date still, and so must the arms of
    the dose test.
    """
    records = _records(planned, plan_date)
    latest: dict[str, tuple[date, CampaignTest]] = {}
    for record in reversed(records):
        latest |= {name: (record.plan_date, test) for name, test in record.campaigns.items()}
    changes, hints = [], []
    for campaign_id, (day, was) in sorted(latest.items()):
        now = tests.of(campaign_id, was.audience)
        if now is None or now.ended_before(plan_date) or not (was.is_one or day == plan_date):
            continue
        differences = [
            f"{name} was {before}, is {after}"
            for (name, before), (_, after) in zip(_in_words(was), _in_words(now), strict=True)
            if before != after
        ]
        if differences:
            changes.append(f"campaign {campaign_id}: {'; '.join(differences)} (as in the plan of {day})")
    if changes:
        hints.append(
            "Put back what was, or end the test first: set test_ends_on in dbt_project/seeds/campaign_settings.csv to "
            f"a date before {plan_date}; or use another campaign_id."
        )
    for record in records[:1]:
        day = record.plan_date
        for what, seed, before, after in (
            ("universal holdout", _UNIVERSAL, record.universal, tests.universal_on(day)),
            ("arms of the dose test", _DOSE, record.dose, tests.dose_on(day)),
        ):
            if before != after:
                changes.append(f"{what} of {day}: was {_row_in_words(before)}, is {_row_in_words(after)}")
                hints.append(
                    f"Put the rows of dbt_project/seeds/{seed}.csv back as they were, and add a new one with a "
                    f"valid_from that is still to come (after {max(day, plan_date)})."
                )
    if changes:
        raise BarometerError(
            "Tests that are running were changed, which would move users between their groups:\n"
            + "\n".join(f"  {change}" for change in changes),
            " ".join(hints),
        )


def _in_words(test: CampaignTest) -> list[tuple[str, str]]:
    """Return the parts of a test that may not change, each with its value in words."""
    variants = "|".join(f"{name}:{_short(share)}" for name, share in test.variants)
    return [("salt", test.salt), ("holdout_share", _short(test.holdout_share)), ("variants", variants or "none")]


def _row_in_words(row: ShareFrom | None) -> str:
    return "none" if row is None else f"{_short(row.share)} from {row.valid_from} with the salt {row.salt}"


def _short(share: Decimal) -> str:
    """Return a share without zeros at its end."""
    return f"{share.normalize():f}"
