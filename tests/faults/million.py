"""`python -m tests.faults.million [--events N] [--per-s N]`: a rebuild of very many events while more keep coming and readers poll.

A stack of its own is loaded with tickets' decisions and followed by its projectors. Under live traffic a rebuild is predicted, begun,
killed as a whole half-way, and called again; then the builds are compared, readers are switched to the new one and back. A reader that
polls over HTTP throughout counts errors and steps back. Prints one object with all figures; exit code 1 if a promise was broken.
"""

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from threading import Event as Flag
from threading import Thread
from time import monotonic
from typing import Any

import click
import psycopg
from confluent_kafka import Producer

from api.access import issue
from deploy.lag import read_lags
from deploy.parts.ports import LOOPBACK
from deploy.stack import hotline
from events.envelope import Decision
from events.settings import Settings
from events.wire.codec import load_codec
from events.wire.publisher import PRODUCER_SETTINGS
from projectors.positions import list_positions
from projectors.tokens import Token
from tests.bench.lives import Lives
from tests.bench.publish import produce_all
from tests.bench.stack import own_stack, processes
from tests.waiting import until

_CHUNK = 20_000
_TICK_S = 0.1
_PREPARED_LIMIT_S, _REBUILD_LIMIT_S, _COMMAND_LIMIT_S = 1_800.0, 3_600.0, 600.0
_LOOK_S = 0.05
_SWITCH_LIMIT_MS = 1_000
_BETWEEN_S = 5.0
_POLLED, _EVERY_S = 200, 0.005


@dataclass
class Reader:
    """Polls cards and histories, and remembers the farthest it has seen of each; any error or step back is counted."""

    settings: Settings
    numbers: list[str]
    reads: int = 0
    errors: int = 0
    steps_back: int = 0
    slowest_ms: float = 0.0
    said: list[str] = field(default_factory=list)

    def poll(self, stop: Flag) -> None:
        """Poll until `stop` is set."""
        chance, seen, foremost = random.Random(1), dict[str, int](), dict[tuple[str, int], int]()
        token = issue(self.settings, "auditor", "million", 86_400)
        while not stop.wait(_EVERY_S):
            number = chance.choice(self.numbers)
            what = chance.choice(("", "/history?limit=200"))
            began_s = monotonic()
            try:
                status, position, said = self._ask(f"/v1/tickets/{number}{what}", token)
            except (OSError, http.client.HTTPException) as failure:
                status, position, said = 0, "", type(failure).__name__
            self.slowest_ms = max(self.slowest_ms, (monotonic() - began_s) * 1000)
            self.reads += 1
            if status != http.HTTPStatus.OK:
                self.errors += 1
                self.said.append(f"{number}{what}: {status} {said}"[:200])
                continue
            progress = said["version"] if not what else len(said["rows"])
            key = number + what[:8]
            back = progress < seen.get(key, 0)
            if not what:
                reached = dict(Token.parse(position).items())
                back = back or any(offset < foremost.get(place, -1) for place, offset in reached.items())
                foremost |= reached
            if back:
                self.steps_back += 1
                self.said.append(f"{number}{what}: {progress} after {seen.get(key)}")
            seen[key] = max(progress, seen.get(key, 0))

    def _ask(self, path: str, token: str) -> tuple[int, str, Any]:
        connection = http.client.HTTPConnection(LOOPBACK, self.settings.api_port, timeout=10)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            return answer.status, answer.headers.get("Position", ""), json.loads(answer.read())
        finally:
            connection.close()


class Traffic:
    """Publishes decisions at a steady rate."""

    def __init__(self, settings: Settings, decisions: Iterator[Decision], per_s: float) -> None:
        self._settings, self._decisions, self._per_s = settings, decisions, per_s
        self.sent = 0

    def flow(self, stop: Flag) -> None:
        """Publish until `stop` is set."""
        codec = load_codec()
        producer = Producer({**PRODUCER_SETTINGS, "bootstrap.servers": self._settings.kafka_address})
        began_s = monotonic()
        while not stop.wait(_TICK_S):
            for decision in islice(self._decisions, int((monotonic() - began_s) * self._per_s) - self.sent):
                one = codec.encode(decision, "/million")
                producer.produce(one.topic, key=one.key, value=one.value, headers=list(one.headers))
                self.sent += 1
            producer.poll(0)
        left = producer.flush(30)
        assert not left, f"{left} not acknowledged"


@contextmanager
def _beside(*works: Any) -> Iterator[None]:
    """Let each of `works` run in a thread while the block does."""
    stop = Flag()
    threads = [Thread(target=work, args=(stop,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def _hotline(settings: Settings, *words: str) -> tuple[int, float, dict[str, Any]]:
    """Call a command; return its exit code, how long it took, and what it said."""
    command, began_s = hotline(settings, *words, "--json"), monotonic()
    done = subprocess.run(
        list(command.words),
        cwd=command.folder,
        env=dict(command.environment or {}),
        capture_output=True,
        timeout=_COMMAND_LIMIT_S,
        check=False,
    )
    took_s = monotonic() - began_s
    said = json.loads(done.stdout) if done.stdout.strip() else {"problem": done.stderr.decode()[-500:]}
    click.echo(f"{took_s:7.1f} s  hotline {' '.join(words)}: {done.returncode}", err=True)
    if warnings := [line for line in done.stderr.decode().splitlines() if '"level": "warning"' in line]:
        click.echo("\n".join(warnings[-3:]), err=True)
    return done.returncode, took_s, said


def _kill_half_way(settings: Settings, model: str, wanted: int) -> tuple[float, int]:
    """Begin a rebuild and kill it, workers too, when half is read; return how long it ran and how much it had read."""
    command, began_s = hotline(settings, "rebuild", model), monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(
            list(command.words), cwd=command.folder, env=dict(command.environment or {}), stdout=out, stderr=out, start_new_session=True
        )
        consumer = f"{model}_v1_b2"
        with psycopg.connect(settings.database, autocommit=True) as db:

            def read() -> int:
                return sum(list_positions(db, [consumer])[consumer].values())

            until(lambda: read() * 2 >= wanted or process.poll() is not None, _REBUILD_LIMIT_S)
            assert process.poll() is None, "the rebuild was over before it could be killed"
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            took_s = monotonic() - began_s
            click.echo(f"{took_s:7.1f} s  killed after {read()} records", err=True)
            return took_s, read()


def _no_lag(settings: Settings, most: int = 0) -> bool:
    lags = [lag for lag in read_lags(settings) if lag.topic == "hotline.tickets"]
    return bool(lags) and all(lag.records <= most for lag in lags)


def _load(settings: Settings, decisions: Iterator[Decision], events: int) -> list[str]:
    """Put `events` decisions on the log; return some of the newest tickets: they are the ones that still change."""
    codec, numbers = load_codec(), list[str]()
    config = {**PRODUCER_SETTINGS, "bootstrap.servers": settings.kafka_address}
    for _ in range(0, events, _CHUNK):
        chunk = list(islice(decisions, min(_CHUNK, events)))
        produce_all(config, [codec.encode(decision, "/million") for decision in chunk])
        numbers = [decision.number for decision in chunk if decision.version == 1]
    return numbers[-_POLLED:]


@click.command()
@click.option("--events", default=1_000_000, show_default=True)
@click.option("--per-s", default=500.0, show_default=True)
@click.option("--model", default="ticket_status", show_default=True)
@click.option("--workers", default=2, show_default=True)
def main(events: int, per_s: float, model: str, workers: int) -> None:
    """Run it all; print the figures."""
    with ExitStack() as running:
        settings = running.enter_context(own_stack())
        decisions = Lives().endless()
        began_s = monotonic()
        numbers = _load(settings, decisions, events)
        click.echo(f"{monotonic() - began_s:7.1f} s  {events} events loaded", err=True)
        running.enter_context(processes(settings, "projectors", "api"))
        began_s = monotonic()
        until(lambda: _no_lag(settings), _PREPARED_LIMIT_S)
        live_s = monotonic() - began_s
        click.echo(f"{live_s:7.1f} s  projectors are at the end of the log", err=True)
        reader, traffic = Reader(settings, numbers), Traffic(settings, decisions, per_s)
        with _beside(reader.poll, traffic.flow):
            told = _proof(settings, model, events, workers)
        until(lambda: _no_lag(settings), 60)
        _, _, told["compared at the end"] = _hotline(settings, "compare", model)
        kept = {name: value for name, value in asdict(reader).items() if name not in ("settings", "numbers", "said")}
        told |= {"events": events, "live first catch-up s": round(live_s, 1), "reader": kept, "traffic": traffic.sent}
        told["broken"] = [*_broken(told), *reader.said[:5]]
    click.echo(json.dumps(told, indent=1))
    sys.exit(1 if told["broken"] else 0)


def _proof(settings: Settings, model: str, events: int, workers: int) -> dict[str, Any]:
    _, _, predicted = _hotline(settings, "rebuild", model, "--dry-run", "--workers", str(workers))
    first_s, killed_at = _kill_half_way(settings, model, events)
    code, second_s, rebuilt = _hotline(settings, "rebuild", model, "--workers", str(workers))
    told: dict[str, Any] = {"predicted": predicted, "killed after s": round(first_s, 1), "killed at": killed_at, "rebuilt": rebuilt}
    told |= {"actual s": round(first_s + second_s, 1), "rebuild code": code}
    _, _, told["compared"] = _hotline(settings, "compare", model)
    code, took_s, told["switched"] = _hotline(settings, "switch", model)
    told["switch"] = {"code": code, "command s": round(took_s, 2)}
    Flag().wait(_BETWEEN_S)  # readers live on the new build for a while
    code, took_s, told["switched back"] = _hotline(settings, "switch", model, "--back")
    told["back"] = {"code": code, "command s": round(took_s, 2)}
    Flag().wait(_BETWEEN_S)
    told["room used"] = _used(Path(settings.folder))
    return told


def _used(folder: Path) -> str:
    megabytes = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 1_000_000
    return f"{megabytes} MB in the home of the stack"


def _broken(told: dict[str, Any]) -> Iterator[str]:
    if told["rebuild code"] or not told["rebuilt"].get("followed") or not told["rebuilt"].get("resumed_at"):
        yield "the rebuild did not go on, or nobody follows it"
    for name in ("compared", "compared at the end"):
        if told[name].get("rows_unexpected", 1) or told[name].get("rows_unsettled", 1):
            yield f"{name}: differs"
    for name in ("switched", "switched back"):
        if told[name].get("took_ms", _SWITCH_LIMIT_MS) >= _SWITCH_LIMIT_MS:
            yield f"{name}: took too long, or was refused"
    if told["reader"]["errors"] or told["reader"]["steps_back"]:
        yield "the reader met an error or a step back"


if __name__ == "__main__":
    main()
