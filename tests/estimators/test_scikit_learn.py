"""The estimators in scikit-learn's hands: its own checks, and the tools that people put around an estimator."""

import inspect
import pickle

import joblib
import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import chainrule as cr
from chainrule.network import Network

BOTH = pytest.mark.parametrize("kind", [cr.MLPClassifier, cr.MLPRegressor], ids=lambda kind: kind.__name__)
SPEC = "4 -> 6 tanh -> 3 softmax"
# No warning that training was short: with tol=0 the number of epochs is the user's own choice.
SHORT = {"tol": 0, "max_iter": 20, "batch_size": 16, "learning_rate_init": 0.01, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return 10 * X, y


# scikit-learn's own checks, with the number of epochs that it gives its own networks


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([cr.MLPClassifier(max_iter=100), cr.MLPRegressor(max_iter=100)])
def test_scikit_learns_own_check(estimator, check):
    check(estimator)


# Parameters


class Anything:
    """Equal to nothing and usable for nothing."""


@BOTH
def test_init_only_stores(kind):
    given = {name: Anything() for name in inspect.signature(kind).parameters}

    estimator = kind(**given)

    assert vars(estimator) == given
    assert estimator.get_params(deep=False) == given


@BOTH
def test_parameters_that_scikit_learn_has_too_have_its_defaults(kind):
    import sklearn.neural_network

    theirs = inspect.signature(getattr(sklearn.neural_network, kind.__name__)).parameters
    ours = inspect.signature(kind).parameters
    same = {name: ours[name].default for name in ours.keys() & theirs.keys() - {"loss"}}

    assert theirs.keys() - ours.keys() == {"max_fun"}  # of L-BFGS
    assert same == {name: theirs[name].default for name in same}


@BOTH
def test_set_params_counts_at_the_next_fit(kind, iris):
    estimator = kind((5,), **SHORT)

    estimator.set_params(hidden_layer_sizes=(7, 3), max_iter=2).fit(*iris)

    assert [W.shape[1] for W in estimator.coefs_[:2]] == [7, 3]
    assert estimator.n_iter_ == 2
    with pytest.raises(ValueError, match="Invalid parameter 'hidden' for estimator"):
        estimator.set_params(hidden=3)


@pytest.mark.parametrize("network", [SPEC, Network(SPEC, penalty="l1(0.1)")], ids=["spec", "network"])
def test_a_clone_is_unfitted_and_trains_the_same(network, iris):
    estimator = cr.MLPClassifier(network=network, **SHORT).fit(*iris)

    twin = clone(estimator)

    with pytest.raises(NotFittedError, match="is not fitted yet"):
        twin.predict(iris[0])
    assert twin.network == network
    np.testing.assert_array_equal(twin.fit(*iris).coefs_[0], estimator.coefs_[0])


def test_the_text_of_an_estimator_shows_what_was_changed():
    assert repr(cr.MLPRegressor(network="2 -> 1", alpha=0.5)) == "MLPRegressor(alpha=0.5, network='2 -> 1')"


# Composition


def test_a_pipeline_scales_and_classifies(iris):
    pipeline = make_pipeline(StandardScaler(), cr.MLPClassifier(network=SPEC, **SHORT))

    assert pipeline.fit(*iris).score(*iris) > 0.95
    assert pipeline.predict_proba(iris[0]).shape == (150, 3)


def test_a_pipeline_passes_sample_weight(iris):
    X, y = iris
    clf, w = cr.MLPClassifier(network=SPEC, **SHORT), np.where(y == 0, 1.0, 0.1)

    pipeline = make_pipeline(StandardScaler(), clone(clf)).fit(X, y, mlpclassifier__sample_weight=w)

    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(pipeline[-1].coefs_[0], clone(clf).fit(scaled, y, w).coefs_[0])
    assert not np.allclose(pipeline[-1].coefs_[0], clf.fit(scaled, y).coefs_[0])


def test_a_grid_is_searched_in_processes_as_in_one(iris):
    grid = {"activation": ["tanh", "elu(0.5)"], "learning_rate_init": np.array([0.001, 0.01])}
    clf = cr.MLPClassifier((5,), **SHORT | {"solver": "momentum(mu=0.5)", "max_iter": 5})

    two, one = (GridSearchCV(clf, grid, cv=2, n_jobs=n_jobs).fit(*iris) for n_jobs in (2, 1))

    np.testing.assert_array_equal(two.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(two.best_estimator_.coefs_[0], one.best_estimator_.coefs_[0])


def test_networks_are_searched(iris):
    nets = [Network(SPEC), Network("4 -> 3 softmax", penalty="l1(0.1)")]

    search = GridSearchCV(cr.MLPClassifier(**SHORT), {"network": nets}, cv=2).fit(*iris)

    assert search.best_params_["network"] in nets


def test_every_fold_begins_anew(iris):
    clf = cr.MLPClassifier(network=SPEC, **SHORT)

    scores = cross_val_score(clf, *iris, cv=3)

    assert scores.tolist() == cross_val_score(clf.fit(*iris), *iris, cv=3).tolist()
    assert scores.mean() > 0.8


@pytest.mark.filterwarnings("ignore:One or more of the test scores are non-finite:UserWarning")
def test_a_diverging_candidate_scores_nan_and_the_search_goes_on(diabetes):
    regressor = cr.MLPRegressor((8,), solver="sgd", **SHORT)
    search = GridSearchCV(regressor, {"learning_rate_init": [1e30, 1e-5]}, cv=2)

    with pytest.warns(FitFailedWarning, match=r"2 fits failed (?s:.)* training diverged in epoch"):
        search.fit(*diabetes)

    assert search.best_params_ == {"learning_rate_init": 1e-5}


def test_ensembles_and_wrappers_take_the_estimators(iris, diabetes):
    X, y = iris
    clf = cr.MLPClassifier(network=SPEC, **SHORT)
    voting = VotingClassifier([("net", clf), ("linear", LogisticRegression(max_iter=500))], voting="soft")
    scaled = TransformedTargetRegressor(cr.MLPRegressor((8,), **SHORT), transformer=StandardScaler())

    assert voting.fit(X, y).score(X, y) > 0.9
    assert BaggingClassifier(clf, n_estimators=3, random_state=0).fit(X, y).score(X, y) > 0.6
    assert scaled.fit(*diabetes).score(*diabetes) > 0.3
    assert MultiOutputClassifier(cr.MLPClassifier((4,), **SHORT)).fit(X, np.c_[y, y % 2]).predict(X).shape == (150, 2)
    assert permutation_importance(clf.fit(X, y), X, y, n_repeats=1, random_state=0).importances.shape == (4, 1)


# Names of columns


def test_names_of_columns_are_kept_and_compared(iris):
    """An Arrow table, which is a data frame to scikit-learn."""
    X, y = iris
    names = ["a", "b", "c", "d"]
    table = pa.table(list(X.T), names=names)
    estimator = cr.MLPClassifier(network=SPEC, **SHORT).fit(table, y)

    assert estimator.feature_names_in_.tolist() == names
    np.testing.assert_array_equal(
        estimator.predict(table), cr.MLPClassifier(network=SPEC, **SHORT).fit(X, y).predict(X)
    )
    with pytest.raises(ValueError, match="Feature names must be in the same order as they were in fit"):
        estimator.predict(table.select(names[::-1]))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but MLPClassifier was fitted with"):
        estimator.predict(X)


# Copies


@BOTH
def test_a_pickled_estimator_predicts_and_goes_on_the_same(kind, iris, tmp_path):
    X, y = iris
    estimator = kind((5,), "elu(0.5)", solver="adamw", **SHORT).fit(X, y)
    joblib.dump(estimator, tmp_path / "m.joblib")

    copies = [pickle.loads(pickle.dumps(estimator)), joblib.load(tmp_path / "m.joblib")]

    for copy in copies:
        np.testing.assert_array_equal(copy.predict(X), estimator.predict(X))
    for model in (estimator, *copies):
        model.partial_fit(X, y)
    for copy in copies:
        np.testing.assert_array_equal(copy.coefs_[1], estimator.coefs_[1])
