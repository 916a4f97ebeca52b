"""Central differences of a loss that know their own error.

Whether a gradient agrees with them is not decided here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import DataError, ShapeError

__all__ = ["Array", "Point", "Slope", "length", "measure_noise", "random_direction", "real", "slope"]

Array = NDArray[np.float64]

_UNIT = float(np.finfo(np.float64).eps)
_RATIO = 16.0  # between two steps of a sweep: tells truncation, h^2, from rounding, 1/h
_MOST_STEPS = 12


@dataclass(frozen=True)
class Point:
    """A loss at given parameters: its value there and the standard deviation of its rounding.

    `pack` puts a list of arrays into the container that `loss` takes.
    """

    loss: Callable[[Any], object]
    pack: Callable[[list[Array]], object]
    values: list[Array]
    level: float = math.nan
    noise: float = 0.0
    single: bool = False

    def here(self) -> float:
        """The loss at the parameters, of which it gets copies."""
        return _number(self.loss(self.pack([value.copy() for value in self.values])))

    def at(self, moves: Mapping[int, Array]) -> float:
        """The loss after moving some blocks; NaN where it does not exist."""
        arrays = [np.asarray(v + moves[i]) if i in moves else v.copy() for i, v in enumerate(self.values)]
        # Going where a logarithm or a power fails is the sweep's doing, not the user's.
        with np.errstate(all="ignore"):
            try:
                return _number(self.loss(self.pack(arrays)))
            except (ArithmeticError, ValueError):
                return math.nan

    def changed(self) -> bool:
        """Whether one more call at the same parameters gives another loss."""
        # Threads may add in another order: the last digits alone are no randomness.
        again = self.here()
        return abs(again - self.level) > 1e-10 * max(abs(again), abs(self.level))

    @property
    def width(self) -> float:
        """The best step of a central difference, relative to the parameter: noise^(1/3)."""
        unit = self.noise / abs(self.level) if self.level else 0.0
        return math.cbrt(min(max(unit, _UNIT), 1e-4))


@dataclass(frozen=True)
class Slope:
    """A numeric derivative, with bounds on what the loss's shape and its rounding do to it.

    `level` is the size of the losses of which it is the difference, `step` their distance from the
    middle, `curvature` the second derivative.
    """

    value: float
    shape: float
    noise: float
    step: float
    level: float
    curvature: float

    @property
    def error(self) -> float:
        """Bound on the error."""
        return self.shape + self.noise

    @property
    def rough(self) -> bool:
        """Whether shape limits the error: truncation or a kink."""
        return self.shape > self.noise


@dataclass(frozen=True)
class _Rung:
    """A central difference: its slope, the change of slope between its sides, its rounding."""

    step: float
    slope: float
    bend: float
    level: float
    noise: float


def real(what: str, given: object) -> NDArray[Any]:
    """The array that was given, if it is made of real numbers."""
    try:
        array = np.asarray(given)
    except ValueError:
        raise DataError(f"{what} must be an array, found rows of different lengths") from None
    if array.dtype.kind not in "fiu":
        found = type(given).__name__ if array.dtype == object else array.dtype.type.__name__.rstrip("_")
        raise DataError(f"{what} must be made of real numbers, found {found}")
    return array


def _number(returned: object) -> float:
    """The loss, if it is one finite number."""
    array = real("the value of loss", returned)
    if array.size != 1:
        raise ShapeError(f"loss must return one number, found shape {array.shape}: sum or average it")
    value = float(array.item())
    if not math.isfinite(value):
        raise DataError(f"loss must be finite at params, found {value}")
    return value


def length(value: Array) -> float:
    """How far a block must move to matter: its norm, or 1 per entry where it is zero."""
    return float(np.linalg.norm(value)) or math.sqrt(value.size)


def random_direction(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """A unit direction in which no entry is silent and equal errors do not cancel.

    Normal numbers would hide an entry behind a small one; signs alone let two equal errors cancel.
    """
    along = np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape))
    return np.asarray(along / (np.linalg.norm(along) or 1.0))


def measure_noise(point: Point, rng: np.random.Generator) -> Point:
    """The point with its noise, from a table of differences (Moré and Wild 2011, ECNoise).

    Differences of order 3 to 5 of a smooth function vanish at a small spacing; noise stays.
    """
    # Wide enough for a loss that rounds its parameters to float32 to see the move.
    noise, losses = _difference_table(point, 1e-6, rng)
    single = noise > 16 * _UNIT * abs(point.level) and _fits_float32(losses)
    if single:
        noise = max(noise, float(np.finfo(np.float32).eps) / 2 * abs(point.level))
    elif noise > 16 * _UNIT * abs(point.level):
        # Noise does not care for the spacing, what a kink or a narrow valley leaves does. A loss
        # that moves only now and then is rounded coarsely, which the wide table has measured.
        finer, losses = _difference_table(point, 1e-9, rng)
        noise = min(noise, finer) if np.diff(losses).all() else noise
    return replace(point, noise=max(noise, _UNIT / 2 * abs(point.level)), single=single)


def _fits_float32(losses: Array) -> bool:
    """Whether losses were float32; small whole numbers and halves fit any type and prove nothing."""
    with np.errstate(over="ignore"):
        return bool(np.all(losses == losses.astype(np.float32)) and np.any(losses != losses.astype(np.float16)))


def _difference_table(point: Point, spacing: float, rng: np.random.Generator) -> tuple[float, Array]:
    """Noise and losses at seven equally spaced points: sigma^2 = (k!)^2/(2k)! mean (D^k J)^2."""
    # Each entry by its own size: a step for the largest would throw the smallest far away. Nothing
    # is known of the size of a zero, and the others make the noise as well.
    sizes = [abs(v) for v in point.values]
    if not any(size.any() for size in sizes):
        sizes = [np.ones(v.shape) for v in point.values]
    moves = [spacing * size * rng.choice([-1.0, 1.0], size.shape) for size in sizes]
    # Not from the point itself, where a kink or a jump may be.
    table = np.array([point.at({i: k * move for i, move in enumerate(moves)}) for k in range(1, 8)])
    if not np.isfinite(table).all():
        return 0.0, table
    return float(np.median([_scatter(table, order) for order in (3, 4, 5)])), table


def _scatter(table: Array, order: int) -> float:
    gain = math.factorial(2 * order) / math.factorial(order) ** 2
    return math.sqrt(float(np.mean(np.diff(table, order) ** 2)) / gain)


def slope(point: Point, place: int, along: Array, reach: float, aim: float, share: float) -> Slope:
    """The derivative along a direction, to an error of `share` max(`aim`, slope) where possible.

    The steps are a ratio of 16 apart. Truncation falls with h^2, rounding grows with 1/h: what
    limits the best step so far says on which side to look for a better one. `reach`, how far one
    must go to matter, is a first guess, and may be far off where a parameter is zero.
    """
    first = 8 * reach * point.width

    def rung(step: float) -> _Rung:
        return _rung(point, place, along, step)

    rungs = [rung(first), rung(first / _RATIO)]
    while True:
        at, best = _best(rungs)
        if best.error <= share * max(aim, abs(best.value)) or len(rungs) == _MOST_STEPS:
            return best
        if best.rough and rungs[-1].noise < best.error:
            rungs.append(rung(rungs[-1].step / _RATIO))
        elif not best.rough and at == 1 and any(each.slope for each in rungs):
            rungs.insert(0, rung(rungs[0].step * _RATIO))
        else:
            return best


def _rung(point: Point, place: int, along: Array, step: float) -> _Rung:
    right, left = point.at({place: step * along}), point.at({place: -step * along})
    level = max(abs(point.level), abs(right), abs(left))
    bend = ((right - point.level) - (point.level - left)) / step
    # The parameters are rounded too, which counts where the slope is zero and the bend is not.
    moved = float(np.linalg.norm(point.values[place][along != 0]))
    noise = (4 * max(point.noise, _UNIT / 2 * level) + _UNIT * moved * abs(bend)) / step
    return _Rung(step, (right - left) / (2 * step), bend, level, noise)


def _best(rungs: list[_Rung]) -> tuple[int, Slope]:
    """The difference with the least error, and its place among the steps, which fall.

    A smooth loss bends in proportion to the step; a kink within the step bends it by its jump, and
    at most half the jump is in the slope. Among thousands of relu, kinks of both signs lie within
    a step: their number falls with it, so what they do falls with its root.
    """
    curvatures = [_curvature(rungs[max(0, i - 1) : i + 2]) for i in range(len(rungs))]
    pairs = zip(rungs, curvatures, strict=True)
    kinks = [max(0.0, abs(r.bend - curvature * r.step) - r.noise) for r, curvature in pairs]
    root = math.sqrt(_RATIO)
    best = len(rungs) - 1, Slope(math.nan, math.inf, 0.0, rungs[-1].step, math.nan, math.nan)
    for i, (coarse, rung) in enumerate(pairwise(rungs), start=1):
        drift = max(0.0, abs(rung.slope - coarse.slope) - coarse.noise - rung.noise) / (root - 1)
        for fine in rungs[i + 1 : i + 2]:
            drift = max(drift, abs(rung.slope - fine.slope) - fine.noise)
        shape = max(kinks[i], kinks[i - 1] / root) + drift
        if shape + rung.noise < best[1].error:
            best = i, Slope(rung.slope, shape, rung.noise, rung.step, rung.level, curvatures[i])
    return best


def _curvature(rungs: list[_Rung]) -> float:
    """The least curvature that neighbouring steps allow: what a kink adds to it, it adds most at the smaller."""
    bends = [((abs(r.bend) + r.noise) / r.step, r.bend / r.step) for r in rungs]
    return min((b for b in bends if math.isfinite(b[0])), default=(0.0, 0.0))[1]
