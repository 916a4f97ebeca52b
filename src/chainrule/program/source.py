"""Source text: expressions as assignments, and a derivation as parts of a program or as a whole one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chainrule.asked import check_expressions, check_word
from chainrule.calls import shown
from chainrule.derive import Equation
from chainrule.errors import DataError
from chainrule.expr import Node, define, define_op, is_atom, symbol_op, toposort, toposort_to_names
from chainrule.program.breaking import fitted
from chainrule.program.end_to_end import end_to_end
from chainrule.program.language import Language
from chainrule.program.languages import LANGUAGES, find_language
from chainrule.program.listing import Listing, commits, in_place, note
from chainrule.program.lower import lower, reads_elsewhere
from chainrule.stable import stabilized

PHASES = {"forward": ("forward", "loss"), "backward": ("backward",), "update": ("update",)}
PARTS = (*PHASES, "step", "program")


def source(expressions: Mapping[str, Node], *, language: str = "numpy") -> str:
    """Write expressions as assignments of a language, in their stable forms.

    log(softmax(Z)) is written as log_softmax(Z), which is finite at any score, as a network's program is.

    Parameters
    ----------
    expressions : mapping of str to Node
        Names and what they are; names defined inside are written first.
    language : {"numpy", "numpy-inplace", "array-api", "octave", "torch", "jax", "python", "c"}
        What to write. In "array-api", `xp` stands for the array module; in "python" a matrix is a list of rows.

    Returns
    -------
    str
        Lines of `name = ...`, run by the language's own library, given the symbols (and sizes, such as `n`).

    Raises
    ------
    UnknownNameError
        If there is no such language.
    DataError
        If a name would be read where it stands for something else, or the language has no word for a function.

    Examples
    --------
    >>> import chainrule as cr
    >>> X, W, Y = cr.matrix("X", "n", "d"), cr.matrix("W", "d", "k"), cr.matrix("Y", "n", "k")
    >>> (dW,) = cr.gradient(cr.half_squared_error(cr.tanh(X @ W), Y), W)
    >>> print(cr.source({"dW": dW}))
    t1 = np.tanh(X @ W)
    dW = (X.T @ ((t1 - Y) * (1 - t1 * t1))) / n
    >>> print(cr.source({"dW": dW}, language="octave"))
    t1 = tanh(X * W);
    dW = (X' * ((t1 - Y) .* (1 - t1 .* t1))) / n;
    """
    if not isinstance(expressions, Mapping):
        raise TypeError(f"source() takes expressions by name, such as {{'dW': dW}}, got {shown(expressions)}")
    check_expressions("source", *expressions.values())
    to = find_language(language)
    roots, _ = stabilized(*expressions.values())
    inner = [n for n in toposort(*roots) if n.op is define_op]
    named = zip(expressions, roots, strict=True)
    outer = [e if e.op is define_op and e.value == name else define(name, e) for name, e in named]
    defined = dict.fromkeys((*inner, *outer))
    _check_names(defined, to)
    equations = [Equation(d.value, d.args[0], d.shape, "", "forward") for d in defined]
    notes = {e.name: note(e) for e in equations} if to.annotated else {}
    statements = to.prepare(lower(equations, to.words))
    read = {str(node.name) for node in toposort(*defined) if node.op is symbol_op}
    again = read.intersection(e.name for e in equations)
    for s in statements:
        if to.annotated and s.target in again and reads_elsewhere(s, s.target):
            raise DataError(f"{s.target!r} would be written over while it is read: give the result another name")
    return fitted("\n".join(to.write(statements, to, {name: name for name in again}, notes)), to)


def _check_names(defined: Iterable[Node], to: Language) -> None:
    """Refuse a name that would be read where it stands for something else."""
    names = {str(node.name): node for node in toposort(*defined) if is_atom(node)}
    if taken := next((name for name in names if name in to.reserved), None):
        raise DataError(f"{taken!r} has a meaning of its own in a program of {to.name}: give the matrix another name")
    if to.ascii and (odd := next((name for name in names if not name.isascii()), None)):
        raise DataError(f"{odd!r} is no name in {to.name}, whose letters are those of ASCII: give the matrix another")
    meaning: dict[str | None, Node] = {}
    for d in defined:
        for node in filter(is_atom, toposort_to_names(d.args[0])):
            if meaning.setdefault(node.name, node) is not node:
                raise DataError(f"{node.name!r} names two things: {meaning[node.name]!r} and {node!r}")
        meaning[d.name] = d


def program(listing: Listing, language: str, part: str, *, flat: bool = False) -> str:
    """A part of a derivation's program; see `Derivation.source`."""
    to = find_language(language)
    check_word("unknown part", part, PARTS)
    write = _flat if flat else _phase if part in PHASES else _whole
    return fitted(write(listing, to, part), to)


def _whole(listing: Listing, to: Language, part: str) -> str:
    write = to.step if part == "step" else to.program
    return write(listing, lower(listing.equations, to.words, whole=True), to)


def _phase(listing: Listing, to: Language, part: str) -> str:
    every = to.prepare(lower(listing.equations, to.words))  # so that no two parts give one name to different things
    statements = [s for s in every if s.phase in PHASES[part]]
    names = in_place(listing, statements)
    lines = to.write(statements, to, names, listing.notes if to.annotated else {})
    return "\n".join([*lines, *commits(listing, statements, names, to)]).lstrip("\n")


def _flat(listing: Listing, to: Language, part: str) -> str:
    if part != "step" or to.flat is None:
        able = ", ".join(name for name, each in LANGUAGES.items() if each.flat)
        raise DataError(f"flat=True is for the step of {able}, got part={part!r} of {to.name}")
    joined = end_to_end(listing)
    return to.flat(joined, lower(joined.equations, to.words, whole=True), to)
