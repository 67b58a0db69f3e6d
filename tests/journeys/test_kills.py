"""The same day while `kill -9` hits every process and part, one after another, in a seeded order: nothing lost, nothing twice."""

import random
import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag
from time import monotonic

import psycopg
import pytest

from deploy.processes import units_to_start
from events.settings import Settings
from tests import oracle
from tests.consumed import ends
from tests.journeys.played import Played, after, findings, play_day, repeats_on
from tests.journeys.stacks import entries, killed, signalled, whole_stack
from tests.journeys.through import ALL_S, given, goes_through
from tests.waiting import until

CONTACTS, CONTACTS_PER_S = 240, 4.0
VICTIMS = ("kafka", "postgres", *(unit.name for unit in units_to_start(apart=True)))
BOUNDS_S = {"postgres": 20.0, "kafka": 30.0}  # I9: how soon all must work again
BOUND_S = 15.0

pytestmark = [pytest.mark.journey, pytest.mark.parts]


@pytest.fixture(scope="module")
def harmed(round_seed: int) -> Iterator[tuple[Played, Mapping[str, float]]]:
    """The finished day, and for each victim how long it took until a new contact went all the way through again, seconds."""
    stop = Flag()
    with whole_stack() as settings, ThreadPoolExecutor(1) as aside:
        playing = aside.submit(play_day, settings, round_seed, CONTACTS, CONTACTS_PER_S, stop)
        order = random.Random(round_seed).sample(VICTIMS, len(VICTIMS))
        try:
            healed_s = {victim: _kill_and_wait(settings, victim) for victim in order}
            _kill_the_relay_before_it_deletes(settings)
            played = after(settings, playing.result(ALL_S))
        finally:
            stop.set()  # after a failure nobody waits for the day's end
        yield played, healed_s


def _kill_and_wait(settings: Settings, victim: str) -> float:
    killed(settings, victim)
    since_s = monotonic()
    goes_through(settings, f"after-{victim}")
    return monotonic() - since_s


def _kill_the_relay_before_it_deletes(settings: Settings) -> None:
    """Kill it when Kafka has acknowledged and its rows still lie in the outbox: the next one must publish them once more."""
    signalled(settings, "relay", signal.SIGSTOP)
    until(lambda: given(settings, "relay-repeats"), ALL_S)
    with psycopg.connect(settings.database) as db, psycopg.connect(settings.database, autocommit=True) as other:
        until(lambda: other.execute("SELECT FROM outbox LIMIT 1").fetchone() is not None, ALL_S)
        db.execute("SELECT FROM outbox FOR UPDATE")
        before = _outcomes(settings)
        signalled(settings, "relay", signal.SIGCONT)
        until(lambda: _outcomes(settings) > before and _is_deleting(other), ALL_S)
        killed(settings, "relay")
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'relay'")
        until(lambda: not _is_deleting(other), ALL_S)


def _outcomes(settings: Settings) -> int:
    return sum(past for (topic, _), past in ends(settings.kafka_address).items() if topic == "hotline.outcomes")


def _is_deleting(db: psycopg.Connection) -> bool:
    query = (
        "SELECT FROM pg_stat_activity WHERE application_name = 'relay' AND wait_event_type = 'Lock' AND query LIKE 'DELETE FROM outbox%'"
    )
    return db.execute(query).fetchone() is not None


def test_the_count_still_holds(harmed: tuple[Played, Mapping[str, float]]) -> None:
    played, _ = harmed

    assert findings(played) == []
    assert oracle.differences(played.settings.database, played.told) == []


def test_everything_comes_back_by_itself_and_in_time(harmed: tuple[Played, Mapping[str, float]]) -> None:
    played, healed_s = harmed

    late = {victim: seconds for victim, seconds in healed_s.items() if seconds > BOUNDS_S.get(victim, BOUND_S)}
    assert late == {}
    until(lambda: {entry.state for entry in entries(played.settings).values()} == {"running"}, BOUND_S)  # the relay was killed last
    assert {name for name, entry in entries(played.settings).items() if entry.restarts == 0} == set()


def test_the_kills_hit_what_they_were_meant_to_hit(harmed: tuple[Played, Mapping[str, float]]) -> None:
    """Rare branches, each taken: an adapter repeated its input, the desk dropped a duplicate, the relay published twice."""
    played, _ = harmed

    duplicates = [r for r in played.told if r.short == "CauseSettled" and r.fields["result"] == "duplicate"]

    assert played.ledger.repeated_requests > 0
    assert len(duplicates) > 0
    assert repeats_on(played.told, "hotline.tickets") > 0
    assert repeats_on(played.told, "hotline.outcomes") > 0
