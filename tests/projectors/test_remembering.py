"""A session remembers what it wrote, as long as it stays written."""

from collections.abc import Iterator

import pytest

from projectors import database as doors
from projectors.remembering import Memory, RememberingConnection

pytestmark = pytest.mark.parts


@pytest.fixture
def db(database: str) -> Iterator[RememberingConnection]:
    """A session that remembers two rows."""
    with doors.connect_remembering(database, "test", Memory(2)) as connection:
        yield connection


def _asked(db: RememberingConnection, *keys: str) -> tuple[dict[str, str], list[str]]:
    asked: list[str] = []

    def select(unknown: object) -> dict[str, str]:
        asked.extend(unknown)  # type: ignore[arg-type]
        return {}

    return db.memory.recall("t", keys, select), asked


def _write_in_vain(db: RememberingConnection) -> None:
    with db.transaction():
        db.memory.keep("t", {"a": "second", "b": "row"})
        raise KeyError


def test_what_was_written_is_not_asked_for(db: RememberingConnection) -> None:
    with db.transaction():
        db.memory.keep("t", {"a": "row"})

    assert _asked(db, "a", "b") == ({"a": "row"}, ["b"])


def test_a_session_that_wrote_everything_asks_for_nothing(db: RememberingConnection) -> None:
    db.memory.complete = True

    assert _asked(db, "a") == ({}, [])


def test_what_is_rolled_back_was_never_written(db: RememberingConnection) -> None:
    with db.transaction():
        db.memory.keep("t", {"a": "first"})

    with pytest.raises(KeyError):
        _write_in_vain(db)

    assert _asked(db, "a", "b") == ({"a": "first"}, ["b"])


def test_a_part_that_is_rolled_back_leaves_the_rest(db: RememberingConnection) -> None:
    with db.transaction():
        db.memory.keep("t", {"a": "first"})
        with pytest.raises(KeyError):
            _write_in_vain(db)
        with db.transaction():
            db.memory.keep("t", {"b": "other"})

    assert _asked(db, "a", "b") == ({"a": "first", "b": "other"}, [])


def test_the_oldest_rows_are_forgotten_and_asked_for_again(db: RememberingConnection) -> None:
    db.memory.complete = True
    with db.transaction():
        db.memory.keep("t", {"a": "1", "b": "2", "c": "3"})

    assert _asked(db, "a", "b", "c") == ({"b": "2", "c": "3"}, ["a"])
