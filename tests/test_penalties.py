"""Penalties: values and gradients by hand, alone and inside networks, and their text."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import SpecError, UnknownNameError
from chainrule.penalties import PENALTIES, Penalty, find_penalty

W = cr.matrix("W", "d", "k")
N = cr.scalar("n", role="size")
NUMBERS = np.array([[1.5, -2.0, 0.0], [0.25, -0.0, 3.0]])

CASES = [
    (cr.l2(0.3), 0.15 * (NUMBERS**2).sum(), 0.3 * NUMBERS),
    (cr.l1(0.3), 0.3 * np.abs(NUMBERS).sum(), 0.3 * np.sign(NUMBERS)),
    (
        cr.l1(0.5) + cr.l2(2),
        0.5 * np.abs(NUMBERS).sum() + (NUMBERS**2).sum(),
        0.5 * np.sign(NUMBERS) + 2 * NUMBERS,
    ),
    (
        cr.elastic_net(0.4, 0.25),
        0.1 * np.abs(NUMBERS).sum() + 0.15 * (NUMBERS**2).sum(),
        0.1 * np.sign(NUMBERS) + 0.3 * NUMBERS,
    ),
    (cr.l2(0.3, per_sample=True), 0.03 * (NUMBERS**2).sum(), 0.06 * NUMBERS),
]


@pytest.mark.parametrize(("penalty", "value", "slope"), CASES)
def test_value_and_gradient_are_those_of_the_formula(penalty, value, slope):
    built = penalty(W, N)
    (dW,) = cr.gradient(built, W)

    np.testing.assert_allclose(cr.evaluate(built, {"W": NUMBERS, "n": 5}), [[value]], rtol=1e-14)
    np.testing.assert_allclose(cr.evaluate(dW, {"W": NUMBERS, "n": 5}), slope, rtol=1e-14)


def test_a_strength_of_zero_adds_nothing():
    assert (cr.l1(0) + cr.l2(0))(W, N) is None
    assert (cr.l1(0) + cr.l2(1))(W, N) is cr.l2(1)(W, N)


def problem(**options):
    net = cr.Network("3 -> 4 tanh -> 2", **options)
    rng = np.random.default_rng(0)
    return net, net.init(1), rng.standard_normal((6, 3)), rng.standard_normal((6, 2))


def weights(params):
    return {name: value for name, value in params.items() if name.startswith("W")}


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("w", [None, np.array([1.0, 0.0, 2.0, 0.5, 1.0, 3.0])])
@pytest.mark.parametrize("per_sample", [False, True])
def test_a_penalty_is_added_for_every_weight_matrix_and_for_no_bias(reduction, w, per_sample):
    plain, params, X, Y = problem(reduction=reduction)
    net, *_ = problem(reduction=reduction, penalty=cr.l2(0.3, per_sample=per_sample))
    params["b1"] += 5.0
    rows = (6 if w is None else w.sum()) if per_sample else 1

    added = net.loss(params, X, Y, sample_weight=w) - plain.loss(params, X, Y, sample_weight=w)
    with_it, without = (each.gradient(params, X, Y, sample_weight=w) for each in (net, plain))

    assert added == pytest.approx(0.15 * sum((v**2).sum() for v in weights(params).values()) / rows, rel=1e-11)
    for name in params:
        expected = 0.3 * params[name] / rows if name in weights(params) else 0
        # The gradients are sums of order one: their difference is good to 1e-15.
        np.testing.assert_allclose(with_it[name] - without[name], expected, rtol=1e-12, atol=1e-14)


def test_per_sample_is_the_alpha_of_scikit_learn():
    net, params, X, Y = problem(penalty=cr.l2(0.7, per_sample=True))
    n = len(X)

    loss = net.loss(params, X, Y) - ((net.predict(params, X) - Y) ** 2).sum() / (2 * n)

    assert loss == pytest.approx(0.5 * 0.7 * sum((v**2).sum() for v in weights(params).values()) / n, rel=1e-13)


@pytest.mark.parametrize("penalty", ["l1(0.1)", "l2(0.2)", "l1(0.1) + l2(0.2)/n"])
@pytest.mark.parametrize("sample_weight", [False, True])
def test_derivations_with_a_penalty_replay(penalty, sample_weight):
    net, *_ = problem(penalty=penalty)

    for layout in ("rows", "columns"):
        verification = net.derive(layout, sample_weight=sample_weight).verify()
        assert verification.ok, verification


def test_the_gradient_names_the_penalty_term():
    net, *_ = problem(penalty=cr.l2(0.01))

    assert set(cr.text(net.derive()["dW2"].expression).split(" + ")) == {"A1' dZ2", "0.01 W2"}
    assert cr.text(net.derive()["db2"].expression) == "1' dZ2"


# Words


@pytest.mark.parametrize(
    ("text", "penalty"),
    [
        ("l2(0.01)", cr.l2(0.01)),
        ("l2(strength=0.01)", cr.l2(0.01)),
        ("l2(0.01) + l1(0.001)", cr.l2(0.01) + cr.l1(0.001)),
        ("elastic_net(0.4, 0.25)", cr.l1(0.1) + cr.l2(0.3)),
        ("elastic_net(0.4)", cr.l1(0.2) + cr.l2(0.2)),
        ("elastic_net(l1_ratio=1, strength=0.4)", cr.l1(0.4) + cr.l2(0)),
        ("l1(1e-9, per_sample=1)", cr.l1(1e-9, per_sample=True)),
        ("l1(0.1)/n + l2(0.2)", cr.l1(0.1, per_sample=True) + cr.l2(0.2)),
        ("elastic_net(0.4) / n", cr.l1(0.2, per_sample=True) + cr.l2(0.2, per_sample=True)),
    ],
)
def test_a_penalty_is_read_from_text(text, penalty):
    assert find_penalty(text) == penalty


@pytest.mark.parametrize(
    "penalty",
    [cr.l2(0.1 + 0.2), cr.l1(1e-300), cr.l2(1 / 3, per_sample=True) + cr.elastic_net(0.1, 0.3), cr.l2(12345678.9)],
)
def test_a_penalty_is_read_back_from_its_text_and_from_a_pickle(penalty):
    for again in (find_penalty(str(penalty)), pickle.loads(pickle.dumps(penalty)), copy.deepcopy(penalty)):
        assert again == penalty


def test_no_penalty_is_an_empty_sum():
    assert find_penalty(None) == Penalty()
    assert str(Penalty()) == ""
    assert find_penalty(cr.l1(2)) == cr.l1(2)


def test_every_public_penalty_has_a_text():
    assert set(PENALTIES) == set(cr.penalties.__all__) == {"l1", "l2", "elastic_net"}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.l2(-1), ValueError, "the strength of l2 is a finite number of at least 0, got -1"),
        (lambda: cr.l1(float("nan")), ValueError, "the strength of l1 is a finite number of at least 0, got nan"),
        (lambda: cr.elastic_net(1, 1.5), ValueError, "l1_ratio is a number from 0 to 1, got 1.5"),
        (lambda: find_penalty("l3(1)"), UnknownNameError, "unknown penalty 'l3'; known names are 'elastic_net', 'l1'"),
        (lambda: find_penalty("l2"), SpecError, "'l2' needs 'strength'"),
        (lambda: find_penalty("l2(0.1, 0.5)"), ValueError, "per_sample of l2 is true or false, got 0.5"),
        (lambda: find_penalty("l2(0.1) + l1(0.1, ratio=2)"), SpecError, "'l1' has no parameter 'ratio'"),
        (lambda: find_penalty("l2(0.1) l1(0.1)"), SpecError, "unexpected 'l1' after 'l2'"),
    ],
)
def test_a_wrong_penalty_is_an_error_in_words(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_penalty_per_sample_is_written_as_divided_by_n():
    assert str(cr.l2(0.01, per_sample=True) + cr.l1(0.5)) == "l2(0.01)/n + l1(0.5)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l2(0.1)/m", "'l2' is divided by n only\n  l2\\(0.1\\)/m\n          \\^$"),
        ("l2(0.1)/2", "'l2' is divided by n only"),
        ("l2(0.1, per_sample=1)/n", "'per_sample' of 'l2' is said twice"),
    ],
)
def test_a_penalty_is_divided_by_n_only(text, message):
    with pytest.raises(SpecError, match=message):
        find_penalty(text)
