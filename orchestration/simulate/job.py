"""The job that plays the contacts again under proposed caps: it changes nothing, so nobody waits for its turn."""

from datetime import date

import dagster as dg
from pydantic import Field

from orchestration.errors import BarometerError
from orchestration.explain.job import fenced
from orchestration.measures.cap_simulation import ALL, CURRENT
from orchestration.measures.replay import ROLLING, WINDOWS
from orchestration.settings import settings_from_environment
from orchestration.simulate.text import text_of
from orchestration.simulate.what_if import PROPOSED, WhatIf, what_if

SIMULATE = "simulate"
_NAME = "policy"


class SimulateConfig(dg.Config):
    """The proposed caps, and the dates whose contacts are played."""

    policy: str = Field(
        description="The proposed caps as CSV, like the seed contact_policy: a first line "
        "policy_segment,channel,window_days,max_contacts, then a line for each cap. They take the place of all caps.",
    )
    from_date: str | None = Field(
        default=None, description="The first date, like 2026-06-01; the first that is measured if it is left out."
    )
    to_date: str | None = Field(default=None, description="The last date; the last that is measured if it is left out.")


@dg.op(
    name="caps",
    out=dg.Out(dg.Nothing),
    description="Plays the measured contacts again under the proposed caps and those in force, and writes what came of "
    "it into the log and the metadata of its output. It changes nothing.",
)
def simulated_caps(context: dg.OpExecutionContext, config: SimulateConfig) -> dg.Output[None]:
    """Simulate the policy of the config."""
    first, last = _date("from_date", config.from_date), _date("to_date", config.to_date)
    found = what_if(settings_from_environment(), _NAME, config.policy.encode(), first, last, context.log.info)
    text = text_of(found)
    context.log.info("\n%s", text)
    return dg.Output(
        None,
        metadata={
            "in_words": dg.MetadataValue.md(fenced(text)),
            "totals": _table(found, [(ALL, ALL)], WINDOWS),
            "by_segment": _table(found, [(segment, ALL) for segment in found.segments()]),
            "by_channel": _table(found, [(ALL, channel) for channel in found.channels()]),
        },
    )


@dg.job(
    name=SIMULATE,
    description="Says what other caps would have done to the contacts of the measured days, beside those in force: "
    "contacts removed, users over a cap, clicks and revenue touched, cost saved. Give the caps in the launchpad.",
)
def simulate_job() -> None:
    """Simulate a policy."""
    simulated_caps()


def _table(
    found: WhatIf, slices: list[tuple[str, str]], windows: tuple[str, ...] = (ROLLING,)
) -> dg.TableMetadataValue:
    """Return a row for each slice, windows and policy."""
    outcomes = [
        found.outcome(policy, each, *part) for part in slices for each in windows for policy in (CURRENT, PROPOSED)
    ]
    return dg.MetadataValue.table([dg.TableRecord(_plain(outcome._asdict())) for outcome in outcomes])


def _plain(row: dict[str, object]) -> dict[str, str | int | float | None]:
    """Return a row with values that Dagster can keep: money as numbers."""
    return {
        name: value if value is None or isinstance(value, (str, int, float)) else float(str(value))
        for name, value in row.items()
    }


def _date(name: str, text: str | None) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BarometerError(f"{name} is {text!r}, which is no date.", "Write it like 2026-06-30.") from None
