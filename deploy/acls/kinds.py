"""The kinds of client that this service's Kafka has, in one table, and what each may do besides reading and writing topics.

Which topics a kind reads and writes stands with the topics, in `schemas/topics.toml`. No kind may use transactional ids: the markers of
transactions take offsets, and our readers take a missing offset for a loss. No rule lets any delete a topic or alter its partitions either;
only the administrator, who may grant rules, could give that to itself. Whoever must, is a super user of the brokers.
"""

from dataclasses import dataclass

DATA_TEAM = "data-team"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of client.

    `groups` are those it reads in, without their common beginning; each stands for all whose names begin so. One that `examines` looks for
    hazards, as every process does before it starts: it sees where all topics of ours end, and how topics and brokers are set.
    """

    name: str
    groups: tuple[str, ...] = ()
    examines: bool = False
    administers: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("adapter"),  # `hotline publish`, or a channel's own program that hands facts over
    Kind("operator"),  # `hotline command`
    Kind("intake", examines=True),
    Kind("desk", ("desk", "history"), examines=True),
    Kind("relay", ("history",), examines=True),
    Kind("projector", ("projector.", "rebuild"), examines=True),  # together or alone, and `hotline rebuild`
    Kind("drift", ("drift",), examines=True),  # and `hotline verify`
    Kind("api", examines=True),  # asks only where topics end
    Kind("auditor", ("replay",)),  # `hotline tail`, `replay`, `dead-letters`, `export`
    Kind("admin", ("doctor", "status"), examines=True, administers=True),  # `hotline topics`, `acls`, `doctor`, `status`
    Kind(DATA_TEAM),  # a team elsewhere, each client with topics of its own, in groups that begin with its name
)
