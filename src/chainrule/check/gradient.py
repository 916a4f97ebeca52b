"""Is this the gradient of this loss? Judged per parameter, by differences that know their error.

Works on anybody's functions and needs only NumPy. What the mistake is called is not said here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.check.blocks import Block, blocks, layout, parameter
from chainrule.check.difference import (
    Array,
    Point,
    Slope,
    length,
    measure_noise,
    random_direction,
    slope,
)
from chainrule.check.report import OK, BlockReport, Entry, GradientReport
from chainrule.errors import DataError

__all__ = ["BlockReport", "Entry", "GradientReport", "check_gradient"]

WRONG = "wrong"
NOT_FINITE = "wrong: the gradient is not finite"
NOT_SMOOTH = "not smooth here (a kink?)"
LOSS_FLOAT32 = "too coarse to judge: loss computes in float32"
LOSS_NOISY = "too coarse to judge: the differences do not settle (noise in loss?)"
GRADIENT_COARSE = "too coarse to judge: gradient is not computed in float64"
CHANGING = "not deterministic: two identical calls of {} differ (dropout? fix random_state)"

# A block of so few numbers may have no common scale (amplitude, rate, offset): entry by entry.
_SMALL = 16


def check_gradient(
    loss: Callable[[Any], object],
    gradient: object,
    params: object,
    *,
    tolerance: float = 1e-6,
    random_state: int | np.random.Generator | None = 0,
    directions: int = 2,
    entries: int = 16,
) -> GradientReport:
    """Compare a gradient with central differences of the loss, parameter by parameter.

    Each block of parameters is moved along random directions in which every entry takes part. The
    step is swept until the difference is precise enough or cannot become better, so that the
    verdict knows its own precision. Where the two sides disagree, the entries at fault are sought.

    Parameters
    ----------
    loss : callable
        ``loss(params) -> float``.
    gradient : callable or computed gradients
        ``gradient(params)``, or its result at `params`: the same names and shapes as `params`.
    params : mapping of str to array, list or tuple of arrays, or one array
        The point of comparison. The functions get float64 copies in the same kind of container.
    tolerance : float, default=1e-6
        Allowed error relative to the block's own scale: the root mean square of its gradient, or
        the entry itself in blocks of at most 16 entries.
    random_state : int, numpy.random.Generator or None, default=0
        Draws the directions and the entries to look at.
    directions : int, default=2
        Random directions for each block of more than 16 entries; twice as many if kinks lie on
        them all.
    entries : int, default=16
        Entries of a wrong block that are looked at, besides the one found by halving the block.

    Returns
    -------
    GradientReport
        With ``ok``, ``worst`` and ``blocks[name]``.

    Raises
    ------
    ShapeError
        If the loss is not one number or a gradient has not the shape of its parameter.
    UnknownNameError
        If the gradient lacks a block or has one that `params` has not.
    DataError
        If something is not made of finite floating-point numbers, or an option has no meaning.

    Notes
    -----
    A direction or an entry costs 4 calls of `loss` where it is smooth, at most 24. The best step
    of a central difference is about u^(1/3) of the parameter's size (Squire and Trapp 1998; Press
    et al., Numerical Recipes, section 5.7); the rounding u is measured (Moré and Wild 2011).

    Examples
    --------
    >>> import numpy as np
    >>> import chainrule as cr
    >>> X, y = np.array([[1.0, 2.0], [3.0, 5.0], [4.0, 1.0]]), np.array([1.0, 2.0, 0.0])
    >>> w = np.array([0.5, 0.25])
    >>> loss = lambda w: np.mean((X @ w - y) ** 2)
    >>> cr.check_gradient(loss, lambda w: 2 / 3 * X.T @ (X @ w - y), w).ok
    True
    >>> print(cr.check_gradient(loss, lambda w: X.T @ (X @ w - y) / 3, w))
    gradient check: 0 of 1 ok, worst relative error 5.0e-01, tolerance 1e-06
    block   shape             error  verdict
    params  (2,)            5.0e-01  wrong
        worst at [0]: analytic 3.75, numeric 7.5, error 5.0e-01
        analytic = 1/2 * numeric in all entries looked at
    """
    _check_options(loss, tolerance, directions, entries)
    rng = np.random.default_rng(random_state)
    names, given, pack = layout(params)
    values = [parameter(name, value) for name, value in zip(names, given, strict=True)]
    point = Point(loss, pack, values)
    point = replace(point, level=point.here())
    paired = blocks(point, gradient, names, params)
    reports: list[BlockReport] = []
    if not point.changed():
        point = measure_noise(point, rng)
        reports = [_judge(_Case(point, each, tolerance), rng, directions, entries) for each in paired]
    if point.changed():  # asked again: a mask that drops little may agree twice by chance
        reports = [_unsteady(each, "loss") for each in paired]
    return GradientReport({report.name: report for report in reports}, tolerance)


def _check_options(loss: object, tolerance: float, directions: int, entries: int) -> None:
    if not callable(loss):
        raise DataError(f"loss must be a function of params, found {type(loss).__name__}")
    if not 0 < tolerance < 1:
        raise DataError(f"tolerance must be between 0 and 1, found {tolerance!r}")
    for name, count in (("directions", directions), ("entries", entries)):
        if count < 1:
            raise DataError(f"{name} must be at least 1, found {count!r}")


@dataclass(frozen=True)
class _Case:
    """One parameter to judge, at this point, to this tolerance."""

    point: Point
    block: Block
    tolerance: float


@dataclass(frozen=True)
class _Finding:
    """The two derivatives along a direction, or of the entry with this flat index."""

    analytic: float
    slope: Slope
    relative_error: float
    verdict: str
    place: int | None = None

    @property
    def gap(self) -> float:
        """How much the two derivatives differ."""
        return abs(self.analytic - self.slope.value)


def _judge(case: _Case, rng: np.random.Generator, directions: int, entries: int) -> BlockReport:
    """A small block entry by entry; a large one along directions, with entries upon suspicion."""
    block, size = case.block, case.block.value.size
    if not block.steady:
        return _unsteady(block, "gradient")
    if not np.isfinite(block.gradient).all():
        return _not_finite(case)
    if size <= _SMALL:
        # An entry that is a tolerance below the others is rounding of theirs.
        looked = [_entry(case, place, case.tolerance * block.rms) for place in range(size)]
        return _report(block, _verdict(looked), looked)
    moves: list[Array] = []
    found: list[_Finding] = []
    verdict = OK
    # No error is silent along a random direction: where one is smooth and right, all is right.
    while len(found) < directions or (verdict not in (OK, WRONG) and len(found) < 2 * directions):
        moves.append(random_direction(block.value.shape, rng))
        found.append(_along(case, moves[-1]))
        verdict = _verdict(found, either=True)
    worst, move = max(zip(found, moves, strict=True), key=lambda pair: _suspicion(case, pair[0]))
    if verdict == OK and _suspicion(case, worst) <= 1:
        return _report(block, verdict, found)
    places = {_locate(case, move, worst)}
    if verdict != OK:
        places.update(np.argsort(-abs(block.gradient), axis=None)[:4].tolist())
        places.update(rng.choice(size, min(entries, size), replace=False).tolist())
    looked = [_entry(case, place, block.rms) for place in sorted(places)]
    return _report(block, WRONG if _verdict(looked) == WRONG else verdict, found + looked)


def _verdict(findings: list[_Finding], *, either: bool = False) -> str:
    """One verdict for many: wrong, else undecided, else ok; one ok is enough if `either` is."""
    order = {WRONG: 0, GRADIENT_COARSE: 1, OK: 2 if either else 4}
    return min((f.verdict for f in findings), key=lambda verdict: order.get(verdict, 3), default=OK)


def _suspicion(case: _Case, finding: _Finding) -> float:
    """Above 1 where a single entry may be wrong though the block as a whole is not.

    A wrong entry of N shows 1/sqrt(N) of its size along a unit direction.
    """
    if not finding.gap > 0:
        return 0.0
    scale = max(case.block.rms, abs(finding.slope.value))
    alone = case.tolerance * scale / math.sqrt(case.block.value.size)
    return finding.gap / max(alone, 2 * finding.slope.error)


def _along(case: _Case, move: Array) -> _Finding:
    share = case.tolerance / math.sqrt(move.size)  # see _suspicion
    return _compare(case, move, length(case.block.value), case.block.rms, share)


def _entry(case: _Case, place: int, scale: float) -> _Finding:
    value = case.block.value
    along = np.zeros(value.shape)
    along.flat[place] = 1.0
    reach = abs(float(value.flat[place])) or length(value) / math.sqrt(value.size)
    return replace(_compare(case, along, reach, scale, case.tolerance / 4), place=place)


def _compare(case: _Case, along: Array, reach: float, scale: float, share: float) -> _Finding:
    """Both derivatives along a direction; `scale` is the size that is expected of them."""
    point, block, tolerance = case.point, case.block, case.tolerance
    analytic = float(np.vdot(block.gradient, along))
    numeric = slope(point, block.place, along, reach, max(scale, abs(analytic)), share)
    gap, error = abs(analytic - numeric.value), numeric.error
    if not math.isfinite(numeric.value):
        return _Finding(analytic, numeric, math.inf, NOT_SMOOTH)
    scale = max(scale, abs(analytic), abs(numeric.value))
    # A slope that float64 has no digits for, beside loss / parameter and curvature * parameter, is
    # zero. What is due to a kink is not.
    natural = numeric.level / max(reach, numeric.step / point.width)
    fine = numeric.noise <= tolerance * max(scale, natural, reach * abs(numeric.curvature))
    smooth = numeric.shape <= tolerance * max(scale, natural / math.sqrt(np.count_nonzero(along)))
    if gap > tolerance * scale + error:
        coarse = gap <= block.rounding * scale + error
        verdict = GRADIENT_COARSE if coarse else WRONG
    elif smooth and (fine or gap == 0):
        relative = gap / (scale + error / tolerance) if gap else 0.0
        return _Finding(analytic, numeric, relative, OK)
    elif fine and not point.single:
        verdict = NOT_SMOOTH
    else:
        verdict = LOSS_FLOAT32 if point.single else LOSS_NOISY
    return _Finding(analytic, numeric, gap / scale if gap else 0.0, verdict)


def _locate(case: _Case, move: Array, finding: _Finding) -> int:
    """The flat index of a wrong entry, by halving: the part with the larger gap is kept."""
    point, block, step = case.point, case.block, finding.slope.step
    inside = np.arange(move.size)
    gap = finding.analytic - finding.slope.value
    while inside.size > 1:
        half, rest = np.array_split(inside, 2)
        part = np.zeros(move.shape)
        part.flat[half] = move.flat[half]
        right, left = point.at({block.place: step * part}), point.at({block.place: -step * part})
        seen = float(np.vdot(block.gradient, part)) - (right - left) / (2 * step)
        inside, gap = (half, seen) if abs(seen) > abs(gap - seen) else (rest, gap - seen)
    return int(inside[0])


def _report(block: Block, verdict: str, findings: list[_Finding]) -> BlockReport:
    """The report of a block: its worst finding, its worst entry and the factor between the sides."""
    if not findings:
        return BlockReport(block.name, block.value.shape, OK, 0.0, 0.0, 0.0, 0.0)
    telling = [f for f in findings if f.verdict == verdict]
    worst = max(telling, key=lambda f: f.relative_error)
    entries = [f for f in findings if f.place is not None]
    return BlockReport(
        block.name,
        block.value.shape,
        verdict,
        worst.relative_error,
        worst.analytic,
        worst.slope.value,
        worst.slope.error,
        _worst_entry(block, [f for f in telling if f in entries] or entries),
        _factor(entries) if verdict == WRONG else None,
    )


def _worst_entry(block: Block, entries: list[_Finding]) -> Entry | None:
    """The entry with the largest relative error; among about equal ones, with the largest gap."""
    if not entries:
        return None
    worst = max(entries, key=lambda f: (float(f"{f.relative_error:.2e}"), f.gap))
    index = np.unravel_index(worst.place or 0, block.value.shape)
    place = tuple(map(int, index))
    return Entry(place, worst.analytic, worst.slope.value, worst.relative_error)


def _factor(entries: list[_Finding]) -> float | None:
    """c with analytic = c * numeric in all entries, if there is one; a lone entry proves none."""
    analytic = np.array([f.analytic for f in entries])
    numeric = np.array([f.slope.value for f in entries])
    error = np.array([f.slope.error for f in entries])
    if np.sum(abs(numeric) > 10 * error) < 2:
        return None
    factor = float(analytic @ numeric / (numeric @ numeric))
    off = abs(analytic - factor * numeric)
    fits = abs(factor - 1) > 1e-5 and np.all(off <= 1e-5 * abs(analytic) + abs(factor) * error)
    return factor if fits else None


def _not_finite(case: _Case) -> BlockReport:
    """The report of a gradient with a NaN or infinity: where it is, and what should be there."""
    block = case.block
    place = int(np.argmin(np.isfinite(block.gradient)))
    zero = replace(block, gradient=np.zeros(block.value.shape))
    finding = _entry(replace(case, block=zero), place, 0.0)
    claimed = float(block.gradient.flat[place])
    finding = replace(finding, analytic=claimed, relative_error=math.inf, verdict=NOT_FINITE)
    return _report(block, NOT_FINITE, [finding])


def _unsteady(block: Block, what: str) -> BlockReport:
    verdict = CHANGING.format(what)
    nan = math.nan
    return BlockReport(block.name, block.value.shape, verdict, math.inf, nan, nan, math.inf)
