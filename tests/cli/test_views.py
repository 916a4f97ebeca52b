"""`chainrule derive` at every depth, and with numbers."""

import json
import re
from functools import cache
from itertools import combinations

import numpy as np
import pytest

from chainrule.cli import main
from chainrule.cli.derive import WRITTEN
from chainrule.cli.sample import numbers_for
from chainrule.losses import LOSSES
from chainrule.network import Network

NET = "2 -> 2 logistic -> 2 logistic"
MAZUR = {
    "X": [[0.05, 0.10]], "Y": [[0.01, 0.99]],
    "W1": [[0.15, 0.25], [0.20, 0.30]], "b1": [[0.35, 0.35]], "W2": [[0.40, 0.50], [0.45, 0.55]], "b2": [[0.6, 0.6]],
}  # fmt: skip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mazur.json"
    path.write_text(json.dumps(MAZUR), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--view", "equations"], lambda d: d.view("equations")),
        (["--view", "rules"], str),
        (["--view", "steps"], lambda d: d.view("steps")),
        (["--view", "steps", "--latex"], lambda d: d.latex("steps")),
        (["--latex"], lambda d: d.latex()),
        (["--latex", "--view", "rules"], lambda d: d.latex("rules")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_view_is_printed(options, expected, capsys):
    status = main(["derive", NET, *options])

    assert status == 0
    assert capsys.readouterr().out == expected(Network(NET).derive()) + "\n"


@pytest.mark.row(11, 83)
def test_given_numbers_are_worked_out(file, capsys):
    assert main(["derive", NET, "--loss=half_squared_error", "--six-steps", f"--values={file}", "--digits=9"]) == 0

    out = capsys.readouterr().out
    assert "0.593269992 0.596884378" in out
    assert "0.000438567734" in out
    assert out.startswith("1. forward")


def test_the_learning_rate_is_among_the_values(tmp_path, capsys):
    path = tmp_path / "mazur.json"
    path.write_text(json.dumps({**MAZUR, "lr": 0.5}), encoding="utf-8")
    command = ["derive", NET, "--loss=half_squared_error", f"--values={path}", "--digits=9"]

    assert main([*command, "--six-steps"]) == 0
    six = capsys.readouterr().out
    assert main([*command, "--entry", "W2_next[0,0]"]) == 0
    entry = capsys.readouterr().out

    assert "0.358916480" in six  # w5+ of Mazur's page
    assert "  = 0.4 - 0.5 · 0.0821670406\n  = 0.35891648" in entry


def test_rates_and_weights_of_examples_are_among_the_values(tmp_path, capsys):
    rates = {"lr_W1": [[1, 2], [3, 4], [5, 6]], "lr": 0.25, "w": [[1], [3]]}
    path = tmp_path / "rates.json"
    path.write_text(json.dumps({"X": [[1, 2, 3], [0, 1, 0]], "Y": [[0, 1], [1, 0]], **rates}), encoding="utf-8")
    options = ["--learning-rate=matrix", "--sample-weight", "--layout=columns", f"--values={path}"]

    assert main(["derive", "3 -> 2", *options]) == 0

    out = capsys.readouterr().out
    assert "[2 4 6]" in out  # in columns, as W1 is
    assert "[0.25]" in out
    assert "  s = w 1" in out
    assert "    = [1 3] 1\n    = 4" in out
    assert main(["derive", "3 -> 2", "--entry", "lr_W1[0,0]", f"--values={path}"]) == 2
    assert "has a value for 'lr_W1'" in capsys.readouterr().err


def test_values_alone_are_worked_out(file, capsys):
    command = ["derive", NET, "--loss=half_squared_error", "--values", str(file)]

    assert main(command) == 0
    alone = capsys.readouterr().out
    assert main([*command, "--numbers"]) == 0

    assert alone == capsys.readouterr().out
    assert "0.5933" in alone


def test_one_entry_is_explained(file, capsys):
    command = ["derive", NET, "--loss=half_squared_error", "--values", str(file)]

    assert main([*command, "--entry", "dW2[0, 0]"]) == 0
    text = capsys.readouterr().out
    assert main([*command, "--entry", "dW2[0,0]", "--latex"]) == 0
    latex = capsys.readouterr().out

    assert "dW2[0,0] is row 0 of A1' times column 0 of dZ2\n  = A1[0,0] · dZ2[0,0]\n  = 0.5933 · 0.1385\n" in text
    assert latex.startswith(r"\begin{align*}")


def test_the_six_steps_are_latex_too(file, capsys):
    assert main(["derive", NET, "--six-steps", "--latex", f"--values={file}"]) == 0
    out = capsys.readouterr().out

    assert out.startswith("\\begin{align*}\n  &\\textit{1. forward: sums")
    assert out.count(r"\begin{align*}") == out.count(r"\end{align*}") == 6
    assert r"\textit{6. the update}" in out
    assert max(len(line) for line in out.splitlines() if "textit" in line) < 80


def test_of_any_two_options_each_changes_what_is_written_or_both_are_refused(file, capsys):
    numpy = ["--source", "numpy"]
    options = {
        "--entry": ["--entry", "dW2[0,0]"], "--numbers": ["--numbers"], "--six-steps": ["--six-steps"],
        "--source": numpy, "--view": ["--view", "steps"], "--latex": ["--latex"], "--values": ["--values", str(file)],
        "--digits": ["--digits", "6"], "--part": ["--part", "step"],
    }  # fmt: skip
    assert set(options) == set(WRITTEN) | {each for goes in WRITTEN.values() for each in goes}

    @cache
    def written(*chosen):
        status = main(["derive", NET, *(word for each in chosen for word in options[each])])
        out, err = capsys.readouterr()
        if status:
            assert status == 2
            assert not out
            assert re.search(r"exclude each other|goes with", err)
        return out

    for pair in combinations(options, 2):
        together = written(*pair)
        for each, other in (pair, pair[::-1]):
            alone = written(other)
            by_default = {"--numbers"} if each == "--numbers" and other == "--values" else set()
            assert not together or each in by_default or together != alone, (other, each)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_numbers_are_drawn_where_none_are_given(layout, capsys):
    assert main(["derive", "3 -> 2 tanh dropout=0.5 -> 2 softmax", "--numbers", "--layout", layout]) == 0

    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    assert "  W2_next = " in out


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_drawn_targets_suit_the_loss(loss):
    network = Network(f"3 -> 2 {LOSSES[loss].partner}", loss)

    params, X, Y, options = numbers_for(network, network.derive(), None)

    assert np.isfinite(network.loss(params, X, Y))
    assert not options


def test_an_npz_file_gives_numbers_too(tmp_path, capsys):
    np.savez(tmp_path / "n.npz", **{k: np.array(v) for k, v in MAZUR.items()})

    assert main(["derive", NET, "--numbers", "--values", str(tmp_path / "n.npz")]) == 0
    assert "[0.5933 0.5969]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--view", "all"], "unknown view 'all'; known names are 'algebra', 'equations', 'rules', 'steps'"),
        (["--entry", "dW2"], "an entry is written as \"dW2[1,0]\", got 'dW2'"),
        (["--entry", "dW2[5,0]"], "it has no entry [5,0]"),
        (["--entry", "dW2[0,0]", "--numbers"], "--entry and --numbers exclude each other"),
        (["--digits", "0"], "digits is a whole number of at least 1, got 0"),
        (["--numbers", "--digits=-1"], "digits is a whole number of at least 1, got -1"),
        (["--numbers", "--source", "numpy"], "--numbers and --source exclude each other"),
        (["--values", "nowhere.json", "--source", "numpy"], "--values and --source exclude each other"),
        (["--view", "rules", "--numbers"], "--numbers and --view exclude each other"),
        (["--view", "steps", "--source", "numpy"], "--source and --view exclude each other"),
        (["--entry", "dW2[0,0]", "--view", "steps"], "--entry and --view exclude each other"),
        (["--entry", "", "--source", "numpy"], "--entry and --source exclude each other"),
        (["--entry", ""], "an entry is written as \"dW2[1,0]\", got ''"),
        (["--numbers", "--view", "steps"], "--numbers and --view exclude each other"),
        (["--numbers", "--values", "nowhere.json"], "cannot read 'nowhere.json'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(options, message, capsys):
    assert main(["derive", NET, *options]) != 0

    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1]", "should hold matrices by name"),
        ("{", "is neither JSON nor .npz"),
        ('{"W3": 1}', "has a value for 'W3'"),
        ('{"X": [[0.05], [1, 2]]}', "X is a matrix, got rows of different lengths: row 0 has length 1, row 1 has"),
        ('{"X": [[0.05, "a"]]}', "X holds real numbers, got 'a' at [0, 1]"),
        ('{"X": 3}', "the network takes X of shape (n x 2), got ()"),
        ('{"W1": [[1, 2], [3]]}', "W1 is a matrix, got rows of different lengths: row 0 has length 2, row 1 has"),
    ],
)
def test_a_bad_file_is_one_sentence(text, message, tmp_path, capsys):
    path = tmp_path / "bad.json"
    path.write_text(text, encoding="utf-8")

    assert main(["derive", NET, "--numbers", "--values", str(path)]) != 0
    assert message in " ".join(capsys.readouterr().err.split())
