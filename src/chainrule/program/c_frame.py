"""Functions and whole programs in C99."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from chainrule.expr import Node
from chainrule.program.c_loops import declared, for_each, made, nests, room
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
)
from chainrule.program.loops import place_in, separated
from chainrule.program.lower import Statement, lower
from chainrule.program.python_frame import indented
from chainrule.render.text import WIDTH
from chainrule.shapes import Shape, show

RANDOM = """\
/* A random number, uniform between 0 and 1. */
static double uniform(void)
{
    return (rand() + 1.0) / (RAND_MAX + 2.0);
}

/* A random number of the standard normal distribution (Box and Muller 1958). */
static double normal(void)
{
    return sqrt(-2.0 * log(uniform())) * cos(6.283185307179586 * uniform());
}
"""


def step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A function of one training step."""
    return f"{to.imports}\n\n{_step(listing, statements, to)}\n"


def program(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    """A whole program."""
    title = "\n   ".join(about(listing, WIDTH - 6))
    parts = [_initialize(listing), _step(listing, statements, to), _train(listing), _main(listing, to)]
    return f"/* {title} */\n{to.imports}\n\n{RANDOM}\n" + "\n\n".join(parts) + "\n"


def _function(comment: str, head: str, arguments: Sequence[str], lines: Iterable[str]) -> str:
    opening = f"{head}({', '.join(arguments) or 'void'})"
    return "\n".join([f"/* {comment} */", opening, "{", *indented(lines), "}"])


def _argument(name: str, shape: Shape) -> str:
    return f"double {name}[{shape[0]}][{shape[1]}]"


def _matrices(nodes: Sequence[Node]) -> list[str]:
    return [_argument(str(n.name), n.shape) for n in nodes]


def _checked(names: Iterable[str]) -> list[str]:
    """Did every allocation give an array?"""
    missing = " || ".join(f"!{name}" for name in names)
    if not missing:
        return []
    return [f"if ({missing}) {{", '    fputs("out of memory\\n", stderr);', "    exit(EXIT_FAILURE);", "}"]


def _freed(names: Iterable[str]) -> list[str]:
    return textwrap.wrap(" ".join(f"free({name});" for name in names), WIDTH - 4)


def _step(listing: Listing, statements: Sequence[Statement], to: Language) -> str:
    statements = separated(statements)
    names = in_place(listing, statements)
    arrays = list(made(statements, names))
    lines = [*declared(statements, names), *_checked(arrays), *nests(statements, to, names, listing.notes)]
    lines += commits(listing, statements, names, to)
    lines += ["", *_freed(arrays), "return loss;"]
    arguments = ["int n", *_matrices(listing.supplied), *(f"double {name}" for name in listing.hyper)]
    return _function(
        "One training step on n examples: the loss; parameters and states change.",
        "static double step",
        arguments,
        lines,
    )


def _filled(M: Node, value: str) -> list[str]:
    """Every entry by itself."""
    row, column = place_in(M.shape, ("i", "j", "k"))
    return for_each(zip("ij", M.shape, strict=True), [f"{M.name}[{row}][{column}] = {value};"])


def _initialize(listing: Listing) -> str:
    lines: list[str] = []
    for W in listing.parameters:
        std = spread_of(W)
        lines += _filled(W, f"{std} * normal()" if std else "0.0")
    return _function(listing.initial, "static void initialize", _matrices(listing.parameters), lines)


def _allocated(nodes: Iterable[Node]) -> list[str]:
    nodes = list(nodes)
    lines = [f"double (*{n.name})[{n.shape[1]}] = {room(*n.shape)};" for n in nodes]
    return [*lines, *_checked(names_of(nodes))]


def _train(listing: Listing) -> str:
    states = [s for s, _ in listing.states]
    own = [*listing.randoms, *states, *listing.rates]
    lines = _allocated(own)
    for s, v in listing.states:
        lines += _filled(s, repr(v))
    for r in listing.rates:
        lines += _filled(r, "lr")
    loop: list[str] = []
    for M in listing.randoms:
        keep = keep_of(M)
        loop += _filled(M, f"uniform() < {keep} ? 1.0 / {keep} : 0.0")
    loop.append(f"double loss = step({', '.join(['n', *step_inputs(listing), *listing.hyper])});")
    loop += ["if (epoch % 20 == 0)", '    printf("epoch %3d  loss %.6f\\n", epoch, loss);']
    lines += ["for (int epoch = 0; epoch < epochs; epoch++) {", *indented(loop), "}", *_freed(names_of(own))]
    arguments = ["int n", *_matrices((*listing.data, *listing.parameters)), "int epochs"]
    arguments += [f"double {name}" for name in listing.knobs]
    return _function(
        "Repeat the step on all examples: the parameters are trained.", "static void train", arguments, lines
    )


def _main(listing: Listing, to: Language) -> str:
    normal, ones, targets = made_up(listing)
    shapes = ", ".join(f"{d.name} {show(d.shape)}" for d in listing.data)
    lines = [f"/* Your own data go here: {shapes}. */", "int n = 200;", *_allocated([*normal, *ones])]
    for X in normal:
        lines += _filled(X, "normal()")
    for w in ones:
        lines += _filled(w, "1.0")
    made_of = separated(lower(targets, to.words))
    lines += [*declared(made_of, {}), *_checked(made(made_of, {})), *nests(made_of, to, {}, {}), ""]
    lines += _allocated(listing.parameters)
    names = names_of(listing.parameters)
    lines.append(f"initialize({', '.join(names)});")
    hyper = {name: repr(value) for name, value in listing.knobs.items()} | {"lr": listing.rate}
    lines.append(f"train({', '.join(['n', *names_of(listing.data), *names, '101', *hyper.values()])});")
    lines += [*_freed([*names_of([*normal, *ones]), *made(made_of, {}), *names]), "return 0;"]
    return _function("Made-up data, initial parameters, training.", "int main", [], lines)
