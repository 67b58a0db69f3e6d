"""How an application is served: one uvicorn server that stops when it is told, within a bound. Knows nothing of what it serves."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event as Flag

import uvicorn
from starlette.types import ASGIApp

from api.heads import BoundHeads

GRACE_S = 10
KEEP_ALIVE_S = 60  # longer than most clients keep a connection, so that they and not we close it
LONGEST_QUEUE = 1_024  # connections that were not accepted yet
MOST_AT_ONCE = 8_000  # connections, or requests under way, beyond which a request is answered 503 at once
_LOOK_S = 0.05


class PortTaken(Exception):
    """The address to listen on can't be had; another program uses it."""


class _Server(uvicorn.Server):
    """Leaves signals to the process that runs it: its stop flag is enough."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(app: ASGIApp, host: str, port: int, stop: Flag, end_streams: Callable[[], None] | None = None) -> None:
    """Serve `app` until `stop` is set, then finish what is under way, at most GRACE_S; raise PortTaken.

    `end_streams` ends answers that would go on for ever; it is called when the end begins.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=BoundHeads,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=LONGEST_QUEUE,
        limit_concurrency=MOST_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(server, stop, end_streams))


async def _serve(server: uvicorn.Server, stop: Flag, end_streams: Callable[[], None] | None) -> None:
    watch = asyncio.create_task(_stop_when_told(server, stop, end_streams))
    try:
        await server.serve()
    except SystemExit:  # uvicorn's answer to an address it can't bind
        raise PortTaken(f"{server.config.host}:{server.config.port}") from None
    finally:
        watch.cancel()


async def _stop_when_told(server: uvicorn.Server, stop: Flag, end_streams: Callable[[], None] | None) -> None:
    while not stop.is_set():
        await asyncio.sleep(_LOOK_S)
    if end_streams is not None:
        end_streams()
    server.should_exit = True
