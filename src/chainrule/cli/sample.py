"""Numbers for a network that is only declared: from a file, or small ones drawn to be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.arrays import as_data
from chainrule.derivation import Derivation
from chainrule.errors import DataError, UnknownNameError, nearest, with_article
from chainrule.network import Network

Given = dict[str, Any]
ROWS = 2  # examples drawn
OPTIONS = {"w": "sample_weight"}  # what a name of the equations is called as an option


def numbers_for(network: Network, derivation: Derivation, file: Path | None) -> tuple[Given, Any, Any, Given]:
    """Parameters, X and Y: what the file gives, the rest drawn with one digit or two; and what else the file gives.

    That is hyper-parameters of the update rule, and the weights of the examples where they are weighed.
    """
    given = {} if file is None else _read(file)
    rng = np.random.default_rng(0)
    params: Given = {name: np.round(value, 2) for name, value in network.init(0).items()}
    listing = derivation.listing
    known = [*params, *(str(d.name) for d in listing.data), *listing.given]
    for name in given:
        if name not in known:
            raise UnknownNameError(f"{str(file)!r} has a value for {name!r}{nearest(name, known)}")
    params |= {name: value for name, value in given.items() if name in params}
    X = as_data(given.get("X", rng.uniform(-1, 1, (ROWS, network.inputs)).round(1)), network.inputs)
    Y = given.get("Y", _targets(network, len(X), rng))
    return (
        params,
        X,
        Y,
        {OPTIONS.get(name, name): value for name, value in given.items() if name not in (*params, "X", "Y")},
    )


def _targets(network: Network, rows: int, rng: np.random.Generator) -> Any:
    shape = (rows, network.outputs)
    drawn: dict[str, Any] = {
        "distribution": np.eye(network.outputs)[rng.integers(network.outputs, size=rows)],
        "unit": rng.integers(0, 2, shape).astype(float),
        "nonnegative": rng.integers(0, 5, shape).astype(float),
        "signs": rng.choice([-1.0, 1.0], shape),
    }
    return drawn.get(network.objective.targets, rng.uniform(-1, 1, shape).round(1))


def _read(file: Path) -> Given:
    """A JSON object or an .npz file of matrices by name."""
    try:
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                return dict(arrays)
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read {str(file)!r}: {error.strerror or error}") from error
    except ValueError as error:
        raise DataError(f"{str(file)!r} is neither JSON nor .npz: {error}") from error
    if not isinstance(found, dict):
        kind = with_article(type(found).__name__)
        raise DataError(f'{str(file)!r} should hold matrices by name, as {{"X": [[1, 2]]}}, got {kind}')
    return found
