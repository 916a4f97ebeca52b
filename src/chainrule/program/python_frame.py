"""Functions and whole programs in Python: a step, its initial values, a training loop, data to try it on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chainrule.expr import Node, toposort_to_names
from chainrule.functions import is_function
from chainrule.program.code import ATOM, Code, filled, word
from chainrule.program.language import Language
from chainrule.program.listing import (
    Listing,
    about,
    commits,
    in_place,
    keep_of,
    made_up,
    names_of,
    spread_of,
    step_inputs,
    step_outputs,
)
from chainrule.program.lower import Statement, lower
from chainrule.render.text import WIDTH
from chainrule.shapes import show

INDENT = "    "


def step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A function of one training step."""
    return f"{imports(statements, to)}\n\n\n{_step(listing, statements, to)}\n"


def program(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A whole program."""
    parts = [initialize(listing, to), _step(listing, statements, to), _train(listing, to)]
    return assembled(listing, statements, to, parts, main(listing, to))


def assembled(
    listing: Listing, statements: Sequence[Statement], to: Language, parts: Iterable[str], lines: Iterable[str]
) -> str:
    """Title, imports, functions, and what runs."""
    title = '"""{}"""'.format("\n".join(about(listing, WIDTH - 6)))
    last = "\n".join(['if __name__ == "__main__":', *indented(lines)])
    return "\n\n\n".join([f"{title}\n\n{imports(statements, to)}", *parts, last]) + "\n"


def imports(statements: Sequence[Statement], to: Language) -> str:
    """The libraries that the words of the statements need."""
    functions = {n.op: n for s in statements for n in toposort_to_names(s.expression) if is_function(n)}
    words = [word(n, to) for n in functions.values()]
    return "\n".join([to.imports, *(line for name, line in to.others.items() if any(name in w for w in words))])


def _step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    names = in_place(listing, statements)
    hyper = [f"{name}={value!r}" for name, value in listing.hyper.items()]
    lines = ['"""One training step: the loss, then the new parameters."""', rows(listing, to)]
    lines += to.write(statements, to, names, listing.notes)
    lines += commits(listing, statements, names, to)
    lines += ["", f"return {', '.join(step_outputs(listing))}"]
    head = f"def step({', '.join([*given(to.module), *step_inputs(listing), *hyper])}):"
    return "\n".join([*given(to.decorator), head, *indented(lines)])


def rows(listing: Listing, to: Language) -> str:
    """The line that finds n."""
    matrix, axis = listing.rows
    return f"n = {to.size.format(matrix=matrix, axis=axis, row='[0]' * axis)}"


def initialize(listing: Listing, to: Language) -> str:
    """A function that draws initial parameters."""
    lines = [f'"""{listing.initial}"""']
    for W in listing.parameters:
        std = spread_of(W)
        lines.append(f"{W.name} = {drawn(W, to, std) if std else constant(W, 0.0, to)}")
    lines.append(f"return {', '.join(names_of(listing.parameters))}")
    return "\n".join([f"def initialize({', '.join([*given(to.module), *given(to.generator)])}):", *indented(lines)])


def _train(listing: Listing, to: Language) -> str:
    loop = [f"{M.name} = {mask(M, to)}" for M in listing.randoms]
    inputs = [*given(to.module), *step_inputs(listing), *one_rate(listing)]
    loop.append(f"{', '.join(step_outputs(listing))} = step({', '.join(inputs)})")
    before = [rows(listing, to)] if listing.randoms else []  # whose masks have n rows
    before += [f"{s.name} = {constant(s, v, to)}" for s, v in listing.states]
    before += [f"{r.name} = {constant(r, 'lr', to)}" for r in listing.rates]
    return train_function(listing, to, before, loop)


def train_function(listing: Listing, to: Language, before: Iterable[str], loop: Iterable[str]) -> str:
    """A function that repeats a step on all examples."""
    inputs = [*given(to.module), *names_of(listing.data), *names_of(listing.parameters)]
    inputs += given(to.generator) if listing.randoms else []
    lines = ['"""Repeat the step on all examples: the trained parameters."""']
    lines += [*before, "for epoch in range(epochs):"]
    lines += indented([*loop, "if epoch % 20 == 0:", f'{INDENT}print(f"epoch {{epoch:3d}}  loss {{float(loss):.6f}}")'])
    lines.append(f"return {', '.join(names_of(listing.parameters))}")
    return "\n".join([f"def train({', '.join([*inputs, 'epochs', 'lr'])}):", *indented(lines)])


def main(listing: Listing, to: Language) -> list[str]:
    """What runs: made-up data, initial parameters, training."""
    random = given(to.generator)
    normal, ones, targets = made_up(listing)
    parameters = names_of(listing.parameters)
    shapes = ", ".join(f"{d.name} {show(d.shape)}" for d in listing.data)
    lines = [line for line in to.seed.splitlines() if line]
    lines += ["", f"# Your own data go here: {shapes}.", "n = 200"]
    lines += [f"{X.name} = {drawn(X, to)}" for X in normal]
    lines += to.write(lower(targets, to.words), to, {}, {})
    lines += [f"{w.name} = {constant(w, 1.0, to)}" for w in ones]
    lines += ["", f"{', '.join(parameters)} = initialize({', '.join([*given(to.module), *random])})"]
    inputs = [*given(to.module), *names_of(listing.data), *parameters, *(random if listing.randoms else [])]
    inputs += ["epochs=101", f"lr={listing.rate}"]
    return [*lines, f"{', '.join(parameters)} = train({', '.join(inputs)})"]


def drawn(M: Node, to: Language, std: float = 1) -> str:
    """A matrix of normal random numbers."""
    template = to.standard if std == 1 and to.standard else to.normal
    return template.format(rows=M.shape[0], columns=M.shape[1], std=std)


def mask(M: Node, to: Language) -> str:
    """A dropout mask."""
    return to.mask.format(rows=M.shape[0], columns=M.shape[1], keep=keep_of(M))


def one_rate(listing: Listing) -> list[str]:
    """The learning rate as an argument of a step, where it is one for all weights."""
    return ["lr=lr"] if "lr" in listing.hyper else []


def constant(M: Node, value: float | str, to: Language) -> str:
    """A matrix of one number, which may have a name."""
    rows, columns = map(str, M.shape)
    number = Code(value if isinstance(value, str) else repr(value), ATOM, (1, 1))
    if own := to.single if M.shape == (1, 1) else to.row if M.shape[0] == 1 else "":
        return own.format(number.text, columns=columns)
    template = to.full if value else to.zeros
    return filled(template, [number], M.shape, rows=rows, columns=columns).text


def given(argument: str) -> list[str]:
    """An argument, where there is one."""
    return [argument] if argument else []


def indented(lines: Iterable[str]) -> list[str]:
    """Lines one level deeper."""
    return [f"{INDENT}{line}" if line else "" for text in lines for line in text.split("\n")]
