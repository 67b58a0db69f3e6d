"""The pages that explain: whole, open, fetching nothing; and what they say of bodies is what the applications take and answer."""

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from api.docs import page as docs_page
from api.intake.app import make_application as make_intake
from api.intake.forms import COMMAND, EXAMPLES, FORMS
from api.intake.words import WORDS
from api.problems import PROBLEM_TYPES
from api.queries.application import make_application as make_queries
from api.queries.catalogue import page
from events.catalogue import EVENT_TYPES
from events.channels.registry import BY_NAME
from events.reference import load
from events.wire.asyncapi import text
from events.wire.descriptions import describe
from events.wire.kafka import Kafka
from events.wire.schemas import load as load_schemas
from tests.api.intake.a_door import Door
from tests.api.tokens import gate

INTAKE_PORT, API_PORT = 8081, 8080
_LEADING_OUT = {"script", "link", "img", "iframe", "object", "embed", "audio", "video", "base", "form", "meta"}


class Page(HTMLParser):
    """What a page is made of, as a browser would find it."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.named: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        self.tags.add(tag)
        self.named |= {said["id"] or ""} if "id" in said else set()
        self.links += [said["href"] or ""] if tag == "a" else []
        self.fetched += [f"{tag} {name}" for name in said if name in ("src", "srcset", "data", "action", "background", "style")]
        self.fetched += [f"{tag} href" for name in said if name == "href" and tag != "a"]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> ends nothing"

    def handle_data(self, data: str) -> None:
        self.words += data


def _queries() -> ASGIApp:
    return make_queries("postgresql://127.0.0.1:1/none", Kafka("127.0.0.1:1"), gate(), load(), INTAKE_PORT)


@pytest.fixture
def intake(tmp_path: Path) -> Iterator[ASGIApp]:
    with Door(tmp_path) as door:
        yield make_intake(door.parts, gate(), {}, API_PORT)


def _get(app: ASGIApp, path: str, **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://hotline.example") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def _pages(intake: ASGIApp) -> list[str]:
    return [_get(intake, "/docs").text, _get(_queries(), "/docs").text, _get(_queries(), "/topics").text]


def test_every_page_is_whole_and_fetches_nothing(intake: ASGIApp) -> None:
    for markup in _pages(intake):
        seen = Page(markup)

        assert seen.tags & _LEADING_OUT == {"meta"}
        assert seen.fetched == []
        assert re.search(r"https?:|url\(|@import", markup) is None
        assert [link for link in seen.links if not re.match(r"#|/", link)] == []
        assert {link[1:] for link in seen.links if link[0] == "#"} <= seen.named
        assert [tag for tag in seen.open if tag != "html"] == []


def test_the_catalogue_is_open_to_everybody_and_says_what_it_is() -> None:
    document, topics = _get(_queries(), "/asyncapi.yaml"), _get(_queries(), "/topics")

    assert (document.status_code, document.headers["content-type"]) == (200, "application/yaml")
    assert document.text == text(describe())
    assert (topics.status_code, topics.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert topics.headers["content-security-policy"].startswith("default-src 'none'")


def test_each_page_names_the_pages_beside_it(intake: ASGIApp) -> None:
    first, second, topics = (Page(markup) for markup in _pages(intake))

    assert f"//hotline.example:{API_PORT}/docs" in first.links
    assert f"//hotline.example:{INTAKE_PORT}/docs" in second.links
    assert {"/topics", "/asyncapi.yaml"} <= set(second.links)
    assert {"/docs", "/asyncapi.yaml"} <= set(topics.links)


def test_a_link_is_never_taken_for_markup() -> None:
    markup = docs_page({"info": {"title": "Things"}, "paths": {}}, {'"><script>': '"><script>'})

    assert "<script" not in markup


def test_the_page_of_topics_says_all_there_is_to_say_of_each_topic_and_each_event() -> None:
    words = Page(page(describe())).words

    for topic in describe().topics:
        for said in (topic.name, topic.owner, topic.meaning, topic.key, topic.order, *topic.guarantees, *topic.written_by, *topic.read_by):
            assert said in words
    for guarantee in describe().guarantees:
        assert guarantee in words
    for kind in EVENT_TYPES:
        schema = load_schemas().latest_of(kind.event)
        for said in (
            schema.full_name,
            schema.schema["doc"],
            *schema.subjects,
            f"id {schema.id}",
            *(one["doc"] for one in schema.schema["fields"]),
        ):
            assert said in words
    assert "without end, never compacted" in words
    assert "1,096 days" in words
    assert "sealed: free text of the citizen" in words


def test_words_of_a_schema_are_never_taken_for_markup() -> None:
    catalogue = describe()
    field = replace(catalogue.events[0].fields[0], doc="<u>")
    spoilt = replace(catalogue.events[0], doc="<b>&</b>", fields=(field,), example={"detail": "</pre><script>"})

    markup = page(replace(catalogue, events=(spoilt,), guarantees=("<i>",)))

    assert "&lt;b&gt;&amp;&lt;/b&gt;" in markup
    assert Page(markup).tags & {"b", "i", "u", "script"} == set()


def test_the_intake_s_page_tells_every_message_it_takes_field_by_field(intake: ASGIApp) -> None:
    words = Page(_get(intake, "/docs").text).words

    assert FORMS.keys() == EXAMPLES.keys() == BY_NAME.keys()
    for form in (*(form for forms in FORMS.values() for form in forms), *(word.form for word in WORDS.values())):
        assert form.__name__ in words
        assert all((field.alias or name) in words for name, field in form.model_fields.items())
    assert "a ticket number: RU-2025-001234" in words
    assert "Гаризам кайчан каралачак?" in words


def test_both_pages_tell_every_type_of_problem(intake: ASGIApp) -> None:
    for app in (intake, _queries()):
        words = Page(_get(app, "/docs").text).words

        assert [name for name in PROBLEM_TYPES if name not in words] == []


@pytest.mark.parametrize("channel", EXAMPLES)
def test_the_example_of_a_channel_is_taken_at_the_door_and_answered_as_told(tmp_path: Path, channel: str) -> None:
    with Door(tmp_path) as door:
        told = _description(make_intake(door.parts, gate(), {}))["paths"]["/v1/contacts/{channel}"]["post"]["responses"]["202"]
        answer = door.contacts(channel, orjson.dumps(EXAMPLES[channel]))

    example = told["content"]["application/json"]["example"]
    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == example.keys()
    assert answer.json()["accepted"][0].keys() == example["accepted"][0].keys()


def test_the_example_of_a_command_is_taken_at_the_door(tmp_path: Path) -> None:
    with Door(tmp_path) as door:
        answer = door.command(dict(COMMAND))

    assert answer.status_code == 202, answer.text
    assert answer.json().keys() == {"position"}


def _description(app: ASGIApp) -> Any:
    return json.loads(_get(app, "/openapi.json").text)


def test_every_reference_in_a_description_leads_somewhere_and_errors_are_problems(tmp_path: Path) -> None:
    with Door(tmp_path) as door:
        apps: list[ASGIApp] = [_queries(), *(make_intake(door.parts, gate(), {}) for _ in range(2))]
    for app in apps:
        described = _description(app)
        references = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(described)))

        assert references <= described["components"]["schemas"].keys()
        assert "$defs" not in json.dumps(described)
        for path, methods in described["paths"].items():
            for operation in methods.values():
                assert "422" not in operation["responses"]
                assert operation["responses"]["default"]["content"].keys() == {"application/problem+json"}
                assert operation["security"] == ([{"bearer": []}] if path.startswith("/v1/") else [])
