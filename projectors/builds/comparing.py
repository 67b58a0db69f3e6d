"""Compares two builds of a read model row by row at equal last offsets, while both go on, and says of every difference whose it is.

A difference in one look at both may only tell that one build is a step ahead. So rows that differ are looked at again once both builds
have passed everything that either had read before: where neither side has changed meanwhile, both have seen the same records, and the
difference is real. A row that the serving build has parked waits for repair and is no difference; what only the new one has parked is one,
and so is a table or a column that readers would miss. Reads only, but for the record it keeps, and shows no more than `showing` lets it.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from threading import Event as Flag
from time import monotonic
from typing import Any, NamedTuple

from psycopg import Connection, IsolationLevel, sql

from events.numbers import is_number
from events.places import Partition
from projectors.builds import Build, hold
from projectors.builds.rows import Key, Pair, Sides, columns_of, count_rows, find_rows, key_of, list_differing
from projectors.builds.showing import shown, shown_key, shown_record_key
from projectors.builds.views import columns_of as columns_shown
from projectors.positions import list_positions

DDL = """
CREATE TABLE IF NOT EXISTS read_model_comparison (
    old_consumer text    NOT NULL,
    new_consumer text    NOT NULL,
    compared_at  bigint  NOT NULL,  -- microseconds since 1970 in UTC
    unexpected   bigint  NOT NULL,  -- what stands against a switch: `Comparison.unexpected`
    differences  jsonb   NOT NULL,  -- the first of them: table, ticket, column, and both values as they may be shown
    PRIMARY KEY (old_consumer, new_consumer)
)
"""

ROW = "(row)"  # the column that a row missing on one side differs in
WHOLE = "(every row)"  # the ticket of a table or column that only the serving build has
PARKED = "(parked)"  # table and column of a key that only the new build could not apply
MOST_CANDIDATES = 10_000
MOST_NAMED = 100
_MOST_LOOKS = 30
_CATCH_UP_LIMIT_S = 60.0
_LOOK_EVERY_S = 0.1
_LOOK_LIMIT = "30min"
_LOOK_MEMORY = "128MB"
_VERSION = re.compile(r"_v\d+$")
_NAMES_KEY = ("number", "contact_id", "subject", "cause_key")  # columns that hold a record's key


class NotCaughtUp(Exception):
    """One of the builds does not come as far as the other has been: does anybody follow it?"""


class Expected(NamedTuple):
    """A rule in a model's file: in its column old and new values may differ where `holds`, and why.

    A model lists its rules in `expected_differences`, by column; `(row)` is the column of a row that only one side has. A column or a table
    (without its version) that only the serving build has is expected if a rule bears its name.
    """

    why: str
    holds: Callable[[Any, Any], bool] = lambda _old, _new: True


class Difference(NamedTuple):
    """One value that differs, in words that may be shown."""

    table: str
    ticket: str  # or what else the row is called by
    column: str
    old: str
    new: str


@dataclass(slots=True)
class Comparison:
    """What was found."""

    old: str
    new: str
    rows: int = 0
    rows_unexpected: int = 0
    rows_expected: int = 0
    rows_unsettled: int = 0  # differ, and were too many or changed too often to be looked at again
    keys_parked: int = 0  # that wait for the new build alone
    parked: dict[str, int] = field(default_factory=dict)  # keys that wait, by consumer; rows of those of the serving one are not judged
    columns: Counter[str] = field(default_factory=Counter)  # unexpected differences by table and column
    reasons: Counter[str] = field(default_factory=Counter)  # expected ones by their rule
    unpaired: list[str] = field(default_factory=list)  # tables and columns that only one side has
    lost: list[str] = field(default_factory=list)  # those that only the serving one has and no rule names: readers would miss them
    differences: list[Difference] = field(default_factory=list)  # the first of the unexpected ones
    took_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether nothing stands against a switch."""
        return not self.unexpected

    @property
    def unexpected(self) -> int:
        """How much stands against a switch: rows, keys that wait for the new build alone, tables and columns that it lacks."""
        return self.rows_unexpected + self.rows_unsettled + self.keys_parked + len(self.lost)

    def tell(self, difference: Difference) -> None:
        """Name an unexpected difference, if not too many are named already."""
        if len(self.differences) < MOST_NAMED:
            self.differences.append(difference)

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON takes it."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return {**told, "took_s": round(self.took_s, 1), "differences": [difference._asdict() for difference in self.differences]}


Open = dict[tuple[int, Key], Sides]  # by place of the table among the pairs, and key
Reached = Mapping[Partition, int]
Reasons = dict[str, str]  # why a key waits, by key


def compare(db: Connection[Any], old: Build, new: Build, rules: Mapping[str, Expected]) -> Comparison:
    """Compare all rows of two builds that are followed; keep the result. `db` is a session of the caller's own, outside a transaction.

    As long as the session lives neither build is dropped: what is kept at the end would speak for the next one of that number.
    Raises NotCaughtUp after a minute in which one of them does not come as far as the other was; BuildGone when one is being dropped.
    """
    began_s = monotonic()
    found = Comparison(old.consumer, new.consumer)
    for build in (old, new):
        hold(db, build)
    db.isolation_level = IsolationLevel.REPEATABLE_READ
    try:
        db.execute(sql.SQL("SET statement_timeout = {}").format(_LOOK_LIMIT))
        db.execute(sql.SQL("SET work_mem = {}").format(_LOOK_MEMORY))
        pairs = _pair(db, old, new, rules, found)
        goal, open_rows, alone = _first_look(db, old, new, pairs, rules, found)
        _settle(db, old, new, pairs, goal, open_rows, alone, rules, found)
    finally:
        db.isolation_level = IsolationLevel.READ_COMMITTED
    found.took_s = monotonic() - began_s
    _keep(db, found)
    return found


def _first_look(
    db: Connection[Any], old: Build, new: Build, pairs: Sequence[Pair], rules: Mapping[str, Expected], found: Comparison
) -> tuple[Reached, Open, Reasons]:
    """Look at all rows once; return how far the foremost was then, the rows that differ where no rule expects it, and what waits for the
    new build alone.
    """
    _wait_past(db, old, new, _foremost(db, old, new))
    open_rows: Open = {}
    with db.transaction():
        goal = _foremost(db, old, new)
        waiting, behind = _parked(db, old, new)
        found.parked = {name: len(keys) for name, keys in ((old.consumer, waiting), (new.consumer, behind)) if keys}
        for place, pair in enumerate(pairs):
            found.rows += count_rows(db, pair)
            for sides in list_differing(db, pair):
                if _is_parked(pair, sides, waiting):
                    continue
                if all(_rule(rules, *value) for value in _values(pair, sides)):
                    _judge(pair, sides, rules, found)
                elif len(open_rows) < MOST_CANDIDATES:
                    open_rows[place, _key_of(pair, sides)] = sides
                else:
                    found.rows_unsettled += 1
    return goal, open_rows, {key: reason for key, reason in behind.items() if key not in waiting}


def _settle(
    db: Connection[Any], old: Build, new: Build, pairs: Sequence[Pair], goal: Reached, open_rows: Open, alone: Reasons,
    rules: Mapping[str, Expected], found: Comparison,
) -> None:  # fmt: skip
    """Look again at what differed until it is equal, or has stood still while both passed where the foremost was."""
    named: set[str] = set()
    for _ in range(_MOST_LOOKS):
        if not open_rows and not alone:
            return
        _wait_past(db, old, new, goal)
        with db.transaction():
            goal = _foremost(db, old, new)
            now = _look_again(db, pairs, open_rows)
            waiting, behind = _parked(db, old, new)
        left_alone = {key: reason for key, reason in behind.items() if key not in waiting and key not in named}
        for key in sorted(left_alone.keys() & alone.keys()):
            found.keys_parked += 1
            found.tell(Difference(PARKED, shown_record_key(key), PARKED, "applied", left_alone.pop(key)))
            named.add(key)
        alone, excused = left_alone, waiting.keys() | named
        now = {place: sides for place, sides in now.items() if not _is_parked(pairs[place[0]], sides, excused)}
        for place, sides in now.items():
            if sides == open_rows[place]:
                _judge(pairs[place[0]], sides, rules, found)
        open_rows = {place: sides for place, sides in now.items() if sides != open_rows[place] and sides[0] != sides[1]}
        Flag().wait(_LOOK_EVERY_S)
    found.rows_unsettled += len(open_rows)
    found.keys_parked += len(alone)


def _judge(pair: Pair, sides: Sides, rules: Mapping[str, Expected], found: Comparison) -> None:
    """Classify a real difference, column by column."""
    name, unexpected = _name_of(pair, sides), False
    for column, one, other in _values(pair, sides):
        if (rule := _rule(rules, column, one, other)) is not None:
            found.reasons[f"{pair.stem}.{column}: {rule.why}"] += 1
            continue
        unexpected = True
        found.columns[f"{pair.stem}.{column}"] += 1
        told = (one, other) if column == ROW else (shown(column, one), shown(column, other))
        found.tell(Difference(pair.stem, name, column, *told))
    found.rows_unexpected += unexpected
    found.rows_expected += not unexpected


def _values(pair: Pair, sides: Sides) -> Iterable[tuple[str, Any, Any]]:
    old, new = sides
    if old is None or new is None:
        return [(ROW, "missing" if old is None else "there", "missing" if new is None else "there")]
    return [(column, one, other) for column, one, other in zip(pair.columns, old, new, strict=True) if one != other]


def _name_of(pair: Pair, sides: Sides) -> str:
    row = sides[0] or sides[1] or ()
    told = dict(zip(pair.columns, row, strict=True))
    named = [str(told[name]) for name in ("number", "subject", "cause_key") if is_number(str(told.get(name)))]
    return named[0] if named else shown_key(_key_of(pair, sides))


def _key_of(pair: Pair, sides: Sides) -> Key:
    return (sides[0] or sides[1] or ())[: len(pair.key)]


def _rule(rules: Mapping[str, Expected], column: str, one: Any, other: Any) -> Expected | None:
    rule = rules.get(column)
    return rule if rule is not None and rule.holds(one, other) else None


def _pair(db: Connection[Any], old: Build, new: Build, rules: Mapping[str, Expected], found: Comparison) -> list[Pair]:
    """Pair the tables of both builds by their names without the version; tell what only one of them has."""
    stems = {_VERSION.sub("", name): name for name in old.tables}
    others = {_VERSION.sub("", name): name for name in new.tables}
    found.unpaired += [f"table {stem}" for stem in sorted(stems.keys() ^ others.keys())]
    for stem in sorted(stems.keys() - others.keys()):
        _miss(found, rules, stem)
    pairs = []
    for stem in sorted(stems.keys() & others.keys()):
        here, there = (old.schema, stems[stem]), (new.schema, others[stem])
        types, others_types, key = columns_of(db, *here), columns_of(db, *there), key_of(db, *here)
        found.unpaired += [f"column {stem}.{column}" for column in sorted(types.keys() ^ others_types.keys())]
        for column in sorted(types.keys() - others_types.keys()):
            _miss(found, rules, stem, column)
        columns = (*key, *(column for column in types if column in others_types and column not in key))
        pairs.append(Pair(stem, sql.Identifier(*here), sql.Identifier(*there), key, tuple(types[k] for k in key), columns))
    _compare_views(db, old, new, rules, found)
    return pairs


def _compare_views(db: Connection[Any], old: Build, new: Build, rules: Mapping[str, Expected], found: Comparison) -> None:
    """Tell what readers find in the views now and would find empty after a switch."""
    with db.transaction():
        shows = columns_shown(db, new)
    with db.transaction():
        showed = columns_shown(db, old)
    for view in sorted(showed.keys() - shows.keys()):
        _miss(found, rules, view)
    for view in sorted(showed.keys() & shows.keys()):
        for column in sorted(set(showed[view]) - set(shows[view])):
            _miss(found, rules, view, column)


def _miss(found: Comparison, rules: Mapping[str, Expected], table: str, column: str | None = None) -> None:
    """Count a table, view or column that only the serving build has; a view shows under its own name what a table of it may hold."""
    what = table if column is None else f"{table}.{column}"
    rule = rules.get(column or table)
    if rule is not None:
        found.reasons[f"{what}: {rule.why}"] = 1
    elif what not in found.lost:
        found.lost.append(what)
        found.tell(Difference(table, WHOLE, column or "(table)", "there", "missing"))


def _look_again(db: Connection[Any], pairs: Sequence[Pair], open_rows: Open) -> Open:
    now: Open = {}
    for place, pair in enumerate(pairs):
        keys = [key for at, key in open_rows if at == place]
        if keys:
            old, new = (find_rows(db, pair, table, keys) for table in (pair.old, pair.new))
            now |= {(place, key): (old.get(key), new.get(key)) for key in keys}
    return now


def _parked(db: Connection[Any], old: Build, new: Build) -> tuple[Reasons, Reasons]:
    """Return the keys that wait for each of both, and why the first record of each does."""
    waiting: dict[str, Reasons] = {old.consumer: {}, new.consumer: {}}
    query = 'SELECT consumer, key, (array_agg(reason ORDER BY "offset"))[1] FROM parked WHERE consumer = ANY(%s) GROUP BY consumer, key'
    for consumer, key, reason in db.execute(query, [list(waiting)]):
        waiting[consumer][bytes(key).decode("utf-8", "replace")] = reason
    return waiting[old.consumer], waiting[new.consumer]


def _is_parked(pair: Pair, sides: Sides, waiting: Collection[str]) -> bool:
    if not waiting:
        return False
    told = [dict(zip(pair.columns, side, strict=True)) for side in sides if side is not None]
    keys = {side[name] for side in told for name in _NAMES_KEY if name in side}
    return any((key.hex() if isinstance(key, bytes) else key) in waiting for key in keys)


def _foremost(db: Connection[Any], old: Build, new: Build) -> Reached:
    """Return, of each partition, how far the one of both has come that has come farther."""
    reached = list_positions(db, [old.consumer, new.consumer])
    one, other = reached[old.consumer], reached[new.consumer]
    return {place: max(one.get(place, 0), other.get(place, 0)) for place in one.keys() | other.keys()}


def _wait_past(db: Connection[Any], old: Build, new: Build, goal: Reached) -> None:
    """Wait until both have come at least as far as `goal`."""
    end_s = monotonic() + _CATCH_UP_LIMIT_S
    while True:
        reached = list_positions(db, [old.consumer, new.consumer])
        behind = {name: sum(max(0, past - at.get(place, 0)) for place, past in goal.items()) for name, at in reached.items()}
        if not any(behind.values()):
            return
        if monotonic() > end_s:
            late = max(behind, key=lambda name: behind[name])
            raise NotCaughtUp(f"{late} is {behind[late]} records behind and does not catch up: is a projector running?")
        Flag().wait(_LOOK_EVERY_S)


def _keep(db: Connection[Any], found: Comparison) -> None:
    db.execute(
        """
        INSERT INTO read_model_comparison (old_consumer, new_consumer, compared_at, unexpected, differences) VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (old_consumer, new_consumer) DO UPDATE
        SET compared_at = excluded.compared_at, unexpected = excluded.unexpected, differences = excluded.differences
        """,
        [
            *(found.old, found.new, time.time_ns() // 1000, found.unexpected),
            json.dumps(found.differences),
        ],
    )


class Kept(NamedTuple):
    """The last comparison of two builds."""

    compared_at: int
    unexpected: int
    differences: list[list[str]]  # table, ticket, column, old, new


def last_comparison(db: Connection[Any], old: Build, new: Build) -> Kept | None:
    """Return how the last comparison of these two ended."""
    row = db.execute(
        "SELECT compared_at, unexpected, differences FROM read_model_comparison WHERE old_consumer = %s AND new_consumer = %s",
        [old.consumer, new.consumer],
    ).fetchone()
    return None if row is None else Kept(*row)
