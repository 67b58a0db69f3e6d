"""The door of `hotline publish` with a Kafka and a vault that fail as told."""

import json
from collections import deque
from concurrent.futures import Future
from typing import Any

import pytest

from deploy.commands import publish
from deploy.commands.publish import Door, Unreachable
from events.channels.input_files import Input
from events.channels.registry import BY_NAME
from events.envelope import Event
from events.identity import Identity
from events.places import Place
from events.vault.keys import PartyKey
from events.vault.pool import PoolEmpty
from events.vault.sealing import Sealer
from events.wire.publisher import NotTaken, OutcomeUnknown, TooLarge
from tests.events.channels import messages as m
from tests.events.channels.counter import Files, Keys, limits


class Ring:
    """A stock of so many keys; waiting brings so many more."""

    def __init__(self, keys: int = 1_000, more: int = 0) -> None:
        self._left, self._more, self._keys = keys, more, Keys()
        self.sealer = Sealer(self)

    def take(self) -> PartyKey:
        if not self._left:
            raise PoolEmpty
        self._left -= 1
        return self._keys.take()

    def identity(self) -> Identity:
        return Identity(b"k" * 32)

    def wait_ready(self, timeout_s: float) -> bool:
        self._left, self._more = self._left + self._more, 0
        return self._left > 0


class Kafka:
    """Answers at once and in order: None, and whatever is not told, is yes."""

    def __init__(self, answers: list[Exception | None]) -> None:
        self._answers = deque(answers)
        self.submitted = 0

    def submit(self, event: Event, traceparent: str | None = None) -> "Future[Place]":
        self.submitted += 1
        report: Future[Place] = Future()
        failure = self._answers.popleft() if self._answers else None
        if failure is None:
            report.set_result(Place("hotline.contacts", 0, 0))
        else:
            report.set_exception(failure)
        return report


def passed(door: Door, count: int) -> tuple[list[dict[str, Any]], bool]:
    """What was said of `count` messages, and whether a part went away."""
    inputs = (Input(str(n), json.dumps({**m.POSTED, "id": str(n), "chat": str(n)}).encode()) for n in range(count))
    said: list[dict[str, Any]] = []
    try:
        said.extend(door.pass_all(inputs))
    except Unreachable:
        return said, True
    return said, False


def door_of(kafka: Kafka, ring: Ring | None = None) -> Door:
    return Door(BY_NAME["chat"], ring or Ring(), Files(), limits(), kafka)


def test_every_input_is_answered_once_and_in_order() -> None:
    said, away = passed(door_of(Kafka([])), 20)

    assert [line["source"] for line in said] == [str(n) for n in range(20)]
    assert ({line["outcome"] for line in said}, away) == ({"accepted"}, False)


@pytest.mark.parametrize(
    ("failure", "outcome", "problem"),
    [(OutcomeUnknown("late"), "unknown", "outcome-unknown"), (NotTaken("full"), "refused", "part-down")],
)
def test_a_kafka_that_goes_away_ends_the_run(failure: Exception, outcome: str, problem: str) -> None:
    kafka = Kafka([None, failure])

    said, away = passed(door_of(kafka), 50)

    assert away
    assert [(line["outcome"], (line["problem"] or {}).get("type")) for line in said] == [("accepted", None), (outcome, problem)]
    assert kafka.submitted == len(said)


def test_a_record_that_is_too_large_is_refused_and_the_others_go_on() -> None:
    door = door_of(Kafka([None, TooLarge("more than so many bytes")]))

    said, away = passed(door, 3)

    assert ([line["outcome"] for line in said], away, door.refused) == (["accepted", "refused", "accepted"], False, 1)


def test_keys_that_run_short_are_waited_for_once() -> None:
    said, away = passed(door_of(Kafka([]), Ring(keys=2, more=5)), 7)

    assert (len(said), {line["outcome"] for line in said}, away) == (7, {"accepted"}, False)


def test_a_vault_without_keys_ends_the_run() -> None:
    said, away = passed(door_of(Kafka([]), Ring(keys=2)), 7)

    assert [line["outcome"] for line in said] == ["accepted", "accepted", "refused"]
    assert (said[-1]["problem"]["type"], away) == ("out-of-keys", True)


class SlowReport(Future[Place]):
    """Comes when somebody waits for it."""

    def __init__(self, kafka: "SlowKafka") -> None:
        super().__init__()
        self._kafka = kafka

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if not self.done():
            self._kafka.under_way -= 1
            self.set_result(Place("hotline.contacts", 0, 0))
        return super().exception(timeout)


class SlowKafka:
    """Acknowledges nothing before somebody waits."""

    under_way = most_under_way = 0

    def submit(self, event: Event, traceparent: str | None = None) -> "Future[Place]":
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        return SlowReport(self)


def test_only_so_many_inputs_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "IN_FLIGHT_INPUTS", 4)
    kafka = SlowKafka()

    said, _ = passed(Door(BY_NAME["chat"], Ring(), Files(), limits(), kafka), 20)

    assert (len(said), kafka.most_under_way) == (20, 4)
