"""The target column: classes or numbers, how that is decided, and the way back.

A fitted `Target` is JSON-able. Probabilities and losses are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from chainrule.errors import DataError, nearest
from chainrule.tables.config import damaged, field, finite
from chainrule.tables.table import Column, Table, as_text, finite_numbers, is_missing, moments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["Target", "Task", "fit_target"]

Task: TypeAlias = Literal["classification", "regression"]

# Whole numbers are taken for classes up to this many of them, if they have rows enough each.
_MANY_CLASSES = 20
_ROWS_PER_CLASS = 5


@dataclass(frozen=True)
class Target:
    """What the target column holds, as `fit_target` found it.

    Parameters
    ----------
    name : str
        The column.
    task : {"classification", "regression"}
        Whether the network chooses a class or computes a number.
    classes : tuple of str or tuple of int
        The labels in sorted order; empty for regression.
    mean, scale : float
        The mean and the standard deviation of a regression target; 0 and 1 for classes. The scale
        of a constant target is 1.

    Examples
    --------
    >>> table = Table.of({"size": [1.5, 2.5, 0.5], "kind": ["b", "a", "b"]})
    >>> target = fit_target(table, "kind")
    >>> target.classes, target.transform(table), target.inverse([0, 1])
    (('a', 'b'), array([1, 0, 1]), array(['a', 'b'], dtype=object))
    """

    name: str
    task: Task
    classes: tuple[str, ...] | tuple[int, ...] = ()
    mean: float = 0.0
    scale: float = 1.0

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The column's name if it holds text: what `read_table` should be told."""
        return (self.name,) if self.classes and isinstance(self.classes[0], str) else ()

    def values(self, table: Table) -> NDArray[Any]:
        """The target in its own terms: labels (int64 or str objects), or numbers.

        Returns
        -------
        ndarray of shape (rows,)

        Raises
        ------
        DataError
            For a missing column, a missing or infinite value, or a label that is not a class.
        """
        if self.task == "regression":
            return _usable_numbers(table, self.name)
        return self.inverse(self.transform(table))

    def transform(self, table: Table) -> NDArray[np.int64] | NDArray[np.float64]:
        """The target as a network sees it: the class from 0, or (value - mean) / scale.

        Returns
        -------
        ndarray of shape (rows,)

        Raises
        ------
        DataError
            As in `values`.
        """
        if self.task == "regression":
            standard: NDArray[np.float64] = (self.values(table) - self.mean) / self.scale
            return standard
        cells = as_text(_present(table, self.name))
        place = {str(label): at for at, label in enumerate(self.classes)}
        result = np.fromiter((place.get(cell, -1) for cell in cells), np.int64, len(cells))
        unknown = np.flatnonzero(result < 0)
        if len(unknown):
            cell = cells[unknown[0]]
            raise DataError(
                f"column {self.name!r} of {table.source} holds {cell!r} in "
                f"{table.row(unknown[0])}, which is not a class of the model{nearest(cell, place)}"
            )
        return result

    def inverse(self, values: ArrayLike) -> NDArray[Any]:
        """From what a network computes back to labels or numbers.

        Parameters
        ----------
        values : array_like of shape (rows,)
            Class numbers from 0, or standardized numbers.

        Returns
        -------
        ndarray of shape (rows,)
        """
        if self.task == "regression":
            return np.asarray(np.asarray(values, dtype=np.float64) * self.scale + self.mean)
        labels = np.array(self.classes, dtype=object if self.text_columns else np.int64)
        return np.asarray(labels[np.asarray(values, dtype=np.intp)])

    def to_config(self) -> dict[str, Any]:
        """Describe the target as JSON-able data, exact to the last bit."""
        return {
            "name": self.name,
            "task": self.task,
            "classes": list(self.classes),
            "mean": self.mean,
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Target:
        """The inverse of `to_config`; a DataError says what is damaged."""
        name, task = field(config, "name", str), field(config, "task", str)
        classes = field(config, "classes", list)
        kinds = {type(label) for label in classes}
        alike = kinds in ({str}, {int}) and 2 <= len(set(classes)) == len(classes)
        if task == "classification" and alike:
            return cls(name, "classification", tuple(classes))
        scale = finite(config, "scale")
        if task == "regression" and not classes and scale > 0:
            return cls(name, "regression", (), finite(config, "mean"), scale)
        raise damaged(f"task {task!r} with the classes {classes!r} and the scale {scale!r}")


def fit_target(table: Table, name: str | None = None, *, task: Literal["auto"] | Task = "auto") -> Target:
    """Find what the target column holds.

    With ``task="auto"`` text is classified; so are whole numbers (and booleans) if there are only
    two different ones, or at most 20 with five rows each on average. Everything else is regression.

    Parameters
    ----------
    table : Table
        The training rows.
    name : str, optional
        The target column; may be left out where the source marks one (built-in sets, `.npz`).
    task : {"auto", "classification", "regression"}, default="auto"
        The decision, if the rule does not fit.

    Returns
    -------
    Target
        The fitted description.

    Raises
    ------
    DataError
        For no rows, an unknown column, a missing or infinite value, a single class, labels that are
        neither text nor whole numbers, text in a regression target.
    """
    if name is None:
        name = _marked(table)
    column = _present(table, name)
    if not table.rows:
        raise DataError(f"{table.source} has no rows")
    if task not in ("auto", "classification", "regression"):
        options = "'auto', 'classification' or 'regression'"
        raise DataError(f"the task must be {options}, not {task!r}")
    if task == "regression" or (task == "auto" and not _are_classes(column)):
        mean, scale = moments(_usable_numbers(table, name))
        return Target(name, "regression", (), mean, scale or 1.0)
    return Target(name, "classification", _classes(table, name, column))


def _marked(table: Table) -> str:
    if len(table.targets) == 1:
        return table.targets[0]
    names = ", ".join(map(repr, table.targets or table.names[-3:]))
    reason = "several targets" if table.targets else "no column marked as the target"
    raise DataError(f"{table.source} has {reason}; name one of its columns, such as {names}")


def _are_classes(column: Column) -> bool:
    """Whether ``task="auto"`` takes this column for classes."""
    if column.dtype != np.float64:
        return True
    values = np.unique(column)
    few = len(values) <= 2 or len(values) <= min(_MANY_CLASSES, len(column) / _ROWS_PER_CLASS)
    return bool(few and np.all(values == np.floor(values)) and np.all(np.isfinite(values)))


def _classes(table: Table, name: str, column: Column) -> tuple[str, ...] | tuple[int, ...]:
    """The labels in sorted order: at least two, and not one for every row."""
    where = f"column {name!r} of {table.source}"
    if column.dtype == np.float64:
        numbers = _usable_numbers(table, name)
        parts = np.flatnonzero(numbers != np.floor(numbers))
        if len(parts):
            raise DataError(
                f"{where} holds {numbers[parts[0]]} in {table.row(parts[0])}, and classes are "
                "text or whole numbers; choose the task 'regression' for a number"
            )
        column = numbers
    labels = sorted(set(column.tolist()))
    if len(labels) < 2:
        raise DataError(f"{where} holds one class only, {_label(labels[0])!r}, in every row")
    if len(labels) > max(_MANY_CLASSES, len(column) / 2):
        raise DataError(
            f"{where} holds {len(labels)} different classes in {len(column)} rows, "
            f"{_label(labels[0])!r} for one; choose a column whose classes have several rows each"
        )
    return tuple(map(_label, labels))


def _label(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


def _present(table: Table, name: str) -> Column:
    """The column, if it has no missing cell."""
    column = table.column(name)
    missing = np.flatnonzero(is_missing(column))
    if len(missing):
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise DataError(
            f"column {name!r} of {table.source} has no value in {table.row(missing[0])}{more}, and "
            "every row needs a target; leave such rows out"
        )
    return column


def _usable_numbers(table: Table, name: str) -> NDArray[np.float64]:
    """The column as numbers, all present and finite."""
    _present(table, name)
    return finite_numbers(table, table.names.index(name), "a regression target is a number")
