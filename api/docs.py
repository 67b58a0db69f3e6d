"""The pages that explain an application, made from its own description: static, no script, nothing fetched from elsewhere.

What the framework can't see of an application it says wrongly or not at all, so the description is put right here: every error is a
problem, what lies under /v1 wants a bearer token, and the forms of bodies that routes read themselves stand among the components.
"""

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from functools import cache
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from api import problems

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #bbb; margin-top: 1.5rem } code { background: #eee; padding: 0 .3em }
h2 code { font-size: 1.1rem } pre { white-space: pre-wrap; overflow-wrap: anywhere }
td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
"""
#: Lets the page's own style through and nothing else, should a word ever be taken for markup.
_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457). Which members there are depends on the type; never one that repeats what was sent.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "enum": list(problems.PROBLEM_TYPES), "description": "Stable word; act on this one."},
        "title": {"type": "string", "description": "The same for people."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "field": {"type": "string", "description": "The field at fault."},
        "rule": {"type": "string", "description": "The rule that it breaks."},
        "detail": {"type": "string", "description": "What would be right."},
    },
}
_PROBLEM_ANSWER = {
    "description": "A problem",
    "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def install(app: FastAPI, neighbour: tuple[str, int] | None = None, *more: str) -> None:
    """Give `app` the address /docs; the machine-readable description stays at /openapi.json.

    The page names `neighbour`, title and port of the other application on this machine, and `more` pages of `app` by their addresses.
    """
    plain = app.openapi
    app.openapi = cache(lambda: _put_right(deepcopy(plain())))  # type: ignore[method-assign]  # the framework's way to change it

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        beside = f"//{request.url.hostname}:{neighbour[1]}/docs" if neighbour else ""
        links = {"openapi.json": "/openapi.json", **{path[1:]: path for path in more}, **({neighbour[0]: beside} if neighbour else {})}
        return answer(page(app.openapi(), links))


def answer(text: str) -> HTMLResponse:
    """Return a page of explanations as an answer."""
    return HTMLResponse(text, headers=_HEADERS)


def sheet(title: str, body: str) -> str:
    """Return a whole page; `body` is markup."""
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f"{head}<h1>{escape(title)}</h1>{body}</html>\n"


def table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table of plain text, the first column as code; nothing without rows."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    lines = (f"<tr><td><code>{escape(row[0])}</code></td>{''.join(f'<td>{escape(cell)}</td>' for cell in row[1:])}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{''.join(lines)}</table>"


def shown(value: object) -> str:
    """Return a value as JSON for a page."""
    return f"<pre>{escape(json.dumps(value, ensure_ascii=False, indent=2))}</pre>"


def _put_right(description: dict[str, Any]) -> dict[str, Any]:
    components = description.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for never_sent in ("HTTPValidationError", "ValidationError"):
        schemas.pop(never_sent, None)
    schemas["Problem"] = _PROBLEM
    components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
    for path, methods in description["paths"].items():
        for told in methods.values():
            told["responses"].pop("422", None)  # it had the framework's own form
            told["responses"]["default"] = _PROBLEM_ANSWER
            told["security"] = [{"bearer": []}] if path.startswith("/v1/") else []
            schemas |= _definitions(told)
    return description


def _definitions(part: Any) -> dict[str, Any]:
    """Take definitions out of the schemas in `part`; their references already lead to the components."""
    if isinstance(part, list):
        return {name: one for inner in part for name, one in _definitions(inner).items()}
    if not isinstance(part, dict):
        return {}
    found = part.pop("$defs", {})
    return {**found, **{name: one for inner in part.values() for name, one in _definitions(inner).items()}}


def page(description: dict[str, Any], links: Mapping[str, str]) -> str:
    """Return the page for an OpenAPI description, with links by their words."""
    intro = f"<pre>{escape(description['info'].get('description', ''))}</pre>"
    named = " · ".join(f'<a href="{escape(address)}">{escape(words)}</a>' for words, address in links.items())
    body = "\n".join(_operation(path, method, told) for path, methods in description["paths"].items() for method, told in methods.items())
    kinds = [(name, str(status), title) for name, (status, title) in problems.PROBLEM_TYPES.items()]
    errors = f"<section><h2>Problems</h2>{_fields(_PROBLEM)}{table(('type', 'status', 'title'), kinds)}</section>"
    return sheet(description["info"]["title"], f"{intro}<p>{named}</p>\n{body}{errors}")


def _operation(path: str, method: str, told: dict[str, Any]) -> str:
    words = f"<p>{escape(told.get('summary', ''))}</p><pre>{escape(told.get('description', ''))}</pre>"
    parameters = [tuple(str(one.get(key, "")) for key in ("name", "in", "description")) for one in told.get("parameters", ())]
    body = "".join(_content(kind, one) for kind, one in told.get("requestBody", {}).get("content", {}).items())
    answers = "".join(_answer(status, one) for status, one in told.get("responses", {}).items() if status != "default")
    head = f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2>"
    return f"{head}{words}{table(('parameter', 'in', 'what'), parameters)}{body}{answers}</section>"


def _content(kind: str, one: dict[str, Any]) -> str:
    schema = one["schema"]
    forms = "".join(f"<h4>{escape(form['title'])}</h4>{_fields(form)}" for form in schema.get("anyOf", ()))
    examples = "".join(f"<h4>Example: {escape(name)}</h4>{shown(inner['value'])}" for name, inner in one.get("examples", {}).items())
    return f"<h3>Body: <code>{escape(kind)}</code></h3><p>{escape(schema.get('description', ''))}</p>{forms}{examples}"


def _answer(status: str, told: dict[str, Any]) -> str:
    examples = "".join(shown(one["example"]) for one in told.get("content", {}).values() if "example" in one)
    return f"<h3>Answer {escape(status)}</h3><p>{escape(told.get('description', ''))}</p>{examples}"


def _fields(form: dict[str, Any]) -> str:
    needed = form.get("required", ())
    rows = [(name, "yes" if name in needed else "", _type(one), _what(one)) for name, one in form.get("properties", {}).items()]
    return f"<p>{escape(form.get('description', ''))}</p>{table(('field', 'needed', 'type', 'what'), rows)}"


def _what(schema: dict[str, Any]) -> str:
    return str(schema.get("description") or " ".join(_what(one) for one in schema.get("anyOf", ())).strip())


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return ", ".join(json.dumps(word) for word in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    return f"list of {_type(schema['items'])}" if schema.get("type") == "array" else str(schema.get("type", "anything"))
