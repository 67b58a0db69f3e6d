"""`python -m tests.bench.bare PORT FILE`: Starlette with one route that answers the bytes of a file; the floor under the query application.

Uvicorn with the settings of `api.serving`, but nothing of ours in it: what our own protocol costs is part of what is measured.
"""

import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from api.serving import KEEP_ALIVE_S, LONGEST_QUEUE, MOST_AT_ONCE
from deploy.parts.ports import LOOPBACK


def main() -> None:
    """Serve the file."""
    card = Path(sys.argv[2]).read_bytes()

    async def answer(_: Request) -> Response:
        return Response(card, media_type="application/json")

    async def live(_: Request) -> Response:
        return Response(b"{}", media_type="application/json")

    uvicorn.run(
        Starlette(routes=[Route("/v1/tickets/{number}", answer), Route("/livez", live)]),
        host=LOOPBACK,
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=LONGEST_QUEUE,
        limit_concurrency=MOST_AT_ONCE,
        timeout_keep_alive=KEEP_ALIVE_S,
    )


if __name__ == "__main__":
    main()
