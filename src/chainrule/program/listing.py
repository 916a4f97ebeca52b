"""What a program needs to know of a derivation: who supplies what, what may be written in place, data to try it on."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from chainrule.derive import Equation
from chainrule.expr import Node, add_op, hadamard_op, is_atom, matrix, scale_op, toposort_to_names
from chainrule.functions import along
from chainrule.primitives import abs, first_maximum, sign, step
from chainrule.program.language import Language, Names
from chainrule.program.lower import Statement, reads_elsewhere
from chainrule.render.text import WIDTH, formula_lines

COMMENT = WIDTH - 10  # letters of an equation, after the deepest indentation and the signs of a comment


@dataclass(frozen=True)
class Listing:
    """What a program needs to know of a derivation besides its equations."""

    title: str
    equations: tuple[Equation, ...]
    data: tuple[Node, ...]  # X, Y and, where used, the weights w
    randoms: tuple[Node, ...]
    parameters: tuple[Node, ...]
    states: tuple[tuple[Node, float], ...]  # with initial values
    hyper: Mapping[str, float]
    rows: tuple[str, int]  # the matrix and the axis that show n
    rates: tuple[Node, ...] = ()  # learning rates, where every weight has its own
    reduction: str = "mean"  # is the loss a mean over the rows, or a sum?
    rows_of: Mapping[Node, tuple[Node, ...]] = field(default_factory=dict)  # a row -> the matrices end to end in it

    @property
    def kept(self) -> tuple[Node, ...]:
        """What a step changes: the parameters, and the states of the update rule."""
        return (*self.parameters, *(s for s, _ in self.states))

    @property
    def numbers(self) -> tuple[Node, ...]:
        """The states that are 1 x 1."""
        return tuple(s for s, _ in self.states if s.shape == (1, 1))

    @property
    def supplied(self) -> tuple[Node, ...]:
        """What a step is given: data, masks, parameters, states and rates."""
        return (*self.data, *self.randoms, *self.kept, *self.rates)

    @property
    def knobs(self) -> dict[str, float]:
        """What training is given: the hyper-parameters; one learning rate where every weight has its own, too."""
        return {**self.hyper, **({"lr": 0.01} if self.rates else {})}

    @property
    def given(self) -> list[str]:
        """The names of what a user may give to the update rule: its hyper-parameters, and the rate of every weight."""
        return [*self.knobs, *names_of(self.rates)]

    @property
    def initial(self) -> str:
        """In words, how parameters start."""
        return "Weights by Glorot and Bengio 2010: variance 2/(fan_in + fan_out)."

    @property
    def notes(self) -> dict[str, str]:
        """The equations by name as plain text, a heading above each phase.

        Where an update takes several equations for a parameter, those of one are set apart from those of the next.
        """
        first = {e.phase: e.name for e in reversed(self.equations)}
        owners = {name: about for name, about in self.owners.items() if about}
        several = len(owners) > len(set(owners.values()))
        notes: dict[str, str] = {}
        last: frozenset[Node] = frozenset()
        for e in self.equations:
            about = owners.get(e.name, last)
            begins = first[e.phase] == e.name
            heading = f"\n---- {e.phase}\n" if begins else "\n" if several and last and about != last else ""
            notes[e.name] = heading + note(e)
            last = about
        return notes

    @property
    def owners(self) -> dict[str, frozenset[Node]]:
        """The parameters that each equation of the update has to do with, by name."""
        found = {str(p.name): frozenset([p]) for p in self.parameters}
        found |= {f"d{p.name}": frozenset([p]) for p in self.parameters}
        own: dict[str, frozenset[Node]] = {}
        for e in self.equations:
            if e.phase == "update":
                read = {str(n.name) for n in toposort_to_names(e.expression)}
                own[e.name] = found[e.name] = frozenset().union(*(found.get(name, ()) for name in read))
        return own

    @property
    def rate(self) -> str:
        """A learning rate to start with; a step that is a multiple of a sum over rows needs it divided by them."""
        value = self.hyper.get("lr", 0.01) if self.states else 0.1
        updates = [n for e in self.equations if e.phase == "update" for n in toposort_to_names(e.expression)]
        linear = all(
            is_atom(n) or n.op in (add_op, scale_op) or (n.op is hadamard_op and n.args[0] in self.rates)
            for n in updates
        )
        return f"{value!r} / n" if linear and self.reduction == "sum" else repr(value)


def step_inputs(listing: Listing) -> list[str]:
    """The arguments of a step: data, masks, parameters, states and rates, then the hyper-parameters."""
    return names_of(listing.supplied)


def step_outputs(listing: Listing) -> list[str]:
    """What a step returns: the loss, then parameters and states."""
    return ["loss", *(str(n.name) for n in listing.kept)]


def about(listing: Listing, room: int) -> list[str]:
    """What a program is, in lines of so many letters."""
    said = f"{listing.title}: derived, and trained here on made-up data."
    return textwrap.wrap(said, room, break_long_words=False, break_on_hyphens=False)


def names_of(nodes: Sequence[Node]) -> list[str]:
    """The names of matrices."""
    return [str(n.name) for n in nodes]


def note(e: Equation) -> str:
    """An equation as a comment, a long one in lines that start with an operator."""
    return "\n".join(formula_lines(e.expression, f"{e.name} = ", COMMENT))


# ---- next values in place of old ones


def in_place(listing: Listing, statements: Sequence[Statement]) -> dict[str, str]:
    """`W1_next` may be written as W1 itself where no later statement reads the old W1: proof of last use.

    The statement itself may read it, entry by entry.
    """
    old = old_names(listing)
    names: dict[str, str] = {}
    read: set[str | None] = set()
    for s in reversed(statements):
        if s.target in old and old[s.target] not in read and not reads_elsewhere(s, old[s.target]):
            names[s.target] = old[s.target]
        read |= {n.name for n in toposort_to_names(s.expression)}
    return names


def old_names(listing: Listing) -> dict[str, str]:
    """The name of each next value, and of what it follows."""
    return {f"{node.name}_next": str(node.name) for node in listing.kept}


def commits(listing: Listing, statements: Sequence[Statement], names: Names, to: Language) -> list[str]:
    """The last assignments: what was still needed gives way to its next value."""
    kept = {f"{node.name}_next": node for node in listing.kept}
    return [to.replaced(kept[s.target], s.target) for s in statements if s.target in kept and s.target not in names]


# ---- data to try a program on


def made_up(listing: Listing) -> tuple[list[Node], list[Node], list[Equation]]:
    """Matrices of random numbers, matrices of ones, and targets that can be learned: a function of X V."""
    X = next(d for d in listing.data if d.name == listing.rows[0])
    drawn, filled, targets = [X], [], []
    for symbol in listing.data:
        if symbol.value.role == "target":
            across = listing.rows[1] == 0
            V = matrix("V", X.shape[1], symbol.shape[1]) if across else matrix("V", symbol.shape[0], X.shape[0])
            drawn.append(V)
            scores = Equation("S", X @ V if across else V @ X, symbol.shape, "", "forward")
            value = _in_domain(symbol, scores.node)
            targets += [scores, replace(scores, name=str(symbol.name), expression=value)]
        elif symbol is not X:
            filled.append(symbol)
    return drawn, filled, targets


def _in_domain(target: Node, scores: Node) -> Node:
    """Scores as targets of which the declared facts hold."""
    functions = {
        "rows_sum_to_one": along(first_maximum, 1),
        "columns_sum_to_one": along(first_maximum, 0),
        "signs": sign,
        "unit": step,
        "nonnegative": abs,
    }
    held = [f for fact, f in functions.items() if fact in target.value.facts]
    value: Node = held[0](scores) if held else scores
    return value


def spread_of(W: Node) -> float:
    """The standard deviation of initial weights by Glorot and Bengio 2010; 0 for biases."""
    if str(W.name).startswith("b"):
        return 0.0
    rows, columns = (int(s) for s in W.shape)
    return float(f"{(2 / (rows + columns)) ** 0.5:.4g}")


def keep_of(M: Node) -> str:
    """The probability with which an entry is kept."""
    return f"{M.value.distribution[1]:.15g}"
