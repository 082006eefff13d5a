"""The job that explains one user: it reads what is published, so it waits for nobody and nobody waits for it."""

import re
from datetime import date

import dagster as dg
from pydantic import Field

from orchestration.errors import BarometerError
from orchestration.explain.text import explain
from orchestration.settings import settings_from_environment

EXPLAIN = "explain"


class ExplainConfig(dg.Config):
    """Whom to explain, and as of when."""

    user_id: str = Field(description="The user_id, as your own systems write it.")
    as_of: str | None = Field(
        default=None,
        description="A date that was built, like 2026-06-30; that of the published file if it is left out.",
    )
    with_addresses: bool = Field(
        default=False,
        description="Show the addresses of the user too. They are personal data, and stay in the log of this run.",
    )


@dg.op(
    name="user",
    out=dg.Out(dg.Nothing),
    description="Writes what is known of one user into the log and the metadata of its output. It changes nothing.",
)
def explained_user(context: dg.OpExecutionContext, config: ExplainConfig) -> dg.Output[None]:
    """Explain the user of the config."""
    text = explain(settings_from_environment(), config.user_id, _date(config.as_of), config.with_addresses)
    context.log.info("\n%s", text)
    return dg.Output(None, metadata={"explanation": dg.MetadataValue.md(fenced(text))})


@dg.job(
    name=EXPLAIN,
    description="Says what is known of one user as of a date: segments and why, contacts of the last days, caps, "
    "channels, campaigns. Give the user_id in the launchpad. Reads the published file, or the backfill of an older "
    "date.",
)
def explain_job() -> None:
    """Explain one user."""
    explained_user()


def fenced(text: str) -> str:
    """Return a text as a block of Markdown that nothing in it can end."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _date(text: str | None) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BarometerError(f"as_of is {text!r}, which is no date.", "Write it like 2026-06-30.") from None
