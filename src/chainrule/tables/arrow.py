"""From an Arrow column to a column of numbers or of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from chainrule.tables.table import Column

__all__ = ["MISSING", "clean", "column_from"]

# Texts that stand for a missing cell: Arrow's own list, and the question mark of UCI's data sets.
MISSING = (
    *("", "?", "NA", "N/A", "n/a", "#N/A", "#N/A N/A", "#NA", "NULL", "null", "NaN", "nan"),
    *("-NaN", "-nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)

_DAY = 86_400_000_000  # microseconds


def clean(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Texts without space around them, null where they stand for a missing cell."""
    import pyarrow as pa
    from pyarrow import compute

    trimmed = compute.utf8_trim_whitespace(texts.cast(pa.large_string()))
    missing = compute.is_in(trimmed, value_set=pa.array(MISSING, pa.large_string()))
    return compute.if_else(missing, pa.scalar(None, pa.large_string()), trimmed)


def column_from(values: pa.ChunkedArray, name: str, source: str) -> Column:
    """Numbers, booleans as 0 and 1, dates and times as days; texts as `clean` leaves them."""
    from pyarrow import types

    kind = values.type
    if types.is_dictionary(kind):
        return column_from(values.cast(kind.value_type), name, source)
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return np.asarray(clean(values).to_numpy(), dtype=np.object_)
    if types.is_null(kind):
        return np.full(len(values), np.nan)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        return _numbers(values)
    if types.is_decimal(kind):
        return _numbers(values)
    if types.is_temporal(kind) and not types.is_interval(kind):
        return _days(values)
    raise DataError(
        f"column {name!r} of {source} has type {kind}, and only numbers, booleans, dates and text "
        "can be used; leave it out"
    )


def _numbers(values: pa.ChunkedArray) -> NDArray[np.float64]:
    import pyarrow as pa

    # safe=False: integers beyond 2**53 are rounded.
    return np.array(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _days(values: pa.ChunkedArray) -> NDArray[np.float64]:
    """Days since 1970-01-01, or since midnight for a time of day."""
    import pyarrow as pa
    from pyarrow import types

    unit: Any = pa.timestamp("us")
    if types.is_time(values.type):
        unit = pa.time64("us")
    elif types.is_duration(values.type):
        unit = pa.duration("us")
    elif types.is_timestamp(values.type):
        unit = pa.timestamp("us", tz=values.type.tz)
    return _numbers(values.cast(unit, safe=False).cast(pa.int64())) / _DAY
