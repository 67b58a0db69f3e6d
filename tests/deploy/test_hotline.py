"""The command line: exit codes, one line per problem, and quick help."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.commands.token import seconds
from deploy.hotline import exit_code
from tests.api.tokens import write_keys


def test_help_is_answered_without_loading_anything_heavy() -> None:
    script = "import sys; from deploy.hotline import exit_code; exit_code(['--help']); print([m for m in HEAVY if m in sys.modules])"
    heavy = "HEAVY = ('confluent_kafka', 'psycopg', 'fastapi', 'cryptography', 'structlog');"

    told = subprocess.run((sys.executable, "-c", f"{heavy}{script}"), capture_output=True, text=True, check=True, timeout=30)

    assert "status" in told.stdout
    assert told.stdout.splitlines()[-1] == "[]"


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["fly"]) == 2
    assert exit_code(["run"]) == 2
    assert exit_code(["run", "clerk"]) == 2
    assert "there are: intake" in capsys.readouterr().err


def test_wrong_setting_is_one_line_with_its_name_and_not_its_value(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOTLINE_KAFKA_PORT", "s3cret")

    assert exit_code(["down", "--dry-run"]) == 2

    told = capsys.readouterr().err
    assert "HOTLINE_KAFKA_PORT" in told
    assert "s3cret" not in told


def test_away_kafka_is_exit_code_3_and_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.topics._LIMIT_S", 0.3)
    monkeypatch.setenv("HOTLINE_KAFKA", "127.0.0.1:1")

    assert exit_code(["topics", "plan"]) == 3

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_down_where_nothing_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path))

    assert exit_code(["down", "--wipe", "--dry-run"]) == 0

    assert f"nothing runs in {tmp_path}" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "length_s"), [("90s", 90), ("15m", 900), ("8h", 28_800), ("30d", 2_592_000)])
def test_length_of_time_is_read(text: str, length_s: int) -> None:
    assert seconds(text) == length_s


@pytest.mark.parametrize("text", ["", "8", "h", "-1h", "1.5h", "8 h", "８h"])
def test_no_length_of_time_is_wrong_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["token", "--role", "operator", "--sub", "op-1", "--ttl", text]) == 2
    assert "length of time" in capsys.readouterr().err


@pytest.fixture
def home_with_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home where tokens can be issued."""
    write_keys(tmp_path)
    monkeypatch.setenv("HOTLINE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--role", "root", "--sub", "op-1"), "a role is one of"),
        (("--role", "operator", "--sub", "79161234567"), "a subject is an id"),
        (("--role", "operator", "--sub", "op-1", "--ttl", "0s"), "at most 31 days"),
        (("--role", "operator", "--sub", "op-1", "--ttl", "32d"), "at most 31 days"),
    ],
)
def test_a_token_that_may_not_be_is_wrong_usage_in_one_line(
    home_with_keys: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert exit_code(["token", *words]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hotline: ")
    assert said in line


def test_a_signing_key_that_is_none_is_told_in_one_line(home_with_keys: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home_with_keys / "token.key").write_text("no key")

    assert exit_code(["token", "--role", "operator", "--sub", "op-1"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert "token.key" in line
