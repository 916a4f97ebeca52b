"""`chainrule train`: results on standard output, progress on standard error, a model file that is whole."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

from chainrule.check.gradient import check_gradient
from chainrule.cli import main
from chainrule.cli.commands import COMMANDS
from chainrule.network import Network
from chainrule.persist import load
from chainrule.tables import BUILT_IN

pytestmark = pytest.mark.filterwarnings("default::sklearn.exceptions.ConvergenceWarning")

PYTHON_M = [sys.executable, "-m", "chainrule"]
INTERRUPTIBLE = [  # also by a shell's background job, which ignores the signal, as do its children
    sys.executable, "-c",
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('chainrule', run_name='__main__')",
]  # fmt: skip
IRIS = ["train", "iris", "--max-iter", "5"]


@pytest.fixture
def houses(tmp_path):
    """A table with a missing number, a text column, and codes that look like numbers."""
    rng = np.random.default_rng(0)
    size, city, code = rng.normal(100, 20, 80), rng.choice(["Rome", "Oslo"], 80), rng.choice([10, 20], 80)
    price = 3 * size + 50 * (city == "Rome") + 10 * (code == 20)
    cells = ["" if i == 3 else f"{s:.2f}" for i, s in enumerate(size)]
    lines = [f"{s},{c},{k},{p:.3f}" for s, c, k, p in zip(cells, city, code, price, strict=True)]
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(["size,city,code,price", *lines]) + "\n", encoding="utf-8")
    return path


def test_standard_output_is_network_equations_check_and_test(capsys):
    status = main(["train", "iris", "--net", "4 -> 8 tanh -> 3 softmax", "--max-iter", "5", "--quiet"])

    out = capsys.readouterr().out
    *equations, check, test = out.splitlines()
    assert status == 0
    assert equations[0].startswith("4 -> 8 tanh -> 3 softmax, cross_entropy")
    assert any(re.fullmatch(r" *dW1 = .* +\(4 x 8\) +product", line) for line in equations)
    assert any(line.endswith("adam") for line in equations)
    assert re.fullmatch(r"backward pass checked: worst relative error \d\.\de-\d\d", check)
    assert re.fullmatch(r"test accuracy 0\.\d{4}   baseline 0\.\d{4}", test)
    assert max(map(len, equations)) <= 80


def test_a_number_is_tested_by_r2(capsys):
    status = main(["train", "diabetes", "--max-iter", "3", "--quiet"])

    assert status == 0
    assert re.fullmatch(r"test R2 -?\d\.\d{4}   baseline -?\d\.\d{4}", capsys.readouterr().out.splitlines()[-1])


def test_digits_reach_97_per_cent(capsys):
    assert main(["train", "digits", "--quiet"]) == 0

    _, _, accuracy, _, baseline = capsys.readouterr().out.splitlines()[-1].split()
    assert float(accuracy) >= 0.97
    assert float(baseline) < 0.11


def test_the_same_command_gives_the_same_output(capsys):
    main([*IRIS, "--quiet"])
    first = capsys.readouterr().out

    main([*IRIS, "--quiet"])
    assert capsys.readouterr().out == first

    main([*IRIS, "--quiet", "--random-state", "1"])
    assert capsys.readouterr().out != first  # another split is checked on other rows


@pytest.mark.parametrize(
    ("solver", "rate", "momentum"), [("sgd", 0.01, 0), ("nesterov", 0.01, 0.9), ("rmsprop(rho=0.8)", 0.001, 0)]
)
def test_the_solver_that_is_shown_is_the_one_that_runs(solver, rate, momentum, capsys, tmp_path):
    """Not Nesterov's momentum, which scikit-learn adds to "sgd" unless told otherwise."""
    path = tmp_path / "m.safetensors"

    main([*IRIS, "--solver", solver, "--quiet", "--save", str(path)])

    estimator = load(path).estimator
    shown = capsys.readouterr().out.rpartition("\nbackward pass checked")[0]
    assert shown == str(estimator.network_.derive(solver=solver.partition("(")[0]))
    assert (estimator.solver, estimator.learning_rate_init, estimator.momentum) == (solver, rate, momentum)


def test_options_reach_the_estimator(tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    options = ["--batch-size", "7", "--learning-rate", "0.02", "--alpha", "0.5", "--early-stopping"]

    main([*IRIS, *options, "--loss", "squared_error", "--save", str(path), "--quiet"])

    estimator = load(path).estimator
    assert estimator.batch_size == 7
    assert estimator.learning_rate_init == 0.02
    assert estimator.early_stopping
    assert str(estimator.network_.objective) == "squared_error"
    assert estimator.network_.penalty.terms == (("l2", 0.5, True),)
    assert estimator.max_iter == 5


@pytest.mark.parametrize(
    ("options", "terms"),
    [
        ([], (("l2", 0.0001, True),)),
        (["--alpha", "0"], (("l2", 0.0, True),)),
        (["--penalty", "l1(0.1) + l2(0.2)"], (("l1", 0.1, False), ("l2", 0.2, False))),
    ],
    ids=str,
)
def test_a_declared_network_has_the_penalty_that_is_asked_for(options, terms, tmp_path, capsys):
    path = tmp_path / "m.safetensors"
    net = ["--net", "4 -> 5 gelu -> 3 softmax"]

    assert main([*IRIS, *net, *options, "--save", str(path), "--quiet"]) == 0

    assert load(path).estimator.network_.penalty.terms == terms


def test_a_table_of_ones_own(houses, tmp_path, capsys):
    path = tmp_path / "m.safetensors"

    data = [str(houses), "--target", "price", "--text", "code", "--text", "city", "--test-fraction", "0.1"]
    status = main(
        ["train", *data, "--max-iter", "200", "--batch-size", "8", "--learning-rate", "0.01", f"--save={path}"]
    )

    model = load(path)
    assert status == 0
    assert model.features.text_columns == ("city", "code")
    assert model.target.task == "regression"
    assert float(capsys.readouterr().out.splitlines()[-1].split()[2]) > 0.9


def test_task_and_header_override_what_is_found_out(tmp_path, capsys):
    path, saved = tmp_path / "t.csv", tmp_path / "m.safetensors"
    path.write_text("".join(f"{i},{i % 2}\n" for i in range(20)), encoding="utf-8")

    assert main(["train", str(path), "--target", "column2", "--task", "regression", "--save", str(saved)]) == 0
    assert load(saved).target.task == "regression"
    assert main(["train", str(path), "--target", "1", "--header"]) == 2
    assert "has no column '1'; known names are '0'" not in capsys.readouterr().err


def test_progress_goes_to_standard_error_in_few_lines(capsys):
    main(["train", "iris", "--max-iter", "400", "--early-stopping"])

    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("epoch")]
    assert "epoch" not in out
    assert re.fullmatch(r"epoch   1/400  loss \d.\d{6}  validation 0.\d{4}  rate 0.001", lines[0])
    assert 2 <= len(lines) <= 22
    assert "112 rows to train on, 38 to test on; " in err


def test_quiet_is_quiet(capsys):
    main(["train", "iris", "--max-iter", "2", "--quiet"])

    assert "epoch" not in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="a pseudo-terminal of POSIX")
def test_progress_in_a_terminal_is_one_line_written_anew():
    screen, terminal = os.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm"}

    process = subprocess.Popen([*PYTHON_M, *IRIS], stdout=subprocess.PIPE, stderr=terminal, text=True, env=environment)
    os.close(terminal)
    out, _ = process.communicate(timeout=60)
    shown = os.read(screen, 100_000).decode()
    os.close(screen)

    assert process.returncode == 0
    assert out.splitlines()[-1].startswith("test accuracy")
    assert "epoch 5/5" in shown
    assert "\x1b[2K" in shown
    assert "backward pass" not in shown


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_keeps_the_last_whole_epoch_and_is_status_130(tmp_path):
    path = tmp_path / "m.safetensors"
    network = "64 -> 700 relu -> 700 relu -> 10 softmax"  # whose epochs take long enough for a signal to come in one
    long = ["train", "digits", "--net", network, "--max-iter", "100000000", "--save", str(path)]
    process = subprocess.Popen([*INTERRUPTIBLE, *long], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert any(line.startswith("epoch ") for line in process.stderr)  # reads on until there is one

    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert out.splitlines()[-1].startswith("test accuracy")
    assert load(path).estimator.n_iter_ >= 1


def test_an_interruption_before_an_epoch_is_whole_keeps_nothing(tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("chainrule.estimators.base.train", interrupted)
    path = tmp_path / "m.safetensors"

    status = main([*IRIS, "--save", str(path)])

    assert status == 130
    assert capsys.readouterr().err == "chainrule: error: interrupted\n"
    assert not list(tmp_path.iterdir())


def test_a_backward_pass_that_is_not_confirmed_is_a_warning(capsys, monkeypatch):
    wrong = check_gradient(lambda p: p["W"] ** 2, lambda p: {"W": p["W"]}, {"W": np.float64(3)})
    monkeypatch.setattr("chainrule.pipeline.check_on_a_few_rows", lambda *_: wrong)

    status = main([*IRIS, "--quiet"])

    out, err = capsys.readouterr()
    assert status == 0
    assert "backward pass checked: worst relative error 5.0e-01" in out
    assert "chainrule: warning: gradient check: 0 of 1 ok" in err


def test_an_unwritable_save_is_found_before_training(tmp_path, capsys):
    status = main([*IRIS, "--save", str(tmp_path / "nowhere" / "m.safetensors")])

    out, err = capsys.readouterr()
    assert status == 2
    assert not out
    assert "there is no directory" in err


WRONG = [
    ([], "DATA is missing; see chainrule train --help"),
    (["digit"], "there is no file or built-in set 'digit'; did you mean 'digits'?"),
    (["none.csv"], "there is no file 'none.csv'"),
    (["iris", "--target", "sepal width"], "'iris' has no column 'sepal width'; did you mean 'sepal width (cm)'?"),
    (["iris", "--net", "3 -> 3 softmax"], "--net takes 3 inputs, and the columns of 'iris' make 4: begin it with 4"),
    (["iris", "--net", "4 -> 3 sofmax"], "unknown word 'sofmax' in layer 1; did you mean 'softmax'?\n  4 -> 3 sofmax"),
    (["iris", "--net", "4 -> 3 relu", "--loss", "cross_entropy"], "cross_entropy needs"),
    (["iris", "--loss", "hubr"], "unknown loss 'hubr'; did you mean 'huber'?"),
    (["iris", "--solver", "adm"], "unknown solver 'adm'; did you mean 'adam'?"),
    (["iris", "--solver", "adam(beta=1)"], "'adam' has no parameter 'beta'"),
    (["iris", "--penalty", "l2(1)"], "--penalty belongs to a declared network: add --net, or use --alpha"),
    (["iris", "--penalty", "l2(1)", "--alpha", "1"], "--penalty and --alpha exclude each other: choose one"),
    (["iris", "--max-iter", "few"], "--max-iter takes a whole number, got 'few'"),
    (["iris", "--learning-rate", "low"], "--learning-rate takes a number, got 'low'"),
    (["iris", "--max-iter", "0"], "max_iter"),
    (["iris", "--batch-size", "0"], "batch_size"),
    (["iris", "--learning-rate", "nan"], "learning_rate_init"),
    (["iris", "--alpha", "-1"], "alpha"),
    (["iris", "--test-fraction", "1.5"], "the test fraction is a number between 0 and 1, got 1.5"),
    (["iris", "--task", "guess"], "the task must be 'auto', 'classification' or 'regression', not 'guess'"),
    (["iris", "--random-state", "-1"], "random_state"),
    (
        ["iris", "--solver", "sgd", "--learning-rate", "1e300", "--quiet"],
        "training diverged in epoch 1, at a learning rate",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_bad_input_is_one_message_and_status_2(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    with np.errstate(all="ignore"):
        status = main(["train", *arguments, *(["--save", "m.safetensors"] if arguments else [])])

    err = capsys.readouterr().err
    assert status == 2
    assert err.startswith("chainrule: error: ")
    assert message in err
    assert err.count("chainrule: ") == 1
    assert not list(tmp_path.iterdir())


TABLES = {
    "": "empty",
    "a,b\n": "has a header and no rows",
    "a,b\n1,2\n3,\n5,6\n": "column 'b' of",
    "a,b\n1,2\n3,inf\n5,6\n": "holds inf in row 2",
    "a,b\n1,u\n2,u\n3,u\n": "holds one class only, 'u'",
    "b\n1\n2\n3\n": "has no columns that are not excluded",
}


@pytest.mark.parametrize("text", TABLES)
def test_a_table_that_cannot_be_used_is_one_message(text, capsys, tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")

    status = main(["train", str(path), "--target", "b"])

    err = capsys.readouterr().err
    assert status == 2
    assert err.startswith("chainrule: error: ")
    assert TABLES[text] in err
    assert "Traceback" not in err


def test_a_derivation_names_the_network_as_trained(capsys):
    main([*IRIS, "--net", "4 -> 3 softmax", "--penalty", "l2(0.5)", "--quiet"])

    expected = Network("4 -> 3 softmax", penalty="l2(0.5)").derive(solver="adam")
    assert capsys.readouterr().out.startswith(f"{expected}\n")


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_help_names_every_built_in_set(name):
    assert name in COMMANDS["train"]


def test_the_table_is_not_replaced_by_the_model(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i},{i % 2}\n" for i in range(40)), encoding="utf-8")
    before = path.read_bytes()

    assert main(["train", str(path), "--target", "y", "--save", str(path)]) == 2

    assert path.read_bytes() == before
    assert "is what is read, and would be replaced" in capsys.readouterr().err


def test_counts_are_trained_in_their_own_units(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i / 100},{i // 10}\n" for i in range(200)), encoding="utf-8")
    options = ["--net", "1 -> 8 tanh -> 1 softplus", "--loss", "poisson", "--learning-rate", "0.03", "--quiet"]

    assert main(["train", str(path), "--target", "y", "--task", "regression", *options]) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert float(last.split()[2]) > 0.5, last


def test_a_text_column_that_is_not_there_is_named(capsys):
    assert main(["train", "iris", "--text", "petal lenth (cm)"]) == 2
    assert "did you mean" in capsys.readouterr().err


def test_numbers_with_a_slip_are_no_categories(tmp_path, capsys):
    path = tmp_path / "t.csv"
    path.write_text("a,y\n" + "".join(f"{i / 7:.3f},{i % 2}\n" for i in range(59)) + "oops,1\n", encoding="utf-8")

    assert main(["train", str(path), "--target", "y"]) == 2
    assert "holds 'oops' in row 60, where most cells are numbers" in capsys.readouterr().err
