"""Initial values of weights: one record per distribution, each with its formula and its source.

Which one a layer uses is said by the record of its activation, not here. The normal distributions
are not truncated. Values are drawn in float64; a cast to the type of training comes later.

    Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks
    He et al. 2015, Delving deep into rectifiers
    LeCun, Bottou, Orr & Müller 1998, Efficient BackProp
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from chainrule.errors import ShapeError, UnknownNameError, nearest

__all__ = ["INITIALIZERS", "Initializer", "find_initializer", "register_initializer"]

Draw = Callable[[np.random.Generator, tuple[int, int], tuple[float, ...]], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class Initializer:
    """How the initial weights of a layer are drawn.

    Parameters
    ----------
    name : str
        The name in a SPEC, as in ``init=he_normal``.
    parameters : tuple of (str, float)
        The names of the parameters and their defaults.
    draw : callable
        ``draw(rng, (fan_in, fan_out), parameters)`` gives a float64 array of shape
        (fan_in, fan_out); `parameters` has one value for each declared parameter.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> INITIALIZERS["glorot_uniform"].draw(rng, (784, 128), ()).shape
    (784, 128)
    """

    name: str
    parameters: tuple[tuple[str, float], ...]
    draw: Draw


INITIALIZERS: dict[str, Initializer] = {}


def register_initializer(initializer: Initializer) -> Initializer:
    """Add a record to the initializers that SPECs and layers may name.

    Parameters
    ----------
    initializer : Initializer

    Returns
    -------
    Initializer
        The same record.

    Raises
    ------
    ValueError
        If the name is taken.

    Examples
    --------
    >>> half = Initializer("half", (), lambda rng, shape, parameters: np.full(shape, 0.5))
    >>> register_initializer(half).name
    'half'
    >>> del INITIALIZERS["half"]
    """
    if initializer.name in INITIALIZERS:
        raise ValueError(f"there is already an initializer named {initializer.name!r}")
    INITIALIZERS[initializer.name] = initializer
    return initializer


def find_initializer(name: str) -> Initializer:
    """Find an initializer by its name.

    Parameters
    ----------
    name : str

    Returns
    -------
    Initializer

    Raises
    ------
    UnknownNameError
        If there is none, with the nearest name.

    Examples
    --------
    >>> find_initializer("normal").parameters
    (('std', 0.05),)
    """
    if name not in INITIALIZERS:
        raise UnknownNameError(f"unknown initializer {name!r}{nearest(name, INITIALIZERS)}")
    return INITIALIZERS[name]


def _record(**parameters: float) -> Callable[[Draw], Draw]:
    """Register a function under its own name; keywords are its parameters and their defaults."""

    def add(draw: Draw) -> Draw:
        register_initializer(Initializer(draw.__name__, tuple(parameters.items()), draw))
        return draw

    return add


def _fans(shape: tuple[int, int]) -> tuple[int, int]:
    fan_in, fan_out = shape
    if fan_in < 1 or fan_out < 1:
        raise ShapeError(f"cannot draw weights of shape ({fan_in}, {fan_out}): a size is below 1")
    return fan_in, fan_out


def _spread(name: str, value: float) -> float:
    if not 0 <= value < np.inf:
        raise ValueError(f"{name} of an initializer must be finite and not negative, got {value!r}")
    return value


@_record()
def glorot_uniform(
    rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]
) -> NDArray[np.float64]:
    """W ~ U(-r, r), r = sqrt(6 / (fan_in + fan_out)): Glorot & Bengio 2010, eq. 16."""
    fan_in, fan_out = _fans(shape)
    limit = sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


@_record()
def glorot_normal(
    rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]
) -> NDArray[np.float64]:
    """W ~ N(0, 2 / (fan_in + fan_out)): the variance of Glorot & Bengio 2010, eq. 12."""
    fan_in, fan_out = _fans(shape)
    return rng.normal(0.0, sqrt(2 / (fan_in + fan_out)), shape)


@_record()
def he_uniform(rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]) -> NDArray[np.float64]:
    """W ~ U(-r, r), r = sqrt(6 / fan_in): the variance of he_normal, as r^2 / 3."""
    fan_in, _ = _fans(shape)
    limit = sqrt(6 / fan_in)
    return rng.uniform(-limit, limit, shape)


@_record()
def he_normal(rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]) -> NDArray[np.float64]:
    """W ~ N(0, 2 / fan_in): He et al. 2015, eq. 10."""
    fan_in, _ = _fans(shape)
    return rng.normal(0.0, sqrt(2 / fan_in), shape)


@_record()
def lecun_uniform(
    rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]
) -> NDArray[np.float64]:
    """W ~ U(-r, r), r = sqrt(3 / fan_in): the variance of lecun_normal, as r^2 / 3."""
    fan_in, _ = _fans(shape)
    limit = sqrt(3 / fan_in)
    return rng.uniform(-limit, limit, shape)


@_record()
def lecun_normal(
    rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]
) -> NDArray[np.float64]:
    """W ~ N(0, 1 / fan_in): LeCun et al. 1998, section 4.6."""
    fan_in, _ = _fans(shape)
    return rng.normal(0.0, sqrt(1 / fan_in), shape)


@_record(std=0.05)
def normal(rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]) -> NDArray[np.float64]:
    """W ~ N(0, std^2), whatever the sizes."""
    (std,) = parameters
    return rng.normal(0.0, _spread("std", std), _fans(shape))


@_record(limit=0.05)
def uniform(rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]) -> NDArray[np.float64]:
    """W ~ U(-limit, limit), whatever the sizes."""
    (limit,) = parameters
    return rng.uniform(-_spread("limit", limit), limit, _fans(shape))


@_record()
def zeros(rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]) -> NDArray[np.float64]:
    """W = 0; the units of a hidden layer then stay equal to each other."""
    return np.zeros(_fans(shape))


@_record(value=0.0)
def constant(rng: np.random.Generator, shape: tuple[int, int], parameters: tuple[float, ...]) -> NDArray[np.float64]:
    """W = value in every entry."""
    (value,) = parameters
    return np.full(_fans(shape), value, dtype=np.float64)
