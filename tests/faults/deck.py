"""The faults of a long run as a deck of cards: every kind of harm a running stack must survive, with its bound, drawn in a seeded order."""

import random
import signal
from collections.abc import Callable, Iterator
from typing import NamedTuple

from deploy.processes import model_names, units_to_start
from projectors.parked import DONE
from tests.faults import harm, poison
from tests.faults.site import Site
from tests.journeys.door import Door
from tests.journeys.through import given
from tests.waiting import until

PROCESS_BACK_S, POSTGRES_BACK_S, KAFKA_BACK_S = 15.0, 20.0, 30.0  # I9
CUT_S, FLAPPING_S, LOSSY_S, CHURN_S = 6.0, 10.0, 15.0, 12.0
OWN = tuple(unit.name for unit in units_to_start(apart=True))


class Card(NamedTuple):
    """One fault: what it is called in the report, what it does, and how soon after it all must work again."""

    kind: str
    strike: Callable[[Site, random.Random], object]
    back_s: float = PROCESS_BACK_S


def deck() -> list[Card]:
    """Return all cards in a fixed order."""
    return [*_kills(), *_crashes(), *_freezes(), *_lines(), Card("a ticket poisoned and redriven", _poisoned)]


def _poisoned(site: Site, chance: random.Random) -> None:
    door, own = Door(site.settings), f"poisoned-{chance.getrandbits(32):x}"
    (number,) = door.tickets_of(until(lambda: given(site.settings, own), PROCESS_BACK_S)[0])
    poison.put_all(site, number, chance.getrandbits(32))
    until(lambda: poison.has_row(site, number), POSTGRES_BACK_S)
    poison.spoil(site, number, version=0)
    door.order(own, command="take", ticket=number, queue="technical")
    wanted = until(lambda: poison.waiting(site, number), POSTGRES_BACK_S)
    poison.spoil(site, number, version=1)
    assert poison.redriven(site, wanted) == {DONE}


def drawn(seed: int) -> Iterator[tuple[Card, random.Random]]:
    """Yield cards without end: the whole deck shuffled, then shuffled again; each with chances of its own."""
    order = random.Random(seed)
    number = 0
    while True:
        cards = deck()
        order.shuffle(cards)
        for card in cards:
            number += 1
            yield card, random.Random(f"{seed}-{number}")


def _kills() -> Iterator[Card]:
    def killing(name: str) -> Callable[[Site, random.Random], None]:
        return lambda site, _: harm.kill(site, name)

    for name in OWN:
        yield Card(f"kill of {name}", killing(name))
    yield Card("kill of kafka", killing("kafka"), KAFKA_BACK_S)
    yield Card("restart of kafka", lambda site, _: harm.stop_part(site, "kafka", signal.SIGTERM), KAFKA_BACK_S)
    yield Card("kill of postgres", killing("postgres"), POSTGRES_BACK_S)
    yield Card("immediate stop of postgres", lambda site, _: harm.stop_part(site, "postgres", signal.SIGQUIT), POSTGRES_BACK_S)


def _crashes() -> Iterator[Card]:
    """Two steps at a time: a process for each has to start."""

    def projector(site: Site, chance: random.Random) -> None:
        harm.crash(site, chance.sample(harm.LOOP_STEPS, 2), "projector", chance.choice(model_names()))

    def intake(site: Site, chance: random.Random) -> None:
        step = chance.choice(harm.PUBLISHER_STEPS)
        with site.second_intake(f"kill:{step}:5") as (port, one), site.load(10, port, site.settings.intake_port):
            harm.wait_crashed(site, [step], [one], "intake")

    for _ in range(3):
        yield Card("crash of a projector at a step", projector)
    for _ in range(2):
        yield Card("crash of a desk at a step", lambda site, chance: harm.crash(site, chance.sample(harm.DESK_STEPS, 2), "desk"))
        yield Card("crash of a relay at a step", lambda site, chance: harm.crash_relays(site, chance.sample(harm.RELAY_STEPS, 2)))
        yield Card("crash of an intake at a step", intake)


def _freezes() -> Iterator[Card]:
    def frozen(site: Site, chance: random.Random) -> None:
        outside, inside = chance.sample(model_names(), 2)
        harm.freeze(site, {outside: "loop.polled", inside: "loop.applied"})

    def own(site: Site, chance: random.Random) -> None:
        harm.freeze_own(site, chance.choice(OWN))

    yield Card("projectors frozen at a step", frozen)
    yield Card("projectors frozen at a step", frozen)
    yield Card("a process frozen", own)
    yield Card("a process frozen", own)


def _lines() -> Iterator[Card]:
    def cut(site: Site, _: random.Random) -> None:
        with harm.second_machine(site) as second:
            harm.cut_both(site, second)

    def one_way(site: Site, chance: random.Random) -> None:
        with harm.second_machine(site):
            harm.one_way(site, chance.choice([site.kafka_line, site.database_line]), CUT_S)

    def flap(site: Site, _: random.Random) -> None:
        with harm.second_machine(site):
            harm.flap(site, FLAPPING_S)

    def lossy(site: Site, _chance: random.Random) -> None:
        with site.second_intake(by_kafka_line=True) as (port, _), harm.second_machine(site), site.load(10, port), harm.bad_lines(site):
            harm.wait_s(LOSSY_S)

    yield Card("both lines cut", cut)
    yield Card("both lines cut", cut)
    yield Card("one way cut", one_way)
    yield Card("lines flapping", flap)
    yield Card("lines slow, sliced, lossy", lossy)
    yield Card("projectors joining and leaving", lambda site, chance: harm.churn(site, chance, chance.choice(model_names()), CHURN_S, 3))
