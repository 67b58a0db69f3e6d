"""The projector: a process that follows the topics of read models, every build of them that projectors shall follow.

The first such builds of its models share one read, one decode and one transaction. A further build of a model, made beside it by a rebuild,
is followed apart, in a group of its own, until it is dropped; and while processes that know other rules are at work, as in a rolling
release, so is every build. Which builds there are is looked up again and again, so that a rebuild's hand-over, a switch and a drop need no
restart.
"""

import gc
import sys
from collections.abc import Sequence
from threading import Event as Flag
from threading import Thread
from typing import Any, NamedTuple

import structlog
from psycopg import Connection, OperationalError

from consumers.kafka import make_consumer, topic_ids
from consumers.loop import CALL_A_PERSON, Follower, keep_following
from events import reference
from events.settings import Settings
from events.wire.codec import load_codec
from projectors import builds, database
from projectors.builds import FOLLOWING, Build, BuildGone, followers
from projectors.model import ReadModel
from projectors.registry import projections

_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_SWITCH_EVERY_S = 0.0005  # a thread whose answer has come from Postgres must not wait the usual 5 ms for the one that decodes
_LOOK_EVERY_S = 1.0
_END_LIMIT_S = 30.0

log = structlog.get_logger()


class UnknownModel(Exception):
    """No read model has this name."""


class Share(NamedTuple):
    """Builds that are followed together, at most one of each model, and the group of consumers that shares their partitions."""

    group: str
    builds: tuple[Build, ...]

    @property
    def name(self) -> tuple[str, ...]:
        """What tells it from another: whether one of its builds serves is no matter."""
        return (self.group, *(build.consumer for build in self.builds))


def run_one(settings: Settings, stop: Flag, name: str) -> None:
    """Follow with the read model `name` alone."""
    models = projections(reference.load(settings.reference))
    chosen = [model for model in models if model.name == name]
    if not chosen:
        raise UnknownModel(f"{name}: known are {', '.join(model.name for model in models)}")
    run(settings, stop, chosen, group=None)


def run_all(settings: Settings, stop: Flag) -> None:
    """Follow with every read model from one read."""
    run(settings, stop, projections(reference.load(settings.reference)), group="projectors")


def run(settings: Settings, stop: Flag, models: Sequence[ReadModel], group: str | None) -> None:
    """Follow every build of `models` until `stop` is set.

    The first of each are followed together as members of `group`, if one is named and no process of another kind is at work.
    """
    collect_rarely()
    sys.setswitchinterval(_SWITCH_EVERY_S)
    Projecting(settings, models, group).run(stop)


def divide(there: Sequence[Build], group: str | None) -> list[Share]:
    """Return which builds are followed together: the first of each model in `group`, any other, or each without one, alone."""
    first: dict[str, Build] = {}
    apart: list[Build] = []
    for build in there:
        if group is None or build.model in first:
            apart.append(build)
        else:
            first[build.model] = build
    together = [Share(group, tuple(first.values()))] if group is not None and first else []
    return [*together, *(Share(build.consumer, (build,)) for build in apart)]


class Projecting:
    """One process's followers, each in a thread, kept as the list of builds says."""

    def __init__(self, settings: Settings, models: Sequence[ReadModel], group: str | None) -> None:
        self._settings, self._models, self._group = settings, models, group
        self._rules = {(model.name, model.version): model for model in models}
        self._running: dict[tuple[str, ...], _Following] = {}
        self._db: Connection[Any] | None = None

    def run(self, stop: Flag) -> None:
        """Follow until `stop` is set, or raise what a follower of a build that serves met and a person must look at."""
        try:
            while not stop.is_set():
                self._keep(self._look())
                stop.wait(_LOOK_EVERY_S)
        finally:
            for following in self._running.values():
                following.stop.set()
            for following in self._running.values():
                following.thread.join(_END_LIMIT_S)
            if self._db is not None:
                self._db.close()

    def _look(self) -> list[Share] | None:
        """Return what shall be followed now; None when the database does not tell."""
        try:
            if self._db is None or self._db.broken:
                self._db = self._open()
            there = builds.list_builds(self._db, {name for name, _ in self._rules})
            group = self._group if followers.are_alike(self._db) else None
        except OperationalError as failure:
            log.warning("coming back", because=type(failure).__name__)
            return None
        return divide([b for b in there if b.state == FOLLOWING and (b.model, b.version) in self._rules], group)

    def _open(self) -> Connection[Any]:
        """Return a session that has the tables made and tells others what this process follows; it counts only once both are done."""
        db = database.connect(self._settings.database, "projectors")
        try:
            database.prepare(db, self._models)
            followers.announce(db, repr((self._group, sorted(self._rules))))
        except BaseException:
            db.close()
            raise
        return db

    def _keep(self, wanted: Sequence[Share] | None) -> None:
        """End followers of what is not wanted any more, then begin those of what is new; raise for what serves and failed."""
        for following in self._running.values():
            if following.failure is not None and any(build.serving for build in following.share.builds):
                raise following.failure
        if wanted is None:
            return
        names = {share.name for share in wanted}
        gone = [following for name, following in self._running.items() if name not in names or following.let_go]
        for following in gone:
            following.stop.set()
        for following in gone:
            following.thread.join(_END_LIMIT_S)
            del self._running[following.share.name]
        for share in wanted:
            if share.name in self._running:
                self._running[share.name].share = share  # which of its builds serves may have changed
            else:
                self._running[share.name] = self._begin(share)

    def _begin(self, share: Share) -> "_Following":
        following = _Following(self._settings, share, [self._rules[build.model, build.version] for build in share.builds])
        following.thread.start()
        return following


class _Following:
    """The thread that follows one share."""

    def __init__(self, settings: Settings, share: Share, models: Sequence[ReadModel]) -> None:
        self._settings, self.share, self._models = settings, share, models
        self._limits = reference.load(settings.reference).parking
        self.stop = Flag()
        self.failure: Exception | None = None
        self.let_go = False
        self.thread = Thread(target=self._run, name=share.group, daemon=True)

    def _run(self) -> None:
        try:
            keep_following(self._make, self.stop)
        except BuildGone as gone:
            log.info("let go", consumer=str(gone))
            self.let_go = True
        except CALL_A_PERSON as failure:  # has been logged
            self.failure = failure
        except Exception as failure:  # kept: raised again if a build of ours serves
            log.error("stopping", because=type(failure).__name__, exc_info=True)
            self.failure = failure

    def _make(self) -> Follower:
        settings, (group, followed), models = self._settings, self.share, self._models
        ids = topic_ids(settings.kafka_access, sorted({topic for model in models for topic in model.topics}))
        db = database.connect(settings.database, group)
        try:
            database.prepare(db, models)
            for build in followed:
                builds.hold(db, build)
            builds.look_into(db, followed)
            names = {build.model: build.consumer for build in followed}
            return Follower(make_consumer(settings.kafka_access, f"projector.{group}"), db, models, load_codec(), ids, self._limits, names)
        except BaseException:
            db.close()
            raise


def collect_rarely() -> None:
    """Look for garbage cycles once a few batches: a batch makes tens of thousands of objects and not one cycle."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 100)
