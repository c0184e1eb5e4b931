"""Tables on disk, as Parquet or CSV: write one, read one, and join several without holding them in memory."""

import csv
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sleepkd.extras import require_extra

if TYPE_CHECKING:
    import pyarrow as pa

Source = tuple[Path, Collection[str]]
"""A table to join, and the recordings whose rows are left out."""
KEY = "recording"
"""The column by which rows are left out."""


class TableFiles(ABC):
    """Tables in one file format. Columns are a mapping of names to types: str, int, float or np.float32.

    A file appears whole or not at all. A missing value is None.
    """

    ending: str

    @abstractmethod
    def write(self, path: Path, columns: Mapping[str, type], values: Mapping[str, Sequence[Any]]) -> None:
        """Write a table; values: of each column (rows,), a missing column is missing values."""

    @abstractmethod
    def column_names(self, path: Path) -> list[str]:
        """The names of the columns of a table."""

    @abstractmethod
    def rows(self, path: Path, columns: Mapping[str, type]) -> Iterator[dict[str, Any]]:
        """The rows of a table, with the columns asked for; a column that it lacks is missing values."""

    @abstractmethod
    def join(self, sources: Sequence[Source], target: Path, columns: Mapping[str, type]) -> None:
        """Write the rows of several tables with the same columns, in order, to one."""


class CsvFiles(TableFiles):
    """Tables as CSV, UTF-8."""

    ending = ".csv"

    def write(self, path: Path, columns: Mapping[str, type], values: Mapping[str, Sequence[Any]]) -> None:
        """See `TableFiles`."""
        count = max((len(column) for column in values.values()), default=0)
        missing: list[None] = [None] * count

        def write(temporary: Path) -> None:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(columns)
                table.writerows(zip(*(values.get(name, missing) for name in columns), strict=True))

        _whole(path, write)

    def column_names(self, path: Path) -> list[str]:
        """See `TableFiles`."""
        with path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def rows(self, path: Path, columns: Mapping[str, type]) -> Iterator[dict[str, Any]]:
        """See `TableFiles`."""
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield {name: _value(row.get(name) or "", kind) for name, kind in columns.items()}

    def join(self, sources: Sequence[Source], target: Path, columns: Mapping[str, type]) -> None:
        """See `TableFiles`."""

        def write(temporary: Path) -> None:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(columns)
                for path, dropped in sources:
                    with path.open(newline="", encoding="utf-8") as source:
                        rows = csv.reader(source)
                        at = next(rows).index(KEY)
                        table.writerows(row for row in rows if row[at] not in dropped)

        _whole(target, write)


class ParquetFiles(TableFiles):
    """Tables as Parquet, compressed with zstd. Raises UserError where pyarrow is not installed."""

    ending = ".parquet"

    def __init__(self) -> None:
        require_extra("pyarrow", "tables", "Parquet")

    def write(self, path: Path, columns: Mapping[str, type], values: Mapping[str, Sequence[Any]]) -> None:
        """See `TableFiles`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        count = max((len(column) for column in values.values()), default=0)
        missing: list[None] = [None] * count
        arrays = [pa.array(values.get(name, missing), _arrow_type(kind)) for name, kind in columns.items()]
        table = pa.Table.from_arrays(arrays, schema=_schema(columns))
        _whole(path, lambda temporary: pq.write_table(table, temporary, compression="zstd"))

    def column_names(self, path: Path) -> list[str]:
        """See `TableFiles`."""
        import pyarrow.parquet as pq

        return list(pq.read_schema(path).names)

    def rows(self, path: Path, columns: Mapping[str, type]) -> Iterator[dict[str, Any]]:
        """See `TableFiles`."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            for batch in file.iter_batches(columns=present):
                for row in batch.to_pylist():
                    yield {name: row.get(name) for name in columns}

    def join(self, sources: Sequence[Source], target: Path, columns: Mapping[str, type]) -> None:
        """See `TableFiles`."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        def write(temporary: Path) -> None:
            with pq.ParquetWriter(temporary, _schema(columns), compression="zstd") as writer:
                for path, dropped in sources:
                    with pq.ParquetFile(path) as file:
                        for number in range(file.num_row_groups):
                            table = file.read_row_group(number, columns=list(columns))
                            if dropped:
                                stale = pc.is_in(table[KEY], value_set=pa.array(list(dropped), pa.string()))
                                table = table.filter(pc.invert(stale))
                            writer.write_table(table)

        _whole(target, write)


FORMATS: dict[str, type[TableFiles]] = {"parquet": ParquetFiles, "csv": CsvFiles}


def default_format() -> str:
    """ "parquet" where pyarrow is installed, else "csv"."""
    return "parquet" if find_spec("pyarrow") else "csv"


def _whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _value(text: str, kind: type) -> Any:
    if not text:
        return None
    return text if kind is str else int(text) if kind is int else float(text)


def _arrow_type(kind: type) -> "pa.DataType":
    import pyarrow as pa

    return {str: pa.string(), int: pa.int64(), float: pa.float64(), np.float32: pa.float32()}[kind]


def _schema(columns: Mapping[str, type]) -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([(name, _arrow_type(kind)) for name, kind in columns.items()])
