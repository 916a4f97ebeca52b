"""From the one derivation in rows to the derivation that is asked for: in a convention, with an update rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from chainrule.conventions import ONE, Convention, Multiples, Power, Reading
from chainrule.derivation import Derivation
from chainrule.derive import Derived, Equation
from chainrule.expr import Node, define, define_op, hadamard_op, matrix, scale, scale_op, symbol_op, toposort, walk
from chainrule.graph import Graph
from chainrule.program.listing import Listing
from chainrule.reissue import Factor, reissue
from chainrule.remarks import how_blocks_are_counted
from chainrule.rewrite import Later, Rewriter, Rule, on
from chainrule.rules import numbers_leave_products
from chainrule.substitute import renamed
from chainrule.updates import Next, UpdateRule


def issue(
    graph: Graph,
    convention: Convention,
    reduction: str,
    rule: UpdateRule,
    *,
    matrix_rates: bool,
    title: str,
    notes: Sequence[str],
) -> Derivation:
    """The derivation of a graph, whose loss is reduced so, in a convention; an update rule goes down its loss.

    With `matrix_rates` every parameter has a learning rate of its own shape.
    """
    convention = replace(convention, reduction=convention.reduction or reduction)
    multiples = Multiples.of(convention, reduction)
    names = frozenset(str(p.name) for p in graph.parameters)
    reading = Reading(
        convention,
        weights=names - graph.biases,
        biases=graph.biases,
        multiples=_multiples_by_name(graph, names, multiples),
        notes=_notes(graph, names, multiples),
    )
    derived = graph.derived
    if not reading.is_plain:
        derived = reissue(derived, reading.is_transposed, lambda name: _factor(reading.multiple(name), graph.total))
    counted = how_blocks_are_counted(e.expression for e in derived.equations)
    reading = replace(reading, notes=(*reading.notes, *counted))
    symbols = {n.name: n for n in toposort(*(e.expression for e in derived.equations)) if n.op is symbol_op}
    here: Callable[[Node], Node] = lambda node: symbols.get(node.name, node)
    parameters = tuple(map(here, graph.parameters))
    rates = {p: _rate(p) for p in parameters} if matrix_rates else {}
    derived, nexts = _with_update(derived, parameters, rule, rates, _in_the_step(multiples.in_the_step, graph, derived))
    listing = Listing(
        title=title,
        equations=derived.equations,
        data=tuple(map(here, graph.data)),
        randoms=tuple(map(here, graph.randoms)),
        parameters=parameters,
        states=tuple((item.old, item.initial) for item in nexts if item.old.value.role == "state"),
        hyper={name: value for name, value in rule.hyper.items() if not (rates and name == "lr")},
        rates=tuple(rates.values()),
        rows=("X", 0 if convention.layout == "rows" else 1),
        reduction=str(convention.reduction),
    )
    return Derivation(derived, listing, reading, (*notes, *reading.notes))


def _multiples_by_name(graph: Graph, parameters: frozenset[str], multiples: Multiples) -> dict[str, Power]:
    """Of the loss, of what is backward, and of nothing else."""
    gradients = {f"d{p}" for p in parameters}
    found: dict[str, Power] = {}
    for e in graph.derived.equations:
        if e.phase == "loss":
            found[e.name] = multiples.loss
        elif e.phase == "backward":
            found[e.name] = multiples.gradients if e.name in gradients else multiples.signals
    return {name: power for name, power in found.items() if power != ONE}


def _notes(graph: Graph, parameters: frozenset[str], multiples: Multiples) -> tuple[str, ...]:
    """What the multiples are of, in the kinds of names there are: dZ, dA, dW and db."""
    backward = [e.name for e in graph.derived.equations if e.phase == "backward"]
    kinds: dict[bool, dict[str, None]] = {False: {"dZ": None}, True: {}}  # of parameters, or not
    for name in backward:
        kinds[name.removeprefix("d") in parameters][name.rstrip("0123456789")] = None
    return tuple(multiples.notes(str(graph.total.name), list(kinds[False]), sorted(kinds[True])))


def _factor(power: Power, total: Node) -> Factor:
    number, exponent = power
    return number, ((total, exponent),) if exponent else ()


def _rate(parameter: Node) -> Node:
    """One learning rate for every weight."""
    return matrix(f"lr_{parameter.name}", *parameter.shape)


def _in_the_step(power: Power, graph: Graph, derived: Derived) -> Factor:
    """As a factor in the names of `derived`, which has a sum of weights of its own."""
    named = {e.name: e.node for e in derived.equations}
    return _factor(power, named.get(str(graph.total.name), graph.total))


def _multiples_of(gradients: Collection[Node]) -> Rule:
    @on(hadamard_op)
    def multiples_leave_products(node: Node) -> Node | None:
        """(dW/n) o (dW/n) = (dW o dW)/n^2, for a gradient dW."""
        named = any(a.op is scale_op and a.args[0] in gradients for a in node.args)
        return numbers_leave_products(node) if named else None

    return multiples_leave_products


def _with_update(
    derived: Derived, parameters: tuple[Node, ...], rule: UpdateRule, rates: Mapping[Node, Node], factor: Factor
) -> tuple[Derived, list[Next]]:
    """The derivation with the update rule's equations, intermediate names included; dW is multiplied by the factor."""
    number, powers = factor
    named = {e.name: e.node for e in derived.equations}
    gradients = {p: named[f"d{p.name}"] for p in parameters}
    rewriter = Rewriter([_multiples_of(set(gradients.values()))])
    nexts = rule.equations([(p, scale(g, number, *powers)) for p, g in gradients.items()], rates)
    known = {e.node for e in derived.equations}
    equations: list[Equation] = []
    meanings: dict[Node, Node] = {}  # a name as the rule has it -> with the tidied equation
    for item in nexts:
        for node in walk([item.node], lambda n: () if n in known else n.args):
            if node.op is define_op and node not in known:
                known.add(node)
                rewriter.equation = node.value
                body = rewriter(renamed(node.args[0], meanings))
                meanings[node] = define(node.value, body)
                equations.append(Equation(node.value, body, node.shape, rule.name, "update"))
    steps = Later(lambda: (*derived.steps, *rewriter.steps))
    return replace(derived, equations=(*derived.equations, *equations), steps=steps), nexts
