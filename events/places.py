"""Where a record lies in the log."""

from typing import NamedTuple

Partition = tuple[str, int]  # topic, number of the partition


class Place(NamedTuple):
    """Topic, partition and offset of one record."""

    topic: str
    partition: int
    offset: int
