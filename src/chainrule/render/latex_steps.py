"""Every step of a derivation as LaTeX: for each equation a display with its steps and the reason for each."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from chainrule.derive import Equation
from chainrule.expr import Node, define_op, is_atom, toposort
from chainrule.render.alphabet import Notation
from chainrule.render.latex import (
    GAPS,
    LINE,
    QUAD,
    Derivatives,
    alphabet,
    escaped,
    indent,
    note_latex,
    quads,
    within_pages,
)
from chainrule.render.lines import Piece, broken, joined
from chainrule.render.notation import compose
from chainrule.render.reasons import Shown
from chainrule.rewrite import Step


def steps_latex(
    listed: Sequence[tuple[Equation, str, Sequence[Shown]]],
    *,
    derivatives: Derivatives = "delta",
    multiples: Collection[str] = (),
    notes: Iterable[str] = (),
) -> str:
    r"""For each equation a sentence, and every step to it with its reason, as an `align*` of its own.

    A long one stands in braces with `\allowdisplaybreaks`, so that a page may end inside.
    """
    names = {str(n.name) for n in toposort(*(e.expression for e, _, _ in listed)) if is_atom(n)}
    to = replace(alphabet(derivatives, names | {e.name for e, _, _ in listed}, multiples), spelt=True)
    said = (rf"\noindent {note_latex(note, derivatives)}" for note in notes)
    return "\n\n".join([*said, *(_steps(e, lead, steps, to) for e, lead, steps in listed)])


def _steps(e: Equation, lead: str, shown: Sequence[Shown], to: Notation) -> str:
    def pieces(node: Node, to: Notation = to) -> Sequence[Piece]:
        return (to.name(node.value) if node.op is define_op else compose(node, to)).pieces

    def formula(node: Node, before: str, to: Notation = to, taken: float = 0) -> list[str]:
        first, *more = broken(pieces(node, to), LINE - GAPS - taken, LINE - GAPS, indent, to.space)
        return [f"{before} {joined(first)}", *(f"&{quads(line[0])} {{}}{joined(line)}" for line in more)]

    def step(s: Step) -> list[str]:
        """On one line where that has room for both sides."""
        before, sign = formula(s.before, "&"), "=" if s.via is None else r"\mapsto"
        width = sum(p.width + to.space for node in (s.before, s.after) for p in pieces(node))
        if width <= LINE - GAPS - QUAD - 2:
            return [f"{before[0]} {row}" for row in formula(s.after, sign)]
        return before + formula(s.after, f"&{sign}")

    plain = replace(to, spelt=False)
    rows = [*formula(e.expression, f"{to.name(e.name).text} &=", plain), *_words(lead)]
    for each in shown:
        rows += [rf"&\textit{{{escaped(line)}}}" for line in textwrap.wrap(each.title, int(LINE - GAPS))]
        for s in each.steps:
            rows += step(s)
        rows += [row for sentence in each.sentences for row in _words(sentence)]
        if each.so_far is not None:
            rows += formula(each.so_far, r"&\quad\text{so far: }", taken=QUAD + 7)
    return _display(rows)


def _display(rows: Sequence[str]) -> str:
    """Rows as an `align*`."""
    return within_pages(" \\\\\n".join(f"  {row}" for row in rows), len(rows))


def _words(sentence: str) -> list[str]:
    return [rf"&\quad\text{{{escaped(line)}}}" for line in textwrap.wrap(sentence, int(LINE - GAPS))]
