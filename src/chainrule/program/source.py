"""Source text: expressions as assignments, and a derivation as parts of a program or as a whole one."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chainrule.derive import Equation
from chainrule.errors import DataError, UnknownNameError, nearest
from chainrule.expr import Node, define, define_op, is_atom, toposort, toposort_to_names
from chainrule.functions import function_of, is_function
from chainrule.program.code import LANGUAGES, Language, code
from chainrule.program.lower import Statement, lower
from chainrule.shapes import Size
from chainrule.stable import stabilized

PARTS = ("forward", "backward", "update", "step", "program")
WIDTH = 88


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


def find_language(name: str) -> Language:
    """A language by name."""
    if name not in LANGUAGES:
        raise UnknownNameError(f"unknown language {name!r}{nearest(name, LANGUAGES)}")
    return LANGUAGES[name]


def source(expressions: Mapping[str, Node], *, language: str = "numpy") -> str:
    """Write expressions as assignments of a language of arrays, in their stable forms.

    log(softmax(Z)) is written as log_softmax(Z), which is finite at any score, as a network's program is.

    Parameters
    ----------
    expressions : mapping of str to Node
        Names and what they are; names defined inside are written first.
    language : {"numpy"}
        What to write.

    Returns
    -------
    str
        Lines of `name = ...`, run by the language's own library, given the symbols (and sizes, such as `n`).

    Raises
    ------
    UnknownNameError
        If there is no such language.
    DataError
        If a name would be read where it stands for something else.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, Y = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("Y", "n", "k")
    >>> (dW,) = cr.gradient(cr.half_squared_error(cr.tanh(X @ W), Y), W)
    >>> print(cr.source({"dW": dW}))
    t1 = np.tanh(X @ W)
    dW = (X.T @ ((t1 - Y) * (1 - t1 * t1))) / n
    """
    to = find_language(language)
    roots, _ = stabilized(*expressions.values())
    inner = [n for n in toposort(*roots) if n.op is define_op]
    named = zip(expressions, roots, strict=True)
    outer = [e if e.op is define_op and e.value == name else define(name, e) for name, e in named]
    defined = dict.fromkeys((*inner, *outer))
    _check_names(defined, to)
    equations = [Equation(d.value, d.args[0], d.shape, "", "forward") for d in defined]
    return assignments(lower(equations, to.words), to)


def _check_names(defined: Iterable[Node], to: Language) -> None:
    """Refuse a name that would be read where it stands for something else."""
    taken = {str(node.name) for node in toposort(*defined)}.intersection(to.libraries)
    if taken:
        raise DataError(f"{taken.pop()!r} is a library in a program of {to.name}: give the matrix another name")
    meaning: dict[str | None, Node] = {}
    for d in defined:
        for node in filter(is_atom, toposort_to_names(d.args[0])):
            if meaning.setdefault(node.name, node) is not node:
                raise DataError(f"{node.name!r} names two things: {meaning[node.name]!r} and {node!r}")
        meaning[d.name] = d


def assignments(statements: Iterable[Statement], to: Language, names: Mapping[str, str] | None = None) -> str:
    """One line for each statement; `names` renames targets and what reads them."""
    names = names or {}
    return "\n".join(f"{names.get(s.target, s.target)} = {code(s.expression, to, names)}" for s in statements)


def program(listing: Listing, language: str, part: str) -> str:
    """A part of a derivation's program; see `Derivation.source`."""
    to = find_language(language)
    if part not in PARTS:
        raise UnknownNameError(f"unknown part {part!r}{nearest(part, PARTS)}")
    if part in _PHASES:
        equations = [e for e in listing.equations if e.phase in _PHASES[part]]
        return _WRITERS[part](listing, lower(equations, to.words), to)
    return _WRITERS[part](listing, lower(listing.equations, to.words, whole=True), to)


_PHASES = {"forward": ("forward", "loss"), "backward": ("backward",), "update": ("update",)}


def in_place(listing: Listing, statements: Sequence[Statement]) -> dict[str, str]:
    """`W1_next` may be written as W1 itself where no later statement reads the old W1: proof of last use."""
    old = _old_names(listing)
    names: dict[str, str] = {}
    read: set[str | None] = set()
    for s in reversed(statements):
        if s.target in old and old[s.target] not in read:
            names[s.target] = old[s.target]
        read |= {n.name for n in toposort_to_names(s.expression)}
    return names


def _old_names(listing: Listing) -> dict[str, str]:
    return {f"{node.name}_next": str(node.name) for node in (*listing.parameters, *(s for s, _ in listing.states))}


def _bare(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    return assignments(statements, to)


def _update(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    names = in_place(listing, statements)
    return "\n".join([assignments(statements, to, names), *_commits(listing, statements, names)])


def _commits(listing: Listing, statements: Sequence[Statement], names: Mapping[str, str]) -> list[str]:
    """The last assignments: what was still needed gives way to its next value."""
    old = _old_names(listing)
    return [f"{old[s.target]} = {s.target}" for s in statements if s.target in old and s.target not in names]


def step_inputs(listing: Listing) -> list[str]:
    """The arguments of a step: data, masks, parameters, states and rates, then the hyper-parameters."""
    return [str(n.name) for n in _supplied(listing)]


def step_outputs(listing: Listing) -> list[str]:
    """What a step returns: the loss, then parameters and states."""
    return ["loss", *(str(n.name) for n in (*listing.parameters, *(s for s, _ in listing.states)))]


def _step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    return f"{_imports(statements, to)}\n\n\n{_function(listing, statements, to)}\n"


def _function(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    hyper = [f"{name}={value!r}" for name, value in listing.hyper.items()]
    names = in_place(listing, statements)
    matrix, axis = listing.rows
    lines = ['"""One training step: the loss, then the new parameters."""', f"n = {matrix}.shape[{axis}]"]
    phase = ""
    for s in statements:
        if s.phase != phase:
            phase = s.phase
            lines.append(f"{to.comment}{phase}")
        lines.append(assignments([s], to, names))
    lines += _commits(listing, statements, names)
    lines.append(_wrapped("return ", step_outputs(listing), ""))
    head = _wrapped("def step(", [*step_inputs(listing), *hyper], "):")
    body = textwrap.indent("\n".join(lines), "    ")
    return f"{head}\n{body}"


def _wrapped(before: str, items: Sequence[str], after: str) -> str:
    line = f"{before}{', '.join(items)}{after}"
    if len(line) <= WIDTH - 4:
        return line
    opening, closing = (before, after) if before.endswith("(") else (f"{before}(", f"){after}")
    body = textwrap.fill(", ".join(items) + ",", WIDTH - 8, initial_indent="    ", subsequent_indent="    ")
    return f"{opening}\n{body}\n{closing}"


def _imports(statements: Sequence[Statement], to: Language) -> str:
    functions = [n for s in statements for n in toposort_to_names(s.expression) if is_function(n)]
    words = [function_of(n).code[to.name] for n in functions]
    return "import numpy as np" + ("\nimport scipy.special" if any("scipy." in w for w in words) else "")


def _program(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    sizes: dict[Size, str] = {"n": "200"}
    shapes = {n.name: ", ".join(sizes.get(s, str(s)) for s in n.shape) for n in _supplied(listing)}
    title = textwrap.fill(f'"""{listing.title}: derived, and trained here on made-up data."""', WIDTH)
    lines = [title, "", _imports(statements, to), "", "", _function(listing, statements, to), "", ""]
    lines.append("rng = np.random.default_rng(0)")
    lines += [_made_up(n, shapes[n.name]) for n in listing.data]
    lines += [f"{W.name} = {_initial(W, shapes[W.name])}" for W in listing.parameters]
    lines += [
        f"{s.name} = {f'np.full(({shapes[s.name]}), {v!r})' if s.shape != (1, 1) else repr(v)}"
        for s, v in listing.states
    ]
    rate = 0.1 if not listing.states else listing.hyper.get("lr", 0.01)
    lines += [f"{r.name} = np.full(({shapes[r.name]}), {rate!r})" for r in listing.rates]
    loop = ["for epoch in range(101):"]
    loop += [f"    {M.name} = (rng.random(({shapes[M.name]})) < {_keep(M)}) / {_keep(M)}" for M in listing.randoms]
    call = _wrapped("step(", [*step_inputs(listing), *([f"lr={rate!r}"] if "lr" in listing.hyper else [])], ")")
    outputs = _wrapped("", step_outputs(listing), "")
    loop.append(textwrap.indent(f"{outputs} = {call}", "    "))
    loop += ["    if epoch % 20 == 0:", '        print(f"epoch {epoch:3d}  loss {float(loss):.6f}")']
    return "\n".join(lines + loop) + "\n"


def _supplied(listing: Listing) -> tuple[Node, ...]:
    states = (s for s, _ in listing.states)
    return (*listing.data, *listing.randoms, *listing.parameters, *states, *listing.rates)


def _initial(W: Node, shape: str) -> str:
    if str(W.name).startswith("b"):
        return f"np.zeros(({shape}))"
    return f"rng.standard_normal(({shape})) * np.sqrt(2 / ({W.shape[0]} + {W.shape[1]}))"


def _keep(M: Node) -> str:
    return f"{M.value.distribution[1]:.15g}"


def _made_up(node: Node, shape: str) -> str:
    """Data to try a program on, of the declared shape and facts."""
    facts, axis = node.value.facts, 1 if "rows_sum_to_one" in node.value.facts else 0
    if "rows_sum_to_one" in facts or "columns_sum_to_one" in facts:
        classes, rows = (node.shape[1], 200) if axis else (node.shape[0], 200)
        labels = f"np.eye({classes})[np.argsort(X.sum(axis={1 if axis else 0})).argsort() * {classes} // {rows}]"
        return f"{node.name} = {labels}{'' if axis else '.T'}"
    if node.value.role == "weight":
        return f"{node.name} = np.ones(({shape}))"
    if node.value.role == "target":
        return f"{node.name} = (rng.random(({shape})) < 0.5) * 1.0"
    return f"{node.name} = rng.standard_normal(({shape}))"


_WRITERS: dict[str, Callable[[Listing, Sequence[Statement], Language], str]] = {
    "forward": _bare,
    "backward": _bare,
    "update": _update,
    "step": _step,
    "program": _program,
}
