"""The gradient checker: right gradients pass at any scale, planted mistakes are found and located."""

import copy
import dataclasses
import pickle

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad as autograd_grad
from hypothesis import given
from hypothesis import strategies as st

from chainrule.check.gradient import check_gradient
from chainrule.errors import DataError, ShapeError, UnknownNameError

ACTIVATIONS = {
    "tanh": (np.tanh, lambda Z, A: 1 - A * A),
    "logistic": (lambda Z: 1 / (1 + np.exp(-Z)), lambda Z, A: A * (1 - A)),
    "relu": (lambda Z: np.maximum(Z, 0), lambda Z, A: (Z > 0).astype(float)),
}


class Net:
    """A hand-written two-layer network with a softmax; the flags plant the classical mistakes."""

    def __init__(self, sizes=(5, 6, 4), n=7, activation="tanh", seed=0, unit=1.0, gain=1.0):
        rng = np.random.default_rng(seed)
        d, h, k = sizes
        self.n, self.unit, self.gain = n, unit, gain
        self.f, self.df = ACTIVATIONS[activation]
        self.X = rng.normal(size=(n, d))
        self.Y = np.eye(k)[rng.integers(k, size=n)]
        self.params = {
            "W1": unit * rng.normal(size=(d, h)) / np.sqrt(d),
            "b1": unit * rng.normal(size=(1, h)) * 0.1,
            "W2": unit * rng.normal(size=(h, k)) / np.sqrt(h),
            "b2": unit * rng.normal(size=(1, k)) * 0.1,
        }

    def forward(self, params):
        W1, b1, W2, b2 = (params[name] / self.unit for name in ("W1", "b1", "W2", "b2"))
        Z1 = self.X @ W1 + b1
        A1 = self.f(Z1)
        Z2 = A1 @ W2 + b2
        return W2, Z1, A1, Z2 - Z2.max(axis=1, keepdims=True)

    def loss(self, params):
        *_, Z2 = self.forward(params)
        return self.gain * np.mean(np.log(np.exp(Z2).sum(axis=1)) - (Z2 * self.Y).sum(axis=1))

    def gradient(self, params, *, transpose=True, derivative=True, mean=True):
        W2, Z1, A1, Z2 = self.forward(params)
        P = np.exp(Z2) / np.exp(Z2).sum(axis=1, keepdims=True)
        dZ2 = self.gain * (P - self.Y) / (self.n if mean else 1)
        dZ1 = (dZ2 @ (W2.T if transpose else W2)) * (self.df(Z1, A1) if derivative else 1)
        parts = {"W1": self.X.T @ dZ1, "b1": dZ1.sum(0, keepdims=True)}
        parts |= {"W2": A1.T @ dZ2, "b2": dZ2.sum(0, keepdims=True)}
        return {name: part / self.unit for name, part in parts.items()}

    def check(self, gradient=None, **options):
        return check_gradient(self.loss, gradient or self.gradient, self.params, **options)


def wrong_blocks(report):
    return {name for name, block in report.blocks.items() if block.verdict.startswith("wrong")}


def counted(function):
    """Return the function and the list of the arguments it gets."""
    calls = []

    def recorder(params):
        calls.append(params)
        return function(params)

    return recorder, calls


# Right gradients


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("sizes", "n"), [((5, 6, 4), 7), ((8, 40, 3), 50), ((40, 50, 10), 120)])
def test_a_right_gradient_passes(sizes, n, activation, seed):
    report = Net(sizes, n, activation, seed).check(random_state=seed)

    assert report.ok, report
    assert report.worst <= 1e-6


@pytest.mark.parametrize("unit", [1e-8, 1e-3, 1e3, 1e8])
@pytest.mark.parametrize("gain", [1e-8, 1.0, 1e8])
def test_neither_the_scale_of_the_parameters_nor_of_the_loss_matters(unit, gain):
    net = Net((8, 20, 3), 30, unit=unit, gain=gain)

    assert net.check().ok
    assert wrong_blocks(net.check(lambda p: {**net.gradient(p), "b1": 1.01 * net.gradient(p)["b1"]})) == {"b1"}


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_parameters_at_zero_are_moved_as_far_as_the_loss_asks_for(unit):
    net = Net((8, 20, 3), 30, unit=unit)
    net.params = {name: value * (name[0] == "W") for name, value in net.params.items()}

    assert net.check().ok
    assert wrong_blocks(net.check(lambda p: {**net.gradient(p), "b1": 1.01 * net.gradient(p)["b1"]})) == {"b1"}


FUNCTIONS = {
    "log of a sum of exponentials": lambda w: anp.log(anp.sum(anp.exp(w))),
    "banana": lambda w: anp.sum(100.0 * (w[1:] - w[:-1] ** 2) ** 2 + (1 - w[:-1]) ** 2),
    "oscillation": lambda w: anp.sum(anp.sin(7 * w) * anp.exp(-w * w)),
    "rational": lambda w: anp.sum(w / (1 + w * w)) / (2 + anp.sum(w * w)),
    "logarithm": lambda w: anp.sum(anp.log(1e-3 + w * w)),
    "determinant": lambda w: anp.linalg.slogdet(anp.outer(w, w) + anp.eye(len(w)))[1],
}


@pytest.mark.parametrize("size", [2, 5, 60])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_gradient_by_autograd_passes_and_one_with_a_wrong_part_does_not(name, size):
    function = FUNCTIONS[name]
    w = np.random.default_rng(size).normal(size=size)
    right = autograd_grad(function)(w)
    at = int(np.argmax(abs(right)))
    wrong = right + 0.01 * right[at] * np.eye(size)[at]

    assert check_gradient(function, autograd_grad(function), w).ok
    report = check_gradient(function, wrong, w)
    assert report.blocks["params"].verdict == "wrong"
    assert report.blocks["params"].worst.index == (at,)


def test_numbers_of_different_units_in_one_block_are_each_judged_by_their_own_size():
    t = np.array([0.0, 1.0, 3.0])  # amplitude, rate and offset of a decay
    theta = np.array([1e6, 1e-3, 5.0])

    def loss(theta):
        return np.sum(theta[0] * np.exp(-theta[1] * t) + theta[2])

    def gradient(theta):
        decay = np.exp(-theta[1] * t)
        return np.array([decay.sum(), -theta[0] * (t * decay).sum(), 3.0])

    assert check_gradient(loss, gradient, theta).ok
    report = check_gradient(loss, lambda th: gradient(th) * [1.001, 1, 1], theta)
    assert report.blocks["params"].worst.index == (0,)
    assert not report.ok


def test_relu_that_turn_near_the_point_do_no_harm():
    w = 1 + np.array([1e-2, -1e-3, 1e-4, -1e-5, 2e-6, -2e-6] * 10)

    assert check_gradient(lambda w: np.sum(np.maximum(w - 1, 0)), lambda w: (w > 1) * 1.0, w).ok


@pytest.mark.parametrize("seed", range(3))
def test_a_hundred_thousand_relu_do_no_harm(seed):
    net = Net((20, 200, 5), 500, "relu", seed)

    report = net.check()

    assert not wrong_blocks(report)
    assert report.ok


# Planted mistakes


PLANTED = [
    ("dropped transpose", {"transpose": False}, {"W1", "b1"}),
    ("missing derivative of the activation", {"derivative": False}, {"W1", "b1"}),
    ("missing 1/n", {"mean": False}, {"W1", "b1", "W2", "b2"}),
]


@pytest.mark.parametrize("sizes", [(3, 4, 4), (20, 30, 30)], ids=["small", "large"])
@pytest.mark.parametrize(("flags", "blocks"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_a_planted_mistake_is_found_in_the_blocks_it_reaches(flags, blocks, sizes):
    net = Net(sizes, n=9)

    report = net.check(lambda p: net.gradient(p, **flags))

    assert wrong_blocks(report) == blocks
    assert all(block.ok for name, block in report.blocks.items() if name not in blocks)
    assert report.worst > 0.01
    right, wrong = net.gradient(net.params), net.gradient(net.params, **flags)
    for name in blocks:
        worst = report.blocks[name].worst
        assert worst.analytic == pytest.approx(wrong[name][worst.index], rel=1e-12)
        assert worst.numeric == pytest.approx(right[name][worst.index], rel=1e-4)


@pytest.mark.parametrize("factor", [2.0, -1.0, 0.5, 9.0, 1 / 9, 1.001, 0.0])
@pytest.mark.parametrize("sizes", [(3, 4, 4), (20, 30, 30)], ids=["small", "large"])
def test_a_constant_factor_is_named(factor, sizes):
    net = Net(sizes, n=9)

    report = net.check(lambda p: {**net.gradient(p), "W2": factor * net.gradient(p)["W2"]})

    assert wrong_blocks(report) == {"W2"}
    assert report.blocks["W2"].factor == pytest.approx(factor, rel=1e-6)
    expected = abs(factor - 1) / max(1, abs(factor))
    assert report.blocks["W2"].worst.relative_error == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        (2.0, "analytic = 2 * numeric in all entries looked at"),
        (-1.0, "analytic = -1 * numeric in all entries looked at"),
        (1 / 150, "analytic = 1/150 * numeric in all entries looked at"),
        (0.123, "analytic = 0.123 * numeric in all entries looked at"),
        (0.0, "analytic is zero in all entries looked at"),
    ],
)
def test_a_factor_is_printed_as_people_say_it(factor, said):
    report = check_gradient(lambda w: np.sum(w**2), lambda w: 2 * factor * w, np.arange(1.0, 5.0))

    assert said in str(report)


def test_no_factor_is_claimed_where_entries_differ_in_it():
    report = check_gradient(lambda w: np.sum(w**2), lambda w: 2 * w * [2, 2, 2, 3], np.arange(1.0, 5.0))

    assert report.blocks["params"].factor is None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("change", [1.0, -2.0, 1e-2, 1e-4])
def test_one_wrong_entry_in_ten_thousand_is_found_and_located(change, seed):
    net = Net((100, 100, 10), 20, seed=seed)
    right = net.gradient(net.params)["W1"]
    order = np.argsort(abs(right), axis=None)
    at = np.unravel_index(order[6000 + seed], right.shape)  # neither small nor among the largest

    def wrong(params):
        gradient = net.gradient(params)
        gradient["W1"][at] *= 1 + change
        return gradient

    report = net.check(wrong)

    assert wrong_blocks(report) == {"W1"}
    assert report.blocks["W1"].worst.index == at
    assert report.blocks["W1"].relative_error > 1e-6


def test_two_equal_errors_of_opposite_sign_do_not_cancel():
    target = np.random.default_rng(0).normal(size=(30, 30))
    wrong = np.zeros((30, 30))
    wrong[3, 4], wrong[20, 7] = 0.5, -0.5
    w = np.zeros((30, 30))

    report = check_gradient(lambda w: np.sum((w - target) ** 2), lambda w: 2 * (w - target) + wrong, w)

    assert not report.ok
    assert report.blocks["params"].worst.index in {(3, 4), (20, 7)}


def test_a_tiny_wrong_bias_does_not_hide_behind_a_huge_weight():
    rng = np.random.default_rng(0)
    params = {"W": 1e6 * rng.normal(size=(40, 30)), "b": 1e-9 * rng.normal(size=(1, 30))}

    def loss(params):
        return 1e-12 * np.sum(params["W"] ** 2) + 1e-3 * np.sum(np.sin(1e6 * params["b"]))

    def gradient(params, bias=1.0):
        return {"W": 2e-12 * params["W"], "b": bias * 1e3 * np.cos(1e6 * params["b"])}

    assert check_gradient(loss, gradient, params).ok
    report = check_gradient(loss, lambda p: gradient(p, bias=1.001), params)
    assert wrong_blocks(report) == {"b"}


def test_a_small_wrong_block_is_judged_by_its_own_scale():
    net = Net((8, 20, 3), 30)

    def loss(params):
        return net.loss(params) + 1e-6 * np.sum(np.sin(params["c"]))

    def gradient(params, part=1.0):
        rest = {name: value for name, value in params.items() if name != "c"}
        return {**net.gradient(rest), "c": part * 1e-6 * np.cos(params["c"])}

    params = {**net.params, "c": np.linspace(0, 1, 20)}

    assert check_gradient(loss, gradient, params).ok
    assert wrong_blocks(check_gradient(loss, lambda p: gradient(p, 1.01), params)) == {"c"}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_is_wrong_and_located(bad):
    net = Net()

    def gradient(params):
        found = net.gradient(params)
        found["W2"][3, 1] = bad
        return found

    report = net.check(gradient)

    block = report.blocks["W2"]
    assert block.verdict == "wrong: the gradient is not finite"
    assert block.worst.index == (3, 1)
    assert block.worst.numeric == pytest.approx(net.gradient(net.params)["W2"][3, 1], rel=1e-6)
    assert report.worst == np.inf
    assert wrong_blocks(report) == {"W2"}


# What cannot be judged


@pytest.mark.parametrize("size", [4, 50])
@pytest.mark.parametrize("sign", [-1.0, 0.0, 0.5, 1.0])
def test_a_kink_at_the_point_is_called_one_if_the_gradient_lies_between_its_sides(size, sign):
    w = np.zeros(size)

    report = check_gradient(lambda w: abs(w).sum(), lambda w: np.full(size, sign), w)

    assert report.blocks["params"].verdict == "not smooth here (a kink?)"
    assert not report.ok


@pytest.mark.parametrize("size", [4, 50])
def test_a_gradient_outside_the_sides_of_a_kink_is_wrong(size):
    report = check_gradient(lambda w: abs(w).sum(), lambda w: np.full(size, 3.0), np.zeros(size))

    assert wrong_blocks(report) == {"params"}


def test_a_single_kink_among_smooth_entries_is_located():
    w = np.array([1.0, 2.0, 0.0, 4.0])

    block = check_gradient(lambda w: abs(w).sum(), np.ones(4), w).blocks["params"]

    assert block.verdict == "not smooth here (a kink?)"
    assert block.worst.index == (2,)


@pytest.mark.parametrize(
    ("loss", "elsewhere"),
    [
        (lambda w: np.sum(w > 0) + np.sum(w), 1.0),
        (lambda w: np.sum(np.sqrt(abs(w))), 0.5 * 3**-0.5),
        (lambda w: np.sum(np.cbrt(w)), 3 ** (-2 / 3) / 3),
    ],
    ids=["jump", "cusp", "vertical tangent"],
)
@pytest.mark.parametrize("size", [4, 40])
def test_what_has_no_derivative_at_the_point_is_not_smooth(loss, elsewhere, size):
    w, gradient = np.full(size, 3.0), np.full(size, elsewhere)
    w[1] = gradient[1] = 0

    report = check_gradient(loss, gradient, w)

    assert report.blocks["params"].verdict == "not smooth here (a kink?)"


def test_where_the_loss_ends_there_is_no_difference():
    report = check_gradient(lambda w: np.sum(np.where(w <= 0, w, np.nan)), np.ones(3), np.zeros(3))

    assert report.blocks["params"].verdict == "not smooth here (a kink?)"


def in_float32(net):
    """Return the loss of a network, computed in float32 from its data to its mean."""
    narrow = copy.copy(net)
    narrow.X, narrow.Y = net.X.astype(np.float32), net.Y.astype(np.float32)
    return lambda params: narrow.loss({name: value.astype(np.float32) for name, value in params.items()})


@pytest.mark.parametrize("sizes", [(3, 4, 4), (20, 30, 30)], ids=["small", "large"])
@pytest.mark.parametrize("seed", range(6))
def test_a_loss_in_float32_is_too_coarse_for_a_fine_tolerance_and_good_enough_for_a_coarse_one(sizes, seed):
    net = Net(sizes, 50, seed=seed)

    fine = check_gradient(in_float32(net), net.gradient, net.params)
    coarse = check_gradient(in_float32(net), net.gradient, net.params, tolerance=0.05)

    assert {b.verdict for b in fine.blocks.values()} == {"too coarse to judge: loss computes in float32"}
    assert not fine.ok
    assert coarse.ok


def test_a_float32_loss_that_is_quadratic_can_be_judged_from_far_away():
    w = np.arange(1.0, 5.0)

    assert check_gradient(lambda w: np.float32(np.sum(w * w) / 3), lambda w: 2 * w / 3, w).ok


def test_a_float32_loss_still_shows_a_gradient_of_twice_the_size():
    net = Net((20, 30, 30), 50)

    report = check_gradient(in_float32(net), lambda p: {n: 2 * g for n, g in net.gradient(p).items()}, net.params)

    assert wrong_blocks(report) == {"W1", "b1", "W2", "b2"}


def test_a_gradient_in_float32_is_not_called_wrong_for_its_rounding():
    net = Net((8, 20, 3), 30)

    def rounded(params, error=0.0):
        return {name: (part * (1 + error)).astype(np.float32) for name, part in net.gradient(params).items()}

    assert net.check(rounded).ok
    report = net.check(lambda p: rounded(p, error=4e-6))
    assert {b.verdict for b in report.blocks.values()} == {"too coarse to judge: gradient is not computed in float64"}
    assert wrong_blocks(net.check(lambda p: rounded(p, error=1e-4))) == {"W1", "b1", "W2", "b2"}


def test_noise_in_the_loss_that_is_no_float32_is_too_coarse_as_well():
    def loss(w):
        value = np.sum(w**3)
        return value * (1 + 1e-6 * np.sin(1e12 * value))

    report = check_gradient(loss, lambda w: 3 * w**2, np.arange(1.0, 5.0))

    assert report.blocks["params"].verdict == "too coarse to judge: the differences do not settle (noise in loss?)"


def test_dropout_in_the_loss_is_named():
    net, rng = Net(), np.random.default_rng(0)

    def loss(params):
        return net.loss({**params, "W2": params["W2"] * rng.binomial(1, 0.5, (6, 1))})

    report = check_gradient(loss, net.gradient, net.params)

    assert {b.verdict for b in report.blocks.values()} == {
        "not deterministic: two identical calls of loss differ (dropout? fix random_state)"
    }
    assert not report.ok


def test_a_loss_that_changes_only_later_is_caught_as_well():
    loss, calls = counted(lambda w: np.sum(w**2) + (len(calls) > 12))

    report = check_gradient(loss, lambda w: 2 * w, np.arange(1.0, 30.0))

    assert report.blocks["params"].verdict.startswith("not deterministic: two identical calls of loss")


def test_dropout_in_the_gradient_is_named_for_the_blocks_it_reaches():
    net, rng = Net(), np.random.default_rng(0)

    report = net.check(lambda p: {**net.gradient(p), "b1": rng.normal(size=(1, 6))})

    verdict = "not deterministic: two identical calls of gradient differ (dropout? fix random_state)"
    assert report.blocks["b1"].verdict == verdict
    assert [name for name, block in report.blocks.items() if block.ok] == ["W1", "W2", "b2"]


# Zeros


@pytest.mark.parametrize("size", [5, 50])
@pytest.mark.parametrize("cast", [np.float64, np.float32])
def test_a_block_that_the_loss_ignores_passes_with_a_zero_gradient(size, cast):
    params = {"used": np.arange(1.0, 4.0), "ignored": np.ones(size)}

    def gradient(params):
        return {"used": 2 * params["used"], "ignored": np.zeros(size)}

    report = check_gradient(lambda p: cast(np.sum(p["used"] ** 2)), gradient, params)

    assert report.blocks["ignored"].ok
    assert report.blocks["ignored"].relative_error == 0


@pytest.mark.parametrize("size", [5, 50])
@pytest.mark.parametrize("offset", [0.0, 3.0])
@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-6])
def test_at_a_minimum_both_sides_are_zero_and_pass(size, offset, distance):
    w = np.full(size, 2.0 + distance)

    report = check_gradient(lambda w: np.sum((w - 2) ** 2) + offset, lambda w: 2 * (w - 2), w)

    assert report.ok, report


@pytest.mark.parametrize("size", [5, 50])
def test_a_gradient_that_is_not_zero_at_a_minimum_is_wrong(size):
    w = np.full(size, 2.0)

    report = check_gradient(lambda w: np.sum((w - 2) ** 2), lambda w: 1e-3 * np.ones(size), w)

    assert not report.ok
    assert report.blocks["params"].verdict == "wrong"


def test_a_constant_loss_and_an_empty_block_pass():
    report = check_gradient(lambda p: 0.0, np.zeros_like, np.zeros((0, 3)))

    assert report.ok
    assert report.worst == 0
    assert check_gradient(lambda p: 7.0, np.zeros_like, np.ones((20, 3))).ok


# How the functions are called


def test_parameters_stay_untouched_and_functions_get_float64_copies_of_them():
    params = {"W": np.ones((20, 2), np.float32), "b": np.arange(3.0), "c": 2.5}
    before = {name: np.array(value) for name, value in params.items()}
    kinds = set()

    def loss(given):
        kinds.update((type(given), value.dtype.name) for value in given.values())
        value = sum(np.sum(part**2) for part in given.values())
        for part in given.values():
            part *= 0  # what a careless function does to its arguments
        return value

    def gradient(given):
        for part in given.values():
            part *= 2
        return given

    assert check_gradient(loss, gradient, params).ok
    assert kinds == {(dict, "float64")}
    assert params["W"].dtype == np.float32
    for name, value in before.items():
        np.testing.assert_array_equal(params[name], value)


def test_a_gradient_that_returns_the_same_buffer_each_time_is_read_at_once():
    buffer = np.zeros(30)

    def gradient(w):
        np.multiply(w, 2, out=buffer)
        return buffer

    assert check_gradient(lambda w: np.sum(w**2), gradient, np.arange(1.0, 31.0)).ok


@pytest.mark.parametrize("container", [list, tuple])
def test_a_sequence_of_arrays_is_given_back_as_it_came(container):
    params = container([np.ones((2, 3)), np.arange(4.0)])
    loss, calls = counted(lambda parts: sum(np.sum(part**2) for part in parts))

    report = check_gradient(loss, lambda parts: [2 * part for part in parts], params)

    assert report.ok
    assert list(report.blocks) == ["params[0]", "params[1]"]
    assert {type(call) for call in calls} == {container}


def test_one_array_or_number_is_a_block_called_params():
    assert check_gradient(lambda w: np.sum(w**2), lambda w: 2 * w, np.ones((2, 2))).blocks["params"].shape == (2, 2)
    assert check_gradient(lambda w: w**2, lambda w: 2 * w, 3.0).ok
    assert not check_gradient(lambda w: w**2, lambda w: 3 * w, 3.0).ok


def test_computed_gradients_serve_as_well_as_a_function():
    net = Net()

    assert check_gradient(net.loss, net.gradient(net.params), net.params).ok


def test_a_loss_may_be_an_array_with_one_number():
    assert check_gradient(lambda w: np.array([[np.sum(w**2)]]), lambda w: 2 * w, np.ones(3)).ok


def test_a_loss_may_fail_at_a_distance():
    def loss(w):
        if w[0] <= 0:
            raise ValueError("math domain error")
        return np.log(w[0])

    report = check_gradient(loss, lambda w: 1 / w, np.array([1e-3]))

    assert report.ok


def test_the_same_random_state_gives_the_same_report():
    net = Net((8, 20, 3), 30)

    assert net.check(random_state=3) == net.check(random_state=3)
    assert net.check(random_state=np.random.default_rng(3)) == net.check(random_state=3)
    assert net.check(random_state=4) != net.check(random_state=3)


def test_a_large_network_costs_some_dozen_losses_and_a_wrong_one_a_few_hundred():
    net = Net((784, 128, 10), 5)
    loss, calls = counted(net.loss)

    assert check_gradient(loss, net.gradient, net.params).ok
    right = len(calls)
    assert not check_gradient(loss, lambda p: {**net.gradient(p), "W1": p["W1"]}, net.params).ok

    assert right <= 150
    assert len(calls) - right <= 400


# The report


def test_the_report_is_plain_data():
    report = Net().check()

    assert pickle.loads(pickle.dumps(report)) == report
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.tolerance = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.blocks["W1"].verdict = "ok"


def test_worst_is_the_largest_relative_error():
    net = Net()

    report = net.check(lambda p: {**net.gradient(p), "b1": 2 * net.gradient(p)["b1"]})

    assert report.worst == report.blocks["b1"].relative_error == pytest.approx(0.5, rel=1e-4)


def test_the_table_shows_a_line_per_block_and_what_is_wrong_below_it():
    params = {"W": np.arange(1.0, 41.0).reshape(8, 5), "b": np.ones((1, 3))}

    def gradient(params):
        wrong = 2 * params["W"]
        wrong[2, 3] = 0
        return {"W": wrong, "b": 4 * params["b"]}

    report = check_gradient(lambda p: np.sum(p["W"] ** 2) + np.sum(p["b"] ** 2), gradient, params)

    head, columns, *rows = str(report).splitlines()
    assert head == "gradient check: 0 of 2 ok, worst relative error 6.0e-01, tolerance 1e-06"
    assert columns == "block  shape             error  verdict"
    assert rows == [
        "W      (8, 5)          6.0e-01  wrong",
        "    worst at [2, 3]: analytic 0, numeric 28, error 6.0e-01",
        "b      (1, 3)          5.0e-01  wrong",
        "    worst at [0, 0]: analytic 4, numeric 2, error 5.0e-01",
        "    analytic = 2 * numeric in all entries looked at",
    ]


def test_no_line_of_a_table_is_longer_than_80_columns():
    name = "a_parameter_with_a_name_far_too_long_for_a_table"
    params = {name: 1e-7 * np.ones((3, 1, 4, 1, 5, 9)) / 3, "b" * 30: np.zeros(3)}
    rng = np.random.default_rng(0)

    def loss(params):
        return np.sum(params[name] ** 3) / 7 + np.sum(abs(params["b" * 30]))

    def gradient(params):
        return {name: -1e-7 * params[name], "b" * 30: rng.normal(size=3)}

    table = str(check_gradient(loss, gradient, params))

    assert max(map(len, table.splitlines())) <= 80
    assert "a_parameter_with_..." in table
    assert "two identical calls of gradient differ" in table


# Messages

W = {"W": np.ones((2, 3))}
REFUSED = [
    (DataError, "params must have at least one block, found an empty dict", {"params": {}}),
    (DataError, "params must have at least one block, found an empty list", {"params": []}),
    (
        DataError,
        r"parameter 'W' must be floating-point to be moved by small steps, found int64: pass it as float",
        {"params": {"W": np.arange(3)}},
    ),
    (DataError, "parameter 'W' must be made of real numbers, found str", {"params": {"W": np.array(["a"])}}),
    (DataError, "parameter 'W' must be made of real numbers, found complex128", {"params": {"W": np.ones(2) * 1j}}),
    (DataError, "parameter 'W' must be made of real numbers, found NoneType", {"params": {"W": None}}),
    (DataError, "parameter 'W' must be made of real numbers, found bool", {"params": {"W": np.ones(2, bool)}}),
    (
        DataError,
        "parameter 'W' must be an array, found rows of different lengths",
        {"params": {"W": [[1.0], [1.0, 2.0]]}},
    ),
    (DataError, r"parameter 'W' must be finite, found nan at \[0, 1\]", {"params": {"W": np.array([[1, np.nan]])}}),
    (DataError, r"parameter 'params\[1\]' must be finite, found inf at \[\]", {"params": [1.0, np.inf]}),
    (DataError, "loss must be a function of params, found float", {"loss": 0.5}),
    (ShapeError, r"loss must return one number, found shape \(2,\): sum or average it", {"loss": lambda p: np.ones(2)}),
    (DataError, "the value of loss must be made of real numbers, found NoneType", {"loss": lambda p: None}),
    (DataError, "loss must be finite at params, found nan", {"loss": lambda p: np.nan}),
    (DataError, "gradient must be a mapping, as params is, found tuple", {"gradient": lambda p: (1,)}),
    (
        UnknownNameError,
        r"gradient has a block 'w', params has not; did you mean 'W'\?",
        {"gradient": lambda p: {"w": p["W"]}},
    ),
    (
        UnknownNameError,
        r"gradient must have a block 'b', found \['W'\]",
        {"params": {**W, "b": np.ones(2)}, "gradient": dict},
    ),
    (
        ShapeError,
        r"gradient of 'W' must have the shape of its parameter, \(2, 3\), found \(3, 2\)",
        {"gradient": lambda p: {"W": p["W"].T}},
    ),
    (DataError, "gradient of 'W' must be made of real numbers, found NoneType", {"gradient": lambda p: {"W": None}}),
    (
        DataError,
        "gradient must be a list or tuple, as params is, found ndarray",
        {"params": [np.ones(2)], "gradient": np.ones(2)},
    ),
    (
        DataError,
        "gradient must have 2 arrays, as params has, found 1",
        {"params": [np.ones(2)] * 2, "gradient": [np.ones(2)]},
    ),
    (DataError, "tolerance must be between 0 and 1, found 0", {"tolerance": 0}),
    (DataError, "directions must be at least 1, found 0", {"directions": 0}),
    (DataError, "entries must be at least 1, found -1", {"entries": -1}),
]


@pytest.mark.parametrize(("kind", "message", "changes"), REFUSED, ids=[message for _, message, _ in REFUSED])
def test_what_has_no_meaning_is_refused_in_one_clear_sentence(kind, message, changes):
    def gradient(params):
        if changes.get("gradient") is dict:
            return {"W": params["W"]}
        return {name: 2 * value for name, value in params.items()}

    arguments = {"loss": lambda p: 1.0, "gradient": gradient, "params": W, **changes}
    if changes.get("gradient") is dict:
        arguments["gradient"] = gradient

    with pytest.raises(kind, match=f"^{message}$"):
        check_gradient(**arguments)


def test_a_mistake_inside_the_loss_is_shown_as_it_is():
    with pytest.raises(KeyError, match="no such"):
        check_gradient(lambda p: p["no such"], W, W)


# Properties


@st.composite
def problems(draw):
    """A smooth loss with its gradient at random sizes and scales, and one of its entries."""
    shape = draw(st.lists(st.integers(1, 12), min_size=0, max_size=3).map(tuple))
    seed = draw(st.integers(0, 2**32 - 1))
    unit, gain = (10.0 ** draw(st.integers(-8, 8)) for _ in range(2))
    rng = np.random.default_rng(seed)
    w, A = unit * rng.normal(size=shape), rng.normal(size=shape)

    def loss(w):
        v = w / unit
        return gain * float(np.sum(np.sin(v) * A) + np.mean(v * v))

    def gradient(w):
        v = w / unit
        return gain / unit * (np.cos(v) * A + 2 * v / v.size)

    return loss, gradient, w, int(rng.integers(w.size))


@given(problem=problems(), change=st.sampled_from([-2.0, -1.0, 0.01, 1.0, 1e3]), seed=st.integers(0, 99))
def test_right_passes_and_one_wrong_entry_is_located(problem, change, seed):
    loss, gradient, w, at = problem
    wrong = np.array(gradient(w))
    wrong.flat[at] += change * np.sqrt(np.mean(wrong**2))

    right = check_gradient(loss, gradient, w, random_state=seed)
    found = check_gradient(loss, wrong, w, random_state=seed).blocks["params"]

    assert right.ok, right
    assert found.verdict == "wrong"
    assert found.worst.index == np.unravel_index(at, w.shape)
