"""`python -m tests.events.fuzz --minutes 10 --seed N`: bytes that nobody should have written, and whether the codec keeps its word.

A value is a golden record spoilt in some places, or noise behind an id of ours. A finding is any answer but an event, Undecodable or
UnknownSchema; an event that is not those bytes when it is encoded, or that a stranger reads otherwise; an answer that takes too long; and
memory that grows. Exit codes: 0 none, 1 some; each is printed with the value in hex (the golden records are made up).
"""

import resource
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, thread_time

import click

from events.catalogue import EVENT_TYPES
from events.envelope import Event
from events.wire.codec import Codec, Undecodable, UnknownSchema, load_codec
from events.wire.schema_examples import golden_path
from events.wire.schemas import FOLDER, Schemas, files_of, load
from tests import stranger
from tests.events.an_event import as_record

SLOW_S = 0.1
GROWTH_LIMIT_MB = 16.0
WARM_UP_VALUES = 10_000
_LOOK_EVERY_VALUES = 5_000
_TELL_EVERY_S = 60.0
_NOISE_ONE_IN = 20
_LONGEST_NOISE_BYTES = 300
_MOST_FINDINGS = 20
#: Numbers at the edges of what a byte, a length, an int and a long can be, as Avro writes them, some in more bytes than they need.
_EDGES = (
    *(b"\x00", b"\x01", b"\x02", b"\x03", b"\x7e", b"\x7f", b"\x80\x00", b"\x80\x01", b"\xff\x00", b"\xff\x7f", b"\x80\x80\x00"),
    *(b"\xfe\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x1f", b"\x80\x80\x80\x80\x10"),
    *(b"\xfe" + b"\xff" * 8 + b"\x01", b"\xff" * 9 + b"\x01", b"\xff" * 9 + b"\x03", b"\x80" * 9 + b"\x00", b"\xff" * 40, b"\x80" * 40),
    *(b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0"),
)


def values(seed: int) -> Iterator[bytes]:
    """Yield values without end: the same for the same seed and the same golden records."""
    random = Random(seed)
    golden = [bytes.fromhex(golden_path(FOLDER, kind, number).read_text("ascii")) for kind in EVENT_TYPES for number in files_of(kind)]
    while True:
        value = bytearray(random.choice(golden))
        if random.randrange(_NOISE_ONE_IN) == 0:
            value[5:] = random.randbytes(random.randint(0, _LONGEST_NOISE_BYTES))
        for _ in range(random.choice((1, 1, 1, 2, 3, 8))):
            random.choice(_DEEDS)(random, value, golden)
        yield bytes(value)


def _flip(random: Random, value: bytearray, golden: list[bytes]) -> None:
    if value:
        value[random.randrange(len(value))] ^= 1 << random.randrange(8)


def _edge(random: Random, value: bytearray, golden: list[bytes]) -> None:
    place = random.randint(0, len(value))
    value[place : place + random.choice((0, 1, 1, 2, 5))] = random.choice(_EDGES)


def _longer(random: Random, value: bytearray, golden: list[bytes]) -> None:
    """Say a number again in one byte more."""
    if value:
        place = random.randrange(len(value))
        value[place : place + 1] = bytes((value[place] | 128, 0))


def _move(random: Random, value: bytearray, golden: list[bytes]) -> None:
    """Put a piece of this or of another record somewhere, or take one out."""
    other = random.choice([bytes(value), *golden])
    start, place = random.randint(0, len(other)), random.randint(0, len(value))
    value[place : place + random.choice((0, 0, 1, 4, 16, 60))] = other[start : start + random.choice((0, 1, 4, 16, 60, 1000))]


def _cut(random: Random, value: bytearray, golden: list[bytes]) -> None:
    del value[random.randint(0, len(value)) :]


def _other_id(random: Random, value: bytearray, golden: list[bytes]) -> None:
    value[:5] = random.choice((random.choice(golden)[:5], b"\0" + random.randbytes(4), random.randbytes(random.randint(0, 5))))


_DEEDS: tuple[Callable[[Random, bytearray, list[bytes]], None], ...] = (_flip, _flip, _flip, _edge, _edge, _longer, _move, _cut, _other_id)


@dataclass
class Run:
    """What was tried and what came of it."""

    seed: int
    answers: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    seconds: float = 0.0
    growth_mb: float = 0.0
    peak_mb: float = 0.0

    def __str__(self) -> str:
        count = self.answers.total()
        told = ", ".join(f"{number} {answer}" for answer, number in sorted(self.answers.items()))
        return (
            f"seed {self.seed}: {count} values in {self.seconds:.0f} s, {count / max(self.seconds, 0.001):.0f}/s: {told}; "
            f"slowest {1e3 * self.slowest_s:.1f} ms; memory {self.peak_mb:.0f} MB, {self.growth_mb:+.1f} MB since the warm-up; "
            f"{len(self.findings)} findings"
        )


def run(seed: int, goes_on: Callable[[int], bool], codec: Codec | None = None) -> Run:
    """Try values until `goes_on` says no to how many were tried, or there are too many findings."""
    done, codec, schemas, began_s, told_s, warm_mb = Run(seed), codec or load_codec(), load(), monotonic(), monotonic(), None
    for number, value in enumerate(values(seed)):
        if not goes_on(number) or len(done.findings) >= _MOST_FINDINGS:
            break
        before_s = thread_time()  # what this thread computed, whoever else is busy
        answer, finding = _look(codec, schemas, value)
        took_s = thread_time() - before_s
        done.answers[answer] += 1
        done.slowest_s = max(done.slowest_s, took_s)
        if took_s > SLOW_S:
            finding = finding or f"took {took_s:.2f} s"
        if finding:
            done.findings.append(f"{finding}: {value.hex()}")
        if number % _LOOK_EVERY_VALUES == 0:
            done.peak_mb, done.seconds = _memory_mb(), monotonic() - began_s
            if number >= WARM_UP_VALUES:
                warm_mb = warm_mb or done.peak_mb
                done.growth_mb = done.peak_mb - warm_mb
            if monotonic() - told_s > _TELL_EVERY_S:
                told_s = monotonic()
                click.echo(str(done), err=True)
    done.seconds = monotonic() - began_s
    if done.growth_mb > GROWTH_LIMIT_MB:
        done.findings.append(f"memory grew by {done.growth_mb:.1f} MB")
    return done


def _look(codec: Codec, schemas: Schemas, value: bytes) -> tuple[str, str | None]:
    """Decode one value; return what came of it and, if that may not be, what is wrong."""
    try:
        event = codec.decode(value)
    except Undecodable:
        return "refused", None
    except UnknownSchema:
        return "unknown", None
    except Exception as other:  # noqa: BLE001 - that it can't happen is what is tried
        return "failed", f"{type(other).__name__} {other}"
    return "taken", _what_is_wrong(codec, schemas, value, event)


def _what_is_wrong(codec: Codec, schemas: Schemas, value: bytes, event: Event) -> str | None:
    writer = schemas.by_id.get(int.from_bytes(value[1:5], "big"))
    if writer is None:
        return "an event under an id that is none"
    if writer == schemas.latest_of(type(event)) and codec.encode(event, "fuzz").value != value:
        return "another encoding of an event"
    try:
        theirs = stranger.decode(value)
    except Exception as other:  # noqa: BLE001 - whatever it is, what we take a stranger must be able to read
        return f"a stranger cannot read it: {type(other).__name__}"
    is_same = all(theirs.get(name, one) == one for name, one in as_record(event).items())
    return None if is_same else "a stranger reads it otherwise"


def _memory_mb() -> float:
    """Return what this process holds in memory now; where nobody tells, the most it ever held."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 1e6


@click.command()
@click.option("--minutes", type=float, default=10.0, show_default=True, help="How long.")
@click.option("--seed", type=int, default=424242, show_default=True, help="Which values.")
def main(minutes: float, seed: int) -> None:
    """Decode spoilt records for some minutes."""
    end_s = monotonic() + 60 * minutes
    done = run(seed, lambda _: monotonic() < end_s)
    click.echo("\n".join([*done.findings, str(done)]))
    sys.exit(1 if done.findings else 0)


if __name__ == "__main__":
    main()
