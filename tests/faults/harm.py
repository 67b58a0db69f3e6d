"""What is done to a running stack, one function for each fault. Each is bounded, notes what it did, and leaves behind nothing but the harm.

Short scenarios do each once and look closely; the long run does them all in a seeded order. Whether all works again afterwards is for the
caller to see.
"""

import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Event
from time import monotonic

import pytest

from projectors.model import consumer_of
from projectors.registry import PROJECTIONS
from tests.faults.crashes import FALL_LIMIT_S, Single, words_of_all
from tests.faults.proxy import Proxy, Weather
from tests.faults.site import Site
from tests.journeys.stacks import entries, killed, signalled
from tests.waiting import until

FROZEN_S = 16.0  # longer than the group and the database wait for anybody
JOIN_LIMIT_S = 90.0  # nobody promised how soon; a busy machine starts a process of everything in half a minute
ENDS_S, COMES_BACK_S = 20.0, 45.0
MOST_CUTS, FENCED_WITHIN_S = 6, 15.0
HELD = Weather(held=True)
CONSUMERS = {model.name: consumer_of(model) for model in PROJECTIONS}
LOOP_STEPS = ("loop.assigned", "loop.polled", "loop.positions_moved", "loop.applied", "loop.committed")
DESK_STEPS = ("loop.assigned", "loop.polled", "desk.locked", "desk.decided", "desk.before_commit", "loop.committed")
RELAY_STEPS = ("relay.before_publish", "publisher.submitted", "relay.decisions_acknowledged", "relay.outcomes_acknowledged")
PUBLISHER_STEPS = ("publisher.submitting", "publisher.submitted", "publisher.acknowledged")


def wait_s(seconds: float) -> None:
    """Let a fault last."""
    end, pause = monotonic() + seconds, Event()
    while (left := end - monotonic()) > 0:
        pause.wait(left)


def kill(site: Site, victim: str) -> None:
    """`kill -9` of a process or a part of the stack."""
    killed(site.settings, victim)
    site.history.harmed("kill", victim)


def stop_part(site: Site, name: str, number: signal.Signals) -> None:
    """Tell a part to end, in order or at once, and see it end; the supervisor starts it again."""
    life = until(lambda: entries(site.settings)[name].life, ENDS_S)
    assert life is not None, f"{name} runs"
    assert life.send(number), f"{name} cannot be told"
    site.history.harmed("immediate stop" if number == signal.SIGQUIT else "restart", name)
    assert life.wait(ENDS_S), f"{name} does not end"


def crash(site: Site, steps: Sequence[str], *words: str) -> None:
    """One more process for each step, armed to kill itself there; all at once, until the last is dead."""
    with ExitStack() as running:
        armed = [running.enter_context(site.beside(*words, crash_point=f"kill:{step}")) for step in steps]
        wait_crashed(site, steps, armed, " ".join(words))


def wait_crashed(site: Site, steps: Sequence[str], armed: Sequence[Single], name: str) -> None:
    """Wait until each has killed itself at its step."""
    for step, one in zip(steps, armed, strict=True):
        one.wait_killed()
        site.history.harmed(f"crash {step}", name)


def crash_relays(site: Site, steps: Sequence[str]) -> None:
    """One more relay for each step; the stack's own is killed until each of them has had the lock, and so its end."""
    with ExitStack() as running:
        armed = [running.enter_context(site.beside("relay", crash_point=f"kill:{step}")) for step in steps]
        until(lambda: all(one.lines("started") for one in armed), JOIN_LIMIT_S)
        for _ in steps:
            _let_one_relay_die([one for one in armed if one.process.poll() is None], site)
        wait_crashed(site, steps, armed, "relay")


def _let_one_relay_die(alive: Sequence[Single], site: Site) -> None:
    def one_fell() -> bool:
        if any(one.process.poll() is not None for one in alive):
            return True
        with suppress(AssertionError):  # it is down at this moment
            signalled(site.settings, "relay", signal.SIGKILL)
        return False

    if alive:
        until(one_fell, FALL_LIMIT_S)


def freeze(site: Site, steps: dict[str, str]) -> None:
    """One more projector of each model in `steps`, frozen at its step for longer than anybody waits; then it goes on, and must come back.

    Its heirs have read on meanwhile. With callers about, whoever freezes outside a transaction meets the fence.
    """
    with ExitStack() as running:
        frozen = {m: running.enter_context(site.beside("projector", m, crash_point=f"pause:{step}")) for m, step in steps.items()}
        for one in frozen.values():
            one.wait_frozen()
        site.history.harmed("freeze", ", ".join(f"projector {model} at {step}" for model, step in steps.items()))
        since_s = monotonic()
        before = {model: site.epochs(CONSUMERS[model]) for model in steps}
        until(lambda: all(site.epochs(CONSUMERS[model]) != before[model] for model in steps), 2 * FROZEN_S)
        wait_s(since_s + FROZEN_S - monotonic())
        assert all(one.is_frozen() for one in frozen.values())
        for one in frozen.values():
            one.send(signal.SIGCONT)
        for one in frozen.values():
            one.wait_said("coming back", COMES_BACK_S)


def freeze_own(site: Site, name: str) -> None:
    """Freeze one of the stack's own processes for longer than anybody waits, then let it go on."""
    signalled(site.settings, name, signal.SIGSTOP)
    site.history.harmed("freeze", name)
    wait_s(FROZEN_S)
    signalled(site.settings, name, signal.SIGCONT)


@contextmanager
def second_machine(site: Site) -> Iterator[Single]:
    """A second desk, relay and projector of every model in one process, all lines led past the proxies; with its share of every group."""
    before = _epochs(site)
    with site.beside(*words_of_all(), by_kafka_line=True, by_database_line=True) as second:
        _wait_taken_over(site, before)
        yield second


def cut_both(site: Site, second: Single) -> None:
    """Cut the second machine off: its batch hangs before Postgres, the group gives it up; then Postgres hears it, too late.

    Whether a batch hangs there, and not a question of no consequence, is a matter of luck: then it is cut off again.
    """
    for _ in range(MOST_CUTS):
        if _cut_both_once(site, second):
            return
        _wait_taken_over(site, _epochs(site))
    pytest.fail(f"{MOST_CUTS} times no batch hung before Postgres")


def _cut_both_once(site: Site, second: Single) -> bool:
    fenced, held = len(second.lines("leaving the group", because="Fenced")), site.database_line.counts["held"]
    with site.kafka_line.weather():  # as it was, afterwards
        with site.database_line.weather(held=True):
            until(lambda: site.database_line.counts["held"] > held + len(CONSUMERS), JOIN_LIMIT_S)
            before = _epochs(site)
            site.kafka_line.set(HELD)
            site.history.harmed("cut", "both lines")
            _wait_taken_over(site, before)
        with suppress(AssertionError):
            until(lambda: len(second.lines("leaving the group", because="Fenced")) > fenced, FENCED_WITHIN_S)
    return len(second.lines("leaving the group", because="Fenced")) > fenced


def _epochs(site: Site) -> dict[str, dict[tuple[str, int], int]]:
    return {consumer: site.epochs(consumer) for consumer in CONSUMERS.values()}


def _wait_taken_over(site: Site, before: dict[str, dict[tuple[str, int], int]]) -> None:
    """Wait until of every consumer some partition has changed hands."""
    until(lambda: all(site.epochs(consumer) != before[consumer] for consumer in before), JOIN_LIMIT_S)


def one_way(site: Site, line: Proxy, for_s: float) -> None:
    """The second machine is heard and hears nothing."""
    swallowed = line.counts["swallowed"]
    with line.weather("down", swallowing=True):
        site.history.harmed("one way", "kafka line" if line is site.kafka_line else "database line")
        until(lambda: line.counts["swallowed"] > swallowed, JOIN_LIMIT_S)
        wait_s(for_s)


def flap(site: Site, for_s: float) -> tuple[int, int]:
    """Both lines of the second machine come and go; return how often each fell."""
    with site.kafka_line.flapping(1.0, 0.7) as kafka, site.database_line.flapping(0.8, 0.5) as database:
        site.history.harmed("flapping", "both lines")
        wait_s(for_s)
    return kafka.falls, database.falls


@contextmanager
def bad_lines(site: Site) -> Iterator[None]:
    """Late, sliced and now and then cut: the line to Kafka often, the one to Postgres seldom."""
    bad = {"latency_s": 0.02, "slice_bytes": 300}
    with site.kafka_line.weather(**bad, closing_one_in=40), site.database_line.weather(**bad, closing_one_in=400):
        site.history.harmed("lossy", "both lines")
        yield


def churn(site: Site, chance: random.Random, model: str, for_s: float, most: int, every_s: float = 2.0) -> None:
    """One more projector joins every `every_s`, and once there are `most` the oldest leaves: in order, or killed."""
    end = monotonic() + for_s
    site.history.harmed("churn", f"projector {model}")
    with ExitStack() as everyone:
        running: list[ExitStack] = []
        while monotonic() < end:
            if len(running) == most:
                running.pop(0).close()
            joined = everyone.enter_context(ExitStack())
            single = joined.enter_context(site.beside("projector", model))
            if chance.random() < 0.5:
                joined.callback(_kill_single, single)
            running.append(joined)
            wait_s(every_s)


def _kill_single(single: Single) -> None:
    with suppress(AssertionError):
        single.send(signal.SIGKILL)
