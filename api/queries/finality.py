"""Since when can nothing be added any more? What an answer about a moment needs to say that it is final.

Where the topics of causes ended at an observed moment, everything up to there was said before it. Once all of that is settled and what it
led to is applied, no decision recorded before that moment can still come, but for clocks that differ: that margin is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from events.envelope import TICKETS
from events.places import Partition
from projectors.model import ReadModel
from projectors.reaching import CAUSES, Demands, Progress, demands_of, still_open
from projectors.tokens import Token

MOST_OBSERVATIONS = 64
_SPEAKS = (*CAUSES, TICKETS)


@dataclass(slots=True)
class _Observation:
    at_us: int
    open: Demands


class Finality:
    """Remembers where the log ended at a few moments, and up to which of them `model` has included what was said."""

    def __init__(self, model: ReadModel, margin_us: int) -> None:
        self._model, self._margin_us = model, margin_us
        self._observed: list[_Observation] = []
        self._newest_us = 0
        self._reached_us: int | None = None  # nothing is final before an observation was reached

    def observe(self, at_us: int, ends: Mapping[Partition, int]) -> None:
        """Remember that the log ended at `ends` (partition → next offset) at a moment or later; each moment once."""
        if at_us <= self._newest_us:
            return
        self._newest_us = at_us
        said = Token({place: end - 1 for place, end in ends.items() if place[0] in _SPEAKS and end > 0})
        self._observed.append(_Observation(at_us, demands_of(self._model, said)))
        if len(self._observed) > MOST_OBSERVATIONS:
            del self._observed[1::2]  # a long lag is remembered in coarser steps

    def look(self, progress: Progress) -> None:
        """Learn what is reached by now."""
        for one in self._observed:
            one.open = still_open(self._model, one.open, progress)
        reached = [one.at_us for one in self._observed if not one.open]
        if reached:
            self._reached_us = max(reached)
            self._observed = [one for one in self._observed if one.at_us > self._reached_us]

    def covers(self, moment_us: int) -> bool:
        """Tell whether what is known of `moment_us` can't change any more."""
        return self._reached_us is not None and moment_us + self._margin_us <= self._reached_us
