"""Errors as every client of both applications gets them: `application/problem+json` (RFC 9457) with a stable `type` word.

The one table of types stands here. A problem names the field and the rule, never what was sent: values may be a person's.
"""

from collections.abc import Mapping

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

#: Every type of problem: its status and what it says to people. Types are for ever; titles may be put better.
PROBLEM_TYPES: Mapping[str, tuple[int, str]] = {
    "unreadable": (400, "The request can't be read"),
    "bad-token": (400, "This is no position token"),
    "bad-cursor": (400, "This cursor does not belong to this question"),
    "bad-filter": (400, "A filter can't be understood"),
    "unauthorised": (401, "A valid access token is required"),
    "forbidden": (403, "The token's role does not allow this"),
    "not-found": (404, "Nothing lies under this address"),
    "unknown-channel": (404, "There is no such channel"),
    "unknown-ticket": (404, "There is no such ticket"),
    "unknown-contact": (404, "There is no such contact"),
    "method-not-allowed": (405, "This address does not know the method"),
    "too-slow": (408, "The request did not arrive in time"),
    "stale-version": (409, "The ticket has moved on"),
    "gone": (410, "What was asked for is not held any longer"),
    "too-large": (413, "The request is larger than the limit"),
    "wrong-type": (415, "This type of content is not taken here"),
    "broken-rule": (422, "The request breaks a rule"),
    "refused": (422, "The rules of a ticket's life do not allow this"),
    "too-many-requests": (429, "Too many requests are under way"),
    "head-too-large": (431, "The request's head is larger than the limit"),
    "internal": (500, "Something failed here"),
    "part-down": (503, "A part does not answer; nothing was taken"),
    "out-of-keys": (503, "Nothing can be sealed now; nothing was taken"),
    "not-ready": (503, "The application is not ready"),
    "not-reached": (503, "The position asked for was not reached in time"),
    "outcome-unknown": (504, "It is not known whether this was taken: repeat it unchanged"),
}


class Problem(Exception):
    """An answer that is an error. `members` are further members of the document; none may hold a person's data."""

    def __init__(
        self,
        status: int,
        type_: str,
        title: str,
        *,
        field: str | None = None,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(type_)
        self.status, self.headers = status, dict(headers or {})
        told: dict[str, object] = {"type": type_, "title": title, "status": status, "detail": detail, "field": field, **members}
        self.document = {name: value for name, value in told.items() if value is not None}

    @classmethod
    def of(
        cls, type_: str, *, field: str | None = None, detail: str | None = None, headers: Mapping[str, str] | None = None, **members: object
    ) -> "Problem":
        """Return the problem of this type of PROBLEM_TYPES."""
        status, title = PROBLEM_TYPES[type_]
        problem = cls(status, type_, title, field=field, detail=detail, headers=headers)
        problem.document.update({name: value for name, value in members.items() if value is not None})
        return problem

    def answer(self) -> Response:
        """Return it as an HTTP answer."""
        return Response(orjson.dumps(self.document), self.status, self.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let `app` answer every error as a problem, its framework's own ones too."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, unforeseen)


async def _problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.answer()


async def _invalid(_: Request, invalid: Exception) -> Response:
    """Name the first parameter that breaks its rule; pydantic's own text would repeat the value."""
    assert isinstance(invalid, RequestValidationError)
    first = invalid.errors()[0]
    return Problem.of("broken-rule", field=".".join(str(step) for step in first["loc"][1:]), rule=first["type"]).answer()


_BY_STATUS = {404: "not-found", 405: "method-not-allowed"}


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = _BY_STATUS.get(error.status_code)
    if known:
        return Problem.of(known, headers=error.headers).answer()
    return Problem(error.status_code, "unreadable", "The request can't be answered", headers=error.headers).answer()


async def unforeseen(_: Request, __: Exception) -> Response:
    """Answer what nobody foresaw, and say nothing of it to the outside; the server logs its type and place."""
    return Problem.of("internal").answer()
