"""From a network to schedules that the engine runs: the training step under an update rule, and prediction."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from chainrule.engine.plan import Plan, Planner
from chainrule.engine.resolve import is_number, resolve
from chainrule.engine.schedule import Schedule, schedule
from chainrule.engine.words import ROWWISE, WORDS
from chainrule.expr import Node, is_coefficient, matrix
from chainrule.network import Network
from chainrule.program.lower import lower
from chainrule.updates import UpdateRule

ENGINE_WORDS = frozenset(WORDS) | frozenset(ROWWISE)
CHUNK = 1024  # rows that are predicted at a time


@dataclass(frozen=True, eq=False)
class Lowered:
    """A schedule, and what it was made from."""

    schedule: Schedule
    names: dict[str, Node]  # what each statement stands for
    parameters: tuple[Node, ...]
    states: tuple[tuple[Node, float], ...]  # with initial values
    target: Node | None  # Y
    result: Node  # the loss, or the outputs

    @property
    def stored(self) -> list[Node]:
        """The matrices that last from step to step, in the order of the arena."""
        return [*self.parameters, *(s for s, _ in self.states if not is_number(s))]

    @property
    def size(self) -> int:
        """How many parameters there are: a step multiplies and adds about 3 times as often for each row."""
        return sum(int(p.shape[0]) * int(p.shape[1]) for p in self.parameters)


@lru_cache(maxsize=128)
def lowered_step(network: Network, rule: UpdateRule, *, weighted: bool) -> Lowered:
    """The training step: the loss of a minibatch, and what parameters and states become.

    Raises
    ------
    NotLoweredError
        If the engine has no instruction for something in it.
    """
    listing = network.derive(solver=rule.name, sample_weight=weighted).listing
    statements = lower(listing.equations, ENGINE_WORDS, whole=True)
    after = {str(e.name): e.node for e in listing.equations}
    instead = {
        s: _matrix(s) for s, _ in listing.states if s.shape == (1, 1) and not is_coefficient(after[f"{s.name}_next"])
    }
    found = resolve(statements, instead)
    states = tuple((instead.get(s, s), value) for s, value in listing.states)
    commits = {old: found[f"{old.name}_next"] for old in (*listing.parameters, *(s for s, _ in states))}
    made = schedule({"loss": found["loss"]}, commits)
    return Lowered(made, found, listing.parameters, states, listing.data[1], found["loss"])


def _matrix(state: Node) -> Node:
    """A state of a 1 x 1 parameter as what it is, a matrix of one entry and no plain number."""
    return matrix(str(state.name), 1, 1, role="parameter")


@lru_cache(maxsize=128)
def lowered_outputs(network: Network) -> Lowered:
    """The outputs, without dropout; raises as `lowered_step`."""
    graph = network.graph(False, False)
    equations = [e for e in graph.derived.equations if e.phase == "forward"]
    statements = lower(equations, ENGINE_WORDS, whole=True)
    found = resolve(statements, {})
    outputs = found[graph.output]
    return Lowered(schedule({graph.output: outputs}, {}), found, graph.parameters, (), None, outputs)


@lru_cache(maxsize=128)
def planned(lowered: Lowered, rows: int, *, labels: bool) -> Plan:
    """The integers of a schedule for minibatches of at most so many rows; one-hot targets may be labels."""
    return Planner(lowered.schedule, lowered.stored, rows, lowered.target if labels else None, lowered.size).plan()
