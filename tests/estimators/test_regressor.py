"""The regressor: one number or many, in the shape of y; losses of its own; numbers that do not fit."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes
from sklearn.metrics import mean_pinball_loss, r2_score

import chainrule as cr
from chainrule.errors import DataError, PairError, ShapeError
from chainrule.losses import LOSSES
from chainrule.network import Network

FIXED = {"tol": 0, "random_state": 0, "batch_size": 32, "learning_rate_init": 0.01}
SHORT = FIXED | {"max_iter": 3}
LEARNS = FIXED | {"max_iter": 40}

X, Y = load_diabetes(return_X_y=True)
X, Y = X / X.std(axis=0), (Y - Y.mean()) / Y.std()
MANY = np.column_stack([Y, X[:, 2] - Y])


# Shapes


@pytest.mark.parametrize(("y", "shape"), [(Y, (442,)), (Y[:, None], (442, 1)), (MANY, (442, 2))], ids=["1-D", "1", "2"])
def test_predictions_have_the_shape_of_y(y, shape):
    reg = cr.MLPRegressor((16,), **LEARNS).fit(X, y)

    assert reg.predict(X).shape == shape
    assert reg.score(X, y) == r2_score(y, reg.predict(X)) > 0.5
    assert reg.network_.outputs == (2 if shape == (442, 2) else 1)
    assert reg.out_activation_ == "identity"


def test_a_column_is_the_same_as_a_flat_y():
    flat, column = (cr.MLPRegressor((4,), **SHORT).fit(X, y) for y in (Y, Y[:, None]))

    np.testing.assert_array_equal(flat.coefs_[0], column.coefs_[0])
    np.testing.assert_array_equal(flat.predict(X), column.predict(X)[:, 0])


def test_y_may_be_whole_numbers_or_a_list():
    one, other = (
        cr.MLPRegressor((4,), **SHORT).fit(X, y) for y in (np.rint(9 * Y).astype(int), np.rint(9 * Y).tolist())
    )

    np.testing.assert_array_equal(one.predict(X), other.predict(X))


# Losses


def test_half_the_squared_error_is_summed_over_outputs():
    reg = cr.MLPRegressor((4,), alpha=0, warm_start=True, **SHORT | {"batch_size": 442}).fit(X, MANY)
    expected = ((reg.predict(X) - MANY) ** 2).sum() / 2 / 442

    reg.set_params(max_iter=1).fit(X, MANY)

    assert reg.loss_ == pytest.approx(expected, rel=1e-12)


REAL = [name for name, loss in LOSSES.items() if loss.targets == "real"]


@pytest.mark.parametrize("loss", REAL)
def test_every_loss_of_real_numbers_is_learned(loss):
    reg = cr.MLPRegressor((16,), loss=loss, **LEARNS).fit(X, Y)

    assert reg.score(X, Y) > 0.4
    assert str(reg.network_.objective) == loss


def test_a_quantile_lies_above_its_share_of_the_rows():
    reg = cr.MLPRegressor((16,), loss="quantile(0.9)", alpha=0, **LEARNS).fit(X, Y)

    assert np.mean(reg.predict(X) >= Y) == pytest.approx(0.9, abs=0.07)
    # The curve is of the parameters before each step: the last loss is near, and the loss is the pinball loss.
    assert reg.loss_ == pytest.approx(mean_pinball_loss(Y, reg.predict(X), alpha=0.9), rel=0.3)


def test_counts_are_learned_by_poisson_and_stay_positive():
    counts = np.rint(np.exp(1 + Y / 2))

    reg = cr.MLPRegressor((16,), loss="poisson", **LEARNS).fit(X, counts)

    assert reg.out_activation_ == "softplus"
    assert (reg.predict(X) > 0).all()
    assert reg.score(X, counts) > 0.4


def test_a_loss_with_a_parameter_may_be_given_as_text_or_as_itself():
    text, itself = (cr.MLPRegressor((4,), loss=loss, **SHORT).fit(X, Y) for loss in ("huber(0.5)", cr.huber(0.5)))

    np.testing.assert_array_equal(text.coefs_[0], itself.coefs_[0])


@pytest.mark.parametrize("network", ["10 -> 8 tanh -> 1", Network("10 -> 8 tanh -> 1", "huber", penalty="l1(0.001)")])
def test_a_declared_network_learns(network):
    assert cr.MLPRegressor(network=network, **LEARNS).fit(X, Y).score(X, Y) > 0.4


def test_passes_go_on_without_classes():
    whole = cr.MLPRegressor((4,), **SHORT | {"max_iter": 2}).fit(X, MANY)

    parts = cr.MLPRegressor((4,), **SHORT).partial_fit(X, MANY).partial_fit(X, MANY)

    np.testing.assert_array_equal(parts.predict(X), whole.predict(X))


def test_the_validation_score_is_R2():
    reg = cr.MLPRegressor((16,), early_stopping=True, validation_fraction=0.3, **LEARNS).fit(X, MANY)

    assert 0.3 < reg.best_validation_score_ < 1


# Numbers that do not fit


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full(442, "a"), r"^Y holds real numbers, got 'a' at \[0, 0\]$"),
        (np.full(442, "a", object), "could not convert string to float: 'a'"),
        (np.where(Y > 1, np.nan, Y), "Input y contains NaN"),
        (np.where(Y > 1, np.inf, Y), "Input y contains infinity"),
        (Y * 1j, "Complex data not supported"),
        (np.zeros((442, 2, 2)), "Found array with dim 3"),
    ],
    ids=["text", "objects", "nan", "infinite", "complex", "3-D"],
)
def test_targets_that_are_no_numbers_are_explained(y, message):
    with pytest.raises(ValueError, match=message):
        cr.MLPRegressor((4,)).fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "y", "error", "message"),
    [
        ({"network": "10 -> 3"}, Y, ShapeError, r"Y of shape \(442 x 3\), got \(442 x 1\)$"),
        ({"network": "10 -> 1"}, MANY, ShapeError, r"Y of shape \(442 x 1\), got \(442 x 2\)$"),
        ({"loss": "poisson"}, Y, DataError, "the loss takes targets that are numbers of at least 0, got -"),
        ({"loss": "hinge"}, Y, DataError, "the loss takes targets that are -1 or 1, got "),
        ({"loss": "cross_entropy"}, Y, PairError, "softmax over one output is always 1"),
    ],
)
def test_a_network_or_a_loss_that_does_not_fit_the_numbers_is_explained(parameters, y, error, message):
    with pytest.raises(error, match=message):
        cr.MLPRegressor(**parameters).fit(X, y)


def test_another_number_of_outputs_in_a_later_pass_is_explained():
    flat, many = (cr.MLPRegressor(network=f"10 -> {y.reshape(442, -1).shape[1]}", **SHORT).fit(X, y) for y in (Y, MANY))

    with pytest.raises(ShapeError, match=r"got \(442 x 2\)$"):
        flat.partial_fit(X, MANY)
    with pytest.raises(ShapeError, match=r"got \(442 x 1\)$"):
        many.partial_fit(X, Y)


def test_another_number_of_outputs_is_another_network_where_none_is_declared():
    reg = cr.MLPRegressor((4,), **SHORT).fit(X, Y)

    with pytest.raises(
        ValueError, match=r"^training cannot go on from 10 -> 4 relu .* -> 1 as 10 -> 4 relu .* -> 2: fit"
    ):
        reg.partial_fit(X, MANY)


def test_targets_too_large_for_the_type_of_the_rows_are_refused():
    X = np.ones((3, 1), np.float32)

    with pytest.raises(ValueError, match="y has numbers too large for float32"):
        cr.MLPRegressor((2,)).fit(X, [1e39, 2.0, 3.0])
