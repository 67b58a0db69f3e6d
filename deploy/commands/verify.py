"""`hotline verify`: read models compared with an independent fold of the log, all of them or a share, now; and one ticket repaired."""

import json
import secrets
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from deploy.exits import DONE, FOUND
from events.settings import Settings

if TYPE_CHECKING:
    from consumers.drift.audit import Found
    from consumers.drift.passes import Parts
    from consumers.drift.slices import Slice
    from events.reference import Reference

_LEAST_SHARE = 0.0001


@click.command("verify")
@click.argument("model", required=False)
@click.option("--share", type=click.FloatRange(_LEAST_SHARE, 1), default=1.0, help="Of all tickets, chosen by chance; default: all.")
@click.option("--ticket", "number", metavar="NUMBER", help="This ticket alone.")
@click.option("--repair", "repaired", metavar="NUMBER", help="Make the rows of this ticket again from the log, then compare.")
@click.option("--dry-run", is_flag=True, help="With --repair: only show what differs.")
@click.option("--json", "as_json", is_flag=True, help="One object, nothing else.")
def COMMAND(  # noqa: N802 - the name the table looks for
    model: str | None, share: float, number: str | None, repaired: str | None, dry_run: bool, as_json: bool
) -> int:
    """Compare read models (MODEL: one of them) with what an independent fold of the log says, at the offsets they have reached.

    Exit code 1 if anything differs or cannot be repaired, 3 if Kafka or the database does not answer.
    """
    from deploy.problems import WrongUsage
    from events.logging import configure

    if (number is not None or repaired is not None) and share != 1.0:
        raise WrongUsage("--share is of all tickets: leave it out with --ticket and --repair")
    if (number is not None and repaired is not None) or (dry_run and repaired is None):
        raise WrongUsage("one of --ticket and --repair; --dry-run belongs to --repair")
    configure("verify")
    models, wanted = _models(model), _wanted(share, repaired or number)
    with _parts(Settings()) as parts:
        did = _repair(parts, models, repaired) if repaired and not dry_run else []
        found = _verify(parts, models, wanted, quiet=wanted.only is not None)
    _say(found, did, as_json)
    return FOUND if found.findings or any("problem" in one for one in did) else DONE


def _models(name: str | None) -> tuple[str, ...]:
    from consumers.drift.audit import AUDITED
    from deploy.problems import WrongUsage

    if name is None:
        return AUDITED
    if name not in AUDITED:
        raise WrongUsage(f"{name}: what can be verified is {', '.join(AUDITED)}")
    return (name,)


def _wanted(share: float, number: str | None) -> "Slice":
    from consumers.drift.slices import Slice
    from events.wire.partitioning import BUCKETS

    if number is not None:
        return Slice(only=number.encode())
    return Slice(0 if share == 1 else secrets.randbelow(BUCKETS), max(1, round(share * BUCKETS)))


@contextmanager
def _parts(settings: Settings) -> "Iterator[Parts]":
    """What a pass works with; whatever is away is said as what it is."""
    from psycopg import OperationalError

    from consumers.drift.audit import SteppedBack
    from consumers.drift.passes import opened
    from consumers.drift.slices import BoundTooLow
    from consumers.loop import CALL_A_PERSON, COME_BACK
    from deploy.problems import PartAway, Problem
    from events.wire.codec import UnknownSchema

    try:
        with opened(settings, threading.Event(), records_per_s=None) as parts:
            yield parts
    except OperationalError:
        raise PartAway("the database of the read models does not answer") from None
    except UnknownSchema as unknown:
        raise PartAway(f"{unknown}: a newer version of this service writes to the log") from None
    except SteppedBack as stepped:
        raise Problem(f"{stepped}: another build was switched to meanwhile; begin again") from None
    except BoundTooLow as low:
        raise Problem(str(low)) from None
    except CALL_A_PERSON as failure:
        raise Problem(f"{type(failure).__name__}: {failure}") from None
    except COME_BACK:  # what is left of it is Kafka's
        raise PartAway(f"Kafka at {settings.kafka_address} does not answer") from None


def _verify(parts: "Parts", models: Sequence[str], wanted: "Slice", *, quiet: bool) -> "Found":
    """Make as many passes as the slice needs; return what all of them found."""
    from consumers.drift.audit import Found, SliceTooWide, Task, size_of
    from consumers.drift.ledger import PERSON
    from consumers.drift.passes import make_pass, terms_of
    from deploy.simulator.progress import pace, shown
    from events import reference

    terms = reference.load(Settings().reference)
    size, left, total = size_of(parts.log, parts.look, models), [wanted], Found()
    began_s, pacer, wasted = time.monotonic(), parts.log.pace, 0
    done_passes, before = 0, parts.log.pace.records

    def line() -> str:
        planned = size * (done_passes + len(left)) + wasted
        return f"{pace(pacer.records - before, max(planned, pacer.records - before), time.monotonic() - began_s, 0.0)}, {_count(total)}"

    with _nothing() if quiet else shown(sys.stderr, line):
        while left:
            read_before = pacer.records
            try:
                done = make_pass(parts, Task(models, left[0], terms_of(terms), _most_tickets(terms)), PERSON)
            except SliceTooWide:
                wasted += pacer.records - read_before
                left[:1] = left[0].halves()
                continue
            left.pop(0)
            done_passes += 1
            total.records += done.found.records
            total.tickets += done.found.tickets
            total.add(done.found.findings)
    return total


def _most_tickets(terms: "Reference") -> int:
    return terms.drift.tickets_per_pass


def _count(found: "Found") -> str:
    return f"{found.tickets} tickets and {found.records} records compared, {len(found.findings)} findings"


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _repair(parts: "Parts", models: Sequence[str], number: str) -> list[dict[str, Any]]:
    """Make the rows of one ticket again in each model; return what was done, or why not."""
    from consumers.drift.repair import CannotRepair, Repair
    from events import reference
    from projectors.registry import projections

    repair, did = Repair(parts.log, parts.ledger, number), []
    by_name = {model.name: model for model in projections(reference.load(Settings().reference))}
    for name in models:
        try:
            did.append(repair.make_again(by_name[name])._asdict())
        except CannotRepair as why:
            did.append({"model": name, "problem": str(why)})
    return did


def _say(found: "Found", did: Sequence[dict[str, Any]], as_json: bool) -> None:
    from deploy.commands.log.lines import visible

    findings: list[dict[str, Any]] = [{"model": f.model, "key": f.key, "what": f.what, "columns": list(f.columns)} for f in found.findings]
    if as_json:
        told = {"tickets": found.tickets, "records": found.records, "findings": findings}
        click.echo(json.dumps({**told, "repairs": list(did)} if did else told))
        return
    for one in did:
        words = one.get("problem") or f"made again from {one['records']} records, {one['removed']} rows replaced"
        click.echo(f"{one['model']:<16} {words}")
    for one in findings:
        click.echo(f"{one['model']:<16} {visible(one['key'])}  {one['what']}  {', '.join(one['columns'])}".rstrip())
    click.echo(_count(found))
