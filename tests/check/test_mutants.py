"""Wrong rules made systematically from right ones, each proven wrong by the interpreter: replay must catch them all.

A mutant is a step of a right derivation whose result has one slip: a transpose dropped, operands swapped, a sign, a
coefficient, an eps, a term, a factor, a function, an axis, a name. One that happens to be equal is not counted.
"""

from collections import Counter
from dataclasses import replace
from functools import cache
from itertools import islice

import numpy as np
import pytest
from networks import derived, in_columns, random_values

import chainrule as cr
from chainrule.check.proof import verify
from chainrule.derive import Derived, derive_equations
from chainrule.errors import ShapeError
from chainrule.evaluate import evaluate
from chainrule.expr import (
    add_op,
    apply,
    define,
    full,
    full_op,
    hadamard_op,
    is_atom,
    matmul_op,
    matrix,
    ones,
    ones_op,
    rebuild,
    scale,
    scale_op,
    toposort_to_names,
    transpose_op,
)
from chainrule.expr import sum as total
from chainrule.functions import FUNCTIONS, function_of, is_function
from chainrule.primitives import exp, log, log1p, logistic, softplus, tanh

ENOUGH = 200
ELEMENTWISE = [FUNCTIONS[name] for name in ("tanh", "logistic", "softplus", "exp", "sin", "relu")]


def slips(node, names):
    """Every (kind, replacement) of one node, of the same shape."""
    if is_atom(node):
        yield from (("another name", other) for other in names if other is not node and other.shape == node.shape)
    elif node.op is transpose_op:
        yield "transpose dropped", node.args[0]
    elif node.op is matmul_op:
        a, b = node.args
        yield from fitting("operands swapped", lambda: b @ a)
        yield from fitting("left factor transposed", lambda: a.T @ b)
        yield from fitting("right factor transposed", lambda: a @ b.T)
        yield from fitting("entry by entry", lambda: apply(hadamard_op, a, b))
        yield from fitting("a factor dropped", lambda: a)
        yield from fitting("a factor dropped", lambda: b)
        if b.op is ones_op or (a.op is transpose_op and a.args[0].op is ones_op):
            yield from fitting("wrong axis", lambda: a.T @ b if b.op is ones_op else a @ b.T)
    elif node.op is scale_op:
        powers = list(zip(node.args[1:], node.value[1], strict=True))
        yield "coefficient dropped", node.args[0]
        yield "sign changed", scale(node, -1)
        yield "coefficient altered", scale(node, "1.000001")
        yield from ((f"power of {s.name} inverted", scale(node, 1, (s, -2 * e))) for s, e in powers)
        yield from ((f"{s.name} dropped", scale(node, 1, (s, -e))) for s, e in powers)
    elif node.op is add_op:
        a, b = node.args
        yield "term dropped", a
        yield "term dropped", b
        yield "sign changed", a - b
        yield "term doubled", node + b
    elif node.op is hadamard_op:
        a, b = node.args
        yield "factor dropped", a
        yield "factor dropped", b
        yield "sum for a product", apply(add_op, a, b)
        yield from fitting("product for entry by entry", lambda: a @ b)
    elif node.op is full_op:
        yield "number altered", full(node.value + 1e-6, node.shape)
        yield "number dropped", full(0, node.shape)
        yield "sign changed", full(-node.value, node.shape)
    elif is_function(node):
        f = function_of(node)
        if f.axis is not None:
            yield from fitting("wrong axis", lambda: f.twin(node.args[0]))
        elif f.operands == 1:
            yield "function dropped", node.args[0]
            yield from (("another function", g(node.args[0])) for g in ELEMENTWISE if g.op is not f.op)
        yield "eps added", node + 1e-6


def fitting(kind, make):
    try:
        yield kind, make()
    except ShapeError:
        return


def mutants(step):
    """Every step with one slip in its result."""
    nodes = list(toposort_to_names(step.after))
    names = [n for n in toposort_to_names(step.before, step.after) if is_atom(n)]
    yield "sign changed", replace(step, after=-step.after)
    yield "coefficient added", replace(step, after=scale(step.after, "1.000001"))
    for site in nodes:
        for kind, other in slips(site, names):
            if other.shape == site.shape:
                yield kind, replace(step, after=replaced(step.after, site, other))


def replaced(root, site, other):
    new = {}
    for node in toposort_to_names(root):
        if node is site:
            new[node] = other
        elif is_atom(node):
            new[node] = node
        else:
            new[node] = rebuild(node, tuple(new[a] for a in node.args))
    return new[root]


def truly_wrong(right, wrong):
    """Does the interpreter find different numbers, far beyond rounding, where the right ones are finite?"""
    for seed in range(6):
        values = random_values(right, wrong, seed=seed)
        if seed % 2:
            values = {k: abs(v) if np.ndim(v) else v for k, v in values.items()}
        with np.errstate(all="ignore"):
            a, b = evaluate(right, values), evaluate(wrong, values)
        if np.isfinite(a).all() and not np.allclose(a, b, rtol=3e-8, atol=3e-8 * abs(a).max(initial=0), equal_nan=True):
            return True
    return False


def pool():
    """Right steps of many kinds, each once."""
    derivations = [
        derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", penalty=True),
        in_columns(derived((5, 5, 5), ("logistic", "softmax"), "cross_entropy", weights=True)),
        derived((5, 5, 5), ("silu", "logistic"), "binary_cross_entropy", masks=True),
        derived((4, 5, 3), ("softplus", "softplus"), "poisson"),
        derived((4, 5, 3), ("relu", "identity"), "huber", weights=True),
        derived((4, 5, 3), ("elu", "tanh"), "mean_squared_error", penalty=True),
        derived((4, 5, 3), ("gelu", "softmax"), "kl_divergence"),
        stable(),
        squares(),
    ]
    seen = {}
    for d in derivations:
        for s in d.steps:
            seen.setdefault((s.rule, s.before, s.after), s)
    return list(seen.values())


def stable():
    """Every stable form at once."""
    R, S = matrix("R", "n", "k"), matrix("S", "n", "k")
    parts = [log(1 + exp(R)), log1p(exp(S)), log(exp(R)), log(softplus(S)), log(logistic(R)), log(1 - logistic(S))]
    Q = define("Q", sum((tanh(p) for p in parts), full(0, R.shape)))
    J = define("J", full(3, ("k", "n")) @ Q @ (ones("k") @ ones("k").T))
    return derive_equations([(Q, "", "forward"), (J, "", "forward"), (define("loss", total(J)), "", "loss")], [R, S])


def squares():
    """Products of square matrices, where any order and any transpose fits."""
    P, Q = matrix("P", "k", "k", role="parameter"), matrix("Q", "k", "k", role="parameter")
    loss = define("loss", total(P @ Q @ tanh(P) + 2 * (P @ Q).T @ Q.T))
    return derive_equations([(loss, "", "loss")], [P, Q])


STEPS = pool()
RULES = sorted({s.rule for s in STEPS})


@cache
def wrong_mutants(rule):
    """The first 60 of a rule, each once."""
    return list(islice(_wrong_mutants(rule), 60))


def _wrong_mutants(rule):
    seen = set()
    for s in STEPS:
        if s.rule == rule:
            for kind, wrong in mutants(s):
                if (wrong.before, wrong.after) not in seen and truly_wrong(s.after, wrong.after):
                    seen.add((wrong.before, wrong.after))
                    yield kind, wrong


@pytest.mark.parametrize("rule", RULES)
def test_every_mutant_of_a_rule_is_caught(rule):
    planted = wrong_mutants(rule)

    missed = [f"{kind}: {s}" for kind, s in planted if verify(Derived((), (s,)))]

    assert planted
    assert not missed


def test_the_steps_that_mutants_are_made_from_are_right():
    assert verify(Derived((), tuple(STEPS)))


def test_more_than_enough_wrong_rules_are_planted_and_of_every_kind():
    planted = [(rule, kind) for rule in RULES for kind, _ in wrong_mutants(rule)]

    kinds = Counter(kind.split(" of ")[0] for _, kind in planted)
    assert len(planted) >= ENOUGH
    assert len(set(planted)) >= ENOUGH / 2
    assert {"transpose dropped", "operands swapped", "sign changed", "coefficient dropped", "term dropped"} <= set(
        kinds
    )
    assert {"another function", "wrong axis", "another name", "eps added", "factor dropped"} <= set(kinds)


def test_an_equal_mutant_is_not_counted():
    A = matrix("A", "k", "k", facts=("symmetric",))

    assert not truly_wrong(A + A, 2 * A)
    assert truly_wrong(A, 1.000001 * A)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_wrong_equation_in_the_whole_is_caught(layout):
    """Every gradient of a network with one slip, its steps untouched: differences of the loss find it."""
    d = cr.Network("3 -> 3 tanh -> 3 softmax", penalty=cr.l2(0.1)).derive(layout).derived
    missed, planted = [], 0
    names = [e.name for e in d.equations if e.phase == "backward"]
    for e in d.equations:
        if e.name in names and not e.name.startswith("dZ"):  # what no other equation refers to
            atoms = [n for n in toposort_to_names(e.expression) if is_atom(n)]
            for site in toposort_to_names(e.expression):
                for kind, other in slips(site, atoms):
                    wrong = replaced(e.expression, site, other) if other.shape == site.shape else e.expression
                    if truly_wrong(e.expression, wrong):
                        planted += 1
                        equations = tuple(replace(x, expression=wrong) if x is e else x for x in d.equations)
                        missed += [(e.name, kind)] * bool(verify(replace(d, equations=equations, steps=())))

    assert planted > 15
    assert not missed
