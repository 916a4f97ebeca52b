"""Functions and whole programs of NumPy that work in place: the arrays are made once, the step writes to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chainrule.expr import Node, toposort_to_names
from chainrule.program.end_to_end import offsets
from chainrule.program.in_place import NUMBER, allocated, allocation
from chainrule.program.language import Language
from chainrule.program.listing import Listing, commits, in_place, keep_of, names_of, old_names, step_inputs
from chainrule.program.lower import Statement
from chainrule.program.python_frame import (
    assembled,
    constant,
    imports,
    indented,
    initialize,
    main,
    one_rate,
    rows,
    train_function,
)

DTYPE, ASSIGNED = ", dtype", "{old} = {new}"


def step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A function that makes the arrays, and returns the function of one step."""
    return f"{imports(statements, to)}\n\n\n{_make_step(listing, statements, to)}\n"


def program(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A whole program; data are made in the plain language."""
    parts = [initialize(listing, to), _make_step(listing, statements, to), _train(listing, to)]
    return assembled(listing, statements, to, parts, main(listing, to.plain or to))


def _make_step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    names = in_place(listing, statements)
    arrays, lines = allocated(statements, to, names, listing.notes)
    hyper = [f"{name}={value!r}" for name, value in listing.hyper.items()]
    doc = '"""One training step: the loss; parameters and states are changed."""'
    lines += commits(listing, statements, names, to)
    inner = [f"def step({', '.join([*step_inputs(listing), *hyper])}):", *indented([doc, *lines, "", "return loss"])]
    outer = ['"""The arrays that a step on n examples writes to, made once; the step."""']
    outer += arrays
    return "\n".join(["def make_step(n):", *indented([*outer, "", *inner, "", "return step"])])


def flat(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """`make_step` for arrays of a data type; parameters lie end to end where the listing has rows of them.

    Numbers, such as powers of decay rates, are returned after the loss.
    """
    numbers = names_of(listing.numbers)
    olds = old_names(listing)
    members = {str(part.name) for parts in listing.rows_of.values() for part in parts}
    names = in_place(listing, statements)
    own = {s.target: s.target for s in statements if s.target in members and s.shape == NUMBER}
    outside, lines = allocated(statements, to, names | own, listing.notes, numbers=numbers, views=members, dtype=DTYPE)
    hyper = [f"{name}={value!r}" for name, value in listing.hyper.items()]
    given = {str(row.name) for row in listing.kept}
    inside = [line for row in listing.rows_of if row.name in given for line in _views(row, listing, statements)]
    for row in listing.rows_of:
        if row.name not in given:
            outside += [allocation(str(row.name), row.shape, DTYPE), *_views(row, listing, statements)]
    doc = [
        '"""One training step: the loss, and the numbers among the states.',
        "",
        "What else there is changes in place.",
        '"""',
    ]
    last = f"return {', '.join(['loss', *numbers])}"
    for s in statements:
        lines += commits(listing, [s], names, replace(to, replace=ASSIGNED) if olds.get(s.target) in numbers else to)
    body = [*doc, *inside, *lines, last]
    inner = [f"def step({', '.join([*step_inputs(listing), *hyper])}):", *indented(body)]
    outer = ['"""The arrays that a step on n examples writes to, made once; the step."""', *outside]
    whole = "\n".join(["def make_step(n, dtype=float):", *indented([*outer, "", *inner, "", "return step"])])
    return f"{imports(statements, to)}\n\n\n{whole}\n"


def _views(row: Node, listing: Listing, statements: Sequence[Statement]) -> list[str]:
    """The matrices that lie end to end in a row, if a statement has to do with them."""
    named = {s.target for s in statements} | {n.name for s in statements for n in toposort_to_names(s.expression)}
    return [
        f"{part.name} = {row.name}[0, {start or ''}:{stop}].reshape({part.shape[0]}, {part.shape[1]})"
        for part, start, stop in offsets(listing.rows_of[row])
        if part.name in named
    ]


def _train(listing: Listing, to: Language) -> str:
    before = [rows(listing, to), "step = make_step(n)"]
    before += [f"{name} = {name}.copy()" for name in names_of(listing.parameters)]
    before += [f"{s.name} = {constant(s, v, to)}" for s, v in listing.states]
    before += [f"{r.name} = {constant(r, 'lr', to)}" for r in listing.rates]
    before += [allocation(str(M.name), M.shape) for M in listing.randoms]
    loop: list[str] = []
    for M in listing.randoms:
        keep = keep_of(M)
        loop += [f"rng.random(out={M.name})", f"np.less({M.name}, {keep}, out={M.name})"]
        loop.append(f"np.divide({M.name}, {keep}, out={M.name})")
    loop.append(f"loss = step({', '.join([*step_inputs(listing), *one_rate(listing)])})")
    return train_function(listing, to, before, loop)
