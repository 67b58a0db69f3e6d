"""The intake as it is run: a real server on a real Kafka and a real vault, and each of them away in turn."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx
import orjson
import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from pydantic import SecretStr

from api.intake.serve import run
from deploy.parts.ports import pick_free
from events.calls import CallStarted
from events.settings import Settings
from events.vault.opening import open_vault
from events.vault.sealing import parse, unseal
from events.wire.codec import load_codec
from projectors.tokens import Token
from tests.api.intake.test_contacts import CALL
from tests.api.tokens import bearer, write_keys

pytestmark = pytest.mark.parts
UP_LIMIT_S = 20.0


@dataclass(frozen=True)
class Served:
    """A running intake."""

    settings: Settings
    client: httpx.Client

    def send(self, channel: str, content: bytes, kind: str = "application/json") -> httpx.Response:
        return self.client.post(f"/v1/contacts/{channel}", content=content, headers=bearer() | {"Content-Type": kind})


@contextmanager
def served(settings: Settings, ready_when: int = 200) -> Iterator[Served]:
    """Run the intake until the block ends; begin when /readyz answers so."""
    stop = Event()
    thread = Thread(target=run, args=(settings, stop), name="served-intake")
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.intake_port}", timeout=30.0, trust_env=False) as client:
        thread.start()
        try:
            _wait_until(client, ready_when)
            yield Served(settings, client)
        finally:
            stop.set()
            thread.join(UP_LIMIT_S)
    assert not thread.is_alive()


def _wait_until(client: httpx.Client, status: int) -> None:
    """Ask /readyz until it answers with `status`; the pause between two questions is the connection's own time-out."""
    wait, found = Event(), 0
    for _ in range(int(UP_LIMIT_S / 0.05)):
        try:
            found = client.get("/readyz").status_code
        except httpx.TransportError:
            found = 0
        if found == status:
            return
        wait.wait(0.05)
    raise AssertionError(f"/readyz answers {found}, not {status}")


@pytest.fixture
def settings(stack: Settings, database: str, tmp_path: Path) -> Settings:
    """Settings of an intake with a home, a vault and a port of its own."""
    (tmp_path / "master.key").write_text(secrets.token_hex(32))
    write_keys(tmp_path)
    address = {"kafka": stack.kafka_address, "database_url": database, "vault_url": database}
    return Settings.model_validate({"home": tmp_path, "intake_port": pick_free(1), **address})


def _records(settings: Settings, position: str) -> list[tuple[bytes | None, bytes | None]]:
    """Return key and value of the last record of each partition that a token names."""
    found = []
    for (topic, partition), offset in Token.parse(position).items():
        consumer = Consumer({"bootstrap.servers": settings.kafka_address, "group.id": "none", "enable.auto.commit": False})
        consumer.assign([TopicPartition(topic, partition, offset)])
        message = consumer.poll(10.0)
        assert message is not None
        assert message.error() is None
        found.append((message.key(), message.value()))
        consumer.close()
    return found


def test_a_call_is_on_kafka_sealed_when_the_caller_hears_yes_and_each_repeat_has_its_ids(settings: Settings) -> None:
    with served(settings) as intake:
        answers = [intake.send("phone", orjson.dumps(CALL)) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [202] * 5
        assert len({answer.json()["accepted"][0]["event_id"] for answer in answers}) == 1
        ((key, value),) = _records(settings, answers[-1].json()["position"])

    assert key is not None
    assert key.decode() == answers[0].json()["accepted"][0]["contact_id"]
    assert value is not None
    event = load_codec().decode(value)
    assert isinstance(event, CallStarted)
    assert event.event_id.hex() == answers[0].json()["accepted"][0]["event_id"]
    assert event.phone is not None
    assert CALL["phone"].encode() not in value
    assert unseal(open_vault(settings).key(parse(event.phone).key_id), event.phone).decode() == CALL["phone"]


def test_two_megabytes_of_json_are_refused_with_the_limit_and_the_connection_lives_on(settings: Settings) -> None:
    with served(settings) as intake:
        answer = intake.send("phone", b"[" + b" " * 2_000_000 + b"]")

        assert (answer.status_code, answer.json()["limit"], answer.json()["limit_bytes"]) == (413, "json_bytes", 1_000_000)
        assert intake.send("phone", orjson.dumps(CALL)).status_code == 202


def test_a_letter_of_twenty_megabytes_is_taken_and_one_beyond_the_limit_is_not(settings: Settings) -> None:
    head = b"From: =?utf-8?b?0JPQu9Cw0YTQuNGA0LA=?= <g@example.ru>\r\nMessage-ID: <big@example.ru>\r\nSubject: scan\r\n\r\n"
    with served(settings) as intake:
        taken = intake.send("email", head + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 256_000, "message/rfc822")
        refused = intake.send("email", head + b"z" * 30_000_001, "message/rfc822")

    assert taken.status_code == 202, taken.text
    assert [accepted["type"] for accepted in taken.json()["accepted"]] == ["hotline.letters.LetterReceived"]
    assert (refused.status_code, refused.json()["limit"]) == (413, "letter_bytes")


def test_with_kafka_away_nobody_hears_yes(settings: Settings) -> None:
    away = settings.model_copy(update={"kafka": f"127.0.0.1:{pick_free(1)}"})
    with served(away, ready_when=503) as intake:
        intake.client.get("/livez").raise_for_status()
        _wait_for_keys(intake)

        answer = intake.send("phone", orjson.dumps(CALL))

    assert (answer.status_code, answer.json()["type"]) in {(503, "part-down"), (504, "outcome-unknown")}


def test_an_intake_that_starts_before_the_vault_waits_for_it_and_never_falls(settings: Settings, stack: Settings) -> None:
    name = f"t_late_{secrets.token_hex(6)}"
    late = settings.model_copy(update={"vault_url": SecretStr(stack.database.replace("/hotline?", f"/{name}?"))})
    with ExitStack() as cleanup, served(late, ready_when=503) as intake:
        refused = intake.send("phone", orjson.dumps(CALL))
        with psycopg.connect(stack.database, autocommit=True) as db:
            db.execute(f"CREATE DATABASE {name}".encode())
        cleanup.callback(_drop, stack.database, name)
        _wait_until(intake.client, 200)

        taken = intake.send("phone", orjson.dumps(CALL))

    assert (refused.status_code, refused.json()["part"]) == (503, "vault")
    assert taken.status_code == 202


def test_a_command_is_published_though_the_read_models_are_away(settings: Settings) -> None:
    command = {"command": "take", "ticket": "RU-2025-000001", "queue": "accounts"}
    away = settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:1/x")})
    with served(away) as intake:
        headers = bearer("operator", "op-17") | {"Idempotency-Key": secrets.token_hex(8)}
        answer = intake.client.post("/v1/commands?wait_ms=10000", json=command, headers=headers)

        assert answer.status_code == 202
        ((key, _),) = _records(settings, answer.json()["position"])

    assert key == b"RU-2025-000001"


def _wait_for_keys(intake: Served) -> None:
    wait = Event()
    for _ in range(int(UP_LIMIT_S / 0.05)):
        if "keys" not in intake.client.get("/readyz").json()["waits_for"]:
            return
        wait.wait(0.05)
    raise AssertionError("no keys")


def _drop(address: str, name: str) -> None:
    with psycopg.connect(address, autocommit=True) as db:
        db.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
