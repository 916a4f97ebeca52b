"""Networks declared by hand, expression by expression, for tests of their derivation."""

from dataclasses import dataclass, field

import numpy as np

from chainrule.activations import activations
from chainrule.derive import derive_equations
from chainrule.errors import PairError
from chainrule.expr import define, matrix, ones, scalar, scale, symbol_op, toposort
from chainrule.expr import sum as total
from chainrule.losses import FACTS, LOSSES, check_pair, total_weight
from chainrule.primitives import abs
from chainrule.reissue import reissue

ACTIVATIONS = activations()


@dataclass
class Declared:
    """What `derive_equations` takes."""

    forward: list = field(default_factory=list)
    parameters: list = field(default_factory=list)
    keep: list = field(default_factory=list)

    def derive(self, **options):
        return derive_equations(self.forward, self.parameters, keep=self.keep, **options)


def network(
    widths,
    functions,
    loss="half_squared_error",
    *,
    weights=False,
    penalty=False,
    masks=False,
    residual=False,
    **options,
):
    """Declare a dense network: activations and loss by name, options of the loss at the end."""
    net = Declared()
    X = matrix("X", "n", widths[0])
    Y = matrix("Y", "n", widths[-1], role="target", facts=FACTS.get(LOSSES[loss].targets, ()))
    A, added = X, []
    for i, (rows, width, name) in enumerate(zip(widths[:-1], widths[1:], functions, strict=True), 1):
        W, b = matrix(f"W{i}", rows, width, role="parameter"), matrix(f"b{i}", 1, width, role="parameter")
        Z = define(f"Z{i}", A @ W + ones("n") @ b)
        f = ACTIVATIONS[name] if isinstance(name, str) else name
        last = i == len(functions)
        out = f(Z) + A if residual and rows == width and not last else f(Z)
        A = define("P" if last and f.name == "softmax" else f"A{i}", out)
        net.forward += [(Z, "dense", "forward"), (A, str(f), "forward")]
        if masks and not last:
            A = define(f"D{i}", A * matrix(f"M{i}", "n", width, role="random"))
            net.forward.append((A, "dropout", "forward"))
        net.parameters += [W, b]
        net.keep.append(Z.name)
        if penalty:
            lam, mu = scalar("lam"), scalar("mu")
            added += [scale(total(W * W), "1/2", (lam, 1)), scale(total(abs(W)), 1, (mu, 1))]
    w = matrix("w", "n", 1, role="weight", facts=("nonnegative",)) if weights else None
    if weights:
        net.forward.append((total_weight(w), "sum of weights", "forward"))
    value = LOSSES[loss](A, Y, weights=w, **options)
    for term in added:
        value = value + term
    net.forward.append((define("loss", value), loss, "loss"))
    return net


def derived(*args, **options):
    return network(*args, **options).derive()


def in_columns(derivation):
    return reissue(derivation, lambda name: True)


def is_meaningful(loss, activation, width):
    try:
        check_pair(LOSSES[loss], ACTIVATIONS[activation], width)
    except PairError:
        return False
    return True


LENGTHS = {"n": 7, "d": 4, "k": 5, "h": 3}


def random_values(*expressions, seed=0):
    """Numbers for the symbols of some expressions, of which their declared facts hold."""
    rng = np.random.default_rng(seed)
    values = dict(LENGTHS)
    for s in toposort(*expressions):
        if s.op is symbol_op and s.value.role != "size":
            A = rng.standard_normal([LENGTHS.get(size, size) for size in s.shape])
            if s.value.role == "hyper" or s.value.facts:
                A = np.exp(A)
            for fact, axis in (("rows_sum_to_one", 1), ("columns_sum_to_one", 0)):
                A = A / A.sum(axis=axis, keepdims=True) if fact in s.value.facts else A
            values[s.name] = A
    return values
