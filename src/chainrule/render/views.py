"""A derivation at three depths: its equations, with their rules, and every step with its reason; text and LaTeX."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

from chainrule.derive import Derived, Equation
from chainrule.errors import UnknownNameError, nearest
from chainrule.expr import full_op, is_atom, ones_op, walk
from chainrule.matrix_functions import is_identity
from chainrule.render.latex import equations_latex, steps_latex
from chainrule.render.reasons import reached, warning, why
from chainrule.render.text import WIDTH, equations_text, formula, formula_lines
from chainrule.rewrite import Step
from chainrule.shapes import show

Depth = Literal["equations", "rules", "steps"]
ONES = "where a matrix must stand, 1 is a column of ones, 1' a row of them, and in a sum or beside ∘ a whole matrix"
ALIKE = "steps of which both sides read alike are left out"
DEPTHS: tuple[str, ...] = get_args(Depth)


def view_text(derived: Derived, depth: str) -> str:
    """A derivation as plain text, within 80 columns."""
    _check(depth)
    if depth == "steps":
        key = legend(derived.steps)
        return "\n".join([*key, *([""] if key else []), *_explained(derived)]).rstrip()
    return equations_text(derived.equations, rules=depth == "rules")


def view_latex(
    derived: Derived, depth: str, *, derivatives: Literal["delta", "partial"] = "delta", notes: Sequence[str] = ()
) -> str:
    """A derivation as LaTeX, which needs amsmath only; the notes say what is another multiple than its name says."""
    _check(depth)
    own = derived.factors.get("loss")
    multiples = [e.name for e in derived.equations if derived.factors.get(e.name) is not own]
    how: dict[str, Any] = {"derivatives": derivatives, "multiples": multiples, "notes": notes}
    if depth == "steps":
        listed = [(e, lead(derived, e), [(s, why(s)) for s in _shown(derived, e)]) for e in derived.equations]
        return steps_latex(listed, **how)
    return equations_latex(derived.equations, rules=depth == "rules", **how)


def steps_of(derived: Derived, equation: Equation) -> list[Step]:
    """The steps to one equation: of the first derivation, then of its re-reading."""
    return [s for s in derived.steps if s.equation == equation.name]


def legend(steps: Sequence[Step], indent: int = 0) -> list[str]:
    """What a 1 that is no number stands for, and that not every step is shown, where that is so."""
    sides = [node for s in steps for node in (s.before, s.after)]
    parts = walk(sides, lambda n: () if is_atom(n) or is_identity(n) else n.args)
    ones = any(n.op in (ones_op, full_op) and n.shape != (1, 1) for n in parts)
    said = [(ONES, ones), (ALIKE, any(map(reads_alike, steps)))]
    return [line for sentence, holds in said if holds for line in _sentence(sentence, indent)]


def reads_alike(step: Step) -> bool:
    """Do both sides look the same, as where a column times a row of ones is the matrix of ones?"""
    return step.via is None and formula(step.before) == formula(step.after)


def _shown(derived: Derived, equation: Equation) -> list[Step]:
    return [s for s in steps_of(derived, equation) if not reads_alike(s)]


def lead(derived: Derived, equation: Equation) -> str:
    """How the loss depends on what is differentiated by, in one sentence; nothing for other equations."""
    first = derived.origin or derived
    of, steps = equation.name.removeprefix("d"), steps_of(first, equation)
    return reached(of, first.equations, steps) if equation.phase == "backward" else ""


def _check(depth: str) -> None:
    if depth not in DEPTHS:
        raise UnknownNameError(f"a view is one of {', '.join(DEPTHS)}, got {depth!r}{nearest(depth, DEPTHS)}")


def _explained(derived: Derived) -> Iterator[str]:
    """Every equation with its shape, and below it how it came about; what an identity says is said once."""
    said: set[str] = set()
    first = derived.origin or derived
    before = {e.name: e for e in first.equations}
    for e in derived.equations:
        yield from _headed(e)
        yield from _sentence(lead(derived, e) or e.rule, 2)
        old = _shown(first, e)
        if derived.origin and old:
            yield from formula_lines(before[e.name].expression, f"  read in rows, {e.name} = ")
        for number, s in enumerate(_shown(derived, e), 1):
            if derived.origin and number == len(old) + 1:
                yield "  read as it stands above"
            yield from _step(s, number, said)
        yield ""


def _headed(e: Equation) -> Iterator[str]:
    lines, shape = formula_lines(e.expression, f"{e.name} = "), show(e.shape)
    fits = len(lines[-1]) + len(shape) + 2 <= WIDTH
    yield from [*lines[:-1], lines[-1].ljust(WIDTH - len(shape)) + shape] if fits else [*lines, shape.rjust(WIDTH)]


def _step(s: Step, number: int, said: set[str]) -> Iterator[str]:
    shapes = " -> ".join(dict.fromkeys(map(show, s.shapes)))
    rule = f"  {number}. {s.rule.replace('_', ' ')}"
    yield rule.ljust(WIDTH - len(shapes)) + shapes
    sign = "=" if s.via is None else "->"
    line = f"     {formula(s.before)}  {sign}  {formula(s.after)}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield from [*formula_lines(s.before, "     "), *formula_lines(s.after, f"  {sign:<3}")]
    if s.via is not None or s.rule not in said:
        said.add(s.rule)
        yield from _sentence(why(s), 7)
    if found := warning(s):
        yield from _sentence(f"note: {found}", 7)


def _sentence(text: str, indent: int) -> Sequence[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * indent, subsequent_indent=" " * indent)
