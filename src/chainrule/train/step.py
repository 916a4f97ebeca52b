"""One training step as a program: the printed text of the derivation, run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chainrule.arrays import Arrays, draw_masks
from chainrule.calls import bind, parse_call
from chainrule.expr import Node
from chainrule.network import Network
from chainrule.program.execute import run
from chainrule.program.listing import step_inputs, step_outputs
from chainrule.updates import UpdateRule, find_update


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

    def masks(self, rows: int, rng: np.random.Generator, dtype: Any) -> Arrays:
        """The random matrices of one minibatch."""
        return draw_masks(self.randoms, rows, rng, dtype)


def find_solver(text: str) -> tuple[UpdateRule, dict[str, float]]:
    """The update rule of a call such as "rmsprop(rho=0.95)", and the parameters it gives."""
    call = parse_call(text)
    rule = find_update(call.name)
    bind(call, rule.hyper.items(), text)  # which explains what is wrong
    return rule, dict(zip(rule.hyper, call.arguments, strict=False)) | dict(call.keywords)


def compile_step(network: Network, rule: UpdateRule, *, weighted: bool) -> StepProgram:
    """Derive, print and compile the training step."""
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
