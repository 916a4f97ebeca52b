"""Random expressions for Hypothesis: of every operation, function with its twin and parameters, and declaration."""

import contextlib
from fractions import Fraction

from hypothesis import strategies as st

import chainrule as cr
import chainrule.activations  # enters every record
import chainrule.errors
import chainrule.matrix_functions
from chainrule import shapes
from chainrule.expr import FACTS, ROLES, scale
from chainrule.functions import FUNCTIONS

SIZES = ("n", "d", 2, 1)
NAMES = [f"{letter}{i}" for letter in ("X", "W", "σ") for i in range(4)]
NUMBERS = st.floats(allow_nan=True, allow_infinity=True) | st.integers(-5, 5)
COEFFICIENTS = st.fractions(-10, 10) | st.floats(-1e100, 1e100) | st.integers(-5, 5)
PARAMETERS = st.floats(-3, 3)

SYMBOLS = st.builds(
    cr.matrix,
    st.sampled_from(NAMES),
    st.sampled_from(SIZES),
    st.sampled_from(SIZES),
    role=st.sampled_from([role for role in ROLES if role != "size"]),
    facts=st.frozensets(st.sampled_from(FACTS), max_size=2),
    distribution=st.none() | st.tuples(st.just("inverted_bernoulli"), st.floats(0.1, 1)),
)
SCALARS = st.sampled_from([cr.scalar("lr"), cr.scalar("beta"), cr.matrix("n", 1, 1, role="size")])


@st.composite
def expressions(draw):
    """Grow a pool of expressions step by step; the last one is drawn."""
    pool = draw(st.lists(SYMBOLS, min_size=1, max_size=4))
    for _ in range(draw(st.integers(0, 12))):
        pool.append(draw(st.sampled_from(STEPS))(draw, pool))
    return pool[-1]


def operands_of(function, size="n"):
    """Matrices that a function takes: of any shape where it is a function of entries or rows."""
    square, column = (size, size), (size, 1)
    tall, large = (shapes.times(size, size), 1), (shapes.times(size, 2), shapes.times(size, 2))
    for found in ([(size, "d")] * function.operands, [square], [column], [tall, square], [large, (2, 2)]):
        with contextlib.suppress(cr.errors.ShapeError, TypeError):
            function.op.shape(*found)
            return [cr.matrix(name, *shape) for name, shape in zip("AB", found, strict=False)]
    raise AssertionError(f"no operands for {function.name}")


def like(draw, pool, shape):
    """Something of this shape, from the pool where there is such a thing."""
    return draw(st.sampled_from([e for e in pool if e.shape == shape] or [cr.full(draw(NUMBERS), shape)]))


def pick(draw, pool):
    return draw(st.sampled_from(pool))


def add(draw, pool):
    a = pick(draw, pool)
    return a + like(draw, pool, a.shape)


def subtract(draw, pool):
    a = pick(draw, pool)
    return a - like(draw, pool, a.shape)


def multiply_entries(draw, pool):
    a = pick(draw, pool)
    return a * like(draw, pool, a.shape)


def multiply(draw, pool):
    a = pick(draw, pool)
    fitting = [e for e in pool if e.shape[0] == a.shape[1]] or [a.T, cr.ones(a.shape[1])]
    return a @ draw(st.sampled_from(fitting))


def transpose(draw, pool):
    return pick(draw, pool).T


def add_number(draw, pool):
    return pick(draw, pool) + draw(NUMBERS)


def multiply_number(draw, pool):
    powers = draw(st.lists(st.tuples(SCALARS, st.integers(-3, 3)), max_size=3))
    return scale(pick(draw, pool), draw(COEFFICIENTS.map(Fraction)), *powers)


def name(draw, pool):
    return cr.define(draw(st.sampled_from(["Z1", "A1", "P"])), pick(draw, pool))


def total(draw, pool):
    return cr.sum(pick(draw, pool))


def apply_function(draw, pool):
    function = FUNCTIONS[draw(st.sampled_from(sorted(FUNCTIONS)))]
    a = pick(draw, pool)
    if function.whole:
        return function(*operands_of(function))
    others = [like(draw, pool, a.shape) for _ in range(function.operands - 1)]
    parameters = st.tuples(*(PARAMETERS for _ in function.parameters))
    return function(a, *others, *draw(parameters.filter(lambda values: function.check(*values))))


STEPS = [
    add,
    subtract,
    multiply_entries,
    multiply,
    transpose,
    add_number,
    multiply_number,
    name,
    total,
    apply_function,
]
