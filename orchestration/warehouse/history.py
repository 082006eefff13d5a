"""The segment history: which segments each user was in, as the run for each date gave them.

It is defined over the list of built dates, so the same dates with the same content give the same tables in any order.
``segment_changes`` has a row where the wide row of a user's segments differs from that of the built date before (all
null: not known before, or no longer), valid until the user's next one. So the state on any date is a filter, and a
nightly build compares its users with the rows that are still valid, not with all there ever were.

Building D writes the changes against the built date before it, and rewrites those of the next built date against D. A
user whose state on D is as the history has it already needs neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from typing import NamedTuple

import duckdb

from orchestration.landing.quoting import identifier, literal
from orchestration.warehouse.build_state import (
    MARTS,
    RECUT_FAMILIES,
    BuiltDate,
    create_history_schema,
    history_families,
)

#: The end of a row that is still valid.
STILL = date(9999, 12, 31)


class _Date(NamedTuple):
    """A built date, and those that its cut points and the ones before them are of; None: fixed ones, or none."""

    as_of: date
    cut_date: date | None
    previous_cut_date: date | None

    def follows_new_cuts_of(self, earlier: _Date) -> bool:
        """Whether the cut points have changed since an earlier date, and those of then are the ones before these."""
        before = earlier.cut_date
        return before is not None and before != self.cut_date and before == self.previous_cut_date


def record(
    con: duckdb.DuckDBPyConnection,
    built: BuiltDate,
    families: Sequence[str],
    source: str,
    erased: Mapping[str, date] | None = None,
) -> None:
    """Add a build to the dates that were built and to the history, in place of an earlier build of its date.

    ``con`` holds the history, ``source`` is the name of the database that holds the build: the same, or one attached.
    ``erased`` are the users who asked to be forgotten since the last build, with the last date of which nothing is to
    be known of them: what the history says of them up to then goes (sizes and moves are numbers, and stay). All happens
    in one transaction. A build that is not final adds its date alone, and only if that has no final build.
    """
    create_history_schema(con, families)
    with _transaction(con):
        _forget(con, erased or {})
        if built.is_final:
            _Recording(con, built, families, source).run()
        else:
            con.execute("delete from history.built_dates where as_of = ? and not is_final", [built.as_of])
            con.execute(
                "insert into history.built_dates(as_of, is_final, built_at) select ?, false, ? "
                "where not exists (from history.built_dates where as_of = ?)",
                [built.as_of, built.built_at, built.as_of],
            )


def _forget(con: duckdb.DuckDBPyConnection, erased: Mapping[str, date]) -> None:
    """Delete the rows of erased users up to their dates: those after the request too, if it came late."""
    for user_id, until in erased.items():
        for table in ("segment_changes", "recut_segments"):
            con.execute(f"delete from history.{table} where user_id = ? and as_of <= ?", [user_id, until])


@contextmanager
def _transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    con.execute("begin")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


class _Recording:
    """A final build on its way into the history, between the built dates before and after its own."""

    def __init__(self, con: duckdb.DuckDBPyConnection, built: BuiltDate, families: Sequence[str], source: str) -> None:
        self._con = con
        self._built = built
        self._source = source
        #: Those published now, and all that the history has a column of.
        self._published = sorted(families)
        self._families = history_families(con)
        self._recut = [family for family in RECUT_FAMILIES if family in self._families]
        dates = [
            _Date(*row)
            for row in con.execute(
                "select as_of, cut_date, previous_cut_date from history.built_dates where has_history order by as_of"
            ).fetchall()
        ]
        self._day = _Date(built.as_of, self._cut_date("current"), self._cut_date("previous"))
        self._is_new = all(day.as_of != built.as_of for day in dates)
        self._dates = sorted({built.as_of, *(day.as_of for day in dates)})
        self._before = max((day for day in dates if day.as_of < built.as_of), default=None)
        self._after = min((day for day in dates if day.as_of > built.as_of), default=None)

    def run(self) -> None:
        """Write all that the build changes."""
        self._write_date()
        self._write_changes()
        self._write_recut_segments()
        self._write_sizes()
        self._write_day(self._before, self._day)
        if self._after is not None:
            self._write_day(self._day, self._after)
        self._write_months()

    # what the build holds

    def _has(self, schema: str, table: str) -> bool:
        found = self._con.execute(
            "select 1 from duckdb_tables() where database_name = ? and schema_name = ? and table_name = ?",
            [self._source, schema, table],
        ).fetchall()
        return bool(found)

    def _of_source(self, schema: str, table: str) -> str:
        return f"{identifier(self._source)}.{schema}.{table}"

    def _cut_date(self, cut_set: str) -> date | None:
        if not self._has("intermediate", "int_rfm_cut_points"):
            return None
        row = self._con.execute(
            f"select max(computed_as_of) from {self._of_source('intermediate', 'int_rfm_cut_points')} "
            "where cut_set = ?",
            [cut_set],
        ).fetchone()
        return row[0] if row else None

    def _write_date(self) -> None:
        self._con.execute("delete from history.built_dates where as_of = ?", [self._built.as_of])
        self._con.execute(
            "insert into history.built_dates(as_of, is_final, built_at, cut_date, previous_cut_date, has_history) "
            "values (?, ?, ?, ?, ?, true)",
            [*self._built, self._day.cut_date, self._day.previous_cut_date],
        )

    # parts of queries

    def _columns(self, table: str) -> str:
        """Return the columns of all families, of a table, as a part of a select list."""
        return ", ".join(f"{table}.{identifier(family)}" for family in self._families)

    def _differ(self, one: str, other: str) -> str:
        """Return the condition that the wide rows of two tables differ."""
        names = [identifier(family) for family in self._families]
        return "(" + " or ".join(f"{one}.{name} is distinct from {other}.{name}" for name in names) + ")"

    def _valid_on(self, day: _Date | None) -> str:
        """Return the rows valid on a built date: the state of everybody known then."""
        condition = f"as_of <= {_sql(day.as_of)} and valid_to > {_sql(day.as_of)}" if day else "false"
        return f"(select * from history.segment_changes where {condition})"

    # changes

    def _write_changes(self) -> None:
        """Write the rows at D, and at the next built date N, of users whose state on D is not what the history has."""
        con, day, after = self._con, _sql(self._day.as_of), self._after
        # a family that is no longer published is null from D on
        states = ", ".join(
            f"{identifier(family) if family in self._published else 'cast(null as varchar)'} as {identifier(family)}"
            for family in self._families
        )
        con.execute(
            f"""
            create or replace temp table history_states as
            select coalesce(built.user_id, held.user_id) as user_id, {self._columns("built")}
            from (select user_id, {states} from {self._of_source(MARTS, "user_360")}) as built
            full join {self._valid_on(self._day)} as held on built.user_id = held.user_id
            where {self._differ("built", "held")}
            """
        )
        # a user who has no row by N may have one after it
        later = (
            "(select user_id, min(as_of) as first_as_of from history.segment_changes "
            f"where {f'as_of > {_sql(after.as_of)}' if after else 'false'} "
            "and user_id in (select user_id from history_states) group by user_id)"
        )
        con.execute(
            f"""
            create or replace temp table history_steps as
            select
                states.user_id,
                {"true" if self._is_new else self._differ("states", "before")} as is_change,
                {self._differ("coming", "states") if after else "false"} as is_next_change,
                coalesce(coming.valid_to, later.first_as_of, {_sql(STILL)}) as valid_to,
                {self._columns("coming")}
            from history_states as states
            left join {self._valid_on(None if self._is_new else self._before)} as before
                on states.user_id = before.user_id
            left join {self._valid_on(after)} as coming on states.user_id = coming.user_id
            left join {later} as later on states.user_id = later.user_id
            """
        )
        dates = ", ".join([day, _sql(after.as_of)] if after else [day])
        if after or not self._is_new:
            con.execute(
                f"delete from history.segment_changes where as_of in ({dates}) "
                "and user_id in (select user_id from history_states)"
            )
        next_day = _sql(after.as_of) if after else "null"
        if self._before:
            con.execute(
                f"""
                update history.segment_changes as changes
                set valid_to = case
                    when steps.is_change then {day} when steps.is_next_change then {next_day} else steps.valid_to
                end
                from history_steps as steps
                where
                    changes.user_id = steps.user_id
                    and changes.as_of <= {_sql(self._before.as_of)} and changes.valid_to > {_sql(self._before.as_of)}
                """
            )
        con.execute(
            f"""
            insert into history.segment_changes by name
            select
                states.user_id,
                {day} as as_of,
                case when steps.is_next_change then {next_day} else steps.valid_to end as valid_to,
                {self._columns("states")}
            from history_states as states
            inner join history_steps as steps on states.user_id = steps.user_id
            where steps.is_change
            """
        )
        if after:
            con.execute(
                f"""
                insert into history.segment_changes by name
                select steps.user_id, {next_day} as as_of, steps.valid_to, {self._columns("steps")}
                from history_steps as steps
                where steps.is_next_change
                """
            )
        con.execute("drop table history_states")
        con.execute("drop table history_steps")

    def _write_recut_segments(self) -> None:
        """Keep what a mark needs: for dates whose built date before has another cut date, or that have none before.

        A date that comes in between two of the same cut date later has it too, so nothing is missed.
        """
        day, after = self._day, self._after
        self._con.execute("delete from history.recut_segments where as_of = ?", [day.as_of])
        is_other_cut = self._before is None or self._before.cut_date != day.cut_date
        if is_other_cut and self._has("intermediate", "int_recut_segments"):
            self._con.execute(
                f"insert into history.recut_segments by name select {_sql(day.as_of)} as as_of, user_id, "
                f"{', '.join(RECUT_FAMILIES)} from {self._of_source('intermediate', 'int_recut_segments')}"
            )
        if after is not None and after.cut_date == day.cut_date:
            self._con.execute("delete from history.recut_segments where as_of = ?", [after.as_of])

    # sizes

    def _write_sizes(self) -> None:
        self._con.execute("delete from history.segment_sizes where as_of = ?", [self._built.as_of])
        sizes = " union all ".join(
            f"select {literal(family)} as family, {identifier(family)} as segment, count(*) as users "
            f"from {self._of_source(MARTS, 'user_360')} group by {identifier(family)}"
            for family in self._published
        )
        self._con.execute(
            f"insert into history.segment_sizes by name select {_sql(self._built.as_of)} as as_of, * from ({sizes})"
        )

    # moves

    def _write_day(self, earlier: _Date | None, day: _Date) -> None:
        """Write the marks and moves of a built date, from the built date before it."""
        con, as_of = self._con, _sql(day.as_of)
        con.execute(
            f"update history.segment_changes set recut_families = null "
            f"where as_of = {as_of} and recut_families is not null"
        )
        changed = f"(select * from history.segment_changes where as_of = {as_of})"
        replaced = f"(select * from history.segment_changes where valid_to = {as_of})"
        if earlier is not None and self._recut and day.follows_new_cuts_of(earlier):
            names = ", ".join(
                f"case when recut.{name} = before.{name} and changed.{name} is distinct from before.{name} "
                f"then {literal(name)} end"
                for name in self._recut
            )
            con.execute(
                f"""
                update history.segment_changes as changes
                set recut_families = marks.names
                from (
                    select changed.user_id, nullif(concat_ws('|', {names}), '') as names
                    from {changed} as changed
                    inner join {replaced} as before on changed.user_id = before.user_id
                    inner join history.recut_segments as recut
                        on changed.user_id = recut.user_id and recut.as_of = {as_of}
                ) as marks
                where changes.as_of = {as_of} and changes.user_id = marks.user_id and marks.names is not null
                """
            )
        con.execute("delete from history.segment_moves where period = 'day' and period_start = ?", [day.as_of])
        if earlier is not None:
            self._write_moves(
                "day",
                day.as_of,
                f"select changed.user_id, changed.recut_families as marks from {changed} as changed",
                replaced,
                changed,
            )

    def _write_months(self) -> None:
        """Write the moves of the month of D, and of the next month that has builds, which are counted from this one."""
        months = [_month(self._built.as_of)]
        months += sorted({_month(day) for day in self._dates if _month(day) > months[0]})[:1]
        for month in months:
            self._con.execute("delete from history.segment_moves where period = 'month' and period_start = ?", [month])
            if min(self._dates) < month:
                self._write_month(month, max(day for day in self._dates if _month(day) == month))

    def _write_month(self, month: date, last: date) -> None:
        """Write the moves from the last built date before a month to the last one in it."""
        start, end = _sql(month), _sql(last)
        changed = f"(select * from history.segment_changes where as_of between {start} and {end} and valid_to > {end})"
        replaced = (
            f"(select * from history.segment_changes where as_of < {start} and valid_to between {start} and {end})"
        )
        # every change of the family in the month must be marked; the first is one from what was before the month
        marked = ", ".join(
            f"case when bool_and({name} is not distinct from {name}_before "
            f"or coalesce(contains(recut_families, {literal(name)}), false)) "
            f"filter (where as_of >= {start}) then {literal(name)} end"
            for name in self._recut
        )
        before = "".join(
            f", lag({name}) over (partition by user_id order by as_of) as {name}_before" for name in self._recut
        )
        marks = f"""
            select user_id, concat_ws('|', {marked or "null"}) as marks
            from (
                select *{before}
                from history.segment_changes
                where valid_to >= {start} and as_of <= {end} and user_id in (
                    select user_id from history.segment_changes
                    where as_of between {start} and {end} and recut_families is not null
                )
            )
            group by user_id
            """
        self._write_moves("month", month, marks, replaced, changed)

    def _write_moves(self, period: str, start: date, marks: str, replaced: str, changed: str) -> None:
        """Count, by family, the users whose segment differs between two states; ``marks`` says of whom only by cuts."""
        pairs = ", ".join(
            f"replaced.{identifier(family)} as {identifier('from_' + family)}, "
            f"changed.{identifier(family)} as {identifier('to_' + family)}"
            for family in self._families
        )
        self._con.execute(
            f"""
            create or replace temp table history_pairs as
            select {pairs}, marks.marks
            from {changed} as changed
            left join {replaced} as replaced on changed.user_id = replaced.user_id
            left join ({marks}) as marks on changed.user_id = marks.user_id
            """
        )
        differing = ", ".join(
            f"count(case when {identifier('from_' + family)} is distinct from {identifier('to_' + family)} then 1 end)"
            for family in self._families
        )
        (counts,) = self._con.execute(f"select {differing} from history_pairs").fetchall()
        moves = []
        for family, count in zip(self._families, counts, strict=True):
            is_marked = f"coalesce(contains(marks, {literal(family)}), false)" if family in self._recut else "false"
            source, target = identifier("from_" + family), identifier("to_" + family)
            if count:
                moves.append(
                    f"select {literal(family)} as family, {source} as from_segment, {target} as to_segment, "
                    f"count(*) as users, {is_marked} as is_only_cut_points "
                    f"from history_pairs where {source} is distinct from {target} group by all"
                )
        if moves:
            self._con.execute(
                f"insert into history.segment_moves by name select {literal(period)} as period, "
                f"{_sql(start)} as period_start, * from ({' union all '.join(moves)})"
            )
        self._con.execute("drop table history_pairs")


def _month(day: date) -> date:
    return day.replace(day=1)


def _sql(day: date) -> str:
    return f"date '{day}'"
