"""How benchmarks time competitors and refuse an unfair comparison: `benchmarks.workers` and the referee of a step."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # for `benchmarks`, which is not installed

from benchmarks import step, workers  # noqa: E402
from benchmarks.training import Cell  # noqa: E402

CELL = Cell((4, 3, 2), 8, 32, "sgd", "tanh")


def counting(start):
    if start is None:
        raise ImportError("no such rival here")
    return {"next": lambda more: start + more}


def test_what_comes_once_is_not_in_the_slope():
    assert workers.slope({("run", 2): 10.0 + 2 * 0.5, ("run", 6): 10.0 + 6 * 0.5}) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("short", "long", "noisy"), [(2.0, 6.0, False), (3.5, 6.0, False), (1.0, 6.0, True), (7, 6, 1)]
)
def test_a_difference_that_cannot_be_is_called_noise(short, long, noisy):
    assert workers.is_noisy({("run", 2): short, ("run", 6): long}) == noisy


def test_a_worker_answers_and_one_that_cannot_start_is_left_out(capsys):
    processes = {}
    try:
        running = workers.opened(processes, {"good": (counting, 3), "bad": (counting, None)}, needed=["good"])

        assert list(running) == ["good"]
        assert running["good"].value("next", 4) == 7
        assert "bad left out: ImportError: no such rival here" in capsys.readouterr().out
        with pytest.raises(workers.WorkerError, match="no such rival"):
            workers.opened(processes, {"bad": (counting, None)}, needed=["bad"])
    finally:
        for each in processes.values():
            each.close()


def test_the_referee_lets_equal_training_pass_and_stops_another():
    weights = CELL.weights()
    other = [(2 * W, b) for W, b in weights]

    assert step.referee(CELL, {"chainrule": weights, "a rival": weights, "products": None}) == 0
    with pytest.raises(SystemExit, match="not the same training"):
        step.referee(CELL, {"chainrule": weights, "a rival": other})
