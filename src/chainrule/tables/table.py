"""A table: named columns of numbers or of text, and the conversions between the two.

A column is a float64 array with NaN for missing cells, or an object array of str with None.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from chainrule.errors import DataError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Column", "Table", "as_text", "finite_numbers", "is_missing", "moments"]

Column: TypeAlias = "NDArray[np.float64] | NDArray[np.object_]"

# A message about an unknown name lists the known ones only while it stays readable.
_LISTED = 30
# Sums and differences of larger numbers overflow.
_LARGEST = 1e300


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of one length, in the order of the file.

    Parameters
    ----------
    names : tuple of str
        One name per column, all different.
    columns : tuple of ndarray of shape (rows,)
        float64 with NaN for a missing number, or object with str and None for a missing text.
    row_numbers : ndarray of int64 of shape (rows,)
        The number of each row in the source, from 1, for messages.
    named : bool
        Whether the names come from the source. If not, columns are matched by position.
    source : str
        What messages call the table.
    targets : tuple of str
        The columns that the source itself marks as targets, as built-in sets and `.npz` files do.

    Examples
    --------
    >>> table = Table.of({"age": [31, None, 40], "city": ["Rome", "Oslo", None]})
    >>> table.rows
    3
    >>> table.column("age")
    array([31., nan, 40.])
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    row_numbers: NDArray[np.int64]
    named: bool = True
    source: str = "the table"
    targets: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        columns: Mapping[str, ArrayLike],
        *,
        named: bool = True,
        source: str = "the table",
        targets: Sequence[str] = (),
    ) -> Table:
        """Build a table from sequences; None is a missing cell, booleans are the numbers 0 and 1.

        Raises
        ------
        DataError
            For columns of different lengths, or cells that are neither numbers nor text.
        """
        ready = tuple(_column(name, values, source) for name, values in columns.items())
        lengths = {len(column) for column in ready}
        if len(lengths) > 1:
            raise DataError(f"the columns of {source} have different lengths: {sorted(lengths)}")
        rows = np.arange(1, 1 + max(lengths, default=0), dtype=np.int64)
        return cls(tuple(columns), ready, rows, named, source, tuple(targets))

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.row_numbers)

    def column(self, name: str) -> Column:
        """The column called `name`; a DataError suggests the nearest name if there is none."""
        if name not in self.names:
            known: Sequence[str] = self.names
            if len(known) > _LISTED:
                known = difflib.get_close_matches(name, known, n=1)
            raise DataError(f"{self.source} has no column {name!r}{nearest(name, known)}")
        return self.columns[self.names.index(name)]

    def take(self, rows: ArrayLike) -> Table:
        """The table of some rows, which keep their numbers in the source.

        Parameters
        ----------
        rows : array_like of shape (k,)
            Positions from 0, or a boolean mask.
        """
        chosen = np.asarray(rows)
        columns = tuple(column[chosen] for column in self.columns)
        numbers = self.row_numbers[chosen]
        return Table(self.names, columns, numbers, self.named, self.source, self.targets)

    def row(self, index: int | np.integer[Any]) -> str:
        """How messages call the row at a position: ``row 3``, counted without the header."""
        return f"row {self.row_numbers[index]}"


def is_missing(column: Column) -> NDArray[np.bool_]:
    """Which cells are missing: NaN among numbers, None among texts."""
    if column.dtype == np.float64:
        return np.isnan(column.astype(np.float64, copy=False))
    return np.fromiter((cell is None for cell in column), np.bool_, len(column))


def finite_numbers(table: Table, position: int, wanted: str) -> NDArray[np.float64]:
    """A column as numbers, none of them infinite; a DataError names the first that cannot be used.

    `wanted` says who wants numbers, and ends the message about a text.
    """
    column = table.columns[position]
    where = f"column {table.names[position]!r} of {table.source}"
    numbers = np.full(len(column), np.nan)
    for index, cell in enumerate(column if column.dtype != np.float64 else ()):
        try:
            numbers[index] = np.nan if cell is None else float(cell)
        except ValueError:
            raise DataError(f"{where} holds the text {cell!r} in {table.row(index)}, and {wanted}") from None
    if column.dtype == np.float64:
        numbers = column.astype(np.float64, copy=False)
    infinite = np.flatnonzero(np.abs(numbers) > _LARGEST)
    if len(infinite):
        bad = infinite[0]
        raise DataError(f"{where} holds {numbers[bad]} in {table.row(bad)}; correct it or leave it out")
    return numbers


def moments(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """The mean and the standard deviation, which is 0 exactly for a constant."""
    mean = float(numbers.mean())
    # The mean of a constant is rounded, and squares of small numbers vanish.
    largest = float(np.abs(numbers - mean).max())
    if numbers.min() == numbers.max() or largest == 0:
        return mean, 0.0
    return mean, largest * float(np.sqrt(np.mean(((numbers - mean) / largest) ** 2)))


def as_text(column: Column) -> NDArray[np.object_]:
    """A column as text: whole numbers without a point, others in their shortest exact form."""
    if column.dtype != np.float64:
        return column.astype(np.object_, copy=False)
    cells = [_number_text(float(value)) for value in column]
    return np.array([*cells, None], dtype=np.object_)[:-1]


def _number_text(value: float) -> str | None:
    if np.isnan(value):
        return None
    return str(int(value)) if value.is_integer() else repr(value)


def _column(name: str, values: ArrayLike, source: str) -> Column:
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"column {name!r} of {source} has {array.ndim} dimensions instead of one")
    if array.dtype.kind in "biuf":
        return array.astype(np.float64)
    if array.dtype.kind == "U":
        return array.astype(np.object_)
    if array.dtype.kind != "O":
        raise DataError(f"column {name!r} of {source} has type {array.dtype}, and only numbers and text can be used")
    cells = [None if cell is None or cell != cell else cell for cell in array]
    present = [cell for cell in cells if cell is not None]
    if present and all(isinstance(cell, str) for cell in present):
        return np.array([*cells, None], dtype=np.object_)[:-1]
    for cell in present:
        if not isinstance(cell, (int, float, np.number, np.bool_)):
            raise DataError(
                f"column {name!r} of {source} holds {cell!r}, neither a number nor text like its other cells"
            )
    return np.array([np.nan if cell is None else float(cell) for cell in cells], dtype=np.float64)
