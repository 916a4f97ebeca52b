"""All parameters end to end in one row theta: an update that is the same for each of them is written once.

Equations that say the same of every parameter, entry by entry, say it of theta. Nothing is derived again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from chainrule.derive import Equation
from chainrule.expr import Node, full, full_op, hadamard_op, is_atom, matrix, rebuild, scale_op, toposort_to_names
from chainrule.program.listing import Listing, old_names
from chainrule.program.lower import is_entrywise
from chainrule.shapes import Shape

THETA = "theta"
NUMBER = (1, 1)
Group = tuple[list[Node], list[Equation]]  # a parameter, its gradient and its states; the equations of its update


def end_to_end(listing: Listing) -> Listing:
    """The listing with theta in place of the parameters, where one update fits all of them; else as it is.

    The equations of the largest parameter are those of all, if each other's are the same but for names and shapes.
    """
    groups = _groups(listing)
    if len(groups) < 2:
        return listing
    model = max(groups, key=lambda group: _entries(group[0][0]))
    initial = dict(listing.states)
    if model[0][0].shape == NUMBER or not _is_entrywise(model):
        return listing
    if not all(_says_the_same(model, group, initial) for group in groups):
        return listing
    return _joined(listing, groups, model)


def offsets(parts: Sequence[Node]) -> list[tuple[Node, int, int]]:
    """Each part of a row with where it begins and ends."""
    found, start = [], 0
    for part in parts:
        found.append((part, start, start + _entries(part)))
        start += _entries(part)
    return found


def _entries(node: Node) -> int:
    rows, columns = node.shape
    return int(rows) * int(columns)


def _groups(listing: Listing) -> list[Group]:
    """What there is of each parameter, without the numbers that all share; nothing if updates meet otherwise."""
    updates = [e for e in listing.equations if e.phase == "update"]
    owners = listing.owners
    if any(len(owners[e.name]) > 1 or not (owners[e.name] or e.shape == NUMBER) for e in updates):
        return []
    groups: list[Group] = []
    for p in listing.parameters:
        own = [e for e in updates if p in owners[e.name]]
        names = {e.name for e in own}
        states = [s for s, _ in listing.states if f"{s.name}_next" in names]
        gradient = next(e.node for e in listing.equations if e.name == f"d{p.name}")
        groups.append(([p, gradient, *states], own))
    return groups


def _is_entrywise(group: Group) -> bool:
    """Does every entry of a parameter go its own way?"""
    matrices, equations = group
    known = {*matrices, *(e.node for e in equations)}
    nodes = [n for e in equations for n in toposort_to_names(e.expression)]
    return all(n.shape == NUMBER or n in known if is_atom(n) else n.op is full_op or is_entrywise(n) for n in nodes)


def _says_the_same(model: Group, other: Group, initial: Mapping[Node, float]) -> bool:
    (matrices, equations), (its, others) = model, other
    if len(matrices) != len(its) or len(equations) != len(others):
        return False
    begun = all(initial[s] == initial[t] for s, t in zip(matrices[2:], its[2:], strict=True))
    said = _said_of(model, its, [e.name for e in others])
    return begun and all(e.expression is f.expression for e, f in zip(said, others, strict=True))


def _said_of(model: Group, others: Sequence[Node], names: Sequence[str]) -> list[Equation]:
    """The model's equations, under these names, of other matrices in place of its own."""
    matrices, equations = model
    shape = others[0].shape
    made = dict(zip(matrices, others, strict=True))
    found: list[Equation] = []
    for e, name in zip(equations, names, strict=True):
        for node in toposort_to_names(e.expression):
            if node not in made:
                own = node.shape == matrices[0].shape and not is_atom(node)
                made[node] = _resized(node, [made[a] for a in node.args], shape) if own else node
        found.append(Equation(name, made[e.expression], shape, e.rule, e.phase))
        made[e.node] = found[-1].node
    return found


def _resized(node: Node, args: Sequence[Node], shape: Shape) -> Node:
    """An operation entry by entry in another shape; numbers of 1 x 1 are written as they are there."""
    if node.op is full_op:
        return full(node.value, shape)
    if node.op is hadamard_op:
        return args[0] * args[1]
    single = node.op is scale_op and node.value == (1, (1,)) and args[0] is full(1, NUMBER)
    return args[1] if single else rebuild(node, tuple(args))


def _joined(listing: Listing, groups: Sequence[Group], model: Group) -> Listing:
    """The listing with a row for what there is of every parameter, and the model's equations for those of all."""
    matrices, own = model
    parameter, _, *states = matrices
    of_theta: Callable[[Node | Equation], str] = lambda n: f"{str(n.name).removesuffix(f'_{parameter.name}')}_{THETA}"
    shape: Shape = (1, sum(_entries(group[0][0]) for group in groups))
    theta = matrix(THETA, *shape, role=parameter.value.role)
    rows = [theta, matrix(f"d{THETA}", *shape)]
    rows += [matrix(of_theta(s), *shape, role=s.value.role) for s in states]
    olds, row_of = old_names(listing), {str(m.name): row for m, row in zip(matrices, rows, strict=True)}
    names = [f"{row_of[olds[e.name]].name}_next" if e.name in olds else of_theta(e) for e in own]
    if {*names, *(row.name for row in rows)} & _taken(listing):
        return listing
    equations = {e.name: e for e in listing.equations}
    equations |= {e.name: said for e, said in zip(own, _said_of(model, rows, names), strict=True)}
    for group in groups:
        for e in group[1] if group is not model else ():
            del equations[e.name]
    gone = {node for members, _ in groups for node in members}
    new = dict(zip(matrices, rows, strict=True))
    return replace(
        listing,
        equations=tuple(equations.values()),
        parameters=(theta,),
        states=tuple((new.get(s, s), value) for s, value in listing.states if s in new or s not in gone),
        rows_of=dict(zip(rows, zip(*(members for members, _ in groups), strict=True), strict=True)),
    )


def _taken(listing: Listing) -> set[str | None]:
    """The names in use."""
    atoms = {n.name for e in listing.equations for n in toposort_to_names(e.expression) if is_atom(n)}
    return {*atoms, *(e.name for e in listing.equations), *listing.hyper, *(n.name for n in listing.supplied)}
