"""Random expressions over every operation and every record of the rule book, and arrays to run them on."""

import numpy as np
import scipy.special
from hypothesis import strategies as st

import chainrule as cr
import chainrule.losses  # enters the functions that losses add
from chainrule.evaluate import evaluate_all
from chainrule.expr import symbol_op, toposort
from chainrule.functions import FUNCTIONS

SIZES = {"n": 5, "d": 4, 3: 3, 1: 1}
SHAPES = [(r, c) for r in SIZES for c in SIZES]
SYMBOLS = {shape: [cr.matrix(f"{name}_{shape[0]}_{shape[1]}", *shape) for name in ("A", "t1")] for shape in SHAPES}
SCALARS = [cr.scalar("lr"), cr.scalar("beta1"), cr.matrix("n", 1, 1, role="size")]
NUMBERS = ["-1", "2", "-3", "1/2", "-3/4", "7/3", "1/12", 0.1, -0.25, 1.5, 1e-3]
EXPONENTS = [1, -1, 2, -2]


def is_finite_at(f, x):
    with np.errstate(all="ignore"):
        A = cr.matrix("A", 1, 2)
        return np.isfinite(cr.evaluate(f(A), {"A": [[x, x]]})).all()


def settings_of(f):
    """The function as it is, and with other parameters."""
    return [f, f(*(v + 0.75 for v in f.values))] if f.parameters else [f]


UNARY = [g for f in FUNCTIONS.values() if f.operands == 1 and not f.whole for g in settings_of(f)]
UNARY += [cr.power(-1), cr.power(3), cr.power(0.5), cr.power(-2)]
BINARY = [f for f in FUNCTIONS.values() if f.operands == 2 and not f.whole]
POSITIVE = {id(f) for f in UNARY if not all(is_finite_at(f, x) for x in (0.0, -1.0))}
DROPS = {f.name for f in FUNCTIONS.values() if f.operands == 1 and not f.whole and f.op.shape((7, 8)) != (7, 8)}


def applied(f, x):
    """f(x), away from its pole and from where a rounding error decides."""
    if id(f) in POSITIVE:
        return f(1 + x * x)
    return f(x + 0.1234) if f.kinks(*f.values) or f.jumps(*f.values) or "maximum" in f.name else f(x)


@st.composite
def expressions(draw, shape=None, depth=4):
    """An expression that no rule has tidied."""
    shape = shape or draw(st.sampled_from(SHAPES))
    rows, columns = shape
    inner = draw(st.sampled_from(list(SIZES)))

    def part(like=shape):
        return draw(expressions(like, depth - 1))

    def leaf():
        names = SYMBOLS[shape]
        number = cr.full(draw(st.sampled_from([1, 2, -3, 0.1])), shape)
        fills = [cr.ones(rows)] if columns == 1 else [cr.ones(columns).T] if rows == 1 else []
        return draw(st.sampled_from([*names, *names, number, *fills]))

    def scaled():
        powers = draw(st.lists(st.tuples(st.sampled_from(SCALARS), st.sampled_from(EXPONENTS)), max_size=2))
        return cr.expr.scale(part(), draw(st.sampled_from(NUMBERS)), *powers)

    def summed():
        if shape == (1, 1):
            return cr.sum(part((inner, draw(st.sampled_from(list(SIZES))))))
        if columns == 1:
            return part((rows, inner)) @ cr.ones(inner)
        return cr.ones(inner).T @ part((inner, columns)) if rows == 1 else repeated()

    def repeated():
        kind = draw(st.sampled_from(["row", "column", "number"]))
        if kind == "row":
            return cr.ones(rows) @ part((1, columns))
        return part((rows, 1)) @ cr.ones(columns).T if kind == "column" else part() * part((1, 1))

    def function():
        f = draw(st.sampled_from(UNARY))
        if f.name not in DROPS:
            return applied(f, part())
        if columns == 1 and f.axis == 1:
            return f(part((rows, inner)))
        return f(part((inner, columns))) if rows == 1 and f.axis == 0 else leaf()

    kinds = {
        "add": lambda: part() + part(),
        "subtract": lambda: part() - part(),
        "hadamard": lambda: part() * part(),
        "divide": lambda: part() * cr.reciprocal(1 + cr.abs(part())),
        "scale": scaled,
        "matmul": lambda: part((rows, inner)) @ part((inner, columns)),
        "transpose": lambda: part((columns, rows)).T,
        "sum": summed,
        "repeat": repeated,
        "function": function,
        "again": function,
        "binary": lambda: draw(st.sampled_from(BINARY))(part() + 0.1234, part()),
        "gate": lambda: part() * cr.step(part() + 0.1234),
        "twice": lambda: (lambda x: x * cr.tanh(x))(part()),
        "name": lambda: named(part()),
    }
    return kinds[draw(st.sampled_from(list(kinds)))]() if depth else leaf()


def named(expression):
    """The expression under a name of its own, which is the same for the same expression."""
    shapes = "_".join(map(str, expression.shape))
    return cr.define(f"Z_{shapes}_{abs(hash(repr(expression)))}", expression)


def random_values(expression, seed, dtype=float):
    rng = np.random.default_rng(seed)
    values = {"n": SIZES["n"], "d": SIZES["d"], "lr": 0.6, "beta1": 1.3}
    for s in toposort(expression):
        if s.op is symbol_op and s.value.role == "data":
            values[s.name] = rng.uniform(-1.5, 1.5, [SIZES[size] for size in s.shape]).astype(dtype)
    return values


def value_and_size(expression, values):
    """What the interpreter says, and the largest number on the way to it."""
    nodes = list(toposort(expression))
    with np.errstate(all="ignore"):
        arrays = evaluate_all(nodes, values)
    return arrays[-1], max(1.0, *(np.max(np.abs(a)) for a in arrays))


def run(text, values):
    """What a program of NumPy defines, given nothing but NumPy, SciPy's functions and values."""
    namespace = {"np": np, "scipy": scipy, **values}
    exec(compile(text, "<printed>", "exec"), namespace)
    return namespace
