"""What watches an application from outside: is it running, is it ready, and its figures for Prometheus. Open to everybody on the network.

Neither answer nor figure holds anything of a request but the route's pattern, the method and the status.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter

import orjson
from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem

#: Asked by /readyz: None when all is well, else what is waited for, in words for people.
Check = Callable[[], Awaitable[str | None]]

LONGEST_CHECK_S = 3

REQUEST_SECONDS = Histogram(
    "hotline_http_request_seconds",
    "Time from a request's head to the end of its answer, in seconds.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def install(app: FastAPI, checks: Mapping[str, Check]) -> None:
    """Give `app` the addresses /livez, /readyz and /metrics, and time its requests."""
    app.add_middleware(Timed)

    @app.get("/livez", tags=["health"], summary="The process runs")
    async def livez() -> Response:
        return Response(b'{"status":"running"}', media_type="application/json")

    @app.get("/readyz", tags=["health"], summary="It can do its work, or what it waits for")
    async def readyz() -> Response:
        found = dict(zip(checks, await asyncio.gather(*map(_found, checks.values())), strict=True))
        waiting = {name: words for name, words in found.items() if words is not None}
        if waiting:
            raise Problem.of("not-ready", headers={"Retry-After": "1"}, waits_for=waiting)
        return Response(orjson.dumps({"status": "ready", "checks": sorted(found)}), media_type="application/json")

    @app.get("/metrics", tags=["health"], summary="Figures for Prometheus")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _found(check: Check) -> str | None:
    """Return what a check found; one that is late is left to end by itself, for cancelling it may take as long."""
    asking = asyncio.ensure_future(check())
    await asyncio.wait({asking}, timeout=LONGEST_CHECK_S)
    return asking.result() if asking.done() else f"no answer within {LONGEST_CHECK_S} s"


class Timed:
    """Times each request under its route's pattern, never its path: a path may hold a number or worse."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = perf_counter(), "none"

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            REQUEST_SECONDS.labels(method, route, status).observe(perf_counter() - began)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
