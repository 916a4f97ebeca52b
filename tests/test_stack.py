"""Stacks and blocks: shapes, values, derivatives, text, programs, and what is refused."""

import copy
import pickle

import numpy as np
import pytest
from program.random_expressions import run

import chainrule as cr
from chainrule.errors import ShapeError
from chainrule.expr import ones, toposort
from chainrule.stack import block, block_op, hstack, hstack_op, vstack, vstack_op

E, F, G = cr.matrix("E", "n", 3), cr.matrix("F", "n", 2), cr.matrix("G", 4, 3)
RNG = np.random.default_rng(0)
VALUES = {"E": RNG.normal(size=(5, 3)), "F": RNG.normal(size=(5, 2)), "G": RNG.normal(size=(4, 3)), "n": 5}
e, f, g = (VALUES[name] for name in "EFG")

CASES = [
    (hstack(E, F), np.hstack([e, f]), "[E, F]"),
    (hstack(E, ones("n"), F), np.hstack([e, np.ones((5, 1)), f]), "[E, 1, F]"),
    (vstack(E.T, F.T), np.hstack([e, f]).T, "[E'; F']"),
    (vstack(G, G + G), np.vstack([g, 2 * g]), "[G; G + G]"),
    (hstack(E, 2 * F) @ ones(5), np.hstack([e, 2 * f]).sum(axis=1, keepdims=True), "[E, 2 F] 1"),
    (block(G, rows=(1, 3)), g[1:3], "G[1:3, :]"),
    (block(G, columns=(2, 3)), g[:, 2:], "G[:, 2]"),
    (block(G, (0, 2), (1, 3)), g[:2, 1:], "G[0:2, 1:3]"),
    (block(G + G, (0, 2)).T, 2 * g[:2].T, "(G + G)[0:2, :]'"),
    (block(E, columns=(0, 1)) * ones("n"), e[:, :1], "E[:, 0] ∘ (1)"),
]
ids = [text for _, _, text in CASES]


@pytest.mark.parametrize(("expression", "expected", "text"), CASES, ids=ids)
def test_values_and_text(expression, expected, text):
    assert cr.text(expression) == text
    np.testing.assert_allclose(cr.evaluate(expression, VALUES), expected, rtol=1e-14)


@pytest.mark.parametrize(("expression", "expected", "text"), CASES, ids=ids)
def test_programs(expression, expected, text):
    found = run(cr.source({"Y": expression}), VALUES)["Y"]

    np.testing.assert_allclose(found, expected, rtol=1e-14)


@pytest.mark.parametrize(("expression", "expected", "text"), CASES, ids=ids)
def test_derivatives_are_slopes(expression, expected, text):
    symbols = [n for n in toposort(expression) if n.name in VALUES]
    weights = cr.matrix("C", *expression.shape)
    c = np.random.default_rng(1).normal(size=expected.shape)
    loss = cr.sum(weights * cr.tanh(expression))

    for symbol, derivative in zip(symbols, cr.gradient(loss, *symbols), strict=True):
        at = VALUES[symbol.name]
        direction = np.random.default_rng(2).normal(size=at.shape)
        sides = [
            cr.evaluate(loss, VALUES | {"C": c, symbol.name: at + t * direction}).item() for t in (1e-6, -1e-6)
        ]  # fmt: skip
        slope = (sides[0] - sides[1]) / 2e-6
        assert (cr.evaluate(derivative, VALUES | {"C": c}) * direction).sum() == pytest.approx(slope, rel=1e-7)


def test_they_are_written_in_latex():
    assert cr.latex(hstack(E, ones("n"))) == r"\begin{bmatrix} E & \mathbf{1} \end{bmatrix}"
    assert cr.latex(vstack(E.T, F.T).T) == r"\begin{bmatrix} E^{\top} \\ F^{\top} \end{bmatrix}^{\top}"
    assert cr.latex(block(G, rows=(0, 2)).T) == r"G[0{:}2, :]^{\top}"


def test_the_whole_is_no_block_and_one_part_is_no_stack():
    assert block(G, (0, 4), (0, 3)) is G
    assert hstack(G) is vstack(G) is G


@pytest.mark.parametrize("op", [hstack_op, vstack_op, block_op], ids=str)
def test_they_are_interned_pickled_and_represented(op):
    node = {hstack_op: hstack(E, F), vstack_op: vstack(G, G), block_op: block(G, rows=(0, 2))}[op]

    assert node.op is op
    assert pickle.loads(pickle.dumps(node)) is copy.deepcopy(node) is node
    names = {name: getattr(cr, name) for name in ("matrix", "hstack", "vstack", "block")}
    assert eval(repr(node), names) is node


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: hstack(E, G), r"cannot stack \(n x 3\) and \(4 x 3\): they need equally many rows, in E, G"),
        (lambda: vstack(G, F), r"cannot stack \(4 x 3\) and \(n x 2\): they need equally many columns, in G, F"),
        (lambda: vstack(E, E), "the sizes of what is stacked are added up, and must be numbers; n is a name, in E, E"),
        (lambda: block(E, rows=(0, 2)), r"a block is taken where sizes are numbers, got 0:2 of n, in \(n x 3\), in E"),
        (lambda: block(G, rows=(2, 5)), r"there is no block 2:5 of 4, in a matrix \(4 x 3\), in G"),
        (lambda: block(G, columns=(2, 1)), r"there is no block 2:1 of 3, in a matrix \(4 x 3\), in G"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ShapeError, match=f"^{message}$"):
        make()
