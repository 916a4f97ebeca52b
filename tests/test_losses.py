"""Losses: every value and gradient against the formula by hand; which pairs, parameters and targets have meaning."""

import copy
import math
import pickle

import autograd
import numpy as np
import pytest
from loss_references import REFERENCES, draw, reduced

import chainrule as cr
from chainrule.activations import activations
from chainrule.errors import DataError, PairError, ShapeError, SpecError, UnknownNameError
from chainrule.expr import OPS
from chainrule.functions import FUNCTIONS, Interval
from chainrule.losses import LOSSES, check_pair, find_loss, loss

SETTINGS = [(name, values) for name, reference in REFERENCES.items() for values in reference.settings]

A, Y, W = cr.matrix("A", "n", "k"), cr.matrix("Y", "n", "k"), cr.matrix("w", "n", 1, role="weight")


def test_every_loss_is_tested():
    assert LOSSES.keys() == REFERENCES.keys()
    assert set(cr.losses.__all__) >= LOSSES.keys()  # and the functions that two of them apply


@pytest.mark.parametrize(("name", "values"), SETTINGS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_value_and_gradient_are_those_of_the_formula(name, values, weighted, reduction):
    a, y = draw(name)
    w = np.array([1.0, 0.0, 2.5, 0.5, 3.0, 1e-3]) if weighted else None
    expected = lambda a: reduced(name, REFERENCES[name].entries(a, y, *values), w, reduction)

    built = LOSSES[name](A, Y, *values, weights=W if weighted else None, reduction=reduction)
    (dA,) = cr.gradient(built, A)
    given = {"A": a, "Y": y, "w": None if w is None else w[:, None]}

    np.testing.assert_allclose(cr.evaluate(built, given), [[expected(a)]], rtol=1e-13)
    np.testing.assert_allclose(cr.evaluate(dA, given), autograd.grad(expected)(a), rtol=1e-12, atol=1e-16)


@pytest.mark.oracle
@pytest.mark.parametrize(("name", "values"), [(n, v) for n, v in SETTINGS if REFERENCES[n].torch])
def test_value_and_gradient_are_those_of_pytorch(name, values):
    import torch

    a, y = draw(name)
    tensor = torch.tensor(a, requires_grad=True)
    out = REFERENCES[name].torch(torch.nn.functional, tensor, torch.tensor(y), *values)
    total = out.mean() if REFERENCES[name].over_entries else out.sum() / len(a)
    total.backward()

    built = LOSSES[name](A, Y, *values)
    (dA,) = cr.gradient(built, A)

    np.testing.assert_allclose(cr.evaluate(built, {"A": a, "Y": y}), [[total.item()]], rtol=1e-12)
    np.testing.assert_allclose(cr.evaluate(dA, {"A": a, "Y": y}), tensor.grad.numpy(), rtol=1e-11, atol=1e-16)


@pytest.mark.oracle
@pytest.mark.parametrize("eps", [0.0, 0.1])
def test_softmax_with_cross_entropy_is_that_of_pytorch(eps):
    import torch

    Z, (_, y) = 3 * np.random.default_rng(1).standard_normal((6, 3)), draw("cross_entropy")
    tensor = torch.tensor(Z, requires_grad=True)
    expected = torch.nn.functional.cross_entropy(tensor, torch.tensor(y), label_smoothing=eps)
    expected.backward()

    Z1 = cr.matrix("Z1", "n", "k")
    built = cr.cross_entropy(cr.softmax(Z1), Y, eps)
    (dZ,) = cr.gradient(built, Z1)

    np.testing.assert_allclose(cr.evaluate(built, {"Z1": Z, "Y": y}), [[expected.item()]], rtol=1e-12)
    np.testing.assert_allclose(cr.evaluate(dZ, {"Z1": Z, "Y": y}), tensor.grad.numpy(), rtol=1e-11, atol=1e-16)


def test_the_comparison_fails_on_a_planted_half():
    a, y = draw("squared_error")

    wrong = cr.evaluate(cr.half_squared_error(A, Y), {"A": a, "Y": y})

    with pytest.raises(AssertionError):
        np.testing.assert_allclose(wrong, [[reduced("squared_error", (a - y) ** 2)]], rtol=1e-3)


def test_only_the_two_named_mean_average_over_outputs():
    a, y = np.full((2, 4), 3.0), np.full((2, 4), 1.0)
    value = lambda loss: cr.evaluate(loss(A, Y), {"A": a, "Y": y}).item()

    assert value(cr.squared_error) == 16
    assert value(cr.half_squared_error) == 8
    assert value(cr.mean_squared_error) == 4
    assert value(cr.mean_absolute_error) == 2
    assert value(cr.huber) == 6  # 4 (2 - 1/2)


def test_label_smoothing_spreads_eps_over_all_classes():
    p, y = np.array([[0.5, 0.25, 0.25]]), np.array([[1.0, 0.0, 0.0]])

    value = cr.evaluate(cr.cross_entropy(A, Y, label_smoothing=0.3), {"A": p, "Y": y})

    np.testing.assert_allclose(value, [[-(0.8 * math.log(0.5) + 0.1 * math.log(0.25) + 0.1 * math.log(0.25))]])


def test_weights_are_divided_by_their_sum_and_scale_out():
    a, y = draw("huber")
    value = lambda w: cr.evaluate(cr.huber(A, Y, weights=W), {"A": a, "Y": y, "w": w})

    w = np.array([[1.0], [2.0], [0.0], [0.0], [1.0], [4.0]])
    doubled = np.repeat(np.arange(6), w.astype(int).ravel())

    np.testing.assert_allclose(value(w), value(10 * w), rtol=1e-14)
    np.testing.assert_allclose(value(w), cr.evaluate(cr.huber(A, Y), {"A": a[doubled], "Y": y[doubled]}), rtol=1e-14)


@pytest.mark.parametrize(
    ("name", "values", "a", "y", "slope"),
    [
        ("mean_absolute_error", (), 2.0, 2.0, 0.0),
        ("quantile", (0.3,), 2.0, 2.0, -0.3),
        ("hinge", (), 1.0, 1.0, 0.0),
        ("squared_hinge", (), 1.0, 1.0, 0.0),
        ("huber", (0.5,), 2.5, 2.0, 0.5),
        ("log_cosh", (), 2.0, 2.0, 0.0),
    ],
)
def test_where_a_derivative_jumps_a_subgradient_is_used(name, values, a, y, slope):
    (dA,) = cr.gradient(LOSSES[name](A, Y, *values), A)

    assert cr.evaluate(dA, {"A": [[a]], "Y": [[y]]}).item() == slope


# In a network


SCORES = np.array(
    [[0.0, 0.0, 0.0], [1000.0, -1000.0, 0.0], [-1000.0, -999.0, 1000.0], [30.0, 800.0, -30.0], [1e-3, 0, -1e-3]]
)
POINTS = {
    "real": np.array([[0.0, 1.0, -1.0]] * 5),
    "distribution": np.array([[1, 0, 0], [0, 1, 0], [0.2, 0.3, 0.5], [0, 0, 1], [0, 1, 0]]),
    "unit": np.array([[0, 1, 0.5]] * 5),
    "nonnegative": np.array([[0, 1, 7.0]] * 5),
    "signs": np.array([[1, -1, 1.0]] * 5),
}


def on_scores(loss, activation, scores=SCORES):
    """A network whose pre-activations are the inputs, its parameters, and targets of the loss."""
    k = scores.shape[1]
    net = cr.Network(f"{k} -> {k} {activation}", loss=loss)
    return net, {"W1": np.eye(k), "b1": np.zeros((1, k))}, POINTS[REFERENCES[loss].targets]


def allowed(loss, activation):
    try:
        check_pair(LOSSES[loss], activations()[activation], 3)
    except PairError:
        return False
    return True


PAIRS = [(name, f) for name in REFERENCES for f in sorted(activations()) if allowed(name, f)]


@pytest.mark.parametrize(("name", "activation"), PAIRS)
def test_loss_and_gradient_are_finite_at_any_score(name, activation):
    net, params, y = on_scores(name, activation)

    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, gradient = net.loss(params, SCORES, y), net.gradient(params, SCORES, y)

    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradient.values())


def log_sum_exp(Z):
    top = Z.max(axis=1, keepdims=True)
    return top + np.log(np.exp(Z - top).sum(axis=1, keepdims=True))


STABLE = {
    ("cross_entropy", "softmax"): lambda Z, Y: (Y * (log_sum_exp(Z) - Z)).sum(axis=1).mean(),
    ("cross_entropy", "logistic"): lambda Z, Y: (Y * np.logaddexp(0, -Z)).sum(axis=1).mean(),
    ("binary_cross_entropy", "logistic"): lambda Z, Y: (np.logaddexp(0, Z) - Y * Z).sum(axis=1).mean(),
    ("kl_divergence", "softmax"): lambda Z, Y: (
        (Y * (np.log(np.where(Y > 0, Y, 1)) + log_sum_exp(Z) - Z)).sum(axis=1).mean()
    ),
    ("log_cosh", "identity"): lambda Z, Y: (np.logaddexp(Z - Y, Y - Z) - math.log(2)).sum(axis=1).mean(),
}


@pytest.mark.parametrize(("name", "activation"), STABLE)
def test_extreme_scores_have_the_true_loss(name, activation):
    net, params, y = on_scores(name, activation)

    assert net.loss(params, SCORES, y) == pytest.approx(STABLE[name, activation](SCORES, y), rel=1e-14)


@pytest.mark.parametrize(("name", "activation"), PAIRS)
def test_the_stable_form_is_the_formula_at_ordinary_scores(name, activation):
    scores = np.random.default_rng(3).uniform(-2, 2, (5, 3))
    net, params, y = on_scores(name, activation, scores)

    outputs = net.predict(params, scores)
    entries = REFERENCES[name].entries(outputs, y)

    assert net.loss(params, scores, y) == pytest.approx(reduced(name, entries), rel=1e-13)


# Pairs


UNBOUNDED = "identity leaky_relu elu selu celu gelu gelu_tanh silu swish mish hard_swish"  # no range is declared
SILENT = {
    "cross_entropy": {"softmax"},
    "binary_cross_entropy": {"logistic", "sigmoid"},
    "kl_divergence": {"softmax"},
    "poisson": {"softplus"},
}
NOTED = {
    "cross_entropy": {"logistic", "sigmoid"},
    "binary_cross_entropy": set(),
    "kl_divergence": set(),
    "poisson": {"logistic", "sigmoid", "softmax"},
}


@pytest.mark.row(40)
@pytest.mark.parametrize("activation", activations())
@pytest.mark.parametrize("name", REFERENCES)
def test_a_pair_is_silent_or_noted_or_refused(name, activation):
    f = activations()[activation]
    if activation in SILENT.get(name, UNBOUNDED.split()):
        assert check_pair(LOSSES[name], f, 3) is None
    elif activation in NOTED.get(name, activations()):
        usual = LOSSES[name].partner
        note = check_pair(LOSSES[name], f, 3)
        assert f"{name} on {f.name}, whose values lie in" in note
        assert f"usually follows {usual}" in note
    else:
        with pytest.raises(
            PairError, match=rf"^{name} (needs|takes) .*{f.name}.*: end the network in {LOSSES[name].partner}"
        ):
            check_pair(LOSSES[name], f, 3)


@pytest.mark.parametrize("activation", ["logistic", "softmax", "tanh"])
def test_the_classical_pairs_of_half_squared_error_get_one_note(activation):
    net = cr.Network(f"4 -> 2 {activation}", loss="half_squared_error")

    assert len(net.notes) == 1
    assert net.notes[0] in " ".join(str(net.derive()).split())


def test_a_note_names_the_loss_that_an_activation_is_made_for():
    note = check_pair(cr.half_squared_error, cr.logistic, 1)

    assert note.endswith("usually follows identity, and logistic usually goes with binary_cross_entropy")


def test_an_activation_that_declares_its_loss_is_silent_with_it():
    exponential = cr.elementwise(
        "exponential", lambda x: cr.exp(x), activation=True, range=Interval(0), partner="poisson"
    )
    try:
        assert check_pair(cr.poisson, exponential, 1) is None
        assert cr.Network("3 -> 1 exponential").objective is cr.poisson
    finally:
        del FUNCTIONS["exponential"], OPS["exponential"]


@pytest.mark.parametrize(
    ("spec", "loss", "message"),
    [
        (
            "3 -> 2 relu",
            "cross_entropy",
            r"cross_entropy needs probabilities, inside \(0, 1\), and relu gives values in",
        ),
        (
            "3 -> 2 hard_sigmoid",
            "binary_cross_entropy",
            r"hard_sigmoid gives values in \[0, 1\]: end the network in logistic",
        ),
        (
            "3 -> 2 relu",
            "poisson",
            "poisson needs positive outputs.* end the network in softplus, or use the loss half",
        ),
        (
            "3 -> 2 softmax",
            "binary_cross_entropy",
            "takes each output by itself, which softmax does not give.* cross_entropy",
        ),
        ("3 -> 2 logistic", "kl_divergence", "one distribution over the outputs, which logistic does not give"),
        ("3 -> 1 softmax", None, "softmax over one output is always 1: use 1 logistic, or 2 softmax"),
        ("3 -> 1 logistic", "cross_entropy", "no other target than 1.* use the loss binary_cross_entropy"),
        ("3 -> 3 softmax residual", "cross_entropy", r"softmax residual gives values in \(-inf, inf\)"),
    ],
)
def test_a_pair_without_meaning_is_refused_where_it_is_declared(spec, loss, message):
    with pytest.raises(PairError, match=message):
        cr.Network(spec, loss)


# Parameters and words


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.huber(-1), ValueError, "huber needs delta > 0, got delta=-1"),
        (lambda: cr.huber_of(A, -1), ValueError, "huber_of needs delta > 0, got delta=-1"),
        (lambda: cr.huber_of(delta=0), ValueError, "huber_of needs delta > 0, got delta=0"),
        (lambda: cr.huber(math.nan), ValueError, "huber needs delta > 0, got delta=nan"),
        (lambda: cr.quantile(1), ValueError, "quantile needs 0 < q < 1, got q=1"),
        (lambda: cr.cross_entropy(1.0), ValueError, "needs 0 <= label_smoothing < 1, got label_smoothing=1"),
        (lambda: cr.huber(1, 2), SpecError, "too many parameters for 'huber': it takes delta, got 2"),
        (lambda: cr.huber(epsilon=1), SpecError, "'huber' has no parameter 'epsilon'"),
        (lambda: cr.squared_error(2), SpecError, "too many parameters for 'squared_error': it takes none"),
        (lambda: cr.huber("1"), TypeError, "huber takes expressions, or numbers as parameters, got str"),
        (lambda: cr.huber(np.ones((2, 1)), np.ones((2, 1))), TypeError, "huber takes expressions, .* got ndarray"),
        (lambda: cr.huber(A), TypeError, "huber takes two expressions, outputs and targets, got matrix"),
        (lambda: cr.huber(A, 0), TypeError, "huber takes two expressions, outputs and targets, got .* and 0"),
        (lambda: cr.huber(A, cr.matrix("Y", "n", "m")), ShapeError, r"outputs \(n x k\) with targets \(n x m\)"),
        (lambda: cr.huber(A, Y, reduction="maen"), UnknownNameError, "unknown reduction 'maen'; did you mean 'mean'"),
        (lambda: find_loss("hubr"), UnknownNameError, "unknown loss 'hubr'; did you mean 'huber'"),
        (lambda: find_loss("huber(0)"), ValueError, "huber needs delta > 0, got delta=0"),
        (lambda: find_loss("huber(delta=1, 2)"), SpecError, "'2' without a name"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_an_error_in_words(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_parameters_go_by_position_name_or_text():
    a, y = draw("huber")
    value = lambda built: cr.evaluate(built, {"A": a, "Y": y}).item()

    forms = [
        cr.huber(A, Y, 0.3),
        cr.huber(A, Y, delta=0.3),
        cr.huber(0.3)(A, Y),
        cr.huber(delta=0.3)(A, Y),
        find_loss("huber(0.3)")(A, Y),
    ]

    assert len(set(forms)) == 1
    assert value(forms[0]) != value(cr.huber(A, Y))
    assert cr.huber(0.3)(A, Y, 1.0) is cr.huber(A, Y)


@pytest.mark.parametrize("made", [cr.huber, cr.huber(0.1 + 0.2), cr.quantile(1e-9), cr.cross_entropy(1 / 3)])
def test_a_loss_is_read_back_from_its_text_and_from_a_pickle(made):
    for again in (find_loss(str(made)), pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        assert (again.name, again.values) == (made.name, made.values)


def test_a_loss_at_its_defaults_is_the_record_itself():
    assert str(cr.huber) == str(cr.huber(1.0)) == "huber"
    assert find_loss("huber") is cr.huber is pickle.loads(pickle.dumps(cr.huber))


def test_a_duplicate_name_is_an_error():
    with pytest.raises(ValueError, match="there is already a loss named 'huber'"):
        loss("huber", lambda A, Y: A - Y)


def test_a_loss_of_ones_own_is_one_record():
    loss("cubed", lambda A, Y, c=2.0: c * cr.abs(A - Y) * (A - Y) * (A - Y))
    try:
        net = cr.Network("2 -> 1", loss="cubed(3)")
        params = {"W1": np.array([[1.0], [0.0]]), "b1": np.zeros((1, 1))}
        X, y = np.array([[1.0, 5.0], [2.0, 5.0]]), np.zeros(2)

        assert net.loss(params, X, y) == pytest.approx(3 * (1 + 8) / 2, rel=1e-14)
        np.testing.assert_allclose(net.gradient(params, X, y)["b1"], [[9 * (1 + 4) / 2]], rtol=1e-14)
        assert net.derive().verify().ok
    finally:
        del LOSSES["cubed"]


# Targets


WRONG_TARGETS = [
    ("cross_entropy", "2 -> 3 softmax", [[0.5, 0.2, 0.2]] * 2, "rows of probabilities .* got a sum of 0.9 in row 0"),
    ("cross_entropy", "2 -> 3 softmax", [[1, 0, 0], [1.5, -0.5, 0]], "got -0.5 in row 1, column 1"),
    ("kl_divergence", "2 -> 3 softmax", [[1, 1, 0], [1, 0, 0]], "got a sum of 2 in row 0"),
    ("cross_entropy", "2 -> 3 softmax", [0, 3], "labels for 3 outputs are whole numbers from 0 to 2, got 3 in row 1"),
    ("cross_entropy", "2 -> 3 softmax", [-1, 2], "whole numbers from 0 to 2, got -1 in row 0"),
    ("cross_entropy", "2 -> 3 softmax", [0.5, 2], "whole numbers from 0 to 2, got 0.5 in row 0"),
    ("binary_cross_entropy", "2 -> 1 logistic", [0, 2], "numbers from 0 to 1, got 2 in row 1, column 0"),
    ("poisson", "2 -> 1 softplus", [-1, 2], "numbers of at least 0, got -1 in row 0, column 0"),
    ("hinge", "2 -> 1", [0, 1], "targets that are -1 or 1, got 0 in row 0, column 0"),
    ("squared_hinge", "2 -> 2", [[1, -1], [1, 0.5]], "-1 or 1, got 0.5 in row 1, column 1"),
    ("squared_error", "2 -> 1", [np.nan, 1], r"Y holds nan at \[0\]"),
    ("squared_error", "2 -> 1", [[0], [-np.inf]], r"Y holds -inf at \[1, 0\]"),
]


@pytest.mark.parametrize(("name", "spec", "targets", "message"), WRONG_TARGETS)
def test_a_target_outside_the_domain_of_the_loss_is_shown(name, spec, targets, message):
    net = cr.Network(spec, loss=name)

    with pytest.raises(DataError, match=message):
        net.loss(net.init(0), np.ones((2, 2)), targets)


def test_targets_at_the_edge_of_the_domain_are_accepted():
    for name, reference in REFERENCES.items():
        net = cr.Network(f"2 -> 3 {LOSSES[name].partner}", loss=name)

        assert np.isfinite(net.loss(net.init(0), np.ones((5, 2)), POINTS[reference.targets]))


def test_rows_rounded_to_float32_still_sum_to_one():
    rows = np.random.default_rng(0).dirichlet(np.ones(7), 50).astype(np.float32)
    net = cr.Network("2 -> 7 softmax")

    assert rows.sum(axis=1).max() != 1
    assert np.isfinite(net.loss(net.init(0), np.ones((50, 2)), rows))


@pytest.mark.parametrize(
    ("elsewhere", "here"),
    [("nll", "cross_entropy"), ("BCE", "binary_cross_entropy"), ("mse", "mean_squared_error"), ("l1", "mean_absolute")],
)
def test_the_name_that_a_loss_has_elsewhere_is_understood(elsewhere, here):
    with pytest.raises(UnknownNameError, match=rf"^unknown loss {elsewhere!r}; did you mean '{here}"):
        find_loss(elsewhere)


def test_no_name_from_elsewhere_is_that_of_another_loss():
    names = [name for each in LOSSES.values() for name in (each.name, *each.elsewhere)]

    assert len(set(names)) == len(names)
    assert all(name == name.casefold() for name in names)
