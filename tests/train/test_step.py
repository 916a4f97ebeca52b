"""The step as a program: the printed text runs, its states begin where the rule says, a solver is read."""

import re

import numpy as np
import pytest

from chainrule.arrays import counted_masks
from chainrule.errors import SpecError, UnknownNameError
from chainrule.network import Network
from chainrule.train.step import compile_step, find_solver
from chainrule.updates import DOMAINS, UPDATES, find_update

NET = Network("3 -> 4 tanh -> 2 softmax")


def compiled(solver, net=NET, *, weighted=False):
    return compile_step(net, find_update(solver), weighted=weighted)


def batch(rows=5, dtype=np.float64):
    rng = np.random.default_rng(1)
    X, Y = rng.standard_normal((rows, 3)).astype(dtype), np.eye(2, dtype=dtype)[rng.integers(2, size=rows)]
    return {"X": X, "Y": Y, "w": rng.random((rows, 1)).astype(dtype)}


# Running


def test_a_step_of_sgd_is_the_derived_gradient():
    params, data = NET.init(random_state=0), batch()

    loss, after = compiled("sgd")(data, params, {"lr": 0.5})

    gradient = NET.gradient(params, data["X"], data["Y"])
    assert loss == pytest.approx(NET.loss(params, data["X"], data["Y"]), rel=1e-14)
    assert after.keys() == params.keys()
    for name, W in params.items():
        np.testing.assert_allclose(after[name], W - 0.5 * gradient[name], rtol=1e-13)


def test_a_weighted_step_is_the_derived_weighted_gradient():
    params, data = NET.init(random_state=0), batch()

    loss, after = compiled("sgd", weighted=True)(data, params, {"lr": 0.5})

    gradient = NET.gradient(params, data["X"], data["Y"], sample_weight=data["w"][:, 0])
    assert loss == pytest.approx(NET.loss(params, data["X"], data["Y"], sample_weight=data["w"][:, 0]), rel=1e-14)
    np.testing.assert_allclose(after["W1"], params["W1"] - 0.5 * gradient["W1"], rtol=1e-13)


def test_what_runs_is_what_the_derivation_prints():
    assert compiled("adam").text == NET.derive(solver="adam").source("numpy-inplace", part="step", flat=True)


@pytest.mark.parametrize("solver", UPDATES)
def test_a_step_leaves_what_it_was_given_untouched(solver):
    program, params = compiled(solver), NET.init(random_state=0)
    state = {**params, **program.initial_states(np.float64)}
    before = {name: np.copy(value) for name, value in state.items()}

    _, after = program(batch(), state, {})

    assert after.keys() == state.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(state[name], value)


@pytest.mark.parametrize("solver", UPDATES)
def test_float32_stays_float32(solver):
    program, params = compiled(solver), NET.init(random_state=0, dtype=np.float32)
    state = {**params, **program.initial_states(np.float32)}

    for _ in range(2):
        _, state = program(batch(dtype=np.float32), state, find_update(solver).hyper)

    assert {value.dtype for value in state.values() if isinstance(value, np.ndarray)} == {np.dtype(np.float32)}


def test_two_programs_of_one_network_share_what_was_compiled_and_no_array():
    one, other = compiled("adam"), compiled("adam")
    state = {**NET.init(random_state=0), **one.initial_states(np.float64)}

    one(batch(), state, {})
    other(batch(), state, {})

    assert one.make_step is other.make_step
    assert one.made.keys() == other.made.keys() == {(5, np.dtype(np.float64))}
    assert not set(map(id, one.made.values())) & set(map(id, other.made.values()))


def test_what_is_double_in_data_or_parameters_is_trained_in_double():
    program, params = compiled("sgd"), NET.init(random_state=0, dtype=np.float32)

    _, after = program(batch(), params, {"lr": 0.5})

    assert {W.dtype for W in after.values()} == {np.dtype(np.float64)}


# States


def test_states_have_the_shape_of_their_parameter_and_powers_are_numbers():
    states = compiled("adam").initial_states(np.float32)

    assert states["m_W1"].shape == states["v_W1"].shape == (3, 4)
    assert states["m_W1"].dtype == np.float32
    assert states["beta1_t"] == states["beta2_t"] == 1.0
    assert not any(np.any(value) for name, value in states.items() if name.startswith(("m_", "v_")))


@pytest.mark.parametrize("solver", UPDATES)
def test_a_parameter_of_one_number_is_trained_like_a_larger_one(solver):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((6, 1)), rng.standard_normal((6, 1))
    small, large = Network("1 -> 1"), Network("2 -> 1 nobias")  # the second column of 1s is its bias
    one, two = compiled(solver, small), compiled(solver, large)
    state = {"W1": np.array([[0.3]]), "b1": np.array([[0.1]]), **one.initial_states(np.float64)}
    other = {"W1": np.array([[0.3], [0.1]]), **two.initial_states(np.float64)}

    for _ in range(3):
        _, state = one({"X": x, "Y": y}, state, {})
        _, other = two({"X": np.hstack([x, np.ones((6, 1))]), "Y": y}, other, {})

    np.testing.assert_allclose(np.vstack([state["W1"], state["b1"]]), other["W1"], rtol=1e-12)


# Epochs and dropout

DROPS = Network("3 -> 4 tanh dropout=0.25 -> 2 softmax")


def epoch(program, params, rows=12, batch_size=5, seed=9):
    data = {k: v for k, v in batch(rows).items() if k != "w"}
    starts = np.append(np.arange(0, rows, batch_size), rows)
    return program.epoch(params, data, np.arange(rows), starts, np.diff(starts).astype(float), {"lr": 1.0}, seed)


@pytest.mark.parametrize("gathered", [1, 20, 1 << 16])
def test_an_epoch_is_its_steps_however_many_rows_are_gathered_at_once(gathered, monkeypatch):
    monkeypatch.setattr("chainrule.train.step.GATHERED", gathered)
    program, params, data = compiled("sgd"), NET.init(random_state=0), batch(12)

    total, after = epoch(program, params)

    expected, share = params, 0.0
    for rows in (slice(0, 5), slice(5, 10), slice(10, 12)):
        loss, expected = program({k: v[rows] for k, v in data.items()}, expected, {"lr": 1.0})
        share += loss * len(data["X"][rows])
    assert total == pytest.approx(share, rel=1e-14)
    for name, W in expected.items():
        np.testing.assert_array_equal(after[name], W)


def test_masks_are_drawn_for_layers_that_drop():
    program = compiled("sgd", Network("3 -> 4 tanh dropout=0.5 -> 5 tanh -> 2 softmax"))

    masks = counted_masks(program.randoms, 1, 0, 200, np.float32)

    assert list(masks) == ["M1"]
    assert masks["M1"].shape == (200, 4)
    assert masks["M1"].dtype == np.float32
    assert set(np.unique(masks["M1"])) == {0, 2}


def test_a_mask_of_some_rows_is_a_part_of_the_epochs():
    randoms = compiled("sgd", DROPS).randoms
    whole = counted_masks(randoms, 7, 0, 50, np.float64)["M1"]

    np.testing.assert_array_equal(counted_masks(randoms, 7, 20, 10, np.float64)["M1"], whole[20:30])


def test_entries_of_masks_are_kept_as_often_as_they_should_and_differ_by_seed_and_layer():
    net = Network("3 -> 40 tanh dropout=0.25 -> 40 tanh dropout=0.25 -> 2 softmax")
    one, other = (counted_masks(compiled("sgd", net).randoms, seed, 0, 5000, np.float64) for seed in (1, 2))

    for a, b in ((one["M1"], one["M2"]), (one["M1"], other["M1"]), (one["M1"][1:], one["M1"][:-1])):
        assert (a > 0).mean() == pytest.approx(0.75, abs=0.005)  # five standard errors
        assert ((a > 0) & (b > 0)).mean() == pytest.approx(0.75**2, abs=0.006)


def test_a_mask_is_one_argument_of_the_step_forward_and_backward():
    program, params, data = compiled("sgd", DROPS), DROPS.init(random_state=0), batch(12)
    M = counted_masks(program.randoms, 9, 0, 12, np.float64)["M1"]

    _, after = epoch(program, params, batch_size=12)

    Z = data["X"] @ params["W1"] + params["b1"]
    D = np.tanh(Z) * M
    scores = D @ params["W2"] + params["b2"]
    P = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    dW2 = D.T @ (P - data["Y"]) / 12
    dZ1 = ((P - data["Y"]) / 12 @ params["W2"].T) * M * (1 - np.tanh(Z) ** 2)
    assert program.inputs.count("M1") == 1
    np.testing.assert_allclose(after["W2"], params["W2"] - dW2, rtol=1e-12)
    np.testing.assert_allclose(after["W1"], params["W1"] - data["X"].T @ dZ1, rtol=1e-12)


def test_without_dropout_nothing_is_drawn():
    assert not compiled("sgd").draws
    assert compiled("sgd", DROPS).draws


# Solvers by name


@pytest.mark.parametrize("name", UPDATES)
def test_every_update_rule_is_a_solver(name):
    rule, given = find_solver(name)

    assert rule is UPDATES[name]
    assert given == {}


def test_a_solver_takes_parameters():
    assert find_solver("rmsprop(rho=0.95)") == (UPDATES["rmsprop"], {"rho": 0.95})
    assert find_solver("momentum(0.5, mu=0.8)") == (UPDATES["momentum"], {"lr": 0.5, "mu": 0.8})


def test_parameters_of_a_solver_change_the_step():
    program, params = compiled("momentum"), NET.init(random_state=0)
    state = {**params, **program.initial_states(np.float64)}

    runs = []
    for mu in (0.0, 0.9):
        _, once = program(batch(), state, {"mu": mu, "lr": 0.1})
        runs.append(program(batch(), once, {"mu": mu, "lr": 0.1})[1]["W1"])

    assert not np.allclose(*runs)


@pytest.mark.parametrize(
    ("solver", "error", "message"),
    [
        ("adan", UnknownNameError, r"^unknown solver 'adan'; did you mean 'adam'\?$"),
        ("newton", UnknownNameError, r"unknown solver 'newton'; known names are 'adadelta', 'adagrad', "),
        ("rmsprop(rh=0.9)", SpecError, r"'rmsprop' has no parameter 'rh'; did you mean 'rho'\?\n  rmsprop\(rh=0.9\)"),
        ("sgd(0.1, 0.9)", SpecError, "too many parameters for 'sgd': it takes lr, got 2"),
        ("adam(0.1", SpecError, r"'\(' after 'adam' is never closed"),
        ("", SpecError, "expected a name, found the end"),
    ],
)
def test_a_wrong_solver_is_explained(solver, error, message):
    with pytest.raises(error, match=message):
        find_solver(solver)


@pytest.mark.parametrize(
    ("solver", "needed"),
    [
        ("sgd(lr=-1)", "lr of sgd is a number above 0, got -1"),
        ("adam(beta1=1)", "beta1 of adam is a number from 0 to below 1, got 1"),
        ("rmsprop(rho=2)", "rho of rmsprop is a number from 0 to below 1, got 2"),
        ("momentum(mu=-0.1)", "mu of momentum is a number from 0 to 1, got -0.1"),
    ],
)
def test_a_hyper_parameter_outside_its_domain_is_refused(solver, needed):
    with pytest.raises(SpecError, match=re.escape(needed)):
        find_solver(solver)


def test_every_hyper_parameter_has_a_domain_and_its_default_lies_in_it():
    for rule in UPDATES.values():
        for name, value in rule.hyper.items():
            assert DOMAINS[name][1](value), (rule.name, name)
