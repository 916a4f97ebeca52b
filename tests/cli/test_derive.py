"""`chainrule derive`."""

import re
import subprocess
import sys

import numpy as np
import pytest

from chainrule.check.verification import Failure, Verification
from chainrule.cli import main
from chainrule.derivation import Derivation
from chainrule.network import Network
from chainrule.program.languages import LANGUAGES

NET = "4 -> 8 tanh -> 3 softmax"

GOLDEN = """\
4 -> 8 tanh -> 3 softmax, cross_entropy (rows)
forward
       Z1 = X W1 + 1 b1                      (n x 8)  dense
       A1 = tanh(Z1)                         (n x 8)  tanh
       Z2 = A1 W2 + 1 b2                     (n x 3)  dense
        P = softmax(Z2)                      (n x 3)  softmax
loss
     loss = -(1' (Y ∘ log_softmax(Z2)) 1)/n  (1 x 1)  cross_entropy
backward
      dZ2 = (P - Y)/n                        (n x 3)  product, log_softmax
      db2 = 1' dZ2                           (1 x 3)  sum over examples
      dW2 = A1' dZ2                          (8 x 3)  product
      dZ1 = (dZ2 W2') ∘ (1 - A1 ∘ A1)        (n x 8)  product, tanh
      db1 = 1' dZ1                           (1 x 8)  sum over examples
      dW1 = X' dZ1                           (4 x 8)  product
update
  W1_next = W1 - lr dW1                      (4 x 8)  sgd
  b1_next = b1 - lr db1                      (1 x 8)  sgd
  W2_next = W2 - lr dW2                      (8 x 3)  sgd
  b2_next = b2 - lr db2                      (1 x 3)  sgd
"""


def test_it_prints_the_derivation(capsys):
    status = main(["derive", NET])

    assert status == 0
    assert capsys.readouterr() == (GOLDEN, "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--layout", "columns"], lambda net: str(net.derive("columns"))),
        (["--solver", "adam"], lambda net: str(net.derive(solver="adam"))),
        (["--sample-weight"], lambda net: str(net.derive(sample_weight=True))),
        (["--latex"], lambda net: net.derive().latex()),
        (["--latex", "--layout", "columns"], lambda net: net.derive("columns").latex()),
        (["--source", "numpy"], lambda net: net.derive().source("numpy")),
        (["--source", "numpy", "--part", "backward"], lambda net: net.derive().source("numpy", "backward")),
        (["--source=numpy", "--part=step"], lambda net: net.derive().source("numpy", "step")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_it_prints_what_the_library_gives(options, expected, capsys):
    status = main(["derive", *options, NET])

    assert status == 0
    assert capsys.readouterr().out == expected(Network(NET)).rstrip("\n") + "\n"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_writes_every_language(language, tmp_path, capsys):
    status = main(["derive", NET, "--source", language, "-o", str(tmp_path / "program")])

    assert status == 0
    assert (tmp_path / "program").read_text(encoding="utf-8") == Network(NET).derive().source(language)
    main(["derive", "--help"])
    assert language in capsys.readouterr().out


def test_loss_penalty_and_reduction_are_those_of_the_network(capsys):
    main(["derive", "4->8 elu(0.5)->1", "--loss", "huber(2)", "--penalty", "l2(0.1)+l1(0.2)", "--reduction", "sum"])

    net = Network("4 -> 8 elu(0.5) -> 1", "huber(2)", penalty="l2(0.1) + l1(0.2)", reduction="sum")
    assert capsys.readouterr().out == f"{net.derive()}\n"


def test_a_convention_declares_the_reduction_of_the_loss(capsys):
    main(["derive", "4->3 nobias", "--convention", "raja", "--penalty", "l2(0.1)", "--learning-rate", "matrix"])

    net = Network("4 -> 3 nobias", penalty="l2(0.1)", reduction="sum")
    printed = capsys.readouterr().out
    assert printed == f"{net.derive(convention='raja', learning_rate='matrix')}\n"
    assert "note" not in printed


def test_single_options_change_a_convention(capsys):
    options = "--convention ng --layout rows --weights XWt --scale step --bias ones --sign ascent"
    main(["derive", "4->3", *options.split()])

    chosen = {"layout": "rows", "weights": "XWt", "scale": "step", "bias": "ones", "sign": "ascent"}
    assert capsys.readouterr().out == f"{Network('4 -> 3').derive(convention='ng', **chosen)}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--convention", "nilsen"], "unknown convention 'nilsen'; did you mean 'nielsen'?"),
        (
            ["--weights", "WX"],
            "weights='WX' is the product W X of columns, and the layout is rows: in layer 1 already,",
        ),
        (["--convention", "raja"], "convention 'raja' is for networks without biases, and layer 1 has one"),
    ],
)
def test_a_convention_that_cannot_be_is_explained(options, message, capsys):
    assert main(["derive", "4->3", *options]) != 0

    captured = capsys.readouterr()
    assert message in " ".join(captured.err.split())
    assert not captured.out


@pytest.mark.parametrize("convention", ["nielsen", "ng", "cs231n", "hse", "pytorch"])
def test_a_program_in_a_convention_runs(convention, capsys):
    main(["derive", "4->5 tanh dropout=0.2->3 softmax", "--convention", convention, "--source", "numpy"])

    printed = capsys.readouterr()
    losses: list[str] = []
    exec(printed.out, {"print": losses.append, "__name__": "__main__"})
    assert float(losses[-1].split()[-1]) < float(losses[0].split()[-1])


@pytest.mark.parametrize("spec", [NET, "20 -> 16 gelu dropout=0.5 -> 16 mish residual -> 3 log_softmax nobias"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("solver", ["sgd", "nadam"])
def test_it_fits_80_columns(spec, layout, solver, capsys):
    main(["derive", spec, "--loss", "huber", "--layout", layout, "--solver", solver, "--sample-weight"])

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20
    assert max(map(len, lines)) <= 80


def test_verify_adds_one_line(capsys):
    status = main(["derive", NET, "--verify"])

    out, err = capsys.readouterr()
    assert status == 0
    assert out == f"{GOLDEN}{Network(NET).derive().verify()}\n"
    assert "steps replayed, " in out.splitlines()[-1]
    assert not err


def test_verify_keeps_its_line_out_of_a_program(capsys):
    main(["derive", NET, "--source", "numpy", "--verify"])

    out, err = capsys.readouterr()
    compile(out, "program", "exec")
    assert "steps replayed" not in out
    assert "steps replayed" in err


def test_a_derivation_that_does_not_replay_is_status_1_and_writes_nothing(tmp_path, capsys, monkeypatch):
    wrong = Verification(False, 7, 0.5, (Failure("tanh", "dZ1", "1 - A1", "A1", 0.5),))
    monkeypatch.setattr(Derivation, "verify", lambda self: wrong)

    status = main(["derive", NET, "--verify", "--output", str(tmp_path / "net.txt")])

    out, err = capsys.readouterr()
    assert status == 1
    assert not out
    assert err.startswith(
        "chainrule: error: 7 steps replayed, 0 of them modulo 2^61 - 1, worst relative error 5.0e-01: 1 failed\n"
    )
    assert "tanh, in dZ1" in err
    assert not list(tmp_path.iterdir())


def test_a_note_stays_beside_a_program(capsys):
    main(["derive", "4 -> 3 softmax", "--loss", "half_squared_error", "--source", "numpy"])

    out, err = capsys.readouterr()
    compile(out, "program", "exec")
    assert err.startswith("chainrule: note: half_squared_error on softmax")


def test_a_note_stands_before_what_it_is_about_and_fits_the_terminal():
    entry = ["4 -> 3 logistic", "--loss=huber", "--convention=ng", "--entry", "dW1[1,0]"]
    command = [sys.executable, "-m", "chainrule", "derive", *entry]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)

    lines = done.stdout.splitlines()
    assert lines[0].startswith("chainrule: note: huber on logistic")
    assert lines[-1].endswith("of (dZ1 X')/n")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("option", ["--output", "-o"])
def test_output_goes_to_a_file(option, tmp_path, capsys):
    path = tmp_path / "net.txt"

    status = main(["derive", NET, option, str(path)])

    assert status == 0
    assert capsys.readouterr() == ("", "")
    assert path.read_text(encoding="utf-8") == GOLDEN
    assert [each.name for each in tmp_path.iterdir()] == ["net.txt"]


def test_verify_with_a_file_prints_its_line(tmp_path, capsys):
    main(["derive", NET, "--latex", "--verify", "--output", str(tmp_path / "net.tex")])

    assert "steps replayed" in capsys.readouterr().out


def test_an_error_leaves_an_earlier_file_as_it_was(tmp_path, capsys):
    path = tmp_path / "net.txt"
    path.write_text("earlier", encoding="utf-8")

    status = main(["derive", "4 -> 8 tnh", "--output", str(path)])

    assert status == 2
    assert path.read_text(encoding="utf-8") == "earlier"
    assert [each.name for each in tmp_path.iterdir()] == ["net.txt"]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path, capsys):
    path = tmp_path / "nowhere" / "net.txt"

    status = main(["derive", NET, "--output", str(path)])

    assert status == 2
    assert capsys.readouterr() == (
        "",
        f"chainrule: error: cannot write {str(path)!r}: there is no directory {str(path.parent)!r}\n",
    )


def test_the_written_program_runs_and_its_loss_falls(tmp_path):
    path = tmp_path / "net.py"
    main(["derive", NET, "--source", "numpy", "--output", str(path)])

    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=True)

    losses = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(losses) > 2
    assert np.all(np.diff(losses) < 0)


WRONG = [
    (["4 -> 8 tnh"], r"unknown word 'tnh' in layer 1; did you mean 'tanh'\?\n  4 -> 8 tnh\n         \^\^\^"),
    (["4"], "expected '->' after the number of inputs"),
    ([""], "empty SPEC"),
    ([NET, "--loss", "cross_entrpy"], "unknown loss 'cross_entrpy'; did you mean 'cross_entropy'?"),
    ([NET, "--loss", ""], "expected a name"),
    (["4 -> 3", "--loss", "cross_entropy"], "cross_entropy needs probabilities"),
    (["4 -> 3", "--loss", "huber(-1)"], "huber needs delta > 0, got delta=-1"),
    ([NET, "--penalty", "l3(1)"], "unknown penalty 'l3'"),
    ([NET, "--penalty", "l2"], r"'l2' needs 'strength'"),
    ([NET, "--penalty", "l2(x)"], r"found 'x'\n  l2\(x\)\n     \^"),
    ([NET, "--reduction", "men"], "unknown reduction 'men'; did you mean 'mean'?"),
    ([NET, "--layout", "colums"], "unknown layout 'colums'; did you mean 'columns'?"),
    ([NET, "--solver", "adm"], "unknown solver 'adm'; did you mean 'adam'?"),
    ([NET, "--source", "nmpy"], "unknown language 'nmpy'; did you mean 'numpy'?"),
    ([NET, "--source", "numpy", "--part", "forwards"], "unknown part 'forwards'; did you mean 'forward'?"),
    ([NET, "--source", "numpy", "--part", ""], "unknown part ''"),
    ([NET, "--part", "step"], "--part goes with --source\n"),
    ([NET, "--part", "step", "--numbers"], "--part and --numbers exclude each other: --part goes with --source\n"),
    ([NET, "--digits", "3"], "--digits goes with --entry, --numbers or --six-steps"),
    ([NET, "--latex", "--source", "numpy"], "--latex and --source exclude each other: --latex goes with --entry,"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_bad_input_is_one_message_and_status_2(arguments, message, capsys):
    status = main(["derive", *arguments])

    out, err = capsys.readouterr()
    assert status == 2
    assert not out
    assert_found(message, err)


def assert_found(message, err):
    pattern = message if "\\" in message else re.escape(message)
    assert err.startswith("chainrule: error: ")
    assert re.search(pattern, err), err
    assert "Traceback" not in err
