"""The process `drift`: works through all tickets again and again, slice by slice, and says where a read model has drifted from the log.

Slow on purpose: it takes the whole window for one round unless the log is so long that it must hurry, and never reads faster than it may.
One works at a time; a second one waits. It comes back by itself when Kafka or Postgres was away. It repairs nothing.
"""

from threading import Event as Flag
from time import monotonic

import structlog

from consumers import only_one
from consumers.drift import ledger
from consumers.drift.audit import AUDITED, SliceTooWide, SteppedBack, Task
from consumers.drift.ledger import PROCESS
from consumers.drift.log import Stopped
from consumers.drift.passes import Parts, make_pass, opened, terms_of
from consumers.drift.slices import BoundTooLow, Slice
from consumers.loop import CALL_A_PERSON, COME_BACK
from events import reference
from events.reference import Drift, Reference
from events.settings import Settings
from events.wire.partitioning import BUCKETS

_ONE_AUDITS = 4_717_005  # key of the advisory lock that the working audit holds
FROZEN_AFTER_S = 120  # longer than one look at the tables may take, during which the lock's session is silent
_STAY_EVERY_S = 1.0
_LOOK_FOR_LOCK_S = 5.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
_NOTHING_YET_S = 15.0  # until the next look at a log of which nothing was applied yet
_ROOM = 1.1  # a slice is cut for a tenth more tickets than there were
_IN_TIME = 0.9  # of the window: what is left is for a pass itself

log = structlog.get_logger()


def run(settings: Settings, stop: Flag) -> None:
    """Audit until `stop` is set. Raises what no waiting cures: a log that is not what was read, a bound that no slice keeps."""
    terms = reference.load(settings.reference)
    wait_s = _FIRST_WAIT_S
    while not stop.is_set():
        began_s = monotonic()
        try:
            with opened(settings, stop, terms.drift.records_per_s) as parts:
                _audit_on(parts, terms, stop)
        except Stopped:
            return
        except (*COME_BACK, SteppedBack) as failure:
            wait_s = _FIRST_WAIT_S if monotonic() - began_s > _LONGEST_WAIT_S else min(2 * wait_s, _LONGEST_WAIT_S)
            log.warning("coming back", because=type(failure).__name__, wait_s=wait_s)
            stop.wait(wait_s)
        except (*CALL_A_PERSON, BoundTooLow) as failure:
            log.error("stopping", because=type(failure).__name__, detail=str(failure))
            raise


def _audit_on(parts: Parts, terms: Reference, stop: Flag) -> None:
    only_one.end_when_frozen(parts.ledger, FROZEN_AFTER_S)
    while not only_one.try_lock(parts.ledger, _ONE_AUDITS):
        if stop.wait(_LOOK_FOR_LOCK_S):
            return
    narrow = 1
    while not stop.is_set():
        began_s = monotonic()
        wanted = next_slice(ledger.find_last(parts.ledger), terms.drift, narrow)
        try:
            done = make_pass(parts, Task(AUDITED, wanted, terms_of(terms), terms.drift.tickets_per_pass), PROCESS)
        except SliceTooWide:
            width = wanted.halves()[0].width
            narrow *= 2
            log.info("slices become narrower", width=width)
            continue
        narrow = 1
        rest_s = interval_s(wanted, terms.drift)
        _wait_until(began_s + (rest_s if done.read else min(rest_s, _NOTHING_YET_S)), parts, stop)


def next_slice(last: tuple[Slice, int] | None, terms: Drift, narrow: int = 1) -> Slice:
    """Return the slice after `last` (and how many tickets that held), so narrow that its tickets fit; `narrow` times narrower still."""
    if last is None:
        return Slice(0, -(-BUCKETS // min(BUCKETS, terms.slices * narrow)))
    before, tickets = last
    all_tickets = tickets * BUCKETS / before.width * _ROOM
    slices = max(terms.slices, int(all_tickets // terms.tickets_per_pass) + 1)
    return before.next(min(BUCKETS, slices * narrow))


def interval_s(wanted: Slice, terms: Drift) -> float:
    """Return how long after its begin the next pass begins, so that a whole round fits into the window."""
    return terms.window_s * _IN_TIME * wanted.width / BUCKETS


def _wait_until(end_s: float, parts: Parts, stop: Flag) -> None:
    """Wait until the monotonic clock says `end_s` or `stop` is set; the lock stays ours as long as we are awake."""
    while (left_s := end_s - monotonic()) > 0 and not stop.wait(min(left_s, _STAY_EVERY_S)):
        only_one.stay(parts.ledger)
