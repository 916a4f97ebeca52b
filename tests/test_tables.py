"""Tables, their transformation to numbers, and the target: fitting, matching, and the way back."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from chainrule.errors import DataError
from chainrule.tables import Features, NumberColumn, Table, Target, TextColumn, fit_features, fit_target, read_table

NAN = float("nan")
INF = float("inf")

TABULAR = Path(__file__).parents[1].parent / "shared" / "data" / "tabular"
SHARED = [("adult", "income"), ("california_housing", "MedHouseVal"), ("diamonds", "price")]


@pytest.fixture
def people():
    return Table.of(
        {
            "age": [30, None, 50, 40],
            "city": ["Rome", "Oslo", None, "Rome"],
            "member": [True, False, True, True],
            "income": ["low", "high", "low", "high"],
        },
        source="'people.csv'",
    )


def through_json(config):
    return json.loads(json.dumps(config, allow_nan=False))


# Table


def test_a_table_has_numbers_and_texts(people):
    assert people.rows == 4
    assert np.array_equal(people.column("age"), [30, NAN, 50, 40], equal_nan=True)
    assert people.column("member").tolist() == [1.0, 0.0, 1.0, 1.0]
    assert people.column("city").tolist() == ["Rome", "Oslo", None, "Rome"]


def test_a_column_of_missing_cells_is_numbers():
    assert Table.of({"a": [None, None]}).column("a").dtype == np.float64


def test_chosen_rows_keep_their_numbers_in_messages(people):
    part = people.take([3, 1])

    assert part.column("income").tolist() == ["high", "high"]
    assert part.row(0) == "row 4"
    assert people.take(np.array([True, False, False, True])).row_numbers.tolist() == [1, 4]


def test_an_unknown_column_is_explained(people):
    with pytest.raises(DataError, match=r"^'people.csv' has no column 'Incme'; did you mean 'income'\?$"):
        people.column("Incme")
    with pytest.raises(DataError, match=r"'x'; known names are 'age', 'city', 'income', 'member'$"):
        people.column("x")


def test_the_names_of_a_wide_table_are_not_all_listed():
    table = Table.of({f"pixel{at}": [0] for at in range(784)})

    with pytest.raises(DataError, match=r"has no column 'target'$"):
        table.column("target")
    with pytest.raises(DataError, match=r"did you mean 'pixel77'\?$"):
        table.column("pixl77")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1], "b": [1, 2]}, r"the columns of the table have different lengths: \[1, 2\]$"),
        ({"a": [[1], [2]]}, "column 'a' of the table has 2 dimensions instead of one$"),
        ({"a": [1j]}, "column 'a' of the table has type complex128, and only numbers and text"),
        ({"a": ["x", 1, None]}, "column 'a' of the table holds 'x', neither a number nor text like"),
        ({"a": [b"x", None]}, "column 'a' of the table holds b'x', neither a number nor text"),
    ],
    ids=["lengths", "dimensions", "complex", "mixed", "bytes"],
)
def test_unusable_columns_are_explained(columns, message):
    with pytest.raises(DataError, match=message):
        Table.of({name: np.array(cells, object if None in cells else None) for name, cells in columns.items()})


# Numbers


def test_numbers_are_imputed_by_the_median_and_standardized():
    table = Table.of({"a": [1.0, NAN, 2.0, 9.0]})

    X = fit_features(table).transform(table)

    filled = np.array([1.0, 2.0, 2.0, 9.0])
    assert np.allclose(X[:, 0], (filled - 3.5) / filled.std(), rtol=1e-15)
    assert X[:, 1].tolist() == [0, 1, 0, 0]


def test_without_missing_numbers_in_training_there_is_no_indicator():
    features = fit_features(Table.of({"a": [1.0, 3.0, 5.0]}))

    assert features.outputs == ("a",)
    assert features.transform(Table.of({"a": [NAN]})).tolist() == [[0.0]]


@pytest.mark.parametrize("values", [[0.1] * 7, [1e9] * 3, [5.0], [NAN, NAN], [4.0, NAN]])
def test_a_constant_column_is_always_0(values):
    features = fit_features(Table.of({"a": np.array(values)}))

    assert features.columns[0].scale == 0
    assert features.transform(Table.of({"a": [1e6]}))[0, 0] == 0


@pytest.mark.parametrize("bad", [INF, -INF, 1e301])
def test_an_infinite_number_is_explained(bad):
    good, table = Table.of({"a": [1.0, 2.0]}), Table.of({"b": [0, 0, 0], "a": [1.0, bad, 2.0]}, source="'t.csv'")
    message = rf"^column 'a' of 't\.csv' holds {str(bad).replace('+', '.')} in row 2; correct it or leave it out$"

    with pytest.raises(DataError, match=message):
        fit_features(table)
    with pytest.raises(DataError, match=message):
        fit_features(good).transform(table)


def test_text_where_numbers_are_needed_is_explained():
    features = fit_features(Table.of({"age": [1.0, 2.0]}))
    table = Table.of({"age": ["3", None, "old"]}, source="'new.csv'")

    with pytest.raises(DataError, match=r"column 'age' of 'new\.csv' holds the text 'old' in row 3, and the model"):
        features.transform(table)
    assert features.transform(table.take([0, 1])).tolist() == [[3.0], [0.0]]


# Text


def test_text_is_one_hot_in_sorted_order_and_missing_is_a_category(people):
    features = fit_features(people, exclude=["age", "member", "income"])

    assert features.outputs == ("city=Oslo", "city=Rome", "city (missing)")
    assert features.transform(people).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]


def test_an_unknown_text_is_all_zeros_and_noted():
    features = fit_features(Table.of({"city": ["Rome", "Oslo"]}))
    table = Table.of({"city": ["Rome", "Bonn", "Pisa", "Bonn", None]})

    assert features.transform(table).tolist() == [[0, 1], [0, 0], [0, 0], [0, 0], [0, 0]]
    assert features.notes_on(table) == (
        "column 'city' has texts that training did not have in 3 rows, such as 'Bonn': they count as no category",
    )


def test_seldom_texts_share_a_column_when_there_are_too_many():
    table = Table.of({"t": ["b", "a", "c", "b", "a", "d", "a", "e", "e", None]})

    features = fit_features(table, max_categories=2)

    assert features.columns == (TextColumn("t", ("a", "b"), missing=True, pooled=3),)
    assert features.outputs == ("t=a", "t=b", "t (rare)", "t (missing)")
    new = Table.of({"t": ["a", "e", "never seen", None]})
    assert features.transform(new).argmax(axis=1).tolist() == [0, 2, 2, 3]
    assert features.notes_on(new) == ()
    assert features.notes == ("column 't' has many different texts: 2 have a column each, 3 seldom ones share one",)


def test_texts_that_occur_once_have_no_column_when_there_are_too_many():
    features = fit_features(Table.of({"name": [f"name {at}" for at in range(200)]}))

    assert features.outputs == ("name (rare)",)


def test_numbers_are_matched_with_texts_of_training():
    features = fit_features(Table.of({"zip": ["123", "0.5", "x"]}))

    assert features.transform(Table.of({"zip": [123, 0.5, NAN]})).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]


@given(st.lists(st.text(max_size=3) | st.none(), min_size=1).filter(any))
def test_every_text_of_training_is_one_hot(cells):
    table = Table.of({"t": np.array([*cells, None], object)[:-1]})

    X = fit_features(table).transform(table)

    assert X.sum(axis=1).tolist() == [1.0] * len(cells)
    assert len(np.unique(X, axis=0)) == len(set(cells)) == X.shape[1]


def test_the_whole_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    numbers = np.where(random.random((50, 3)) < 0.2, NAN, random.lognormal(size=(50, 3)))
    texts = random.choice(np.array(["a", "b", None], object), size=(50, 2))
    both = np.hstack([numbers, texts])
    table = Table.of({f"x{at}": column for at, column in enumerate(both.T)})

    X = fit_features(table).transform(table)

    median = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    reference = make_column_transformer((median, [0, 1, 2]), (OneHotEncoder(sparse_output=False), [3, 4]))
    expected = reference.fit_transform(both)
    assert np.allclose(X[:, [0, 2, 4, *range(6, 12)]], expected, rtol=1e-12)
    assert np.array_equal(X[:, [1, 3, 5]], np.isnan(numbers))


# Matching


def test_columns_are_matched_by_name(people):
    features = fit_features(people, exclude="income")
    other = Table.of({name: people.column(name) for name in ["income", "member", "city", "age"]})

    assert np.array_equal(features.transform(other), features.transform(people))
    assert features.notes_on(other) == ()


def test_other_columns_are_ignored_and_noted(people):
    features = fit_features(people, exclude="income")
    other = Table.of({"id": [1, 2, 3, 4], **dict(zip(people.names, people.columns, strict=True)), "x": [0] * 4})

    assert np.array_equal(features.transform(other), features.transform(people))
    assert features.notes_on(other) == ("not used, because training did not have them: 'id', 'x'",)


def test_a_missing_column_is_explained(people):
    features = fit_features(people, exclude="income")
    other = Table.of({"Age": [1], "city": ["Rome"], "member": [1]}, source="'new.csv'")

    with pytest.raises(DataError, match=r"^'new\.csv' has no column 'age'; did you mean 'Age'\?$"):
        features.transform(other)


def unnamed(*columns, **options):
    return Table.of({f"column{at}": c for at, c in enumerate(columns, 1)}, named=False, source="'new.csv'", **options)


@pytest.mark.parametrize("named", [True, False])
def test_columns_without_names_are_matched_by_position(named):
    table = Table.of({"a": [1, 3], "y": [0, 1], "t": ["p", "q"]}, named=named)
    features = fit_features(table, exclude="y")
    expected = [[1.0, 1.0, 0.0]]

    assert features.transform(unnamed([3], ["p"])).tolist() == expected
    assert features.transform(unnamed([3], [7], ["p"])).tolist() == expected
    assert features.notes_on(unnamed([3], [7], ["p"])) == ()


def test_a_marked_target_is_no_input():
    features = fit_features(Table.of({"y": [0, 1], "a": [1, 3]}), exclude="y")
    archive = Table.of({"column1": [3], "target": [0]}, named=False, targets=["target"])

    assert features.transform(archive).tolist() == [[1.0]]


def test_names_are_not_asked_of_a_file_when_training_had_none():
    features = fit_features(unnamed([1, 3], [0, 1]), exclude="column2")

    assert features.transform(Table.of({"whatever": [3]})).tolist() == [[1.0]]


@pytest.mark.parametrize("count", [1, 4])
def test_a_wrong_number_of_columns_is_explained(count):
    features = fit_features(Table.of({"a": [1, 3], "b": [1, 3], "y": [0, 1]}), exclude="y")

    with pytest.raises(
        DataError,
        match=rf"^'new\.csv' has {count} columns to be matched by position, "
        r"and the model takes 2, or 3 as in training$",
    ):
        features.transform(unnamed(*[[0]] * count))


@pytest.mark.parametrize(
    ("columns", "exclude", "message"),
    [
        ({"a": []}, (), "^the table has no rows$"),
        ({}, (), "^the table has no rows$"),
        ({"a": [1]}, "a", "^the table has no columns that are not excluded$"),
        ({"a": [1], "b": [1]}, "c", "^the table has no column 'c'; known names are 'a', 'b'$"),
    ],
)
def test_a_table_without_inputs_is_explained(columns, exclude, message):
    with pytest.raises(DataError, match=message):
        fit_features(Table.of(columns), exclude=exclude)


def test_a_table_without_rows_can_be_transformed(people):
    assert fit_features(people).transform(people.take(np.zeros(4, bool))).shape == (0, 8)


# Target


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        ([True, False], (0, 1)),
        ([3, -1, 3], (-1, 3)),
        ([0.0, 1.0], (0, 1)),
        (list(range(20)) * 5, tuple(range(20))),
        ([1, 2, 3] * 5, (1, 2, 3)),
    ],
)
def test_texts_and_few_whole_numbers_are_classes(values, classes):
    target = fit_target(Table.of({"y": values}), "y")

    assert (target.task, target.classes) == ("classification", classes)
    assert {type(label) for label in target.classes} in ({str}, {int})


@pytest.mark.parametrize(
    "values",
    [[0.5, 1.5], list(range(21)) * 5, [1, 2, 3] * 4, list(range(20)) * 4, [1.0, 2.0, 2.5] * 9],
    ids=["two fractions", "21 numbers", "3 in 12 rows", "20 in 80 rows", "a fraction"],
)
def test_other_numbers_are_a_regression(values):
    assert fit_target(Table.of({"y": values}), "y").task == "regression"


def test_the_task_can_be_chosen():
    table = Table.of({"y": [1, 2, 3, 3], "t": ["1", "2", "2.5", "3"]})

    assert fit_target(table, "y", task="classification").classes == (1, 2, 3)
    assert fit_target(table, "y", task="regression").task == "regression"
    assert fit_target(table, "t", task="regression").mean == 2.125


def test_labels_go_to_class_numbers_and_back(people):
    target = fit_target(people, "income")

    assert target.transform(people).tolist() == [1, 0, 1, 0]
    assert target.values(people).tolist() == ["low", "high", "low", "high"]
    assert target.inverse([1, 1, 0]).tolist() == ["low", "low", "high"]
    assert target.text_columns == ("income",)
    whole = Target("y", "classification", (-1, 7))
    assert whole.inverse([1, 0]).tolist() == [7, -1]
    assert whole.inverse([1]).dtype == np.int64
    assert whole.text_columns == ()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_numbers_are_standardized_and_come_back(values):
    table = Table.of({"y": values})
    target = fit_target(table, "y", task="regression")

    standard = target.transform(table)

    assert abs(standard.mean()) < 1e-6
    assert target.values(table).tolist() == values
    # The way there subtracts the mean: rounding is relative to the largest number.
    assert np.allclose(target.inverse(standard), values, rtol=1e-12, atol=1e-12 * np.abs(values).max())


def test_a_constant_regression_target_has_scale_1():
    assert fit_target(Table.of({"y": [0.1] * 7}), "y").scale == 1.0


def test_labels_of_another_type_are_the_same_classes():
    target = fit_target(Table.of({"y": ["1", "2", "3+"]}), "y")

    assert target.transform(Table.of({"y": [2, 1]})).tolist() == [1, 0]


def test_the_marked_target_needs_no_name():
    assert fit_target(read_table("iris")).name == "target"


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ((), "^the table has no column marked as the target; name one of its columns, such as 'b', 'c', 'd'$"),
        (("a", "b"), "^the table has several targets; name one of its columns, such as 'a', 'b'$"),
    ],
    ids=["none", "several"],
)
def test_an_unnamed_target_must_be_marked(targets, message):
    with pytest.raises(DataError, match=message):
        fit_target(Table.of({name: [1, 2] for name in "abcd"}, targets=targets))


BAD_TARGETS = {
    "empty": ({"y": []}, "auto", r"^the table has no rows$"),
    "absent": ({"Income": ["a", "b"]}, "auto", r"has no column 'y'; known names are 'Income'$"),
    "missing number": ({"y": [1.0, NAN]}, "auto", r"^column 'y' of the table has no value in row 2, and every row"),
    "missing text": (
        {"y": [None, "a", None, None]},
        "auto",
        r"has no value in row 1 and 2 others, and every row needs a target; leave such rows out$",
    ),
    "infinite": (
        {"y": [1.0, INF]},
        "auto",
        r"^column 'y' of the table holds inf in row 2; correct it or leave it out$",
    ),
    "infinite class": ({"y": [1.0, -INF]}, "classification", r"holds -inf in row 2"),
    "one text": ({"y": ["a", "a"]}, "auto", r"^column 'y' of the table holds one class only, 'a', in every row$"),
    "one number": ({"y": [3, 3]}, "auto", r"holds one class only, 3, in every row$"),
    "fraction": ({"y": [1, 2.5]}, "classification", r"holds 2\.5 in row 2, and classes are text or whole numbers"),
    "text": ({"y": ["1", "x"]}, "regression", r"holds the text 'x' in row 2, and a regression target is a number$"),
    "names": (
        {"y": [f"name {at}" for at in range(50)]},
        "auto",
        r"holds 50 different classes in 50 rows, 'name 0' for one; choose a column whose classes",
    ),
    "task": ({"y": [1, 2]}, "guess", r"^the task must be 'auto', 'classification' or 'regression', not 'guess'$"),
}


@pytest.mark.parametrize(("columns", "task", "message"), BAD_TARGETS.values(), ids=BAD_TARGETS)
def test_a_bad_target_is_explained(columns, task, message):
    with pytest.raises(DataError, match=message):
        fit_target(Table.of(columns), "y", task=task)


def test_a_label_that_training_did_not_have_is_explained():
    target = fit_target(Table.of({"y": ["setosa", "virginica"]}), "y")

    with pytest.raises(
        DataError,
        match=r"^column 'y' of 't\.csv' holds 'Setoza' in row 2, which is not a class of the model; "
        r"did you mean 'setosa'\?$",
    ):
        target.transform(Table.of({"y": ["setosa", "Setoza"]}, source="'t.csv'"))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_a_later_target_is_checked_as_in_training(task):
    target = fit_target(Table.of({"y": [1, 2, 2]}), "y", task=task)

    with pytest.raises(DataError, match="has no value in row 1"):
        target.transform(Table.of({"y": [None, 1]}))
    with pytest.raises(DataError, match=r"holds '?inf'? in row 1"):
        target.transform(Table.of({"y": [INF, 1]}))


# The way through JSON


@given(st.lists(st.floats(-1e300, 1e300) | st.none(), min_size=1), st.lists(st.text()))
def test_features_come_back_from_json_exactly(numbers, texts):
    rows = min(len(numbers), len(texts)) or 1
    columns = {"n": np.array(numbers[:rows], float), "t": np.array([*texts, None], object)[:rows], "y": np.zeros(rows)}
    table = Table.of(columns)
    features = fit_features(table, exclude="y", max_categories=3)

    again = Features.from_config(through_json(features.to_config()))

    assert again == features
    assert np.array_equal(again.transform(table), features.transform(table))


@pytest.mark.parametrize("values", [["b", "a"], [3, 1], [0.1, 1 / 3]])
def test_a_target_comes_back_from_json_exactly(values):
    target = fit_target(Table.of({"y": values}), "y")

    assert Target.from_config(through_json(target.to_config())) == target


FEATURES = Features(
    (NumberColumn("n", 1.0, 1.0, 1.0, indicator=False), TextColumn("t", ("a", "b"), missing=False, pooled=0)),
    (0, 2),
    ("y",),
    named=True,
)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["columns"], None, r"^the description of the table is damaged: 'columns' is None; save the model again$"),
        (["columns", 0], 3, "a column is not an object"),
        (["columns", 0, "kind"], "picture", "'kind' is 'picture'"),
        (["columns", 0, "name"], 3, "'name' is 3"),
        (["columns", 0, "mean"], "1", "'mean' is '1'"),
        (["columns", 0, "mean"], NAN, "'mean' is nan"),
        (["columns", 0, "scale"], True, "'scale' is True"),
        (["columns", 0, "indicator"], 1, "'indicator' is 1"),
        (["columns", 1, "categories"], ["a", 3], "'categories' is not a list of different texts"),
        (["columns", 1, "categories"], ["a", "a"], "'categories' is not a list of different texts"),
        (["columns", 1, "pooled"], True, "'pooled' is True"),
        (["positions"], [0], "'positions' does not fit the columns"),
        (["positions"], [0, 3], "'positions' does not fit the columns"),
        (["positions"], [0, "2"], "'positions' does not fit the columns"),
        (["excluded"], "y", "'excluded' is 'y'"),
        (["named"], "yes", "'named' is 'yes'"),
    ],
)
def test_damaged_features_are_explained(path, value, message):
    config = through_json(FEATURES.to_config())
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value

    with pytest.raises(DataError, match=message):
        Features.from_config(config)


@pytest.mark.parametrize(
    "change",
    [
        {"task": "guess"},
        {"classes": ["a"]},
        {"classes": ["a", 1]},
        {"classes": ["a", "a"]},
        {"classes": [True, False]},
        {"classes": None},
        {"task": "regression"},
        {"task": "regression", "classes": [], "scale": 0.0},
        {"task": "regression", "classes": [], "mean": INF},
        {"name": None},
    ],
)
def test_a_damaged_target_is_explained(change):
    config = Target("y", "classification", ("a", "b")).to_config()

    with pytest.raises(DataError, match=r"^the description of the table is damaged: "):
        Target.from_config({**config, **change})


# Real tables


@pytest.mark.parametrize(("name", "column"), SHARED)
def test_a_real_table_is_transformed_as_by_scikit_learn(name, column):
    path = TABULAR / f"{name}.parquet"
    if not path.exists():
        pytest.skip(f"{name}.parquet is not beside the repository")
    table = read_table(path)

    features = fit_features(table, exclude=column)

    X = features.transform(table)
    numbers = [name for name in table.names if name not in (*features.text_columns, column)]
    expected = StandardScaler().fit_transform(np.column_stack([table.column(name) for name in numbers]))
    assert np.allclose(X[:, [features.outputs.index(name) for name in numbers]], expected, rtol=1e-9, atol=1e-9)
    one_hot = [at for at, name in enumerate(features.outputs) if name not in numbers]
    assert (X[:, one_hot].sum(axis=1) == len(features.text_columns)).all()
    assert Features.from_config(through_json(features.to_config())) == features
