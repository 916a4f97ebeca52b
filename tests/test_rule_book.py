"""Every record of the rule book, through the same tests, against its reference in references.py."""

import math
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import numpy as np
import pytest
from autograd import elementwise_grad, grad
from program.random_expressions import run
from references import REFERENCES

import chainrule as cr
import chainrule.activations  # enters every record
from chainrule.evaluate import evaluate
from chainrule.expr import OPS
from chainrule.functions import FUNCTIONS, Interval, elementwise, expand, rowwise, totals
from chainrule.primitives import softmax

PLACES = [800, 704, 400, 100, 37, 36.5, 30, 26, 20, 15, 10, 8, 5, 3.5, 2.5, 1.7, 1.3, 0.7, 0.4, 0.1, 1e-3, 1e-8]
POINTS = np.array([-x for x in PLACES] + [0.0] + PLACES[::-1], float)
BOOKS = ("chainrule.primitives", "chainrule.activations")  # the few functions of losses.py are tested with the losses
RECORDS = {name: f for name, f in FUNCTIONS.items() if f.axis != 0 and f.op.home in BOOKS}
X = cr.matrix("X", "n", "k")
A, B = cr.matrix("A", "n", "k"), cr.matrix("B", "n", "k")
EPS = np.finfo(float).eps

strictly = partial(np.errstate, over="raise", invalid="raise", divide="raise")  # underflow is honest
loosely = partial(np.errstate, all="ignore")


def reference_of(function):
    if function.name not in REFERENCES:
        pytest.fail(f"no reference for {function.name!r}: add a line for it to REFERENCES in tests/references.py")
    return REFERENCES[function.name]


def cases(*, operands=1, rowwise=False):
    """Every record of a kind, with each setting of its parameters."""
    found = [f for f in RECORDS.values() if f.operands == operands and (f.axis is not None) == rowwise]
    return [f(*s) for f in found for s in getattr(REFERENCES.get(f.name), "settings", [()])]


def of(functions):
    return pytest.mark.parametrize("function", functions, ids=str)


name = lambda check: check.__name__
ELEMENTWISE, BINARY, ROWWISE = cases(), cases(operands=2), cases(rowwise=True)
ALL = [*ELEMENTWISE, *BINARY, *ROWWISE]
DEFINED = [f for f in ALL if f.definition and not f.transparent]


def settings_of(function):
    """The parameters in force, for a reference: none where they are the defaults."""
    return () if function.values == tuple(function.parameters.values()) else function.values


def points(function, reference, *, smooth=False):
    """The points of the domain that have a value; where it is not smooth, or next to it, only on request."""
    parameters = settings_of(function)
    low, high = reference.domain(*parameters)
    inside = (low <= POINTS) & (high >= POINTS) & ~np.isin(POINTS, list(reference.edges))
    if smooth:
        inside &= ~np.isin(POINTS, reference.breaks(*parameters))
    return POINTS[inside]


def values_of(expression, x, **values):
    """An expression at points, in one row; sizes are given because a derivative may not depend on X."""
    return evaluate(expression, {"X": x[None], "n": 1, "k": len(x), **values})[0]


def derivatives(function):
    """The first and second derivative of an elementwise function, by the library."""
    (first,) = cr.gradient(cr.sum(function(X)), X)
    (second,) = cr.gradient(cr.sum(first), X)
    return first, second


def cauchy(f, radius, order, nodes=64):
    """The derivative at 0 by Cauchy's integral over a circle, and its rounding error."""
    turns = np.exp(2j * np.pi * np.arange(nodes) / nodes)
    values = np.stack([f(radius * turn) for turn in turns])
    weights = (turns**-order).reshape(-1, *(1,) * (values.ndim - 1))
    factor = math.factorial(order) / radius**order
    return (weights * values).mean(axis=0).real * factor, 8 * EPS * np.abs(values).max(axis=0) * factor


def assert_near(found, expected, *, at, rtol=0.0, atol=0.0):
    expected, at = np.broadcast_to(expected, found.shape), np.broadcast_to(at, found.shape)
    wrong = ~(np.abs(found - expected) <= rtol * np.abs(expected) + atol)
    assert not wrong.any(), f"at {at[wrong]}: {found[wrong]}, expected {expected[wrong]}"


# ---- functions of every entry


def check_values(function, reference):
    x = points(function, reference)

    with strictly():
        found = values_of(function(X), x)
        expected = reference.value(x + 0j, *settings_of(function)).real

    assert_near(found, expected, rtol=1e-12, at=x)


def check_derivatives(function, reference):
    x = points(function, reference, smooth=True)
    breaks = np.array(reference.breaks(*settings_of(function)), ndmin=1)
    room = np.abs(x[:, None] - breaks).min(axis=1, initial=math.inf)
    radius = np.minimum(room / 2.5, 0.25 / (1 + np.abs(x)) ** reference.steep)

    for order, derivative in enumerate(derivatives(function), start=1):
        with strictly():
            found = values_of(derivative, x)
        expected, error = cauchy(lambda step: reference.value(x + step, *settings_of(function)), radius, order)
        assert_near(found, expected, rtol=1e-11, atol=error, at=x)


def check_derivatives_against_autograd(function, reference):
    """To 12 digits in the tails too, where the absolute error of a difference hides everything."""
    x = points(function, reference, smooth=True)
    first, second = derivatives(function)
    f = lambda x: reference.value(x, *settings_of(function))

    with strictly():
        found, curvature = values_of(first, x), values_of(second, x)
    with loosely():
        assert_near(found, elementwise_grad(f)(x), rtol=1e-12, atol=reference.rounding, at=x)
        bend = elementwise_grad(elementwise_grad(f))(x)
        assert_near(curvature, bend, rtol=1e-11, atol=1e-15 * (1 + np.abs(x)), at=x)


def check_kinks(function, reference):
    """The subgradients are those that are promised; at a break that is no kink the derivative is continuous.

    At a kink the function is continuous, and where it is said to jump it is not.
    """
    slopes = reference.slopes(*settings_of(function))
    x = np.array(sorted(slopes))
    first, second = derivatives(function)
    low, _ = reference.domain(*settings_of(function))
    others = {*reference.breaks(*settings_of(function))} - {*slopes, *reference.edges}
    smooth = np.array([p for p in others if low < p])

    kinks, jumps = function.kinks(*function.values), function.jumps(*function.values)
    assert sorted((*kinks, *jumps)) == x.tolist()
    for places, jumping in ((kinks, False), (jumps, True)):
        below, above = (reference.value(np.array(places) + side, *settings_of(function)) for side in (-1e-9, 1e-9))
        assert (np.abs(above - below) > 1e-6).all() if jumping else (np.abs(above - below) < 1e-6).all()
    with strictly():
        assert_near(values_of(first, x), np.array([slopes[p] for p in x]), rtol=1e-15, at=x)
        assert np.isfinite(values_of(second, x)).all()
        for side in (-1e-9, 1e-9):
            assert_near(values_of(first, smooth), values_of(first, smooth + side), rtol=1e-8, at=smooth)


@of(ELEMENTWISE)
@pytest.mark.filterwarnings("ignore:Output seems independent:UserWarning")  # of autograd, where a derivative is 0
@pytest.mark.parametrize(
    "check",
    [check_values, check_derivatives, check_derivatives_against_autograd, check_kinks],
    ids=name,
)
def test_a_function_of_every_entry_agrees_with_its_reference(function, check):
    check(function, reference_of(function))


@of(ELEMENTWISE)
def test_what_is_not_finite_is_so_by_definition(function):
    """At the edges of a domain NumPy warns, and says infinity or NaN."""
    edges = reference_of(function).edges
    x = np.array(list(edges))

    with loosely():
        found = values_of(function(X), x)

    np.testing.assert_array_equal(found, list(edges.values()))


# ---- functions of two matrices and of rows

ROWS = {
    "ordinary": np.random.default_rng(0).normal(size=(3, 4)),
    "wide": np.random.default_rng(1).normal(size=(5, 3)) * 30,
    "saturated": np.array([[800.0, -800.0, 0.0], [-800.0, -801.0, -800.5], [800.0, 799.0, 1e-3], [-30.0, 0.0, 30.0]]),
    "one row": np.array([[0.5, -2.0]]),
    "one column": np.array([[3.0], [-800.0]]),
    "no rows": np.zeros((0, 3)),
}


def values_at(expression, *operands, **values):
    named = dict(zip("AB", operands, strict=False)) | values
    return evaluate(expression, named | dict(zip("nk", operands[0].shape, strict=True)))


def draws(function, rows):
    """The operands, a direction in which they move, and weights of the result."""
    rng = np.random.default_rng(2)
    operands = [rows, *(rows[::-1, ::-1] + rng.normal(size=rows.shape) for _ in range(function.operands - 1))]
    directions = [rng.normal(size=rows.shape) for _ in operands]
    shape = function(*(A, B)[: function.operands]).shape
    return operands, directions, rng.normal(size=(rows.shape[0], 1 if shape[1] == 1 else rows.shape[1]))


def check_values_of_rows(function, reference, rows):
    operands, _, _ = draws(function, rows)

    with strictly():
        found = values_at(function(*(A, B)[: function.operands]), *operands)
    expected = reference.value(*(x + 0j for x in operands)).real

    rounding = 4 * EPS * np.abs(operands[0]).max(initial=1)  # of the scores: log_softmax takes a difference of two
    assert_near(found, expected, rtol=1e-13, atol=rounding, at=expected)


def check_derivatives_of_rows(function, reference, rows):
    """Along a direction V of all operands: the sum of C o f, with weights C, is a function of one number."""
    operands, directions, weights = draws(function, rows)
    variables, moves = (A, B)[: function.operands], [cr.matrix(f"V{m}", "n", "k") for m in "AB"[: function.operands]]
    Y = function(*variables)
    slope = cr.sum(Y * cr.matrix("C", *Y.shape))
    given = {"C": weights} | {V.name: v for V, v in zip(moves, directions, strict=True)}
    along = lambda t: np.sum(weights * reference.value(*(x + t * v for x, v in zip(operands, directions, strict=True))))

    for order in (1, 2):
        parts = cr.gradient(slope, *variables)
        slope = sum(cr.sum(dA * V) for dA, V in zip(parts[1:], moves[1:], strict=True)) + cr.sum(parts[0] * moves[0])
        with strictly():
            found = values_at(slope, *operands, **given)
        expected, error = cauchy(along, 0.02, order)
        assert_near(found, expected, rtol=1e-10, atol=error + 1e-14, at=order)


@pytest.mark.parametrize("rows", ROWS)
@of([*BINARY, *ROWWISE])
@pytest.mark.parametrize("check", [check_values_of_rows, check_derivatives_of_rows], ids=name)
def test_a_function_of_rows_agrees_with_its_reference(function, rows, check):
    check(function, reference_of(function), ROWS[rows])


@pytest.mark.filterwarnings("ignore:Output seems independent:UserWarning")
@of(ROWWISE)
def test_derivatives_of_rows_agree_with_autograd_entry_by_entry(function):
    reference, rows = reference_of(function), ROWS["wide"]
    _, _, weights = draws(function, rows)
    (dA,) = cr.gradient(cr.sum(function(A) * cr.matrix("C", *function(A).shape)), A)

    found = values_at(dA, rows, C=weights)
    expected = grad(lambda x: np.sum(weights * reference.value(x)))(rows)

    assert_near(found, expected, rtol=1e-10, atol=1e-15, at=rows)


TIES = {  # the derivatives of the sum of all entries, where operands are equal
    "maximum": ([[0.0]], [[1.0]]),
    "minimum": ([[1.0]], [[0.0]]),
}


@of(BINARY)
def test_a_tie_goes_to_the_operand_that_the_summary_names(function):
    dA, dB = cr.gradient(cr.sum(function(A, B)), A, B)
    tie = np.array([[2.0]])

    found = values_at(dA, tie, tie).tolist(), values_at(dB, tie, tie).tolist()

    assert found == TIES[function.name]
    assert f"to the {'second' if found[1] == [[1.0]] else 'first'} operand" in function.summary


def test_of_equal_largest_entries_the_first_gets_the_derivative():
    (dA,) = cr.gradient(cr.sum(cr.row_maximum(A)), A)

    assert values_at(dA, np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])).tolist() == [[0, 1, 0], [1, 0, 0]]


@of(ROWWISE)
def test_the_twin_goes_down_the_columns(function):
    twin, rows = function.twin, ROWS["wide"]
    weights = cr.matrix("C", *function(A).shape)
    down = cr.sum(twin(A.T) * weights.T)

    assert twin.twin.op is function.op
    assert twin(A.T).shape == function(A).shape[::-1]
    np.testing.assert_allclose(values_at(twin(A.T), rows), values_at(function(A), rows).T, rtol=1e-14)
    _, _, C = draws(function, rows)
    np.testing.assert_allclose(
        values_at(cr.gradient(down, A)[0], rows, C=C),
        values_at(cr.gradient(cr.sum(function(A) * weights), A)[0], rows, C=C),
        rtol=1e-12,
        atol=1e-16,
    )


@of([*ELEMENTWISE, *BINARY])
def test_a_function_of_every_entry_is_its_own_twin(function):
    assert function.twin is function


# ---- what a record says about itself


def operand_values(function):
    """Ordinary numbers in the domain, a different one in every entry."""
    x = np.linspace(-3.05, 2.9, 24).reshape(6, 4)
    low, _ = reference_of(function).domain(*settings_of(function))
    return [np.abs(x) if low > -math.inf else x, x[::-1] ** 2][: function.operands]


@of(ALL)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.longdouble])
def test_the_numpy_template_is_the_kernel_and_keeps_the_type(function, dtype):
    for f in {function, function.twin}:
        if f.kernel is None or (f.op.name.startswith("erf") and dtype is np.longdouble):
            continue  # there is nothing to compare with; scipy.special has no erf of longdouble
        operands = [x.astype(dtype) for x in operand_values(function)]
        check_template(f, operands)


def check_template(function, operands):
    matrices = [cr.matrix(name, *x.shape) for name, x in zip("xy", operands, strict=False)]

    found = run(cr.source({"found": function(*matrices)}), dict(zip("xy", operands, strict=False)))["found"]
    kernel = function.kernel(*operands, *function.values)

    assert found.dtype == kernel.dtype == operands[0].dtype
    np.testing.assert_allclose(found, kernel, rtol=8 * np.finfo(found.dtype).eps)
    if function.boolean:
        mask = eval(function.boolean.format("x"), {"np": np, "x": operands[0]})
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, found)


@of(ELEMENTWISE)
def test_the_numpy_template_is_the_kernel_where_numbers_are_large(function):
    if function.kernel is not None:
        with strictly():
            check_template(function, [points(function, reference_of(function))[None, :]])


@of(DEFINED)
def test_a_closed_derivative_is_that_of_the_definition(function):
    x = operand_values(function)[0]
    loss = lambda Y: cr.sum(Y * cr.matrix("C", *Y.shape))
    C = np.random.default_rng(3).normal(size=(6, 1 if function(A).shape[1] == 1 else 4))

    closed, defined = (cr.gradient(loss(Y), A)[0] for Y in (function(A), expand(function(A))))

    np.testing.assert_allclose(values_at(closed, x, C=C), values_at(defined, x, C=C), rtol=1e-12, atol=1e-14)


def check_range(function, reference):
    operands = [np.random.default_rng(4).uniform(-5, 5, size=(300, 3)) for _ in range(function.operands)]
    if reference.domain(*settings_of(function))[0] > -math.inf:
        operands = [np.abs(x) for x in operands]

    y = values_at(function(*(A, B)[: function.operands]), *operands)

    low, high = function.range.low, function.range.high
    assert ((low <= y) & (y <= high)).all() if function.range.closed else ((low < y) & (y < high)).all()


@of(ALL)
def test_values_lie_in_the_range(function):
    check_range(function, reference_of(function))


@pytest.mark.parametrize("rows", ["ordinary", "wide", "saturated", "one column", "no rows"])
@of([twin for f in ROWWISE for twin in (f, f.twin)])
def test_facts_hold(function, rows):
    check_facts(function, ROWS[rows] if function.axis else ROWS[rows].T)


def check_facts(function, rows):
    y = values_at(function(A), rows)
    holds = {
        "rows_sum_to_one": lambda: np.allclose(y.sum(axis=function.axis), 1, rtol=1e-14),
        "nonnegative": lambda: (y >= 0).all(),
    }

    assert all(holds[fact]() for fact in function.facts)


@of(ALL)
def test_templates_of_text_and_latex_mention_everything_and_are_balanced(function):
    operands = ["OPERAND", "OTHER"][: function.operands]
    parameters = {f"p{i}": "PARAMETER" for i in range(len(function.values))}

    for written in (function.text.format(*operands, **parameters), function.latex.format(*operands, **parameters)):
        assert all(operand in written for operand in operands)
        assert [written.count(a) for a in "([{"] == [written.count(a) for a in ")]}"]
    assert not function.summary.endswith(".")


# ---- the book as a whole


@pytest.fixture
def book():
    """The rule book, which is afterwards as it was."""
    with patch.dict(OPS), patch.dict(FUNCTIONS):
        yield FUNCTIONS


def test_a_record_without_a_reference_is_told_where_to_add_one(book):
    mine = elementwise("mine", lambda x: x * x)

    with pytest.raises(pytest.fail.Exception, match="no reference for 'mine': add a line for it to REFERENCES in"):
        reference_of(mine)


def test_every_reference_has_a_record():
    assert REFERENCES.keys() == RECORDS.keys()


# ---- planted mistakes: the checks above must find them

TANH = {"kernel": np.tanh, "numpy": "np.tanh({0})", "d": lambda x, y: 1 - y * y}
PLANTED = {
    "a derivative 0.1 % too large": (check_derivatives, {"d": lambda x, y: 1.001 * (1 - y * y)}),
    "the same, in the tails": (check_derivatives_against_autograd, {"d": lambda x, y: 1.001 * (1 - y * y)}),
    "a derivative of the input": (check_derivatives, {"d": lambda x, y: 1 - x * x}),
    "a value that overflows": (check_values, {"kernel": lambda x: np.sinh(x) / np.cosh(x)}),
    "a value that loses digits": (check_values, {"kernel": lambda x: 1 - 2 / (np.exp(2 * np.minimum(x, 300)) + 1)}),
    "a kink that is not there": (check_kinks, {"kinks": lambda: (0.0,)}),
    "a jump that is not there": (check_kinks, {"jumps": lambda: (0.0,)}),
    "a range that is too narrow": (check_range, {"range": Interval(0, 1)}),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_planted_mistake_is_found(book, mistake):
    check, wrong = PLANTED[mistake]
    right = elementwise("right", **TANH)
    planted = elementwise("planted", **TANH | wrong)

    check(right, REFERENCES["tanh"])
    with pytest.raises((AssertionError, FloatingPointError)):
        check(planted, REFERENCES["tanh"])


@pytest.mark.parametrize(("name", "said"), [("step", {"kinks": lambda: (0.0,)}), ("relu", {"jumps": lambda: (0.0,)})])
def test_a_jump_is_no_kink_and_a_kink_no_jump(book, name, said):
    record, none = RECORDS[name], lambda: ()
    wrong = replace(record, **{"kinks": none, "jumps": none} | said)

    check_kinks(record, REFERENCES[name])
    with pytest.raises(AssertionError):
        check_kinks(wrong, REFERENCES[name])


def test_a_planted_subgradient_is_found(book):
    planted = elementwise("planted", cr.relu.definition, d=lambda x, y: 1 - cr.step(-x), kinks=lambda: (0.0,))

    check_derivatives(planted, REFERENCES["relu"])
    with pytest.raises(AssertionError, match=r"at \[0\.\]"):
        check_kinks(planted, REFERENCES["relu"])


@pytest.mark.parametrize("template", ["np.tan({0})", "np.tanh({0}) + np.zeros(1)", "np.tanh({0}).astype(float)"])
def test_a_planted_template_is_found(book, template):
    planted = elementwise("planted", **TANH | {"numpy": template})

    with pytest.raises(AssertionError):
        check_template(planted, [np.ones((2, 2), np.float32)])


@pytest.mark.parametrize("factor", [0.0, 0.999])
def test_a_planted_derivative_of_rows_is_found(book, factor):
    planted = rowwise(
        "planted",
        definition=softmax.definition.func,
        vjp=lambda G, P, axis: P * (G - factor * totals(G * P, axis)),
    )

    check_values_of_rows(planted, REFERENCES["softmax"], ROWS["ordinary"])
    with pytest.raises(AssertionError):
        check_derivatives_of_rows(planted, REFERENCES["softmax"], ROWS["ordinary"])


@pytest.mark.parametrize("fact", ["rows_sum_to_one", "nonnegative"])
def test_a_planted_fact_is_found(book, fact):
    planted = rowwise("planted", definition=lambda x, axis: x - 2, vjp=lambda G, Y, axis: G, facts=(fact,))

    with pytest.raises(AssertionError):
        check_facts(planted, ROWS["ordinary"])
