"""What a typed formula may call: every function of the rule book and every loss by name, and a few reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import chainrule.activations  # enters its records  # noqa: F401
from chainrule.expr import TURNED, Node, ones, scale, size, sum
from chainrule.functions import FUNCTIONS, Function
from chainrule.losses import FACTS, LOSSES, Loss
from chainrule.matrix_functions import det, diag, diagonal, inv, kron, logdet, norm, trace, unvec, vec
from chainrule.primitives import abs

# What is known of the shape of the value: that of the operand, of both operands (one may be 1 x 1), 1 x 1, ...
Shaped = Literal[
    "same", "pair", "loss", "row", "number", "number of square", "square", "diagonal", "column", "folded", "blocks"
]


@dataclass(frozen=True)
class Call:
    """A function that formulas may call: how many matrices it takes, of what shape it is, and what it builds."""

    shaped: Shaped
    build: Callable[..., Node]
    operands: int = 1
    parameters: int = 0
    along: bool = False  # does it go along rows, or down a column?
    facts: tuple[str, ...] = ()  # what a loss relies on of its targets
    is_analytic: bool = False  # may books mean a power series, where it is of a square matrix?
    of_matrices: str = ""  # why it is refused of a matrix that is no vector: what it may mean there


def mean(A: Node) -> Node:
    """The sum of all entries, divided by their number."""
    counts = [size(s) for s in A.shape]
    number = 1
    for count in counts:
        number *= count if isinstance(count, int) else 1
    return scale(total(A), f"1/{number}", *((count, -1) for count in counts if isinstance(count, Node)))


def total(A: Node) -> Node:
    """The sum of all entries."""
    return ones(A.shape[0]).T @ A if A.shape[1] == 1 else sum(A)


def either_diagonal(A: Node) -> Node:
    """The diagonal matrix of a column, or the diagonal of a square matrix."""
    return diag(A) if A.shape[1] == 1 else diagonal(A)


def of_one_example(loss: Loss) -> Callable[..., Node]:
    """A loss of distributions as people mean it: a column is the distribution of one example, not of many."""
    return lambda A, Y, *values: loss(A.T, Y.T, *values) if A.shape[1] == 1 != A.shape[0] else loss(A, Y, *values)


def down_a_column(function: Function) -> Callable[..., Node]:
    """A function of rows as people mean it: of a column, down the column."""
    return lambda A, *values: (function.twin if A.shape[1] == 1 != A.shape[0] else function)(A, *values)


def _of_the_rule_book() -> dict[str, Call]:
    found = {}
    for f in FUNCTIONS.values():
        if f.whole or f.axis == 0:
            continue
        shaped: Shaped = "pair" if f.operands == 2 else "same" if f.op.shape(("r", "c")) == ("r", "c") else "row"
        build = down_a_column(f) if f.axis is not None else f
        for name in (f.name, *f.aliases):
            analytic = (
                shaped == "same" and f.axis is None and not (f.activation or f.parameters or f.kinks() or f.jumps())
            )
            found[name] = Call(shaped, build, f.operands, len(f.parameters), f.axis is not None, is_analytic=analytic)
    return found


CALLS: Mapping[str, Call] = {
    **_of_the_rule_book(),
    **{
        name: Call(
            "loss",
            of_one_example(each) if each.targets == "distribution" else each,
            2,
            len(each.parameters),
            each.targets == "distribution",
            tuple(fact for fact in FACTS.get(each.targets, ()) if fact not in TURNED),  # that sums are 1 is declared
        )
        for name, each in LOSSES.items()
    },
    "sum": Call("number", total),
    "mean": Call("number", mean),
    "norm": Call("number", norm),
    "norm1": Call(
        "number",
        lambda A: total(abs(A)),
        of_matrices="the largest sum of a column, which is not in the language, or the sum of all |entries|: sum(|X|)",
    ),
    "norm2": Call(
        "number",
        norm,
        of_matrices="the largest singular value, which is not in the language, or the Frobenius norm: ||X||_F",
    ),
    "tr": Call("number of square", trace),
    "trace": Call("number of square", trace),
    "det": Call("number of square", det),
    "logdet": Call("number of square", logdet),
    "inv": Call("square", inv),
    "diag": Call("diagonal", either_diagonal),
    "vec": Call("column", vec),
    "unvec": Call("folded", unvec, 2),
    "kron": Call("blocks", kron, 2),
}

ELSEWHERE: Mapping[str, str] = {
    **{name: repr(each.name) for each in LOSSES.values() for name in each.elsewhere},
    "max": "'maximum', of two matrices, or 'row_maximum'",
    "min": "'minimum', of two matrices",
    "dot": "x'y",
    "frobenius": "tr(A'B), or sum(A .* B)",
    "transpose": "X'",
    "ln": "'log'",
    "sigma": "'logistic'",
    "KL": "'kl_divergence'",
}
"""What a formula has for names that other libraries have, for suggestions."""
