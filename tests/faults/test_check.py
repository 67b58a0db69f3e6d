"""`python -m tests.faults.check` on a running stack: silent while all is well, and it names what somebody spoilt."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from events.settings import Settings
from tests.faults.history import FACT, OK, Heard
from tests.faults.rebuilt import unequal
from tests.faults.site import Site
from tests.journeys.through import goes_through

DONE, FOUND, AWAY = 0, 1, 3
_LIMIT_S = 120.0
_ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def _checked(settings: Settings, *words: str) -> tuple[int, str]:
    command = (sys.executable, "-m", "tests.faults.check", *words)
    done = subprocess.run(command, cwd=_ROOT, env=settings.environment(), capture_output=True, text=True, timeout=_LIMIT_S, check=False)
    return done.returncode, done.stdout


@contextmanager
def _spoilt(site: Site, statement: str) -> Iterator[None]:
    """Have one row changed inside the block, by hand."""
    with psycopg.connect(site.settings.database) as db:
        db.execute("CREATE TABLE spoilt AS SELECT * FROM ticket_status_v1")
        assert db.execute(statement).rowcount == 1
    try:
        yield
    finally:
        with psycopg.connect(site.settings.database) as db:
            db.execute("TRUNCATE ticket_status_v1")
            db.execute("INSERT INTO ticket_status_v1 SELECT * FROM spoilt")
            db.execute("DROP TABLE spoilt")


_ONE = "WHERE number = (SELECT min(number) FROM ticket_status_v1)"


def test_a_running_stack_is_checked_and_one_spoilt_row_is_named(site: Site) -> None:
    goes_through(site.settings, "checked")
    assert site.judged() == []
    assert _checked(site.settings) == (DONE, "")

    with _spoilt(site, f"UPDATE ticket_status_v1 SET queue = 'nobody' {_ONE}"):
        code, said = _checked(site.settings)

    assert code == FOUND
    assert "I2 doubled: ticket_status" in said
    assert "['queue'] differ" in said


def test_a_lost_row_and_an_accepted_fact_that_is_nowhere_are_named(site: Site) -> None:
    goes_through(site.settings, "checked-again")
    assert site.judged() == []

    with _spoilt(site, f"DELETE FROM ticket_status_v1 {_ONE}"):
        missing = site.judged()
    site.history.note(Heard(0.0, 0.0, FACT, "never-sent", OK, 202, "cabinet", ("ab" * 16,), (("hotline.contacts", 0, 10**9),)))
    lost = site.judged()
    site.history.entries.pop()

    assert any("not in ticket status" in line for line in missing)
    assert {line for line in lost if "never-sent" in line} == set(lost) != set()


def test_a_rebuild_equals_the_live_tables_and_a_spoilt_row_is_seen_by_it(site: Site) -> None:
    goes_through(site.settings, "rebuilt")
    assert unequal(site.settings, ["ticket_status"]) == []

    with _spoilt(site, f"UPDATE ticket_status_v1 SET queue = 'nobody' {_ONE}"):
        found = unequal(site.settings, ["ticket_status"])

    assert [finding.invariant for finding in found] == ["I5 rebuild"]


def test_a_part_that_is_away_is_said_and_nothing_is_judged(site: Site) -> None:
    away = site.settings.model_copy(update={"kafka": "127.0.0.1:1"})

    assert _checked(away, "--quiet-within-s", "1")[0] == AWAY
