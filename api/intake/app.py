"""The intake application put together: its routes, its errors, its health."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api import docs, health, problems
from api.access import Gate
from api.intake import commands, contacts
from api.intake.parts import Parts

DESCRIPTION = """The only writer's door of the hotline: facts of its channels and commands of its operators.

Every request needs "Authorization: Bearer TOKEN", except /livez, /readyz, /metrics and /docs. Errors are application/problem+json with a
stable type, the field and the rule; they never repeat what was sent."""


def make_application(parts: Parts, gate: Gate, checks: Mapping[str, health.Check], api_port: int | None = None) -> FastAPI:
    """Return the application over `parts`; `gate` lets callers in, `checks` are asked by /readyz.

    `api_port` is where the query application's page lies, if this one shall name it.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await parts.watch.close()
        parts.threads.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(
        title="Hotline: intake",
        version="1",
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.parts, app.state.gate = parts, gate
    app.include_router(contacts.router)
    app.include_router(commands.router)
    health.install(app, checks)
    docs.install(app, ("Hotline: queries", api_port) if api_port else None)
    problems.install(app)
    return app
