"""A steady load of facts, each published once and never repeated, and what its publisher was told of each: ok, refused or unknown."""

import secrets
from concurrent.futures import Future
from functools import partial
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic
from typing import NamedTuple

from events.places import Place
from events.wire.codec import load_codec
from events.wire.kafka import Kafka
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher
from tests.consumers.facts import call_started

EVERY_S = 0.02
_CLOSE_LIMIT_S = 20.0


class Told(NamedTuple):
    """What became of one publishing; times are those of `monotonic`."""

    event_id: bytes
    submitted_at_s: float
    settled_at_s: float
    outcome: str  # ok, refused, unknown
    place: Place | None
    reason: str = ""


class Load:
    """Publishes fifty facts a second on hotline.contacts until `stop`, over all partitions, whatever becomes of them."""

    def __init__(self, kafka: Kafka, patience_s: float) -> None:
        """`patience_s` is how long a record may wait for Kafka before its outcome is called unknown; 0 is for ever."""
        self._publisher = Publisher(kafka, load_codec(), "/tests", delivery_timeout_s=patience_s)
        self._stop, self._lock = Flag(), Lock()
        self._told: list[Told] = []
        self._thread = Thread(target=self._publish, name="load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Submit no more, and hear the answers to all that was submitted."""
        self._stop.set()
        self._thread.join(_CLOSE_LIMIT_S)
        self._publisher.close(_CLOSE_LIMIT_S)

    def told(self, outcome: str | None = None, since_s: float = 0.0) -> list[Told]:
        """Return what was told of the records submitted since then, of one outcome or of all."""
        with self._lock:
            return [one for one in self._told if one.submitted_at_s >= since_s and outcome in (None, one.outcome)]

    def acknowledged_s(self, since_s: float) -> dict[int, float]:
        """Return for each partition how long after `since_s` the first record submitted since then was acknowledged."""
        found: dict[int, float] = {}
        for one in self.told("ok", since_s):
            assert one.place is not None
            found[one.place.partition] = min(found.get(one.place.partition, one.settled_at_s - since_s), one.settled_at_s - since_s)
        return found

    def _publish(self) -> None:
        while not self._stop.wait(EVERY_S):
            event_id = secrets.token_bytes(16)
            fact = call_started(event_id.hex(), event_id=event_id)
            self._publisher.submit(fact).add_done_callback(partial(self._settle, event_id, monotonic()))

    def _settle(self, event_id: bytes, submitted_at_s: float, answer: "Future[Place]") -> None:
        failure = answer.exception()
        outcome = {type(None): "ok", NotTaken: "refused", OutcomeUnknown: "unknown"}[type(failure)]
        place = answer.result() if failure is None else None
        with self._lock:
            self._told.append(Told(event_id, submitted_at_s, monotonic(), outcome, place, str(failure or "")))
