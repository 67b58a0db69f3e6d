"""Errors of both applications: one form, a stable word, and not a word of what was sent."""

import asyncio
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query

from api import docs, health, problems
from api.problems import MEDIA_TYPE, PROBLEM_TYPES, Problem


def _app() -> FastAPI:
    app = FastAPI(title="Test <app>", docs_url=None, redoc_url=None)
    problems.install(app)
    health.install(app, {"first": _well, "second": _waits})
    docs.install(app)

    @app.get("/things/{number}", summary="One <thing>")
    async def thing(number: int, size: Annotated[int, Query(ge=1, description="how <large>")] = 1) -> int:
        if number == 7:
            raise RuntimeError("Глафира")
        if number == 8:
            raise Problem.of("not-reached", field=None, detail=None, headers={"Retry-After": "1"}, seen=None, more=[1])
        return size

    return app


async def _well() -> str | None:
    return None


async def _waits() -> str | None:
    return "something does not answer"


def _ask(path: str, method: str = "GET") -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(_app(), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "method", "status", "type_"),
    [
        ("/nowhere", "GET", 404, "not-found"),
        ("/things/1", "DELETE", 405, "method-not-allowed"),
        ("/things/Глафира", "GET", 422, "broken-rule"),
        ("/things/1?size=0", "GET", 422, "broken-rule"),
        ("/things/7", "GET", 500, "internal"),
        ("/things/8", "GET", 503, "not-reached"),
        ("/readyz", "GET", 503, "not-ready"),
    ],
)
def test_every_error_is_a_problem_that_repeats_nothing(path: str, method: str, status: int, type_: str) -> None:
    answer = _ask(path, method)

    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE)
    assert answer.json()["type"] == type_
    assert "Глафира" not in answer.text
    assert "RuntimeError" not in answer.text


def test_a_problem_says_what_it_knows_and_leaves_out_the_rest() -> None:
    answer = _ask("/things/8")

    assert answer.json() == {"type": "not-reached", "title": PROBLEM_TYPES["not-reached"][1], "status": 503, "more": [1]}
    assert answer.headers["retry-after"] == "1"


def test_a_broken_parameter_is_named() -> None:
    assert _ask("/things/1?size=0").json()["field"] == "size"


def test_an_application_that_waits_says_for_what() -> None:
    assert _ask("/readyz").json()["waits_for"] == {"second": "something does not answer"}
    assert _ask("/livez").status_code == 200


def test_figures_name_the_route_and_never_the_path() -> None:
    _ask("/things/12345?size=1")
    _ask("/Глафира")
    _ask("/things/1", "ГЛАФИРА")

    figures = _ask("/metrics").text

    assert 'route="/things/{number}",status="200"' in figures
    assert 'route="none",status="404"' in figures
    assert "12345" not in figures
    assert "Глафира" not in figures
    assert 'method="other"' in figures


def test_the_page_of_explanations_fetches_nothing_and_escapes_what_it_shows() -> None:
    page = _ask("/docs").text

    assert "GET /things/{number}" in page
    assert "One &lt;thing&gt;" in page
    assert "how &lt;large&gt;" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
