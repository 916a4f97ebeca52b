"""Replay passes right derivations and fails every wrong one that is planted here."""

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from networks import ACTIVATIONS, derived, in_columns, is_meaningful
from random_networks import draw_case

import chainrule as cr
from chainrule import derive, reissue
from chainrule.check import replay
from chainrule.check.proof import verify
from chainrule.derive import Derived, Equation, derive_equations
from chainrule.expr import (
    add_op,
    apply,
    define,
    full,
    hadamard_op,
    matmul_op,
    matrix,
    ones,
    rebuild,
    scalar,
    scale,
    scale_op,
    size,
    symbol_op,
    toposort,
    transpose_op,
)
from chainrule.expr import sum as total
from chainrule.functions import FUNCTIONS, is_function
from chainrule.losses import LOSSES
from chainrule.matrix_functions import det, logdet, norm
from chainrule.primitives import (
    abs,
    cos,
    erf,
    exp,
    expm1,
    log,
    log1p,
    log_softmax,
    logistic,
    maximum,
    minimum,
    power,
    reciprocal,
    row_maximum,
    sin,
    softmax,
    softplus,
    sqrt,
    step,
    tanh,
)
from chainrule.rewrite import Step, on
from chainrule.rules import ALGEBRA, names_are_used
from chainrule.updates import UPDATES

# ---- right derivations pass


@pytest.mark.parametrize("turn", [lambda d: d, in_columns], ids=["rows", "columns"])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_every_activation_replays(activation, turn):
    d = turn(derived((4, 5, 3), (activation, "softmax"), "cross_entropy"))

    verification = verify(d)

    assert verification, verification
    assert verification.steps == len(d.steps) > 0
    assert verification.worst < 1e-12


@pytest.mark.parametrize("turn", [lambda d: d, in_columns], ids=["rows", "columns"])
@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_every_loss_replays_with_all_options(loss, turn):
    ends = (LOSSES[loss].partner, "identity", "logistic", "softmax")
    end = next(name for name in ends if is_meaningful(loss, name, 3))
    options = {"weights": True, "penalty": True, "masks": True, "residual": True}

    verification = verify(turn(derived((4, 5, 5, 3), ("tanh", "silu", end), loss, **options)))

    assert verification, verification


PAIRS = [(end, loss) for end in sorted(ACTIVATIONS) for loss in sorted(LOSSES) if is_meaningful(loss, end, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "loss"), PAIRS, ids="-".join)
def test_every_meaningful_pair_replays(activation, loss):
    choice = np.random.default_rng([len(activation), len(loss)])
    for reduction in ("mean", "sum"):
        options = {k: bool(choice.integers(2)) for k in ("weights", "penalty", "masks", "residual")}
        hidden = choice.choice(sorted(ACTIVATIONS), 2)
        d = derived((4, 5, 5, 3), (*hidden, activation), loss, reduction=reduction, **options)
        for way in (d, in_columns(d)):
            verification = verify(way)
            assert verification, verification


@pytest.mark.parametrize("name", sorted(name for name, f in FUNCTIONS.items() if not (f.transparent or f.whole)))
def test_every_function_replays(name):
    verification = verify(use_of(FUNCTIONS[name]))

    assert verification, verification


@pytest.mark.parametrize("seed", range(16))
def test_random_networks_replay_in_both_layouts(seed):
    net = draw_case(seed).net
    for layout in ("rows", "columns"):
        verification = net.derive(layout, solver="adam", sample_weight=bool(seed % 2)).verify(random_state=seed)
        assert verification, f"{net}: {verification}"
        assert verification.exact > verification.steps / 2


def test_a_derivative_at_a_kink_is_not_judged():
    """Dead units give sums of exactly 0, where the slope of relu is any number from 0 to 1."""
    d = derived((4, 2, 5, 3), ("relu", "relu", "logistic"), "mean_absolute_error")

    assert all(verify(d, random_state=seed) for seed in range(8))


@pytest.mark.parametrize("end", ["softmax", "tanh"])
def test_a_derivative_that_cancels_to_nothing_replays(end):
    """With a constant adjoint the rows of softmax pass on exactly 0."""
    for weights in (False, True):
        verification = verify(
            derived((4, 5, 3), ("tanh", end), "poisson" if end == "softmax" else "quantile", weights=weights)
        )
        assert verification, verification


def use_of(function):
    """Derive a loss through one function, or through its twin."""
    X, V, W = matrix("X", "n", 3), matrix("V", 3, 4, role="parameter"), matrix("W", 3, 4, role="parameter")
    Z = [define("Z1", X @ W), define("Z2", X @ V)][: function.operands]
    out = function(*Z)
    loss = define("loss", total(apply(hadamard_op, out, matrix("C", *out.shape))))
    forward = [*((z, "dense", "forward") for z in Z), (loss, "sum", "loss")]
    return derive_equations(forward, [W, V][: function.operands], keep=["Z1", "Z2"])


@pytest.mark.parametrize("solver", sorted(UPDATES))
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_every_update_rule_replays(layout, solver):
    net = cr.Network("4 -> 5 relu dropout=0.5 -> 5 silu residual -> 3 softmax", penalty=cr.l2(0.01))

    verification = net.derive(layout, solver=solver, sample_weight=True).verify()

    assert verification, verification


def test_seeds_change_the_numbers_and_not_the_verdict():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", penalty=True)

    found = [verify(d, random_state=seed) for seed in (0, 0, 1, 2, None)]

    assert all(found)
    assert found[0] == found[1]
    assert len({v.worst for v in found}) > 1


def test_a_derivation_without_a_loss_replays():
    R, S = matrix("R", "n", "k"), matrix("S", "n", "k")
    d = Derived((Equation("Q", R + S, R.shape, "", "forward"),), (Step("commutes", R + S, S + R, "Q"),))

    assert verify(d).steps == 1
    assert verify(d)


# ---- wrong rules

R, S, Y = matrix("R", "n", "k"), matrix("S", "n", "k"), matrix("Y", "n", "k", facts=("rows_sum_to_one",))
A, B, C = (matrix(name, "k", "k") for name in "ABC")
U, V = matrix("U", "k", 1), matrix("V", "k", 1)
LAM, MU, EPS, N, K = scalar("lam"), scalar("mu"), scalar("eps"), size("n"), size("k")
COLUMN, LONG = ones("k"), ones("n")
POSITIVE = exp(R)

WRONG = {  # the false identity: where it is planted, and what it makes of that
    "(AB)' = A'B'": ((A @ B).T, A.T @ B.T),
    "(A + B)' = A + B'": ((A + B).T, A + B.T),
    "(A o B)' = A o B'": ((A * B).T, A * B.T),
    "A' = A": (A.T, A),
    "f(A)' = f(A)": (tanh(A).T, tanh(A)),
    "softmax(A)' = softmax(A')": (softmax(A).T, softmax(A.T)),
    "(kA)B = AB": ((3 * R) @ A, R @ A),
    "(-A)B = AB": (-R @ A, R @ A),
    "(A/3)B = 0.333333 AB": ((R / 3) @ A, 0.333333 * (R @ A)),
    "(kA)B = k^2 AB": ((3 * R) @ A, 9 * (R @ A)),
    "(lam A)B = AB": ((LAM * R) @ A, R @ A),
    "(2 lam A)B = 2 AB": ((2 * LAM * R) @ A, 2 * (R @ A)),
    "(lam A)B = mu AB": ((LAM * R) @ A, MU * (R @ A)),
    "(A/n)B = AB/n^2": ((R / N) @ A, R @ A / N / N),
    "(A/n)B = n AB": ((R / N) @ A, N * (R @ A)),
    "(A/n)B = AB/k": ((R / N) @ A, R @ A / K),
    "A 1 = 1": (R @ COLUMN, LONG),
    "A 1 = (1' A)'": (A @ COLUMN, A.T @ COLUMN),
    "1' Y = 1', as Y 1 = 1": (LONG.T @ Y, COLUMN.T),
    "(Y o Y) 1 = 1": ((Y * Y) @ COLUMN, LONG),
    "softmax(A) 1 = k 1": (softmax(R) @ COLUMN, K * LONG),
    "(A + B) 1 = A 1": ((R + S) @ COLUMN, R @ COLUMN),
    "(A + B)C = AC + B": ((R + S) @ A, R @ A + S),
    "AB = BA": (A @ B, B @ A),
    "A(BC) = A(CB)": (A @ (B @ C), A @ (C @ B)),
    "A'A = AA'": (A.T @ A, A @ A.T),
    "a'(M b) = a' M' b": (U.T @ (A @ V), U.T @ A.T @ V),
    "J A = 1 (1' A), for J full of k": (full(3, ("n", "k")) @ A, LONG @ (COLUMN.T @ A)),
    "1' 1 = 1": (LONG.T @ LONG, full(1, (1, 1))),
    "1' 1 = n^2": (LONG.T @ LONG, N * N),
    "((w 1') o A) 1 = A 1": (((U @ COLUMN.T) * A) @ COLUMN, A @ COLUMN),
    "((w 1') o A) 1 = w o w o (A 1)": (((U @ COLUMN.T) * A) @ COLUMN, U * U * (A @ COLUMN)),
    "1' ((1 r) o A) = 1' A": (COLUMN.T @ ((COLUMN @ U.T) * A), COLUMN.T @ A),
    "A + B = A": (R + S, R),
    "A + 0 = 0": (R + 0, full(0, R.shape)),
    "A - B = B - A": (R - S, S - R),
    "A + A = A": (R + R, R),
    "A - A = A": (R - R, R),
    "A + 1e-8 = A": (POSITIVE + 1e-8, POSITIVE),
    "A + eps = A": (POSITIVE + EPS, POSITIVE),
    "A o A = A": (R * R, R),
    "A o 1/B = 1": (R * reciprocal(S), full(1, R.shape)),
    "A o (B + C) = A o B + C": (A * (B + C), A * B + C),
    "A o B = A": (R * S, R),
    "A o B = AB": (A * B, A @ B),
    "[A > 0] o [A > 0] = 2 [A > 0]": (step(R) * step(R), 2 * step(R)),
    "1/(A + 1e-5) = 1/A": (reciprocal(POSITIVE + 1e-5), reciprocal(POSITIVE)),
    "1/(kA) = k/A": (reciprocal(3 * R), 3 * reciprocal(R)),
    "sqrt(A o A) = A": (sqrt(R * R), R),
    "A^3 = 3A": (power(R, 3), 3 * R),
    "log softmax(A) = A": (log(softmax(R)), R),
    "log softmax(A) = A - max(A)": (log(softmax(R)), R - row_maximum(R) @ COLUMN.T),
    "log logistic(A) = -softplus(A)": (log(logistic(R)), -softplus(R)),
    "log(1 - logistic(A)) = -softplus(-A)": (log(1 - logistic(R)), -softplus(-R)),
    "log(1 + exp(A)) = A": (log(1 + exp(R)), R),
    "log exp(A) = |A|": (log(exp(R)), abs(R)),
    "log(1 + A) = log(A)": (log1p(POSITIVE), log(POSITIVE)),
    "exp log_softmax(A) = exp(A)": (exp(log_softmax(R)), exp(R)),
    "exp(A) - 1 = exp(A)": (expm1(R), exp(R)),
    "softmax along columns": (softmax(R), softmax.twin(R)),
    "softmax(2A) = softmax(A)": (softmax(2 * R), softmax(R)),
    "logistic(-A) = logistic(A) - 1": (logistic(-R), logistic(R) - 1),
    "tanh(-A) = tanh(A)": (tanh(-R), tanh(R)),
    "tanh = erf": (tanh(R), erf(R)),
    "sin = cos": (sin(R), cos(R)),
    "|A| = A": (abs(R), R),
    "[-A > 0] = [A > 0]": (step(-R), step(R)),
    "max(A, B) = min(A, B)": (maximum(R, S), minimum(R, S)),
    "max(A, 0) = A": (maximum(R, 0), R),
}


def planted(identity):
    before, after = WRONG[identity]

    @on(before.op)
    def rule(node):
        return after if node is before else None

    rule.__name__ = identity
    return rule


def derive_through(expression, rules=ALGEBRA):
    Q = define("Q", expression)
    forward = [(Q, "", "forward"), (define("loss", total(Q)), "", "loss")]
    return derive_equations(forward, [], rules=rules, stable=())


@pytest.mark.parametrize("identity", WRONG)
def test_a_wrong_rule_is_caught(identity):
    expression = WRONG[identity][0]
    right = verify(derive_through(expression))
    d = derive_through(expression, (planted(identity), *ALGEBRA))

    wrong = verify(d)

    assert right, right
    assert identity in {s.rule for s in d.steps}, "the planted rule does not fire"
    assert {f.rule for f in wrong.failures} == {identity}
    assert identity in str(wrong)


def test_at_least_fifty_wrong_rules_are_planted():
    assert len(WRONG) >= 50


T1, SHORT, SQUARE = matrix("t", 1, 1), matrix("v", 2, 1), matrix("M", "k", "k")
AT_SOME_SIGNS = {  # right for positive numbers only, or where nothing is 0
    "relu(t) = t": (FUNCTIONS["relu"](T1), T1),
    "[t > 0] = 1": (step(T1), full(1, (1, 1))),
    "max(t, 0) = t": (maximum(T1, 0), T1),
    "relu(1'u) = 1'u": (FUNCTIONS["relu"](total(U)), total(U)),
    "||t|| = t": (norm(T1), T1),
    "-||t|| = t": (-norm(T1), T1),
    "sqrt(t^2) = t": (sqrt(T1 * T1), T1),
    "log(t^2) = 2 log t": (log(T1 * T1), 2 * log(T1)),
    "t^3 ||t|| = t^4": (power(T1, 3) * norm(T1), power(T1, 4)),
    "sqrt((1'u)^2) = 1'u": (sqrt(power(total(U), 2)), total(U)),
    "sqrt(v o v) = v": (sqrt(SHORT * SHORT), SHORT),
    "det A = |det A|": (det(SQUARE), exp(logdet(SQUARE))),
    "det A = |det A|, 2 x 2": (det(matrix("M", 2, 2)), exp(logdet(matrix("M", 2, 2)))),
}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("identity", AT_SOME_SIGNS)
def test_a_rewriting_that_is_wrong_for_one_sign_only_is_caught_at_every_seed(identity, seed):
    before, after = AT_SOME_SIGNS[identity]
    right, wrong = (Derived((), (Step(identity, before, to, "Q"),)) for to in (before, after))

    assert verify(right, random_state=seed)
    assert not verify(wrong, random_state=seed)


@pytest.mark.parametrize("seed", range(20))
def test_a_slope_that_is_wrong_for_one_sign_only_is_caught_at_every_seed(seed):
    d = cr.differentiate(norm(T1), T1).derived
    one = full(1, (1, 1))
    steps = [replace(s, after=one) if s.via and s.via[0].op is norm.op else s for s in d.steps]
    wrong = [s for s in steps if s.via]
    equations = [replace(e, expression=one) if e.name == "dt" else e for e in d.equations]

    assert verify(d, random_state=seed)
    assert wrong != [s for s in d.steps if s.via]
    assert not verify(replace(d, steps=tuple(wrong), equations=tuple(equations)), random_state=seed)


NO_FALSE_ALARM = [
    "sum(relu(softplus(x)))",
    "exp(7 + s^2)",
    "exp(sum(1 + x.^2))",
    "tanh(tr(logistic(softmax(A))))",
    "tr(sqrt(X'X))",
    "tr(log(X'X))",
    "sum(diag(sqrt(X'X)))",
    "sum(sqrt(x.^2) - |x|)",
    "(4w').^-2 diag((w w') .* S.^4)",
    "tr(inv(A - A'))",
    "logdet(A - A')",
]


@pytest.mark.parametrize("formula", NO_FALSE_ALARM)
def test_what_is_large_or_near_a_kink_or_finite_in_part_or_cancels_is_no_false_alarm(formula):
    parsed = cr.parse(formula)
    d = cr.differentiate(parsed.expression, *parsed.symbols.values())

    for seed in range(12):
        assert d.verify(random_state=seed), d.verify(random_state=seed)


def wrong_minus(node):
    """-(A - B) = A - B."""
    return scale(node, -1) if node.op is scale_op and node.value[0] < 0 else node


def minus_without_its_coefficient(node):
    """-(A - B)/n = B - A."""
    return scale(node.args[0], -1) if node.op is scale_op and node.value[0] < 0 else node


@pytest.mark.parametrize("wrong", [wrong_minus, minus_without_its_coefficient])
def test_a_wrong_finishing_step_is_caught(wrong, monkeypatch):
    monkeypatch.setattr(derive, "FINISHING", (wrong,))

    X, W, T = matrix("X", "n", 4), matrix("W", 4, 3, role="parameter"), matrix("T", "n", 3)
    Z = define("Z", X @ W)
    loss = define("loss", total((T - Z) * (T - Z)) / N)
    found = verify(derive_equations([(Z, "", "forward"), (loss, "", "loss")], [W], keep=["Z"]))

    assert wrong.__name__ in {f.rule for f in found.failures}


def next_layers_name(called):
    """tanh(Z1) is A2."""
    names = [d for d in called.values() if d.shape == ("n", 5)]
    return {expression: names[i % len(names)] for i, expression in enumerate(called, 1)}


def test_a_name_used_for_something_else_is_caught(monkeypatch):
    monkeypatch.setattr(derive, "names_are_used", lambda called: names_are_used(next_layers_name(called)))

    found = verify(derived((5, 5, 5, 5), ("tanh", "tanh", "tanh"), "half_squared_error"))

    assert "the_name_is_used" in {f.rule for f in found.failures}


def test_a_wrong_complement_of_a_named_logistic_is_caught(monkeypatch):
    def with_a_wrong_sign(called):
        @on(logistic.op)
        def wrong(node):
            z = node.args[0]
            return called[logistic(-z)] - 1 if logistic(-z) in called else None

        return (names_are_used(called)[0], wrong)

    monkeypatch.setattr(derive, "names_are_used", with_a_wrong_sign)

    found = verify(derived((4, 5, 3), ("tanh", "logistic"), "binary_cross_entropy"))

    assert {f.rule for f in found.failures} == {"wrong", "differences"}


def test_a_wrong_transpose_of_a_scalar_is_caught(monkeypatch):
    monkeypatch.setattr(reissue, "scalar_turned", lambda node: -node)

    found = verify(in_columns(derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")))

    assert "a_scalar_is_its_own_transpose" in {f.rule for f in found.failures}


# ---- wrong derivatives


@contextmanager
def derivative(op, wrong):
    """Replace the vector-Jacobian product of an operation by `wrong(right)`."""
    right = op.vjp
    object.__setattr__(op, "vjp", wrong(right))
    try:
        yield
    finally:
        object.__setattr__(op, "vjp", right)


WRONG_DERIVATIVES = {
    "1.001 too large": lambda right: lambda G, Y, i: scale(right(G, Y, i), "1.001"),
    "negative": lambda right: lambda G, Y, i: -right(G, Y, i),
    "plus G": lambda right: lambda G, Y, i: right(G, Y, i) + like(G, Y.args[i]),
    "missing": lambda right: lambda G, Y, i: full(0, Y.args[i].shape),
}


def like(G, a):
    """G, or 1 x 1 numbers of it, in the shape of an operand."""
    return G if G.shape == a.shape else ones(a.shape[0]) @ total(G) @ ones(a.shape[1]).T


def moves(function):
    """Has a function a derivative other than zero?"""
    return not any(e.expression is full(0, e.shape) for e in use_of(function).equations)


DIFFERENTIABLE = sorted(name for name, f in FUNCTIONS.items() if not (f.transparent or f.whole))
MOVING = [name for name in DIFFERENTIABLE if moves(FUNCTIONS[name])]
SMOOTH = ["cos", "erf", "erfc", "exp", "gelu", "log1p", "logistic", "mish", "silu", "sin", "softplus", "tanh"]


@pytest.mark.parametrize("fault", WRONG_DERIVATIVES)
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_a_wrong_derivative_is_caught(name, fault):
    if name not in MOVING and fault != "plus G":
        return  # a multiple of zero is right
    with derivative(FUNCTIONS[name].op, WRONG_DERIVATIVES[fault]):
        d = use_of(FUNCTIONS[name])

    found = {f.rule for f in verify(d).failures}
    assert found == {"differences", FUNCTIONS[name].op.rule}


@pytest.mark.parametrize("name", SMOOTH)
def test_a_derivative_at_the_output_instead_of_the_input_is_caught(name):
    with derivative(FUNCTIONS[name].op, lambda right: lambda G, Y, i: right(G, rebuild(Y, (Y,)), i)):
        d = use_of(FUNCTIONS[name])

    assert not verify(d)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_derivatives_of_swapped_operands_are_caught(name):
    with derivative(FUNCTIONS[name].op, lambda right: lambda G, Y, i: right(G, Y, 1 - i)):
        d = use_of(FUNCTIONS[name])

    assert not verify(d)


WRONG_CORE = {
    "product without a transpose": (matmul_op, lambda G, Y, i: G @ Y.args[1] if i == 0 else Y.args[0].T @ G),
    "product with swapped factors": (matmul_op, lambda G, Y, i: Y.args[1].T @ G if i == 0 else Y.args[0].T @ G),
    "product of its own operand": (hadamard_op, lambda G, Y, i: G * Y.args[i]),
    "half of a sum": (add_op, lambda G, Y, i: G if i == 0 else G / 2),
    "a coefficient left out": (scale_op, lambda G, Y, i: G),
    "a transpose left out": (transpose_op, lambda G, Y, i: G),
}


@pytest.mark.parametrize("fault", WRONG_CORE)
def test_a_wrong_derivative_of_the_core_is_caught(fault):
    op, wrong = WRONG_CORE[fault]
    P = matrix("P", "k", "k", role="parameter")
    loss = define("loss", total((2 * P).T * A + tanh(P) * B + P @ P))
    right = derive_equations([(loss, "", "loss")], [P])

    with derivative(op, lambda right: lambda G, Y, i: wrong(G, Y, i) if Y.shape == ("k", "k") else right(G, Y, i)):
        d = derive_equations([(loss, "", "loss")], [P])

    found = {f.rule for f in verify(d).failures}
    assert verify(right)
    assert "differences" in found
    assert op.rule in found or op in (
        add_op,
        scale_op,
        transpose_op,
    )  # an operand handed on unchanged takes no step of its own


# ---- tampered records

TWO_LAYERS = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", penalty=True)
PLAIN = derived((4, 4, 4), ("tanh", "softmax"), "cross_entropy")


def is_matrix(node):
    return node.op is symbol_op and node.value.role != "size"


def other_symbol(node):
    """The same expression with its first matrix replaced by another, of which nothing is known."""
    found = next(n for n in toposort(node) if is_matrix(n))
    new = {}
    for n in toposort(node):
        if n is found:
            new[n] = apply(symbol_op, shape=n.shape, value=replace(n.value, name="other", facts=()))
        else:
            new[n] = rebuild(n, tuple(new[a] for a in n.args))
    return new[node]


TAMPERED = {
    "a millionth more": lambda s: replace(s, after=scale(s.after, "1.000001")),
    "a millionth more before": lambda s: replace(s, before=scale(s.before, "1.000001")),
    "something added": lambda s: replace(s, after=s.after + 1e-6),
    "minus": lambda s: replace(s, after=-s.after),
    "another shape": lambda s: replace(s, after=ones(2) @ total(s.after)),
    "a function of it": lambda s: replace(s, after=tanh(s.after)),
}


@pytest.mark.parametrize("fault", TAMPERED)
def test_a_tampered_step_is_caught(fault):
    for i, step_ in enumerate(TWO_LAYERS.steps):
        wrong = TAMPERED[fault](step_)
        steps = (*TWO_LAYERS.steps[:i], wrong, *TWO_LAYERS.steps[i + 1 :])

        found = verify(Derived((), steps))

        assert [(f.rule, f.equation) for f in found.failures] == [(step_.rule, step_.equation)]


def test_a_step_about_another_matrix_is_caught():
    about = [s for s in TWO_LAYERS.steps if any(map(is_matrix, toposort(s.after)))]

    for step_ in about:
        found = verify(Derived((), (replace(step_, after=other_symbol(step_.after)),)))
        assert found.failures


def test_the_steps_of_another_network_are_one_line_of_wrong_names():
    other = cr.Network("3 -> 4 tanh -> 2 relu -> 2 softmax").derive()

    found = verify(replace(PLAIN, steps=other.derived.steps))

    (names,) = (str(f) for f in found.failures if f.rule == "names")
    assert names.startswith("names, in ")
    assert "steps that mean others by " in names
    assert max(map(len, names.splitlines())) <= 80


@pytest.mark.parametrize(
    "text",
    ["minimum(b, b')", "||minimum(lam, lam)||^2", "logdet(s (1e-3).^2)", "logdet(1e-9 S)", "sum(maximum(b, b).^2)"],
)
def test_what_is_always_at_a_kink_or_close_to_zero_is_replayed(text):
    f = cr.parse(text)

    d = cr.differentiate(f.expression, *f.symbols.values())

    assert d.verify(), d.verify()
    assert d.check().ok


@pytest.mark.parametrize("number", [-1, 1e-3])
def test_a_wrong_share_is_caught_where_two_operands_are_always_equal(number):
    b = cr.parse("minimum(b, b')")
    d = cr.differentiate(b.expression, b["b"]).derived
    for at, s in enumerate(d.steps):
        if s.via is not None and is_function(s.via[0]):
            steps = [*d.steps[:at], replace(s, after=s.after + number), *d.steps[at + 1 :]]
            assert not verify(replace(d, steps=tuple(steps))), s


@pytest.mark.parametrize("name", [e.name for e in PLAIN.equations if e.name != "loss"])
def test_a_tampered_equation_is_caught(name):
    equations = [replace(e, expression=2 * e.expression) if e.name == name else e for e in PLAIN.equations]

    found = verify(replace(PLAIN, equations=tuple(equations)))

    assert {f.rule for f in found.failures} <= {"names", "chain rule", "differences"}
    assert found.failures


@pytest.mark.parametrize("name", ["Z1", "A1", "Z2", "dZ2", "dZ1"])
def test_an_equation_left_out_is_caught(name):
    found = verify(replace(PLAIN, equations=tuple(e for e in PLAIN.equations if e.name != name)))

    assert f"no equation for {name}" in str(found)


@pytest.mark.parametrize(("one", "other"), [("dW1", "dW2"), ("db1", "db2")])
def test_exchanged_equations_are_caught(one, other):
    by_name = {e.name: e for e in PLAIN.equations}
    exchange = {one: by_name[other].expression, other: by_name[one].expression}
    equations = tuple(replace(e, expression=exchange.get(e.name, e.expression)) for e in PLAIN.equations)

    found = verify(replace(PLAIN, equations=equations))

    assert {f.equation for f in found.failures} == {one, other}


def test_a_derivative_by_what_the_loss_does_not_know_must_be_zero():
    equation = Equation("dV", matrix("V", 3, 4), (3, 4), "", "backward")

    found = verify(replace(PLAIN, equations=(*PLAIN.equations, equation)))
    right = verify(replace(PLAIN, equations=(*PLAIN.equations, replace(equation, expression=full(0, (3, 4))))))

    assert {f.equation for f in found.failures} == {"dV"}
    assert right


# ---- what cannot be replayed fails


def test_a_step_that_is_never_finite_is_not_skipped():
    before = log(-exp(R))
    d = Derived((), (Step("nonsense", before, -before, "Q"),))

    found = verify(d)

    assert not found
    assert found.steps == 1
    assert found.worst == np.inf
    assert "nonsense, in Q: never finite" in str(found)


def test_a_step_that_ends_where_nothing_is_finite_fails():
    found = verify(Derived((), (Step("nonsense", R, R + log(-exp(R)), "Q"),)))

    assert found.failures[0].error == np.inf


@pytest.mark.parametrize(
    "expression",
    [log(R), sqrt(-R), log(1 - R @ A), log(R) * sqrt(matrix("T", "n", "k")), exp(exp(exp(R))), log(log(R))],
    ids=str,
)
def test_numbers_are_drawn_again_where_a_step_needs_others(expression):
    step_ = Step("twice", expression + expression, 2 * expression, "Q")

    assert verify(Derived((), (step_,)))


def test_a_loss_that_is_nowhere_smooth_fails():
    W = matrix("W", 3, 2, role="parameter")
    loss = define("loss", total(sin(1e15 * W)))

    found = verify(derive_equations([(loss, "", "loss")], [W]))

    assert [f.rule for f in found.failures] == ["sin", "differences"]


# ---- sizes and numbers


def shapes_evaluated(monkeypatch, d):
    shapes, given = set(), replay.random_matrix

    def spy(declared, shape, *others):
        shapes.add(shape)
        return given(declared, shape, *others)

    monkeypatch.setattr(replay, "random_matrix", spy)
    return verify(d), shapes


def test_large_sizes_are_replayed_small(monkeypatch):
    d = derived((784, 1024, 1024, 10), ("relu", "relu", "softmax"), "cross_entropy", label_smoothing=0.1, penalty=True)

    verification, shapes = shapes_evaluated(monkeypatch, d)

    assert verification
    assert max(max(shape) for shape in shapes) < 32


def test_different_sizes_stay_different(monkeypatch):
    d = derived((20, 17, 11, 7), ("relu", "relu", "softmax"), "cross_entropy")

    _, shapes = shapes_evaluated(monkeypatch, d)

    assert len({length for shape in shapes for length in shape}) == 7  # two for n, 20, 17, 11, 7 and 1


@pytest.mark.parametrize("count", [783, 784])
def test_a_coefficient_that_knows_a_large_size_is_judged_at_that_size(count):
    step_ = Step("counted", ones(784).T @ ones(784), full(count, (1, 1)), "Q")

    assert bool(verify(Derived((), (step_,)))) is (count == 784)


FACTS = [
    ("rows_sum_to_one",),
    ("columns_sum_to_one",),
    ("nonnegative",),
    ("symmetric",),
    ("one_hot",),
    ("one_hot", "columns_sum_to_one"),
    ("rows_sum_to_one", "columns_sum_to_one", "nonnegative"),
    ("symmetric", "rows_sum_to_one"),
]


@pytest.mark.parametrize("facts", FACTS, ids=", ".join)
@pytest.mark.parametrize("draw", [0, 1, 2])
def test_numbers_have_the_declared_facts(facts, draw):
    declared = matrix("T", 5, 5, facts=facts).value
    T = replay.random_matrix(declared, (5, 5), draw, np.random.default_rng(0))
    holds = {
        "rows_sum_to_one": lambda: T.sum(axis=1) == pytest.approx(1),
        "columns_sum_to_one": lambda: T.sum(axis=0) == pytest.approx(1),
        "nonnegative": lambda: (T >= 0).all(),
        "symmetric": lambda: pytest.approx(T.T, rel=1e-12) == T,
        "one_hot": lambda: set(T.flat) == {0, 1},
    }

    assert all(holds[fact]() for fact in declared.facts)


def test_a_failure_says_what_where_and_how_much():
    found = verify(derive_through(sin(R), (planted("sin = cos"), *ALGEBRA)))

    first, second, third, fourth = str(found).splitlines()
    assert first.endswith("1 failed")
    assert second.startswith("  sin = cos, in Q: relative error ")
    assert (third.split(), fourth.split()) == (["before:", "sin(R)"], ["after:", "cos(R)"])
