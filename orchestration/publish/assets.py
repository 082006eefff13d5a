"""The third stage: the build becomes the file that BI tools open."""

from collections.abc import Sequence

import dagster as dg

from orchestration.publish.publish import publish
from orchestration.resources import Warehouse, log
from orchestration.warehouse import build_state, prepare
from orchestration.warehouse.assets import build_of
from orchestration.warehouse.files import open_duckdb

PUBLISHED = dg.AssetKey(["published", "barometer_duckdb"])


def published_file_of(marts: Sequence[dg.AssetKey]) -> dg.AssetsDefinition:
    """Return the asset of the published file, which waits for every mart and so for every blocking check."""

    @dg.asset(
        key=PUBLISHED,
        deps=list(marts),
        group_name="publish",
        kinds={"duckdb"},
        owners=["team:data-engineering"],
        description="warehouse/barometer.duckdb: a checked copy of the build, put in place in one step. "
        "Readers never wait.",
    )
    def barometer_duckdb(warehouse: Warehouse) -> dg.MaterializeResult:
        settings = warehouse.settings
        build = build_of(settings)
        if build.kind == prepare.BACKFILL:
            log.info("Backfill of %s: %s is built; the published file stays as it is", settings.as_of, build.file)
            return dg.MaterializeResult(metadata={"skipped": "a backfill publishes nothing", "path": str(build.file)})
        with open_duckdb(build.file) as con:
            build_state.add_built_date(con)
        published = publish(
            build.file,
            settings.published_file,
            settings.as_of,
            settings.policy["max_address_like_share"],
            settings.policy["user_id_is_address"],
            settings.hash_key,
        )
        log.info("%s %s", "Already published:" if published.is_same else "Published", settings.published_file)
        return dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(settings.published_file)),
                "as_of": str(settings.as_of),
                "unchanged": published.is_same,
                "rows": dg.MetadataValue.table(
                    [
                        dg.TableRecord({"table": f"{build_state.MARTS}.{t}", "rows": n})
                        for t, n in published.rows.items()
                    ]
                )
                if published.rows
                else None,
            }
        )

    return barometer_duckdb
