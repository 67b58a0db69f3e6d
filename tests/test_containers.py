"""Parts out of containers, with a stand-in for the engine and for testcontainers: none runs where these tests must pass."""

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from time import monotonic
from types import ModuleType
from typing import Any, ClassVar

import pytest

from deploy.parts.kafka import FROZEN
from deploy.problems import PartAway
from tests import containers
from tests.composed import COMPOSE, read_compose
from tests.containers import KAFKA_IMAGE, POSTGRES_IMAGE, NoContainers, in_containers, require_engine

PORT = 21_000


@contextmanager
def _engine(folder: Path, answer: bytes | None) -> Iterator[str]:
    """Something at a socket that gives every caller the same answer, or none at all."""
    path = folder / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        callers: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    caller, _ = listening.accept()
                except OSError:
                    return
                callers.append(caller)
                if answer is not None:
                    caller.recv(1024)
                    caller.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        try:
            yield f"unix://{path}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(5)
            for caller in callers:
                caller.close()


class Container:
    """Stands in for a container of testcontainers: remembers what it was told."""

    made: ClassVar[list["Container"]] = []
    will_not_start = ""

    def __init__(self, image: str) -> None:
        self.image = image
        self.environment: dict[str, str] = {}
        self.ports: dict[int, Any] = {}
        self.life: list[str] = []
        self.made.append(self)

    def with_env(self, name: str, value: str) -> "Container":
        self.environment[name] = value
        return self

    def with_bind_ports(self, inner: int, outer: Any) -> "Container":
        self.ports[inner] = outer
        return self

    def start(self) -> None:
        if self.image == self.will_not_start:
            raise RuntimeError("no such image")
        self.life.append("started")

    def stop(self) -> None:
        self.life.append("stopped")

    def exec(self, words: list[str]) -> tuple[int, bytes]:
        self.life.append(" ".join(words))
        return 0, b""


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Container]]:
    """The stand-in in the place of the library, an engine that answers, and servers that answer at once."""
    module = ModuleType("testcontainers.core.container")
    module.DockerContainer = Container  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(Container, "made", [])
    for name in ("kafka_answers", "database_answers"):
        monkeypatch.setattr(containers, name, lambda _: True)
    with _engine(tmp_path, b"HTTP/1.1 200 OK\r\n\r\nOK") as address:
        monkeypatch.setenv("DOCKER_HOST", address)
        yield Container


def test_both_servers_come_from_the_images_of_compose_with_the_settings_of_the_local_broker(library: type[Container]) -> None:
    services = read_compose(COMPOSE.read_text("utf-8"))["services"]

    with in_containers(PORT) as settings:
        kafka, database = library.made

        assert [services[name]["image"] for name in ("kafka", "postgres")] == [kafka.image, database.image] == [KAFKA_IMAGE, POSTGRES_IMAGE]
        wanted = {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in FROZEN.items()}
        assert wanted.items() <= kafka.environment.items()
        assert (kafka.ports, database.ports) == ({PORT: ("127.0.0.1", PORT)}, {5432: ("127.0.0.1", PORT + 2)})
        assert settings.kafka_address == f"127.0.0.1:{PORT}"
        assert settings.database.startswith(
            f"postgresql://postgres:{database.environment['POSTGRES_PASSWORD']}@127.0.0.1:{PORT + 2}/hotline?"
        )
        assert database.life == ["started", "createdb --username=postgres vault"]
        home = settings.folder
    assert [one.life[-1] for one in library.made] == ["stopped", "stopped"]
    assert not home.exists()


def test_what_began_is_ended_when_the_rest_does_not_start(library: type[Container], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "will_not_start", POSTGRES_IMAGE)

    with pytest.raises(RuntimeError, match="no such image"), in_containers(PORT):
        pass

    assert library.made[0].life == ["started", "stopped"]


def test_a_server_that_never_answers_is_told_by_its_image(library: type[Container], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "START_LIMIT_S", 0.05)
    monkeypatch.setattr(containers, "kafka_answers", lambda _: False)

    with pytest.raises(PartAway, match=f"{KAFKA_IMAGE} does not answer"), in_containers(PORT):
        pass

    assert [one.life[-1] for one in library.made] == ["stopped", "stopped"]


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 500 Internal Server Error\r\n\r\n", b""])
def test_an_engine_that_is_silent_or_unwell_is_given_up_soon(tmp_path: Path, answer: bytes | None) -> None:
    began = monotonic()

    with _engine(tmp_path, answer) as address, pytest.raises(NoContainers, match="no container engine answers at unix://"):
        require_engine(address)

    assert monotonic() - began < 10


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("unix:///nowhere/engine.sock", "no container engine answers"),
        ("tcp://127.0.0.1:1", "no container engine"),
        ("ssh://far", "not ssh://"),
    ],
)
def test_where_no_engine_is_it_is_said_so(address: str, said: str) -> None:
    with pytest.raises(NoContainers, match=said):
        require_engine(address)


def test_without_the_library_the_extra_is_named(library: type[Container], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "testcontainers.core.container", None)

    with pytest.raises(NoContainers, match="extra `containers`"), in_containers(PORT):
        pass


def test_a_word_that_names_no_source_of_parts_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests import conftest

    monkeypatch.setenv("HOTLINE_TEST_PARTS", "clouds")
    source: Callable[[], object] = conftest.source_of_parts

    with pytest.raises(pytest.UsageError, match="local or containers"):
        source()
