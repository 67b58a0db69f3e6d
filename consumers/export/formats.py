"""The formats of exported files: each is a function that writes rows into an open file, the same rows always as the same bytes.

Knows the names of the formats and what they need; must not know what the rows are about.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, NamedTuple, TypeVar

from consumers.export.columns import Column, Row

FORMATS = ("avro", "parquet", "csv")
_T = TypeVar("_T")

Write = Callable[[str, Sequence[Column], Iterable[Row], BinaryIO], None]
"""Of the name of what a file holds, its columns, its rows in their order, and the file."""


class MissingExtra(Exception):
    """The format needs packages that this installation was made without; the message names the extra."""


class Format(NamedTuple):
    """How files of one format are written; its name is also the ending of their names."""

    name: str
    write: Write


def format_named(name: str) -> Format:
    """Return one of FORMATS, importing what it needs; raise MissingExtra."""
    if name == "csv":
        from consumers.export.as_csv import write
    elif name == "avro":
        from consumers.export.as_avro import write
    else:
        try:
            from consumers.export.as_parquet import write
        except ModuleNotFoundError as missing:
            if missing.name != "pyarrow":
                raise
            raise MissingExtra("Parquet needs the extra `lake`: install hotline[lake], or take --format avro or csv") from None
    return Format(name, write)


def in_parts(rows: Iterable[_T], most: int) -> Iterator[list[_T]]:
    """Yield `rows` in lists of `most`, the last one maybe shorter."""
    left = iter(rows)
    while part := list(islice(left, most)):
        yield part
