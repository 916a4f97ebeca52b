"""The whole derivative after a step that changed a part of it."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule.conventions import CONVENTIONS
from chainrule.render.so_far import so_far
from chainrule.render.views import MOST_LINES, whole_lines

SPEC = "3 -> 4 tanh{0} -> 4 tanh residual{0} -> 2 softmax{0}"


def derivation(convention):
    nobias = " nobias" if convention == "raja" else ""
    net = cr.Network(SPEC.format(nobias), penalty="l1(0.2) + l2(0.1)/n")
    return net, net.derive(convention=convention)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_is_there_so_far_has_the_value_of_what_was_passed_on(convention):
    net, d = derivation(convention)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(5, 3)), np.eye(2)[[0, 1, 1, 0, 1]]
    values = {**d.with_numbers(net.init(0), X, Y).values, "n": 5}
    wholes = 0
    for e in d:
        steps = [s for s in d.steps if s.equation == e.name]
        reached = []  # what was passed on, as numbers
        for s, whole in zip(steps, so_far(steps), strict=True):
            if whole is None:
                reached.append(cr.evaluate(s.after, values))
            else:
                wholes += 1
                now = cr.evaluate(whole, values)
                assert any(now.shape == r.shape and np.allclose(now, r, rtol=1e-10) for r in reached), s
        if e.phase == "backward":
            ends = [s.after if whole is None else whole for s, whole in zip(steps, so_far(steps), strict=True)]
            several = e.name.startswith("dW")  # the examples and two penalties
            assert ends[-1] is e.expression or several, e.name
    assert wholes > 5


def test_the_view_shows_the_whole_after_a_part_and_nothing_where_the_step_is_the_whole():
    said = cr.Network("4 -> 3 tanh -> 2").derive().view("steps")
    (about,) = [p for p in said.split("\n\n") if p.startswith("dZ1 = ")]

    assert "\n     so far: (dZ2 W2') ∘ (1 - A1 ∘ A1)" in about
    assert about.count("so far") == 1
    assert "'so far' is the whole" in " ".join(said.split())


def test_after_the_last_step_stands_the_equation():
    d = cr.Network("3 -> 2", penalty="l1(0.2) + l2(0.1)/n").derive()
    (about,) = [p for p in d.view("steps").split("\n\n") if p.startswith("dW1 = ")]

    assert about.splitlines()[-1] == f"  =  {str(d['dW1']).removeprefix('dW1 = ')}"


def test_a_long_whole_is_cut_and_says_how_much_is_missing():
    A = cr.matrix("A", "n", "n")
    terms = [cr.tanh(k * A) @ A for k in range(2, 30)]
    lines = list(whole_lines(sum(terms[1:], terms[0])))

    assert len(lines) == MOST_LINES
    assert re.fullmatch(r" +\.\.\. and [1-9]\d* more lines", lines[-1])
    assert max(map(len, lines)) <= 80
    assert list(whole_lines(None)) == []
