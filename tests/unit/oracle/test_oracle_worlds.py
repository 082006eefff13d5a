"""The drawn worlds: in the contract, written without loss, and looked at from both sides of the rules."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.landing.contract import DATASETS
from tests.properties import oracle
from tests.properties.oracle.rfm import RFM_MAP
from tests.properties.oracle.versions import canonical_row
from tests.properties.worlds import Case, as_json, batches, cases, whole, write_batch, write_world

quick = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def as_read(dataset, line):
    """A written row, typed again."""
    row = json.loads(line)
    for column in DATASETS[dataset].columns:
        if column.type == "timestamp" and row.get(column.name) is not None:
            moment = datetime.fromisoformat(row[column.name])
            row[column.name] = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return canonical_row(dataset, row)


@quick
@given(cases(erasures=True))
def test_every_row_is_in_the_contract(case: Case):
    for name, dataset in DATASETS.items():
        for row in case.world.rows(name):
            assert set(row) <= set(dataset.column_names)
            assert all(row.get(column.name) is not None for column in dataset.columns if column.required)
            assert not dataset.one_of or any(row.get(column) is not None for column in dataset.one_of)


@quick
@given(st.data())
def test_batches_hold_every_row_and_no_other(data):
    world = data.draw(cases()).world
    deliveries = data.draw(batches(world))
    for dataset in DATASETS:
        rows = [canonical_row(dataset, row) for batch in deliveries for row in batch.get(dataset, [])]
        assert set(rows) == {canonical_row(dataset, row) for row in world.rows(dataset)}


@quick
@given(cases())
def test_what_is_written_can_be_read_again(case: Case):
    with TemporaryDirectory() as folder:
        for file in write_world(case.world, Path(folder)):
            dataset = file.parent.name
            lines = file.read_text(encoding="utf-8").splitlines()
            assert [as_read(dataset, line) for line in lines] == [
                canonical_row(dataset, row) for row in case.world.rows(dataset)
            ]


def test_files_are_named_after_dataset_and_batch(tmp_path):
    row = {"product_id": "p", "name": None}
    (file,) = write_batch({"products": [row]}, tmp_path, "first")
    assert file == tmp_path / "products" / "first.jsonl"
    assert (as_json(row, 0), as_json(row, 1)) == ({"product_id": "p"}, row)


@quick
@given(cases(erasures=True))
def test_every_known_user_is_in_one_segment_of_each_family(case: Case):
    users = oracle.users_as_of(case.world, case.as_of)
    segments = {name for row in RFM_MAP.values() for name in row} | {"no_orders"}
    for family in (oracle.engagement_as_of, oracle.rfm_segments_as_of, oracle.buyer_recency_as_of):
        assert set(family(case.world, case.as_of)) == users
    assert set(oracle.rfm_segments_as_of(case.world, case.as_of).values()) <= segments
    assert set(oracle.contact_pressure_as_of(case.world, case.as_of)) == users


@quick
@given(st.data())
def test_neither_order_nor_repetition_of_rows_matters(data):
    case = data.draw(cases())
    rows = {name: list(reversed(rows)) * 2 for name, rows in whole(case.world).items()}
    other = oracle.World(**{**vars(case.world), **rows})
    for table in (
        oracle.engagement_as_of,
        oracle.rfm_as_of,
        oracle.contacts_as_of,
        oracle.contact_pressure_as_of,
        oracle.contact_pressure_by_channel_as_of,
    ):
        assert table(case.world, case.as_of) == table(other, case.as_of)
