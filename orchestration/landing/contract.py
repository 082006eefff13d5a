"""The raw contract: the thirteen datasets, their columns, types and keys.

This is the one place that says what a landing file may hold. The loader builds its SQL from it, `data/README.md`
documents it, and the tests read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ColumnType = Literal["id", "text", "timestamp", "date", "number", "integer", "boolean", "list", "json", "choice"]

#: How a dataset treats a second row under a key it has already seen:
#: ``deduplicated`` keeps the best row, ``versioned`` keeps every content, ``distinct`` keeps every distinct row.
Keeping = Literal["deduplicated", "versioned", "distinct"]

#: Every accepted value is stored as one of these DuckDB types. Times are UTC without a zone, JSON is its text.
DUCKDB_TYPES: dict[ColumnType, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "choice": "VARCHAR",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
    "number": "DECIMAL(18,6)",
    "integer": "BIGINT",
    "boolean": "BOOLEAN",
    "list": "VARCHAR[]",
    "json": "VARCHAR",
}


#: Datasets that tell who wants to be left alone: what is missing of them must never pass for nothing.
PROTECTIVE = frozenset({"consents", "erasures", "message_events"})


@dataclass(frozen=True)
class Column:
    """One column of a dataset.

    ``choices`` names what a ``choice`` column accepts: literal values, or the seed that lists them
    (``"seed:channels"``, ``"seed:consent_statuses"``). ``strict`` choices reject the row when the value is unknown;
    others become null and are counted.
    """

    name: str
    type: ColumnType
    required: bool = False
    choices: tuple[str, ...] = ()
    strict: bool = False
    non_negative: bool = False


@dataclass(frozen=True)
class Dataset:
    """One dataset: a folder under ``landing/`` and a table in the schema ``raw``."""

    name: str
    keeping: Keeping
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    #: When what the row tells happened; checked against ``min_event_date`` and the row's own ``received_at``.
    event_time: str | None = None
    #: When a version became known, first non-null of these; empty: always known.
    known_from: tuple[str, ...] = ()
    #: At least one of these must be given.
    one_of: tuple[str, ...] = ()
    #: The date that an erasure compares with ``requested_at``; null there: the row is dropped.
    erasure_time: str | None = None

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the contract's columns in their order, which is also the order of the canonical row."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column called ``name``; raises KeyError where the dataset has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")


def _columns(spec: str) -> tuple[Column, ...]:
    """Read ``name type`` pairs, one a line; ``!`` after the type marks a required column."""
    columns = []
    for line in spec.strip().splitlines():
        name, type_, *rest = line.split()
        columns.append(
            Column(
                name=name,
                type=type_.rstrip("!+"),  # type: ignore[arg-type]
                required="!" in type_,
                non_negative="+" in type_,
                strict="strict" in rest,
                choices=tuple(value for value in rest if value != "strict"),
            )
        )
    return (*columns, Column("updated_at", "timestamp")) if columns[-1].name != "updated_at" else tuple(columns)


_CHANNEL = "seed:channels strict"
_MESSAGE_CLASS = "marketing transactional service"

DATASETS: dict[str, Dataset] = {
    dataset.name: dataset
    for dataset in (
        Dataset(
            "erasures",
            "distinct",
            ("user_id", "requested_at"),
            _columns("""
                user_id id!
                requested_at timestamp!
            """),
            event_time="requested_at",
        ),
        Dataset(
            "events",
            "deduplicated",
            ("event_id",),
            _columns("""
                event_id id!
                user_id id
                anonymous_id id
                event text!
                timestamp timestamp!
                received_at timestamp
                platform text
                session_id id
                product_id id
                category text
                order_id id
                value number
                currency text
                properties json
            """),
            event_time="timestamp",
            one_of=("user_id", "anonymous_id"),
            erasure_time="timestamp",
        ),
        Dataset(
            "orders",
            "versioned",
            ("order_id",),
            _columns("""
                order_id id!
                user_id id!
                ordered_at timestamp!
                status choice placed completed cancelled refunded strict
                gross_amount number!
                discount_amount number
                refunded_amount number
                shipping_amount number
                tax_amount number
                currency text
                coupon text
            """),
            event_time="ordered_at",
            known_from=("updated_at", "ordered_at"),
            erasure_time="ordered_at",
        ),
        Dataset(
            "order_items",
            "deduplicated",
            ("order_id", "line_number"),
            _columns("""
                order_id id!
                line_number integer!
                product_id id!
                category text
                quantity number!+
                unit_price number!
            """),
        ),
        Dataset(
            "users",
            "versioned",
            ("user_id",),
            _columns("""
                user_id id!
                email text
                phone text
                first_name text
                last_name text
                birth_date date
                gender text
                country text
                region text
                city text
                timezone text
                language text
                income_band text
                education text
                occupation text
                household_size integer
                interests list
                values list
                created_at timestamp
                installed_at timestamp
            """),
            known_from=("updated_at", "created_at"),
            erasure_time="created_at",
        ),
        Dataset(
            "identities",
            "distinct",
            ("anonymous_id", "user_id"),
            _columns("""
                anonymous_id id!
                user_id id!
                linked_at timestamp
            """),
            event_time="linked_at",
            erasure_time="linked_at",
        ),
        Dataset(
            "addresses",
            "versioned",
            ("user_id", "channel", "address"),
            _columns(f"""
                user_id id!
                channel choice! {_CHANNEL}
                address id!
                status choice active invalid strict
                updated_at timestamp!
            """),
            known_from=("updated_at",),
            erasure_time="updated_at",
        ),
        Dataset(
            "consents",
            "versioned",
            ("user_id", "channel", "occurred_at", "status"),
            _columns(f"""
                user_id id!
                channel choice! {_CHANNEL}
                status choice! seed:consent_statuses strict
                source text
                occurred_at timestamp!
            """),
            event_time="occurred_at",
            known_from=("updated_at", "occurred_at"),
            erasure_time="occurred_at",
        ),
        Dataset(
            "messages",
            "deduplicated",
            ("message_id",),
            _columns(f"""
                message_id id!
                user_id id!
                channel choice! {_CHANNEL}
                provider text
                campaign_id id
                variant text
                message_class choice {_MESSAGE_CLASS}
                labels list
                sent_at timestamp!
            """),
            event_time="sent_at",
            erasure_time="sent_at",
        ),
        Dataset(
            "message_events",
            "deduplicated",
            ("event_id",),
            _columns("""
                event_id id!
                message_id id!
                event choice! delivered opened clicked read replied bounced failed complained unsubscribed strict
                occurred_at timestamp!
                is_machine boolean
                is_machine_open boolean
                bounce_type choice hard soft
                link_url text
            """),
            event_time="occurred_at",
        ),
        Dataset(
            "campaigns",
            "versioned",
            ("campaign_id",),
            _columns(f"""
                campaign_id id!
                name text
                channel choice {_CHANNEL}
                objective text
                message_class choice {_MESSAGE_CLASS}
                starts_at timestamp
                ends_at timestamp
            """),
            known_from=("updated_at",),
        ),
        Dataset(
            "products",
            "versioned",
            ("product_id",),
            _columns("""
                product_id id!
                name text
                category text
                price number
            """),
            known_from=("updated_at",),
        ),
        Dataset(
            "subscriptions",
            "versioned",
            ("subscription_id",),
            _columns("""
                subscription_id id!
                user_id id!
                plan text
                started_at timestamp!
                renews_at timestamp
                auto_renew boolean
                cancel_requested_at timestamp
                ended_at timestamp
            """),
            event_time="started_at",
            known_from=("updated_at", "started_at"),
            erasure_time="started_at",
        ),
    )
}
