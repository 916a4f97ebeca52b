"""From the columns of a table to the matrix X of a network, by a fitted, JSON-able description.

Numbers are imputed and standardized, text is one-hot. The target column is not handled here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from chainrule.errors import DataError
from chainrule.tables.config import damaged, field, finite, mapping, texts
from chainrule.tables.table import Column, Table, as_text, finite_numbers, is_missing, moments

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Features", "NumberColumn", "TextColumn", "fit_features"]

ROW_OF_DATA = "; if its first row is data and no header, say so: --no-header, or header=False"
_WANTED = "the model takes numbers there"


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers: missing ones become the median, then (x - mean) / scale.

    A column that was constant in training has scale 0 and always gives 0. With `indicator`, a
    second column is 1 where the number was missing.
    """

    name: str
    median: float
    mean: float
    scale: float
    indicator: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns of X that this column makes."""
        return (self.name, f"{self.name} (missing)") if self.indicator else (self.name,)

    def encode(self, numbers: NDArray[np.float64], out: NDArray[np.float64]) -> None:
        """Fill this column's part of X."""
        missing = np.isnan(numbers)
        if self.scale > 0:
            filled = np.where(missing, self.median, numbers)
            out[:, 0] = (filled - self.mean) / self.scale
        if self.indicator:
            out[:, 1] = missing


@dataclass(frozen=True)
class TextColumn:
    """A column of text: one column of X per category, 1 where the cell is that category.

    A missing cell is a category of its own if training had missing cells. With ``pooled > 0``,
    that many seldom categories share one column, which also takes the texts that training did not
    have. Otherwise an unknown text, or a missing cell where training had none, is all zeros.
    """

    name: str
    categories: tuple[str, ...]
    missing: bool
    pooled: int

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns of X that this column makes."""
        known = tuple(f"{self.name}={category}" for category in self.categories)
        rare = (f"{self.name} (rare)",) if self.pooled else ()
        return known + rare + ((f"{self.name} (missing)",) if self.missing else ())

    def encode(self, cells: NDArray[np.object_], out: NDArray[np.float64]) -> None:
        """Fill this column's part of X."""
        place: dict[str | None, int] = {text: at for at, text in enumerate(self.categories)}
        other = len(self.categories) if self.pooled else -1
        place[None] = len(self.outputs) - 1 if self.missing else -1
        at = np.fromiter((place.get(cell, other) for cell in cells), np.intp, len(cells))
        rows = np.flatnonzero(at >= 0)
        out[rows, at[rows]] = 1.0


@dataclass(frozen=True)
class Features:
    """How the columns of a table become the columns of X, as `fit_features` found it.

    Parameters
    ----------
    columns : tuple of NumberColumn or TextColumn
        One for each column of the table that is used, in order.
    positions : tuple of int
        Where those columns stood in the table, from 0.
    excluded : tuple of str
        The other columns of that table: the target.
    named : bool
        Whether that table had names.

    Examples
    --------
    >>> table = Table.of({"age": [30, None, 40], "city": ["Rome", "Oslo", "Rome"]})
    >>> features = fit_features(table)
    >>> features.outputs
    ('age', 'age (missing)', 'city=Oslo', 'city=Rome')
    >>> features.transform(Table.of({"city": ["Oslo", "Bonn"], "age": [35, None]}))
    array([[0., 0., 1., 0.],
           [0., 1., 0., 0.]])
    """

    columns: tuple[NumberColumn | TextColumn, ...]
    positions: tuple[int, ...]
    excluded: tuple[str, ...]
    named: bool

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the columns of X."""
        return tuple(name for column in self.columns for name in column.outputs)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns taken as text: what `read_table` should be told when it reads more data."""
        return tuple(column.name for column in self.columns if isinstance(column, TextColumn))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about the fit, one sentence each."""
        return tuple(
            f"column {column.name!r} has many different texts: {len(column.categories)} have a "
            f"column each, {column.pooled} seldom ones share one"
            for column in self.columns
            if isinstance(column, TextColumn) and column.pooled
        )

    def transform(self, table: Table) -> NDArray[np.float64]:
        """The matrix X of a table.

        Parameters
        ----------
        table : Table
            Its columns are matched by name, other columns are ignored (see `notes_on`). If it or
            the table of the fit has no names, they are matched by position: as many columns as are
            used, or as the table of the fit had.

        Returns
        -------
        ndarray of float64 of shape (rows, d)
            d is the length of `outputs`.

        Raises
        ------
        DataError
            For a missing column, another number of columns, text among numbers, an infinite number.
        """
        result = np.zeros((table.rows, len(self.outputs)))
        start = 0
        for column, position in zip(self.columns, self._match(table), strict=True):
            part = result[:, start : start + len(column.outputs)]
            if isinstance(column, NumberColumn):
                column.encode(finite_numbers(table, position, _WANTED), part)
            else:
                column.encode(as_text(table.columns[position]), part)
            start += len(column.outputs)
        return result

    def notes_on(self, table: Table) -> tuple[str, ...]:
        """What `transform` leaves out of a table, one sentence each: columns and unknown texts."""
        notes = []
        matched = self._match(table)
        extra = [
            name
            for position, name in enumerate(table.names)
            if self.named and table.named and position not in matched
            if name not in self.excluded
        ]
        if extra:
            notes.append(f"not used, because training did not have them: {_listed(extra)}")
        for column, position in zip(self.columns, matched, strict=True):
            if isinstance(column, TextColumn) and not column.pooled:
                cells = as_text(table.columns[position])
                unknown = set(cells) - {None, *column.categories}
                if unknown:
                    notes.append(_unknown_note(column.name, cells, unknown))
        return tuple(notes)

    def to_config(self) -> dict[str, Any]:
        """Describe the columns as JSON-able data, exact to the last bit."""
        return {
            "columns": [_column_config(column) for column in self.columns],
            "positions": list(self.positions),
            "excluded": list(self.excluded),
            "named": self.named,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Features:
        """The inverse of `to_config`; a DataError says what is damaged."""
        columns = tuple(map(_column_from, field(config, "columns", list)))
        positions = tuple(field(config, "positions", list))
        excluded = texts(config, "excluded")
        width = len(columns) + len(excluded)
        if len(positions) != len(columns) or not all(
            type(position) is int and 0 <= position < width for position in positions
        ):
            raise damaged("'positions' does not fit the columns")
        return cls(columns, positions, excluded, field(config, "named", bool))

    def _match(self, table: Table) -> tuple[int, ...]:
        """The positions in `table` of this description's columns."""
        if self.named and table.named:
            places = {name: at for at, name in enumerate(table.names)}
            none_fits = not any(column.name in places for column in self.columns)
            for column in self.columns:
                if column.name not in places:
                    _explain(table, column.name, ROW_OF_DATA if none_fits else "")
            return tuple(places[column.name] for column in self.columns)
        own = tuple(at for at, name in enumerate(table.names) if name not in table.targets)
        if len(own) == len(self.columns):
            return own
        width = len(self.columns) + len(self.excluded)
        if len(table.names) == width:
            return self.positions
        as_in_training = f", or {width} as in training" if self.excluded else ""
        raise DataError(
            f"{table.source} has {len(own)} columns to be matched by position, "
            f"and the model takes {len(self.columns)}{as_in_training}"
        )


def fit_features(table: Table, *, exclude: str | Collection[str] = (), max_categories: int = 100) -> Features:
    """Find how the columns of a table become the matrix X.

    Numbers: a missing one becomes the median, and a column that has missing numbers gets a second
    one, 1 where the number was missing; then (x - mean) / standard deviation, 0 if constant.
    Text: one-hot, categories in sorted order. Missing cells are a category if there are any.

    Parameters
    ----------
    table : Table
        The training rows.
    exclude : str or collection of str, default=()
        Columns that are not inputs: the target.
    max_categories : int, default=100
        A text column with more different texts keeps the most frequent of those that occur more
        than once; the others share one column.

    Returns
    -------
    Features
        The fitted description.

    Raises
    ------
    DataError
        For a table without rows or without columns, an unknown name, an infinite number.
    """
    excluded = {exclude} if isinstance(exclude, str) else set(exclude)
    for name in sorted(excluded):
        table.column(name)
    if not table.rows:
        raise DataError(f"{table.source} has no rows")
    positions = tuple(at for at, name in enumerate(table.names) if name not in excluded)
    if not positions:
        raise DataError(f"{table.source} has no columns that are not excluded")
    columns = tuple(_fit_column(table, position, max_categories) for position in positions)
    others = tuple(name for name in table.names if name in excluded)
    return Features(columns, positions, others, table.named)


def _fit_column(table: Table, position: int, max_categories: int) -> NumberColumn | TextColumn:
    name, column = table.names[position], table.columns[position]
    if column.dtype == np.float64:
        return _fit_numbers(name, finite_numbers(table, position, _WANTED))
    return _fit_text(name, column, max_categories)


def _fit_numbers(name: str, numbers: NDArray[np.float64]) -> NumberColumn:
    missing = np.isnan(numbers)
    if missing.all():
        return NumberColumn(name, 0.0, 0.0, 0.0, indicator=False)
    median = float(np.median(numbers[~missing]))
    filled = np.where(missing, median, numbers)
    return NumberColumn(name, median, *moments(filled), bool(missing.any()))


def _fit_text(name: str, column: Column, max_categories: int) -> TextColumn:
    missing = is_missing(column)
    counts: Counter[str] = Counter(column[~missing].tolist())
    kept = list(counts)
    if len(counts) > max_categories:
        repeated = [text for text in counts if counts[text] > 1]
        kept = sorted(repeated, key=lambda text: (-counts[text], text))[:max_categories]
    return TextColumn(name, tuple(sorted(kept)), bool(missing.any()), len(counts) - len(kept))


def _explain(table: Table, missing: str, hint: str) -> NoReturn:
    """Raise that a column is not there."""
    try:
        table.column(missing)
    except DataError as error:
        raise DataError(f"{error}{hint}") from None
    raise AssertionError(missing)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")


def _unknown_note(name: str, cells: NDArray[np.object_], unknown: set[Any]) -> str:
    rows = sum(cell in unknown for cell in cells)
    return (
        f"column {name!r} has texts that training did not have in {rows} row{'s' * (rows > 1)}, such as "
        f"{min(unknown)!r}: they count as no category"
    )


def _column_config(column: NumberColumn | TextColumn) -> dict[str, Any]:
    if isinstance(column, NumberColumn):
        return {"kind": "number", **asdict(column)}
    return {"kind": "text", **asdict(column), "categories": list(column.categories)}


def _column_from(config: object) -> NumberColumn | TextColumn:
    config = mapping(config, "a column")
    name = field(config, "name", str)
    if config.get("kind") == "number":
        median, mean, scale = (finite(config, key) for key in ("median", "mean", "scale"))
        return NumberColumn(name, median, mean, scale, field(config, "indicator", bool))
    if config.get("kind") == "text":
        missing, pooled = field(config, "missing", bool), field(config, "pooled", int)
        return TextColumn(name, texts(config, "categories"), missing, pooled)
    raise damaged(f"'kind' is {config.get('kind')!r}")
