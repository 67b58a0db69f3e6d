"""Where a record lies in the log."""

from typing import NamedTuple


class Place(NamedTuple):
    """Topic, partition and offset of one record."""

    topic: str
    partition: int
    offset: int
