"""Rows as a Parquet file: moments as timestamps in microseconds and UTC, compressed with zstd. Needs the extra `lake`."""

from collections.abc import Iterable, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from consumers.export.columns import FLAG, MOMENT, NUMBER, TEXT, Column, Row
from consumers.export.formats import in_parts

_ROWS_IN_A_GROUP = 50_000  # so many are held in memory at once
_TYPES = {TEXT: pa.string(), NUMBER: pa.int64(), FLAG: pa.bool_(), MOMENT: pa.timestamp("us", tz="UTC")}


def write(what: str, columns: Sequence[Column], rows: Iterable[Row], out: BinaryIO) -> None:  # noqa: ARG001 - one shape for all formats
    """Write `rows` into `out`."""
    schema = pa.schema([pa.field(column.name, _TYPES[column.kind]) for column in columns])
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for part in in_parts(rows, _ROWS_IN_A_GROUP):
            values = [pa.array(column, kind) for column, kind in zip(zip(*part, strict=True), schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(values, schema=schema))
