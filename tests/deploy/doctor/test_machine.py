"""Each hazard of the machine and of the installation itself: it is named, with its remedy."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from consumers.kafka import CONSUMER_SETTINGS
from deploy.doctor import machine
from deploy.doctor.finding import HARD, WARNING
from events.settings import Settings
from events.wire.publisher import PRODUCER_SETTINGS
from events.wire.schemas import FOLDER
from tests.deploy.doctor.harm import looked


@contextmanager
def intake_with(keys: int) -> Iterator[int]:
    """Something that shows figures as the intake does; gives its port."""

    class Figures(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(f"# TYPE hotline_intake_keys_left gauge\nhotline_intake_keys_left {keys}.0\n".encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Figures) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_intake_that_runs_out_of_keys_is_named(tmp_path: Path) -> None:
    with intake_with(999) as few, intake_with(1_000) as enough:
        (finding,) = looked(machine.keys_left, Settings(home=tmp_path, intake_port=few))
        none = looked(machine.keys_left, Settings(home=tmp_path, intake_port=enough))

    assert none == []
    assert (finding.code, finding.severity) == ("few-keys", WARNING)
    assert "999 keys left" in finding.what
    assert "vault's database" in finding.remedy


def test_disk_with_too_little_room_is_named_once(tmp_path: Path) -> None:
    (tmp_path / "kafka").mkdir()

    (finding,) = looked(machine.disks, Settings(home=tmp_path), least_free_bytes=1 << 60)

    assert (finding.code, finding.severity) == ("disk-room", WARNING)
    assert f"MiB are free under {tmp_path}" in finding.what
    assert "HOTLINE_HOME" in finding.remedy


def test_edited_schema_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    shutil.copytree(FOLDER, folder)
    path = folder / "tickets" / "ticket_taken.v1.avsc"
    path.write_text(path.read_text().replace('"name": "queue"', '"name": "line"'))

    found = looked(machine.schemas, Settings(home=tmp_path), schemas_folder=folder)

    assert {(finding.code, finding.severity) for finding in found} == {("schemas", HARD)}
    assert any("ticket_taken.v1.avsc" in finding.what for finding in found)
    assert "never edited" in found[0].remedy


@pytest.mark.parametrize(
    ("settings", "name", "value"), [(PRODUCER_SETTINGS, "acks", "1"), (CONSUMER_SETTINGS, "auto.offset.reset", "latest")]
)
def test_changed_setting_of_our_clients_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], name: str, value: str
) -> None:
    monkeypatch.setitem(settings, name, value)

    (finding,) = looked(machine.clients, Settings(home=tmp_path))

    assert (finding.code, finding.severity) == ("client-setting", HARD)
    assert f"{name} {value}" in finding.what
    assert "install the release anew" in finding.remedy
