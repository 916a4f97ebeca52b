"""The choice of one thread or all, by what they take."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

import chainrule as cr
from chainrule.engine import pace
from chainrule.engine.interpreter import STOP
from chainrule.engine.lowering import lowered_step, planned
from chainrule.engine.pace import AGAIN, SELDOM, SHORT, Pace
from chainrule.engine.team import Team
from chainrule.updates import UPDATES


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
    assert parts(Pace(4), {1: 2.0, 4: 1.0}, clock, 7) == [1] + [4] * 6
    assert parts(Pace(4), {1: 1.0, 4: 2.0}, clock, 7) == [1, 4, 4] + [1] * 4


def test_the_slower_one_is_tried_again_ever_more_seldom_but_never_given_up(clock):
    chosen = Pace(2)
    slow = {1: 1.0, 2: 4.0}
    parts(chosen, slow, clock, 2)

    soon = parts(chosen, slow, clock, int(100 * AGAIN) + 2)
    later = parts(chosen, slow, clock, 10_000)  # 100 seconds

    assert soon.count(2) == 1
    assert 100 / SELDOM - 2 <= later.count(2) <= 100 / SELDOM + 5


def test_threads_that_take_time_to_wake_are_not_judged_by_that(clock):
    """A trial of several threads is so long that what they take to wake does not decide."""
    chosen, work = Pace(2), 40_000_000
    for _ in range(50):
        threads, trial = chosen.threads()
        steps = int((trial or 100 * work) / work)
        clock[0] += 0.02
        chosen.note(threads, {1: 1.0, 2: 0.6}[threads] + (threads - 1) * 1.6 / steps)

    assert chosen.threads()[0] == 2


def test_a_machine_with_no_room_for_several_threads_is_found_out_by_a_short_trial(clock):
    chosen, seconds, most = Pace(2), {1: 1.0, 2: 100.0}, []
    for _ in range(100):
        threads, trial = chosen.threads()
        clock[0] += 0.01
        chosen.note(threads, seconds[threads])
        most += [trial] if threads == 2 else []

    assert set(most) == {SHORT}


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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_a_fork_has_threads_of_its_own():
    text = """
import os, sys
import numpy as np
import chainrule as cr
X, y = np.random.default_rng(0).normal(size=(4000, 50)), np.arange(4000) % 3
model = cr.MLPClassifier(hidden_layer_sizes=(50,), max_iter=1, n_threads=2, random_state=0).fit(X, y)
before = model.predict(X)
child = os.fork()
if child == 0:
    os._exit(int(not np.array_equal(model.predict(X), before)))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", text], timeout=120, check=False)

    assert done.returncode == 0


def test_what_goes_wrong_in_a_thread_is_raised_and_nobody_waits_for_it():
    net = cr.Network("4 -> 3 tanh -> 1")
    team = Team(planned(lowered_step(net, UPDATES["sgd"], weighted=False), 8, labels=False), "float64", 2)

    def member(me):
        if me == 1:
            raise MemoryError("planted")
        while team.board[STOP] == 0:
            time.sleep(0.001)

    with pytest.raises(MemoryError, match="planted"):
        team._together(member, 2, watch=False)
