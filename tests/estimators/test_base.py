"""What both estimators do alike: parameters, the network, solvers, weights, going on, stopping, and bad input."""

import inspect

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_info, threadpool_limits

import chainrule as cr
from chainrule.engine.programs import EngineStep
from chainrule.errors import DataError, SpecError, UnknownNameError
from chainrule.network import Network
from chainrule.train.hold_out import hold_out
from chainrule.updates import UPDATES, update

ROWS = 60
FIXED = {"tol": 0, "n_iter_no_change": 1000, "random_state": 0}
SHORT = FIXED | {"max_iter": 4, "batch_size": 16}
KINDS = [cr.MLPClassifier, cr.MLPRegressor]
BOTH = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def table(seed=1, rows=ROWS):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((rows, 4))
    return X, np.arange(rows) % 3, rng.random(rows)


X, Y, W = table()


def same(one, other):
    for left, right in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_array_equal(left, right)


def close(one, other, rtol):
    for left, right in zip(one.coefs_ + one.intercepts_, other.coefs_ + other.intercepts_, strict=True):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=1e-14)  # a bias starts at 0: its steps cancel


# Parameters, one by one

WRONG = {
    "hidden_layer_sizes": [0, "100", 2.5],
    "activation": [None, np.tanh],
    "network": [3, ["4 -> 3 softmax"]],
    "loss": [3, np.square],
    "solver": [None, UPDATES["sgd"]],
    "alpha": [-1, "small", np.nan, None],
    "batch_size": [0, 2.5, "all"],
    "learning_rate": ["cosine", 0.1],
    "learning_rate_init": [0, -0.1, "fast", np.inf],
    "power_t": [-1],
    "max_iter": [0, 2.5],
    "shuffle": ["yes"],
    "random_state": ["seed", -1],
    "tol": [-1, np.inf],
    "verbose": ["yes", -1],
    "warm_start": ["yes"],
    "momentum": [-0.1, 1.5],
    "nesterovs_momentum": ["yes"],
    "early_stopping": ["yes"],
    "validation_fraction": [0, 1, -0.5],
    "beta_1": [1, -0.1],
    "beta_2": [1, -0.1],
    "epsilon": [0, -1],
    "n_iter_no_change": [0, 2.5],
    "engine": ["fast", None],
    "n_threads": [0, "all"],
    "callback": ["print"],
}


@BOTH
def test_every_parameter_has_a_constraint_and_a_wrong_value_here(kind):
    parameters = inspect.signature(kind).parameters.keys()

    assert kind._parameter_constraints.keys() == parameters
    assert WRONG.keys() == parameters


@BOTH
@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_parameter_is_explained_in_scikit_learns_sentence(kind, name, value):
    message = rf"^The '{name}' parameter of {kind.__name__} must be .+\. Got .+ instead\.$"

    for method in ("fit", "declare"):
        with pytest.raises(InvalidParameterError, match=message):
            getattr(kind(**{name: value}), method)(X, Y)


@BOTH
@pytest.mark.parametrize("sizes", [(0,), (5, -1), (2.5,), [[2, 3]], (True,), ("5",)])
def test_wrong_hidden_layer_sizes_are_explained(kind, sizes):
    with pytest.raises(ValueError, match=r"^hidden_layer_sizes must be whole numbers of at least 1, got [\[(]"):
        kind(sizes).fit(X, Y)


@BOTH
@pytest.mark.parametrize("sizes", [(7, 3), [7, 3], np.array([7, 3])])
def test_hidden_layer_sizes_may_be_any_sequence(kind, sizes):
    assert [W.shape[1] for W in kind(sizes, **SHORT).fit(X, Y).coefs_[:2]] == [7, 3]


@BOTH
def test_hidden_layer_sizes_may_be_one_number_or_none(kind):
    one, none = kind(5, **SHORT).fit(X, Y), kind((), **SHORT).fit(X, Y)

    assert [W.shape[0] for W in one.coefs_] == [4, 5]
    assert [W.shape[0] for W in none.coefs_] == [4]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"activation": "rleu"}, UnknownNameError, r"^unknown activation 'rleu'; did you mean 'relu'\?$"),
        ({"loss": "squared_eror"}, UnknownNameError, r"^unknown loss 'squared_eror'; did you mean 'squared_error'\?$"),
        ({"loss": "huber(delta=0)"}, ValueError, "huber needs delta > 0, got delta=0"),
        ({"network": "4 -> 3 sotfmax"}, SpecError, r"did you mean 'softmax'\?\n  4 -> 3 sotfmax\n         \^{7}"),
        ({"solver": "adan"}, UnknownNameError, r"^unknown solver 'adan'; did you mean 'adam'\?$"),
        ({"solver": "lbfgs"}, UnknownNameError, r"^unknown solver 'lbfgs'; known names are 'adadelta', 'adagrad'"),
        ({"solver": "rmsprop(rh=0.9)"}, SpecError, r"'rmsprop' has no parameter 'rh'; did you mean 'rho'\?"),
    ],
)
@BOTH
def test_a_wrong_name_is_explained(kind, parameters, error, message):
    with pytest.raises(error, match=message):
        kind(**parameters).fit(X, Y)


# The network


@pytest.mark.parametrize("network", ["4 -> 5 tanh -> 1", Network("4 -> 5 tanh -> 1", penalty="l1(0.1)")])
def test_a_declared_network_is_the_one_that_is_trained(network):
    reg = cr.MLPRegressor(network=network, **SHORT).fit(X, Y)

    assert reg.network_.spec == "4 -> 5 tanh -> 1"
    assert [W.shape for W in reg.coefs_] == [(4, 5), (5, 1)]
    assert str(reg.network_.derive()["dZ2"]) == "dZ2 = (A2 - Y)/n"


def test_a_network_trains_itself_into_an_estimator():
    net = Network("4 -> 5 tanh -> 3 softmax", penalty="l2(0.01)")

    clf = net.fit(X, Y, **SHORT)

    assert isinstance(clf, cr.MLPClassifier)
    assert clf.network_ is net
    assert isinstance(Network("4 -> 1").fit(X, Y, sample_weight=W, **SHORT), cr.MLPRegressor)


def test_alpha_is_the_penalty_of_a_spec_and_is_divided_by_the_rows():
    reg = cr.MLPRegressor(network="4 -> 1", alpha=0.5, **SHORT).fit(X, Y)

    assert str(reg.network_.penalty) == "l2(0.5)/n"


@BOTH
@pytest.mark.parametrize("network", ["4 -> 3 softmax", Network("4 -> 3 softmax")], ids=["spec", "network"])
@pytest.mark.parametrize(
    "parameters",
    [{"hidden_layer_sizes": (5,)}, {"hidden_layer_sizes": np.array([5, 5])}, {"activation": "tanh"}],
    ids=["sizes", "array", "activation"],
)
def test_a_network_and_layers_contradict_each_other(kind, network, parameters):
    with pytest.raises(ValueError, match=r"^network= declares the layers: leave out hidden_layer_sizes and activation"):
        kind(network=network, **parameters).fit(X, Y)


@BOTH
@pytest.mark.parametrize("parameters", [{"loss": "cross_entropy"}, {"alpha": 0.1}], ids=["loss", "alpha"])
def test_a_network_has_its_own_loss_and_penalty(kind, parameters):
    with pytest.raises(ValueError, match=r"^a Network declares its own loss and penalty: leave out loss and alpha"):
        kind(network=Network("4 -> 3 softmax"), **parameters).fit(X, Y)


@BOTH
def test_a_network_of_other_inputs_is_told_its_beginning(kind):
    with pytest.raises(ValueError, match=r"^the network takes 5 inputs and X has 4 columns: begin it with 4"):
        kind(network="5 -> 3 softmax").fit(X, Y)


@BOTH
def test_a_declared_estimator_has_its_network_and_is_not_fitted(kind):
    estimator = kind((5,)).declare(X, Y)

    assert estimator.network_.inputs == 4
    with pytest.raises(NotFittedError, match=f"This {kind.__name__} instance is not fitted yet"):
        estimator.predict(X)


def test_what_was_fitted_is_described_as_in_scikit_learn():
    clf = cr.MLPClassifier((5, 3), "tanh", **SHORT).fit(X, Y)

    assert [W.shape for W in clf.coefs_] == [(4, 5), (5, 3), (3, 3)]
    assert [b.shape for b in clf.intercepts_] == [(5,), (3,), (3,)]
    assert (clf.n_layers_, clf.n_outputs_, clf.out_activation_) == (4, 3, "softmax")
    assert (clf.n_iter_, clf.t_, len(clf.loss_curve_), clf.n_features_in_) == (4, 4 * ROWS, 4, 4)
    assert clf.loss_ == clf.loss_curve_[-1]
    assert clf.best_loss_ == min(clf.loss_curve_)
    assert clf.validation_scores_ is clf.best_validation_score_ is None
    assert clf.reason_ == "all 4 epochs done"


def test_a_layer_without_bias_has_intercepts_of_0():
    reg = cr.MLPRegressor(network="4 -> 5 tanh nobias -> 1", **SHORT).fit(X, Y)

    assert not reg.intercepts_[0].any()
    assert reg.intercepts_[1].any()


# Solvers


@BOTH
@pytest.mark.parametrize("solver", UPDATES)
def test_every_update_rule_is_a_solver_that_learns(kind, solver):
    rate = {"adadelta": 1.0, "adagrad": 0.05}.get(solver, 0.01)

    estimator = kind((5,), solver=solver, learning_rate_init=rate, **FIXED, max_iter=30, batch_size=16).fit(X, Y)

    assert estimator.loss_curve_[-1] < 0.97 * estimator.loss_curve_[0]


def fitted_with(**parameters):
    return cr.MLPRegressor((5,), **SHORT | parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"solver": "sgd(lr=0.05)"}, {"solver": "sgd", "learning_rate_init": 0.05}),
        ({"solver": "sgd", "momentum": 0.5}, {"solver": "nesterov(mu=0.5)"}),
        ({"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False}, {"solver": "momentum(mu=0.5)"}),
        ({"solver": "momentum", "momentum": np.float64(0.5)}, {"solver": "momentum(mu=0.5)"}),
        ({"solver": "nesterov(0.05, 0.5)"}, {"solver": "nesterov(mu=0.5)", "learning_rate_init": 0.05}),
        ({"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3}, {"solver": "adam(beta1=0.5, beta2=0.9, eps=1e-3)"}),
        ({"solver": "adamw(decay=0.1)", "beta_1": 0.5}, {"solver": "adamw(beta1=0.5, decay=0.1)"}),
        ({"solver": "rmsprop", "epsilon": 0.5}, {"solver": "rmsprop(eps=1e-8)"}),
        ({"solver": "rmsprop"}, {"solver": "rmsprop(rho=0.9)"}),
    ],
    ids=str,
)
def test_two_ways_to_say_one_solver(one, other):
    same(fitted_with(**one), fitted_with(**other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"solver": "sgd", "momentum": 0.0}, {"solver": "sgd"}),
        ({"solver": "rmsprop(rho=0.95)"}, {"solver": "rmsprop"}),
        ({"beta_1": 0.5}, {}),
        ({"alpha": 1.0}, {}),
        ({"shuffle": False}, {}),
        ({"random_state": 1}, {}),
    ],
    ids=str,
)
def test_a_parameter_changes_the_training(one, other):
    assert not np.allclose(fitted_with(**one).coefs_[0], fitted_with(**other).coefs_[0])


# Rates


def rates(**parameters):
    epochs = []
    cr.MLPRegressor((3,), **SHORT | parameters, callback=epochs.append).fit(X, Y)
    return [epoch.learning_rate for epoch in epochs]


def test_the_learning_rate_follows_its_schedule():
    sgd = {"solver": "sgd", "learning_rate_init": 0.05}

    assert rates(**sgd) == [0.05] * 4
    assert rates(**sgd, learning_rate="invscaling", power_t=0.25) == [
        0.05 / (ROWS * epoch + (epoch > 0)) ** 0.25 if epoch else 0.05 for epoch in range(4)
    ]
    adaptive = {"learning_rate": "adaptive", "tol": 100.0, "n_iter_no_change": 1}
    with pytest.warns(ConvergenceWarning):
        assert rates(**sgd, **adaptive, max_iter=6) == [0.05, 0.05, 0.05, 0.01, 0.01, 0.002]


def test_as_in_scikit_learn_adam_has_no_schedule_and_the_others_have():
    assert rates(solver="adam", learning_rate="invscaling") == [0.001] * 4
    assert rates(solver="rmsprop", learning_rate="invscaling")[1] == 0.001 / 61**0.5


# Weights


@BOTH
def test_a_weight_of_2_is_the_row_twice(kind):
    """In one minibatch, the penalty by the sum of weights included."""
    twice = np.arange(ROWS) % 4 == 0
    whole = FIXED | {"max_iter": 5, "batch_size": 2 * ROWS, "alpha": 0.5, "shuffle": False}

    weighted = kind((5,), **whole).fit(X, Y, sample_weight=1.0 + twice)

    repeated = kind((5,), **whole).fit(np.vstack([X, X[twice]]), np.hstack([Y, Y[twice]]))
    close(weighted, repeated, rtol=1e-9)
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-12)


@BOTH
def test_a_weight_of_0_leaves_the_row_out(kind):
    counts = np.arange(ROWS) % 4 > 0
    whole = FIXED | {"max_iter": 5, "batch_size": 2 * ROWS, "alpha": 0.5, "shuffle": False}

    weighted = kind((5,), **whole).fit(X, Y, sample_weight=counts)

    close(weighted, kind((5,), **whole).fit(X[counts], Y[counts]), rtol=1e-9)


@BOTH
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros(ROWS), "at least one non-zero"),
        (-np.ones(ROWS), "Negative values in data passed to `sample_weight`"),
        (np.full(ROWS, np.nan), "Input sample_weight contains NaN"),
        (np.full(ROWS, 1e-320), "sample weights have a sum between .* in float64, got 6e-319: rescale them"),
        (np.full(ROWS, 1e308), "sample weights have a sum between .* in float64, got inf: rescale them"),
        (np.ones(ROWS - 1), r"sample_weight.shape == \(59,\), expected \(60,\)"),
    ],
    ids=["zero", "negative", "nan", "tiny", "huge", "short"],
)
def test_wrong_weights_are_explained(kind, method, weights, message):
    classes = {"classes": [0, 1, 2]} if (kind, method) == (cr.MLPClassifier, "partial_fit") else {}

    with pytest.raises(ValueError, match=message):
        getattr(kind((3,)), method)(X, Y, sample_weight=weights, **classes)


# Going on


def passes(estimator, count, **options):
    first = {"classes": [0, 1, 2]} if isinstance(estimator, cr.MLPClassifier) else {}
    for number in range(count):
        estimator.partial_fit(X, Y, **options, **({} if number else first))
    return estimator


@BOTH
@pytest.mark.parametrize("solver", ["sgd", "adam", "rmsprop"])
def test_passes_one_by_one_are_a_fit_of_as_many_epochs(kind, solver):
    parameters = SHORT | {"hidden_layer_sizes": (5,), "solver": solver}

    whole, parts = kind(**parameters).fit(X, Y, sample_weight=W), passes(kind(**parameters), 4, sample_weight=W)

    same(parts, whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, parts.t_, parts.best_loss_) == (1, whole.t_, whole.best_loss_)
    assert parts.reason_ == "one pass over the rows"


def test_passes_go_on_through_a_schedule_and_dropout():
    parameters = SHORT | {"solver": "sgd", "learning_rate": "invscaling", "network": "4 -> 5 relu dropout=0.5 -> 1"}

    whole, parts = cr.MLPRegressor(**parameters).fit(X, Y), passes(cr.MLPRegressor(**parameters), 4)

    same(parts, whole)


@BOTH
def test_a_pass_after_a_fit_goes_on(kind):
    longer = kind((5,), **SHORT | {"max_iter": 5}).fit(X, Y)

    same(kind((5,), **SHORT).fit(X, Y).partial_fit(X, Y), longer)


def test_a_pass_with_another_solver_begins_its_memory_anew():
    reg = fitted_with(solver="momentum(mu=0.5)")

    reg.set_params(solver="adam").partial_fit(X, Y)

    assert "beta1_t" in reg._states
    assert all(np.isfinite(W).all() for W in reg.coefs_)


@BOTH
def test_a_pass_without_and_with_weights(kind):
    plain, weighted = (passes(kind((5,), **SHORT), 3) for _ in range(2))

    plain.partial_fit(X, Y)
    weighted.partial_fit(X, Y, sample_weight=np.full(ROWS, 3.0))

    close(weighted, plain, rtol=1e-6)  # the penalty is divided by another sum of weights


@BOTH
def test_a_warm_start_goes_on(kind):
    parameters = FIXED | {"solver": "sgd", "momentum": 0.0, "batch_size": 16}
    warm = kind((5,), warm_start=True, max_iter=3, **parameters)

    warm.fit(X, Y).fit(X, Y)

    whole = kind((5,), max_iter=6, **parameters).fit(X, Y)
    same(warm, whole)
    assert warm.loss_curve_ == whole.loss_curve_
    assert (warm.n_iter_, warm.t_) == (3, 6 * ROWS)


@BOTH
def test_without_a_warm_start_a_fit_begins_anew(kind):
    estimator = kind((5,), **SHORT).fit(X, Y)
    curve = list(estimator.loss_curve_)

    assert estimator.fit(X, Y).loss_curve_ == curve


def test_a_warm_start_takes_the_new_alpha():
    reg = cr.MLPRegressor((5,), warm_start=True, **SHORT).fit(X, Y)

    reg.set_params(alpha=1e4, max_iter=100, learning_rate_init=0.01).fit(X, Y)

    assert np.abs(reg.coefs_[0]).max() < 0.02


@BOTH
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_training_cannot_go_on_as_another_network(kind, method):
    estimator = kind((5,), warm_start=True, **SHORT).fit(X, Y)

    with pytest.raises(ValueError, match=r"cannot go on from 4 -> 5 relu .* as 4 -> 7 relu .*: fit anew$"):
        getattr(estimator.set_params(hidden_layer_sizes=(7,)), method)(X, Y)


# When training ends


@BOTH
def test_the_loss_falls_in_every_step_of_a_small_full_batch_descent(kind):
    estimator = kind((5,), "tanh", solver="sgd", momentum=0, batch_size=ROWS, max_iter=50, **FIXED).fit(X, Y)

    assert (np.diff(estimator.loss_curve_) < 0).all()


@BOTH
def test_training_ends_when_the_loss_stands_still(kind):
    estimator = kind((5,), max_iter=500, tol=0.5, n_iter_no_change=3, random_state=0).fit(X, Y)

    assert estimator.n_iter_ < 20
    assert estimator.reason_ == "training loss did not improve by 0.5 for 3 epochs in a row"


@BOTH
def test_a_training_that_was_too_short_warns_its_caller(kind):
    with pytest.warns(
        ConvergenceWarning, match=r"^stochastic optimizer reached max_iter=2 before .*: raise max_iter$"
    ) as w:
        kind((5,), max_iter=2).fit(X, Y)

    assert w[0].filename == __file__


@BOTH
def test_early_stopping_keeps_the_best_epoch(kind):
    parameters = {"early_stopping": True, "validation_fraction": 0.3, "learning_rate_init": 0.1, "random_state": 0}
    stopped = kind((20,), max_iter=300, n_iter_no_change=15, **parameters).fit(X, Y)

    best = int(np.argmax(stopped.validation_scores_)) + 1

    assert best < stopped.n_iter_ < 300
    assert stopped.reason_ == "validation score did not improve by 0.0001 for 15 epochs in a row"
    assert stopped.best_validation_score_ == max(stopped.validation_scores_)
    assert len(stopped.validation_scores_) == len(stopped.loss_curve_) == stopped.n_iter_
    assert stopped.best_loss_ is None
    same(stopped, kind((20,), max_iter=best, tol=0, **parameters).fit(X, Y))


@BOTH
def test_the_validation_score_is_the_score_on_the_rows_held_out(kind, monkeypatch):
    parts = []

    def watched(*given):
        parts.append(hold_out(*given))
        return parts[-1]

    monkeypatch.setattr("chainrule.estimators.base.hold_out", watched)
    estimator = kind((5,), early_stopping=True, warm_start=True, **SHORT | {"max_iter": 1})

    estimator.fit(X, Y, sample_weight=W).fit(X, Y, sample_weight=W)

    (_, first), (_, held) = parts
    truth = held["Y"].argmax(axis=1) if kind is cr.MLPClassifier else held["Y"][:, 0]
    assert estimator.validation_scores_ == [
        pytest.approx(estimator.score(held["X"], truth, held["w"][:, 0]), rel=1e-12)
    ]
    np.testing.assert_array_equal(held["X"], first["X"])  # in a warm start too: no row is trained on and scored


@BOTH
def test_rows_that_cannot_be_held_out_are_explained(kind):
    few = kind((3,), early_stopping=True)

    with pytest.raises(
        DataError, match=r"too few to score on: raise validation_fraction$|cannot hold out 0.1 of 6 rows"
    ):
        few.fit(X[:6], Y[:6])
    with pytest.raises(DataError, match="the weights of all rows held out, or of all others, are 0"):
        few.fit(X, Y, sample_weight=np.arange(ROWS) == 0)


@BOTH
def test_one_pass_holds_nothing_out(kind):
    with pytest.raises(ValueError, match=r"^partial_fit does not support early_stopping=True: hold out rows yourself"):
        passes(kind((3,), early_stopping=True), 1)


# Reports and interrupts


def test_verbose_prints_a_line_for_every_epoch_and_why_it_ended(capsys):
    cr.MLPRegressor((3,), verbose=True, **SHORT).fit(X, Y)

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("epoch    1/4  loss ")
    assert lines[-1] == "all 4 epochs done"


def test_a_silent_fit_prints_nothing(capsys):
    fitted_with()

    assert capsys.readouterr() == ("", "")


@BOTH
def test_the_callback_is_called_with_every_epoch(kind):
    epochs = []

    estimator = kind((3,), callback=epochs.append, early_stopping=True, validation_fraction=0.3, **SHORT).fit(X, Y)

    assert [(epoch.number, epoch.of) for epoch in epochs] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [epoch.loss for epoch in epochs] == estimator.loss_curve_
    assert [epoch.score for epoch in epochs] == estimator.validation_scores_


def raise_in(number, error):
    def callback(epoch):
        if epoch.number == number:
            raise error

    return callback


@BOTH
def test_an_interrupt_keeps_the_last_whole_epoch(kind):
    estimator = kind((5,), callback=raise_in(3, KeyboardInterrupt()), **SHORT)

    with pytest.warns(
        UserWarning, match=r"^training was interrupted after 3 of 4 epochs: the last whole epoch is kept$"
    ):
        estimator.fit(X, Y)

    assert estimator.n_iter_ == 3
    same(estimator, kind((5,), **SHORT | {"max_iter": 3}).fit(X, Y))


@BOTH
@pytest.mark.filterwarnings("ignore:training was interrupted")
def test_an_interrupt_just_after_the_last_step_of_an_epoch_keeps_the_epoch_before(kind, monkeypatch):
    """What has been computed and not yet been noted is as if it had not been."""
    real, calls = EngineStep.epoch, []

    def interrupted(*arguments):
        found = real(*arguments)
        calls.append(found)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return found

    expected = kind((5,), **SHORT | {"max_iter": 3}).fit(X, Y)
    monkeypatch.setattr(EngineStep, "epoch", interrupted)

    estimator = kind((5,), **SHORT).fit(X, Y)

    assert len(calls) == 4
    assert (estimator.n_iter_, len(estimator.loss_curve_)) == (3, 3)
    same(estimator, expected)


@BOTH
def test_an_error_of_a_callback_is_raised_and_the_last_whole_epoch_is_kept(kind):
    estimator = kind((5,), callback=raise_in(2, ZeroDivisionError("mine")), **SHORT)

    with pytest.raises(ZeroDivisionError, match="mine"):
        estimator.fit(X, Y)

    assert (estimator.n_iter_, estimator.reason_) == (2, "ended by an error")
    same(estimator, kind((5,), **SHORT | {"max_iter": 2}).fit(X, Y))


@BOTH
def test_an_interrupt_before_an_epoch_is_whole_leaves_nothing_fitted(kind, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    estimator = kind((5,), **SHORT).fit(X, Y)
    monkeypatch.setattr("chainrule.train.loop.one_epoch", interrupt)

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(X, Y)

    with pytest.raises(NotFittedError, match="is not fitted yet"):
        estimator.predict(X)


# Divergence


DESCENT = SHORT | {"solver": "sgd", "momentum": 0}


def test_training_that_diverges_keeps_the_last_whole_epoch():
    reg = cr.MLPRegressor((), **DESCENT | {"batch_size": ROWS, "learning_rate_init": 1e100})

    with pytest.raises(
        FloatingPointError, match=r"^training diverged in epoch 3, at a learning rate of 1e\+100: a smaller"
    ):
        reg.fit(X, Y)

    assert reg.n_iter_ == len(reg.loss_curve_) == 2
    assert np.isfinite(reg.predict(X)).all()


@BOTH
def test_training_that_diverges_at_once_leaves_nothing_fitted(kind):
    estimator = kind((5,), **DESCENT).fit(X, Y).set_params(learning_rate_init=1e10)

    with pytest.raises(FloatingPointError, match="training diverged in epoch 1"):
        estimator.fit(X * 1e305, Y)

    with pytest.raises(NotFittedError, match="is not fitted yet"):
        estimator.predict(X)


@BOTH
def test_a_pass_that_diverges_changes_nothing(kind):
    estimator = kind((5,), **DESCENT).fit(X, Y).set_params(learning_rate_init=1e10)
    before, curve = [W.copy() for W in estimator.coefs_], list(estimator.loss_curve_)

    with pytest.raises(FloatingPointError, match="training diverged in epoch 5"):
        estimator.partial_fit(X * 1e305, Y)

    np.testing.assert_array_equal(estimator.coefs_[0], before[0])
    assert (estimator.loss_curve_, estimator.n_iter_) == (curve, 4)


# Numbers


@BOTH
@pytest.mark.parametrize(("given", "kept"), [(np.float32, np.float32), (np.float64, np.float64), (int, np.float64)])
def test_float32_stays_float32_and_all_else_is_float64(kind, given, kept):
    A = (4 * X).astype(given)

    estimator = kind((5,), **SHORT).fit(A, Y, sample_weight=W).partial_fit(A, Y)

    assert {array.dtype for array in estimator.coefs_ + estimator.intercepts_} == {np.dtype(kept)}
    assert {np.asarray(state).dtype for state in estimator._states.values() if np.ndim(state)} == {np.dtype(kept)}
    outputs = estimator.predict_proba(A) if kind is cr.MLPClassifier else estimator.predict(A)
    assert outputs.dtype == kept


@BOTH
def test_float32_is_float64_to_its_precision(kind):
    single, double = (kind((5,), **SHORT).fit(X.astype(dtype), Y) for dtype in (np.float32, np.float64))

    np.testing.assert_allclose(single.coefs_[0], double.coefs_[0], rtol=1e-3, atol=1e-5)


@BOTH
def test_one_seed_gives_the_same_bits_in_any_memory_order(kind):
    one = kind((5,), **SHORT).fit(X, Y)

    for A in (X.copy(), np.asfortranarray(X), np.hstack([X, X])[:, :4], X.tolist()):
        same(kind((5,), **SHORT).fit(A, Y), one)


@BOTH
def test_a_random_state_is_drawn_from_and_no_seed_is_new_each_time(kind):
    state = np.random.RandomState(0)
    runs = [kind((5,), **SHORT | {"random_state": each}).fit(X, Y) for each in (state, state, None, None)]

    assert len({float(run.coefs_[0][0, 0]) for run in runs}) == 4
    same(runs[0], kind((5,), **SHORT).fit(X, Y))


@pytest.mark.parametrize(("n_threads", "seen"), [(1, 1), (2, 2), (None, 1)])
def test_products_take_the_threads_they_are_told_and_one_where_work_is_small(n_threads, seen):
    counts = []

    def count(_):
        counts.extend(each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas")

    with threadpool_limits(3, "blas"):
        reg = fitted_with(n_threads=n_threads, callback=count, engine="numpy")
        outside = {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    assert set(counts) == {seen}
    assert outside == {3}
    close(reg, fitted_with(), rtol=1e-9)


# Bad data

BAD = {
    "nan": (np.where(np.arange(4) == 1, np.nan, X), Y, r"^Input X contains NaN"),
    "infinite": (np.where(np.arange(4) == 1, np.inf, X), Y, r"^Input X contains infinity or a value too large"),
    "empty": (X[:0], Y[:0], r"^Found array with 0 sample\(s\) \(shape=\(0, 4\)\) while a minimum of 1 is required"),
    "no columns": (X[:, :0], Y, r"^Found array with 0 feature\(s\) \(shape=\(60, 0\)\)"),
    "3-D": (X.reshape(ROWS, 2, 2), Y, r"^Found array with dim 3, while dim <= 2 is required by MLP"),
    "1-D": (X[:, 0], Y, r"^Expected 2D array, got 1D array instead"),
    "lengths": (X, Y[1:], r"^Found input variables with inconsistent numbers of samples: \[60, 59\]$"),
    "text": (np.full((ROWS, 4), "x"), Y, "^X holds the text 'x' in row 0, column 0: encode texts as numbers before"),
    "complex": (X * 1j, Y, r"^Complex data not supported"),
    "target nan": (X, np.where(Y == 1, np.nan, Y), "Input y contains NaN"),
    "no target": (X, None, "requires y to be passed, but the target y is None"),
}


@BOTH
@pytest.mark.parametrize("case", BAD)
def test_bad_data_are_explained_in_a_sentence(kind, case):
    A, y, message = BAD[case]

    for method in ("fit", "declare"):
        with pytest.raises(ValueError, match=message):
            getattr(kind((3,)), method)(A, y)


@BOTH
def test_bad_data_for_a_prediction_are_explained(kind):
    estimator = kind((3,), **SHORT).fit(X, Y)

    with pytest.raises(ValueError, match=rf"^X has 3 features, but {kind.__name__} is expecting 4 features as input"):
        estimator.predict(X[:, :3])
    with pytest.raises(ValueError, match="Input X contains NaN"):
        estimator.predict(X * np.nan)
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        estimator.predict(X[:0])


def test_a_rule_of_ones_own_is_the_one_that_runs():
    @update
    def plain(p, lr=0.01):
        """W - lr dW, which is sgd's, under another name."""
        p.next(p.parameter, p.parameter - lr * p.gradient)

    X = np.random.default_rng(0).normal(size=(20, 3))
    y = (X[:, 0] > 0).astype(int)
    own, same = (
        cr.MLPClassifier((4,), max_iter=3, tol=0, random_state=0, **solver).fit(X, y)
        for solver in ({"solver": "plain"}, {"solver": "sgd", "momentum": 0})
    )

    np.testing.assert_array_equal(own.coefs_[0], same.coefs_[0])


class Frame:
    """What of a data frame says where a text is."""

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns

    def __array__(self, dtype=None, copy=None):
        return np.array(self.rows, dtype or object)


def test_a_text_in_X_is_named_with_its_row_and_column():
    rows = [[1.0, "3"], [2.0, "red"], [3.0, "4"]]
    message = r"^X holds the text 'red' in row 1, column {}: encode texts as numbers before, such as by sklearn"

    with pytest.raises(DataError, match=message.format("1")):
        cr.MLPRegressor(**SHORT).fit(rows, [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=message.format("'colour'")):
        cr.MLPRegressor(**SHORT).fit(Frame(rows, ["size", "colour"]), [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match=message.format("1")):
        fitted_with().predict(rows)
