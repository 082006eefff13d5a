"""The third stage: the build becomes the file that BI tools open."""

from collections.abc import Iterator, Sequence

import dagster as dg

from orchestration.ownership import OWNERS
from orchestration.publish.overview import overview
from orchestration.publish.publish import publish
from orchestration.report.pipeline_runs import finished
from orchestration.report.recording import recorded
from orchestration.resources import WRITER_POOL, Warehouse, log
from orchestration.warehouse.build_state import MARTS
from orchestration.warehouse.project import mart_descriptions, read_manifest

PUBLISHED = dg.AssetKey(["published", "barometer_duckdb"])


def published_file_of(
    marts: Sequence[dg.AssetKey], dates: dg.PartitionsDefinition, freshness: dg.FreshnessPolicy
) -> dg.AssetsDefinition:
    """Return the asset of the published file, which waits for every mart and so for every blocking check."""

    @dg.asset(
        key=PUBLISHED,
        deps=list(marts),
        partitions_def=dates,
        freshness_policy=freshness,
        group_name="publish",
        kinds={"duckdb"},
        owners=OWNERS,
        pool=WRITER_POOL,
        output_required=False,
        description="warehouse/barometer.duckdb: a checked copy of the build, put in place in one step. "
        "Readers never wait. A backfill leaves it as it is.",
    )
    @recorded("publish")
    def barometer_duckdb(warehouse: Warehouse) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        settings, build = warehouse.settings, warehouse.build()
        if build.is_backfill:
            log.info("Backfill of %s: %s is built; the published file stays as it is", settings.as_of, build.file)
            # no materialization: the published file is as old as it was
            yield dg.AssetObservation(
                PUBLISHED, metadata={"skipped": "a backfill publishes nothing", "path": str(build.file)}
            )
            return
        published = publish(
            build.file,
            settings.published_file,
            settings.as_of,
            settings.policy["max_address_like_share"],
            settings.policy["user_id_is_address"],
            settings.hash_key,
            mart_descriptions(read_manifest()),
            runs=finished(settings.activation_file),
        )
        log.info("%s %s", "Already published:" if published.is_same else "Published", settings.published_file)
        if published.is_same:
            yield dg.MaterializeResult(
                metadata={
                    "skipped": "the same build is published already",
                    "path": dg.MetadataValue.path(str(settings.published_file)),
                    "as_of": str(settings.as_of),
                }
            )
            return
        rows = [dg.TableRecord({"table": f"{MARTS}.{table}", "rows": n}) for table, n in published.rows.items()]
        yield dg.MaterializeResult(
            metadata={
                "path": dg.MetadataValue.path(str(settings.published_file)),
                "as_of": str(settings.as_of),
                "megabytes": round(settings.published_file.stat().st_size / 1e6, 1),
                "dagster/row_count": sum(published.rows.values()),
                **overview(settings.published_file),
                "rows": dg.MetadataValue.table(rows),
            }
        )

    return barometer_duckdb
