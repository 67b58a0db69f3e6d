"""`python -m tests.consumers.export.killed [--records N] [--kills N] [--format FORMAT]`: an export killed at random, beside one in one go.

Puts N decisions on a stack of its own, exports them in one go, then once more: killed by SIGKILL after a random time, called again, until
it was killed so often, and then to its end. Every byte of both folders must be the same. Prints one object; exit code 1 if they are not.
"""

import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from time import monotonic

import click

from deploy.stack import hotline
from events.envelope import Decision
from events.settings import Settings
from tests.bench.lives import Lives
from tests.bench.project import preload
from tests.bench.stack import own_stack

_CHUNK = 20_000
_LIMIT_S = 900.0
_START_S = 0.6  # before this a process is still importing


def export_words(folder: Path, *more: str) -> list[str]:
    """Return the words behind `hotline` that export the decisions into `folder`."""
    return ["export", "tickets", "--to", str(folder), "--json", *more]


def run_to_its_end(settings: Settings, words: Sequence[str]) -> float:
    """Call a command; return how many seconds it took. It must succeed."""
    command, began_s = hotline(settings, *words), monotonic()
    done = subprocess.run(
        list(command.words), cwd=command.folder, env=dict(command.environment or {}), capture_output=True, timeout=_LIMIT_S, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-500:]
    return monotonic() - began_s


def kill_after(settings: Settings, words: Sequence[str], after_s: float) -> bool:
    """Call a command and kill it after `after_s`; return whether it still ran."""
    command = hotline(settings, *words)
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            list(command.words), cwd=command.folder, env=dict(command.environment or {}), stdout=out, stderr=out, start_new_session=True
        )
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            return True
        return False


def children_cpu_s() -> float:
    """Return the seconds of processor that processes of ours, which have ended, have taken."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file of a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def rows_in(folder: Path) -> int:
    """Return how many rows the manifest of an export counts as whole."""
    path = folder / "_manifest.json"
    return sum(line["rows"] for line in json.loads(path.read_text("utf-8"))["files"]) if path.exists() else 0


@click.command()
@click.option("--records", default=1_000_000, show_default=True)
@click.option("--kills", default=20, show_default=True)
@click.option("--format", "form", default="parquet", show_default=True)
@click.option("--seed", default=20261128, show_default=True)
def main(records: int, kills: int, form: str, seed: int) -> None:
    """Run it all; print the figures."""
    chance = random.Random(seed)
    with own_stack() as settings, tempfile.TemporaryDirectory(prefix="hotline-killed-") as room:
        decisions = Lives().endless()
        for start in range(0, records, _CHUNK):
            chunk: list[Decision] = list(islice(decisions, min(_CHUNK, records - start)))
            preload(settings, chunk)
        click.echo(f"{records} records are there", err=True)
        whole, killed = Path(room, "whole"), Path(room, "killed")
        more = ["--format", form, "--rows-per-file", str(max(1, records // 100))]
        run_to_its_end(settings, export_words(Path(room, "warm"), *more, "--dry-run"))
        before_cpu_s = children_cpu_s()
        one_go_s = run_to_its_end(settings, export_words(whole, *more))
        one_go_cpu_s = children_cpu_s() - before_cpu_s
        click.echo(f"{one_go_s:.1f} s in one go, {one_go_cpu_s:.1f} s of processor", err=True)
        done: list[int] = []
        while len(done) < kills:
            left_s = one_go_s * (1 - rows_in(killed) / records) + _START_S
            if not kill_after(settings, export_words(killed, *more), chance.uniform(0.0, 1.2 * left_s / (kills - len(done)) + _START_S)):
                raise SystemExit("it came to its end before it was killed so often: take more records")
            done.append(rows_in(killed))
            click.echo(f"killed with {done[-1]} rows whole", err=True)
        run_to_its_end(settings, export_words(killed, *more))
        same, files = digests(whole) == digests(killed), len(digests(whole))
    took = {"one go s": round(one_go_s, 1), "of processor s": round(one_go_cpu_s, 1)}
    told = {"records": records, "format": form, **took, "kills": kills, "rows whole at each": done, "files": files, "same bytes": same}
    click.echo(json.dumps(told))
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
