"""Parquet files. Their library is not part of the core installation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from crossframe.extras import install_command

AT_ONCE = 4096  # rows in memory


def pyarrow() -> Any:
    """The library with its Parquet part, or a ValueError that says how to get it."""
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise ValueError(
            f"Parquet files need pyarrow ({install_command('train')}); other kinds of files need nothing"
        ) from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a file."""
    return list(each_row(path))


def read_head(path: Path, *columns: str) -> tuple[dict[str, str], dict[str, Any] | None]:
    """The texts in a file's schema beside its columns, and those of `columns` that it has, in the first row."""
    arrow = pyarrow()
    try:
        with arrow.parquet.ParquetFile(path.absolute()) as file:
            told = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            known = {file.schema.column(number).path for number in range(len(file.schema))}
            wanted = [column for column in columns if column in known]
            batches = file.iter_batches(1, columns=wanted) if wanted else iter(())
            return told, next((row for batch in batches for row in batch.to_pylist()), None)
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def each_row(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, one after the other."""
    arrow = pyarrow()
    try:
        # absolute, or a folder with a colon in its name would be taken for the scheme of a URI
        with arrow.parquet.ParquetFile(path.absolute()) as file:
            for batch in file.iter_batches(AT_ONCE):
                yield from batch.to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def write_rows(
    path: Path, rows: Iterable[dict[str, Any]], types: dict[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write rows whose columns and pyarrow types are `types`, in this order; `metadata` goes into the schema."""
    arrow = pyarrow()
    schema = arrow.schema(list(types.items()), metadata=metadata)
    left = iter(rows)
    with arrow.parquet.ParquetWriter(path, schema) as file:
        while group := list(islice(left, AT_ONCE)):
            file.write_table(arrow.Table.from_pylist(group, schema=schema))
