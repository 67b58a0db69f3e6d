"""The process `drift`: finds a corrupted row within its window, comes back after outages, and ends when it is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from consumers.drift import watch
from consumers.drift.audit import SliceTooWide, Task
from consumers.drift.ledger import PROCESS
from consumers.drift.slices import BoundTooLow
from events.settings import Settings
from tests.consumers.drift.audited import Audited, a_life, audited, new_number
from tests.reference_data import changed
from tests.waiting import until

pytestmark = pytest.mark.parts
STOP_LIMIT_S = 20
SLICES = 3
MOST_HALVINGS = 20


@pytest.fixture(scope="module")
def site(stack: Settings) -> Iterator[Audited]:
    with audited(stack) as here:
        yield here


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    """Reference data with a window of a few seconds."""
    return changed(tmp_path, ("window_s = 600 ", "window_s = 3 "), ("slices = 4 ", f"slices = {SLICES} "), ("= 5_000 ", "= 50_000 "))


@contextmanager
def drifting(settings: Settings) -> Iterator[Thread]:
    """The process, in a thread."""
    stop = Flag()
    thread = Thread(target=watch.run, args=(settings, stop), daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(STOP_LIMIT_S)
    assert not thread.is_alive()


def passes(site: Audited) -> int:
    there = site.db.execute("SELECT to_regclass('drift_pass') IS NOT NULL").fetchone()
    row = site.db.execute("SELECT count(*) FROM drift_pass WHERE by = %s", [PROCESS]).fetchone() if there and there[0] else None
    return row[0] if row else 0


def findings(site: Audited, number: str, *, repaired: bool) -> list[tuple[str, list[str]]]:
    query = "SELECT model, columns FROM drift_finding WHERE ticket = %s AND (repaired_at IS NOT NULL) = %s"
    return site.db.execute(query, [number, repaired]).fetchall()


def test_corrupted_row_is_found_within_the_passes_of_one_window_and_counts_as_repaired_afterwards(site: Audited, quick: Path) -> None:
    number = new_number()
    site.publish(a_life(number))

    with drifting(site.settings.model_copy(update={"reference": quick})):
        until(lambda: passes(site) > 0, 60)
        site.change("UPDATE ticket_status_v1 SET queue = 'else' WHERE number = %s", number)
        before = passes(site)
        found = until(lambda: findings(site, number, repaired=False), 60)
        took = passes(site) - before
        site.repaired(number, ["ticket_status"])
        until(lambda: findings(site, number, repaired=True), 60)

    assert found == [("ticket_status", ["queue"])]
    assert took <= SLICES + 1  # the one under way may have looked already
    assert findings(site, number, repaired=False) == []


def test_process_whose_database_connections_break_comes_back(site: Audited, quick: Path) -> None:
    with drifting(site.settings.model_copy(update={"reference": quick})) as thread:
        before = passes(site)
        until(lambda: passes(site) > before, 60)
        site.change(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name = 'drift' AND pid <> %s
            """,
            site.parts.ledger.info.backend_pid,
        )
        before = passes(site)
        until(lambda: passes(site) > before + 1, 60)

        assert thread.is_alive()


def test_process_waits_for_kafka_and_ends_when_told(site: Audited, quick: Path) -> None:
    before = passes(site)

    with drifting(site.settings.model_copy(update={"reference": quick, "kafka": "127.0.0.1:1"})) as thread:
        thread.join(1)

        assert thread.is_alive()

    assert passes(site) == before


def test_only_one_audits_at_a_time(site: Audited, quick: Path) -> None:
    settings = site.settings.model_copy(update={"reference": quick})
    locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = %s)"

    with drifting(settings), drifting(settings):
        before = passes(site)
        until(lambda: passes(site) > before + 1, 60)

        row = site.db.execute(locks, [site.db.info.dbname]).fetchone()

    assert row == (1,)


def test_process_ends_and_says_so_when_one_bucket_holds_more_tickets_than_a_pass_may(
    site: Audited, quick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []

    def too_wide(_: object, task: Task, by: str) -> None:
        widths.append(task.wanted.width)
        assert len(widths) < MOST_HALVINGS, "it reads the same bucket again and again"
        raise SliceTooWide

    monkeypatch.setattr(watch, "make_pass", too_wide)

    with pytest.raises(BoundTooLow, match="tickets_per_pass"):
        watch.run(site.settings.model_copy(update={"reference": quick}), Flag())

    assert widths == sorted(set(widths), reverse=True)
    assert widths[-1] == 1
