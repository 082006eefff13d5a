"""The last stage: extracts of who may be contacted, after every blocking check and after the publication."""

import dagster as dg

from orchestration.activation import segments
from orchestration.errors import BarometerError
from orchestration.publish.assets import PUBLISHED
from orchestration.resources import Warehouse, log
from orchestration.warehouse import prepare
from orchestration.warehouse.assets import build_of

SEGMENT_EXTRACTS = dg.AssetKey(["extracts", "segments"])


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
        segments.raise_if_blocked(build_of(warehouse.settings).file)
    except BarometerError as error:
        log.error("%s", error)
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
    result = segments.extract_segments(
        settings.working_file, build.file, settings.extracts, settings.as_of, build.fingerprint
    )
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
