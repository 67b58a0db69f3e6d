"""Which tickets and records one pass takes: those whose key falls into its slice of a ring of buckets. Pure."""

from itertools import pairwise
from typing import NamedTuple

from events.wire.partitioning import BUCKETS, bucket_of


class BoundTooLow(Exception):
    """One bucket, or one key, holds more tickets than a pass may: raise `tickets_per_pass` in the reference data."""


class Slice(NamedTuple):
    """`width` buckets from `start` on, round the ring; or one key alone."""

    start: int = 0
    width: int = BUCKETS
    only: bytes | None = None

    def holds(self, key: bytes) -> bool:
        """Tell whether the records of `key` belong to it."""
        if self.only is not None:
            return key == self.only
        return self.width == BUCKETS or (bucket_of(key) - self.start) % BUCKETS < self.width

    def parts(self, count: int) -> "list[Slice]":
        """Return it in `count` parts, or as many as it has buckets."""
        count = min(count, self.width)
        ends = [self.width * place // count for place in range(count + 1)]
        return [Slice((self.start + first) % BUCKETS, past - first) for first, past in pairwise(ends)]

    def halves(self) -> "list[Slice]":
        """Return it in two; raise BoundTooLow when there is nothing left to halve."""
        if self.only is not None or self.width == 1:
            what = "one key" if self.only is not None else f"bucket {self.start}"
            raise BoundTooLow(f"{what} holds more tickets than one pass may keep: raise tickets_per_pass in the reference data")
        return self.parts(2)

    def next(self, slices: int) -> "Slice":
        """Return the slice after this one when `slices` of them make the ring: so many in a row hold every key."""
        return Slice((self.start + self.width) % BUCKETS, -(-BUCKETS // slices))
