"""The client of whoever administers a Kafka: each question is answered, or one line says what keeps it from being.

Knows neither topics nor rules.
"""

from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from deploy.problems import PartAway
from events.wire.kafka import Kafka

_AWAY = (KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN)
Answer = TypeVar("Answer")


class Administrator:
    """One Kafka; put questions to `client` inside `ask`, each with a bound of its own. Raises PartAway where no client can be made."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._met: set[int] = set()
        told: dict[str, Any] = {"log_level": 0, "reconnect.backoff.max.ms": 200, "error_cb": lambda error: self._met.add(error.code())}
        try:
            self.client = AdminClient(told | kafka.client())
        except KafkaException as problem:  # a file with no certificate or key in it
            raise PartAway(f"Kafka at {kafka} can't be asked: {problem.args[0].str()}") from None

    def ask(self, question: Callable[[], Answer]) -> Answer:
        """Return what `question` does, or raise PartAway."""
        try:
            return question()
        except KafkaException as problem:
            raise PartAway(self._why(problem.args[0])) from None
        except FutureTimeout:
            raise PartAway(f"Kafka at {self._kafka} does not answer in time") from None

    def _why(self, error: object) -> str:
        if not isinstance(error, KafkaError) or error.code() not in _AWAY:
            return f"Kafka at {self._kafka} refuses: {error.str() if isinstance(error, KafkaError) else error}"
        self.client.poll(0)  # what it met while it tried to connect is told now
        if KafkaError._AUTHENTICATION in self._met:
            return f"Kafka at {self._kafka} does not let us in: HOTLINE_KAFKA_USER or its password is wrong"
        if KafkaError._SSL in self._met:
            return f"Kafka at {self._kafka} and we do not trust each other: look at HOTLINE_KAFKA_CA_FILE and our certificate, if any"
        return f"Kafka at {self._kafka} does not answer"
