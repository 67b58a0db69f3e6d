"""`hotline publish`: facts from files, through the same translation and the same door to Kafka as the intake.

One JSON line per input, in the order of the inputs. Exit codes: 0 all accepted; 1 some refused; 3 a part is unreachable: the rest was not
tried. Repeating the same files is always right, what is there already has the same ids.
"""

import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import click
import orjson

from deploy.exits import DONE, FOUND
from deploy.problems import PartAway, Problem, WrongUsage
from events.channels.channel import Channel, Intake, KeepsFiles, Rejected
from events.channels.input_files import Input, letters_in, read_letters, read_letters_of, read_lines
from events.channels.registry import BY_NAME
from events.envelope import Event, Fact
from events.identity import Identity
from events.places import Place
from events.reference import Limits, ReferenceInvalid
from events.settings import Settings
from events.vault.files import FileStore, StoreUnavailable
from events.vault.pool import PoolEmpty, reason_of
from events.vault.ring import KeyRing
from events.vault.sealing import Sealer
from events.wire.publisher import NotTaken, OutcomeUnknown, Publisher, TooLarge

SOURCE = "hotline-publish"
IN_FLIGHT_INPUTS = 500
IN_FLIGHT_BYTES = 64_000_000
DELIVERY_TIMEOUT_S = 30.0
VAULT_TIMEOUT_S = 10.0
PROGRESS_EVERY_S = 5.0
STDIN = "-"
ACCEPTED, REFUSED, UNKNOWN = "accepted", "refused", "unknown"


class Rings(Protocol):
    """What is asked of the ring of keys."""

    sealer: Sealer

    def identity(self) -> Identity:
        """Return the maker of ids."""

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until a key is there."""


class Publishes(Protocol):
    """What is asked of the publisher."""

    def submit(self, event: Event, traceparent: str | None = None) -> "Future[Place]":
        """Hand an event over."""


class Unreachable(Exception):
    """A part went away under way; what was not tried yet is left."""


@dataclass(slots=True)
class _Given:
    """An input on its way."""

    source: str
    size_bytes: int
    facts: tuple[Fact, ...] = ()
    reports: list["Future[Place]"] = field(default_factory=list)
    problem: dict[str, Any] | None = None


@dataclass(slots=True)
class Door:
    """Translates and publishes inputs of one channel, a bounded number at a time, and says what became of each."""

    channel: Channel
    ring: Rings
    files: KeepsFiles
    limits: Limits
    publisher: Publishes
    refused: int = 0
    unknown: int = 0
    settled: int = 0

    def pass_all(self, inputs: Iterator[Input]) -> Iterator[dict[str, Any]]:
        """Yield one line per input; Unreachable after the lines of those that were under way."""
        waiting: deque[_Given] = deque()
        held_bytes = 0
        for one in inputs:
            given = self._give(one)
            waiting.append(given)
            held_bytes += given.size_bytes
            while len(waiting) >= IN_FLIGHT_INPUTS or held_bytes > IN_FLIGHT_BYTES or (waiting and _is_settled(waiting[0])):
                held_bytes -= waiting[0].size_bytes
                yield self._settle(waiting.popleft())
            if self.unknown or (given.problem or {}).get("type") in ("part-down", "out-of-keys"):
                yield from map(self._settle, waiting)
                raise Unreachable
        yield from map(self._settle, waiting)
        if self.unknown:
            raise Unreachable

    def _give(self, one: Input) -> _Given:
        given = _Given(one.source, len(one.raw))
        try:
            given.facts = self._translate(one.raw)
        except orjson.JSONDecodeError as unreadable:
            given.problem = {"type": "unreadable", "detail": "not JSON in UTF-8", "column": unreadable.colno}
        except Rejected as found:
            given.problem = {"type": "broken-rule", "field": found.field or None, "rule": found.rule, "detail": found.detail or None}
        except PoolEmpty:
            given.problem = {"type": "out-of-keys", "detail": "the vault gives no keys"}
        except StoreUnavailable:
            given.problem = {"type": "part-down", "detail": "the store of sealed files takes nothing"}
        given.reports = [self.publisher.submit(fact) for fact in given.facts]
        return given

    def _translate(self, raw: bytes) -> tuple[Fact, ...]:
        received_at_us = time.time_ns() // 1000
        intake = Intake(
            identity=self.ring.identity(), sealer=self.ring.sealer, files=self.files, received_at_us=received_at_us, limits=self.limits
        )
        try:
            return self._facts(raw, intake)
        except PoolEmpty:  # faster than the vault makes keys: wait for more, once
            self.ring.wait_ready(VAULT_TIMEOUT_S)
            return self._facts(raw, intake)

    def _facts(self, raw: bytes, intake: Intake) -> tuple[Fact, ...]:
        if self.channel.from_bytes is not None:
            return self.channel.from_bytes(raw, intake)
        if len(raw) > self.limits.json_bytes:
            raise Rejected("", "too_large", f"at most {self.limits.json_bytes} bytes")
        return self.channel.from_json(orjson.loads(raw), intake)

    def _settle(self, given: _Given) -> dict[str, Any]:
        outcome, problem = (REFUSED, given.problem) if given.problem else (ACCEPTED, None)
        for report in given.reports:
            failure = report.exception(2 * DELIVERY_TIMEOUT_S)
            if failure is not None:
                outcome, problem = _outcome_of(failure)
        self.settled += 1
        self.refused += outcome == REFUSED
        self.unknown += outcome == UNKNOWN or (problem or {}).get("type") == "part-down"
        return {
            "source": given.source,
            "outcome": outcome,
            "event_ids": [fact.event_id.hex() for fact in given.facts],
            "contact_id": given.facts[0].contact_id.hex() if given.facts else None,
            "problem": problem,
        }


def _is_settled(given: _Given) -> bool:
    return all(report.done() for report in given.reports)


def _outcome_of(failure: BaseException) -> tuple[str, dict[str, Any]]:
    match failure:
        case NotTaken():
            return REFUSED, {"type": "part-down", "detail": "Kafka took nothing"}
        case OutcomeUnknown():
            return UNKNOWN, {"type": "outcome-unknown", "detail": "repeat with the same input, its ids are the same"}
        case TooLarge():
            return REFUSED, {"type": "too-large", "detail": str(failure)}
    raise failure


def read_inputs(channel: Channel, files: tuple[str, ...], limits: Limits) -> Iterator[Input]:
    """Yield the inputs of all files, `-` for standard input."""
    stdin = sys.stdin.buffer
    for name in files:
        if channel.from_bytes is not None and name == STDIN:
            yield from read_letters_of(stdin, "stdin", limits.letter_bytes)
        elif channel.from_bytes is not None:
            yield from read_letters(Path(name), name, limits.letter_bytes)
        elif name == STDIN:
            yield from read_lines(stdin, "stdin", limits.json_bytes)
        else:
            with Path(name).open("rb") as stream:
                yield from read_lines(stream, name, limits.json_bytes)


@click.command("publish")
@click.argument("channel", type=click.Choice(list(BY_NAME)))
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(exists=True, allow_dash=True))
def COMMAND(channel: str, files: tuple[str, ...]) -> int:  # noqa: N802 - the name the table looks for
    """Publish facts from files: email takes .eml, mbox, Maildir or a folder of .eml, others JSON lines. `-` is standard input."""
    from deploy.topics import Cluster
    from events.logging import configure
    from events.wire.codec import load_codec

    configure("publish")  # logs go to standard error; standard output is the lines'
    _refuse_unfit(BY_NAME[channel], files)
    settings = Settings()
    limits = _limits(settings)
    Cluster(settings.kafka_access).brokers()  # PartAway before anything is tried
    ring = _open_ring(settings)
    publisher = Publisher(settings.kafka_access, load_codec(), SOURCE, DELIVERY_TIMEOUT_S)
    door = Door(BY_NAME[channel], ring, FileStore(settings.files_path), limits, publisher)
    try:
        _say_all(door, read_inputs(door.channel, files, limits))
    except Unreachable:
        raise PartAway(f"stopped after {door.settled} inputs: a part is unreachable; repeat the same files") from None
    finally:
        publisher.close()
        ring.close()
    return FOUND if door.refused else DONE


def _refuse_unfit(channel: Channel, files: tuple[str, ...]) -> None:
    """Raise WrongUsage for a folder that gives nothing, before anything is tried."""
    for name in files:
        if not Path(name).is_dir():
            continue
        if channel.from_bytes is None:
            raise WrongUsage(f"{name} is a folder: {channel.name} takes files of JSON lines")
        if not letters_in(Path(name)):
            raise WrongUsage(f"{name} holds no letters: a folder is a Maildir with new and cur, or holds .eml files")


def _say_all(door: Door, inputs: Iterator[Input]) -> None:
    began = said = time.monotonic()
    for line in door.pass_all(inputs):
        click.echo(orjson.dumps(line))
        now = time.monotonic()
        if now - said >= PROGRESS_EVERY_S:
            click.echo(f"hotline: {door.settled} inputs, {door.settled / (now - began):.0f}/s", err=True)
            said = now
    sys.stdout.flush()


def _limits(settings: Settings) -> Limits:
    from events.reference import load

    try:
        return load(settings.reference).limits
    except ReferenceInvalid as invalid:
        raise Problem(str(invalid).replace("\n", "; ")) from None


def _open_ring(settings: Settings) -> KeyRing:
    from events.vault.opening import MasterKeyUnusable, open_vault

    try:
        ring = KeyRing(open_vault(settings), keys_in_pool=2_000)
    except MasterKeyUnusable as unusable:
        raise PartAway(str(unusable)) from None
    ring.start()
    if not ring.wait_ready(VAULT_TIMEOUT_S):
        failure = ring.failure
        ring.close()
        raise PartAway(reason_of(failure) if failure else "the vault does not answer")
    return ring
