"""The projector: a process that follows the topics of one read model, or of several from one read, one decode and one transaction."""

import gc
from collections.abc import Sequence
from threading import Event as Flag

from consumers.kafka import make_consumer, topic_ids
from consumers.loop import Follower, keep_following
from events import reference
from events.settings import Settings
from events.wire.codec import load_codec
from projectors import database
from projectors.model import ReadModel, consumer_of
from projectors.registry import projections

_OBJECTS_BETWEEN_COLLECTIONS = 50_000


class UnknownModel(Exception):
    """No read model has this name."""


def run_one(settings: Settings, stop: Flag, name: str) -> None:
    """Follow with the read model `name` alone."""
    models = {model.name: model for model in projections(reference.load(settings.reference))}
    if name not in models:
        raise UnknownModel(f"{name}: known are {', '.join(models)}")
    model = models[name]
    run(settings, stop, (model,), group=consumer_of(model))


def run_all(settings: Settings, stop: Flag) -> None:
    """Follow with every read model from one read."""
    run(settings, stop, projections(reference.load(settings.reference)), group="projectors")


def run(settings: Settings, stop: Flag, models: Sequence[ReadModel], group: str) -> None:
    """Follow with `models` as a member of `group` until `stop` is set."""
    limits = reference.load(settings.reference).parking

    def make() -> Follower:
        ids = topic_ids(settings.kafka_address, sorted({topic for model in models for topic in model.topics}))
        db = database.connect(settings.database, group)
        database.prepare(db, models)
        return Follower(make_consumer(settings.kafka_address, group), db, models, load_codec(), ids, limits)

    collect_rarely()
    keep_following(make, stop)


def collect_rarely() -> None:
    """Look for garbage cycles once a few batches: a batch makes tens of thousands of objects and not one cycle."""
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 20, 100)
