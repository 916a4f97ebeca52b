"""The training loop: which rows a step sees, at which rate, when training ends, and what is left if it breaks."""

from dataclasses import replace
from itertools import chain, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neural_network._stochastic_optimizers import SGDOptimizer

from chainrule.network import Network
from chainrule.train.hold_out import hold_out
from chainrule.train.loop import Epoch, Run, Schedule, Stopping, minibatches, one_epoch, train
from chainrule.train.step import StepProgram, compile_step
from chainrule.updates import find_update

NET = Network("3 -> 4 tanh -> 1")
ROWS = 148


def table(rows=ROWS, *, weighted=False):
    rng = np.random.default_rng(3)
    data = {"X": rng.standard_normal((rows, 3)), "Y": rng.standard_normal((rows, 1))}
    return data | {"w": rng.random((rows, 1))} if weighted else data


def started(solver="sgd", *, net=NET, weighted=False):
    rule = find_update(solver)
    program = compile_step(net, rule, weighted=weighted)
    return Run(program, {**net.init(random_state=0), **program.initial_states(np.float64)}, rule.hyper)


def order(seed=0, *, batch_size=64, shuffle=True, rate=0.1):
    return {
        "batch_size": batch_size,
        "rng": np.random.default_rng(seed),
        "shuffle": shuffle,
        "schedule": Schedule(initial=rate),
    }


def scripted(losses, seen=None):
    """Return a run whose every epoch of one minibatch has the next of these losses; `seen` collects the rates."""
    script, rates = iter(losses), [] if seen is None else seen

    def step(W, lr):
        rates.append(lr)
        W += 1  # in place, as the printed step does
        return next(script)

    program = StepProgram("", lambda n, dtype: step, ("W",), ("W",), (), {}, (), ("W",), ())
    return Run(program, {"W": np.zeros(1)})


def train_scripted(run, epochs, *, schedule=None, **options):
    data = {"X": np.zeros((1, 1))}
    rng = np.random.default_rng(0)
    return train(run, data, epochs=epochs, batch_size=1, rng=rng, schedule=schedule, **options)


# Minibatches


def rows_of(rows, batch_size, rng, w=None):
    """Return the row numbers of each minibatch."""
    order, starts = minibatches(rows, batch_size, rng, w)
    return [order[a:b] for a, b in pairwise(starts)]


def test_the_last_minibatch_is_short():
    assert [len(batch) for batch in rows_of(ROWS, 64, np.random.default_rng(0))] == [64, 64, 20]


@given(st.integers(1, 60), st.integers(1, 70), st.integers(0, 5))
def test_minibatches_are_a_partition_of_the_rows(rows, batch_size, seed):
    batches = rows_of(rows, batch_size, np.random.default_rng(seed))

    assert sorted(chain(*batches)) == list(range(rows))
    assert all(len(batch) == batch_size for batch in batches[:-1])


@given(st.lists(st.sampled_from([0.0, 0.0, 1.0, 2.5]), min_size=1, max_size=40), st.integers(1, 9), st.integers(0, 3))
def test_minibatches_without_weight_are_left_out_and_no_others(weights, batch_size, seed):
    w = np.array(weights)[:, None]
    every = rows_of(len(w), batch_size, np.random.default_rng(seed))

    kept = rows_of(len(w), batch_size, np.random.default_rng(seed), w)

    assert [batch.tolist() for batch in kept] == [batch.tolist() for batch in every if w[batch].any()]


def test_without_shuffling_the_rows_keep_their_order():
    assert [batch.tolist() for batch in rows_of(5, 2, None)] == [[0, 1], [2, 3], [4]]


def test_every_epoch_has_a_new_order_and_a_seed_repeats_them():
    one, two = np.random.default_rng(5), np.random.default_rng(5)
    first, second = rows_of(ROWS, ROWS, one), rows_of(ROWS, ROWS, one)

    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, rows_of(ROWS, ROWS, two))


# One epoch


@pytest.mark.parametrize("weighted", [False, True])
def test_an_epoch_is_a_step_for_each_minibatch_of_the_permutation(weighted):
    """Replayed by hand from the same stream, the short last minibatch included."""
    run, data = started(weighted=weighted), table(weighted=weighted)

    loss = one_epoch(run, data, **order(seed=7, rate=0.5))

    rows = np.random.default_rng(7).permutation(ROWS)
    params, total, share = NET.init(random_state=0), 0.0, 0.0
    for batch in (rows[:64], rows[64:128], rows[128:]):
        X, Y, w = data["X"][batch], data["Y"][batch], data["w"][batch, 0] if weighted else np.ones(len(batch))
        total, share = total + NET.loss(params, X, Y, sample_weight=w) * w.sum(), share + w.sum()
        gradient = NET.gradient(params, X, Y, sample_weight=w)
        params = {name: W - 0.5 * gradient[name] for name, W in params.items()}
    for name, W in params.items():
        np.testing.assert_allclose(run.params[name], W, rtol=1e-10)
    assert loss == pytest.approx(total / share, rel=1e-12)
    assert (run.samples, run.losses) == (ROWS, [loss])


@pytest.mark.parametrize("solver", ["sgd", "adam"])
def test_a_minibatch_whose_weights_are_all_0_makes_no_update(solver):
    data = table(weighted=True)
    data["w"][64:128] = 0
    others = {name: np.vstack([array[:64], array[128:]]) for name, array in data.items()}
    run, short = started(solver, weighted=True), started(solver, weighted=True)

    loss = one_epoch(run, data, **order(shuffle=False))

    assert loss == one_epoch(short, others, **order(shuffle=False))
    assert run.state.keys() == short.state.keys()
    for name, value in run.state.items():
        np.testing.assert_array_equal(value, short.state[name])


def test_masks_are_drawn_once_a_minibatch():
    net = Network("3 -> 4 tanh dropout=0.5 -> 1")
    run, seen = started(net=net), []
    place, make_step = run.program.inputs.index("M1"), run.program.make_step

    def watched(n, dtype):
        step = make_step(n, dtype)
        return lambda *arguments, **hyper: seen.append(arguments[place]) or step(*arguments, **hyper)

    run.program = replace(run.program, make_step=watched)
    one_epoch(run, table(), **order())

    assert [mask.shape for mask in seen] == [(64, 4), (64, 4), (20, 4)]
    assert not np.array_equal(seen[0], seen[1])


def test_the_same_seed_gives_the_same_bits():
    runs = [started("adam", net=Network("3 -> 4 tanh dropout=0.5 -> 1")) for _ in range(2)]

    for run in runs:
        train(run, table(), epochs=3, **order(seed=11))

    np.testing.assert_array_equal(*(run.state["W1"] for run in runs))
    assert runs[0].losses == runs[1].losses


# Divergence


def test_divergence_is_explained_and_leaves_the_last_whole_epoch():
    run = started()
    train(run, table(), epochs=2, **order())
    state, losses = run.state, list(run.losses)

    with pytest.raises(
        FloatingPointError,
        match=r"^training diverged in epoch 3, at a learning rate of 1e\+200: a smaller learning_rate_init, or",
    ):
        train(run, table(), epochs=2, **order(rate=1e200))

    assert run.state is state
    assert (run.losses, run.samples) == (losses, 2 * ROWS)


def test_a_last_step_that_diverges_is_found_though_its_loss_was_finite():
    run = started()

    with pytest.raises(FloatingPointError, match="diverged in epoch 1"):
        one_epoch(run, {name: 1e6 * array for name, array in table().items()}, **order(batch_size=ROWS, rate=1e308))

    assert run.losses == []


# Schedules


def test_a_constant_rate_is_constant():
    assert Schedule("constant", 0.3).at(10_000, 5) == 0.3


@pytest.mark.parametrize("power", [0.5, 0.25, 0.0])
def test_invscaling_is_scikit_learns(power):
    theirs = SGDOptimizer([], 0.3, "invscaling", power_t=power)
    ours = Schedule("invscaling", 0.3, power)

    assert ours.at(0, 0) == 0.3
    for samples in (148, 296, 10_000):
        theirs.iteration_ends(samples)
        assert ours.at(samples, 0) == pytest.approx(theirs.learning_rate, rel=1e-15)


def test_adaptive_is_scikit_learns():
    theirs, ours = SGDOptimizer([], 0.3, "adaptive"), Schedule("adaptive", 0.3)

    for standstills in range(1, 6):
        theirs.trigger_stopping("", verbose=False)
        assert ours.at(0, standstills) == pytest.approx(theirs.learning_rate, rel=1e-14)


def test_the_rate_of_an_epoch_is_reported_and_used_in_all_of_its_minibatches():
    epochs, seen = [], []
    run = scripted([1.0] * 6, seen)
    data, schedule = {"X": np.zeros((20, 1))}, Schedule("invscaling", 0.8, 0.5)

    train(
        run,
        data,
        epochs=3,
        batch_size=10,
        rng=np.random.default_rng(0),
        schedule=schedule,
        reports=[epochs.append],
    )

    rates = [0.8, 0.8 / 21**0.5, 0.8 / 41**0.5]
    assert [epoch.learning_rate for epoch in epochs] == rates
    assert seen == [rate for rate in rates for _ in range(2)]


def test_the_adaptive_rate_falls_at_a_standstill_until_it_is_too_small():
    seen = []
    run = scripted([1.0] * 100, seen)

    reason = train_scripted(run, 100, schedule=Schedule("adaptive", 1e-5), stopping=Stopping(1e-4, patience=2))

    # The first loss is a gain; after it three epochs at every rate, of which the last is below 1e-6.
    assert np.allclose(seen, [1e-5] * 4 + [2e-6] * 3 + [4e-7] * 3, rtol=1e-14)
    assert reason == "training loss did not improve by 0.0001 for 2 epochs in a row"


# Stopping


def test_training_runs_to_its_last_epoch():
    run = scripted([3.0, 2.0, 1.0])

    assert train_scripted(run, 3, stopping=Stopping(0.1, patience=1)) == ""
    assert run.losses == [3.0, 2.0, 1.0]


def test_training_ends_after_too_many_epochs_without_a_gain_of_tol():
    run = scripted([3.0, 2.0, 1.95, 1.95, 1.95, 1.0])

    reason = train_scripted(run, 6, stopping=Stopping(0.1, patience=2))

    assert reason == "training loss did not improve by 0.1 for 2 epochs in a row"
    assert run.losses == [3.0, 2.0, 1.95, 1.95, 1.95]


def test_a_gain_begins_the_count_anew():
    run = scripted([3.0, 3.0, 2.0, 2.0, 1.0, 1.0, 1.0])

    train_scripted(run, 7, stopping=Stopping(0.1, patience=1))

    assert len(run.losses) == 7


def test_the_validation_score_decides_where_there_is_one_and_the_best_state_is_kept():
    run, scores = scripted([5.0, 4.0, 3.0, 2.0, 1.0]), iter([0.1, 0.5, 0.4, 0.3, 0.9])

    reason = train_scripted(run, 5, stopping=Stopping(0.0, patience=1), score=lambda params: next(scores))

    assert reason == "validation score did not improve by 0 for 1 epochs in a row"
    assert run.scores == [0.1, 0.5, 0.4, 0.3]
    assert run.best_score == 0.5
    assert run.best_state["W"] == 2  # after two epochs


def test_without_a_rule_nothing_stops_training():
    run = scripted([1.0] * 30)

    train_scripted(run, 30)

    assert len(run.losses) == 30


# Interrupts


def interrupt(*_):
    raise KeyboardInterrupt


def interrupted_losses(whole):
    yield from [1.0] * whole
    raise KeyboardInterrupt


def test_an_interrupt_in_the_first_epoch_is_one():
    run = scripted(interrupted_losses(0))

    with pytest.raises(KeyboardInterrupt):
        train_scripted(run, 5)

    assert run.losses == []
    assert run.state["W"] == 0


def test_an_interrupt_leaves_the_last_whole_epoch():
    run, data = scripted(interrupted_losses(5)), {"X": np.zeros((2, 1))}  # in the third epoch of two minibatches

    reason = train(run, data, epochs=9, batch_size=1, rng=np.random.default_rng(0))

    assert run.interrupted
    assert reason == "interrupted after 2 of 9 epochs"
    assert (run.losses, run.samples) == ([1.0, 1.0], 4)
    assert run.state["W"] == 4


def test_an_interrupt_in_a_report_or_a_score_keeps_the_epoch():
    for options in ({"reports": [interrupt]}, {"score": interrupt}):
        run = scripted([1.0] * 5)

        reason = train_scripted(run, 5, **options)

        assert reason == "interrupted after 1 of 5 epochs"
        assert run.losses == [1.0]
        assert run.state["W"] == 1


# Reports


def test_every_epoch_is_reported_to_all():
    one, two = [], []

    train_scripted(scripted([3.0, 2.0]), 2, reports=[one.append, two.append], score=lambda params: 0.5)

    assert one == two
    assert [(e.number, e.of, e.loss, e.score) for e in one] == [(1, 2, 3.0, 0.5), (2, 2, 2.0, 0.5)]
    assert 0 <= one[0].seconds <= one[1].seconds


def test_the_time_left_is_at_the_pace_after_the_first_epoch():
    epoch = Epoch(number=5, of=20, loss=0.25, score=None, learning_rate=0.01, seconds=2.0, first=0.4)

    assert epoch.seconds_left == 6.0
    assert str(epoch) == "epoch    5/20  loss 0.250000  rate 0.01  6 s left at most"
    assert "validation score 0.5000" in str(replace(epoch, score=0.5))


def test_the_first_epoch_promises_nothing():
    epoch = Epoch(number=1, of=20, loss=0.25, score=None, learning_rate=0.01, seconds=2.0, first=2.0)

    assert epoch.seconds_left is None
    assert str(epoch) == "epoch    1/20  loss 0.250000  rate 0.01"
    assert replace(epoch, of=1).seconds_left == 0


def test_the_seconds_of_the_first_epoch_are_in_every_report():
    epochs = []

    train_scripted(scripted([3.0, 2.0]), 2, reports=[epochs.append])

    assert {e.first for e in epochs} == {epochs[0].seconds}


# Rows held out


def test_rows_held_out_are_the_rest_and_the_same_for_one_seed():
    data = table(weighted=True)

    kept, held = hold_out(data, 0.25, None, seed=4)

    assert (len(kept["X"]), len(held["X"])) == (111, 37)
    np.testing.assert_array_equal(np.sort(np.vstack([kept["w"], held["w"]]), axis=0), np.sort(data["w"], axis=0))
    np.testing.assert_array_equal(hold_out(data, 0.25, None, seed=4)[1]["X"], held["X"])


def test_rows_are_held_out_in_equal_shares_of_the_classes():
    classes = np.repeat([0, 1], [120, 28])
    data = {"X": np.zeros((ROWS, 1)), "Y": classes[:, None]}

    _, held = hold_out(data, 0.25, classes, seed=0)

    assert np.bincount(held["Y"][:, 0]).tolist() == [30, 7]
