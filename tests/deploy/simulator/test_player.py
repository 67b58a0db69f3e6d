"""Playing a day against two doors that a test answers for."""

import threading
from hashlib import sha256
from typing import Any

import pytest

from deploy.simulator import player
from deploy.simulator.day import day
from deploy.simulator.ledger import Ledger
from deploy.simulator.player import Addresses
from deploy.simulator.script import Day, Order
from tests.deploy.simulator.server import Answer, Asked, serving


class Hotline:
    """A toy hotline: every contact has a ticket, every command is decided, unless the test says otherwise."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.heard: list[tuple[str, Any]] = []

    def intake(self, asked: Asked) -> Answer:
        if asked.path.startswith("/v1/commands"):
            return self._command(asked)
        contact_id = sha256(asked.body[:60]).hexdigest()[:32]
        event = {"event_id": sha256(asked.body).hexdigest()[:32], "type": "hotline.x", "contact_id": contact_id}
        return 202, {"accepted": [event], "position": "h1.a"}

    def _command(self, asked: Asked) -> Answer:
        number = asked.document["ticket"]
        self.heard.append((asked.headers["Idempotency-Key"], asked.document))
        version = self.versions.get(number, 1)
        if asked.document.get("expected_version", version) != version:
            return 409, {"type": "stale-version", "rule": "stale_version"}
        self.versions[number] = version + 1
        decision = {"number": number, "version": version + 1, "partition": 0, "offset": version}
        return 200, {"decisions": [decision], "version": version + 1, "position": "h1.b"}

    def api(self, asked: Asked) -> Answer:
        words = asked.path.partition("?")[0].split("/")
        if words[2] == "contacts":
            number = f"RU-2025-{int(words[3][:5], 16):07}"
            return 200, {"tickets": [{"number": number, "ordinal": ordinal} for ordinal in (1, 2)]}
        return 200, {"number": words[3], "version": self.versions.get(words[3], 1)}


def played(script: Day, hotline: Hotline, contacts_per_s: float = 2000.0) -> Ledger:
    ledger = Ledger(script)
    with serving(hotline.intake) as intake, serving(hotline.api) as api:
        player.play(script, Addresses(intake.port, api.port), lambda who: who, contacts_per_s, threading.Event(), ledger)
    return ledger


def test_every_message_and_every_order_is_sent_and_remembered() -> None:
    script = day(1, 60)

    ledger = played(script, Hotline())

    assert len(ledger.accepted) == len(list(script.messages()))
    assert len(ledger.answered) == len(list(script.orders()))
    assert ledger.steps_done == len(script.steps)
    assert ledger.visible_s


def test_an_order_names_the_ticket_of_its_contact_and_the_version_on_the_screen() -> None:
    script, hotline = day(2, 80), Hotline()

    played(script, hotline)

    orders = {order.key: order for order in script.steps if isinstance(order, Order) and order.against == "current"}
    named = [document for key, document in hotline.heard if key in orders and not orders[key].unknown_number]
    assert named
    assert all(document["expected_version"] >= 1 and document["ticket"].startswith("RU-2025-") for document in named)


def test_another_answer_than_the_script_expects_is_a_trouble() -> None:
    class Refusing(Hotline):
        def _command(self, asked: Asked) -> Answer:
            return 422, {"type": "refused", "rule": "not_in_this_status"}

    ledger = played(day(3, 40), Refusing())

    assert ledger.troubles
    assert set(ledger.refused()) == {"not_in_this_status"}


def test_a_message_that_is_refused_is_a_trouble_and_says_the_rule_alone() -> None:
    class Strict(Hotline):
        def intake(self, asked: Asked) -> Answer:
            return 422, {"type": "broken-rule", "rule": "missing", "field": "call"}

    script = Day(1, day(4, 5).on, day(4, 5).contacts, tuple(day(4, 5).messages()))
    script = Day(script.seed, script.on, script.contacts, tuple(step for step in script.messages() if step.number_of is None))

    ledger = played(script, Strict())

    assert len(ledger.troubles) == len(script.steps)
    assert ledger.troubles[0].endswith("answered 422 missing call")


def test_an_order_without_an_answer_is_sent_again_under_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(player, "_FIRST_DESK_WAIT_S", 0.01)

    class Slow(Hotline):
        def _command(self, asked: Asked) -> Answer:
            first = asked.headers["Idempotency-Key"] not in {key for key, _ in self.heard}
            if first:
                self.heard.append((asked.headers["Idempotency-Key"], asked.document))
                return 202, {"position": "h1.c"}
            return super()._command(asked)

    hotline = Slow()
    ledger = played(day(2, 40), hotline)

    assert len(hotline.heard) > len(ledger.answered)
    assert {one.status for one in ledger.answered} <= {200, 409}


def test_a_stopped_player_leaves_the_rest() -> None:
    script = day(5, 50)
    ledger, stop = Ledger(script), threading.Event()
    stop.set()

    player.play(script, Addresses(1, 1), lambda who: who, 1.0, stop, ledger)

    assert ledger.steps_done == 0
