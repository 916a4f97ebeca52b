"""A derivation as a product: its equations by name and in order, and that its cost grows with the depth alone."""

import sys
from functools import partial

import pytest

import chainrule as cr
from chainrule.adjoint import push
from chainrule.errors import UnknownNameError


def tall(depth):
    return cr.Network(" -> ".join(["3", *["3 tanh"] * (depth - 1), "2 softmax"]))


def test_equations_come_by_name_and_in_order():
    d = cr.Network("4 -> 5 tanh -> 3 softmax").derive()

    assert [e.name for e in d] == [e.name for e in d.equations]
    assert len(d) == len(d.equations)
    assert "dZ1" in d
    assert "dZ9" not in d
    assert str(d["dZ1"]) == "dZ1 = (dZ2 W2') ∘ (1 - A1 ∘ A1)"
    assert repr(d["dZ1"]) == "<Equation dZ1 = (dZ2 W2') ∘ (1 - A1 ∘ A1) (n x 5)>"
    with pytest.raises(UnknownNameError, match=r"no equation for 'dZ9'.*'dZ"):
        d["dZ9"]


def derive(depth, layout):
    return tall(depth).derive(layout, solver="adam")


def calls_of(work):
    """How many Python functions are called: a measure of work that a busy machine does not change."""
    made = 0

    def count(frame, event, argument):
        nonlocal made
        made += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return made


@pytest.mark.row(80)
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_a_layer_costs_the_same_at_any_depth(layout):
    derive(3, layout)  # what is made once

    few, some, many = (calls_of(partial(derive, depth, layout)) for depth in (20, 40, 80))

    assert (many - some) / 2 <= 1.05 * (some - few)


WRITTEN = {
    "steps": lambda d: d.view("steps"),
    "algebra": lambda d: d.view("algebra"),
    "LaTeX of steps": lambda d: d.latex("steps"),
}


@pytest.mark.parametrize("written", WRITTEN)
def test_the_steps_of_a_layer_cost_the_same_at_any_depth(written):
    WRITTEN[written](tall(3).derive())  # what is made once
    derivations = [tall(depth).derive() for depth in (20, 40, 80)]

    few, some, many = (calls_of(partial(WRITTEN[written], d)) for d in derivations)

    assert (many - some) / 2 <= 1.05 * (some - few)


def product_along(depth):
    return tall(depth).derive().hessian_vector_product()


def jvp_of(depth):
    """Of an expression without names."""
    W, V = cr.matrix("W", "d", "d"), cr.matrix("V", "d", "d")
    expression = cr.matrix("X", "n", "d")
    for _ in range(depth):
        expression = cr.tanh(expression @ W)
    return push({W: V}, [expression])


@pytest.mark.parametrize("derived", [product_along, jvp_of])
def test_a_tangent_costs_the_same_at_any_depth(derived):
    derived(3)  # what is made once

    few, some, many = (calls_of(partial(derived, depth)) for depth in (20, 40, 80))

    assert (many - some) / 2 <= 1.05 * (some - few)


@pytest.mark.slow
def test_five_thousand_layers_meet_no_limit():
    d = tall(5_000).derive()

    assert str(d["dZ2500"]) == "dZ2500 = (dZ2501 W2501') ∘ (1 - A2500 ∘ A2500)"
    assert len(d) == 2 * 5_000 + 1 + 3 * 5_000 + 2 * 5_000
