"""The search for canaries finds one that is planted in clear, in every place it looks at; without this its silence would prove nothing."""

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

import psycopg
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client import CollectorRegistry, Counter, make_wsgi_app

from deploy.parts.ports import LOOPBACK, pick_free
from events.settings import Settings
from tests import canary
from tests.canary import Place

NAME, PHONE = "Канареев Зяблик Щеглович", "+7 900 000-73-19"
ANSWER_S = 10.0


def _found(places: Iterator[Place], value: str = NAME) -> set[str]:
    return {line.rpartition(": ")[0] for line in canary.search(places, [value])}


@pytest.fixture
def topic(stack: Settings) -> Iterator[str]:
    """A topic of this test's own, gone after it: what is planted there must not be found by anybody else."""
    name, admin = f"canary-{secrets.token_hex(4)}", AdminClient({"bootstrap.servers": stack.kafka_address})
    admin.create_topics([NewTopic(name, 1, 1)])[name].result(ANSWER_S)
    yield name
    admin.delete_topics([name])[name].result(ANSWER_S)


@pytest.mark.parts
def test_a_canary_in_a_record_is_found_in_its_key_its_headers_and_its_value(stack: Settings, topic: str) -> None:
    producer = Producer({"bootstrap.servers": stack.kafka_address, "compression.type": "zstd"})
    producer.produce(topic, key=NAME.encode(), value=b"-")
    producer.produce(topic, key=b"-", headers=[("ce_subject", NAME.encode())], value=b"-")
    producer.produce(topic, key=b"-", value=b"x" * 5000 + NAME.encode() + b"x" * 5000)
    assert producer.flush(ANSWER_S) == 0

    found = _found(canary.records(stack.kafka_address))

    assert found == {f"key of {topic}/0/0", f"header of {topic}/0/1", f"value of {topic}/0/2"}


@pytest.mark.parts
def test_a_canary_in_a_table_is_found_in_a_column_of_any_type(database: str) -> None:
    with psycopg.connect(database) as db:
        db.execute("CREATE SCHEMA aside")
        db.execute("CREATE TABLE aside.said (plain text, raw bytea, list bytea[], words text[], document jsonb, nothing text)")
        row = [NAME, NAME.encode("koi8-r"), [b"-", NAME.encode()], ["-", NAME], f'{{"name": "{NAME}"}}', "-"]
        db.execute("INSERT INTO aside.said VALUES (%s, %s, %s, %s, %s, %s)", row)

    found = _found(canary.columns(database))

    assert {where.rpartition(".")[2] for where in found} == {"plain", "raw", "list", "words", "document"}


def test_a_canary_in_a_log_or_a_stored_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "desk.log").write_text(f'{{"event": "refused", "name": "{NAME}"}}\n')
    (tmp_path / "logs" / "api.log").write_text("{}\n")
    (tmp_path / "logs" / f"{NAME}.log").write_text("")

    assert _found(canary.files(tmp_path / "logs")) == {"logs/desk.log", f"logs/{NAME}.log"}


def test_a_canary_in_a_figure_is_found() -> None:
    registry, port = CollectorRegistry(), pick_free(1)
    Counter("calls", "Calls by caller.", ("caller",), registry=registry).labels(NAME).inc()
    server = make_server(LOOPBACK, port, make_wsgi_app(registry), handler_class=_Silent)
    thread = Thread(target=server.handle_request)
    thread.start()

    try:
        assert _found(canary.metrics(port)) == {f"/metrics of port {port}"}
    finally:
        thread.join(ANSWER_S)
        server.server_close()


class _Silent(WSGIRequestHandler):
    def log_message(self, format: str, *words: object) -> None:
        pass


@pytest.mark.parametrize(
    "content",
    [
        NAME.upper().encode(),
        "и ещё Канареев".encode("windows-1251"),
        b"=?utf-8?b?" + base64.b64encode(f"-{NAME}-".encode()) + b"?=",
        base64.b64encode(f"--{NAME}--".encode("koi8-r")),
        NAME.encode().hex().encode(),
        NAME.encode("ascii", "backslashreplace"),
        b"name=%D0%9A%D0%B0%D0%BD%D0%B0%D1%80%D0%B5%D0%B5%D0%B2",
        "Канареев".encode("utf-16-le"),
    ],
    ids=["upper", "windows-1251", "header", "base64", "hex", "json", "percent", "utf-16"],
)
def test_a_canary_is_found_in_disguise(content: bytes) -> None:
    assert _found(iter([Place("here", content)])) == {"here"}


@pytest.mark.parametrize("content", [b"+79000007319", b"8 900 9000007319", b"+7 900 000-73-19"])
def test_a_phone_is_found_in_other_spellings(content: bytes) -> None:
    assert _found(iter([Place("here", content)]), PHONE) == {"here"}


def test_nothing_is_found_where_nothing_is_and_no_line_shows_the_value() -> None:
    assert canary.search([Place("here", b"registered"), Place("there", "Зяблик".encode())], [NAME, PHONE]) == []
    (line, *_) = canary.search([Place("here", NAME.encode())], [NAME])
    assert not any(form in line.encode() for form in canary.forms(NAME))
