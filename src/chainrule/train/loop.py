"""The training loop: epochs of minibatches, learning-rate schedules, when to stop, what to report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.train.step import StepProgram

GATHERED = 1 << 16  # numbers of X at a time


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data did."""

    number: int  # from 1
    of: int
    loss: float
    score: float | None  # on held-out rows, larger is better
    learning_rate: float
    seconds: float  # since training began

    @property
    def seconds_left(self) -> float:
        """At the pace so far, if no stopping rule ends it sooner."""
        return self.seconds / self.number * (self.of - self.number)

    def __str__(self) -> str:
        score = "" if self.score is None else f"  validation score {self.score:.4f}"
        left = f"{self.seconds_left:.0f} s left at most"
        return f"epoch {self.number:4d}/{self.of}  loss {self.loss:.6f}{score}  rate {self.learning_rate:g}  {left}"


@dataclass(frozen=True)
class Schedule:
    """The learning rate over time; the names and meanings are scikit-learn's."""

    kind: str = (
        "constant"  # or "invscaling": initial / t^power, t in samples; or "adaptive": a fifth after a standstill
    )
    initial: float = 0.001
    power: float = 0.5

    def at(self, samples: int, standstills: int) -> float:
        """The rate of an epoch, after so many samples seen and so many standstills."""
        if self.kind == "invscaling":
            return self.initial / math.pow(samples + 1, self.power)
        return self.initial / 5**standstills if self.kind == "adaptive" else self.initial


@dataclass(frozen=True)
class Stopping:
    """When training ends before its last epoch: no gain of `tol` for more than `patience` epochs in a row."""

    tol: float = 1e-4
    patience: int = 10
    smallest_rate: float = 1e-6  # of the adaptive schedule


@dataclass
class Run:
    """A training run as it stands, after its last whole epoch: everything needed to go on."""

    program: StepProgram
    state: dict[str, Any]  # parameters and states of the update rule
    hyper: Mapping[str, float] = field(default_factory=dict)  # of the update rule, but for the rate
    samples: int = 0
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_loss: float = math.inf
    best_score: float = -math.inf
    best_state: dict[str, Any] | None = None  # of the best score
    without_gain: int = 0
    standstills: int = 0
    interrupted: bool = False

    @property
    def params(self) -> dict[str, np.ndarray[Any, Any]]:
        """The parameters alone."""
        return {name: self.state[name] for name in self.program.parameters}


def minibatches(data: Mapping[str, Any], batch_size: int, rng: np.random.Generator | None) -> Iterator[dict[str, Any]]:
    """Consecutive minibatches of the rows, in a new order each time where there is an `rng`; the last may be short.

    Rows are gathered for many minibatches at once, about `GATHERED` numbers, and handed out as views.
    """
    rows, width = data["X"].shape
    order = None if rng is None else rng.permutation(rows)
    span = batch_size * max(1, GATHERED // (batch_size * width))
    for first in range(0, rows, span):
        last = min(first + span, rows)
        index = slice(first, last) if order is None else order[first:last]
        block = {name: array[index] for name, array in data.items()}
        for start in range(0, last - first, batch_size):
            yield {name: array[start : start + batch_size] for name, array in block.items()}


def one_epoch(
    run: Run, data: dict[str, Any], *, batch_size: int, rng: np.random.Generator, shuffle: bool, schedule: Schedule
) -> float:
    """One pass over the data; the mean loss, each minibatch at the parameters it met.

    The run is changed at the end, and so by a whole pass or not at all.
    """
    rows, dtype = len(data["X"]), data["X"].dtype
    rate = schedule.at(run.samples, run.standstills)
    state, total, weight = run.state, 0.0, 0.0
    with np.errstate(all="ignore"):  # what overflows is found below
        for batch in minibatches(data, batch_size, rng if shuffle else None):
            n = len(batch["X"])
            share = float(batch["w"].sum()) if "w" in batch else float(n)
            if share == 0:
                continue  # no row of this minibatch counts
            masks = run.program.masks(n, rng, dtype)
            loss, state = run.program({**batch, **masks}, state, {**run.hyper, "lr": rate})
            total, weight = total + loss * share, weight + share
            if not math.isfinite(total):
                break
    if not math.isfinite(total) or not all(np.isfinite(state[name]).all() for name in run.program.parameters):
        raise FloatingPointError(
            f"training diverged in epoch {len(run.losses) + 1}, at a learning rate of {rate:g}: "
            "a smaller learning_rate_init, or scaled data, may help"
        )
    run.state, run.samples = state, run.samples + rows
    run.losses.append(total / weight)
    return run.losses[-1]


def train(
    run: Run,
    data: dict[str, Any],
    *,
    epochs: int,
    batch_size: int,
    rng: np.random.Generator,
    shuffle: bool = True,
    schedule: Schedule | None = None,
    stopping: Stopping | None = None,
    score: Callable[[dict[str, Any]], float] | None = None,
    reports: Sequence[Callable[[Epoch], object]] = (),
) -> str:
    """Train until a stopping rule or the last epoch; why it ended sooner, in words.

    Ctrl-C ends it with the parameters of the last whole epoch; before there is one, it is an interrupt as ever.
    """
    schedule, began, done = schedule or Schedule(), time.perf_counter(), len(run.losses)
    try:
        for number in range(1, epochs + 1):
            rate = schedule.at(run.samples, run.standstills)
            loss = one_epoch(run, data, batch_size=batch_size, rng=rng, shuffle=shuffle, schedule=schedule)
            held_out = None if score is None else score(run.params)
            if held_out is not None:
                run.scores.append(held_out)
            reason = _standstill(run, schedule, stopping) if stopping else ""
            epoch = Epoch(number, epochs, loss, held_out, rate, time.perf_counter() - began)
            for report in reports:
                report(epoch)
            if reason:
                return reason
    except KeyboardInterrupt:
        if len(run.losses) == done:
            raise
        run.interrupted = True
        return f"interrupted after {len(run.losses) - done} of {epochs} epochs"
    return ""


def _standstill(run: Run, schedule: Schedule, stopping: Stopping) -> str:
    """Count epochs without a gain; what to do about too many of them: end, or lower the rate."""
    if run.scores:
        gained = run.scores[-1] >= run.best_score + stopping.tol
        if run.scores[-1] > run.best_score:
            run.best_score, run.best_state = run.scores[-1], run.state
    else:
        gained = run.losses[-1] <= run.best_loss - stopping.tol
    run.best_loss = min(run.best_loss, run.losses[-1])
    run.without_gain = 0 if gained else run.without_gain + 1
    if run.without_gain <= stopping.patience:
        return ""
    if schedule.kind == "adaptive" and schedule.at(0, run.standstills) > stopping.smallest_rate:
        run.standstills += 1
        run.without_gain = 0
        return ""
    what = "validation score" if run.scores else "training loss"
    return f"{what} did not improve by {stopping.tol:g} for {stopping.patience} epochs in a row"
