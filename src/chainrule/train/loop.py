"""The training loop: epochs of minibatches, learning-rate schedules, when to stop, what to report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
State = dict[str, Any]


class Program(Protocol):
    """A training step that runs over an epoch: a printed NumPy program, or the engine's instructions."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Their names."""

    @property
    def draws(self) -> bool:
        """Are there random matrices in a step?"""

    def initial_states(self, dtype: Any) -> State:
        """Every state of the update rule at its initial value."""

    def epoch(
        self,
        state: State,
        data: Mapping[str, Array],
        order: Array,
        starts: Array,
        shares: Array,
        hyper: Mapping[str, float],
        seed: int,
    ) -> tuple[float, State]:
        """Minibatches `starts[i] : starts[i + 1]` of `order`: the sum of shares times losses, and the state after.

        The state passed in keeps its values, and the one returned until another is passed in.
        """

    def settle(self, state: State) -> None:
        """Give a state that was returned memory of its own."""


@dataclass(frozen=True)
class Epoch:
    """What one pass over the data did."""

    number: int  # from 1
    of: int
    loss: float
    score: float | None  # on held-out rows, larger is better
    learning_rate: float
    seconds: float  # since training began
    first: float = 0.0  # seconds of the first epoch, in which code may be compiled or loaded

    @property
    def seconds_left(self) -> float | None:
        """At the pace since the first epoch, if no stopping rule ends it sooner; None where there is no other yet."""
        if self.number == 1:
            return 0.0 if self.of == 1 else None
        return (self.seconds - self.first) / (self.number - 1) * (self.of - self.number)

    def __str__(self) -> str:
        score = "" if self.score is None else f"  validation score {self.score:.4f}"
        left = "" if self.seconds_left is None else f"  {self.seconds_left:.0f} s left at most"
        return f"epoch {self.number:4d}/{self.of}  loss {self.loss:.6f}{score}  rate {self.learning_rate:g}{left}"


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

    program: Program
    state: dict[str, Any]  # parameters and states of the update rule
    hyper: Mapping[str, float] = field(default_factory=dict)  # of the update rule, but for the rate
    mean: bool = True  # is the loss a mean over examples, or their sum?
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


def minibatches(rows: int, batch_size: int, rng: np.random.Generator | None, w: Array | None) -> tuple[Array, Array]:
    """The order of an epoch's rows and where its minibatches begin, and the last ends; it may be short.

    The order is new each time where there is an `rng`. Minibatches without any weight are left out.
    """
    order = np.arange(rows) if rng is None else rng.permutation(rows)
    starts = np.append(np.arange(0, rows, batch_size), rows)
    if w is None or w.all():
        return order, starts
    counts = np.add.reduceat(w[order, 0], starts[:-1]) > 0
    sizes = np.diff(starts)
    return order[np.repeat(counts, sizes)], np.append(0, np.cumsum(sizes[counts]))


def one_epoch(
    run: Run, data: dict[str, Any], *, batch_size: int, rng: np.random.Generator, shuffle: bool, schedule: Schedule
) -> float:
    """One pass over the data; the mean loss of an example, each minibatch at the parameters it met.

    The run is changed at the end, and so by a whole pass or not at all.
    """
    rows, w = len(data["X"]), data.get("w")
    rate = schedule.at(run.samples, run.standstills)
    order, starts = minibatches(rows, batch_size, rng if shuffle else None, w)
    counts = np.diff(starts).astype(float) if w is None else np.add.reduceat(w[order, 0], starts[:-1]).astype(float)
    shares = counts if run.mean else np.ones(len(counts))
    seed = int(rng.integers(2**63)) if run.program.draws else 0
    hyper = {**run.hyper, "lr": rate}
    total, state = run.program.epoch(run.state, data, order, starts, shares, hyper, seed)
    if not math.isfinite(total) or not all(np.isfinite(state[name]).all() for name in run.program.parameters):
        raise FloatingPointError(
            f"training diverged in epoch {len(run.losses) + 1}, at a learning rate of {rate:g}: "
            "a smaller learning_rate_init, or scaled data, may help"
        )
    loss = float(total) / float(counts.sum())
    # At once, as an interrupt may come between any two lines.
    vars(run).update(state=state, samples=run.samples + rows, losses=[*run.losses, loss])
    return loss


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
    first = 0.0
    try:
        for number in range(1, epochs + 1):
            rate = schedule.at(run.samples, run.standstills)
            loss = one_epoch(run, data, batch_size=batch_size, rng=rng, shuffle=shuffle, schedule=schedule)
            held_out = None if score is None else score(run.params)
            if held_out is not None:
                run.scores.append(held_out)
            reason = _standstill(run, schedule, stopping) if stopping else ""
            seconds = time.perf_counter() - began
            first = first or seconds
            epoch = Epoch(number, epochs, loss, held_out, rate, seconds, first)
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
            run.best_score = run.scores[-1]
            run.best_state = {name: deepcopy(value) for name, value in run.state.items()}
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
