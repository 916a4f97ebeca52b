"""The language: equal expressions are one object, whatever is done with them; shapes are checked as they are made."""

import copy
import gc
import math
import pickle
import subprocess
import sys
import threading
from collections import Counter
from fractions import Fraction

import joblib
import numpy as np
import pytest
from expressions import COEFFICIENTS, SCALARS, expressions
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr
from chainrule import expr
from chainrule.errors import ShapeError, UnknownNameError
from chainrule.evaluate import evaluate
from chainrule.expr import (
    Op,
    apply,
    full_op,
    hadamard_op,
    is_atom,
    is_coefficient,
    matmul_op,
    rebuild,
    register,
    scale,
    scale_op,
    size,
    toposort,
    toposort_to_names,
    turned,
)

X, W1, W2 = cr.matrix("X", "n", "d"), cr.matrix("W1", "d", "h"), cr.matrix("W2", "h", "k")
lr, beta, n = cr.scalar("lr"), cr.scalar("beta"), size("n")
DEPTH = 50_000


def network(x=X):
    """A graph with every operation of the core, shared nodes, and functions with parameters."""
    Z = cr.define("Z1", x @ W1 + cr.ones("n") @ cr.matrix("b1", 1, "h"))
    A = cr.leaky_relu(Z, 0.1) * cr.tanh(Z) + 1
    return scale(cr.sum(cr.softmax(A @ W2).T), "1/3", (n, -1), (lr, 2))


# ---- interning


def test_equal_expressions_are_one_object():
    assert network() is network()
    assert cr.matrix("X", "n", "d") is X
    assert cr.matrix("X", "n", "d", facts=["nonnegative", "symmetric"]) is cr.matrix(
        "X", "n", "d", facts=("symmetric", "nonnegative")
    )


@pytest.mark.parametrize(
    "other",
    [
        cr.matrix("Y", "n", "d"),
        cr.matrix("X", "n", 3),
        cr.matrix("X", "n", "d", role="weight"),
        cr.matrix("X", "n", "d", facts=["nonnegative"]),
        cr.matrix("X", "n", "d", distribution=("inverted_bernoulli", 0.9)),
        cr.define("X", X),
    ],
    ids=repr,
)
def test_what_differs_in_anything_is_another_object(other):
    assert other is not X
    assert other != X


@given(expressions())
def test_an_expression_rebuilt_on_its_own_operands_is_itself(expression):
    assert all(rebuild(node, node.args) is node for node in toposort(expression))


def test_an_expression_is_rebuilt_on_other_operands():
    other = cr.matrix("X", "n", "d", role="target")

    assert rebuild(X @ W1, (other, W1)) is other @ W1
    assert rebuild(scale(X, "1/3", (lr, 2)), (other, beta)) is scale(other, "1/3", (beta, 2))
    assert rebuild(cr.leaky_relu(X, 0.1), (other,)) is cr.leaky_relu(other, 0.1)
    assert rebuild(cr.define("Z", X), (other,)) is cr.define("Z", other)


def test_zeros_of_two_signs_are_two_constants_and_nan_is_one():
    plus, minus, nan = (cr.full(value, (2, 2)) for value in (0.0, -0.0, math.nan))

    assert plus is not minus
    assert math.copysign(1, minus.value) == -1
    assert nan is cr.full(float("nan"), (2, 2))
    assert nan is pickle.loads(pickle.dumps(nan))
    assert minus is pickle.loads(pickle.dumps(minus))


def test_an_expression_that_nobody_holds_leaves_the_table():
    gc.collect()
    before = len(expr._interned)

    kept = network(cr.matrix("passing", "n", "d"))
    during = len(expr._interned)
    del kept
    gc.collect()

    assert during > before
    assert len(expr._interned) == before


def test_many_threads_that_build_one_graph_get_one_object():
    barrier, found = threading.Barrier(16), []

    def build():
        barrier.wait()
        found.extend(network(cr.matrix(f"T{i}", "n", "d")) for i in range(50))

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=build) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)

    assert sorted(Counter(map(id, found)).values()) == [16] * 50


# ---- copies and other processes


@given(expressions())
def test_copies_are_the_same_object(expression):
    assert copy.copy(expression) is expression
    assert copy.deepcopy([expression])[0] is expression
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(expression, protocol)) is expression


def test_an_operation_is_pickled_by_name():
    assert pickle.loads(pickle.dumps(matmul_op)) is matmul_op
    assert repr(matmul_op) == "<operation matmul>"


@pytest.mark.parametrize("make", [cr.relu, cr.softmax, cr.softmax.twin, cr.row_maximum, cr.maximum, cr.erf])
def test_a_fresh_process_finds_the_records_that_an_expression_needs(make, tmp_path):
    made = make(X, X) if make is cr.maximum else make(X)
    file = tmp_path / "expression.pickle"
    file.write_bytes(pickle.dumps(made))
    load = f"import pickle; print(repr(pickle.load(open({str(file)!r}, 'rb'))))"

    done = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == repr(made)


def test_an_expression_travels_to_worker_processes_and_back():
    made = network()

    returned = joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(cr.define)(f"R{i}", made) for i in range(4))

    assert all(found is cr.define(f"R{i}", made) for i, found in enumerate(returned))


def test_an_operation_that_the_other_side_lacks_is_named():
    lost = Op("lost", lambda a: a, lambda G, Y, i: G, home="chainrule.expr")
    data = pickle.dumps(apply(lost, X))

    with pytest.raises(UnknownNameError, match=r"^chainrule.expr has no operation 'lost': the module that records it"):
        pickle.loads(data)


# ---- depth


@pytest.fixture(scope="module")
def chain():
    """A graph far deeper than the recursion limit, which uses X everywhere."""
    deep = X
    for i in range(DEPTH // 2):
        deep = cr.tanh(deep) + (X if i % 2 else 1)
    return deep


def test_a_deep_chain_is_walked_operands_first(chain):
    order = {node: i for i, node in enumerate(toposort(chain))}

    assert len(order) == DEPTH + 2
    assert all(order[a] < i for node, i in order.items() for a in node.args)


def test_a_deep_chain_is_pickled_and_copied(chain):
    assert pickle.loads(pickle.dumps(chain)) is chain
    assert copy.deepcopy(chain) is chain


def test_a_deep_chain_is_evaluated(chain):
    x = np.array([[0.5, -2.0]])
    expected = x
    for i in range(DEPTH // 2):
        expected = np.tanh(expected) + (x if i % 2 else 1)

    np.testing.assert_array_equal(evaluate(chain, {"X": x}), expected)


def test_a_deep_chain_has_a_short_form(chain):
    assert repr(chain) == "<add expression (n x d)>"


def test_a_deep_chain_is_freed_without_recursion():
    gc.collect()
    before = len(expr._interned)
    deep = cr.matrix("passing", 1, 1)
    for _ in range(2 * DEPTH):
        deep = cr.sin(deep)

    del deep
    gc.collect()

    assert len(expr._interned) == before


def test_walks_stop_at_names_where_they_should():
    inner = cr.define("Z", X @ W1)
    outer = cr.tanh(inner)

    assert list(toposort(outer)) == [X, W1, X @ W1, inner, outer]
    assert list(toposort_to_names(outer)) == [inner, outer]
    assert list(toposort(inner, outer)) == list(toposort(outer))


# ---- numbers in front


def exact(number):
    return Fraction(repr(number) if isinstance(number, float) else number)


@given(st.lists(st.tuples(COEFFICIENTS, st.lists(st.tuples(SCALARS, st.integers(-3, 3)), max_size=3)), max_size=5))
def test_coefficients_combine_into_one(factors):
    scaled, number, exponents = X, Fraction(1), Counter()
    for k, powers in factors:
        scaled = scale(scaled, k, *powers)
        number *= exact(k)
        for base, exponent in powers:
            exponents[base] += exponent
    exponents = {base: e for base, e in exponents.items() if e}

    if not number:
        assert scaled is cr.full(0, X.shape)
    elif number == 1 and not exponents:
        assert scaled is X
    else:
        assert scaled.op is scale_op
        assert scaled.args[0] is X
        assert scaled.value[0] == number
        assert dict(zip(scaled.args[1:], scaled.value[1], strict=True)) == exponents


@given(COEFFICIENTS, COEFFICIENTS.filter(bool))
def test_to_divide_is_to_multiply_by_the_inverse(a, b):
    assert (X * a) / b is scale(X, exact(a) / exact(b))
    assert a * X is X * a is scale(X, a)


def test_the_order_of_scalars_does_not_matter():
    assert lr * (beta * X) is beta * (lr * X) is scale(X, 1, (beta, 1), (lr, 1))
    assert X / lr * lr is X
    assert (lr * X).T.op is expr.transpose_op


def test_decimal_numbers_are_what_is_written():
    assert (0.1 * X).value == (Fraction(1, 10), ())
    assert 0.1 * X * 10 is X
    assert -1 * (-X) is X
    assert X - X is X + (-X)


def test_constants_take_their_coefficient_in():
    assert 3 * cr.full(0.1, (2, 2)) is cr.full(0.3, (2, 2))
    assert 0 * X is lr * cr.full(0, X.shape) is cr.full(0, X.shape)
    assert (2 * cr.full(math.inf, (2, 2))).op is scale_op  # there is no such fraction
    assert (lr * cr.full(2, (2, 2))).op is scale_op


# ---- 1 x 1 matrices


def test_a_declared_scalar_times_a_matrix_is_a_coefficient():
    assert lr * X is X * lr is scale(X, 1, (lr, 1))
    assert X / (1 - beta) is scale(X, 1, (1 - beta, -1))
    assert lr * beta is scale(beta, 1, (lr, 1))


@pytest.mark.parametrize("role", ["data", "weight", "parameter"])
def test_a_1_x_1_matrix_fills_the_other_operand(role):
    s = cr.matrix("s", 1, 1, role=role)
    filled = cr.ones("n") @ s @ cr.ones("d").T

    assert not is_coefficient(s)
    assert (X + s, s + X, X * s, X - s) == (X + filled, filled + X, X * filled, X - filled)
    assert s * s is apply(hadamard_op, s, s)


def test_a_scalar_that_fills_is_differentiated():
    s = cr.matrix("s", 1, 1, role="parameter")
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])

    (ds,) = cr.gradient(cr.sum(X * s * s + s), s)

    assert ds.shape == (1, 1)
    np.testing.assert_allclose(evaluate(ds, {"X": x, "s": 3}), [[2 * 3 * x.sum() + x.size]], rtol=1e-15)


@pytest.mark.parametrize("power", [2, 1, -1, -3])
def test_a_coefficient_is_differentiated(power):
    loss = scale(cr.sum(X), "3/2", (lr, power), (beta, 1))

    (dlr,) = cr.gradient(loss, lr)

    found = evaluate(dlr, {"X": [[2.0]], "lr": 0.7, "beta": 5.0})
    np.testing.assert_allclose(found, [[1.5 * 2 * 5 * power * 0.7 ** (power - 1)]], rtol=1e-14)


def test_a_declared_scalar_is_added_as_a_filled_matrix():
    assert (X + lr) is (X + lr * cr.full(1, X.shape))
    assert (lr + X) is (lr * cr.full(1, X.shape) + X)


def test_only_expressions_of_declared_scalars_are_coefficients():
    assert is_coefficient(lr)
    assert is_coefficient(1 - beta)
    assert is_coefficient(n)
    assert not is_coefficient(cr.full(2, (1, 1)))
    assert not is_coefficient(cr.sum(X))
    assert not is_coefficient(lr * X)


# ---- declarations


def test_facts_that_follow_are_added():
    assert cr.matrix("Y", "n", "k", facts="one_hot").value.facts == ("nonnegative", "one_hot", "rows_sum_to_one")
    turned_facts = ("columns_sum_to_one", "nonnegative", "one_hot")
    assert cr.matrix("Y", "k", "n", facts=["one_hot", "columns_sum_to_one"]).value.facts == turned_facts


def test_a_turned_symbol_is_declared_as_its_transpose():
    Y = cr.matrix("Y", "n", "k", role="target", facts=["one_hot"])

    assert turned(Y) is cr.matrix("Y", "k", "n", role="target", facts=["one_hot", "columns_sum_to_one"])
    assert turned(turned(Y)) is Y


def test_names_and_sizes():
    assert (X.name, cr.define("Z", X).name, (X @ W1).name) == ("X", "Z", None)
    assert is_atom(X)
    assert is_atom(cr.define("Z", X))
    assert not is_atom(X.T)
    assert size(3) == 3
    assert size("n").value.role == "size"
    assert X.T.T is X
    assert X.T.shape == ("d", "n")
    assert cr.sum(X).shape == (1, 1)


# ---- what is refused


def test_a_shape_error_names_the_operands():
    with pytest.raises(ShapeError, match=r"^cannot multiply \(n x d\) by \(h x k\): d columns meet h rows, in X W2$"):
        X @ W2
    with pytest.raises(ShapeError, match=r"^cannot multiply \(h x d\) by \(h x k\): d columns meet h rows, in W1' W2$"):
        W1.T @ W2
    with pytest.raises(ShapeError, match=r"^entry by entry, \(n x d\) does not fit \(d x h\), in X \+ W1$"):
        X + W1
    with pytest.raises(ShapeError, match=r"^entry by entry, \(n x d\) does not fit \(d x h\), in X ∘ W1$"):
        X * W1
    with pytest.raises(ShapeError, match=r"^entry by entry, \(n x d\) does not fit \(d x h\), in X, W1$"):
        cr.maximum(X, W1)
    with pytest.raises(ShapeError, match=r"columns meet h rows, in Z W2$"):
        cr.define("Z", X) @ W2


def test_a_shape_error_without_names_says_only_the_shapes():
    with pytest.raises(ShapeError, match=r"^cannot multiply \(n x d\) by \(h x k\): d columns meet h rows$"):
        cr.tanh(X) @ W2


def test_a_bias_row_is_told_how_it_fits():
    with pytest.raises(ShapeError, match=r"; ones\(n\) @ b makes a row b fit every row, in X \+ b$"):
        X + cr.matrix("b", 1, "d")


ARRAY = np.ones((2, 2))
REFUSED = [
    (lambda: X + ARRAY, TypeError, "expressions go with expressions and numbers, got ndarray: declare a matrix"),
    (lambda: ARRAY + X, TypeError, "expressions go with expressions and numbers, got ndarray: declare a matrix"),
    (lambda: ARRAY - X, TypeError, "expressions go with expressions and numbers, got ndarray: declare a matrix"),
    (lambda: X * ARRAY, TypeError, "expressions go with expressions and numbers, got ndarray: declare a matrix"),
    (lambda: ARRAY * X, TypeError, "expressions go with expressions and numbers, got ndarray: declare a matrix"),
    (lambda: X / ARRAY, TypeError, "expressions go with expressions and numbers, got ndarray: declare a matrix"),
    (lambda: X + None, TypeError, "expressions go with expressions and numbers, got NoneType: declare a matrix"),
    (lambda: X @ ARRAY, TypeError, "a product is of two expressions, got ndarray: declare a matrix"),
    (lambda: X @ 3, TypeError, "a product is of two expressions, got int: declare a matrix"),
    (lambda: X * math.nan, ValueError, "a coefficient is a finite number, got nan"),
    (lambda: X / math.inf, ValueError, "a coefficient is a finite number, got inf"),
    (lambda: X / X, TypeError, "a matrix divides entry by entry through reciprocal(): write A * reciprocal(B)"),
    (lambda: scale(X, 1, (X, 1)), ShapeError, "a coefficient is made of 1 x 1 matrices, got (n x d)"),
    (lambda: cr.matrix("X 1", 1, 1), ValueError, "a matrix needs a name that is a Python identifier, got 'X 1'"),
    (lambda: cr.matrix(3, 1, 1), ValueError, "a matrix needs a name that is a Python identifier, got 3"),
    (lambda: cr.scalar("lambda"), ValueError, "a matrix needs a name that is a Python identifier, got 'lambda'"),
    (lambda: cr.define("Z'", X), ValueError, """an expression needs a name that is a Python identifier, got "Z'\""""),
    (lambda: cr.matrix("X", "n d", 1), ShapeError, "a size is a name or a whole number of at least 1, got 'n d'"),
    (lambda: cr.matrix("X", 0, 2), ShapeError, "a size is a name or a whole number of at least 1, got 0"),
    (lambda: cr.ones(-1), ShapeError, "a size is a name or a whole number of at least 1, got -1"),
    (lambda: cr.full(1, (1.5, 2)), ShapeError, "a size is a name or a whole number of at least 1, got 1.5"),
    (
        lambda: cr.matrix("X", 1, 1, role="dta"),
        UnknownNameError,
        "unknown role 'dta' of X; did you mean 'data'?",
    ),
    (
        lambda: cr.matrix("X", 1, 1, facts=["onehot"]),
        UnknownNameError,
        "unknown fact 'onehot' of X; did you mean 'one_hot'?",
    ),
    (
        lambda: register(full_op),
        ValueError,
        "there is already an operation named 'full', from chainrule.expr",
    ),
]


@pytest.mark.parametrize(("make", "error", "message"), REFUSED, ids=[f"{i}" for i in range(len(REFUSED))])
def test_a_mistake_is_one_clear_sentence(make, error, message):
    with pytest.raises(error) as caught:
        make()

    assert str(caught.value) == message
    assert type(caught.value) is error
