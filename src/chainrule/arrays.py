"""Users' arrays at the border: shapes, data types and domains checked once, in the network's own words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from numbers import Real
from typing import Any

import numpy as np

from chainrule.calls import shown
from chainrule.errors import DataError, ShapeError, nearest
from chainrule.expr import Node
from chainrule.losses import TARGETS, Targets
from chainrule.shapes import show

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


def as_data(X: Any, inputs: int) -> Array:
    """X as a finite matrix of `inputs` columns."""
    array = _finite("X", X)
    if array.ndim != 2 or array.shape[1] != inputs:
        row = "; X[None, :] is one row" if array.shape == (inputs,) else ""
        raise ShapeError(f"the network takes X of shape (n x {inputs}), got {_shape(array)}{row}")
    return array


def as_targets(Y: Any, rows: int, outputs: int, domain: Targets) -> Array:
    """Y as a matrix of one row for each example; labels 0 to k-1 become one-hot rows."""
    array = _finite("Y", Y)
    labels = domain == "distribution" and outputs > 1
    if array.shape == (rows,) and (labels or outputs == 1):
        array = _one_hot(array, outputs) if labels else array[:, None]
    if array.shape != (rows, outputs):
        either = f" or labels of shape ({rows},)" if labels else ""
        flat = "; Y.ravel() are labels" if labels and array.shape == (rows, 1) else ""
        raise ShapeError(f"X and the network need Y of shape ({rows} x {outputs}){either}, got {_shape(array)}{flat}")
    _check_domain(array, domain)
    return array


def _one_hot(labels: Array, classes: int) -> Array:
    wrong = (labels != np.floor(labels)) | (labels < 0) | (labels >= classes)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise DataError(
            f"labels for {classes} outputs are whole numbers from 0 to {classes - 1}, got {labels[i]} in row {i}"
        )
    one_hot: Array = np.eye(classes)[labels.astype(int)]
    return one_hot


def _check_domain(Y: Array, domain: Targets) -> None:
    wrong = ~_INSIDE[domain](Y)
    if wrong.any():
        i, j = np.argwhere(wrong)[0]
        raise DataError(f"the loss takes targets that are {TARGETS[domain]}, got {Y[i, j]:g} in row {i}, column {j}")
    if domain == "distribution":
        sums = Y.sum(axis=1)
        wrong = np.abs(sums - 1) > 1e-5  # rows in float32 sum to 1 + 1e-7
        if wrong.any():
            i = int(np.argmax(wrong))
            raise DataError(f"the loss takes targets that are {TARGETS[domain]}, got a sum of {sums[i]:g} in row {i}")


_INSIDE: dict[Targets, Callable[[Array], Array]] = {
    "real": np.isfinite,
    "distribution": lambda Y: Y >= 0,
    "unit": lambda Y: (Y >= 0) & (Y <= 1),
    "nonnegative": lambda Y: Y >= 0,
    "signs": lambda Y: np.abs(Y) == 1,
}


def as_weights(w: Any, rows: int, dtype: np.dtype[Any]) -> Array:
    """Sample weights as a column of a data type, not negative, of a sum that can be divided by."""
    array = _finite("sample_weight", w)
    if array.shape not in ((rows,), (rows, 1)):
        raise ShapeError(f"X needs sample_weight of shape ({rows},), one for each row, got {_shape(array)}")
    if (array < 0).any():
        i = int(np.argmax(array.ravel() < 0))
        raise DataError(f"sample weights are at least 0, got {array.ravel()[i]:g} in row {i}")
    if not array.any():
        raise DataError("sample weights are not all 0: their weighted mean would be 0/0")
    least = float(np.finfo(dtype).tiny / np.finfo(dtype).eps)  # nothing that matters is lost below the normal numbers
    with np.errstate(all="ignore"):
        weights: Array = array.reshape(-1, 1).astype(dtype, copy=False)
        total = float(weights.sum())
    if not least <= total <= 1 / least:
        limits = f"between {least:.2g} and {1 / least:.2g} in {dtype}"
        raise DataError(f"sample weights have a sum {limits}, got {total:.2g}: rescale them")
    return weights


def check_mapping(
    given: object, said: str = "the parameters are a mapping of names to arrays, as init gives them"
) -> dict[str, Any]:
    """Names and what they name; of what is no mapping of names, it is said what was wanted."""
    if not isinstance(given, Mapping):
        raise TypeError(f"{said}, got {shown(given)}")
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"{said}, got the name {shown(name)}")
    return dict(given)


def check_rows(what: str, rows: int) -> None:
    """Refuse data without examples, where something needs them."""
    if not rows:
        raise DataError(f"{what} at least one row, got X without rows")


def check_parameters(params: Mapping[str, Any], declared: Sequence[Node]) -> Arrays:
    """The parameters as arrays, in the order declared; what does not fit is shown beside what was declared."""
    found = {name: as_numbers(name, value) for name, value in check_mapping(params).items()}
    expected = {str(p.name): p.shape for p in declared}
    if {name: a.shape for name, a in found.items()} != expected:
        wanted = ", ".join(f"{name} {show(s)}" for name, s in expected.items())
        ledger = ", ".join(f"{name} {_shape(a)}" for name, a in found.items()) or "none"
        what = ", ".join(_misfits(found, expected))
        raise ShapeError(f"the parameters do not fit the network: {what}\n  declared: {wanted}\n  found:    {ledger}")
    return {name: _finite(name, found[name]) for name in expected}


def _misfits(found: Arrays, expected: Mapping[str, Any]) -> Iterable[str]:
    for name, shape in expected.items():
        if name not in found:
            yield f"{name} is missing"
        elif found[name].shape != shape:
            row = f" ({name}[None, :] is a row)" if found[name].shape == shape[1:] and shape[0] == 1 else ""
            yield f"{name} is {_shape(found[name])}, not {show(shape)}{row}"
    for name in found:
        if name not in expected:
            yield f"there is no {name}{nearest(name, expected)}"


def as_scalar(name: str, value: Any) -> float:
    """One finite number."""
    array = as_numbers(name, value)
    if array.size != 1 or not np.isfinite(array).all():
        raise DataError(f"{name} is one finite number, got {shown(value)}")
    return float(array.item())


def common_dtype(arrays: Iterable[Array]) -> np.dtype[Any]:
    """float32 where every array is, else float64."""
    return np.dtype(np.float32 if all(a.dtype == np.float32 for a in arrays) else np.float64)


def draw_masks(randoms: Sequence[Node], rows: int, random_state: Any, dtype: Any) -> Arrays:
    """One draw of every random matrix, in order, from one stream."""
    rng = np.random.default_rng(random_state)
    masks: Arrays = {}
    for M in randoms:
        kind, keep = M.value.distribution
        assert kind == "inverted_bernoulli"
        masks[str(M.name)] = ((rng.random((rows, int(M.shape[1]))) < keep) / keep).astype(dtype)
    return masks


GOLDEN, MIX = 0x9E3779B97F4A7C15, (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def counted_masks(randoms: Sequence[Node], seed: int, first: int, rows: int, dtype: Any) -> Arrays:
    """The random matrices of rows `first` and on of an epoch: each entry by its number alone, whoever computes it.

    Entry i of the mask with salt k is a hash of seed + (k + i + 1) 0x9E37..., in the manner of SplitMix64 (Steele, Lea
    and Flood 2014), of which 24 bits are a uniform number.
    """
    masks: Arrays = {}
    for M in randoms:
        kind, keep = M.value.distribution
        assert kind == "inverted_bernoulli"
        columns = int(M.shape[1])
        numbers = np.arange(first * columns, (first + rows) * columns, dtype=np.uint64) + np.uint64(salt(M) + 1)
        x = numbers * np.uint64(GOLDEN) + np.uint64(seed)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(MIX[0])
        x = (x ^ (x >> np.uint64(27))) * np.uint64(MIX[1])
        x = x ^ (x >> np.uint64(31))
        uniform = (x >> np.uint64(40)).astype(np.float64) * 2.0**-24
        masks[str(M.name)] = ((uniform < keep) * (1.0 / keep)).astype(dtype).reshape(rows, columns)
    return masks


def salt(M: Node) -> int:
    """What tells the numbers of one random matrix from another's."""
    return sum(ord(c) << 8 * i for i, c in enumerate(reversed(str(M.name)[-4:]))) << 32


def filled(value: Any, shape: tuple[int, int], dtype: np.dtype[Any]) -> Array:
    """What a program gives for a matrix: the matrix, or one number for all of its entries."""
    array = np.asarray(value, dtype)
    return array if array.shape == shape else np.full(shape, array)


def as_numbers(name: str, value: Any) -> Array:
    """An array of real numbers, whatever their type; what is none is named with its place."""
    array: Array
    try:
        array = np.asarray(value)
    except ValueError:
        raise ShapeError(f"{name} is a matrix, got rows of different lengths{_ragged(value)}") from None
    if array.dtype.kind not in "fiub":
        entries = np.asarray(value, dtype=object)  # of "1", 2 NumPy makes texts
        for place in np.ndindex(entries.shape):
            if not isinstance(entries[place], Real | np.bool_):
                at = f" at [{', '.join(map(str, place))}]" if place else ""
                raise DataError(f"{name} holds real numbers, got {shown(entries[place])}{at}")
        array = entries.astype(float)
    return array


def _ragged(rows: Sequence[Any]) -> str:
    """In words, the first row that does not fit row 0."""
    said = [f"has length {len(row)}" if isinstance(row, Sized) else f"is {shown(row)}" for row in rows]
    others = (f": row 0 {said[0]}, row {i} {each}" for i, each in enumerate(said) if each != said[0])
    return next(others, "")  # nothing where it is not the rows that differ, but what they hold


def _finite(name: str, value: Any) -> Array:
    array = as_numbers(name, value)
    bad = ~np.isfinite(array)
    if bad.any():
        where = ", ".join(map(str, np.argwhere(bad)[0]))
        raise DataError(f"{name} holds {array[bad][0]} at [{where}]: all values must be finite numbers")
    return array


def _shape(array: Array) -> str:
    return f"({' x '.join(map(str, array.shape))}{',' if array.ndim == 1 else ''})"
