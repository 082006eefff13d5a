"""The tables of the schema ``raw``: one a dataset, and the loader's records beside them."""

from __future__ import annotations

import hashlib

import duckdb

from orchestration.landing.contract import DATASETS, DUCKDB_TYPES, Dataset
from orchestration.landing.quoting import identifier

#: What the loader writes beside the datasets.
RECORD_TABLES: dict[str, str] = {
    "touches": """
        load_id BIGINT, dataset VARCHAR, key_id VARCHAR, parent_id VARCHAR, user_id VARCHAR,
        anonymous_id VARCHAR, happened_at TIMESTAMP""",
    "load_files": """
        load_id BIGINT, dataset VARCHAR, file VARCHAR, sha256 VARCHAR, bytes BIGINT, modified_ns BIGINT,
        format VARCHAR, rows_read BIGINT, rows_accepted BIGINT, rows_rejected BIGINT, rows_duplicate BIGINT,
        rows_superseded BIGINT, rows_erased BIGINT, loaded_at TIMESTAMP, seconds DOUBLE""",
    "rejected_rows": """
        load_id BIGINT, dataset VARCHAR, file VARCHAR, file_sha256 VARCHAR, row_number BIGINT, reason VARCHAR,
        content VARCHAR""",
    "rejected_files": """
        dataset VARCHAR, file VARCHAR, sha256 VARCHAR, bytes BIGINT, modified_ns BIGINT, reason VARCHAR,
        detail VARCHAR, seen_at TIMESTAMP""",
    "bad_values": "load_id BIGINT, dataset VARCHAR, column_name VARCHAR, rows BIGINT",
    "unknown_columns": "dataset VARCHAR, column_name VARCHAR, first_file VARCHAR",
    "consent_stand_ins": """
        load_id BIGINT, file_sha256 VARCHAR, row_number BIGINT, user_id VARCHAR, channel VARCHAR,
        occurred_at TIMESTAMP, is_erased BOOLEAN""",
    "phone_numbers": "phone VARCHAR, country VARCHAR, e164 VARCHAR",
    # keyed hashes: of ids that rows of erased users had, and of the users
    "erased_ids": "kind VARCHAR, id VARCHAR, user_hash VARCHAR, requested_at TIMESTAMP, load_id BIGINT",
    # erased users who have rows dated after their request
    "returned_users": "user_id VARCHAR, user_hash VARCHAR",
    # what a run that erases has still to take out of everything: users, and texts that tell of them
    "forgetting": "kind VARCHAR, value VARCHAR, requested_date DATE",
    "load_meta": "name VARCHAR, value VARCHAR",
    # not from a landing file: what plan lists carried and the plan held out (warehouse/planned.py loads it)
    "planned_contacts": """
        plan_date DATE, user_id VARCHAR, campaign_id VARCHAR, audience VARCHAR, channel VARCHAR, variant VARCHAR,
        message_class VARCHAR, holdout_kind VARCHAR, file VARCHAR""",
    # from the same folder: since which plan date a campaign's test is as it is (running_tests.py loads it)
    "planned_tests": """
        campaign_id VARCHAR, started_on DATE, salt VARCHAR, holdout_share DECIMAL(9, 6), variants VARCHAR""",
}


def stored_columns(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    """Return name and type of every column of the dataset's table, in order."""
    marker = ("key_hash", "UBIGINT") if dataset.keeping == "deduplicated" else ("row_md5", "VARCHAR")
    return (
        *((column.name, DUCKDB_TYPES[column.type]) for column in dataset.columns),
        marker,
        ("load_id", "BIGINT"),
        ("row_number", "BIGINT"),
    )


def layout() -> str:
    """Return what changes when the tables of ``raw`` get other columns: a filled working file has those of its time."""
    tables = {dataset.name: stored_columns(dataset) for dataset in DATASETS.values()}
    return hashlib.sha256(repr((tables, RECORD_TABLES)).encode()).hexdigest()[:12]


def create_raw_schema(con: duckdb.DuckDBPyConnection) -> None:
    """Create the schema ``raw`` and its tables where they are missing; what is there stays."""
    con.execute("create schema if not exists raw")
    for dataset in DATASETS.values():
        columns = ", ".join(f"{identifier(name)} {type_}" for name, type_ in stored_columns(dataset))
        con.execute(f"create table if not exists raw.{identifier(dataset.name)} ({columns})")
    for table, columns in RECORD_TABLES.items():
        con.execute(f"create table if not exists raw.{table} ({columns})")
