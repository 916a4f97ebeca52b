"""A derivation at four depths, as text and LaTeX: equations; with rules; steps with reasons; every algebraic step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

from chainrule.asked import check_word
from chainrule.derive import Derived, Equation
from chainrule.expr import Node, full_op, is_atom, ones_op, walk
from chainrule.matrix_functions import is_identity
from chainrule.render.latex import equations_latex
from chainrule.render.latex_steps import steps_latex
from chainrule.render.reasons import Shown, is_bookkeeping, plain, plainly, reached, users_of, warning, why
from chainrule.render.so_far import so_far
from chainrule.render.text import SPELT, WIDTH, equations_text, formula_lines, sentence_lines, spelt
from chainrule.rewrite import Step
from chainrule.shapes import show

Depth = Literal["equations", "rules", "steps", "algebra"]
ONES = (
    "beside a matrix, 1 is a column of ones, 1' a row of them, and 1 1' a matrix of them; in a sum with a matrix, 1 "
    "stands for each of its entries"
)
ALIKE = "steps of which both sides read alike are left out"
DEPTHS: tuple[str, ...] = get_args(Depth)
STEPS = ("steps", "algebra")  # the depths that show steps: with a reason for each, or for all but the bookkeeping
SO_FAR = "     so far: "
WHOLE = "a step shows the part that it changes; after it, 'so far' is the whole, where that is more"
MOST_LINES = 4  # of a whole
FEW = 3  # steps of bookkeeping whose formulas are shown


def view_text(derived: Derived, depth: str) -> str:
    """A derivation as plain text, within 80 columns."""
    _check(depth)
    if depth in STEPS:
        accounts = list(_accounts(derived, every=depth == "algebra"))
        whole = any(shown.so_far is not None for a in accounts for shown in a.shown)
        key = [*legend(derived.steps), *(sentence_lines(WHOLE) if whole else [])]
        explained = _explained(derived, accounts, every=depth == "algebra")
        return "\n".join([*key, *([""] if key else []), *explained]).rstrip()
    return equations_text(derived.equations, rules=depth == "rules")


def view_latex(
    derived: Derived, depth: str, *, derivatives: Literal["delta", "partial"] = "delta", notes: Sequence[str] = ()
) -> str:
    """A derivation as LaTeX, which needs amsmath only; the notes say what is another multiple than its name says."""
    _check(depth)
    own = derived.factors.get("loss")
    multiples = [e.name for e in derived.equations if derived.factors.get(e.name) is not own]
    how: dict[str, Any] = {"derivatives": derivatives, "multiples": multiples, "notes": notes}
    if depth in STEPS:
        every = depth == "algebra"
        return steps_latex([(a.equation, a.lead, a.shown) for a in _accounts(derived, every=every)], **how)
    return equations_latex(derived.equations, rules=depth == "rules", **how)


def legend(steps: Sequence[Step], indent: int = 0) -> list[str]:
    """What a 1 that is no number stands for, and that not every step is shown, where that is so."""
    sides = [plain(node) for s in steps for node in (s.before, s.after)]
    parts = walk(sides, lambda n: () if is_atom(n) or is_identity(n) else n.args)
    ones = any(n.op in (ones_op, full_op) and n.shape != (1, 1) for n in parts)
    said = [(ONES, ones), (ALIKE, any(map(reads_alike, steps)))]
    return [line for sentence, holds in said if holds for line in sentence_lines(sentence, indent)]


def reads_alike(step: Step) -> bool:
    """Do both sides look the same, as where a column times a row of ones is the matrix of ones, or (k) A is k A?"""
    return step.via is None and spelt(plain(step.before)) == spelt(plain(step.after))


class Account(NamedTuple):
    """How an equation came about: in a sentence, and by which steps; `shown` are those to read."""

    equation: Equation
    lead: str
    steps: Sequence[Step]
    shown: Sequence[Shown]


def _accounts(derived: Derived, *, every: bool) -> Iterator[Account]:
    """Of each equation, how the loss depends on what is differentiated by; of other equations, what made them."""
    users = users_of(derived.equations)
    for e in derived.equations:
        name, steps = e.name.removeprefix("d"), derived.steps_to(e.name)
        lead = reached(name, users.get(name, ()), steps) if e.phase == "backward" else e.rule
        re_read = derived.origin is not None and e.phase != "backward"  # its transposes only say so
        yield Account(e, lead, steps, list(_shown(e, steps, re_read=re_read, every=every)))


def _shown(e: Equation, steps: Sequence[Step], *, re_read: bool, every: bool) -> Iterator[Shown]:
    """The steps to an equation, numbered, those left out of which both sides read alike."""
    number = 1
    wholes = list(so_far(steps))
    if e.phase == "backward" and steps and (wholes[-1] or steps[-1].after) is not e.expression:
        wholes[-1] = e.expression  # the sum of what came on several ways
    told = [(s, _whole(s, whole)) for s, whole in zip(steps, wholes, strict=True) if not reads_alike(s)]
    told = [(s, whole) for s, whole in told if every or not (re_read and is_bookkeeping(s))]
    for in_short, group in groupby(told, lambda each: not every and is_bookkeeping(each[0])):
        run = list(group)
        rules = [s.rule.replace("_", " ") for s, _ in run]
        if in_short and len(run) > FEW:
            s, whole = run[-1]
            title = f"{number}-{number + len(run) - 1}. {', '.join(dict.fromkeys(rules))}"
            yield Shown(title, (), (), plain(s.after) if whole is None else whole)
        else:
            for at, ((s, whole), rule) in enumerate(zip(run, rules, strict=True), number):
                notes = [f"note: {found}"] if (found := warning(s)) else []
                yield Shown(f"{at}. {rule}", (plainly(s),), () if in_short else (why(s), *notes), whole)
        number += len(run)


def _whole(step: Step, so_far: Node | None) -> Node | None:
    """What there is so far as it is shown, where the step does not show it all."""
    return None if so_far is None or plain(so_far) is plain(step.after) else plain(so_far)


def _check(depth: str) -> None:
    check_word("unknown view", depth, DEPTHS)


def _explained(derived: Derived, accounts: Iterable[Account], *, every: bool) -> Iterator[str]:
    """Every equation with its shape, and below it how it came about; what an identity says is said once."""
    said: set[str] = set()
    first = derived.origin.equations if derived.origin and every else ()
    before = {e.name: e for e in first if e.phase in ("forward", "loss")}
    for e, lead, steps, listed in accounts:
        yield from _headed(e)
        yield from sentence_lines(lead, 2)
        if e.name in before and (steps or spelt(before[e.name].expression) != spelt(e.expression)):
            yield from formula_lines(before[e.name].expression, f"  as the network has it, in rows: {e.name} = ")
        for shown in listed:
            yield from _in_text(shown, said)
            yield from whole_lines(shown.so_far)
        yield ""


def _headed(e: Equation) -> Iterator[str]:
    lines, shape = formula_lines(e.expression, f"{e.name} = "), show(e.shape)
    fits = len(lines[-1]) + len(shape) + 2 <= WIDTH
    yield from [*lines[:-1], lines[-1].ljust(WIDTH - len(shape)) + shape] if fits else [*lines, shape.rjust(WIDTH)]


def _in_text(shown: Shown, said: set[str]) -> Iterator[str]:
    """An identity is written out where it is used first."""
    if not shown.sentences:
        yield from _in_short(shown)
        return
    (s,) = shown.steps
    shapes = " -> ".join(dict.fromkeys(map(show, s.shapes)))
    yield f"  {shown.title}".ljust(WIDTH - len(shapes)) + shapes
    sign = "=" if s.via is None else "->"
    line = f"     {spelt(s.before)}  {sign}  {spelt(s.after)}"
    yield from [line] if len(line) <= WIDTH else _below(s, sign)
    for sentence in shown.sentences if s.via is not None or s.rule not in said else ():
        yield from sentence_lines(sentence, 7)
    said.add(s.rule)


def _in_short(shown: Shown) -> Iterator[str]:
    """On one line, if there is room for the formulas."""
    formulas = "".join(f":  {spelt(s.before)}  =  {spelt(s.after)}" for s in shown.steps)
    line = f"  {shown.title}{formulas}"
    yield from [line] if len(line) <= WIDTH else sentence_lines(shown.title, 2, 5)
    if len(line) > WIDTH:
        for s in shown.steps:
            yield from _below(s, "=")


def whole_lines(so_far: Node | None) -> Iterator[str]:
    """On a few lines; of a longer one the first."""
    lines = [] if so_far is None else formula_lines(so_far, SO_FAR, to=SPELT)
    yield from lines if len(lines) <= MOST_LINES else lines[: MOST_LINES - 1]
    if len(lines) > MOST_LINES:
        yield f"{'':{len(SO_FAR)}}... and {len(lines) - MOST_LINES + 1} more lines"


def _below(s: Step, sign: str) -> list[str]:
    return [*formula_lines(s.before, "     ", to=SPELT), *formula_lines(s.after, f"  {sign:<3}", to=SPELT)]
