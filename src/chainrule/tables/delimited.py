"""Reading CSV: the separator and the header are found in the first rows, the rest is Arrow's."""

from __future__ import annotations

import contextlib
import csv
import io
from typing import TYPE_CHECKING

import numpy as np

from chainrule.errors import DataError
from chainrule.tables.arrow import MISSING, clean, column_from
from chainrule.tables.signature import EMPTY, NOT_UTF8, TEXT, signature
from chainrule.tables.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import pyarrow as pa
    from pyarrow import csv as arrow

__all__ = ["read_delimited"]

_SEPARATORS = (",", ";", "\t", "|")
_HEAD = 1 << 18  # bytes, and the lines they end in, where the separator and the header are looked for
_BLOCK = 1 << 24  # bytes; a row must fit, and Arrow's own 1 MB is short for wide tables
# A text column with more different texts, most of them numbers, is a column of numbers with errors.
_MANY_TEXTS = 20
_MOST = 0.9


def read_delimited(path: Path, *, header: bool | None, text: Collection[str]) -> Table:
    """Read a CSV file; see `read_table`."""
    source = repr(str(path))
    separator, first, following = _head(path, source)
    asked = header is not None
    if header is None:
        header = not _is_data(first, following)
    if header and not following:
        meant = "" if asked else "; if its only row is data, say so: --no-header, or header=False"
        raise DataError(f"{source} has a header and no rows{meant}")
    names = [f"column{at}" for at in range(1, len(first) + 1)]
    if header:
        names = [cell.strip() or name for cell, name in zip(first, names, strict=True)]
    _check_names(names, source)
    # Arrow calls the columns f0, f1, ... where there is no header.
    own = first if header else [f"f{at}" for at in range(len(first))]
    as_text = {cell: name in text for cell, name in zip(own, names, strict=True)}
    arrow = _read_arrow(path, separator, header, as_text)
    if arrow.num_columns != len(names):
        raise DataError(f"{source} has a first row that cannot be read; check its quotation marks")
    columns = tuple(_column(arrow.column(at), name, path, as_text=name in text) for at, name in enumerate(names))
    rows = np.arange(1, arrow.num_rows + 1, dtype=np.int64)
    return Table(tuple(names), columns, rows, named=header, source=source)


def _head(path: Path, source: str) -> tuple[str, list[str], list[list[str]]]:
    """The separator, the first row and those after it, one at least if there is one."""
    found = signature(path)
    if found == NOT_UTF8:
        raise _not_utf8(path)
    if found == EMPTY:
        raise DataError(f"{source} is empty")
    if not found.startswith(TEXT):
        raise DataError(f"{source} is not a CSV file in UTF-8; it is {found}")
    with path.open("rb") as file:
        start = file.read(_HEAD) + file.readline() + file.readline()
    parsed = {each: _rows(start.decode("utf-8-sig", "replace"), each) for each in _SEPARATORS}
    separator = max(parsed, key=lambda each: len(parsed[each][0]) if parsed[each] else 0)
    rows = parsed[separator]
    if not rows:
        raise DataError(f"{source} has a first row that cannot be read; check its quotation marks")
    if any("\ufffd" in cell for cell in rows[0]):
        raise _not_utf8(path)
    return separator, rows[0], rows[1:]


def _rows(head: str, separator: str) -> list[list[str]]:
    """The rows of the head under one separator, none if it makes no sense."""
    try:
        return [row for row in csv.reader(io.StringIO(head, ""), delimiter=separator) if row]
    except csv.Error:
        return []


def _is_data(first: list[str], following: list[list[str]]) -> bool:
    """Whether the first row is no header: numbers only, or numbers and a text that comes again."""
    if len(first) > 2 and first == [str(at) for at in range(len(first))]:
        return False  # the names that pandas gives
    present = [(at, cell) for at, cell in enumerate(first) if cell.strip() not in MISSING]
    texts = [(at, cell) for at, cell in present if not _is_number(cell)]
    if len(texts) == len(present):
        return False
    return not texts or any(row[at : at + 1] == [cell] for at, cell in texts for row in following)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _check_names(names: list[str], source: str) -> None:
    places: dict[str, int] = {}
    for at, name in enumerate(names, start=1):
        if name in places:
            raise DataError(
                f"{source} has the column {name!r} twice in its header, as columns {places[name]} and {at}; rename one"
            )
        places[name] = at


def _read_arrow(path: Path, separator: str, header: bool, as_text: Mapping[str, bool]) -> pa.Table:
    """The cells; Arrow infers the types of the other columns over the whole file."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    convert = arrow.ConvertOptions(
        null_values=list(MISSING),
        column_types={name: pa.string() for name, forced in as_text.items() if forced},
    )

    def read(**options: object) -> pa.Table:
        return arrow.read_csv(
            str(path),
            arrow.ReadOptions(autogenerate_column_names=not header, block_size=_BLOCK, use_threads=not options),
            arrow.ParseOptions(delimiter=separator, newlines_in_values=True, **options),
            convert,
        )

    try:
        return read()
    except pa.ArrowInvalid as error:
        rows: list[arrow.InvalidRow] = []

        def keep(row: arrow.InvalidRow) -> str:
            rows.append(row)
            return "error"

        # Read again, in order, to learn which row it was.
        with contextlib.suppress(pa.ArrowInvalid):
            read(invalid_row_handler=keep)
        raise _unreadable(path, header, rows, error) from error


def _unreadable(path: Path, header: bool, rows: list[arrow.InvalidRow], error: Exception) -> DataError:
    """The one sentence for what Arrow refused."""
    source = repr(str(path))
    if not rows:
        # Bytes that are not UTF-8 are refused here where a column was asked for as text.
        return _not_utf8(path, error)
    row = rows[0]
    where = "" if row.number is None else f" in row {row.number - header}"
    return DataError(
        f"{source} has {row.actual_columns} cells{where} and {row.expected_columns} in its first: "
        f"{row.text[:40]!r}; correct its separators and quotation marks"
    )


def _not_utf8(path: Path, error: Exception | None = None) -> DataError:
    """The one sentence for text in another encoding, with the line."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as cause:
                byte = f"byte 0x{line[cause.start]:02x} in line {number}"
                return DataError(f"{str(path)!r} is not UTF-8, by {byte}; save it as UTF-8")
    return DataError(f"{str(path)!r} cannot be read as CSV: {error}")


def _column(values: pa.ChunkedArray, name: str, path: Path, *, as_text: bool) -> Column:
    """Numbers or text; what Arrow takes for text may be numbers beside missing cells."""
    import pyarrow as pa
    from pyarrow import types

    if types.is_binary(values.type):
        raise _not_utf8(path)
    if not types.is_string(values.type):
        return column_from(values, name, repr(str(path)))
    cells = clean(values)
    if not as_text:
        try:
            cells = cells.cast(pa.float64())
        except pa.ArrowInvalid:
            _check_text(cells, name, repr(str(path)))
    return column_from(cells, name, repr(str(path)))


def _check_text(cells: pa.ChunkedArray, name: str, source: str) -> None:
    """Refuse a column of numbers in which some cells are not: it is no column of categories."""
    if len(cells.unique()) <= _MANY_TEXTS:
        return
    texts = [(row, cell) for row, cell in enumerate(cells.to_pylist(), start=1) if cell is not None]
    # A decimal comma is a number for this purpose.
    alike = sum(_is_number(cell.replace(",", ".")) for _, cell in texts)
    row, cell = next((row, cell) for row, cell in texts if not _is_number(cell))
    if alike >= _MOST * len(texts):
        raise DataError(
            f"column {name!r} of {source} holds {cell!r} in row {row}, where most cells are "
            "numbers; correct it or leave it empty, and write decimals with a point"
        )
