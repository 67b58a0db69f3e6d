"""What a day consists of: messages that adapters send and orders that operators give, each with its moment. Pure words, no network.

Every step remembers in clear what it brings in sealed fields, so that a test can compare it with what the vault opens.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

ADAPTER = "adapter"
JSON, LETTER = "application/json", "message/rfc822"
NUMBER_OF = "@number-of:{}@"  # stands in a body where the number of that contact's first ticket belongs; known only when played

Clear = Mapping[str, str | bytes]


@dataclass(frozen=True, slots=True)
class Canaries:
    """Values that nobody has, to be searched for in clear afterwards."""

    name: str = field(repr=False)
    phone: str = field(repr=False)
    email: str = field(repr=False)
    address: str = field(repr=False)
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One request to the intake. `at_s`: when it is sent, seconds since the day's midnight in the service's zone."""

    at_s: float
    contact: str  # the script's own name of the contact
    channel: str
    event: str  # the kind of event it becomes
    sender: str  # ADAPTER, or the id of the operator at whose screen it was written
    body: bytes = field(repr=False)
    media_type: str = JSON
    clear: Clear = field(default_factory=dict, repr=False)  # by field of the event; files as file:N, their names as file_name:N
    number_of: str | None = None  # the contact whose ticket number the body wants
    repeat: bool = False  # the same bytes were sent before


@dataclass(frozen=True, slots=True)
class Order:
    """One command of an operator about a ticket of `contact`. `against`: which version it names."""

    at_s: float
    contact: str
    ordinal: int
    operator: str
    name: str
    key: str  # Idempotency-Key
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    against: str = "current"  # current, stale, none
    unknown_number: str | None = None  # a ticket that does not exist, instead of the contact's
    expect: str = "decided"  # or the rule that refuses
    repeat: bool = False  # the same key and words came before

    @property
    def clear(self) -> Clear:
        """Its sealed fields in clear."""
        return {name: words for name, words in self.fields.items() if name in ("question", "next_steps", "explanation")}


Step = Message | Order


@dataclass(frozen=True, slots=True)
class Planned:
    """What is known of a contact beforehand."""

    name: str
    channel: str
    language: str
    topic: str
    tickets: int  # how many it opens


@dataclass(frozen=True, slots=True)
class Day:
    """A whole day: its steps by their moments, and its contacts."""

    seed: int
    on: date
    contacts: Mapping[str, Planned]
    steps: tuple[Step, ...] = field(repr=False)

    def messages(self) -> Iterator[Message]:
        """All messages, repeats too."""
        return (step for step in self.steps if isinstance(step, Message))

    def orders(self) -> Iterator[Order]:
        """All orders, repeats too."""
        return (step for step in self.steps if isinstance(step, Order))

    def events(self) -> Counter[str]:
        """How many messages become which kind of event, without repeats."""
        return Counter(message.event for message in self.messages() if not message.repeat)
