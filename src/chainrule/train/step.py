"""One training step as a program: the printed text of the derivation, run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.arrays import counted_masks
from chainrule.calls import bind, parse_call, shortest
from chainrule.errors import SpecError
from chainrule.expr import Node
from chainrule.network import Network
from chainrule.program.end_to_end import end_to_end, offsets
from chainrule.program.execute import run
from chainrule.program.listing import names_of, step_inputs
from chainrule.updates import DOMAINS, UpdateRule, find_update

GATHERED = 1 << 14  # numbers of X at a time


@dataclass(frozen=True, eq=False)
class StepProgram:
    """The derived step of a network under an update rule: data and state in, loss and state out; one serves one fit."""

    text: str  # what runs
    make_step: Callable[..., Any]  # the step for so many rows, of a data type, with arrays of its own
    inputs: tuple[str, ...]
    kept: tuple[str, ...]  # what changes in place: parameters and states, or rows of them
    numbers: tuple[str, ...]  # the states that are returned
    rows: Mapping[str, tuple[Node, ...]]  # a row -> the matrices end to end in it
    randoms: tuple[Node, ...]
    parameters: tuple[str, ...]
    states: tuple[tuple[Node, float], ...]
    made: dict[Any, Any] = field(default_factory=dict)  # arrays of minibatches and steps, to be used again

    @property
    def draws(self) -> bool:
        """Are there random matrices in a step?"""
        return bool(self.randoms)

    def initial_states(self, dtype: Any) -> dict[str, Any]:
        """Every state of the update rule at its initial value; what is 1 x 1 starts as a number."""
        return {str(s.name): v if s.shape == (1, 1) else np.full(s.shape, v, dtype) for s, v in self.states}

    def __call__(
        self, data: Mapping[str, Any], state: Mapping[str, Any], hyper: Mapping[str, float]
    ) -> tuple[float, dict[str, Any]]:
        """The loss of a minibatch, and the parameters and states after the step."""
        kept = self._together(state, data["X"].dtype)
        return self._run(data, kept, hyper), self._apart(state, kept)

    def epoch(
        self,
        state: dict[str, Any],
        data: Mapping[str, Any],
        order: Any,
        starts: Any,
        shares: Any,
        hyper: Mapping[str, float],
        seed: int,
    ) -> tuple[float, dict[str, Any]]:
        """Minibatches `starts[i] : starts[i + 1]` of `order`: the sum of shares times losses, and the state after."""
        total, kept = 0.0, self._together(state, data["X"].dtype)
        with np.errstate(all="ignore"):  # what overflows is found afterwards
            for start, share, batch in zip(starts[:-1], shares, self._gathered(data, order, starts), strict=True):
                masks = counted_masks(self.randoms, seed, int(start), len(batch["X"]), batch["X"].dtype)
                total += self._run({**batch, **masks}, kept, hyper) * share
                if not math.isfinite(total):
                    break
        return total, self._apart(state, kept)

    def settle(self, state: dict[str, Any]) -> None:
        """A state has memory of its own already."""

    def _gathered(self, data: Mapping[str, Any], order: Any, starts: Any) -> Iterator[dict[str, Any]]:
        """The rows of each minibatch until the next is asked for; about `GATHERED` numbers are gathered at once."""
        first, width = 0, data["X"].shape[1]
        while first < len(starts) - 1:
            ahead = np.searchsorted(starts, starts[first] + GATHERED // width, side="right") - 1
            last = max(int(ahead), first + 1)
            rows = order[starts[first] : starts[last]]
            block = {name: self._taken(name, array, rows) for name, array in data.items()}
            for i in range(first, last):
                own = slice(starts[i] - starts[first], starts[i + 1] - starts[first])
                yield {name: array[own] for name, array in block.items()}
            first = last

    def _taken(self, name: str, array: Any, rows: Any) -> Any:
        place = self.made.get(name)
        if place is None or len(place) < len(rows) or place.shape[1:] != array.shape[1:] or place.dtype != array.dtype:
            place = self.made[name] = np.empty((len(rows), *array.shape[1:]), array.dtype)
        return np.take(array, rows, axis=0, out=place[: len(rows)], mode="clip")  # all rows are there

    def _run(self, data: Mapping[str, Any], kept: dict[str, Any], hyper: Mapping[str, float]) -> float:
        """One step, which changes what is kept; its loss."""
        values = {**data, **kept}
        key = len(data["X"]), values[self.kept[0]].dtype
        if key not in self.made:
            self.made[key] = self.make_step(*key)
        loss = self.made[key](*(values[name] for name in self.inputs), **hyper)
        if self.numbers:
            loss, *numbers = loss
            kept.update(zip(self.numbers, numbers, strict=True))
        return float(np.asarray(loss).item())

    def _together(self, state: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
        """A copy of the state, as the step keeps it."""
        dtype = dtype if all(state[name].dtype == dtype for name in self.parameters) else np.dtype(float)
        kept = {name: state[name] for name in self.numbers}
        for name in self.kept:
            parts = self.rows.get(name)
            value = state[name] if parts is None else [np.ravel(state[str(part.name)]) for part in parts]
            kept[name] = np.array(value, dtype) if parts is None else np.concatenate(value, dtype=dtype)[None]
        return kept

    def _apart(self, state: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
        """The state that is kept so, with the names and in the order of another."""
        found = dict(kept)
        for row, parts in self.rows.items():
            for part, start, stop in offsets(parts):
                found[str(part.name)] = kept[row][0, start:stop].reshape(part.shape).copy()
        return {name: found[name] for name in state}


def find_solver(text: str) -> tuple[UpdateRule, dict[str, float]]:
    """The update rule of a call such as "rmsprop(rho=0.95)", and the parameters it gives."""
    call = parse_call(text)
    rule = find_update(call.name)
    bind(call, rule.hyper.items(), text)  # which explains what is wrong
    given = dict(zip(rule.hyper, call.arguments, strict=False)) | dict(call.keywords)
    for name, value in given.items():
        needed, holds = DOMAINS.get(name, ("", lambda x: True))
        if not holds(value):
            raise SpecError(f"{name} of {rule.name} is {needed}, got {shortest(value)}", text, 0, len(text))
    return rule, given


def compile_step(network: Network, rule: UpdateRule, *, weighted: bool) -> StepProgram:
    """Derive, print and compile the training step; fits of the same network share all but the arrays."""
    return replace(_compiled(network, rule, weighted=weighted), made={})


@lru_cache(maxsize=128)
def _compiled(network: Network, rule: UpdateRule, *, weighted: bool) -> StepProgram:
    derivation = network.derive(solver=rule.name, sample_weight=weighted)
    text = derivation.source("numpy-inplace", part="step", flat=True)
    listing, joined = derivation.listing, end_to_end(derivation.listing)
    numbers = names_of(joined.numbers)
    kept = names_of(joined.kept)
    return StepProgram(
        text=text,
        make_step=run(text, "make_step"),
        inputs=tuple(step_inputs(joined)),
        kept=tuple(name for name in kept if name not in numbers),
        numbers=tuple(numbers),
        rows={str(row.name): parts for row, parts in joined.rows_of.items() if row.name in kept},
        randoms=listing.randoms,
        parameters=tuple(names_of(listing.parameters)),
        states=listing.states,
    )
