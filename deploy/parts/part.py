"""What the supervisor needs to know of a part of the stack that is not ours: a server that is started, asked and stopped."""

import signal
from typing import Protocol

from deploy.spawn import Command


class Part(Protocol):
    """A local server."""

    @property
    def name(self) -> str:
        """Its name, also that of its log file."""

    @property
    def stop_signal(self) -> signal.Signals:
        """The signal that makes it end in order."""

    def check_ports(self) -> None:
        """Raise PortTaken if a port it needs is in use."""

    def prepare(self) -> None:
        """Make what a start needs; called before each start, also after a crash. Raises PartAway."""

    def command(self) -> Command:
        """How to start it."""

    def answers(self) -> bool:
        """Whether it serves now; at most 2 s."""

    def settle(self) -> None:
        """What is made once it answers, such as databases; the same again changes nothing."""
