"""`chainrule predict` and `chainrule show`: what a model file gives back."""

import csv
import io
import subprocess
import sys

import numpy as np
import pytest

from chainrule.cli import main
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.persist import load, save
from chainrule.tables import read_table

pytestmark = pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")

KINDS = ("cat", '"dog, big"')
PETS = "age,kind,mood\n" + "".join(f"{i},{KINDS[i % 3 == 0]},{'calm' if i % 2 else 'wild'}\n" for i in range(40))


def trained(tmp_path, *arguments):
    path = tmp_path / "m.safetensors"
    assert main(["train", *arguments, "--save", str(path), "--max-iter", "3", "--quiet"]) == 0
    return path


@pytest.fixture
def pets(tmp_path):
    table = tmp_path / "pets.csv"
    table.write_text(PETS, encoding="utf-8")
    return table


@pytest.fixture(scope="module")
def iris_model(tmp_path_factory):
    """A directory with a model, a damaged one, and a table that does not fit."""
    directory = tmp_path_factory.mktemp("iris")
    model = trained(directory, "iris").rename(directory / "m")
    (directory / "cut").write_bytes(model.read_bytes()[:-9])
    (directory / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    return directory


def rows_of(text):
    header, *rows = csv.reader(io.StringIO(text))
    return header, rows


def test_classes_come_with_their_probabilities(tmp_path, capsys):
    path = trained(tmp_path, "iris")
    capsys.readouterr()

    status = main(["predict", str(path), "iris"])

    header, rows = rows_of(capsys.readouterr().out)
    model, table = load(path), read_table("iris")
    assert status == 0
    assert header == ["prediction", "probability setosa", "probability versicolor", "probability virginica"]
    assert [row[0] for row in rows] == model.predict(table).tolist()
    written = np.array([[float(cell) for cell in row[1:]] for row in rows])
    np.testing.assert_array_equal(written, model.predict_proba(table))
    np.testing.assert_allclose(written.sum(axis=1), 1, rtol=1e-12)


def test_a_number_comes_in_the_units_of_the_target(tmp_path, capsys):
    path = trained(tmp_path, "diabetes")
    capsys.readouterr()

    main(["predict", str(path), "diabetes"])

    header, rows = rows_of(capsys.readouterr().out)
    assert header == ["prediction"]
    assert [float(cell) for (cell,) in rows] == load(path).predict(read_table("diabetes")).tolist()


def test_scores_that_are_no_probabilities_are_left_out(tmp_path, capsys):
    path = trained(tmp_path, "iris", "--net", "4 -> 3", "--loss", "squared_hinge")
    capsys.readouterr()

    assert main(["predict", str(path), "iris"]) == 0
    assert rows_of(capsys.readouterr().out)[0] == ["prediction"]


def test_names_with_commas_are_quoted(pets, tmp_path, capsys):
    path = trained(tmp_path, str(pets), "--target", "kind")
    capsys.readouterr()

    main(["predict", str(path), str(pets)])

    header, rows = rows_of(capsys.readouterr().out)
    assert header == ["prediction", "probability cat", "probability dog, big"]
    assert len(rows) == 40


def test_columns_are_matched_by_name_and_the_target_is_not_needed(pets, tmp_path, capsys):
    path, new = trained(tmp_path, str(pets), "--target", "mood"), tmp_path / "new.csv"
    new.write_text("weight,kind,age\n7,cat,3\n8,cow,\n", encoding="utf-8")
    capsys.readouterr()

    status = main(["predict", str(path), str(new)])

    out, err = capsys.readouterr()
    assert status == 0
    assert len(rows_of(out)[1]) == 2
    assert "chainrule: note: not used, because training did not have them: 'weight'" in err
    assert "note: column 'kind' has texts that training did not have in 1 row, such as 'cow'" in " ".join(err.split())


def test_columns_without_names_are_matched_by_position(pets, tmp_path, capsys):
    path, new = trained(tmp_path, str(pets), "--target", "mood"), tmp_path / "new.csv"
    new.write_text("3,cat\n4,cat\n", encoding="utf-8")
    capsys.readouterr()

    main(["predict", str(path), str(new), "--no-header"])

    assert len(rows_of(capsys.readouterr().out)[1]) == 2


def test_codes_that_were_text_in_training_are_text_again(tmp_path, capsys):
    table = tmp_path / "t.csv"
    table.write_text("code,y\n" + "".join(f"{i % 2},{'uv'[i % 2]}\n" for i in range(20)), encoding="utf-8")
    path = trained(tmp_path, str(table), "--target", "y", "--text", "code")
    capsys.readouterr()

    assert main(["predict", str(path), str(table)]) == 0
    assert not capsys.readouterr().err


def test_output_goes_to_a_file_whole_or_not_at_all(pets, tmp_path, capsys):
    path, out = trained(tmp_path, str(pets), "--target", "mood"), tmp_path / "out.csv"
    main(["predict", str(path), str(pets), "--output", str(out)])
    main(["predict", str(path), str(pets)])
    printed = capsys.readouterr().out
    before = out.read_text(encoding="utf-8")

    status = main(["predict", str(path), "iris", "--output", str(out)])

    assert status == 2
    assert printed.endswith(before)
    assert out.read_text(encoding="utf-8") == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.safetensors", "out.csv", "pets.csv"]


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    path = trained(tmp_path, "digits")
    command = [sys.executable, "-m", "chainrule", "predict", str(path), "digits"]

    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("prediction,")
    process.stdout.close()

    assert process.wait(timeout=60) == 141
    assert not process.stderr.read()
    process.stderr.close()


def test_show_prints_the_content_and_the_equations(pets, tmp_path, capsys):
    path = trained(tmp_path, str(pets), "--target", "mood", "--net", "3 -> 4 tanh -> 1 logistic")
    capsys.readouterr()

    status = main(["show", str(path)])

    out = capsys.readouterr().out
    estimator = load(path).estimator
    head, equations = out[: out.index("forward\n")], out[out.index("forward\n") :]
    assert status == 0
    assert "estimator   MLPClassifier\n" in head
    assert f"trained     3 epochs by adam, last loss {estimator.loss_:.6g}\n" in head
    assert "target      mood: 2 classes, calm, wild\n" in head
    assert "numbers     1 columns: age\n" in head
    assert "text        kind: 2 categories, kind=cat, kind=dog, big\n" in head
    assert "parameters  21 in float64: W1 (3 x 4), b1 (1 x 4), W2 (4 x 1), b2 (1 x 1)\n" in head
    assert str(estimator.network_.derive(solver="adam")).endswith(equations.rstrip("\n"))
    assert max(map(len, out.splitlines())) <= 80


def test_show_fits_80_columns_for_many_columns(tmp_path, capsys):
    path = trained(tmp_path, "breast_cancer")
    capsys.readouterr()

    main(["show", str(path)])

    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_show_prints_a_regression_target_in_its_units(tmp_path, capsys):
    path = trained(tmp_path, "diabetes")
    capsys.readouterr()

    main(["show", str(path)])

    assert "target      target: a number, of mean 1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("estimator", "rule"),
    [
        (MLPRegressor((3,), solver="sgd", max_iter=2, tol=0), "nesterov"),
        (MLPClassifier((3,), max_iter=2, tol=0), "adam"),
    ],
)
def test_show_knows_estimators_saved_from_python(estimator, rule, tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    save(path, estimator.fit(np.eye(4), [0, 1, 1, 0]))

    status = main(["show", str(path)])

    out = capsys.readouterr().out
    assert status == 0
    assert f"estimator   {type(estimator).__name__}\n" in out
    assert str(estimator.network_.derive(solver=rule)) in out
    assert "numbers" not in out


def test_predict_wants_a_model_of_a_table(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    save(path, MLPRegressor((3,), max_iter=2, tol=0).fit(np.eye(4), [0.0, 1, 1, 0]))

    status = main(["predict", str(path), "iris"])

    assert status == 2
    assert "knows no columns of a table: it was saved from Python" in capsys.readouterr().err


WRONG = [
    (["predict"], "MODEL is missing"),
    (["predict", "m"], "DATA is missing"),
    (["predict", "m", "iris", "wine"], "unexpected 'wine'"),
    (["predict", "none", "iris"], "there is no model file 'none'"),
    (["predict", "t.csv", "iris"], "'t.csv' is not a model file, or it is damaged"),
    (["predict", "cut", "iris"], "'cut' is not a model file, or it is damaged"),
    (["predict", "m", "none.csv"], "there is no file 'none.csv'"),
    (["predict", "m", "wine"], "'wine' has no column 'sepal length (cm)'"),
    (["predict", "m", "t.csv"], "'t.csv' has no column 'sepal length (cm)'"),
    (["predict", "m", "iris", "--output", "no/where"], "there is no directory 'no'"),
    (["show"], "MODEL is missing"),
    (["show", "none"], "there is no model file 'none'"),
    (["show", "."], "'.' is a directory; name a model file"),
    (["show", "cut"], "'cut' is not a model file, or it is damaged"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_bad_input_is_one_message_and_status_2(arguments, message, capsys, iris_model, monkeypatch):
    monkeypatch.chdir(iris_model)

    status = main(arguments)

    out, err = capsys.readouterr()
    assert status == 2
    assert not out
    assert err.startswith("chainrule: error: ")
    assert message in err
    assert "Traceback" not in err
    assert sorted(each.name for each in iris_model.iterdir()) == ["cut", "m", "t.csv"]


@pytest.mark.parametrize("row", ["1,cat", "b,cat", "1,cat\n2,dog"])
def test_a_table_whose_first_row_is_taken_for_a_header_is_explained(pets, row, tmp_path, capsys):
    path = trained(tmp_path, str(pets), "--target", "mood")
    bare = tmp_path / "bare.csv"
    bare.write_text(f"{row}\n", encoding="utf-8")
    capsys.readouterr()

    assert main(["predict", str(path), str(bare)]) == 2
    assert "--no-header" in capsys.readouterr().err


def test_one_row_without_a_header_is_predicted_where_that_is_said(pets, tmp_path, capsys):
    path = trained(tmp_path, str(pets), "--target", "mood")
    bare = tmp_path / "bare.csv"
    bare.write_text("1,cat\n", encoding="utf-8")
    capsys.readouterr()

    assert main(["predict", str(path), str(bare), "--no-header"]) == 0
    assert len(rows_of(capsys.readouterr().out)[1]) == 1
