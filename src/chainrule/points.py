"""Random points at which derivatives are checked, and what is finite at none of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.check.replay import random_matrix
from chainrule.evaluate import evaluate_all
from chainrule.expr import Node, symbol_op, toposort
from chainrule.shapes import Size, factors

DRAWS = 12  # of random numbers, until the loss is finite and smooth there
SIZES = (3, 5, 4, 2, 6)  # small, and different from each other

Values = dict[str, Any]


def never_finite(expressions: Sequence[Node]) -> Node | None:
    """The first part that is infinite or no number although its operands are numbers, at every random point."""
    rng = np.random.default_rng(0)
    suspects = list(toposort(*expressions))
    for draw in range(DRAWS):
        values = random_values(expressions, draw, rng)
        nodes = list(toposort(*suspects))
        with np.errstate(all="ignore"):
            finite = dict(zip(nodes, (np.isfinite(a).all() for a in evaluate_all(nodes, values)), strict=True))
        suspects = [n for n in suspects if not finite[n] and all(finite[a] for a in n.args)]
    return suspects[0] if suspects else None


def random_values(expressions: Sequence[Node], draw: int, rng: np.random.Generator) -> Values:
    """Numbers for every symbol, of which the declared facts hold: positive in every other draw, sizes in turn."""
    nodes = list(toposort(*expressions))
    names = sorted({name for n in nodes for s in n.shape for name in factors(s)[1]})
    names += sorted({n.value.name for n in nodes if n.op is symbol_op and n.value.role == "size"} - set(names))
    values: Values = {name: SIZES[(i + draw) % len(SIZES)] for i, name in enumerate(names)}
    for n in nodes:
        if n.op is symbol_op and n.value.role != "size":
            rows, columns = (_length(size, values) for size in n.shape)
            values[n.value.name] = random_matrix(n.value, (rows, columns), draw % 2, rng)
    return values


def _length(size: Size, values: Values) -> int:
    number, names = factors(size)
    return number * math.prod(int(values[name]) for name in names)
