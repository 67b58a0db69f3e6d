"""`hotline schemas push`: look at what the registry has, refuse what contradicts the lock, bring what is missing, look again.

Nothing is written while anything there contradicts; the same push again changes nothing.
"""

from dataclasses import dataclass

from deploy.problems import Unwilling
from deploy.registry.asking import Registry
from deploy.registry.kinds import kind_of
from deploy.registry.wanted import Wanted, wanted_versions

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at the registry found of our versions."""

    there: list[Wanted]
    missing: list[Wanted]
    collisions: list[str]
    """Each a line: what has our id or our version there, and what we have."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did, or would do."""

    kind: str
    pushed: list[Wanted]
    there: list[Wanted]
    collisions: list[str]


def push(address: str, *, dry_run: bool = False) -> Pushed:
    """Bring every version that is missing at `address`, each under its id; with `dry_run` only look.

    With collisions nothing is written. Raises PartAway if the registry does not answer, Unwilling if it refuses, can't keep ids, or shows
    something else afterwards.
    """
    registry = Registry(address)
    kind = kind_of(registry)
    wanted = wanted_versions()
    found = look(registry, wanted)
    if found.missing and not found.collisions and not dry_run:
        kind.put(found.missing)
        _require_all(registry, found.missing)
    return Pushed(kind.name, [] if found.collisions else found.missing, found.there, found.collisions)


def require_no_collision(pushed: Pushed) -> None:
    """Raise Unwilling with the first collisions."""
    if pushed.collisions:
        more = f"; and {len(pushed.collisions) - _SHOWN} more" if len(pushed.collisions) > _SHOWN else ""
        raise Unwilling(f"nothing was pushed: {'; '.join(pushed.collisions[:_SHOWN])}{more}")


def look(registry: Registry, wanted: list[Wanted]) -> Found:
    """Compare what the registry has with what it shall have."""
    found = Found([], [], [])
    for one in wanted:
        at_version = registry.version(one.subject, one.version)
        at_id = registry.schema(one.id) if at_version is None or at_version[0] != one.id else at_version[1]
        if at_id is not None and not one.is_same(at_id):
            found.collisions.append(f"id {one.id} is that of another schema there, and of {one} here")
        elif at_version is None:
            found.missing.append(one)
        elif not one.is_same(at_version[1]):
            found.collisions.append(f"{one} is another schema there, with the id {at_version[0]}")
        elif at_version[0] != one.id:
            found.collisions.append(f"{one} has the id {at_version[0]} there, and {one.id} here")
        else:
            found.there.append(one)
    return found


def _require_all(registry: Registry, pushed: list[Wanted]) -> None:
    after = look(registry, pushed)
    if lacking := [*after.collisions, *(f"{one} is not there" for one in after.missing)]:
        raise Unwilling(f"the registry at {registry.shown} took the schemas otherwise than told: {'; '.join(lacking[:_SHOWN])}")
