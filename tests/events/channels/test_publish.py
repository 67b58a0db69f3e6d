"""`hotline publish` on a real Kafka and a real vault: what it says of each input, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.hotline import exit_code
from deploy.keys import make_missing_keys
from events.settings import Settings
from tests.events.channels import messages as m
from tests.events.channels.test_letters import EXPECTED, LETTERS

LIMIT_S = 60
pytestmark = pytest.mark.parts


def publish(settings: Settings, *words: str, stdin: bytes = b"", **changed: str) -> tuple[int, list[dict[str, Any]], str]:
    told = {"HOME": str(settings.folder), "KAFKA_PORT": str(settings.kafka_port), "POSTGRES_PORT": str(settings.postgres_port), **changed}
    environment = {**os.environ, **{f"HOTLINE_{name}": value for name, value in told.items()}}
    ran = subprocess.run(
        (sys.executable, "-m", "deploy.hotline", "publish", *words),
        input=stdin,
        env=environment,
        capture_output=True,
        timeout=LIMIT_S,
        check=False,
    )
    return ran.returncode, [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr.decode()


@pytest.fixture(scope="module")
def settings(stack: Settings) -> Settings:
    make_missing_keys(stack)
    return stack


def test_letters_of_a_folder_are_accepted_with_the_same_ids_each_time(settings: Settings) -> None:
    files = [str(LETTERS / f"{name}.eml") for name in EXPECTED]

    code, lines, _ = publish(settings, "email", *files)
    again = publish(settings, "email", *files)

    assert (code, [line["source"] for line in lines], {line["outcome"] for line in lines}) == (0, files, {"accepted"})
    assert again == (code, lines, again[2])


def test_a_bad_line_is_refused_by_name_and_the_others_go_in(settings: Settings) -> None:
    good, bad = json.dumps(m.POSTED).encode(), json.dumps({**m.POSTED, "from": "Иванов"}).encode()

    code, lines, _ = publish(settings, "chat", "-", stdin=b"\n".join((good, bad, b"{", good)))

    assert code == 1
    assert [(line["source"], line["outcome"]) for line in lines] == [
        ("stdin:1", "accepted"),
        ("stdin:2", "refused"),
        ("stdin:3", "refused"),
        ("stdin:4", "accepted"),
    ]
    assert (lines[1]["problem"]["field"], lines[1]["problem"]["rule"]) == ("from", "author_expected")
    assert lines[2]["problem"]["type"] == "unreadable"
    assert lines[0]["event_ids"] == lines[3]["event_ids"]


def test_a_line_that_is_too_long_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b'{"text": "' + b"x" * 2_000_000 + b'"}\n')

    code, lines, _ = publish(settings, "chat", str(tmp_path / "long"))

    assert (code, lines[0]["problem"]["rule"]) == (1, "too_large")


def test_a_folder_of_letters_is_its_eml_files_in_order(settings: Settings, tmp_path: Path) -> None:
    for name in list(EXPECTED)[:2]:
        (tmp_path / f"{name}.eml").write_bytes((LETTERS / f"{name}.eml").read_bytes())
    (tmp_path / "notes.txt").write_text("no letter")

    code, lines, _ = publish(settings, "email", str(tmp_path))

    assert (code, [line["source"] for line in lines]) == (0, sorted(str(path) for path in tmp_path.glob("*.eml")))


@pytest.mark.parametrize(
    ("channel", "made"), [("email", ()), ("email", ("notes.txt",)), ("email", ("cur", "new")), ("phone", ("calls.jsonl",))]
)
def test_a_folder_that_nothing_can_be_read_from_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], channel: str, made: tuple[str, ...]
) -> None:
    for name in made:
        (tmp_path / name).touch() if "." in name else (tmp_path / name).mkdir()

    assert exit_code(["publish", channel, str(tmp_path)]) == 2

    out, said = capsys.readouterr()
    assert out == ""
    assert said.startswith("hotline: ")
    assert (said.count("\n"), str(tmp_path) in said) == (1, True)


def test_without_kafka_nothing_is_said_to_be_accepted(settings: Settings) -> None:
    code, lines, said = publish(settings, "chat", "-", stdin=json.dumps(m.POSTED).encode(), KAFKA="127.0.0.1:9")

    assert (code, lines) == (3, [])
    assert "Kafka" in said


def test_without_the_vault_nothing_is_tried(settings: Settings) -> None:
    code, lines, said = publish(settings, "chat", "-", stdin=json.dumps(m.POSTED).encode(), VAULT_URL="postgresql://127.0.0.1:9/vault")

    assert (code, lines) == (3, [])
    assert "vault" in said
