"""The rewriting engine: fixed points, steps, one memo, circles, deep graphs; and what the whole rule book keeps."""

import cProfile
import inspect
import subprocess
import sys
from contextlib import contextmanager

import expressions as anything
import numpy as np
import pytest
from hypothesis import assume, given, settings
from networks import derived, in_columns, random_values
from program.random_expressions import expressions as tame
from program.random_expressions import random_values as tame_values
from program.random_expressions import value_and_size

from chainrule.algebra import length
from chainrule.check.proof import verify
from chainrule.derive import Derived, gradient
from chainrule.errors import DerivationError
from chainrule.evaluate import evaluate
from chainrule.expr import add_op, define, hadamard_op, matmul_op, matrix, ones, transpose_op
from chainrule.expr import sum as total
from chainrule.primitives import tanh
from chainrule.render.text import text
from chainrule.rewrite import Rewriter, on
from chainrule.rules import ALGEBRA, STABLE

RULES = (*STABLE, *ALGEBRA)
A, B, C = (matrix(name, "n", "n") for name in "ABC")


@on(transpose_op)
def double_transposes_vanish(node):
    """A'' = A."""
    return node.args[0].args[0] if node.args[0].op is transpose_op else None


@on(add_op)
def sums_turn(node):
    """A + B = B + A."""
    return node.args[1] + node.args[0]


@on(add_op)
def sums_to_the_left(node):
    """A + (B + C) = A + B + C."""
    a, b = node.args
    return a + b.args[0] + b.args[1] if b.op is add_op else None


# ---- the engine


def test_rules_apply_inside_out_to_a_fixed_point():
    out = Rewriter([sums_to_the_left])(tanh(A + (B + (C + A))) @ C)

    assert text(out) == "tanh(A + B + C + A) C"


def test_every_step_is_recorded_once_with_its_equation():
    rewriter = Rewriter([sums_to_the_left])
    rewriter.equation = "Q"
    expression = A + (B + C)

    rewriter(expression * expression)
    rewriter(tanh(expression))

    (step,) = rewriter.steps
    assert (step.rule, step.equation) == ("sums_to_the_left", "Q")
    assert (step.before, step.after) == (expression, A + B + C)


def test_a_rule_is_tried_on_its_operations_only():
    seen = []

    @on(matmul_op, hadamard_op)
    def watch(node):
        seen.append(node.op)

    def watch_all(node):
        seen.append(None)

    Rewriter([watch, watch_all])(tanh(A @ B) * C + A)

    assert seen == [matmul_op, None, None, hadamard_op, None, None]


def test_the_first_rule_that_applies_wins():
    def one(node):
        return B if node is tanh(A) else None

    def other(node):
        return C if node is tanh(A) else None

    assert Rewriter([one, other])(tanh(A)) is B
    assert Rewriter([other, one])(tanh(A)) is C


def test_nothing_below_a_name_is_touched():
    Z = define("Z", A + (B + C))
    rewriter = Rewriter([sums_to_the_left])

    assert rewriter(tanh(Z)) is tanh(Z)
    assert not rewriter.steps


def test_rules_that_go_in_circles_are_named():
    with pytest.raises(DerivationError, match="rules go in circles: sums_turn, sums_turn"):
        Rewriter([sums_turn])(A + B)


def test_a_rule_must_keep_the_shape():
    def wrong(node):
        return ones("n") if node is tanh(A) else None

    with pytest.raises(AssertionError, match=r"wrong changed \('n', 'n'\) to \('n', 1\)"):
        Rewriter([wrong])(tanh(A))


def test_a_number_beyond_floats_leaves_what_was_written():
    def overflows(node):
        raise OverflowError

    assert Rewriter([overflows])(A + B) is A + B


def test_a_failing_rule_leaves_no_trace():
    fail = [True]

    @on(add_op)
    def fragile(node):
        if fail[0]:
            raise ValueError("no")

    rewriter = Rewriter([fragile])
    with pytest.raises(ValueError, match="no"):
        rewriter(A + B)
    fail[0] = False

    assert rewriter(A + B) is A + B


# ---- the rule book on random expressions


@given(tame())
def test_rewriting_keeps_shape_and_value(expression):
    out = Rewriter(RULES)(expression)

    values = tame_values(expression, 0)
    before, size = value_and_size(expression, values)
    assume(size < 1e100)
    with np.errstate(all="ignore"):
        after = evaluate(out, values)
    assert out.shape == expression.shape
    assert np.max(np.abs(after - before), initial=0) <= 1e-9 * size


@settings(max_examples=30)
@given(tame())
def test_every_step_of_a_random_rewriting_replays(expression):
    rewriter = Rewriter(RULES)

    rewriter(expression)

    verification = verify(Derived((), tuple(rewriter.steps)))
    wrong = [f for f in verification.failures if not np.isnan(f.error)]  # a random expression may be finite nowhere
    assert not wrong


@given(anything.expressions())
def test_rewriting_ends_and_is_idempotent_whatever_the_expression(expression):
    out = Rewriter(RULES)(expression)

    assert Rewriter(RULES)(out) is out


# Transposes go inward where fewer are left in the end, and J A = k 1 (1' A): these read longer, others never do.
LONGER = {"transposes_cancel", "constant_matrix_is_an_outer_product"}


@given(tame())
def test_no_other_rule_makes_an_expression_longer(expression):
    rewriter = Rewriter(RULES)

    out = rewriter(expression)

    for step in rewriter.steps:
        assert step.rule in LONGER or length(step.after) <= length(step.before)
    if not LONGER.intersection(step.rule for step in rewriter.steps):
        assert length(out) <= length(expression)


# ---- determinism

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from networks import derived, in_columns
from chainrule.render.text import text
options = dict(weights=True, penalty=True, masks=True, residual=True)
d = in_columns(derived((4, 5, 5, 3), ("gelu", "mish", "softmax"), "cross_entropy", label_smoothing=0.1, **options))
for e in d.equations:
    print(text(e.node), e.shape, e.rule)
for s in d.steps:
    print(s.rule, s.equation, text(s.before), text(s.after))
"""


def test_the_text_does_not_depend_on_the_hash_seed():
    here = __file__.rpartition("test_rewrite")[0]
    command = [sys.executable, "-c", PROGRAM, here]

    found = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True).stdout
        for seed in ("0", "1", "2")
    }

    assert len(found) == 1
    assert b"dW1" in found.pop()


# ---- depth


def deep(depth, activation="tanh"):
    return derived((3,) * (depth + 1), (activation,) * (depth - 1) + ("softmax",), "cross_entropy")


@pytest.mark.parametrize("depth", [1500, pytest.param(5000, marks=pytest.mark.slow)])
def test_thousands_of_layers_meet_no_limit(depth):
    d = deep(depth)

    assert [e.name for e in d.equations if e.phase == "backward"][-3:] == ["dZ1", "db1", "dW1"]


@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "softmax"])
def test_a_layer_costs_the_same_steps_at_any_depth(activation):
    counts = [len(deep(depth, activation).steps) for depth in (10, 20, 40)]

    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])


def test_a_layer_costs_the_same_memory_at_any_depth(monkeypatch):
    sizes = []

    class Counting(Rewriter):
        def __init__(self, rules):
            super().__init__(rules)
            sizes.append(self._memo)

    monkeypatch.setattr("chainrule.derive.Rewriter", Counting)
    counts = []
    for depth in (10, 20, 40):
        sizes.clear()
        deep(depth)
        counts.append(sum(map(len, sizes)))

    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])


def chain(depth):
    """f(f(...f(X))) without a name in it."""
    x = matrix("X", "n", 3)
    out = x
    for _ in range(depth):
        out = tanh(out)
    return total(out), x


def unnamed_layers(depth):
    out = matrix("X", "n", 3)
    for i in range(depth):
        out = tanh(out @ matrix(f"W{i}", 3, 3))
    return total(out * out), matrix("W0", 3, 3)


def unnamed_residuals(depth):
    out = matrix("X", "n", 3)
    for i in range(depth):
        out = out + tanh(out @ matrix(f"W{i}", 3, 3))
    return total(out * out), matrix("W0", 3, 3)


def sum_of_penalties(depth):
    W = [matrix(f"W{i}", 3, 3) for i in range(depth)]
    out = total(W[0] * W[0])
    for w in W[1:]:
        out = out + total(w * w)
    return out, W[0]


def nested_sums(depth):
    x = matrix("X", "n", 3)
    out = x
    for _ in range(depth):
        out = 1 + x * out
    return total(out), x


GRAPHS = [chain, unnamed_layers, unnamed_residuals, sum_of_penalties, nested_sums]


@contextmanager
def few_frames():
    """Room for some calls within calls: a recursion ends here at a depth that costs little."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 120)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("graph", GRAPHS)
def test_deep_graphs_without_names_meet_no_limit(graph):
    loss, w = graph(250)

    with few_frames():
        (dw,) = gradient(loss, w)

    assert dw.shape == w.shape


@pytest.mark.slow
@pytest.mark.parametrize("graph", GRAPHS)
def test_deeper_graphs_without_names_meet_no_limit(graph):
    loss, w = graph(1000)

    (dw,) = gradient(loss, w)

    assert dw.shape == w.shape


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_recursion_would_meet_the_limit(graph):
    def depth(node):
        return 1 + max(map(depth, node.args), default=0)

    loss, _ = graph(250)

    with few_frames(), pytest.raises(RecursionError):
        depth(loss)


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_gradient_of_a_graph_without_names_is_right(graph):
    loss, w = graph(6)
    (dw,) = gradient(loss, w)
    values = random_values(loss)
    V = np.random.default_rng(1).standard_normal(np.shape(values[w.name]))
    h = 1e-5

    right, left = (evaluate(loss, {**values, w.name: values[w.name] + t * V}) for t in (h, -h))

    assert (evaluate(dw, values) * V).sum() == pytest.approx(((right - left) / (2 * h)).item(), rel=1e-7)


def deep_columns(depth):
    return in_columns(deep(depth))


def calls(run, depth):
    """How many functions are called: the cost, which is not the time."""
    with cProfile.Profile() as profile:
        run(depth) if run in (deep, deep_columns) else gradient(*run(depth))
    return sum(entry.callcount for entry in profile.getstats())


LONG = [pytest.param(graph, marks=pytest.mark.slow) for graph in (unnamed_residuals, nested_sums)]


@pytest.mark.parametrize("run", [deep, deep_columns, chain, unnamed_layers, sum_of_penalties, *LONG])
def test_the_cost_is_linear_in_depth(run):
    first, second, third = (calls(run, depth) for depth in (40, 80, 160))

    assert third - second < 2.2 * (second - first)
