"""The crew of a rebuild: worker processes that share the partitions by what is left in each, watched until all is done.

A worker that dies is replaced and goes on where the positions say; one that says why it stopped ends the rebuild.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess
from threading import Event as Flag

import structlog

from consumers.rebuild.worker import Said, Task, carry_out, work
from events.places import Partition
from events.settings import Settings
from projectors.model import ReadModel

MOST_DEATHS = 5
_LOOK_EVERY_S = 0.2
_END_LIMIT_S = 10.0

log = structlog.get_logger()


class Stopped(Exception):
    """A worker met something that a person must look at; what was built stays, and another call goes on from there."""


@dataclass
class _Member:
    task: Task
    process: SpawnProcess
    pipe: "Pipe[None, Said]"


def share_out(left: Mapping[Partition, int], workers: int) -> list[list[Partition]]:
    """Divide partitions among at most `workers` so that the records left in them are alike; nobody gets nothing."""
    shares: list[tuple[int, list[Partition]]] = [(0, []) for _ in range(workers)]
    for partition, records in sorted(left.items(), key=lambda one: (-one[1], one[0])):
        if records > 0:
            least = min(range(workers), key=lambda number: shares[number][0])
            shares[least] = (shares[least][0] + records, [*shares[least][1], partition])
    return [partitions for _, partitions in shares if partitions]


def run_crew(settings: Settings, model: ReadModel, tasks: Sequence[Task], say: Callable[[str], None], look: Callable[[], None]) -> int:
    """Let a process do each of `tasks`, and `look` meanwhile; return the most memory that one held, in MB.

    Raises Stopped; nobody is left running then.
    """
    with _started(settings, model, tasks) as members:
        deaths, most_mb = 0, 0
        while members:
            for member in [member for member in members if not member.process.is_alive()]:
                members.remove(member)
                said = _last_word(member)
                if said is None:
                    deaths += 1
                    if deaths > MOST_DEATHS:
                        raise Stopped(f"{deaths} workers ended without a word, the last with code {member.process.exitcode}")
                    say(f"a worker ended by itself (code {member.process.exitcode}); another goes on from the stored positions")
                    members.append(_start(settings.model_copy(update={"crash_point": None}), model, member.task))
                    continue
                most_mb = max(most_mb, said.memory_mb)
                if said.stopped_by:
                    raise Stopped(said.stopped_by)
            look()
            Flag().wait(_LOOK_EVERY_S)
        return most_mb


def work_alone(settings: Settings, model: ReadModel, task: Task, look: Callable[[], None]) -> int:
    """Do a task in this process; return and raise as `run_crew` does."""
    said = carry_out(settings, model, task, look)
    if said.stopped_by:
        raise Stopped(said.stopped_by)
    return said.memory_mb


def _last_word(member: _Member) -> Said | None:
    """Return what a worker that has ended said, or None when it was killed before."""
    try:
        return member.pipe.recv() if member.pipe.poll() else None
    except EOFError:
        return None
    finally:
        member.pipe.close()


@contextmanager
def _started(settings: Settings, model: ReadModel, tasks: Sequence[Task]) -> Iterator[list[_Member]]:
    members: list[_Member] = []
    try:
        for task in tasks:
            members.append(_start(settings, model, task))
        yield members
    finally:
        for member in members:
            member.process.terminate()
        for member in members:
            member.process.join(_END_LIMIT_S)


def _start(settings: Settings, model: ReadModel, task: Task) -> _Member:
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(settings, model, task, theirs), daemon=True)
    process.start()
    theirs.close()
    return _Member(task, process, ours)


def tasks_of(task: Task, left: Mapping[Partition, int], workers: int) -> list[Task]:
    """Divide one task, its partitions and its rate, among workers."""
    shares = share_out(left, workers)
    rate = task.records_per_s / len(shares) if task.records_per_s and shares else None
    return [replace(task, until={p: task.until[p] for p in share}, records_per_s=rate) for share in shares]
