"""Kafka and Postgres for a session of tests out of containers instead of local parts: `HOTLINE_TEST_PARTS=containers`.

The broker gets the settings of the local one, the images are those of deploy/compose.yaml. Whether an engine answers is asked of its socket
within a bound, before anything of testcontainers is imported: that library waits for a silent one for more than a minute.
"""

import os
import secrets
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr

from deploy.parts.kafka import FROZEN, copies, kafka_answers
from deploy.parts.local import wait_until
from deploy.parts.ports import LOOPBACK
from deploy.probes import database_answers
from events.settings import Settings

KAFKA_IMAGE, POSTGRES_IMAGE = "apache/kafka:4.3.1", "postgres:18"
PING_LIMIT_S = 1.0
START_LIMIT_S = 120.0
_ENGINE = "unix:///var/run/docker.sock"
_ENGINE_PORT = 2375


class NoContainers(Exception):
    """No container can be had here; the message says why."""


@contextmanager
def in_containers(first_port: int) -> Iterator[Settings]:
    """Settings of a Kafka on `first_port` and a Postgres two above, of this session's own; both end with the block. NoContainers."""
    require_engine(os.environ.get("DOCKER_HOST") or _ENGINE)
    try:
        container: Any = import_module("testcontainers.core.container").DockerContainer
    except ModuleNotFoundError:
        raise NoContainers("testcontainers is not installed: install the extra `containers`") from None
    password = secrets.token_hex(16)
    address = f"postgresql://postgres:{password}@{LOOPBACK}:{first_port + 2}"
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hotline-test-")))
        kafka = _with(container(KAFKA_IMAGE), _broker(first_port), first_port, first_port)
        database = _with(container(POSTGRES_IMAGE), {"POSTGRES_DB": "hotline", "POSTGRES_PASSWORD": password}, 5432, first_port + 2)
        for one in (kafka, database):
            stack.callback(one.stop)  # before it starts: what begins half is ended too
            one.start()
        settings = Settings(
            home=home,
            kafka=f"{LOOPBACK}:{first_port}",
            database_url=SecretStr(f"{address}/hotline?connect_timeout=3"),
            vault_url=SecretStr(f"{address}/vault?connect_timeout=3"),
            intake_port=first_port + 3,
            api_port=first_port + 4,
        )
        wait_until(lambda: kafka_answers(settings.kafka_access), START_LIMIT_S, f"{KAFKA_IMAGE} does not answer")
        wait_until(lambda: database_answers(settings.database), START_LIMIT_S, f"{POSTGRES_IMAGE} does not answer")
        database.exec(["createdb", "--username=postgres", "vault"])
        wait_until(lambda: database_answers(settings.vault), START_LIMIT_S, f"{POSTGRES_IMAGE} has no database for the vault")
        yield settings


def _with(container: Any, environment: dict[str, str], inner_port: int, port: int) -> Any:
    for name, value in environment.items():
        container.with_env(name, value)
    return container.with_bind_ports(inner_port, (LOOPBACK, port))


def _broker(port: int) -> dict[str, str]:
    """One broker with its controller; it is told to clients under the port that is published, so it listens on the same number."""
    own = {
        "node.id": "1",
        "process.roles": "broker,controller",
        "controller.quorum.voters": f"1@localhost:{port + 1}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:{port + 1}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    }
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in {**own, **copies(1), **FROZEN}.items()}


def require_engine(address: str) -> None:
    """Ask the engine at `unix://PATH` or `tcp://HOST:PORT` whether it is there; NoContainers after a second of silence."""
    parts = urlsplit(address)
    if parts.scheme not in ("unix", "tcp"):
        raise NoContainers(f"DOCKER_HOST: unix://PATH or tcp://HOST:PORT is understood here, not {parts.scheme}://")
    try:
        with _connected(parts.scheme, parts.path, parts.hostname or LOOPBACK, parts.port or _ENGINE_PORT) as engine:
            engine.sendall(b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n")
            said = engine.recv(1024)
    except OSError:
        said = b""
    if b" 200 " not in said.partition(b"\r\n")[0]:
        raise NoContainers(f"no container engine answers at {address} within {PING_LIMIT_S:.0f} s: start one, or name it by DOCKER_HOST")


def _connected(scheme: str, path: str, host: str, port: int) -> socket.socket:
    engine = socket.socket(socket.AF_UNIX if scheme == "unix" else socket.AF_INET)
    engine.settimeout(PING_LIMIT_S)
    try:
        engine.connect(path if scheme == "unix" else (host, port))
    except OSError:
        engine.close()
        raise
    return engine
