"""The engine against the NumPy program and the interpreter: the same equations, whatever the network."""

import warnings

import numpy as np
import pytest
from random_networks import draw_case

import chainrule as cr
from chainrule.engine import team
from chainrule.engine.lowering import lowered_step, planned
from chainrule.engine.map import MapWriter
from chainrule.engine.programs import EngineOutputs, EngineStep
from chainrule.engine.resolve import NotLoweredError
from chainrule.engine.words import ADD_RELU, AXPBY_SQUARE, GEMM, MUL_STEP, MUL_TANH, OVER_ROOT
from chainrule.expr import scalar
from chainrule.train.engines import ENGINES
from chainrule.train.step import compile_step
from chainrule.updates import UPDATES, update

RULES = list(UPDATES)
RATE = 0.01


class Problem:
    """An epoch of one network, update rule and batch size, drawn from a seed."""

    def __init__(self, seed, rules=RULES):
        rng = np.random.default_rng(seed)
        self.case, self.rule = draw_case(seed), UPDATES[rules[seed % len(rules)]]
        self.weighted = seed % 3 == 0
        rows = int(rng.integers(1, 40))
        Y = np.repeat(self.case.Y, rows, axis=0)[:rows]
        data = {"X": rng.standard_normal((rows, self.case.net.inputs)), "Y": Y}
        if self.weighted:
            data["w"] = rng.random((rows, 1)) + 0.1
        self.data, self.params = data, self.case.params
        self.starts = np.append(np.arange(0, rows, int(rng.integers(1, rows + 3))), rows)
        self.order, self.seed = rng.permutation(rows), seed

    def engine(self, threads=1):
        return EngineStep(self.case.net, self.rule, weighted=self.weighted, threads=threads)

    def numpy(self):
        return compile_step(self.case.net, self.rule, weighted=self.weighted)

    def epoch(self, program):
        """Return the loss and the state after an epoch."""
        state = {**self.params, **program.initial_states(self.data["X"].dtype)}
        shares = np.diff(self.starts).astype(float)
        hyper = {**self.rule.hyper, "lr": RATE}
        return program.epoch(state, self.data, self.order, self.starts, shares, hyper, self.seed)


def agree(ours, theirs, tolerance):
    """Losses and states agree, up to rounding of the largest entry; what is not finite is so in both."""
    losses, states = zip(ours, theirs, strict=True)
    if np.isfinite(losses[1]):
        np.testing.assert_allclose(losses[0], losses[1], rtol=tolerance, atol=tolerance)
    assert states[0].keys() == states[1].keys()
    for name, expected in states[1].items():
        found, expected = np.asarray(states[0][name]), np.asarray(expected)
        assert found.shape == expected.shape, name
        if not np.isfinite(expected).all():
            assert not np.isfinite(found).all(), name
            continue
        scale = max(np.abs(expected).max(), 1e-3)  # sums that cancel leave rounding of what was summed
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize("seed", range(60))
def test_engine_and_numpy_program_agree_on_random_networks(seed):
    problem = Problem(seed)

    agree(problem.epoch(problem.engine(1 + seed % 2)), problem.epoch(problem.numpy()), 1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60, 1000))
def test_engine_and_numpy_program_agree_on_many_random_networks(seed):
    """With rules that are linear in the gradient: the others divide one that is rounding alone by its own size."""
    problem = Problem(seed, rules=("sgd", "momentum", "nesterov"))
    case = problem.case
    one_number = any(W.shape == (1, 1) for name, W in case.params.items() if name.startswith("W"))
    cannot = problem.weighted and case.net.reduction == "sum" and one_number and any(each for *_, each in case.penalty)

    try:
        engine = problem.engine()
    except NotLoweredError:  # a weight that is one number waits for the sum of weights, which the loss needs
        engine = None
    assert engine is not None or cannot
    if engine is not None:
        agree(problem.epoch(engine), problem.epoch(problem.numpy()), 3e-12)


def test_what_the_engine_cannot_order_the_numpy_program_trains():
    net = cr.Network("2 -> 1 tanh -> 1", penalty=cr.l2(0.1, per_sample=True), reduction="sum")
    X, w = np.random.default_rng(0).standard_normal((20, 2)), np.arange(1.0, 21)
    fits = [cr.MLPRegressor(network=net, engine=e, max_iter=2, tol=0, random_state=0) for e in ENGINES]

    auto, numpy = (fit.fit(X, X[:, 0], sample_weight=w).loss_curve_ for fit in fits)

    assert auto == numpy


@pytest.mark.parametrize("seed", range(60))
def test_outputs_of_random_networks_are_the_networks(seed):
    case = draw_case(seed)
    X = np.random.default_rng(seed).standard_normal((7, case.net.inputs))

    A = EngineOutputs(case.net, np.float64)(case.params, X)

    np.testing.assert_allclose(A, case.net.predict(case.params, X), rtol=1e-12, atol=1e-14)


NETS = {
    "tiny": ("20 -> 32 relu -> 32 tanh -> 2 softmax", 32, 200),
    "wide rows": ("9 -> 700 gelu -> 5 softmax", 16, 70),
    "several tiles": ("64 -> 300 relu -> 200 logistic -> 10 softmax", 128, 300),
    "one output": ("30 -> 50 silu dropout=0.3 -> 1 logistic", 60, 130),
    "many blocks": ("500 -> 300 tanh -> 3", 64, 64),
}


def trained(name, dtype, threads, solver="adam", epochs=2):
    spec, batch, rows = NETS[name]
    rng = np.random.default_rng(3)
    net = cr.Network(spec, penalty=cr.l2(0.01, per_sample=True))
    X = rng.standard_normal((rows, net.inputs)).astype(dtype)
    Y = np.eye(max(2, net.outputs), dtype=dtype)[rng.integers(0, max(2, net.outputs), rows)][:, : net.outputs]
    program = EngineStep(net, UPDATES[solver], weighted=False, threads=threads)
    state = {**net.init(1, dtype=dtype), **program.initial_states(dtype)}
    losses, starts = [], np.append(np.arange(0, rows, batch), rows)
    for seed in range(epochs):
        order, shares = rng.permutation(rows), np.diff(starts).astype(float)
        hyper = {**UPDATES[solver].hyper, "lr": 1e-3}
        loss, state = program.epoch(state, {"X": X, "Y": Y}, order, starts, shares, hyper, seed)
        losses.append(loss)
    return losses, state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETS)
def test_the_number_of_threads_does_not_change_a_bit(name, dtype):
    alone = trained(name, dtype, 1)

    for threads in (1, 2, 4):
        losses, state = trained(name, dtype, threads)
        assert losses == alone[0]
        for key, value in alone[1].items():
            np.testing.assert_array_equal(state[key], value)


@pytest.mark.parametrize("solver", UPDATES)
@pytest.mark.parametrize("name", ["several tiles", "one output"])
def test_float32_follows_float64(name, solver):
    short, long = (trained(name, dtype, 2, solver, epochs=1) for dtype in (np.float32, np.float64))

    np.testing.assert_allclose(short[0], long[0], rtol=1e-5)
    assert all(v.dtype == np.float32 for v in short[1].values() if isinstance(v, np.ndarray))


def test_targets_are_read_as_labels_or_as_they_are():
    """Soft targets are read as they are, one-hot ones as labels: the same numbers for the same rows."""
    net, rng = cr.Network("4 -> 6 tanh -> 3 softmax"), np.random.default_rng(0)
    X, hot = rng.standard_normal((20, 4)), np.eye(3)[rng.integers(0, 3, 20)]
    starts, shares = np.array([0, 7, 14, 20]), np.array([7.0, 7.0, 6.0])
    results = []
    for Y in (hot, hot * (1 - 1e-16), 0.9 * hot + 0.1 / 3):
        program = EngineStep(net, UPDATES["sgd"], weighted=False, threads=1)
        numpy = compile_step(net, UPDATES["sgd"], weighted=False)
        data, params = {"X": X, "Y": Y}, net.init(0)
        results.append(program.epoch(params, data, np.arange(20), starts, shares, {"lr": 0.1}, 0))
        agree(results[-1], numpy.epoch(params, data, np.arange(20), starts, shares, {"lr": 0.1}, 0), 1e-13)
    np.testing.assert_allclose(results[0][1]["W1"], results[1][1]["W1"], rtol=1e-14)


def test_data_may_lie_in_any_order():
    """A column of a table and a transposed table are read as what they say, not as they lie."""
    net, rng = cr.Network("4 -> 6 tanh -> 1"), np.random.default_rng(0)
    X, Y, w = rng.standard_normal((4, 20)).T, rng.standard_normal((20, 3))[:, :1], rng.random((20, 2))[:, 1:]
    starts, shares, order = np.array([0, 8, 16, 20]), np.array([8.0, 8.0, 4.0]), rng.permutation(20)
    run = {"order": order, "starts": starts, "shares": shares, "hyper": {"lr": 0.1}, "seed": 0}
    program = EngineStep(net, UPDATES["sgd"], weighted=True, threads=1)

    found = program.epoch(net.init(0), {"X": X, "Y": Y, "w": w}, **run)

    numpy = compile_step(net, UPDATES["sgd"], weighted=True)
    agree(found, numpy.epoch(net.init(0), {"X": X, "Y": Y, "w": w}, **run), 1e-13)


def test_a_million_rows_need_no_more_memory_than_a_thousand():
    net = cr.Network("3 -> 4 relu -> 2 softmax")
    predict, params = EngineOutputs(net, np.float32), net.init(0, dtype=np.float32)
    few = predict(params, np.ones((1000, 3), np.float32))

    many = predict(params, np.ones((100_000, 3), np.float32))

    np.testing.assert_array_equal(many, np.repeat(few[:1], 100_000, axis=0))
    assert {team.arena.size for team, _ in predict._mine.teams.values()} == {predict._team(1, params).arena.size}


def test_no_row_gives_no_outputs():
    net = cr.Network("3 -> 2")

    assert EngineOutputs(net, np.float64)(net.init(0), np.zeros((0, 3))).shape == (0, 2)


def test_values_that_are_never_alive_at_once_share_memory():
    deep = cr.Network("64 -> " + " -> ".join(["64 tanh"] * 40) + " -> 2 softmax")
    lowered = lowered_step(deep, UPDATES["sgd"], weighted=False)

    plan = planned(lowered, 64, labels=True)

    assert plan.private < 64 * 64 * 10 + 48 * 512
    assert plan.shared < plan.stored + 64 * 64 * 90  # A and dZ of every layer; neither Z nor dA


def test_a_fit_keeps_one_state_beside_the_arena_and_an_epoch_leaves_the_state_it_began_with():
    net, rng = cr.Network("4 -> 6 tanh -> 1"), np.random.default_rng(0)
    program, other = (EngineStep(net, UPDATES["adam"], weighted=False, threads=1) for _ in range(2))
    data = {"X": rng.standard_normal((20, 4)), "Y": rng.standard_normal((20, 1))}
    given = {**net.init(0), **program.initial_states(float)}
    run = np.arange(20), np.array([0, 10, 20]), np.ones(2)

    def epoch(step, state, rate=0.1):
        before = copied(state)
        after = step.epoch(state, data, *run, {**UPDATES["adam"].hyper, "lr": rate}, 0)[1]
        for name, value in before.items():
            np.testing.assert_array_equal(state[name], value)
        return after

    def copied(state):
        return {name: np.copy(v) if np.ndim(v) else v for name, v in state.items()}

    first = epoch(program, given)
    assert not np.isfinite(epoch(program, first, rate=np.inf)["W1"]).all()
    second = epoch(program, first)
    third = epoch(program, second)

    assert np.shares_memory(first["W1"], second["W1"])  # what is two epochs old is given up
    expected = given
    for _ in range(3):
        expected = epoch(other, copied(expected))
    for name in given:
        np.testing.assert_array_equal(third[name], expected[name])
    assert np.shares_memory(third["W1"], program._team.arena)
    program.settle(third)
    assert not np.shares_memory(third["W1"], program._team.arena)
    np.testing.assert_array_equal(third["W1"], expected["W1"])


# Interrupts


def test_an_epoch_of_tiny_steps_comes_back_to_python_often(monkeypatch):
    """A step costs more than its products: 200,000 of one row each are not one call."""
    calls, real = [], team.run

    def counted(*args):
        calls.append(args)
        return real(*args)

    counted.signatures = real.signatures
    net, rows = cr.Network("1 -> 1 tanh -> 1"), 200_000
    program = EngineStep(net, UPDATES["sgd"], weighted=False, threads=1)
    X, starts = np.ones((rows, 1)), np.arange(rows + 1)
    program.epoch(net.init(0), {"X": X[:2], "Y": X[:2]}, np.arange(2), starts[:3], np.ones(2), {"lr": 0.1}, 0)
    monkeypatch.setattr(team, "run", counted)
    program.epoch(net.init(0), {"X": X, "Y": X}, np.arange(rows), starts, np.ones(rows), {"lr": 0.1}, 0)

    assert len(calls) >= 10


def test_an_interrupt_ends_an_epoch_at_once_and_leaves_the_team_in_order(monkeypatch):
    """Ctrl-C in the middle: the next minibatches are not run, and another epoch is as if nothing had been."""
    expected = trained("several tiles", np.float32, 2)
    monkeypatch.setattr(team, "SLOW", 1)  # a look at Python after every minibatch
    calls, real = [], team.run

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    interrupted.signatures = real.signatures
    monkeypatch.setattr(team, "run", interrupted)
    spec, batch, rows = NETS["several tiles"]
    net = cr.Network(spec)
    program = EngineStep(net, UPDATES["sgd"], weighted=False, threads=1)
    X, Y = np.ones((rows, 64), np.float32), np.eye(10, dtype=np.float32)[np.zeros(rows, int)]
    starts, params = np.append(np.arange(0, rows, batch), rows), net.init(0, dtype=np.float32)
    one = (params, {"X": X, "Y": Y}, np.arange(rows), starts, np.diff(starts).astype(float), {"lr": 0.1}, 0)
    monkeypatch.setattr(team, "WATCHED", 1e30)
    with pytest.raises(KeyboardInterrupt):
        program.epoch(*one)
    assert len(calls) == 2

    monkeypatch.setattr(team, "run", real)
    after = program.epoch(*one)
    fresh = EngineStep(net, UPDATES["sgd"], weighted=False, threads=1).epoch(*one)
    np.testing.assert_array_equal(after[1]["W1"], fresh[1]["W1"])
    assert trained("several tiles", np.float32, 2)[0] == expected[0]


@pytest.mark.parametrize("solver", ["sgd", "momentum"])
def test_plain_descent_needs_no_pass_over_the_weights(solver):
    """W - lr (X' dZ + lambda W) is one product with alpha = -lr and beta = 1 - lr lambda; so is a velocity."""
    net = cr.Network("5 -> 4 tanh -> 3", penalty=cr.l2(0.1) if solver == "sgd" else None)
    plan = planned(lowered_step(net, UPDATES[solver], weighted=False), 8, labels=False)
    stored = {place.base for node, place in plan.places.items() if node.op.name == "symbol" and not place.private}

    into = [row[1] for row in plan.code if row[0] == GEMM]

    assert len(stored.intersection(into)) == 4  # W1, b1, W2, b2 or their velocities


@pytest.mark.parametrize(
    ("spec", "solver", "fused"),
    [
        ("5 -> 40 relu -> 3", "sgd", {ADD_RELU, MUL_STEP}),
        ("5 -> 40 tanh -> 3", "sgd", {MUL_TANH}),
        *(
            ("5 -> 40 tanh -> 3", solver, {AXPBY_SQUARE, OVER_ROOT})
            for solver in ("rmsprop", "adam", "adamw", "nadam", "amsgrad")
        ),
        ("5 -> 40 tanh -> 3", "adagrad", {OVER_ROOT}),
    ],
)
def test_operations_in_one_pass_are_those_of_their_parts(spec, solver, fused, monkeypatch):
    """What is done in one pass, and the same step with every operation by itself."""
    net, rule, rng = cr.Network(spec), UPDATES[solver], np.random.default_rng(0)
    data = {"X": rng.standard_normal((64, 5)), "Y": rng.standard_normal((64, 3))}
    starts = np.array([0, 32, 64])

    def trained():
        planned.cache_clear()
        program = EngineStep(net, rule, weighted=False, threads=1)
        state = {**net.init(random_state=0), **program.initial_states(np.dtype(float))}
        epoch = program.epoch(state, data, np.arange(64), starts, np.ones(2), {**rule.hyper, "lr": RATE}, 0)
        return epoch, {int(code) for code in program._team.plan.micro[:, 0]}

    at_once, used = trained()
    monkeypatch.setattr(MapWriter, "_is", lambda self, n, op: False)
    apart, general = trained()
    planned.cache_clear()

    assert fused <= used
    assert not fused & general
    agree(at_once, apart, 1e-14)


def test_what_is_used_twice_is_not_folded_away():
    """Nesterov's step reads the gradient beside the velocity: both have a place."""
    net = cr.Network("5 -> 4 tanh -> 3")
    plan = planned(lowered_step(net, UPDATES["nesterov"], weighted=False), 8, labels=False)

    assert not {row[1] for row in plan.code if row[0] == GEMM and not row[3]} & {
        place.base for node, place in plan.places.items() if node.op.name == "symbol" and node.value.role == "parameter"
    }


# Rules of one's own, old values, and data that must not be written to


def trained_both(name):
    X = np.random.default_rng(0).normal(size=(60, 4))
    options = {"momentum": 0, "learning_rate_init": 0.01, "batch_size": 60, "max_iter": 6, "random_state": 0}
    fits = [cr.MLPRegressor(network="4 -> 1 identity", solver=name, engine=engine, **options) for engine in ENGINES]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [fit.fit(X, X @ [1, 2, 3, 4]).loss_curve_ for fit in fits]


def keeps_the_old_weights(p, lr=0.01):
    """W - lr dW + (W - q)/2, q the weights before."""
    old = p.state("q")
    p.next(p.parameter, p.parameter - lr * p.gradient + 0.5 * (p.parameter - old))
    p.next(old, p.parameter)


def keeps_two_gradients(p, lr=0.01):
    """W - lr (dW + a/2 + b/4), a and b the last two gradients."""
    a, b = p.state("a"), p.state("b")
    p.next(p.parameter, p.parameter - lr * (p.gradient + 0.5 * a + 0.25 * b))
    p.next(a, p.gradient)
    p.next(b, a)


def halves_its_momentum(p, lr=0.01):
    """v = k v + dW, W - lr v, where k halves with every step."""
    k, v = scalar("kk", role="state"), p.state("v")
    p.next(v, k * v + p.gradient)
    p.next(k, 0.5 * k, 1.0)
    p.next(p.parameter, p.parameter - lr * (k * v + p.gradient))


def swaps_two_numbers(p, lr=0.01):
    """W - lr j dW, where j and k change places."""
    j, k = scalar("j1", role="state"), scalar("k1", role="state")
    p.next(j, k, 1.0)
    p.next(k, j, 2.0)
    p.next(p.parameter, p.parameter - lr * j * p.gradient)


def takes_the_cosine_of_a_number(p, lr=0.01):
    """W - lr cos(k) dW: of plain numbers the engine knows no cosine, and the NumPy program trains."""
    k = scalar("k2", role="state")
    p.next(k, k + 1, 1.0)
    p.next(p.parameter, p.parameter - lr * cr.cos(k) * p.gradient)


@pytest.mark.parametrize(
    "rule",
    [
        keeps_the_old_weights,
        keeps_two_gradients,
        halves_its_momentum,
        swaps_two_numbers,
        takes_the_cosine_of_a_number,
    ],
)
def test_every_next_value_is_of_old_values_whoever_runs_it(rule):
    update(rule)

    engine, numpy = trained_both(rule.__name__)

    np.testing.assert_allclose(engine, numpy, rtol=1e-12)
    assert len(set(numpy)) == 6


def test_a_prediction_is_at_the_parameters_as_they_are_now():
    X = np.ones((3, 4))
    reg = cr.MLPRegressor((3,), max_iter=1, tol=0, random_state=0).fit(X, np.arange(3.0))
    before = reg.predict(X)

    reg.coefs_[-1][...] = 0
    reg.params_["b2"] = np.full((1, 1), 7.0)

    assert not np.any(before == 7)
    np.testing.assert_array_equal(reg.predict(X), [7, 7, 7])


def test_data_that_must_not_be_written_to_need_no_other_kernels():
    net, params = cr.Network("4 -> 3 tanh -> 2"), cr.Network("4 -> 3 tanh -> 2").init(0)
    X = np.random.default_rng(0).standard_normal((5, 4))
    predict, compiled = EngineOutputs(net, np.float64), len(team.run.signatures)
    expected = predict(params, X)

    X.flags.writeable = False

    np.testing.assert_array_equal(predict(params, X), expected)
    np.testing.assert_array_equal(predict(params, np.repeat(X, 400, axis=0))[:1], expected[:1])
    assert len(team.run.signatures) == compiled
    assert not X.flags.writeable


# What it says of itself


def test_the_listing_shows_every_equation_once_and_fits_the_screen():
    net = cr.Network("5 -> 4 gelu dropout=0.2 -> 3 softmax", penalty=cr.l2(0.1))

    for solver in ("sgd", "adam"):
        listing = net.program(solver=solver, sample_weight=True, batch_size=50)
        shown = [line.split("<- ")[1].split(" = ")[0] for line in listing.splitlines() if " " * 17 + "<- " in line]
        expected = {e.name for e in net.derive(solver=solver, sample_weight=True)}
        assert set(shown) == expected
        assert len(shown) == len(expected)
        assert max(map(len, listing.splitlines())) <= 80


def test_the_listing_says_what_is_added_in_place():
    assert "W1 <- alpha X.T @ dZ1 + beta W1" in cr.Network("2 -> 3 tanh -> 1").program()


def test_the_listing_says_what_becomes_of_plain_numbers():
    assert "beta2_t <- beta2 * beta2_t\n" in cr.Network("2 -> 1").program(solver="adam")
    assert "plain numbers" not in cr.Network("2 -> 1").program(solver="sgd")


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "x", None])
def test_a_listing_is_for_a_number_of_rows(rows):
    with pytest.raises(cr.DataError, match="batch_size is a whole number of rows, at least 1, found"):
        cr.Network("2 -> 1").program(batch_size=rows)
