"""A whole stack of real parts, harmed: servers and supervisor killed, a second one on the same folder, everything wiped."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy import runfile
from deploy.home import holders
from deploy.parts.local import LocalParts, wait_until
from deploy.parts.ports import is_free, pick_free
from deploy.probes import database_answers
from deploy.problems import HomeInUse, PartAway
from deploy.runfile import Entry
from deploy.stack import start_detached, stop_stack, wipe
from events.settings import Settings

pytestmark = pytest.mark.parts

LIMIT_S = 30.0


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    port = pick_free(5)
    home = tmp_path / "a home of its own"
    yield Settings(home=home, kafka_port=port, postgres_port=port + 2, intake_port=port + 3, api_port=port + 4)
    stop_stack(home)


def entry(settings: Settings, name: str) -> Entry:
    run = runfile.read(settings.folder)
    assert run is not None
    return next(entry for entry in run.entries if entry.name == name)


def comes_back(settings: Settings, name: str, times: int) -> Callable[[], bool]:
    def look() -> bool:
        seen = entry(settings, name)
        return seen.restarts == times and seen.state == "running"

    return look


def test_killed_servers_come_back_and_down_leaves_nothing(settings: Settings) -> None:
    aside = start_detached(settings, "--parts-only")
    for name in ("kafka", "postgres"):
        life = entry(settings, name).life
        assert life is not None
        assert life.send(signal.SIGKILL)
    for name in ("kafka", "postgres"):
        wait_until(comes_back(settings, name, 1), LIMIT_S, f"{name} did not come back")

    assert database_answers(settings.database)
    assert sorted(stop_stack(settings.folder)) == ["kafka", "postgres"]
    assert aside.wait(LIMIT_S) == 0
    assert holders(settings.folder) == []
    assert is_free(settings.kafka_port)
    assert is_free(settings.postgres_port)


def test_down_clears_up_after_a_killed_supervisor_and_a_second_stack_is_refused(settings: Settings) -> None:
    aside = start_detached(settings, "--parts-only")
    with pytest.raises(PartAway, match="in use by a running stack"):
        start_detached(settings, "--parts-only")
    aside.kill()
    aside.wait(LIMIT_S)
    assert len(holders(settings.folder)) >= 2

    assert sorted(stop_stack(settings.folder)) == ["kafka", "postgres"]

    assert holders(settings.folder) == []
    assert settings.master_key_path in wipe(settings.folder, only_show=True)
    wipe(settings.folder, only_show=False)
    assert not settings.folder.exists()


def test_down_leaves_servers_alone_that_no_supervisor_started(settings: Settings) -> None:
    parts = LocalParts(settings.model_copy(update={"kafka": "127.0.0.1:1"}), durable=False)
    parts.start()
    try:
        with pytest.raises(HomeInUse, match="did not start"):
            stop_stack(settings.folder)
        assert database_answers(settings.database)
    finally:
        parts.stop()


def test_up_takes_over_from_a_killed_supervisor(settings: Settings) -> None:
    first = start_detached(settings, "--parts-only")
    first.kill()
    first.wait(LIMIT_S)

    second = start_detached(settings, "--parts-only")

    assert entry(settings, "kafka").state == "running"
    stop_stack(settings.folder)
    assert second.wait(LIMIT_S) == 0
