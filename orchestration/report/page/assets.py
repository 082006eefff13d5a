"""The report for people in the UI: rebuilt with each run that has published."""

from collections.abc import Iterator

import dagster as dg

from orchestration.ownership import OWNERS
from orchestration.report.page.page import write_pages
from orchestration.report.pipeline_runs import last_run
from orchestration.resources import Warehouse, log

PAGE = dg.AssetKey(["report", "page"])


def page_of(dates: dg.PartitionsDefinition) -> dg.AssetsDefinition:
    """Return the asset of the report. It comes after what is sent, so that it shows that too."""

    @dg.asset(
        key=PAGE,
        # no other stage, since a check that stops the extracts stops all that waits for the published file; the
        # priority puts it behind all that can still run
        deps=[dg.AssetKey(["raw", "load_files"])],
        op_tags={"dagster/priority": "-80"},
        partitions_def=dates,
        group_name="report",
        kinds={"html"},
        owners=OWNERS,
        output_required=False,
        description="report/barometer.html: where the pressure is, who is tired, what works, and what other caps would "
        "have done, from what is published. One file a language that needs no network and holds no personal data.",
    )
    def page(warehouse: Warehouse) -> Iterator[dg.MaterializeResult | dg.AssetObservation]:
        settings = warehouse.settings
        if warehouse.build().is_backfill:
            # no materialization: the page speaks of what is published, which a backfill leaves as it is
            yield dg.AssetObservation(PAGE, metadata={"skipped": "a backfill publishes nothing"})
            return
        if not settings.published_file.exists():
            yield dg.AssetObservation(PAGE, metadata={"skipped": "nothing is published yet"})
            return
        written = write_pages(
            settings.published_file,
            settings.reports,
            settings.policy["report_languages"],
            last_run=last_run(settings.activation_file),
            policy=settings.policy,
        )
        log.info("%s %s", "The same report:" if written.is_same else "Report", settings.report_page)
        told = "\n".join(f"- **{answer.question}** {answer.number} {answer.sentence}" for answer in written.answers)
        yield dg.MaterializeResult(
            metadata={
                "in_one_minute": dg.MetadataValue.md(told),
                "path": dg.MetadataValue.path(str(settings.report_page)),
                "open": dg.MetadataValue.url(settings.report_page.absolute().as_uri()),
                "as_of": str(written.as_of),
                "kilobytes": round(sum(page.stat().st_size for page in written.pages) / 1e3),
                **({"skipped": "the same numbers are shown already"} if written.is_same else {}),
            }
        )

    return page
