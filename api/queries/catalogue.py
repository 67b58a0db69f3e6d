"""The catalogue of topics: `/asyncapi.yaml` for programs and `/topics` for people. Open to everybody, like /docs: it holds no data.

The page needs neither a script nor a style nor anything from elsewhere to be read.
"""

from functools import cache
from html import escape

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from api.docs import answer, sheet, shown, table
from events.wire import asyncapi
from events.wire.descriptions import Catalogue, Described, Field, describe, kept_for
from events.wire.schemas import Topic

router = APIRouter(include_in_schema=False)

_ABOUT = """<p>What the hotline publishes on Kafka, for teams that read it with clients of their own.
For programs: <a href="/asyncapi.yaml">asyncapi.yaml</a> (AsyncAPI 3.0). What may be asked over HTTP: <a href="/docs">docs</a>.</p>
<p>A value is one zero byte, the schema's id in four bytes (most significant first), then the record in Avro's binary encoding: what
deserializers of Confluent's kind expect. Headers: <code>ce_id</code> (event_id in hex), <code>ce_type</code> (full name of the record),
<code>ce_source</code>, <code>ce_specversion</code>, and <code>traceparent</code> where a trace is known. The subject of a schema is the
topic, a hyphen, and the record's full name. In examples ids and sealed values stand in hex.</p>"""


@router.get("/asyncapi.yaml")
async def document() -> Response:
    """Return the document."""
    return Response(_made()[0], media_type=asyncapi.MEDIA_TYPE)


@router.get("/topics")
async def topics() -> HTMLResponse:
    """Return the page."""
    return answer(_made()[1])


@cache
def _made() -> tuple[str, str]:
    """Make both once: anybody may ask for them."""
    catalogue = describe()
    return asyncapi.text(catalogue), page(catalogue)


def page(catalogue: Catalogue) -> str:
    """Return the page: what holds everywhere, then each topic, then each event once."""
    places = "".join(f'<li><a href="#{escape(one.name)}">{escape(one.name)}</a>: {escape(one.holds)}</li>' for one in catalogue.topics)
    everywhere = f"<section><h2>What holds for every topic</h2>{_list(catalogue.guarantees)}</section>"
    told = "\n".join(_topic(topic, catalogue.on(topic.name)) for topic in catalogue.topics)
    events = "\n".join(_event(event) for event in catalogue.events)
    return sheet("Hotline: topics", f"{_ABOUT}<ul>{places}</ul>\n{everywhere}\n{told}\n<h1>Events</h1>\n{events}")


def _topic(topic: Topic, events: list[Described]) -> str:
    facts = [
        ("owner", topic.owner),
        ("holds", topic.holds),
        ("key", topic.key),
        ("order", topic.order),
        ("partitions", f"{topic.partitions}, for good; partitioner murmur2_random"),
        ("kept", f"{kept_for(topic)}, never compacted"),
        ("written by", f"{', '.join(topic.written_by)}, and nobody else"),
        ("read by", ", ".join(topic.read_by)),
        ("sealed", _sealed(events)),
    ]
    names = "".join(f'<li><a href="#{escape(one.name)}">{escape(one.name)}</a>: {escape(one.doc)}</li>' for one in events)
    head = f'<section id="{escape(topic.name)}"><h2>{escape(topic.name)}</h2><p>{escape(topic.meaning)}</p>'
    return (
        f"{head}{table(('what', 'in words'), facts)}<h3>Guarantees</h3>{_list(topic.guarantees)}<h3>Events</h3><ul>{names}</ul></section>"
    )


def _sealed(events: list[Described]) -> str:
    kinds = sorted({f"{kind} of the {of}" for event in events for field in event.sealed for of, kind in [field.sealed or ("", "")]})
    return ", ".join(kinds) if kinds else "nothing; there is nothing personal here"


def _event(event: Described) -> str:
    ids = [
        (f"{topic}-{event.name}", ", ".join(f"{version.number} (id {version.id})" for version in event.versions)) for topic in event.topics
    ]
    fields = table(("field", "type", "meaning", "in clear or sealed", "default"), [_row(field) for field in event.fields])
    head = f'<section id="{escape(event.name)}"><h2>{escape(event.name)}</h2><p>{escape(event.doc)}</p>'
    example = f"<h3>Example</h3><p>Under the key <code>{escape(event.example_key)}</code>:</p>{shown(event.example)}"
    return f"{head}{table(('subject', 'versions'), ids)}<h3>Fields</h3>{fields}{example}</section>"


def _row(field: Field) -> tuple[str, ...]:
    tag = f"sealed: {field.sealed[1]} of the {field.sealed[0]}" if field.sealed else f"in clear: {field.code}" if field.code else ""
    return field.path, field.type, field.doc, tag, field.default or ""


def _list(lines: tuple[str, ...]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
