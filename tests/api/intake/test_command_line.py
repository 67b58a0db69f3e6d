"""`hotline command`: the same command as over HTTP, from a terminal (real Kafka and vault, no desk)."""

import secrets
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from deploy.hotline import exit_code
from events.settings import Settings
from projectors.tokens import Token

pytestmark = pytest.mark.parts
TAKE = ("take", "--ticket", "RU-2025-000001", "--wait-ms", "0")
LIMIT_S = 60
NO_TEXT = b"\xff\xfe".decode(errors="surrogateescape")  # as Python hands over bytes that are none


def _run(home: Path, stack: Settings, vault: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    (home / "master.key").write_text(secrets.token_hex(32))
    told = {"HOME": home, "KAFKA": stack.kafka_address, "DATABASE_URL": stack.database, "VAULT_URL": vault}
    environment = {f"HOTLINE_{name}": str(value) for name, value in told.items()}
    command = (sys.executable, "-m", "deploy.hotline", "command", *words)
    return subprocess.run(command, env=environment, capture_output=True, timeout=LIMIT_S, check=False)


def test_a_command_is_published_and_says_how_to_repeat_it(tmp_path: Path, stack: Settings, database: str) -> None:
    done = _run(tmp_path, stack, database, *TAKE, "queue=accounts")

    assert done.returncode == 0, done.stderr
    answer = orjson.loads(done.stdout)
    assert [topic for topic, _ in Token.parse(answer["position"])] == ["hotline.commands"]
    assert answer["key"]


def test_a_command_that_breaks_its_form_is_refused(tmp_path: Path, stack: Settings, database: str) -> None:
    done = _run(tmp_path, stack, database, *TAKE)

    assert done.returncode == 1, done.stderr
    assert orjson.loads(done.stdout)["field"] == "queue"


@pytest.mark.parametrize("words", [("queue",), ("queue=x", "--operator", "Мария Иванова"), ("queue=x", "--expected-version", "0")])
def test_a_wrong_way_of_asking_is_told(tmp_path: Path, stack: Settings, database: str, words: tuple[str, ...]) -> None:
    done = _run(tmp_path, stack, database, *TAKE, *words)

    assert done.returncode == 2
    assert done.stdout == b""


@pytest.mark.parametrize("field", ["command=approve", "ticket=RU-2025-000002", "expected_version=1"])
def test_a_field_is_never_what_stands_elsewhere_in_the_command(capsys: pytest.CaptureFixture[str], field: str) -> None:
    name = field.partition("=")[0]

    assert exit_code(["command", *TAKE, "queue=accounts", field]) == 2
    assert name in capsys.readouterr().err


def test_a_field_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["command", *TAKE, "queue=accounts", "queue=other"]) == 2
    assert "queue" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("queue=x", "--key", NO_TEXT), (f"queue={NO_TEXT}",), ("queue=x", "--operator", NO_TEXT)])
def test_bytes_that_are_no_text_are_a_wrong_way_of_asking(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert exit_code(["command", *TAKE, *words]) == 2
    assert "Error" in capsys.readouterr().err


def test_without_the_vault_nothing_is_taken(tmp_path: Path, stack: Settings) -> None:
    done = _run(tmp_path, stack, "postgresql://127.0.0.1:1/none", *TAKE, "queue=accounts")

    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == b"hotline: the vault does not answer"
