"""A question that meets an election is asked again; any other failure is the caller's at once."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from events.wire import elections
from events.wire.elections import after_elections


class Question:
    """Fails so many times, then answers."""

    def __init__(self, code: int, failures: int) -> None:
        self._code, self._left, self.asked = code, failures, 0

    def __call__(self) -> str:
        self.asked += 1
        self._left -= 1
        if self._left >= 0:
            raise KafkaException(KafkaError(self._code))
        return "offset"


def test_a_partition_without_a_leader_is_asked_again() -> None:
    question = Question(KafkaError.NOT_LEADER_FOR_PARTITION, failures=2)

    assert after_elections(question) == "offset"
    assert question.asked == 3


def test_a_broker_that_is_away_is_said_at_once() -> None:
    question = Question(KafkaError._TRANSPORT, failures=1)

    with pytest.raises(KafkaException):
        after_elections(question)

    assert question.asked == 1


def test_an_election_without_end_ends_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elections, "ELECTION_S", 0.2)

    with pytest.raises(KafkaException):
        after_elections(Question(KafkaError.LEADER_NOT_AVAILABLE, failures=1_000))
