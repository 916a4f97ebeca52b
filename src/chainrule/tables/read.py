"""Reading a table: Parquet, NumPy archives and scikit-learn's built-in sets; CSV is in `delimited`.

pyarrow and scikit-learn are imported when a source needs them. Nothing is downloaded.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DataError, nearest
from chainrule.tables.arrow import column_from
from chainrule.tables.delimited import read_delimited
from chainrule.tables.signature import ARCHIVE, EMPTY, PARQUET, signature
from chainrule.tables.table import Table

if TYPE_CHECKING:
    from collections.abc import Collection

    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["BUILT_IN", "read_table"]

BUILT_IN = ("breast_cancer", "diabetes", "digits", "iris", "wine")

_DELIMITED = (".csv", ".tsv", ".txt")
_PARQUET = (".parquet", ".pq")


def read_table(data: str | Path, *, header: bool | None = None, text: Collection[str] = ()) -> Table:
    """Read a table from a file, or a built-in set by its name.

    * CSV (UTF-8; comma, semicolon, tab or bar): the first row is the header, unless all its cells
      are numbers, or some are and a text of it comes again below; the columns are then called
      column1, column2, ... and matched by position. A column is text as soon as one cell is not a
      number.
    * Parquet: by its own types.
    * `.npz`: the arrays X of shape (n, d) and y of shape (n,), or X and Y; pickles are refused.
    * Built-in sets: `digits`, `iris`, `breast_cancer`, `wine`, `diabetes`, with scikit-learn's
      column names. The column `target` holds the names of the classes (iris: 'setosa', ...; digits:
      0 to 9), or diabetes' number.

    In CSV and Parquet, space around a text is left out; empty texts and ?, NA, NaN, null are
    missing cells; booleans are 0 and 1, dates and times are days (since 1970-01-01). Messages count
    rows from 1, without the header.

    Parameters
    ----------
    data : str or Path
        A file, or the name of a built-in set (a file of that name is reached by ``./iris``).
    header : bool, optional
        Whether a CSV file starts with a header. By default it is found out.
    text : collection of str, default=()
        CSV columns that are text though all their cells are numbers, such as postal codes.

    Returns
    -------
    Table
        Its columns, numbers or text.

    Raises
    ------
    DataError
        One sentence: what was found where, for a file that cannot be used.

    Examples
    --------
    >>> iris = read_table("iris")
    >>> iris.rows, iris.names[0], iris.column("target")[0]
    (150, 'sepal length (cm)', 'setosa')
    """
    if str(data) in BUILT_IN:
        return _built_in(str(data))
    path = Path(data)
    suffix = path.suffix.lower()
    try:
        _check_file(path)
        if suffix == ".npz":
            return _read_npz(path)
        if suffix in _PARQUET:
            return _read_parquet(path)
        return read_delimited(path, header=header, text=text)
    except OSError as error:
        raise DataError(f"cannot read {str(data)!r}: {error.strerror or error}") from error


def _check_file(path: Path) -> None:
    """Raise an error that says what there is instead of a readable file."""
    shown = str(path)
    if path.is_dir():
        raise DataError(f"{shown!r} is a directory; name one of its files")
    if not path.exists():
        if path.suffix or path.name != shown:
            raise DataError(f"there is no file {shown!r}")
        raise DataError(f"there is no file or built-in set {shown!r}{nearest(shown, BUILT_IN)}")
    if path.suffix.lower() not in (*_DELIMITED, *_PARQUET, ".npz"):
        raise DataError(
            f"cannot tell from its name what {shown!r} is; CSV ({', '.join(_DELIMITED)}), "
            f"Parquet ({', '.join(_PARQUET)}) and NumPy (.npz) files can be read"
        )


def _built_in(name: str) -> Table:
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")()
    names = tuple(map(str, loaded.feature_names))
    values = np.asarray(loaded.target)
    if "target_names" in loaded:
        values = np.asarray(loaded.target_names)[values]
    columns = dict(zip(names, np.asarray(loaded.data).T, strict=True))
    return Table.of({**columns, "target": values}, source=repr(name), targets=("target",))


def _read_parquet(path: Path) -> Table:
    from pyarrow import ArrowException, parquet

    source = repr(str(path))
    _check_signature(path, PARQUET)
    try:
        # A file, not a path: a path of the form a=b/c.parquet would add a column a.
        with path.open("rb") as file:
            arrow: pa.Table = parquet.ParquetFile(file).read()
    except (ArrowException, OSError) as error:
        raise DataError(f"{source} is a damaged Parquet file; make it again") from error
    # pandas stores a table's index under such names.
    names = [name for name in arrow.column_names if not name.startswith("__index_level_")]
    repeated, times = Counter(names).most_common(1)[0] if names else ("", 0)
    if times > 1:
        raise DataError(f"{source} has {times} columns called {repeated!r}; rename them")
    columns = tuple(column_from(arrow.column(name), name, source) for name in names)
    rows = np.arange(1, arrow.num_rows + 1, dtype=np.int64)
    return _with_rows(Table(tuple(names), columns, rows, source=source))


def _read_npz(path: Path) -> Table:
    source = repr(str(path))
    _check_signature(path, ARCHIVE)
    try:
        # NumPy leaves a file open that is not an archive after all.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            x, y = _arrays(archive, source)
    except DataError:
        raise
    except ValueError as error:  # NumPy's answer to a pickle, and to some damage
        raise DataError(
            f"{source} holds Python objects or damaged arrays, which are not loaded; "
            "save plain arrays of numbers or text"
        ) from error
    except (zipfile.BadZipFile, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{source} is a damaged .npz file; make it again") from error
    columns: dict[str, Any] = {f"column{at}": each for at, each in enumerate(x.T, start=1)}
    targets = {f"target{at}": each for at, each in enumerate(y.T, start=1)}
    if len(targets) == 1:
        targets = {"target": y[:, 0]}
    columns.update(targets)
    return _with_rows(Table.of(columns, named=False, source=source, targets=tuple(targets)))


def _check_signature(path: Path, expected: str) -> None:
    found = signature(path)
    if found == EMPTY:
        raise DataError(f"{str(path)!r} is empty")
    if found != expected:
        raise DataError(f"{str(path)!r} is not what its name says; it is {found}")


def _arrays(archive: Any, source: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """X of shape (n, d) and Y of shape (n, k), k = 0 if the archive has no target."""
    if "X" not in archive:
        found = ", ".join(map(repr, archive.files)) or "nothing"
        raise DataError(f"{source} holds {found} and no array 'X'; save X of shape (n, d) and y")
    x = archive["X"]
    key = next((key for key in ("y", "Y") if key in archive), None)
    y = np.empty((len(x) if x.ndim else 0, 0)) if key is None else archive[key]
    if y.ndim == 1:
        y = y[:, None]
    for name, array, wanted in (("X", x, "(n, d)"), (key, y, "(n,) or (n, k)")):
        if array.ndim != 2:
            raise DataError(f"{name!r} in {source} has shape {array.shape} instead of {wanted}")
    if len(x) != len(y):
        raise DataError(f"'X' in {source} has {len(x)} rows and {key!r} has {len(y)}")
    return x, y


def _with_rows(table: Table) -> Table:
    """The table, if it has rows and columns."""
    if not table.rows or not table.names:
        raise DataError(f"{table.source} has no rows")
    return table
