"""The process `drift` when it is frozen: its session falls silent, and an heir audits on."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import pytest

from consumers.drift import watch
from consumers.drift.ledger import PROCESS
from events.settings import Settings
from tests.consumers.drift.audited import Audited, a_life, audited, new_number
from tests.reference_data import changed
from tests.waiting import until

pytestmark = pytest.mark.parts

_FROZEN_AFTER_S = 4
_HEIR_LIMIT_S = 60


class Freezing(Flag):
    """A flag of a process that is frozen when it next waits, until it is thawed."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen, self.thawed = Flag(), Flag()

    def wait(self, timeout: float | None = None) -> bool:
        """Be frozen."""
        self.frozen.set()
        self.thawed.wait(2 * _HEIR_LIMIT_S)
        return self.is_set()


@pytest.fixture
def site(stack: Settings, tmp_path: Path) -> Iterator[Audited]:
    """A database of the test's own; reading is not slowed down."""
    with audited(stack.model_copy(update={"reference": changed(tmp_path, ("= 5_000 ", "= 50_000 "))})) as here:
        yield here


def test_the_heir_of_an_audit_that_is_frozen_goes_on_within_a_bound(site: Audited, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "FROZEN_AFTER_S", _FROZEN_AFTER_S)
    monkeypatch.setattr(watch, "_LOOK_FOR_LOCK_S", 0.2)
    site.publish(a_life(new_number()))
    frozen, stop = Freezing(), Flag()
    first, heir = (Thread(target=watch.run, args=(site.settings, flag), daemon=True) for flag in (frozen, stop))
    first.start()
    try:
        until(frozen.frozen.is_set, _HEIR_LIMIT_S)
        heir.start()
        until(lambda: _passes(site), _HEIR_LIMIT_S)
    finally:
        for flag in (stop, frozen, frozen.thawed):
            flag.set()
        for thread in (first, heir):
            thread.join(_HEIR_LIMIT_S)

    assert not first.is_alive()
    assert not heir.is_alive()


def _passes(site: Audited) -> int:
    row = site.db.execute("SELECT count(*) FROM drift_pass WHERE by = %s", [PROCESS]).fetchone()
    return row[0] if row else 0
