"""The query application, put together: its routers in one list, health, docs, and what it holds while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from psycopg import Error

from api import docs, health, problems
from api.access import Gate
from api.queries import audit, catalogue, contacts, reading, retention, tickets
from api.queries.cards import CardsFirst
from api.queries.drift import DriftWatch
from api.queries.finality import Finality
from api.queries.lag import LagWatch
from api.queries.reading import Reading
from api.queries.registers import lines
from api.queries.streams import routes as streams
from api.queries.streams.live import Live
from events.reference import Reference
from events.wire.codec import load_codec
from events.wire.kafka import Kafka
from projectors.registry import projections
from projectors.ticket_versions import TICKET_VERSIONS

ROUTERS = (streams.router, tickets.router, contacts.router, audit.router, retention.router, lines.router, catalogue.router)

_ABOUT = """Read only. Every path under /v1 wants a bearer token with a role. Errors are application/problem+json with a stable `type`.
`?at_least=TOKEN` waits until the answer includes what the token includes; tokens come from the intake and from the header Position.
What lies on the topics behind all this, for clients of Kafka: /topics, and /asyncapi.yaml for programs."""


def make_application(database: str, kafka: Kafka, gate: Gate, reference: Reference, intake_port: int | None = None) -> CardsFirst:
    """Return the application over the read models in `database`; needs neither Postgres nor Kafka to start.

    `intake_port` is where the intake's page lies, if this one shall name it.
    """
    models = projections(reference)
    read = Reading(database)
    finality = Finality(TICKET_VERSIONS, reference.clocks.differ_s * 1_000_000)
    watch = LagWatch(read, kafka, models, finality)
    live = Live(read)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        load_codec()
        await read.open()
        watch.ends.start()
        looking = asyncio.gather(watch.keep_looking(), DriftWatch(read, reference.drift.window_s).keep_looking())
        yield
        await live.close()
        watch.ends.stop()
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
        await read.close()

    app = FastAPI(
        title="Hotline: queries", description=_ABOUT, version="1", docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan
    )
    app.state.gate, app.state.reading, app.state.lag, app.state.live = gate, read, watch, live
    app.state.reference, app.state.zone = reference, reference.service_zone
    app.state.retention = next(model for model in models if model.name == "retention")
    problems.install(app)
    reading.install(app)
    for router in ROUTERS:
        app.include_router(router)
    names = [model.name for model in models]
    health.install(app, {"read_models": lambda: _missing_views(read, names), "lag": watch.check})
    docs.install(app, ("Hotline: intake", intake_port) if intake_port else None, "/topics", "/asyncapi.yaml")
    return CardsFirst(app)


async def _missing_views(read: Reading, names: list[str]) -> str | None:
    """Say which read models have no view yet, for /readyz."""
    try:
        rows = await read.ask(
            lambda db: db.execute("SELECT name FROM unnest(%s::text[]) AS n (name) WHERE to_regclass(name) IS NULL", [names])
        )
        missing = [name for (name,) in await rows.fetchall()]
    except Error:
        return "Postgres does not answer"
    return f"not built yet: {', '.join(missing)}" if missing else None
