"""The table of processes: what a name after `hotline run` means, and what one machine starts."""

from types import ModuleType, SimpleNamespace

import pytest

from deploy import processes
from deploy.problems import NotThere
from deploy.processes import PROCESSES, Process, Unit, units_of, units_to_start


@pytest.fixture(autouse=True)
def _two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = ModuleType("projectors.registry")
    registry.PROJECTIONS = (SimpleNamespace(name="ticket_status"), SimpleNamespace(name="audit_log"))  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "projectors.registry", registry)


def test_names_after_run_become_processes_and_a_projector_takes_its_model() -> None:
    units = units_of(["desk", "projector", "audit_log", "relay"])

    assert [unit.name for unit in units] == ["desk", "projector-audit_log", "relay"]
    assert units[1].words == ("projector", "audit_log")


@pytest.mark.parametrize(("words", "said"), [(["clerk"], "there are: intake, api"), (["projector"], "ticket_status, audit_log")])
def test_unknown_name_or_missing_model_is_answered_with_the_names_there_are(words: list[str], said: str) -> None:
    with pytest.raises(NotThere, match=said):
        units_of(words)


def test_apart_gives_each_projector_a_process_of_its_own() -> None:
    together = [unit.name for unit in units_to_start(apart=False)]
    apart = [unit.name for unit in units_to_start(apart=True)]

    assert together == ["relay", "desk", "projectors", "intake", "api", "drift"]
    assert apart == ["relay", "desk", "projector-ticket_status", "projector-audit_log", "intake", "api", "drift"]


def test_names_are_unique_and_ports_are_settings() -> None:
    from events.settings import Settings

    assert len({process.name for process in PROCESSES}) == len(PROCESSES)
    assert {process.port_setting for process in PROCESSES if process.port_setting} <= set(Settings.model_fields)


def test_process_that_is_not_installed_is_named_and_a_broken_one_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Unit(Process("timers", "consumers.not_there:run"))

    with pytest.raises(NotThere, match=r"timers is not part of this installation \(consumers.not_there\)"):
        away.load()

    def broken(_name: str) -> ModuleType:
        raise ModuleNotFoundError("No module named 'left_pad'", name="left_pad")

    monkeypatch.setattr(processes, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="left_pad"):
        away.load()
