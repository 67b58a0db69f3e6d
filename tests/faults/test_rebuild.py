"""S27: a read model built again under traffic, killed half-way: it goes on, its rows are equal, and readers never step back."""

import http.client
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import pytest

from tests.faults.crashes import FALL_LIMIT_S, command_beside
from tests.faults.rebuilt import differing, ran
from tests.faults.site import Site
from tests.journeys.door import Door, request
from tests.journeys.stacks import wait_settled
from tests.waiting import until

MODEL = "ticket_status"
LOOK_EVERY_S = 0.05

pytestmark = [pytest.mark.faults, pytest.mark.parts]


class Reader:
    """Asks for one card again and again, while commands make it grow."""

    def __init__(self, site: Site, number: str) -> None:
        self._door, self._number = Door(site.settings), number
        self.versions: list[int] = []
        self.errors: list[int] = []

    def look(self, stop: Event) -> None:
        """Look until `stop` is set."""
        while not stop.wait(LOOK_EVERY_S):
            answer = self._door.read(f"/v1/tickets/{self._number}")
            if answer.status == http.HTTPStatus.OK:
                self.versions.append(answer.document["version"])
            else:
                self.errors.append(answer.status)

    def steps_back(self) -> int:
        """Return how often a card was older than one seen before."""
        return sum(later < earlier for earlier, later in zip(self.versions, self.versions[1:], strict=False))


@contextmanager
def _looking(reader: Reader) -> Iterator[None]:
    stop = Event()
    thread = Thread(target=reader.look, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20.0)


def test_s27_a_rebuild_killed_half_way_goes_on_and_nobody_who_reads_steps_back(site: Site) -> None:
    door = Door(site.settings)
    (number,) = door.tickets_of(door.give("cabinet", request("rebuilt-meanwhile")))
    reader = Reader(site, number)

    with site.load(per_s=12), _looking(reader):
        _killed_half_way(site)
        door.order("rebuilt-1", command="take", ticket=number, queue="technical")
        built = ran(site.settings, "rebuild", MODEL, "--json")
        ran(site.settings, "switch", MODEL, "--json")
        door.order("rebuilt-2", command="ask_clarification", ticket=number, question="Какой номер?")
        ran(site.settings, "switch", MODEL, "--back", "--json")
        until(lambda: reader.versions[-1:] == [3])
    wait_settled(site.settings)

    assert built["followed"]
    assert (reader.errors, reader.steps_back()) == ([], 0)
    assert list(differing(site.settings.database, MODEL, built["build"])) == []
    assert site.judged() == []
    ran(site.settings, "rebuild", MODEL, "--drop", built["build"], "--json")


def _killed_half_way(site: Site) -> None:
    """Begin a rebuild that reads slowly, and kill it with all its workers after its first batch."""
    with command_beside(site.settings, "rebuild", MODEL, "--records-per-s", "50", crash_point="kill:rebuild.batch:1") as rebuilding:
        until(lambda: rebuilding.process.poll() is not None, FALL_LIMIT_S)
        assert rebuilding.process.returncode in (-signal.SIGKILL, 1), rebuilding.process.returncode
        site.history.harmed("crash rebuild.batch", "rebuild")
