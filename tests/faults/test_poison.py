"""S18: bytes nobody can read stop nobody; a ticket that a handler fails on waits parked, all others flow, and a redrive makes it whole."""

import http.client
from typing import Any

import pytest

from projectors.parked import DONE
from tests.faults import poison
from tests.faults.site import Site
from tests.journeys.door import Door, request
from tests.journeys.through import goes_through
from tests.waiting import until

OTHERS_S = 5.0  # how long the others may take while one waits

pytestmark = [pytest.mark.faults, pytest.mark.parts]


def test_s18_bytes_nobody_can_read_hold_up_neither_their_ticket_nor_any_other(site: Site) -> None:
    door = Door(site.settings)
    (number,) = door.tickets_of(door.give("cabinet", request("among-garbage")))

    poisoned = poison.put_all(site, number, site.history.seed)
    goes_through(site.settings, "first-beside-the-garbage")
    site.recovered("garbage, by others", goes_through(site.settings, "beside-the-garbage"), OTHERS_S)
    order = door.order("among-garbage-order", command="take", ticket=number, queue="technical")
    card = door.read(f"/v1/tickets/{number}", order.document["position"]).document

    assert (card["status"], card["version"], card["parked"]) == ("in_processing", 2, None)
    assert site.judged() == []
    assert site.tallies["outcome unreadable"] >= poisoned


def test_s18_a_ticket_that_no_handler_can_go_on_with_waits_alone_and_is_whole_after_its_redrive(site: Site) -> None:
    door = Door(site.settings)
    (number,) = door.tickets_of(door.give("cabinet", request("poisoned")))
    until(lambda: poison.has_row(site, number))
    poison.spoil(site, number, version=0)

    order = door.order("poisoned-order", command="take", ticket=number, queue="technical")
    wanted = until(lambda: poison.waiting(site, number))
    card = until(lambda: _card_of_parked(door, number))
    site.recovered("poison, by others", goes_through(site.settings, "beside-the-poison"), OTHERS_S)
    still = poison.redriven(site, wanted)
    poison.spoil(site, number, version=1)

    assert order.status == http.HTTPStatus.OK
    assert card["parked"]["by"] == ["ticket_status"]
    assert {answer for answer in still if answer} == {f"VersionHole: {number}: version 2 after 0"}
    assert poison.redriven(site, wanted) == {DONE}
    assert door.read(f"/v1/tickets/{number}", order.document["position"]).document["version"] == 2
    assert site.judged() == []


def _card_of_parked(door: Door, number: str) -> dict[str, Any]:
    card = door.read(f"/v1/tickets/{number}").document
    return card if card.get("parked") else {}
