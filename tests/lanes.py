"""How tests are shared out when they run side by side: file by file, but all that need a whole stack in one lane, which begins first.

A stack is a dozen processes and a Kafka that must be back within a bound; two of them on one small machine make each other late.
"""

from xdist.scheduler import LoadFileScheduling

_WITH_A_STACK = ("tests/faults/", "tests/interop/", "tests/journeys/")


def needs_a_stack(nodeid: str) -> bool:
    """Say whether a test runs in the lane of the stacks."""
    return nodeid.startswith(_WITH_A_STACK)


class Lanes(LoadFileScheduling):  # type: ignore[misc]  # the library has no types
    """A lane for each file in turn, and one for the stacks."""

    def _split_scope(self, nodeid: str) -> str:
        return "whole stacks" if needs_a_stack(nodeid) else str(super()._split_scope(nodeid))
