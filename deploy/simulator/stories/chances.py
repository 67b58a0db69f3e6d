"""Dice with names: choices by weight from a seeded source. Stories, not secrets."""

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """One seeded source of choices; the same words give the same throws."""

    def __init__(self, *seed: object) -> None:
        self._source = random.Random("/".join(map(str, seed)))  # noqa: S311 - tells stories, guards nothing

    def one_of(self, things: Sequence[T]) -> T:
        """Return one of `things`, each as likely."""
        return self._source.choice(things)

    def by_weight(self, weights: Mapping[T, float]) -> T:
        """Return one of the keys, as likely as its weight says."""
        return self._source.choices(list(weights), list(weights.values()))[0]

    def happens(self, percent: float) -> bool:
        """Say yes in so many of a hundred cases."""
        return self._source.random() * 100 < percent

    def between(self, least: int, most: int) -> int:
        """Return a whole number from `least` to `most`, both included."""
        return self._source.randint(least, most)

    def span_s(self, least: float, most: float) -> float:
        """Return a length of time in seconds."""
        return self._source.uniform(least, most)

    def content(self, least: int, most: int) -> bytes:
        """Return bytes nobody has seen before."""
        return self._source.randbytes(self.between(least, most))
