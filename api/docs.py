"""The page that explains an application, made from its own description: one static page, no script, nothing fetched from elsewhere."""

from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #bbb; margin-top: 1.5rem } code { background: #eee; padding: 0 .3em }
h2 code { font-size: 1.1rem } pre { white-space: pre-wrap } td, th { text-align: left; padding: .1rem 1rem .1rem 0; vertical-align: top }
"""


def install(app: FastAPI) -> None:
    """Give `app` the address /docs. The machine-readable description stays at /openapi.json."""

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(page(app.openapi()))


def page(description: dict[str, Any]) -> str:
    """Return the page for an OpenAPI description."""
    title = escape(description["info"]["title"])
    intro = escape(description["info"].get("description", ""))
    body = "\n".join(_operation(path, method, told) for path, methods in description["paths"].items() for method, told in methods.items())
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'{head}<h1>{title}</h1><pre>{intro}</pre><p>For programs: <a href="/openapi.json">openapi.json</a></p>\n{body}</html>\n'


def _operation(path: str, method: str, told: dict[str, Any]) -> str:
    rows = "".join(_parameters(told))
    table = f"<table><tr><th>parameter</th><th>in</th><th>what</th></tr>{rows}</table>" if rows else ""
    answers = ", ".join(f"{escape(status)} {escape(answer.get('description', ''))}" for status, answer in told.get("responses", {}).items())
    words = f"<p>{escape(told.get('summary', ''))}</p><pre>{escape(told.get('description', ''))}</pre>"
    return f"<section><h2><code>{escape(method.upper())} {escape(path)}</code></h2>{words}{table}<p>Answers: {answers}</p></section>"


def _parameters(told: dict[str, Any]) -> Iterator[str]:
    for parameter in told.get("parameters", ()):
        name, place, what = (escape(str(parameter.get(key, ""))) for key in ("name", "in", "description"))
        yield f"<tr><td><code>{name}</code></td><td>{place}</td><td>{what}</td></tr>"
