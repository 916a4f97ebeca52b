"""Conventions: one derivation re-read, checked against the first by numbers and against the books by text."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from networks import ACTIVATIONS, derived, in_columns, is_meaningful, network, random_values

import chainrule as cr
from chainrule.check.proof import verify
from chainrule.evaluate import evaluate_all
from chainrule.expr import full, scalar, size, symbol_op, toposort
from chainrule.losses import LOSSES
from chainrule.reissue import ONE, reissue
from chainrule.render.text import text


def columns(name):
    return True


def numbers(derivation, values):
    """The value of every equation by name."""
    return dict(
        zip(
            [e.name for e in derivation.equations],
            evaluate_all([e.expression for e in derivation.equations], values),
            strict=True,
        )
    )


def scaling(factor, values):
    number, powers = factor
    for base, exponent in powers:
        number = number * float(np.asarray(values[base.name]).item()) ** exponent
    return float(number)


def assert_same(old, new, flip, factor=lambda name: ONE):
    """Every name of the new derivation is factor(name) times the old one, transposed where flip(name)."""
    values = random_values(*(e.expression for e in old.equations))

    def read(name, value):
        value = np.asarray(value)
        return scaling(factor(name), values) * (value.T if flip(name) else value)

    renewed = {name: read(name, value) if np.ndim(value) else value for name, value in values.items()}
    expected, found = numbers(old, values), numbers(new, renewed)
    assert list(found) == list(expected)
    for name, value in found.items():
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, read(name, expected[name]), rtol=1e-11, atol=1e-13 * scale, err_msg=name)
    assert [e.shape for e in new.equations] == [e.expression.shape for e in new.equations]


def backward(derivation):
    return [text(e.node) for e in derivation.equations if e.phase == "backward"]


# ---- columns


@pytest.mark.parametrize("seed", range(20))
def test_columns_are_the_transposes_of_rows(seed):
    rng = np.random.default_rng(seed)
    loss = rng.choice(sorted(LOSSES))
    end = rng.choice([name for name in sorted(ACTIVATIONS) if is_meaningful(loss, name, 3)])
    widths = [4, *rng.integers(2, 6, rng.integers(1, 4)).tolist(), 3]
    hidden = rng.choice(sorted(ACTIVATIONS), len(widths) - 2).tolist()
    options = {name: bool(rng.integers(2)) for name in ("weights", "penalty", "masks", "residual")}
    d = derived(widths, (*hidden, end), loss, reduction=str(rng.choice(["mean", "sum"])), **options)

    turned = in_columns(d)

    assert_same(d, turned, columns)
    verification = verify(turned)
    assert verification, verification


def test_columns_turn_shapes_facts_and_every_step_is_recorded():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")

    turned = in_columns(d)

    assert [e.shape for e in turned.equations] == [e.shape[::-1] for e in d.equations]
    (Y,) = {n for e in turned.equations for n in toposort(e.expression) if n.op is symbol_op and n.name == "Y"}
    assert "columns_sum_to_one" in Y.value.facts
    assert "rows_sum_to_one" not in Y.value.facts
    assert {"transposes_go_inward", "a_scalar_is_its_own_transpose"} <= {s.rule for s in turned.steps}


def passed_on(derivation):
    """Each step of the chain rule: to which equation, by which rule, from which shape to which."""
    return sorted(((s.equation, s.rule, s.shapes) for s in derivation.steps if s.via), key=repr)


def test_every_step_of_the_chain_rule_is_read_as_one():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", weights=True, penalty=True, residual=False)

    turned = in_columns(d)

    expected = [(e, rule, (was[::-1], now[::-1])) for e, rule, (was, now) in passed_on(d)]
    assert passed_on(turned) == sorted(expected, key=repr)
    assert "dZ2 A1'" in {text(s.after) for s in turned.steps if s.equation == "dW2"}


@pytest.mark.parametrize("options", [{"weights": "XWt"}, {"layout": "columns", "weights": "WtX"}])
@pytest.mark.parametrize("bias", ["row", "ones"])
def test_a_penalty_is_differentiated_as_the_loss_writes_it(options, bias):
    """No step speaks of |W2'| where the loss adds up |W2|; only what the layer passes on is turned."""
    net = cr.Network("4 -> 3 tanh -> 2", penalty="l1(0.2) + l2(0.1)/n")
    d = net.derive(**options, bias=bias)

    assert d.verify().ok
    for name in ("dW1", "dW2"):
        steps = [s for s in d.steps if s.equation == name]
        assert steps[-1].after is d[name].expression
        said = " ".join(text(node) for s in steps for node in (s.before, s.after))
        assert "sign(W" in said
        assert f"{name[1:]}'" not in said
        turned = [s for s in steps if s.rule == "transpose"]
        assert [s.after.args[0] for s in turned] == [s.before for s in turned]
        assert all("sign" not in text(s.before) for s in turned)
        slopes = [s.via[0] for s in steps if s.rule == "abs"]
        assert all(text(each) in text(d["loss"].expression) for each in slopes)


def test_a_step_read_wrongly_is_caught():
    d = in_columns(derived((4, 3, 3), ("tanh", "softmax"), "cross_entropy"))
    steps = list(d.steps)
    at, s = next((i, s) for i, s in enumerate(steps) if s.equation == "dZ1" and s.rule == "product")
    W2, dZ2 = s.via[0].args[0], s.before

    assert s.after is W2.T @ dZ2
    steps[at] = replace(s, after=W2 @ dZ2)  # of the same shape

    assert not verify(replace(d, steps=steps))


def test_columns_twice_are_rows():
    d = derived((4, 5, 5, 3), ("silu", "relu", "softmax"), "cross_entropy", weights=True, masks=True)

    again = in_columns(in_columns(d))

    assert [text(e.node) for e in again.equations] == [text(e.node) for e in d.equations]
    assert_same(d, again, lambda name: False)


def test_columns_of_many_penalties_meet_no_limit():
    depth = 400
    net = network((2,) * (depth + 1), ("identity",) * depth, penalty=True)

    turned = in_columns(net.derive())

    assert turned.equations[-1].shape == (2, 2)


# ---- which side the weights are on


def test_weights_on_the_right_transposed():
    """Z = X W' + 1 b, as PyTorch's Linear stores its weights."""
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy", penalty=True)

    def is_weight(name):
        return name.removeprefix("d").startswith("W")

    turned = reissue(d, is_weight)

    assert text(turned.equations[0].node) == "Z1 = X W1' + 1 b1"
    assert "dZ1 = (dZ2 W2) ∘ (1 - A1 ∘ A1)" in backward(turned)
    assert "dW1 = dZ1' X + mu sign(W1) + lam W1" in backward(turned)
    assert_same(d, turned, is_weight)
    assert verify(turned)


def test_a_bias_as_a_column():
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")

    def is_bias(name):
        return name.removeprefix("d").startswith("b")

    turned = reissue(d, is_bias)

    assert text(turned.equations[0].node) == "Z1 = X W1 + 1 b1'"
    assert "db1 = dZ1' 1" in backward(turned)
    assert_same(d, turned, is_bias)
    assert verify(turned)


# ---- factors


def with_n_in(names, sign=1):
    n = size("n")
    return lambda name: (Fraction(sign), ((n, 1),)) if name.startswith(names) else ONE


def test_the_mean_moves_from_the_signals_to_the_weights():
    """Ng: dZ2 = A2 - Y, dW2 = dZ2 A1'/m, db2 = dZ2 1/m."""
    d = derived((4, 5, 1), ("tanh", "logistic"), "binary_cross_entropy")

    moved = reissue(d, columns, with_n_in(("dZ",)))

    assert backward(moved) == [
        "dZ2 = A2 - Y",
        "db2 = (dZ2 1)/n",
        "dW2 = (dZ2 A1')/n",
        "dZ1 = (W2' dZ2) ∘ (1 - A1 ∘ A1)",
        "db1 = (dZ1 1)/n",
        "dW1 = (dZ1 X')/n",
    ]
    assert_same(d, moved, columns, with_n_in(("dZ",)))
    verification = verify(moved)
    assert verification, verification


OPTIONS = [{}, {"penalty": True}, {"residual": True, "masks": True}, {"weights": True}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_mean_moves_whatever_else_there_is(options):
    d = derived((4, 5, 5, 3), ("gelu", "tanh", "softmax"), "cross_entropy", **options)
    signals = with_n_in(("dZ", "dA", "dD", "dP"))

    moved = reissue(d, lambda name: False, signals)

    assert_same(d, moved, lambda name: False, signals)
    assert verify(moved)


@pytest.mark.row(14)
def test_ascent_has_the_other_sign():
    """delta = Y - P as a step uphill: everything backward is the negative of the gradient."""
    d = derived((4, 5, 3), ("tanh", "softmax"), "cross_entropy")

    def uphill(name):
        return (Fraction(-1), ()) if name.startswith("d") else ONE

    up = reissue(d, lambda name: False, uphill)

    assert backward(up)[0] == "dZ2 = (Y - P)/n"
    assert backward(up)[1:] == backward(d)[1:]
    assert_same(d, up, lambda name: False, uphill)
    assert up.factors["dW1"] is full(-1, (1, 1))
    assert verify(up)
    unstated = verify(replace(up, factors={}))  # -1 must be stated
    assert {f.rule for f in unstated.failures} == {"chain rule", "differences"}


def test_inputs_and_losses_have_factors_too():
    """X counted in other units, and a loss that is c times as large."""
    d = derived((4, 5, 3), ("tanh", "identity"))
    c = scalar("c")

    def factor(name):
        if name == "loss" or name.startswith("d"):
            return Fraction(1), ((c, 1),)
        return (Fraction(3), ()) if name == "X" else ONE

    values = {"c": 0.7}
    old = {**random_values(*(e.expression for e in d.equations)), **values}
    new = reissue(d, lambda name: False, factor)

    expected, found = numbers(d, old), numbers(new, {**old, "X": 3 * old["X"]})
    for name, value in found.items():
        np.testing.assert_allclose(value, scaling(factor(name), values) * expected[name], rtol=1e-12, err_msg=name)
    assert verify(new)
