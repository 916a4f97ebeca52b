"""Long lines of programs: what they are broken into, that it means the same, and that none is left."""

import ast
import re
from functools import cache

import pytest

import chainrule as cr
from chainrule.activations import activations
from chainrule.conventions import CONVENTIONS
from chainrule.losses import LOSSES
from chainrule.program import breaking
from chainrule.program.breaking import fitted
from chainrule.program.languages import LANGUAGES, find_language
from chainrule.program.source import PARTS
from chainrule.updates import UPDATES

IN_PYTHON = [name for name in LANGUAGES if name not in ("octave", "c")]
DEEP = "16 -> " + " -> ".join(f"{8 + i} {f} dropout=0.25" for i, f in enumerate(("gelu", "selu", "mish") * 4)) + " -> 3"


def preset(name, **options):
    nobias = " nobias" if CONVENTIONS[name].bias == "none" else ""
    net = cr.Network(f"40 -> 50 tanh dropout=0.5{nobias} -> 30 softmax{nobias}", penalty="l1(0.2) + l2(0.1)/n")
    return net.derive(convention=name, **options)


def with_loss(name):
    width = 3 if LOSSES[name].targets == "distribution" else 2
    net = cr.Network(f"4 -> 5 elu -> 5 silu residual -> {width} {LOSSES[name].partner}", name, penalty="l2(0.001)")
    return net.derive(layout="columns", solver="momentum", sample_weight=True)


TABLE = {
    **{f"preset {name}": lambda name=name: preset(name) for name in CONVENTIONS},
    **{f"loss {name}": lambda name=name: with_loss(name) for name in LOSSES},
    **{f"solver {name}": lambda name=name: preset("nielsen", solver=name) for name in UPDATES},
    **{
        f"activation {name}": lambda name=name: cr.Network(f"100 -> 128 {name} -> 10").derive()
        for name, f in activations().items()
        if f.axis is None
    },
    "many layers": lambda: cr.Network(DEEP, "huber", penalty="l1(0.1) + l2(0.2)").derive(solver="amsgrad"),
    "a rate for every weight": lambda: cr.Network(DEEP).derive(solver="nadam", learning_rate="matrix"),
    "biases in W": lambda: cr.Network("784 -> 512 gelu -> 256 gelu -> 10 softmax").derive(bias="ones", solver="adam"),
    "smoothed": lambda: cr.Network("4 -> 3 tanh -> 9 softmax", "cross_entropy(0.1)", reduction="sum").derive(),
}


@cache
def derivation(name):
    return TABLE[name]()


def tokens(text, end):
    """The text without what lays it out."""
    return re.sub(rf"({re.escape(end)}\n|\s)+", "", text)


# ---- no long lines


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", TABLE)
def test_no_line_of_a_program_is_longer_than_80(name, language):
    lines = derivation(name).source(language).splitlines()

    assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("part", [part for part in PARTS if part != "program"])
def test_no_line_of_a_part_is_longer_than_80(part, language):
    assert max(map(len, derivation("many layers").source(language, part).splitlines())) <= 80


def test_no_line_of_a_step_on_parameters_end_to_end_is_longer_than_80():
    text = derivation("solver adamw").source("numpy-inplace", "step", flat=True)

    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_line_of_expressions_is_longer_than_80(language):
    M = [cr.matrix(f"measurements_{i}", "n", "d") for i in range(9)]
    mixed = cr.log(sum((cr.exp(0.1 * A) * A for A in M), start=M[0] * M[0]) + 1) * (M[0] - M[1]) * (M[2] - M[3])

    text = cr.source({"mixture": mixed}, language=language)

    code = [line for line in text.splitlines() if not line.startswith(LANGUAGES[language].comment[0])]
    assert max(map(len, code)) <= 80 < len("".join(code))


# ---- the same program


@pytest.mark.parametrize(("width", "part"), [(40, "step"), (80, "program")])
@pytest.mark.parametrize("language", IN_PYTHON)
def test_broken_lines_are_the_same_program_of_python(language, width, part, monkeypatch):
    monkeypatch.setattr(breaking, "WIDTH", 100_000)
    whole = derivation("many layers").source(language, part)
    monkeypatch.setattr(breaking, "WIDTH", width)
    broken = derivation("many layers").source(language, part)

    assert broken != whole
    assert ast.dump(ast.parse(broken)) == ast.dump(ast.parse(whole))


@pytest.mark.parametrize(("width", "part"), [(40, "step"), (80, "program")])
@pytest.mark.parametrize(("language", "end"), [("octave", " ..."), ("c", "")])
def test_broken_lines_are_the_same_words(language, end, width, part, monkeypatch):
    monkeypatch.setattr(breaking, "WIDTH", 100_000)
    whole = derivation("many layers").source(language, part)
    monkeypatch.setattr(breaking, "WIDTH", width)
    broken = derivation("many layers").source(language, part)

    assert broken != whole
    assert tokens(broken, end) == tokens(whole, end)


# ---- where lines are broken


@pytest.mark.parametrize(
    ("language", "line", "broken"),
    [
        (
            "numpy",
            "    W1 = W1 - lr * m_W1 / (np.sqrt(v_W1) + eps)",
            """\
    W1 = (
        W1
        - lr * m_W1
            / (np.sqrt(v_W1) + eps)
    )""",
        ),
        (
            "numpy",
            "dZ1 = (dZ2 @ W2.T) * (alpha * np.exp(Z1) * (1 - t2) + beta * t2)",
            """\
dZ1 = (dZ2 @ W2.T) * (
    alpha * np.exp(Z1) * (1 - t2)
    + beta * t2
)""",
        ),
        (
            "torch",
            "loss = -(Y * log_softmax(Z2) + (1 - Y) * t1).sum() / n + 0.5 * (W1 * W1).sum()",
            """\
loss = (
    -(
        Y * log_softmax(Z2)
        + (1 - Y) * t1
    ).sum() / n
    + 0.5 * (W1 * W1).sum()
)""",
        ),
        (
            "numpy",
            "return loss, W1, b1, W2, b2, v_W1, v_b1, v_W2, v_b2",
            """\
return (
    loss, W1, b1, W2, b2, v_W1, v_b1,
    v_W2, v_b2
)""",
        ),
        (
            "numpy",
            "loss, W1, b1, W2, b2, W3, b3, W4 = step(X, Y, W1, b1, W2, b2, W3, b3, W4)",
            """\
loss, W1, b1, W2, b2, W3, b3, W4 = step(
    X, Y, W1, b1, W2, b2, W3, b3, W4
)""",
        ),
        (
            "octave",
            "function [loss, W1, b1, W2, b2, W3, b3] = step(X, Y, W1, b1, W2, b2)",
            """\
function [ ...
    loss, W1, b1, W2, b2, W3, b3 ...
] = step(X, Y, W1, b1, W2, b2)""",
        ),
        (
            "python",
            "Z1 = [[sum(X[i][k] * W1[k][j] for k in range(4)) + b1[0][j] for j in range(8)] for i in range(n)]",
            """\
Z1 = [
    [
        sum(
            X[i][k] * W1[k][j]
            for k in range(4)
        ) + b1[0][j]
        for j in range(8)
    ]
    for i in range(n)
]""",
        ),
        (
            "octave",
            "  W1 = W1 - lr * m_W1 ./ (sqrt(v_W1) + eps);",
            """\
  W1 = W1 ...
      - lr * m_W1 ...
          ./ (sqrt(v_W1) + eps);""",
        ),
        (
            "c",
            "W1[i][j] = W1[i][j] - lr * (m[i][j] / (1 - t)) / (sqrt(v[i][j]) + eps);",
            """\
W1[i][j] = W1[i][j]
    - lr * (m[i][j] / (1 - t))
        / (sqrt(v[i][j]) + eps);""",
        ),
        (
            "c",
            '        printf("a [ that is no bracket, and no end of a word", loss, epoch);',
            """\
        printf(
            "a [ that is no bracket, and no end of a word",
            loss, epoch
        );""",
        ),
        ("c", "/* " + 20 * "no code " + "*/", "/* " + 20 * "no code " + "*/"),
        ("numpy", "a_name_that_is_longer_than_the_line = 1.0", "a_name_that_is_longer_than_the_line = 1.0"),
    ],
)
def test_a_line_is_broken_at_its_outermost_operators(language, line, broken, monkeypatch):
    monkeypatch.setattr(breaking, "WIDTH", 40)

    assert fitted(line, find_language(language)) == broken


def test_a_line_that_fits_is_not_broken():
    text = "a = " + " + ".join("b" * 20)[:76]

    assert len(text) == 80
    assert fitted(text, find_language("numpy")) == text
    assert fitted(text + "b", find_language("numpy")).count("\n") == 3


# ---- words at the end of a line


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_title_is_broken_between_words_only(language):
    specs = [" -> ".join(["4", *["5 tanh"] * layers, "3 softmax"]) for layers in range(1, 12)]

    for spec in specs:
        text = cr.Network(spec).derive().source(language)
        assert f"{spec}, cross_entropy: derived, and trained here on made-up data." in re.sub(r"[\s%]+", " ", text)
