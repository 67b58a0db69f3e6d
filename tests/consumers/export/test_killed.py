"""The short form of `tests.consumers.export.killed`: the real command, killed three times."""

import secrets
import subprocess
import tempfile
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
RECORDS, KILLS = 2_400, 3
TICKETS = "hotline.tickets"


def place_of(settings: Settings) -> Token:
    ends = until(lambda: ends_if_known(settings.kafka_access, [TICKETS])) or {}
    return Token({partition: past - 1 for partition, past in ends.items() if past > 0})


def kill_at(settings: Settings, folder: Path, words: list[str], rows: int) -> None:
    """Kill the command once so many rows are whole; it must not have come to its end."""
    command = hotline(settings, *words)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(list(command.words), cwd=command.folder, env=dict(command.environment or {}), stdout=said, stderr=said)
        try:
            until(lambda: rows_in(folder) >= rows or process.poll() is not None, 60)
            said.seek(0)
            assert process.poll() is None, f"it came to its end: {said.read().decode()}"
        finally:
            process.kill()
            process.wait(10)


def test_export_killed_three_times_has_the_same_bytes_as_one_in_one_go(
    stack: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = f"EX-{secrets.token_hex(4)}"
    before = place_of(stack)
    publish(stack, [replace(one, number=f"{prefix}-{one.number[-6:]}") for one in Lives().decisions(RECORDS)])
    here = ["--format", "avro", "--rows-per-file", "30", "--from", before.encode(), "--until", place_of(stack).encode()]
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    for kill in range(1, KILLS + 1):
        kill_at(stack, killed, export_words(killed, *here), RECORDS * kill // (KILLS + 2))
    run_to_its_end(stack, export_words(killed, *here))
    monkeypatch.setenv("HOTLINE_KAFKA", stack.kafka_address)
    assert exit_code(export_words(whole, *here)) == 0

    assert rows_in(whole) == RECORDS
    assert digests(killed) == digests(whole)
