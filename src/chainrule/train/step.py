"""One training step as a program: the printed text of the derivation, run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from chainrule.arrays import counted_masks
from chainrule.calls import bind, parse_call
from chainrule.expr import Node
from chainrule.network import Network
from chainrule.program.execute import run
from chainrule.program.listing import step_inputs, step_outputs
from chainrule.updates import UpdateRule, find_update

GATHERED = 1 << 16  # numbers of X at a time


@dataclass(frozen=True, eq=False)
class StepProgram:
    """The derived step of a network under an update rule: data and state in, loss and state out."""

    text: str  # what runs
    function: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    randoms: tuple[Node, ...]
    parameters: tuple[str, ...]
    states: tuple[tuple[Node, float], ...]

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
        values = {**data, **state}
        loss, *after = self.function(*(values[name] for name in self.inputs), **hyper)
        return float(np.asarray(loss).item()), dict(zip(self.outputs[1:], after, strict=True))

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
        total = 0.0
        with np.errstate(all="ignore"):  # what overflows is found afterwards
            for start, share, batch in zip(starts[:-1], shares, gathered(data, order, starts), strict=True):
                masks = counted_masks(self.randoms, seed, int(start), len(batch["X"]), batch["X"].dtype)
                loss, state = self({**batch, **masks}, state, hyper)
                total += loss * share
                if not math.isfinite(total):
                    break
        return total, state


def gathered(data: Mapping[str, Any], order: Any, starts: Any) -> Iterator[dict[str, Any]]:
    """The rows of each minibatch; about `GATHERED` numbers are gathered at once and handed out as views."""
    first, width = 0, data["X"].shape[1]
    while first < len(starts) - 1:
        ahead = np.searchsorted(starts, starts[first] + GATHERED // width, side="right") - 1
        last = max(int(ahead), first + 1)
        block = {name: array[order[starts[first] : starts[last]]] for name, array in data.items()}
        for i in range(first, last):
            rows = slice(starts[i] - starts[first], starts[i + 1] - starts[first])
            yield {name: array[rows] for name, array in block.items()}
        first = last


def find_solver(text: str) -> tuple[UpdateRule, dict[str, float]]:
    """The update rule of a call such as "rmsprop(rho=0.95)", and the parameters it gives."""
    call = parse_call(text)
    rule = find_update(call.name)
    bind(call, rule.hyper.items(), text)  # which explains what is wrong
    return rule, dict(zip(rule.hyper, call.arguments, strict=False)) | dict(call.keywords)


@lru_cache(maxsize=128)
def compile_step(network: Network, rule: UpdateRule, *, weighted: bool) -> StepProgram:
    """Derive, print and compile the training step; fits of the same network share it."""
    derivation = network.derive(solver=rule.name, sample_weight=weighted)
    text = derivation.source("numpy", part="step")
    listing = derivation.listing
    return StepProgram(
        text=text,
        function=run(text, "step"),
        inputs=tuple(step_inputs(listing)),
        outputs=tuple(step_outputs(listing)),
        randoms=listing.randoms,
        parameters=tuple(str(p.name) for p in listing.parameters),
        states=listing.states,
    )
