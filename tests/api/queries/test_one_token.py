"""One token everywhere: whoever gave it, every door honours it, and none answers before it holds what the token includes."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from events.calls import CallStarted
from events.commands import TakeTicket
from events.envelope import COMMANDS, FACTS, TICKETS
from events.outcomes import DecisionPlace
from events.places import Place
from projectors.outcomes import OUTCOMES_MODEL
from projectors.registry import PROJECTIONS
from projectors.tokens import Token
from tests.api.queries.conftest import Happening
from tests.api.queries.reader import reading
from tests.given import Log
from tests.made import CONTACT, NUMBER, made, registered, settled, taken

Ask = Callable[..., Any]
LATER = "2030-01-01T00:00:00Z"

#: Every door that reads, by what is asked there.
DOORS: dict[str, tuple[str, dict[str, str]]] = {
    "card": (f"/v1/tickets/{NUMBER}", {}),
    "list": ("/v1/tickets", {}),
    "card as of": (f"/v1/tickets/{NUMBER}", {"as_of": LATER}),
    "list as of": ("/v1/tickets", {"as_of": LATER}),
    "history": (f"/v1/tickets/{NUMBER}/history", {}),
    "contact": (f"/v1/contacts/{CONTACT.hex()}", {}),
    "audit": ("/v1/audit", {}),
    "audit of a ticket": ("/v1/audit", {"ticket": NUMBER}),
    "retention": ("/v1/retention", {"past_floor_on": "2030-01-01"}),
    "retention of a ticket": ("/v1/retention", {"ticket": NUMBER}),
}
STREAMS = {"stream": f"/v1/tickets/{NUMBER}/stream", "list stream": "/v1/tickets/stream"}


def a_call_becomes_a_ticket(world: Happening) -> dict[str, str]:
    """A call and a command about its ticket are settled; return the tokens that the intake gave."""
    fact = world.log.append(made(CallStarted))
    decided = [world.log.append(registered())]
    world.log.append(settled(Place(FACTS, fact.partition, fact.offset), place_of(world.log, 1)), partition=fact.partition)
    order = world.log.append(made(TakeTicket, target=NUMBER))
    decided.append(world.log.append(taken(2)))
    world.log.append(settled(Place(COMMANDS, order.partition, order.offset), place_of(world.log, 2)), partition=order.partition)
    answers = {
        "intake of a fact": Place(FACTS, fact.partition, fact.offset),
        "intake of a command not yet decided": Place(COMMANDS, order.partition, order.offset),
        "intake of a command": Place(TICKETS, decided[1].partition, decided[1].offset),
    }
    return {name: Token.of([place]).encode() for name, place in answers.items()}


def place_of(log: Log, version: int) -> DecisionPlace:
    last = log.records[-1]
    return DecisionPlace(number=NUMBER, version=version, partition=last.partition, offset=last.offset)


def test_every_door_honours_the_token_of_every_other(world: Happening, client: httpx.Client, ask: Ask) -> None:
    tokens = a_call_becomes_a_ticket(world)
    world.happens()

    for name, (address, params) in DOORS.items():
        answer = ask(address, "auditor", **params)
        assert answer.status_code == 200, name
        assert answer.json()["position"] == answer.headers["position"]
        tokens[name] = answer.headers["position"]
    for name, address in STREAMS.items():
        with reading(client, address) as reader:
            tokens[name] = reader.wait(1)[0].id

    for given, token in tokens.items():
        for name, (address, params) in DOORS.items():
            assert ask(address, "auditor", at_least=token, wait_ms=0, **params).status_code == 200, (given, name)
        for name, address in STREAMS.items():
            with reading(client, address, role="auditor", wait_ms=0, **{"at_least": token, "from": token}) as reader:
                assert reader.began() == 200, (given, name)


@pytest.mark.parametrize("behind", ["outcomes", "tickets"])
def test_no_door_answers_before_it_holds_what_the_token_of_the_intake_led_to(world: Happening, ask: Ask, behind: str) -> None:
    tokens = a_call_becomes_a_ticket(world)
    slow = (OUTCOMES_MODEL,) if behind == "outcomes" else tuple(m for m in PROJECTIONS if TICKETS in m.topics)
    world.happens(models=[model for model in PROJECTIONS if model not in slow])

    for name, (address, params) in DOORS.items():
        for given in ("intake of a fact", "intake of a command not yet decided"):
            answer = ask(address, "auditor", at_least=tokens[given], wait_ms=0, **params)
            assert (answer.status_code, answer.json()["type"]) == (503, "not-reached"), (name, given)
    world.happens()

    statuses = {ask(a, "auditor", at_least=t, wait_ms=0, **p).status_code for a, p in DOORS.values() for t in tokens.values()}
    assert statuses == {200}
