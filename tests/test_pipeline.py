"""From a table to a tested model: the split, no look at the test rows, the check, the score and its baseline."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import r2_score

from chainrule.errors import DataError
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.network import Network
from chainrule.pipeline import DEFAULTS, TableModel, check_on_a_few_rows, estimator_for, prepare, train_on
from chainrule.tables import BUILT_IN, Table, read_table

SHORT = {"tol": 0, "max_iter": 3, "batch_size": 32, "random_state": 0}


def people(rows=120):
    """A mixed table with missing cells, in which income follows from the other columns, and class from income."""
    rng = np.random.default_rng(0)
    age, city = (
        rng.integers(20, 70, rows).astype(float),
        np.array(["Oslo", "Rome", "Pisa"], object)[rng.integers(0, 3, rows)],
    )
    income = 100 * age + 2000 * (city == "Oslo") + 30 * rng.standard_normal(rows)
    kind = np.where(income > 5500, "rich", "poor")
    age[::17], city[5::19] = np.nan, None
    return Table.of({"age": age, "city": city, "income": income, "class": kind}, source="people.csv")


def trained(table, target=None, *, random_state=0, **parameters):
    prepared = prepare(table, target, random_state=random_state)
    return prepared, train_on(prepared, estimator_for(prepared, **SHORT | parameters))


# Preparing


@pytest.mark.parametrize(
    ("name", "inputs", "classes"),
    [("breast_cancer", 30, 2), ("diabetes", 10, 0), ("digits", 64, 10), ("iris", 4, 3), ("wine", 13, 3)],
)
def test_a_built_in_set_is_split_into_numbers(name, inputs, classes):
    table = read_table(name)

    prepared = prepare(table)

    assert prepared.X.shape[1] == prepared.X_test.shape[1] == inputs
    assert len(prepared.X) + len(prepared.X_test) == table.rows
    assert len(prepared.X_test) == pytest.approx(table.rows / 4, abs=1)
    assert len(prepared.target.classes) == classes
    assert all(np.isfinite(array).all() for array in (prepared.X, prepared.y, prepared.X_test, prepared.y_test))


def test_the_built_in_sets_are_all_tested_here():
    assert sorted(BUILT_IN) == ["breast_cancer", "diabetes", "digits", "iris", "wine"]


def test_columns_are_scaled_by_the_training_rows_only():
    prepared = prepare(read_table("wine"))

    np.testing.assert_allclose(prepared.X.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(prepared.X.std(axis=0), 1, rtol=1e-12)
    assert (np.abs(prepared.X_test.mean(axis=0)) > 1e-3).all()


def test_the_number_to_predict_is_scaled_by_the_training_rows_only():
    prepared = prepare(read_table("diabetes"))

    assert prepared.y.mean() == pytest.approx(0, abs=1e-12)
    assert prepared.y.std() == pytest.approx(1, rel=1e-12)
    assert abs(prepared.y_test.mean()) > 1e-3


def test_what_the_test_rows_hold_changes_nothing_that_is_fitted():
    table = people()
    before = prepare(table, "income")
    held = ~np.isin(table.column("income").round(6), before.target.inverse(before.y).round(6))
    city = table.column("city").copy()
    city[held] = "Atlantis"

    assert held.sum() == 30
    columns = {name: table.column(name).copy() for name in table.names} | {"city": city}
    columns["age"][held] = 1e6
    columns["income"][held] = 1e9
    after = prepare(Table.of(columns), "income")

    assert (after.features, after.target) == (before.features, before.target)
    np.testing.assert_array_equal(after.X, before.X)
    np.testing.assert_array_equal(after.y, before.y)


@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_classes_are_split_in_their_shares(name):
    prepared = prepare(read_table(name), test_fraction=0.2)

    train, test = np.bincount(prepared.y), np.bincount(prepared.y_test)
    np.testing.assert_allclose(test, 0.2 * (train + test), atol=1)


def test_one_seed_makes_one_split():
    table = read_table("iris")
    one, same, other = (prepare(table, random_state=seed) for seed in (0, 0, 1))

    np.testing.assert_array_equal(one.X, same.X)
    assert not np.array_equal(one.X, other.X)


def test_texts_and_missing_cells_become_numbers():
    prepared = prepare(people(), "class")

    names = ("age", "age (missing)", "city=Oslo", "city=Pisa", "city=Rome", "city (missing)", "income")
    assert prepared.features.outputs == names
    assert prepared.target.classes == ("poor", "rich")


def test_the_task_may_be_chosen():
    table = read_table("digits")

    prepared = prepare(table, task="regression")

    assert isinstance(estimator_for(prepared), MLPRegressor)
    assert isinstance(estimator_for(prepare(table)), MLPClassifier)
    assert prepared.target.classes == ()


# What cannot be split


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_a_test_fraction_out_of_range_is_explained(fraction):
    with pytest.raises(ValueError, match=r"^the test fraction is a number between 0 and 1, got "):
        prepare(read_table("iris"), test_fraction=fraction)


def test_a_class_of_one_row_is_named():
    table = Table.of({"x": np.arange(6.0), "y": ["a", "a", "b", "b", "c", "a"]}, source="t.csv")

    with pytest.raises(
        DataError, match=r"^column 'y' of t\.csv has the class 'c' in one row only: every class needs 2, one"
    ):
        prepare(table, "y")


def test_too_few_rows_for_a_split_are_explained():
    table = Table.of({"x": np.arange(6.0), "y": ["a", "b", "c"] * 2})

    with pytest.raises(
        DataError, match=r"^6 rows cannot be split with a test fraction of 0\.25: The test_size = 2 should"
    ):
        prepare(table, "y")
    with pytest.raises(DataError, match=r"^1 rows cannot be split with a test fraction of 0\.25: "):
        prepare(Table.of({"x": [1.0], "y": [2.5]}), "y", task="regression")
    with pytest.raises(DataError, match=r"^4 rows leave one row to test on with a test fraction of 0\.25: R2 needs 2$"):
        prepare(Table.of({"x": np.arange(4.0), "y": np.arange(4.0) / 3}), "y", task="regression")


def test_a_missing_target_column_is_explained():
    with pytest.raises(DataError, match=r"^people\.csv has no column 'clas'; did you mean 'class'\?$"):
        prepare(people(), "clas")


# Training


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_backward_pass_is_checked_on_a_few_rows(name):
    _, result = trained(read_table(name), max_iter=1)

    assert result.check.ok
    assert result.check.worst < 1e-6
    assert result.check.blocks.keys() == result.model.estimator.params_.keys()


@pytest.mark.parametrize(
    "network",
    [
        "4 -> 6 relu dropout=0.5 -> 3 softmax",
        Network("4 -> 6 gelu -> 3 logistic", penalty="l1(0.01)"),
        Network("4 -> 3", "hinge", reduction="sum"),
    ],
    ids=str,
)
def test_the_check_knows_every_kind_of_network(network):
    prepared = prepare(read_table("iris"))
    clf = estimator_for(prepared, network=network, **SHORT).declare(prepared.X.astype(np.float32), prepared.y)

    report = check_on_a_few_rows(clf, prepared.X.astype(np.float32), prepared.y)

    assert report.worst < 1e-6


def test_the_network_and_its_check_are_announced_before_training():
    prepared, seen = prepare(read_table("iris")), []
    clf = estimator_for(prepared, **SHORT)

    train_on(prepared, clf, announce=lambda network, check: seen.append((network, check.ok, hasattr(clf, "params_"))))

    assert seen == [(clf.network_, True, False)]


def test_classes_are_scored_by_accuracy_and_compared_with_the_commonest():
    prepared, result = trained(people(), "class", max_iter=40, learning_rate_init=0.01)

    commonest = np.bincount(prepared.y).argmax()
    assert (result.metric, result.train_rows, result.test_rows) == ("accuracy", 90, 30)
    assert result.baseline == np.mean(prepared.y_test == commonest)
    assert result.score == np.mean(result.model.estimator.predict(prepared.X_test) == prepared.y_test) > 0.8
    assert result.reason == "all 40 epochs done"


def test_numbers_are_scored_by_R2_and_compared_with_the_mean():
    prepared, result = trained(people(), "income", max_iter=60, learning_rate_init=0.01)

    assert (result.metric, result.train_rows, result.test_rows) == ("R2", 90, 30)
    assert result.baseline == pytest.approx(r2_score(prepared.y_test, np.full(30, prepared.y.mean())), rel=1e-12)
    assert result.baseline <= 0
    assert result.score > 0.9


def test_a_model_predicts_in_the_targets_own_terms():
    table = people()
    _, income = trained(table, "income", max_iter=60, learning_rate_init=0.01)
    _, kind = trained(table, "class", max_iter=40, learning_rate_init=0.01)

    predicted = income.model.predict(table)

    assert np.abs(predicted - table.column("income")).mean() < 300  # of incomes from 2000 to 9000
    assert income.model.score(table) == pytest.approx(r2_score(table.column("income"), predicted), rel=1e-9)
    assert set(kind.model.predict(table)) == {"poor", "rich"}
    assert kind.model.score(table) == np.mean(kind.model.predict(table) == table.column("class"))


def test_a_model_matches_columns_by_name_and_gives_a_probability_for_each_class():
    table = people()
    _, result = trained(table, "class")
    turned = Table.of({name: table.column(name) for name in ("city", "income", "age")})

    P = result.model.predict_proba(turned)

    assert P.shape == (120, 2)
    np.testing.assert_array_equal(P, result.model.predict_proba(table))
    np.testing.assert_array_equal(np.array(result.model.target.classes)[P.argmax(axis=1)], result.model.predict(table))
    assert result.model.network is result.model.estimator.network_


def test_a_network_without_probabilities_says_so():
    for target, parameters in (("class", {"loss": "hinge"}), ("income", {})):
        _, result = trained(people(), target, **parameters)

        with pytest.raises(DataError, match=r"^a network that ends in identity gives no probabilities$"):
            result.model.predict_proba(people())


def test_a_column_that_is_missing_from_new_data_is_named():
    _, result = trained(people(), "class")

    with pytest.raises(DataError, match=r"^new\.csv has no column 'income'"):
        result.model.predict(Table.of({"age": [40.0], "city": ["Oslo"]}, source="new.csv"))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_digits_are_read_at_97_percent_by_the_defaults():
    prepared = prepare(read_table("digits"))

    result = train_on(prepared, estimator_for(prepared, **DEFAULTS, random_state=0))

    assert result.score > 0.97
    assert result.baseline < 0.11
    assert isinstance(result.model, TableModel)


def test_a_training_that_was_too_short_warns():
    prepared = prepare(read_table("iris"))

    with pytest.warns(ConvergenceWarning, match="reached max_iter=1"):
        train_on(prepared, MLPClassifier(max_iter=1))


def test_inputs_that_say_nothing_are_refused():
    table = Table.of({"x": np.full(12, np.nan), "z": np.ones(12), "y": ["a", "b"] * 6})

    with pytest.raises(DataError, match=r"has no input column with two different values: there is nothing to learn"):
        prepare(table, "y")
