"""Parameters end to end: one update for all gives the numbers of one for each, and is made only where it may."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from random_networks import draw_case

import chainrule as cr
from chainrule.errors import DataError
from chainrule.expr import scalar, sum
from chainrule.primitives import reciprocal, sqrt
from chainrule.program import source
from chainrule.program.end_to_end import end_to_end, offsets
from chainrule.program.execute import run
from chainrule.train import step
from chainrule.updates import UPDATES, UpdateRule, find_update

NET = cr.Network("3 -> 4 tanh -> 1 logistic")  # the last bias is one number


def listing_of(block, monkeypatch, net=NET, **options):
    """The listing with an update rule of one's own."""
    monkeypatch.setitem(UPDATES, block.__name__, UpdateRule(block.__name__, block, {"lr": 0.5}, ""))
    return net.derive(solver=block.__name__, **options).listing


def compiled(case, solver):
    return step._compiled.__wrapped__(case.net, find_update(solver), weighted="sample_weight" in case.options)


def one_by_one(case, solver, monkeypatch):
    """The program with an update for each parameter."""
    with monkeypatch.context() as patch:
        for module in (source, step):
            patch.setattr(module, "end_to_end", lambda listing: listing)
        return compiled(case, solver)


def after(program, case, steps=3):
    rows = len(case.X)
    data = {"X": case.X, "Y": case.Y, "w": np.reshape(case.options.get("sample_weight", np.ones(rows)), (rows, 1))}
    data |= {str(M.name): np.ones((rows, int(M.shape[1]))) for M in program.randoms} | case.masks
    state, losses = {**case.params, **program.initial_states(float)}, []
    with np.errstate(all="ignore"):
        for _ in range(steps):
            loss, state = program(data, state, {"lr": 0.01})
            losses.append(loss)
    return losses, state


def differences(one, other):
    """The largest of each matrix, as a part of its largest entry; what is a row of others in one program is split."""
    assert one[1].keys() == other[1].keys()
    pairs = [(np.asarray(one[1][name]), np.asarray(value)) for name, value in other[1].items()]
    pairs.append((np.array(one[0]), np.array(other[0])))
    return [float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-300)) for a, b in pairs if np.isfinite(b).all()]


drawn = cache(draw_case)  # each network is derived once for all rules


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 25), marks=pytest.mark.slow)])
@pytest.mark.parametrize("solver", UPDATES)
def test_every_rule_gives_the_numbers_of_an_update_for_each_parameter(solver, seeds, monkeypatch):
    joined = 0
    for seed in seeds:
        case = drawn(seed)
        program, other = compiled(case, solver), one_by_one(case, solver, monkeypatch)
        joined += bool(program.rows)
        single = any(W.shape == (1, 1) for W in case.params.values())  # which is written as a number, in another order

        assert not other.rows
        assert max(differences(after(program, case), after(other, case))) <= (1e-13 if single else 0)
    assert joined > 0.8 * len(seeds)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("lr / (1", "1.0000000001 * lr / (1"),
        ("beta2 * beta2_t", "beta1 * beta2_t"),
        ("W1 = dtheta[", "W1 = 0 * dtheta["),
    ],
)
def test_a_planted_difference_is_found(right, wrong, monkeypatch):
    case = draw_case(1)
    program = compiled(case, "adam")
    text = program.text.replace(right, wrong)
    planted = replace(program, text=text, make_step=run(text, "make_step"), made={})

    assert text != program.text
    assert max(differences(after(planted, case), after(one_by_one(case, "adam", monkeypatch), case))) > 1e-13


def test_the_update_is_printed_once():
    text = cr.Network("2 -> 3 tanh -> 1").derive(solver="momentum").source("numpy-inplace", "step", flat=True)

    assert text.endswith("""\
        # ---- update
        # v_theta_next = mu v_theta - lr dtheta
        np.multiply(v_theta, mu, out=t4)
        np.multiply(dtheta, lr, out=t5)
        np.subtract(t4, t5, out=v_theta)
        # theta_next = theta + v_theta_next
        np.add(theta, v_theta, out=theta)
        return loss

    return step
""")
    assert "    def step(X, Y, theta, v_theta, lr=0.01, mu=0.9):\n" in text
    assert "        b1 = theta[0, 6:9].reshape(1, 3)\n" in text
    assert "    dW2 = dtheta[0, 9:12].reshape(3, 1)\n" in text


@pytest.mark.parametrize("convention", ["nielsen", "ng", "cs231n", "pytorch"])
def test_every_convention_has_its_multiples(convention):
    d = NET.derive(convention=convention, solver="adagrad")

    equations = {e.name: str(e) for e in end_to_end(d.listing).equations}
    for name, theta in (("s_W1_next", "s_theta_next"), ("W1_next", "theta_next")):
        assert equations[theta] == str(d[name]).replace("dW1", "dtheta").replace("W1", "theta")


def test_parts_lie_one_after_the_other():
    listing = end_to_end(NET.derive(solver="sgd").listing)
    (theta,) = listing.parameters

    assert [(str(W.name), start, stop) for W, start, stop in offsets(listing.rows_of[theta])] == [
        ("W1", 0, 12), ("b1", 12, 16), ("W2", 16, 20), ("b2", 20, 21),
    ]  # fmt: skip
    assert theta.shape == (1, 21)


def descent(p, lr):
    p.next(p.parameter, p.parameter - lr * p.gradient)


def decays_weights(p, lr):
    decay = 0.1 * p.parameter if p.parameter.shape[0] > 1 else 0
    p.next(p.parameter, p.parameter - lr * (p.gradient + decay))


def by_its_norm(p, lr):
    p.next(p.parameter, p.parameter - lr * p.gradient * reciprocal(sqrt(sum(p.gradient * p.gradient)) + 1e-8))


def orthogonal(p, lr):
    p.next(p.parameter, p.parameter - lr * (p.parameter @ (p.parameter.T @ p.gradient)))


def begins_elsewhere(p, lr):
    v = p.next(p.state("v"), 0.9 * p.state("v") - lr * p.gradient, float(p.parameter.shape[0]))
    p.next(p.parameter, p.parameter + v)


def forgets_its_gradient(p, lr):
    c = p.next(p.state("c"), 0.9 * p.state("c"), 1.0)
    p.next(p.parameter, p.parameter - lr * c)


def as_the_last(p, lr):
    last = scalar("seen", role="state")
    p.next(p.parameter, p.parameter - lr * p.gradient)
    p.next(last, 1.0 * last + sum(p.parameter))


OTHERWISE = [decays_weights, by_its_norm, orthogonal, begins_elsewhere, forgets_its_gradient, as_the_last]


@pytest.mark.parametrize("block", OTHERWISE)
def test_what_is_no_one_update_entry_by_entry_is_left_as_it_is(block, monkeypatch):
    listing = listing_of(block, monkeypatch)

    assert end_to_end(listing) is listing
    assert end_to_end(listing_of(descent, monkeypatch)).rows_of


@pytest.mark.parametrize("spec", ["3 -> 4 nobias", "1 -> 1"])
def test_one_matrix_and_mere_numbers_are_left_as_they_are(spec, monkeypatch):
    listing = listing_of(descent, monkeypatch, cr.Network(spec))

    assert end_to_end(listing) is listing


def test_a_learning_rate_for_every_weight_is_left_as_it_is():
    listing = NET.derive(solver="sgd", learning_rate="matrix").listing

    assert end_to_end(listing) is listing


def test_a_rule_that_has_the_name_itself_is_left_as_it_is(monkeypatch):
    monkeypatch.setitem(
        UPDATES,
        "named",
        UpdateRule("named", lambda p, lr, theta: descent(p, lr * theta), {"lr": 0.5, "theta": 1.0}, ""),
    )
    listing = NET.derive(solver="named").listing

    assert end_to_end(listing) is listing


@pytest.mark.parametrize(("language", "part"), [("numpy", "step"), ("c", "step"), ("numpy-inplace", "program")])
def test_only_the_step_of_numpy_in_place_is_flat(language, part):
    with pytest.raises(DataError, match="flat=True is for the step of numpy-inplace, got part="):
        NET.derive().source(language, part, flat=True)
