"""S13: no room left, for the broker and for Postgres. It is said aloud, nothing that had a yes is lost, and with room again all goes on."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from deploy.parts.kafka import LocalKafka
from deploy.parts.part import Part
from deploy.parts.postgres import LocalPostgres
from events.envelope import FACTS
from events.places import Place
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher
from tests.consumers.facts import request
from tests.consumers.on_parts import ends_of, read_all
from tests.faults import small_disk
from tests.faults.crashes import Single, beside
from tests.faults.small_disk import OnDisk, SmallDisk
from tests.faults.throwaway import throwaway
from tests.waiting import until

KAFKA_MB, POSTGRES_MB = 48, 128
LEFT_KB = 600
TEXT_BYTES = 100_000
MOST_FAILURES = 2
ANSWER_S, LOUD_S, HEALED_S = 15.0, 60.0, 60.0
PASSED = ("DiskFull", "OperationalError")  # what a projector may call it

pytestmark = [pytest.mark.faults, pytest.mark.parts]


class Small(NamedTuple):
    """Both servers by name, each with its disk."""

    settings: Settings
    servers: dict[str, tuple[SmallDisk, OnDisk]]


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """Both servers, each on a small disk of its own."""
    if not small_disk.works():
        pytest.skip("this machine lets nobody but its owner mount a file system")
    with throwaway() as parts, ExitStack() as running:
        settings, servers = parts.settings, dict[str, tuple[SmallDisk, OnDisk]]()
        parts.stop()
        tables = LocalPostgres(settings, durable=False)
        kafka: tuple[Part, Path, int] = (LocalKafka(settings), settings.folder / "kafka", KAFKA_MB)
        for part, folder, megabytes in (kafka, (tables, tables.tables, POSTGRES_MB)):
            disk = running.enter_context(SmallDisk(folder, megabytes))
            server = OnDisk(part, disk, settings.folder / "logs" / f"{part.name}-small.log")
            running.callback(server.stop)
            server.start()
            servers[part.name] = (disk, server)
        yield Small(settings, servers)


def _published(settings: Settings, own_ids: list[str], text_bytes: int) -> dict[str, Place | Exception]:
    """Publish a form for each own id and return what was said of it: its place, or why not."""
    publisher = Publisher(settings.kafka_access, load_codec(), "/tests")
    said: dict[str, Place | Exception] = {}
    try:
        for own_id in own_ids:
            try:
                said[own_id] = publisher.submit(request(own_id, text=secrets.token_bytes(text_bytes))).result(ANSWER_S)
            except (NotTaken, OutcomeUnknown) as failure:
                said[own_id] = failure
                if sum(isinstance(one, Exception) for one in said.values()) == MOST_FAILURES:
                    break
    finally:
        publisher.close(timeout_s=1.0)
    return said


def test_s13_a_broker_without_room_refuses_aloud_and_loses_nothing_it_has_acknowledged(small: Small) -> None:
    settings, (disk, kafka) = small.settings, small.servers["kafka"]
    before = _published(settings, [f"roomy-{n}" for n in range(5)], TEXT_BYTES)

    disk.fill(leaving_kb=LEFT_KB)
    during = _published(settings, [f"full-{n}" for n in range(50)], TEXT_BYTES)
    disk.free()
    kafka.start_if_it_fell()
    after = until(lambda: _all_taken(settings), HEALED_S)

    assert [one for one in before.values() if isinstance(one, Exception)] == []
    assert any(isinstance(one, Exception) for one in during.values())
    there = {place for place, _ in read_all(settings, FACTS)}
    taken = [one for said in (before, during, after) for one in said.values() if isinstance(one, Place)]
    assert [place for place in taken if place not in there] == []
    assert len(set(taken)) == len(taken)


def _all_taken(settings: Settings) -> dict[str, Place | Exception]:
    said = _published(settings, [f"roomy-again-{n}" for n in range(3)], 100)
    return said if not any(isinstance(one, Exception) for one in said.values()) else {}


def test_s13_a_projector_without_room_for_its_rows_waits_aloud_and_then_has_them_all_once(small: Small) -> None:
    settings, (disk, postgres) = small.settings, small.servers["postgres"]
    with beside(settings, "projector", "audit_log") as projector:
        until(lambda: _is_at_the_end(settings), HEALED_S)

        disk.fill(leaving_kb=LEFT_KB)
        said = _published(settings, [f"no-rows-{n}" for n in range(60)], TEXT_BYTES)
        until(lambda: _came_back(projector), LOUD_S)
        behind = not _is_at_the_end(settings)
        disk.free()
        postgres.start_if_it_fell()
        until(lambda: _is_at_the_end(settings), HEALED_S)

    assert behind
    assert [one for one in said.values() if isinstance(one, Exception)] == []
    with psycopg.connect(settings.database) as db:
        rows = db.execute('SELECT partition, "offset" FROM audit_log WHERE topic = %s', [FACTS]).fetchall()
    assert sorted(rows) == sorted((place.partition, place.offset) for place, _ in read_all(settings, FACTS))


def _came_back(projector: Single) -> bool:
    return any(line["because"] in PASSED for line in projector.lines("coming back"))


def _is_at_the_end(settings: Settings) -> bool:
    ends = sum(past for _, past in ends_of(settings, FACTS).values())
    try:
        with psycopg.connect(settings.database) as db:
            query = "SELECT coalesce(sum(next_offset), 0) FROM position WHERE consumer LIKE 'audit_log%%' AND topic = %s"
            row = db.execute(query, [FACTS]).fetchone()
    except psycopg.Error:
        return False
    return row is not None and int(row[0]) == ends
