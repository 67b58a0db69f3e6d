"""The intake as a process: opens what it needs, serves until told to stop, closes in order."""

import asyncio
from threading import Event as Flag

from prometheus_client import Gauge

from api.access import open_gate
from api.health import Check
from api.intake.app import make_application
from api.intake.parts import Parts
from api.intake.watch import OutcomeWatch
from api.serving import serve
from events.reference import load as load_reference
from events.settings import Settings
from events.vault.files import FileStore
from events.vault.opening import open_vault
from events.vault.pool import reason_of
from events.vault.ring import KeyRing
from events.wire.codec import load_codec
from events.wire.publisher import Publisher

SOURCE = "hotline-intake"
KAFKA_ANSWERS_S = 1.0
KEYS_LEFT = Gauge("hotline_intake_keys_left", "Keys ready for sealing; at 0 nothing personal can be taken.")


def run(settings: Settings, stop: Flag) -> None:
    """Serve until `stop` is set. A vault or a Kafka that is away is waited for; raise what waiting can't heal."""
    ring = KeyRing(open_vault(settings), tell_failure=stop)
    publisher = Publisher(settings.kafka_access, load_codec(), SOURCE)
    parts = Parts(
        reference=load_reference(settings.reference),
        ring=ring,
        files=FileStore(settings.files_path),
        publisher=publisher,
        watch=OutcomeWatch(settings.database),
    )
    app = make_application(parts, open_gate(settings), {"kafka": kafka_check(publisher), "keys": keys_check(ring)}, settings.api_port)
    KEYS_LEFT.set_function(ring.keys_left)
    ring.start()
    try:
        serve(app, settings.bind, settings.intake_port, stop)
    finally:
        publisher.close()
        ring.close()
    if failure := ring.failure:
        raise failure


def kafka_check(publisher: Publisher) -> Check:
    """Return a check that asks Kafka, at most KAFKA_ANSWERS_S."""

    async def check() -> str | None:
        return None if await asyncio.to_thread(publisher.reachable, KAFKA_ANSWERS_S) else "Kafka does not answer"

    return check


def keys_check(ring: KeyRing) -> Check:
    """Return a check that says whether anything can be sealed."""

    async def check() -> str | None:
        if failure := ring.failure:
            return f"no new keys: {reason_of(failure)}"
        return None if ring.keys_left() else "no keys: the vault has not answered"

    return check
