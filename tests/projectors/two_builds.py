"""Two builds of a read model over one log in memory, on a real Postgres: each is fed as far as a test wants."""

from collections.abc import Sequence
from typing import Any

from psycopg import Connection

from projectors import builds, database, positions
from projectors.builds import Build
from projectors.model import ReadModel
from projectors.positions import Move
from projectors.record import Record


class Builds:
    """A database with the first build of one model, which serves, and another beside it."""

    def __init__(self, address: str, first: ReadModel, beside: ReadModel) -> None:
        self.address = address
        self.db: Connection[Any] = database.connect(address, "test")
        database.prepare(self.db, [first])
        self.rules = {first.version: first, beside.version: beside}
        self.old = builds.list_builds(self.db, [first.name])[0]
        made = builds.make_beside(self.db, beside)
        builds.make_indexes(self.db, beside, made)
        self.new = builds.hand_over(self.db, made, 0, 0, 0)

    def feed(self, build: Build, records: Sequence[Record]) -> None:
        """Let one of them follow `records`, as the loop does."""
        model = self.rules[build.version]
        with database.connect(self.address, "feed") as db:
            builds.look_into(db, [build])
            own = [record for record in records if record.topic in model.topics]
            places = sorted({(record.topic, record.partition) for record in own})
            held = {place: positions.claim(db, [build.consumer], place, "topic")[build.consumer] for place in places}
            fresh = [r for r in own if r.offset >= held[r.topic, r.partition].next_offset]
            ends = {(record.topic, record.partition): record.offset + 1 for record in fresh}
            with db.transaction():
                positions.advance(db, [Move(build.consumer, place, held[place], past, 1) for place, past in ends.items()])
                model.apply(db, fresh)

    def feed_both(self, records: Sequence[Record]) -> None:
        """Let both follow `records`."""
        for build in (self.old, self.new):
            self.feed(build, records)

    def close(self) -> None:
        """End the session."""
        self.db.close()
