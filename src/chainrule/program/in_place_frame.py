"""Functions and whole programs of NumPy that work in place: the arrays are made once, the step writes to them."""

from __future__ import annotations

from collections.abc import Sequence

from chainrule.program.in_place import allocated, allocation
from chainrule.program.language import Language
from chainrule.program.listing import Listing, commits, in_place, keep_of, names_of, step_inputs
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
    wrapped,
)


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
    doc = '"""One training step: the loss; parameters and states change in place."""'
    lines += commits(listing, statements, names, to)
    inner = [wrapped("def step(", [*step_inputs(listing), *hyper], "):"), *indented([doc, *lines, "return loss"])]
    outer = ['"""The arrays that a step on n rows writes to, made once; and the step."""']
    outer += [allocation(name, shape) for name, shape in arrays.items()]
    return "\n".join(["def make_step(n):", *indented([*outer, "", *inner, "", "return step"])])


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
    loop.append(wrapped("loss = step(", [*step_inputs(listing), *one_rate(listing)], ")"))
    return train_function(listing, to, before, loop)
