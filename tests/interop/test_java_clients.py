"""Java programs of strangers: Kafka's console consumer with an Avro deserializer, and Kafka Connect with a sink into a table."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.parts.ports import pick_free
from events.envelope import TICKETS
from events.settings import Settings
from events.wire.schemas import topics
from tests.interop.conftest import CLIENTS
from tests.interop.java import jars, make_plugins, program, properties
from tests.interop.laid import Laid, that_count
from tests.waiting import until

_LIMIT_S = 250
_CONSOLE = "org.apache.kafka.tools.consumer.ConsoleConsumer"
_CONNECT = "org.apache.kafka.connect.cli.ConnectStandalone"


def _apicurio(settings: Settings) -> str:
    return f"http://127.0.0.1:{settings.registry_port}/apis/registry/v2"


def _as_java(value: Any) -> Any:
    """A decoded value as Avro's Java library writes it: fixed bytes as signed numbers, other bytes as letters of one byte."""
    if isinstance(value, bytes):
        return [byte - 256 if byte > 127 else byte for byte in value] if len(value) in (16, 32) else value.decode("latin-1")
    if isinstance(value, dict):
        return {name: _as_java(one) for name, one in value.items()}
    return [_as_java(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("topic", topics())
def test_the_console_consumer_decodes_every_topic(shop: Settings, records: dict[str, list[Laid]], tmp_path: Path, topic: str) -> None:
    file = properties(
        "console-consumer.properties", tmp_path / "console.properties", value_deserializer_apicurio_registry_url=_apicurio(shop)
    )
    wanted = records[topic]
    bounds = ("--from-beginning", "--max-messages", str(len(wanted)), "--timeout-ms", "30000")
    words = (*program(shop, _CONSOLE, *jars(shop, "apicurio")), "--bootstrap-server", shop.kafka_address, "--topic", topic, *bounds)

    said = subprocess.run(
        (*words, "--formatter-config", str(file)), check=True, capture_output=True, text=True, timeout=_LIMIT_S, cwd=tmp_path
    ).stdout

    read = {}
    for line in said.split("\n"):  # sealed bytes hold other ends of lines
        if line.startswith("Partition:"):  # not a line of the log
            partition, offset, _key, fields = line.split("|", 3)
            read[int(partition.split(":")[1]), int(offset.split(":")[1])] = json.loads(fields)
    assert read == {(one.partition, one.offset): _as_java(one.fields) for one in wanted}


@pytest.fixture
def warehouse(shop: Settings) -> Iterator[str]:
    """Address of a database of the data team's own, with the tables of the example."""
    with psycopg.connect(shop.database, autocommit=True) as db:
        db.execute("CREATE DATABASE warehouse")
    address = shop.database.replace("/hotline?", "/warehouse?")
    with psycopg.connect(address, autocommit=True) as db:
        db.execute((CLIENTS / "connect" / "tickets.sql").read_bytes())
    yield address
    with psycopg.connect(shop.database, autocommit=True) as db:
        db.execute("DROP DATABASE warehouse WITH (FORCE)")


@pytest.fixture
def worker(shop: Settings, warehouse: str, tmp_path: Path) -> tuple[str, ...]:
    """Words that start the worked example of Connect."""
    make_plugins(shop, tmp_path / "plugins")
    password = (shop.folder / "postgres.pass").read_text().strip().rsplit(":", 1)[1]
    told = properties(
        "connect/worker.properties",
        tmp_path / "worker.properties",
        bootstrap_servers=shop.kafka_address,
        plugin_path=str(tmp_path / "plugins"),
        offset_storage_file_filename=str(tmp_path / "offsets"),
        listeners=f"http://127.0.0.1:{pick_free(1)}",
        value_converter_apicurio_registry_url=_apicurio(shop),
    )
    sink = properties(
        "connect/tickets-sink.properties",
        tmp_path / "sink.properties",
        connection_url=f"jdbc:postgresql://127.0.0.1:{shop.postgres_port}/warehouse",
        connection_username="postgres",
        connection_password=password,
    )
    return (*program(shop, _CONNECT), str(told), str(sink))


@pytest.mark.timeout(2 * _LIMIT_S + 60)
def test_the_sink_fills_a_table_and_its_view_holds_each_valid_decision_once(
    shop: Settings, records: dict[str, list[Laid]], warehouse: str, worker: tuple[str, ...], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    with psycopg.connect(warehouse, autocommit=True) as db:
        _work_until(worker, log, db, 1)  # killed as soon as something is there; what comes again is the same row
        _work_until(worker, log, db, len(records[TICKETS]))
        kept = {(number, version): event for number, version, event in db.execute("SELECT number, version, event_id FROM tickets_valid")}
        holes = db.execute("SELECT * FROM tickets_holes").fetchall()
        rows = db.execute("SELECT __connect_partition, __connect_offset, type FROM tickets_log").fetchall()

    assert kept == that_count(records[TICKETS])
    assert holes == []
    assert sorted(rows) == [(one.partition, one.offset, one.type) for one in records[TICKETS]]


def _work_until(worker: tuple[str, ...], log: Path, db: "psycopg.Connection[Any]", enough: int) -> None:
    """Let the worker run until that many rows are there; then kill it."""
    with log.open("ab") as out:
        running = subprocess.Popen(worker, stdout=out, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        until(lambda: _is_alive(running, log) and _rows(db) >= enough, _LIMIT_S)
    finally:
        running.kill()
        running.wait(_LIMIT_S)


def _is_alive(running: "subprocess.Popen[bytes]", log: Path) -> bool:
    said = log.read_text("utf-8", errors="replace")
    assert running.poll() is None, said[-3000:]
    failed = re.search(r"Task threw an uncaught and unrecoverable exception.*", said)
    assert failed is None, said[failed.start() :][:3000] if failed else ""
    return True


def _rows(db: "psycopg.Connection[Any]") -> int:
    (count,) = db.execute("SELECT count(*) FROM tickets_log").fetchone() or (0,)
    return int(count)
