"""What the commands on read models share: a model found by its name, and what may go wrong on the way to the parts, in one line each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import KafkaException
from psycopg import Connection, OperationalError
from psycopg.errors import UndefinedTable

from deploy.problems import NotThere, PartAway, Unwilling
from events import reference
from events.settings import Settings
from projectors import database
from projectors.builds import FOLLOWING, Build, BuildGone, list_builds, newest_beside, serving_of
from projectors.builds.comparing import Comparison, NotCaughtUp, compare, last_comparison
from projectors.builds.switching import is_recent
from projectors.model import ReadModel
from projectors.registry import projections


def model_named(settings: Settings, name: str) -> ReadModel:
    """Return this code's newest version of a read model; raise NotThere with the names there are."""
    models = projections(reference.load(settings.reference))
    chosen = max((model for model in models if model.name == name), key=lambda model: model.version, default=None)
    if chosen is None:
        raise NotThere(f"no read model is called {name}; there are: {', '.join(dict.fromkeys(model.name for model in models))}")
    return chosen


@contextmanager
def answering() -> Iterator[None]:
    """Turn what the parts fail with into a problem of one line."""
    try:
        yield
    except OperationalError:
        raise PartAway("the database of the read models does not answer") from None
    except KafkaException:
        raise PartAway("Kafka does not answer") from None
    except UndefinedTable:
        raise NotThere("no read model was built here yet: start the projectors first") from None


def compared(settings: Settings, name: str) -> Comparison:
    """Compare the newest build of a model with the one that serves; raise Unwilling when there are no two to compare."""
    with database.connect(settings.database, "compare") as db:
        there = list_builds(db, [name])
        old, new = serving_of(there), newest_beside(there)
        if old is None or new is None or new.state != FOLLOWING:
            stands = ", ".join(f"{b.consumer} ({'serves' if b.serving else b.state})" for b in there) or "none"
            raise Unwilling(f"there is no newer build of {name} to compare with the one that serves; builds: {stands}")
        return _compare(settings, db, old, new)


def compared_lately(settings: Settings, db: Connection[Any], old: Build, new: Build) -> None:
    """Compare these two, unless that was done within switching.COMPARED_FOR_S."""
    kept = last_comparison(db, old, new)
    if kept is None or not is_recent(kept):
        with database.connect(settings.database, "compare") as own:
            _compare(settings, own, old, new)


def _compare(settings: Settings, db: Connection[Any], old: Build, new: Build) -> Comparison:
    models = projections(reference.load(settings.reference))
    rules = next((getattr(m, "expected_differences", {}) for m in models if (m.name, m.version) == (new.model, new.version)), {})
    try:
        return compare(db, old, new, rules)
    except NotCaughtUp as behind:
        raise Unwilling(str(behind)) from None
    except BuildGone as gone:
        raise Unwilling(f"{gone} was dropped meanwhile") from None
