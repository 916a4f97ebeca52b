"""The choice of one thread or all, by what they take."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import pace
from chainrule.engine.pace import AGAIN, Pace


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    return now


def parts(chosen, seconds, clock, count):
    """What a pace chooses while a step takes so many seconds on so many threads."""
    made = []
    for _ in range(count):
        threads, _trial = chosen.threads()
        clock[0] += 0.01
        chosen.note(threads, seconds[threads])
        made.append(threads)
    return made


def test_both_are_tried_and_the_faster_one_goes_on(clock):
    assert parts(Pace(4), {1: 2.0, 4: 1.0}, clock, 6)[2:] == [4] * 4
    assert parts(Pace(4), {1: 1.0, 4: 2.0}, clock, 6)[2:] == [1] * 4


def test_the_slower_one_is_tried_again_after_a_while_and_only_then(clock):
    chosen = Pace(2)
    parts(chosen, {1: 1.0, 2: 2.0}, clock, 3)

    made = parts(chosen, {1: 1.0, 2: 2.0}, clock, 100)

    assert 0 < made.count(2) <= 100 * 0.01 / AGAIN + 1


def test_it_changes_its_mind_when_the_machine_does(clock):
    chosen = Pace(2)
    parts(chosen, {1: 2.0, 2: 1.0}, clock, 20)

    made = parts(chosen, {1: 2.0, 2: 50.0}, clock, 20)

    assert made[-10:].count(1) >= 9
    assert parts(chosen, {1: 2.0, 2: 1.0}, clock, 200)[-1] == 2


def test_a_fit_with_a_choice_has_the_same_bits_as_one_on_a_thread():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(600, 20)), rng.integers(0, 3, 600)
    fit = lambda threads: cr.MLPClassifier(
        hidden_layer_sizes=(100,), batch_size=200, max_iter=8, tol=0, random_state=0, n_threads=threads
    ).fit(X, y)

    alone, free = fit(1), fit(None)

    assert alone.loss_curve_ == free.loss_curve_
    assert all(np.array_equal(a, b) for a, b in zip(alone.coefs_, free.coefs_, strict=True))
