"""Saving and loading: the same to the bit, training goes on, and a sentence for what cannot be saved or read."""

import errno
import os

import numpy as np
import pyarrow as pa
import pytest
import sklearn.neural_network
from safetensors.numpy import save_file
from sklearn.pipeline import make_pipeline

import chainrule as cr
from chainrule.errors import DataError
from chainrule.model_file import read_model, write_model
from chainrule.network import Network
from chainrule.persist import FITTED
from chainrule.pipeline import TableModel
from chainrule.tables import Table, fit_features, fit_target
from chainrule.updates import UPDATES

SHORT = {"tol": 0, "max_iter": 3, "batch_size": 16, "random_state": 0}
RNG = np.random.default_rng(8)
X = RNG.standard_normal((50, 4))
CODES = np.arange(50) % 3
MARKS = (X[:, :3] > 0).astype(int)
W = RNG.random(50)
DECLARED = Network(
    "4 -> 6 elu(0.5) dropout=0.25 -> 6 tanh residual nobias -> 3 softmax init=normal(0.1)",
    "cross_entropy(0.1)",
    penalty=cr.l1(0.001) + cr.l2(1e-3, per_sample=True),
    reduction="sum",
)

CLASSIFIERS = {
    "two numbers": ({}, CODES == 1),
    "two texts": ({}, np.array(["no", "yes"])[CODES % 2]),
    "texts": ({}, np.array(["a", "é", "a longer text"])[CODES]),
    "objects": ({}, np.array(["a", "é", "c"], object)[CODES]),
    "numbers": ({}, CODES.astype(np.int16) - 7),
    "floats": ({}, CODES / 1.0),
    "many labels": ({}, MARKS),
    "probabilities": ({"network": "4 -> 3 softmax"}, np.full((50, 3), 0.25) + 0.25 * np.eye(3)[CODES]),
    "hinge": ({"loss": "squared_hinge"}, CODES),
    "spec": ({"network": "4 -> 5 tanh -> 3 softmax", "alpha": 0.5}, CODES),
    "network": ({"network": DECLARED}, CODES),
    "no hidden layer": ({"hidden_layer_sizes": ()}, CODES),
    "one hidden layer": ({"hidden_layer_sizes": 7}, CODES),
    "held out": ({"early_stopping": True, "validation_fraction": 0.3}, CODES),
    **{solver: ({"solver": solver}, CODES) for solver in UPDATES},
}
REGRESSORS = {
    "flat": ({}, X[:, 0]),
    "column": ({}, X[:, :1]),
    "many outputs": ({}, X[:, :2]),
    "quantile": ({"loss": "quantile(0.9)", "activation": "leaky_relu(0.3)"}, X[:, 0]),
    "one by one": ({"network": "4 -> 1 tanh -> 1", "loss": "squared_error"}, X[:, 0]),
}
MODELS = {name: (cr.MLPClassifier, *rest) for name, rest in CLASSIFIERS.items()}
MODELS |= {name: (cr.MLPRegressor, *rest) for name, rest in REGRESSORS.items()}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "m.safetensors"


def fitted(name, **parameters):
    kind, given, y = MODELS[name]
    return kind(**SHORT | given | parameters).fit(X, y), y


def there_and_back(path, model):
    cr.save(path, model)
    return cr.load(path)


def assert_same(one, other, A=X):
    assert type(one) is type(other)
    assert one.params_.keys() == other.params_.keys()
    for name, value in one.params_.items():
        assert value.dtype == other.params_[name].dtype
        np.testing.assert_array_equal(value, other.params_[name])
    np.testing.assert_array_equal(one.predict(A), other.predict(A))
    assert one.predict(A).dtype == other.predict(A).dtype
    assert hasattr(one, "predict_proba") == hasattr(other, "predict_proba")
    if hasattr(one, "predict_proba"):
        np.testing.assert_array_equal(one.predict_proba(A), other.predict_proba(A))


# There and back


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_and_goes_on_as_if_it_had_not_been_saved(path, name):
    model, y = fitted(name)

    again = there_and_back(path, model)

    assert_same(again, model)
    assert again.network_ == model.network_
    for attribute in (*FITTED, "n_features_in_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(again, attribute) == getattr(model, attribute)
        assert type(getattr(again, attribute)) is type(getattr(model, attribute))
    for each in (model, again):
        each.set_params(early_stopping=False).partial_fit(X, y).partial_fit(X, y)
    assert_same(again, model)
    assert again.loss_curve_ == model.loss_curve_


@pytest.mark.parametrize("name", ["two texts", "texts", "many labels", "flat", "network"])
def test_a_model_of_float32_stays_one(path, name):
    kind, given, y = MODELS[name]
    model = kind(**SHORT | given).fit(X.astype(np.float32), y)

    again = there_and_back(path, model)

    assert {value.dtype for value in again.params_.values()} == {np.dtype(np.float32)}
    assert_same(again, model, X.astype(np.float32))


@pytest.mark.parametrize("name", ["texts", "network", "flat"])
def test_a_warm_start_goes_on_after_loading(path, name):
    model, y = fitted(name, warm_start=True, early_stopping=True, validation_fraction=0.3)

    again = there_and_back(path, model)

    assert_same(again.fit(X, y), model.fit(X, y))
    assert again.validation_scores_ == model.validation_scores_


@pytest.mark.parametrize("name", MODELS)
def test_fitted_anew_a_loaded_model_is_the_same(path, name):
    model, y = fitted(name)

    again = there_and_back(path, model).fit(X, y)

    assert_same(again, model)


def test_a_pass_with_weights_goes_on(path):
    model, y = fitted("texts")

    again = there_and_back(path, model)

    assert_same(again.partial_fit(X, y, sample_weight=W), model.partial_fit(X, y, sample_weight=W))


def test_arrays_in_fortran_order_come_back(path):
    model, _ = fitted("texts")
    model.params_ = {name: np.asfortranarray(value) for name, value in model.params_.items()}

    assert_same(there_and_back(path, model), model)


def test_names_of_columns_come_back(path):
    table = pa.table(list(X.T), names=["a", "é", "c", "d"])
    model = cr.MLPRegressor(**SHORT).fit(table, X[:, 0])

    again = there_and_back(path, model)

    np.testing.assert_array_equal(again.predict(table), model.predict(table))
    assert again.feature_names_in_.tolist() == ["a", "é", "c", "d"]
    assert again.feature_names_in_.dtype == object
    with pytest.raises(ValueError, match="The feature names should match those that were passed during fit"):
        again.predict(table.rename_columns(["a", "b", "c", "d"]))


def test_a_model_may_be_saved_again(path):
    model, _ = fitted("network")

    assert_same(there_and_back(path, there_and_back(path, model)), model)


# Parameters


def test_parameters_come_back_as_plain_data(path):
    given = {
        "hidden_layer_sizes": np.array([6, 4]),
        "activation": cr.elu(0.5),
        "loss": cr.huber(0.25),
        "solver": "rmsprop(rho=0.95)",
        "alpha": np.float32(0.5),
        "max_iter": np.int64(2),
        "tol": np.float64(0),
        "shuffle": np.bool_(False),
        "random_state": np.int64(3),
    }
    model = cr.MLPRegressor(**given).fit(X, X[:, 0])

    parameters = there_and_back(path, model).get_params()

    expected = {"hidden_layer_sizes": (6, 4), "activation": "elu(0.5)", "loss": "huber(0.25)"}
    assert {name: parameters[name] for name in given} == given | expected
    assert {type(value) for value in parameters.values()} <= {tuple, str, float, int, bool, type(None)}


def test_parameters_that_are_not_plain_are_left_at_their_defaults(path):
    model = cr.MLPRegressor((4,), callback=lambda epoch: None, **SHORT | {"random_state": np.random.RandomState(0)})

    again = there_and_back(path, model.fit(X, X[:, 0]))

    assert again.callback is again.random_state is None
    assert_same(again.partial_fit(X, X[:, 0]), model.partial_fit(X, X[:, 0]))


def test_a_declared_network_is_a_parameter_of_the_loaded_model(path):
    model, _ = fitted("network")

    again = there_and_back(path, model)

    assert again.network == DECLARED
    assert str(again.network_.derive()) == str(DECLARED.derive())


# Tables


def people(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    age, city = (
        rng.integers(20, 70, rows).astype(float),
        np.array(["Oslo", "Rome", "Pisa"], object)[np.arange(rows) % 3],
    )
    age[rng.random(rows) < 0.1] = np.nan
    city[rng.random(rows) < 0.1] = None
    income = np.nan_to_num(age, nan=40) * 100 + 1000 * (city == "Oslo")
    rich = np.where(income > 4500, "rich", "poor")
    return Table.of({"age": age, "city": city, "income": income, "class": rich})


@pytest.mark.parametrize(("goal", "kind"), [("class", cr.MLPClassifier), ("income", cr.MLPRegressor)])
def test_a_model_of_a_table_comes_back_with_its_columns(path, goal, kind):
    table = people().take(np.arange(60))
    target = fit_target(table, goal)
    features = fit_features(table, exclude=goal)
    model = TableModel(kind((8,), **SHORT).fit(features.transform(table), target.transform(table)), features, target)
    new = people(seed=1)  # with missing cells, and a city that training did not have
    new.columns[1][3] = "Bonn"

    again = there_and_back(path, model)

    assert (again.features, again.target) == (features, target)
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    assert again.score(new) == model.score(new)
    assert_same(again.estimator, model.estimator, features.transform(new))


# What cannot be saved


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (cr.MLPClassifier(), r"^save takes a fitted MLPClassifier: call fit first$"),
        (cr.MLPRegressor().declare(X, X[:, 0]), r"^save takes a fitted MLPRegressor: call fit first$"),
        (
            sklearn.neural_network.MLPClassifier(),
            "^save takes chainrule's MLPClassifier or MLPRegressor, got sklearn.neur",
        ),
        (make_pipeline(cr.MLPClassifier()), r"MLPRegressor, got sklearn\.pipeline\.Pipeline$"),
        (DECLARED, r"got chainrule\.network\.Network$"),
        (None, r"got builtins\.NoneType$"),
    ],
    ids=["unfitted", "declared", "scikit-learn's", "pipeline", "network", "nothing"],
)
def test_what_is_no_fitted_estimator_is_refused(path, model, message):
    with pytest.raises(DataError, match=message):
        cr.save(path, model)

    assert not path.exists()


def test_labels_that_are_neither_text_nor_numbers_are_refused(path):
    model = cr.MLPClassifier((3,), **SHORT).fit(X, np.arange("2020-01-01", "2020-01-04", dtype="M8[D]")[CODES])

    with pytest.raises(DataError, match=r"^labels are saved as text or numbers, got date$"):
        cr.save(path, model)

    assert not path.exists()


def test_a_write_that_fails_leaves_the_earlier_file_and_nothing_else(path, monkeypatch):
    model, _ = fitted("texts")
    cr.save(path, model)
    before = path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"^cannot write '.*m\.safetensors': the disk is full$"):
        cr.save(path, fitted("numbers")[0])

    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_directory_is_explained(path):
    with pytest.raises(DataError, match=r"^cannot write '.*': there is no directory '.*'$"):
        cr.save(path.parent / "none" / "m.safetensors", fitted("flat")[0])


# What cannot be loaded


def test_a_file_that_is_missing_or_foreign_or_damaged_is_explained(path):
    with pytest.raises(DataError, match=r"^there is no model file '.*m\.safetensors'$"):
        cr.load(path)
    path.write_text("not a model")
    with pytest.raises(DataError, match=r"^'.*m\.safetensors' is not a model file, or it is damaged$"):
        cr.load(path)
    save_file({"W1": X}, path)
    with pytest.raises(DataError, match=r"^'.*' is a safetensors file, but not one that chainrule wrote$"):
        cr.load(path)
    cr.save(path, fitted("texts")[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"^'.*' is not a model file, or it is damaged$"):
        cr.load(path)
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(DataError, match=r"^'.*' is damaged: its checksum does not agree with its content$"):
        cr.load(path)


def without(key):
    return lambda config, arrays: config.pop(key)


def put(value, *keys):
    def edit(config, arrays):
        for key in keys[:-1]:
            config = config[key]
        config[keys[-1]] = value

    return edit


EDITS = {
    "nothing": (lambda config, arrays: config.clear(), "'estimator' is missing"),
    "no network": (without("network"), "'network' is missing"),
    "no random state": (without("random"), "'random' is missing"),
    "no parameter": (lambda config, arrays: arrays.pop("W1"), "'W1' is missing"),
    "another estimator": (
        put("MLPClasifier", "estimator"),
        r"no estimator 'MLPClasifier'; did you mean 'MLPClassifier'\?",
    ),
    "another width": (put("4 -> 7 tanh -> 3 softmax", "network", "spec"), "the parameters do not fit the network"),
    "a malformed network": (put("4 -> ", "network", "spec"), "layer 1 needs a width"),
    "a network that is a number": (put(3, "network", "spec"), "cannot be rebuilt"),
    "an unknown loss": (put("loss", "network", "loss"), "unknown loss 'loss'"),
    "an unknown penalty": (put("l3(1)", "network", "penalty"), "unknown penalty 'l3'"),
    "a wrong reduction": (put("median", "network", "reduction"), "unknown reduction 'median'"),
    "an unknown parameter": (put(1, "parameters", "depth"), "unexpected keyword argument 'depth'"),
    "a wrong parameter": (put(-1, "parameters", "alpha"), r"The 'alpha' parameter of MLPClassifier must be .* Got -1"),
    "sizes of text": (put(["a"], "parameters", "hidden_layer_sizes"), "hidden_layer_sizes must be whole numbers"),
    "fitted is a list": (put([], "fitted"), "cannot be rebuilt"),
    "a curve of text": (put(["a"], "fitted", "loss_curve_"), "could not convert string to float: 'a'"),
    "no number": (put("a", "numbers", "beta1_t"), "could not convert string to float: 'a'"),
    "another kind": (put("ordinal", "targets", "kind"), "there is no kind of labels 'ordinal'"),
    "more classes": (put(["a", "b", "c", "d"], "targets", "labels"), "the network has 3 outputs and y has 4 classes"),
    "a wrong data type": (put("x", "targets", "dtype"), "cannot be rebuilt"),
    "labels of another type": (put("<f8", "targets", "dtype"), "could not convert string to float"),
    "another stream": (put("MT19937", "random", "bit_generator"), "cannot be rebuilt"),
    "a stream of text": (put("a", "random", "state"), "cannot be rebuilt"),
    "names of text": (put(["a"], "names"), "1 names of columns for 4 inputs"),
    "a number as names": (put(3, "names"), "cannot be rebuilt"),
    "columns of a table": (put({}, "features"), "cannot be rebuilt: the description of the table is damaged"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_configuration_that_was_edited_is_explained(path, edit):
    change, message = EDITS[edit]
    cr.save(path, fitted("texts")[0])
    config, arrays = read_model(path)
    change(config, arrays)
    write_model(path, config, arrays)  # with a right checksum

    with pytest.raises(
        DataError, match=r"^'.*m\.safetensors' is a chainrule model that cannot be rebuilt: (?s:.)*"
    ) as e:
        cr.load(path)

    assert e.match(message)


def test_columns_of_another_table_are_explained(path):
    table = people()
    target, features = fit_target(table, "class"), fit_features(table, exclude="class")
    clf = cr.MLPClassifier((3,), **SHORT).fit(features.transform(table), target.transform(table))
    cr.save(path, TableModel(clf, features, target))
    config, arrays = read_model(path)
    narrow = fit_features(table, exclude=["class", "city"])
    write_model(path, config | {"features": narrow.to_config()}, arrays)

    with pytest.raises(DataError, match="a table of 3 inputs and 2 classes does not fit 7 -> 3 relu"):
        cr.load(path)


def test_text_in_a_configuration_is_never_run(path, tmp_path):
    witness = tmp_path / "witness"
    code = f"__import__('pathlib').Path({str(witness)!r}).touch()"
    cr.save(path, fitted("texts")[0])
    config, arrays = read_model(path)

    for keys in (["network", "spec"], ["network", "loss"], ["network", "penalty"], ["targets", "dtype"], ["estimator"]):
        edited, _ = read_model(path)
        put(code, *keys)(edited, arrays)
        write_model(tmp_path / "edited", edited, arrays)
        with pytest.raises(DataError, match="cannot be rebuilt"):
            cr.load(tmp_path / "edited")
    config["parameters"] |= {"solver": code, "activation": code}
    write_model(tmp_path / "edited", config, arrays)
    with pytest.raises(ValueError, match=r"expected|unexpected|unknown"):
        cr.load(tmp_path / "edited").partial_fit(X, fitted("texts")[1])

    assert not witness.exists()
