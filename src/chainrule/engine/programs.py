"""Training steps and predictions as the engine runs them, with the same signatures as the NumPy program's."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.engine.lowering import CHUNK, lowered_outputs, lowered_step, planned
from chainrule.engine.resolve import is_number
from chainrule.engine.team import Team, compile_kernels, team_size
from chainrule.network import Network
from chainrule.updates import UpdateRule

FEW = 100_000  # multiply-adds of rows that are not worth any ceremony
Array = np.ndarray[Any, Any]
State = dict[str, Any]
NONE: Array = np.zeros(0)


class EngineStep:
    """The derived step of a network under an update rule, for whole epochs; one of these serves one fit."""

    def __init__(self, network: Network, rule: UpdateRule, *, weighted: bool, threads: int | None = None) -> None:
        self.lowered = lowered_step(network, rule, weighted=weighted)
        planned(self.lowered, 1, labels=False)  # which says now what it cannot
        self.threads = threads
        self.parameters = tuple(str(p.name) for p in self.lowered.parameters)
        self.draws = network.drops
        self._numbers = [str(s.name) for s, _ in self.lowered.states if is_number(s)]
        self._team: Team | None = None
        self._key: tuple[Any, ...] = ()
        self._state: State | None = None  # what lies in the arena
        self._live: State | None = None  # a state that lies in the arena alone
        self._memory = NONE  # where it moves to
        self._targets: tuple[Any, Array | None] = (None, None)

    def initial_states(self, dtype: Any) -> State:
        """Every state of the update rule at its initial value; what is 1 x 1 and no parameter's starts as a number."""
        return {str(s.name): v if is_number(s) else _filled(s.shape, v, dtype) for s, v in self.lowered.states}

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

        What is returned lies in the arena, and moves to memory of its own when it is passed on: of the states from here
        only that one and the one after it hold, so that a fit takes the memory of one state beside the arena.
        """
        self.settle(state)
        self._live = None
        X = np.ascontiguousarray(data["X"])  # rows are copied as they lie
        Y, w = np.ascontiguousarray(data["Y"]), data.get("w")
        labels = self._labels(data["Y"])
        team = self._prepared(int(np.diff(starts).max(initial=1)), X.dtype, labels is not None)
        if self._state is not state:
            for name, place in team.views(team.arena).items():
                place[...] = state[name]
        self._state = None
        team.set_numbers({**hyper, **{name: state[name] for name in self._numbers}})
        total = team.run(
            starts, X=X, Y=Y, labels=labels, weights=None if w is None else np.ascontiguousarray(w), order=order,
            shares=shares, seed=seed, loss_at=team.plan.places[self.lowered.result].base,
            work=self._work(team.plan.rows),
        )  # fmt: skip
        after: State = team.views(team.arena)
        after |= {name: team.number(name) for name in self._numbers}
        self._state = self._live = after
        return total, after

    def settle(self, state: State) -> None:
        """Give a state memory of its own if it is what the last epoch returned, which the next would write over."""
        if state is self._live and self._team is not None:
            stored = self._team.arena[: self._team.plan.stored]
            if self._memory.shape != stored.shape or self._memory.dtype != stored.dtype:
                self._memory = np.empty_like(stored)
            self._memory[...] = stored
            state.update(self._team.views(self._memory))
            self._live = None

    def _work(self, rows: int) -> float:
        return 3.0 * rows * self.lowered.size

    def _prepared(self, rows: int, dtype: Any, labels: bool) -> Team:
        key = (rows, np.dtype(dtype), labels)
        if self._team is None or key != self._key:
            compile_kernels(dtype)
            plan = planned(self.lowered, rows, labels=labels)
            size = team_size(self.threads, self._work(rows))
            self._team, self._key = Team(plan, dtype, size, adapts=self.threads is None), key
            self._state = None
        return self._team

    def _labels(self, Y: Array) -> Array | None:
        """The class of each row, where every row of the targets is one-hot."""
        if self._targets[0] is not Y:
            self._targets = (Y, _classes(Y) if Y.shape[1] > 1 else None)
        return self._targets[1]


def _filled(shape: tuple[Any, ...], value: float, dtype: Any) -> Array:
    """A matrix of one number; zeros are not touched, and so take no memory until they are written to."""
    return np.full(shape, value, dtype) if value else np.zeros(shape, dtype)


def _classes(Y: Array) -> Array | None:
    labels = Y.argmax(axis=1)
    ones = Y[np.arange(len(Y)), labels] == 1
    return labels.astype(np.int64) if ones.all() and np.count_nonzero(Y) == len(Y) else None


class EngineOutputs:
    """The outputs of a network, for any number of rows in constant memory; every thread that asks has its own."""

    def __init__(self, network: Network, dtype: Any, *, threads: int | None = None) -> None:
        self.lowered = lowered_outputs(network)
        self.plan = planned(self.lowered, CHUNK, labels=False)
        self.dtype = np.dtype(dtype)
        self.columns, self.size, self.threads = network.outputs, self.lowered.size, threads
        self._mine = threading.local()
        compile_kernels(self.dtype)

    def __call__(self, params: Mapping[str, Array], X: Array) -> Array:
        """The outputs of rows X, C-contiguous and of the data type, at these parameters as they are now."""
        rows = X.shape[0]
        results = np.empty((rows, self.columns), self.dtype)
        if 0 < rows * self.size <= FEW:
            self._team(1, params).outputs(X, results, np.array([0, rows]))
            return results
        work = float(self.size * min(rows, CHUNK))
        starts = np.append(np.arange(0, rows, CHUNK, dtype=np.int64), rows)
        self._team(team_size(self.threads, work), params).run(starts, X=X, results=results, work=work)
        return results

    def _team(self, threads: int, params: Mapping[str, Array]) -> Team:
        teams: dict[int, tuple[Team, list[tuple[str, Array]]]] = self._mine.__dict__.setdefault("teams", {})
        if threads not in teams:
            team = Team(self.plan, self.dtype, threads, adapts=self.threads is None)
            teams[threads] = team, list(team.views(team.arena).items())
        team, places = teams[threads]
        for name, place in places:
            place[...] = params[name]
        return team
