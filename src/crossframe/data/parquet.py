"""Parquet files. Their library is not part of the core installation."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from crossframe.extras import install_command


def pyarrow() -> Any:
    """The library with its Parquet part, or a ValueError that says how to get it."""
    try:
        import_module("pyarrow.parquet")
        return import_module("pyarrow")
    except ImportError:
        raise ValueError(
            f"Parquet files need pyarrow ({install_command('train')}); lists of clips may be .csv instead"
        ) from None


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All rows of a file."""
    arrow = pyarrow()
    try:
        # absolute, or a folder with a colon in its name would be taken for the scheme of a URI
        return arrow.parquet.read_table(path.absolute()).to_pylist()
    except (arrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def write_rows(path: Path, rows: list[dict[str, Any]], types: dict[str, Any]) -> None:
    """Write rows whose columns and pyarrow types are `types`, in this order."""
    arrow = pyarrow()
    schema = arrow.schema(list(types.items()))
    arrow.parquet.write_table(arrow.Table.from_pylist(rows, schema=schema), path)
