"""Functions and whole programs in Octave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.program.language import Language
from chainrule.program.listing import (
    Listing,
    about,
    commits,
    in_place,
    made_up,
    names_of,
    spread_of,
    step_inputs,
    step_outputs,
)
from chainrule.program.lower import Statement, lower
from chainrule.program.python_frame import constant, drawn, indented, mask
from chainrule.render.text import WIDTH
from chainrule.shapes import show


def step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A function of one training step; hyper-parameters are arguments."""
    names = in_place(listing, statements)
    lines = [_rows(listing), *to.write(statements, to, names, listing.notes)]
    lines += commits(listing, statements, names, to)
    title = "% One training step: the loss, then the new parameters."
    return _function("step", step_outputs(listing), [*step_inputs(listing), *listing.hyper], [title, *lines])


def program(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A whole program."""
    title = "\n".join(f"% {line}" for line in about(listing, WIDTH - 2))
    main = [*to.seed.splitlines(), *_main(listing, to)]
    first = "1;  % a script, not a file of one function"
    functions = [_initialize(listing, to), step(listing, statements, to), _train(listing, to)]
    return "\n\n".join([f"{title}\n{first}", *(f.rstrip() for f in functions), "\n".join(main)]) + "\n"


def _function(name: str, outputs: Sequence[str], inputs: Sequence[str], lines: Iterable[str]) -> str:
    head = f"function [{', '.join(outputs)}] = {name}({', '.join(inputs)})"
    return "\n".join([head, *indented(lines), "end"]) + "\n"


def _rows(listing: Listing) -> str:
    matrix, axis = listing.rows
    return f"n = size({matrix}, {axis + 1});"


def _initialize(listing: Listing, to: Language) -> str:
    lines = [f"% {listing.initial}"]
    for W in listing.parameters:
        std = spread_of(W)
        lines.append(f"{W.name} = {drawn(W, to, std) if std else constant(W, 0.0, to)};")
    return _function("initialize", names_of(listing.parameters), [], lines).rstrip()


def _train(listing: Listing, to: Language) -> str:
    parameters = names_of(listing.parameters)
    inputs = [*names_of(listing.data), *parameters, "epochs", *listing.knobs]
    loop = [f"{M.name} = {mask(M, to)};" for M in listing.randoms]
    arguments = [*step_inputs(listing), *listing.hyper]
    loop.append(f"[{', '.join(step_outputs(listing))}] = step({', '.join(arguments)});")
    report = ["if mod(epoch, 20) == 0", '    printf("epoch %3d  loss %.6f\\n", epoch, loss);', "end"]
    lines = ["% Repeat the step on all examples: the trained parameters."]
    lines += [_rows(listing)] if listing.randoms else []
    lines += [f"{s.name} = {constant(s, v, to)};" for s, v in listing.states]
    lines += [f"{r.name} = {constant(r, 'lr', to)};" for r in listing.rates]
    lines += ["for epoch = 0:epochs-1", *indented([*loop, *report]), "end"]
    return _function("train", parameters, inputs, lines).rstrip()


def _main(listing: Listing, to: Language) -> list[str]:
    normal, ones, targets = made_up(listing)
    parameters = names_of(listing.parameters)
    shapes = ", ".join(f"{d.name} {show(d.shape)}" for d in listing.data)
    lines = [f"% Your own data go here: {shapes}.", "n = 200;"]
    lines += [f"{X.name} = {drawn(X, to)};" for X in normal]
    lines += to.write(lower(targets, to.words), to, {}, {})
    lines += [f"{w.name} = {constant(w, 1.0, to)};" for w in ones]
    hyper = {name: repr(value) for name, value in listing.knobs.items()} | {"lr": listing.rate}
    lines += ["", *(f"{name} = {value};" for name, value in hyper.items())]
    lines.append(f"[{', '.join(parameters)}] = initialize();")
    inputs = [*names_of(listing.data), *parameters, "101", *listing.knobs]
    return [*lines, f"[{', '.join(parameters)}] = train({', '.join(inputs)});"]
