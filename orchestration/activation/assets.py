"""The last stage: extracts of who may be contacted, after every blocking check and after the publication."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb

from orchestration.activation import segments
from orchestration.errors import BarometerError
from orchestration.landing.quoting import literal
from orchestration.publish.assets import PUBLISHED
from orchestration.resources import Warehouse, log
from orchestration.settings import Settings
from orchestration.warehouse import prepare
from orchestration.warehouse.assets import Build, build_of, is_built
from orchestration.warehouse.files import open_duckdb
from orchestration.warehouse.project import fingerprint_of

SEGMENT_EXTRACTS = dg.AssetKey(["extracts", "segments"])


@contextmanager
def _open_working_and_build(settings: Settings, build: Build) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_duckdb(settings.working_file) as con:
        con.execute(f"attach {literal(str(build.file))} as build (read_only)")
        # with several, the same rows may come out in other bytes
        con.execute("set threads = 1")
        yield con


def raise_if_blocked(settings: Settings) -> None:
    """Raise BarometerError, with what to do, while something may hide a wish to be left alone."""
    with _open_working_and_build(settings, build_of(settings)) as con:
        segments.raise_if_blocked(con)


@dg.asset_check(
    asset=PUBLISHED,
    name="nothing_hides_a_wish_to_be_left_alone",
    blocking=True,
    description="Rejected erasures, consents that name nobody, and unreadable files of consents, erasures or message "
    "events stop extracts until somebody acknowledges them.",
)
def nothing_hides_a_wish_to_be_left_alone(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Fail while a rejected row or file may hide a wish to be left alone."""
    try:
        raise_if_blocked(warehouse.settings)
    except BarometerError as error:
        # what an earlier run of this date wrote may hold somebody who has said no since
        segments.remove_extracts(warehouse.settings.extracts, warehouse.settings.as_of)
        return dg.AssetCheckResult(passed=False, metadata={"what_to_do": str(error)})
    return dg.AssetCheckResult(passed=True)


@dg.asset(
    key=SEGMENT_EXTRACTS,
    deps=[PUBLISHED],
    group_name="extracts",
    kinds={"csv", "parquet"},
    owners=["team:data-engineering"],
    description="extracts/<as_of>/<family>/<segment>: user_id, channel and address of everybody of a segment who has "
    "an address, consent and no suppression there, less whoever may no longer be contacted by all that is loaded.",
)
def segment_extracts(warehouse: Warehouse) -> dg.MaterializeResult:
    """Write the segment extracts of the date, unless its plan date is past or they are there already."""
    settings = warehouse.settings
    build = build_of(settings)
    if build.kind != prepare.NIGHTLY or settings.plan_date < settings.today:
        why = (
            f"a {build.kind} run writes none"
            if build.kind != prepare.NIGHTLY
            else f"{settings.plan_date} is past (today is {settings.today})"
        )
        log.info("No extracts: %s", why)
        return dg.MaterializeResult(metadata={"skipped": why})
    if not is_built(settings, build):
        raise BarometerError(
            "No extract is written: the build is older than what has been loaded since, or not whole.",
            "Run the job daily; it builds, checks and publishes before it extracts.",
        )
    # the check of the same name may not be part of a run that asks for the extracts alone
    raise_if_blocked(settings)
    with _open_working_and_build(settings, build) as con:
        # what is written follows from the build and from the code that writes it
        fingerprint = fingerprint_of([Path(segments.__file__)], [build.fingerprint])
        result = segments.extract_segments(con, settings.extracts, settings.as_of, fingerprint)
    log.info(
        "%s %s (%s rows, %s vetoed)",
        "Extracts unchanged:" if result.is_same else "Extracts written:",
        result.folder,
        f"{sum(result.rows.values()):,}",
        result.vetoed,
    )
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(str(result.folder)),
            "vetoed": result.vetoed,
            "unchanged": result.is_same,
            "rows": dg.MetadataValue.table(
                [dg.TableRecord({"family": f, "segment": s, "rows": n}) for (f, s), n in result.rows.items()]
            ),
        }
    )
