"""Questions to Kafka that meet an election: a partition that has no leader for a moment is asked again, for a bounded time."""

from collections.abc import Callable
from threading import Event as Flag
from time import monotonic
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException

ELECTION_S = 5.0
_LOOK_EVERY_S = 0.1
_NO_LEADER = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_TOPIC_OR_PART,  # the controller's yes comes before the broker's own view
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
    }
)

Answer = TypeVar("Answer")


def after_elections(question: Callable[[], Answer]) -> Answer:
    """Return the answer to `question`, asked again while a partition has no leader, at most ELECTION_S; raise its KafkaException."""
    until_s = monotonic() + ELECTION_S
    while True:
        try:
            return question()
        except KafkaException as failure:
            error = failure.args[0]
            if not isinstance(error, KafkaError) or error.code() not in _NO_LEADER or monotonic() > until_s:
                raise
        Flag().wait(_LOOK_EVERY_S)
