"""The one table of processes: what Hotline consists of when it runs, and which of them one machine starts.

Names functions instead of importing them, so that each process loads only what it needs.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from deploy.problems import NotThere
from events.settings import Settings

Run = Callable[[Settings, threading.Event], None]


@dataclass(frozen=True, slots=True)
class Process:
    """One process. `run` is `module:function(settings, stop)`; with `takes_model`, `function(settings, stop, model)`.

    `port_setting` is the setting with the port it serves on, if it does.
    """

    name: str
    run: str
    port_setting: str | None = None
    takes_model: bool = False


PROCESSES: tuple[Process, ...] = (
    Process("intake", "api.intake.serve:run", port_setting="intake_port"),
    Process("api", "api.queries.serve:run", port_setting="api_port"),
    Process("desk", "consumers.desk.desk:run"),
    Process("relay", "consumers.relay:run"),
    Process("projectors", "consumers.project:run_all"),
    Process("drift", "consumers.drift.watch:run"),
    Process("projector", "consumers.project:run_one", takes_model=True),
)

# What `hotline up` starts, in this order; every entry is what stands after `hotline run`.
TOGETHER: tuple[str, ...] = ("relay", "desk", "projectors", "intake", "api", "drift")


@dataclass(frozen=True, slots=True)
class Unit:
    """One process as started: an entry of the table, with its model if it takes one."""

    process: Process
    model: str | None = None

    @property
    def name(self) -> str:
        """Name in logs and status."""
        return f"{self.process.name}-{self.model}" if self.model else self.process.name

    @property
    def words(self) -> tuple[str, ...]:
        """What stands after `hotline run`."""
        return (self.process.name, self.model) if self.model else (self.process.name,)

    def load(self) -> Run:
        """Import its function. Raises NotThere if this installation lacks it."""
        module_name, _, function = self.process.run.partition(":")
        try:
            found: Any = getattr(import_module(module_name), function)
        except ModuleNotFoundError as problem:
            if problem.name is None or not module_name.startswith(problem.name):
                raise
            raise NotThere(f"{self.name} is not part of this installation ({module_name})") from None
        model = self.model
        return (lambda settings, stop: found(settings, stop, model)) if model else found


def units_of(words: Sequence[str]) -> list[Unit]:
    """The units named by the words after `hotline run`. Raises NotThere with the names there are."""
    table = {process.name: process for process in PROCESSES}
    left, found = list(words), []
    while left:
        process = table.get(left.pop(0))
        if process is None:
            raise NotThere(f"no such process; there are: {', '.join(table)}")
        if process.takes_model and not left:
            raise NotThere(f"{process.name} wants the name of a read model: {', '.join(model_names())}")
        found.append(Unit(process, left.pop(0) if process.takes_model else None))
    return found


def units_to_start(*, apart: bool) -> list[Unit]:
    """What `hotline up` starts: projectors as one process, or with `apart` each as its own."""
    units = units_of(TOGETHER)
    if not apart:
        return units
    alone = [word for model in model_names() for word in ("projector", model)]
    place = next(index for index, unit in enumerate(units) if unit.name == "projectors")
    return [*units[:place], *units_of(alone), *units[place + 1 :]]


def model_names() -> list[str]:
    """Names of all read models."""
    try:
        registry = import_module("projectors.registry")
    except ModuleNotFoundError:
        raise NotThere("no read models are part of this installation (projectors.registry)") from None
    return [projection.name for projection in registry.PROJECTIONS]
