"""Rows as CSV: a line of names, then one line a row; UTF-8, commas, texts in quotes, moments as RFC 3339 has them, in UTC.

Nothing at all between two commas is no value, two quotes are an empty text, as Postgres and others read it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from consumers.export.columns import FLAG, MOMENT, NUMBER, TEXT, Column, Row
from consumers.export.formats import in_parts
from projectors.showing import rfc3339

_ROWS_AT_ONCE = 1_000


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


_SHOWN: Mapping[str, Callable[[Any], str]] = {
    TEXT: _quoted,
    NUMBER: str,
    FLAG: {True: "true", False: "false"}.__getitem__,
    MOMENT: rfc3339,
}


def write(what: str, columns: Sequence[Column], rows: Iterable[Row], out: BinaryIO) -> None:  # noqa: ARG001 - one shape for all formats
    """Write `rows` into `out`."""
    shown = [_SHOWN[column.kind] for column in columns]
    out.write((",".join(column.name for column in columns) + "\n").encode())
    for part in in_parts(rows, _ROWS_AT_ONCE):
        lines = (",".join(["" if v is None else show(v) for show, v in zip(shown, row, strict=True)]) for row in part)
        out.write(("\n".join(lines) + "\n").encode())
