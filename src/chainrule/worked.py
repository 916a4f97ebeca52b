"""A derivation with numbers: what every name is worth for given data, each equation worked out, one entry explained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import (
    Array,
    Arrays,
    as_data,
    as_numbers,
    as_scalar,
    as_targets,
    as_weights,
    check_parameters,
    check_rows,
    draw_masks,
)
from chainrule.asked import check_word
from chainrule.derive import Derived, Equation
from chainrule.errors import DataError, ShapeError, UnknownNameError, nearest
from chainrule.evaluate import evaluate_all
from chainrule.expr import Node, matmul_op, ones_op, symbol_op, toposort, toposort_to_names
from chainrule.layers import whole
from chainrule.losses import Targets
from chainrule.program.listing import Listing
from chainrule.render.entry import entry_latex, entry_text, shares
from chainrule.render.reasons import entry_reasons
from chainrule.render.worked import Groups, worked_latex, worked_text
from chainrule.shapes import Shape, show

RATE = 0.1  # the learning rate of every weight, where it is not given
SIX_STEPS = (
    "1. forward: sums and activations, from the inputs to the outputs, and the loss",
    "2. the error signal of the last layer",
    "3. the error signals of the layers before it, backwards",
    "4. the derivatives by the weights",
    "5. the derivatives by the biases",
    "6. the update",
)


@dataclass(frozen=True, eq=False)
class Worked:
    """The equations of a derivation worked out for given data: printed in symbols, numbers and results.

    Made by `Derivation.with_numbers`; `worked["dW1"]` is one result.
    """

    equations: tuple[Equation, ...]
    values: Mapping[str, Array]
    biases: frozenset[str]
    digits: int

    def __getitem__(self, name: str) -> Array:
        check_word("there is no", name, self.values, " in this derivation")
        return self.values[name]

    def __str__(self) -> str:
        return worked_text(self._phases(), self.values, self.digits)

    def latex(self) -> str:
        """The same as LaTeX, which needs amsmath only."""
        return worked_latex(self._phases(), self.values, self.digits)

    def six_steps(self, *, latex: bool = False) -> str:
        """The same in the six steps in which back-propagation is taught, for one example or for all."""
        write = worked_latex if latex else worked_text
        return write(self._six(), self.values, self.digits)

    def entry(self, derived: Derived, name: str, i: int, j: int, *, latex: bool = False) -> str:
        """One entry of one result, in words, symbols and numbers, with the indices that justify it."""
        equations = {e.name: e for e in self.equations}
        check_word("no equation for", name, equations)
        e = equations[name]
        steps = derived.steps_to(name)
        named = {each.expression: each.node for each in self.equations if each.phase == "forward"}
        reasons = [*entry_reasons(e, steps, i, j), *shares(e, steps, i, j, self.values, self.digits, named)]
        write = entry_latex if latex else entry_text
        return write(e, i, j, self.values, self.digits, reasons)

    def _phases(self) -> Groups:
        phases = dict.fromkeys(e.phase for e in self.equations)
        return [(phase, [e for e in self.equations if e.phase == phase]) for phase in phases]

    def _six(self) -> Groups:
        backward = [e for e in self.equations if e.phase == "backward"]
        updated = {e.name.removesuffix("_next") for e in self.equations if e.phase == "update"}
        errors = [e for e in backward if e.name[1:] not in updated]
        results = [e for e in backward if e.name[1:] in updated]
        groups = [
            [e for e in self.equations if e.phase in ("forward", "loss")],
            errors[:1],
            errors[1:],
            [e for e in results if e.name[1:] not in self.biases],
            [e for e in results if e.name[1:] in self.biases],
            [e for e in self.equations if e.phase == "update"],
        ]
        return [(heading, group) for heading, group in zip(SIX_STEPS, groups, strict=True) if group]


def check_digits(digits: object) -> None:
    """Refuse a number of digits that shows nothing."""
    if not whole(digits):
        raise ValueError(f"digits is a whole number of at least 1, got {digits!r}")


def work_out(
    derived: Derived,
    listing: Listing,
    params: Mapping[str, Any],
    X: Any,
    Y: Any,
    *,
    digits: int,
    sample_weight: Any = None,
    random_state: Any = 0,
    hyper: Mapping[str, float],
    translate: Callable[[Arrays], Arrays],
) -> Worked:
    """Compute every equation of a derivation; the data and parameters come in rows, as a network takes them.

    `translate` gives them as the derivation means them.
    """
    rates = [str(rate.name) for rate in listing.rates]
    known = listing.given
    wrong = next((name for name in hyper if name not in known), None)
    if wrong is not None:
        raise UnknownNameError(f"the update rule has no {wrong!r}{nearest(wrong, known)}")
    first = derived
    while first.origin is not None:
        first = first.origin
    symbols = {str(n.name): n for n in toposort(*(e.expression for e in first.equations)) if n.op is symbol_op}
    values = _inputs(listing, symbols, params, X, Y, sample_weight, random_state)
    n = len(values["X"])
    for parameter, rate in zip(listing.parameters, rates, strict=False):  # there are none, or one for each
        values[rate] = _filled(rate, symbols[str(parameter.name)].shape, hyper.get(rate, hyper.get("lr", RATE)))
    given = translate(values)
    scalars = {**listing.hyper, **hyper, "n": n}
    given |= {name: np.full((1, 1), as_scalar(name, v)) for name, v in scalars.items() if name not in rates}
    given |= {str(state.name): _filled(str(state.name), state.shape, initial) for state, initial in listing.states}
    results = evaluate_all([e.expression for e in derived.equations], {**given, "n": n})
    given |= {e.name: a for e, a in zip(derived.equations, results, strict=True)}
    biases = frozenset(name for e in first.equations for name in _added(e))
    return Worked(derived.equations, given, biases, digits)


def _filled(name: str, declared: Shape, value: Any) -> Array:
    """One number for every entry, or a matrix as it is."""
    shape, array = tuple(map(int, declared)), as_numbers(name, value).astype(float)
    if array.shape not in ((), shape):
        raise ShapeError(f"{name} is a number or a matrix {show(declared)}, got an array of shape {array.shape}")
    return np.array(np.broadcast_to(array, shape))


def _inputs(
    listing: Listing, symbols: Mapping[str, Node], params: Mapping[str, Any], X: Any, Y: Any, w: Any, random_state: Any
) -> Arrays:
    target = symbols["Y"]
    data = as_data(X, int(symbols["X"].shape[1]))
    rows, outputs = len(data), int(target.shape[1])
    check_rows("numbers need", rows)
    domain: Targets = "distribution" if "rows_sum_to_one" in target.value.facts else "real"
    values = {"X": data, "Y": as_targets(Y, rows, outputs, domain)}
    weighted = any(d.name == "w" for d in listing.data)
    if w is not None and not weighted:
        raise DataError("this derivation has no weights of examples: take derive(sample_weight=True)")
    if weighted:
        values["w"] = as_weights(np.ones(rows) if w is None else w, rows, np.dtype(float))
    declared = [symbols[str(p.name)] for p in listing.parameters]
    masks = draw_masks([symbols[str(M.name)] for M in listing.randoms], rows, random_state, float)
    return {**values, **check_parameters(params, declared), **masks}


def _added(e: Equation) -> set[str]:
    """The parameters that an equation adds to every example: the b of 1 b."""
    products = (n for n in toposort_to_names(e.expression) if n.op is matmul_op and n.args[0].op is ones_op)
    return {str(n.args[1].name) for n in products if n.args[1].op is symbol_op}
