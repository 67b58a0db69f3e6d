"""The short form of `tests.consumers.export.killed`: the real command, killed at each of its steps."""

import secrets
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.hotline import exit_code
from deploy.stack import hotline
from events.settings import Settings
from projectors.tokens import Token
from tests.bench.lives import Lives
from tests.consumers.drift.audited import ends_if_known
from tests.consumers.export.killed import digests, export_words, rows_in, run_to_its_end
from tests.consumers.on_parts import publish
from tests.waiting import until

pytestmark = pytest.mark.parts
RECORDS = 2_400
STEPS = ("export.file_written:9", "export.file_there:21", "export.file_there:5")
TICKETS = "hotline.tickets"


def place_of(settings: Settings) -> Token:
    ends = until(lambda: ends_if_known(settings.kafka_access, [TICKETS])) or {}
    return Token({partition: past - 1 for partition, past in ends.items() if past > 0})


def kill_at(settings: Settings, step: str, words: list[str]) -> None:
    """Call the command so that it kills itself at a step, the n-th time it comes by."""
    command = hotline(settings.model_copy(update={"crash_point": f"kill:{step}"}), *words)
    done = subprocess.run(
        list(command.words), cwd=command.folder, env=dict(command.environment or {}), capture_output=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-500:]


def test_export_killed_at_each_step_has_the_same_bytes_as_one_in_one_go(
    stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"EX-{secrets.token_hex(4)}"
    before = place_of(stack)
    publish(stack, [replace(one, number=f"{prefix}-{one.number[-6:]}") for one in Lives().decisions(RECORDS)])
    here = ["--format", "avro", "--rows-per-file", "30", "--from", before.encode(), "--until", place_of(stack).encode()]
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    for step in STEPS:
        kill_at(stack, step, export_words(killed, *here))
    assert 0 < rows_in(killed) < RECORDS
    run_to_its_end(stack, export_words(killed, *here))
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    assert exit_code(export_words(whole, *here)) == 0

    assert rows_in(whole) == RECORDS
    assert digests(killed) == digests(whole)
