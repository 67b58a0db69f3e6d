"""Says in the log once that a part does not answer, or refuses, and once that it answers again: by the error's name, never its text."""

import structlog
from confluent_kafka import KafkaError, KafkaException

log = structlog.get_logger()


def name_of(failure: Exception) -> str:
    """Return what a failure is called; of Kafka's the code, which tells a denied right from a broker that is away."""
    error = failure.args[0] if isinstance(failure, KafkaException) and failure.args else None
    return f"{type(failure).__name__} {error.name()}" if isinstance(error, KafkaError) else type(failure).__name__


class Away:
    """What was said last of one looker; `who` names it."""

    def __init__(self, who: str) -> None:
        self._who = who
        self._said: str | None = None

    def met(self, failure: Exception) -> None:
        """A look failed: warn if it did not fail so before."""
        if (name := name_of(failure)) != self._said:
            log.warning("cannot look", who=self._who, because=name)
            self._said = name

    def over(self) -> None:
        """A look went well: say so if the one before did not."""
        if self._said is not None:
            log.info("looks again", who=self._who, after=self._said)
            self._said = None
