"""The derivatives of an expression as a product: named equations that are shown, written, replayed and checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chainrule.asked import check_expressions
from chainrule.breaks import refuse_breaks, refuse_infinite, where_not_differentiable
from chainrule.check.gradient import check_gradient
from chainrule.check.proof import verify
from chainrule.check.report import GradientReport
from chainrule.check.verification import Verification
from chainrule.derive import Derived, Equation, Phase, check_scalar, derive_equations
from chainrule.errors import DerivationError, UnknownNameError, nearest
from chainrule.evaluate import evaluate_all
from chainrule.expr import Node, define, define_op, symbol_op, toposort
from chainrule.hessians import NotFoundError, closed_form
from chainrule.identities import ANY, LAST
from chainrule.points import DRAWS, Values, never_finite, random_values
from chainrule.products import transposes_leave_sums
from chainrule.program.source import source
from chainrule.python_form import called
from chainrule.remarks import (
    entries_of_symmetric,
    facts_that_would_shorten,
    functions_of_few,
    sizes_in_kronecker_products,
)
from chainrule.render.text import equations_text, sentence_lines, text
from chainrule.render.views import view_latex, view_text
from chainrule.rewrite import Step
from chainrule.rules import minus_enters
from chainrule.stable import BEFORE
from chainrule.substitute import replaced
from chainrule.tangents import dotted, with_tangents


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Named equations of a loss and its derivatives, and every rewriting step behind them.

    Made by `differentiate` and by `Derivation.hessian_vector_product`.

    Attributes
    ----------
    equations : tuple of Equation
        (name, expression, shape, rule, phase); phase is "forward", "loss", "backward", "tangent" or "hessian".
    steps : tuple of Step
        (rule, before, after, equation), each with its shapes and `why`.
    notes : tuple of str

    Examples
    --------
    >>> import chainrule as cr
    >>> X, w, y = cr.matrix("X", "n", "d"), cr.matrix("w", "d", 1), cr.matrix("y", "n", 1)
    >>> d = cr.differentiate(cr.sum((X @ w - y) * (X @ w - y)), w, hessian=True)
    >>> print(d["dw"])
    dw = 2 X' (X w - y)
    >>> print(d["H_w"])
    H_w = 2 X' X
    >>> d.check().ok
    True
    """

    derived: Derived
    parameters: tuple[Node, ...]
    notes: tuple[str, ...] = ()

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The named equations in order."""
        return self.derived.equations

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rewriting step, in the order taken."""
        return tuple(self.derived.steps)

    def __getitem__(self, name: str) -> Equation:
        for e in self.equations:
            if e.name == name:
                return e
        raise UnknownNameError(f"no equation for {name!r} here{nearest(name, [e.name for e in self.equations])}")

    def __iter__(self) -> Iterator[Equation]:
        return iter(self.equations)

    def __len__(self) -> int:
        return len(self.equations)

    def __str__(self) -> str:
        """The equations with shapes, within 80 columns."""
        notes = [line for note in self.notes for line in sentence_lines(f"note: {note}", 0, 2)]
        return "\n".join([*notes, equations_text(self.equations)])

    def __repr__(self) -> str:
        return f"<Derivatives: {', '.join(e.name for e in self.equations)}>"

    def view(self, depth: str = "rules") -> str:
        """Write the derivation as text of 80 columns, as `Derivation.view` does.

        Parameters
        ----------
        depth : {"equations", "rules", "steps", "algebra"}
            Equations alone; with shapes and rules; steps with shapes and a sentence why, in short where only numbers,
            brackets and transposes move; every step with its formulas.

        Examples
        --------
        >>> import chainrule as cr
        >>> X, w = cr.matrix("X", "n", "d"), cr.matrix("w", "d", 1)
        >>> steps = cr.differentiate(cr.sum(X @ w), w).view("steps")
        >>> print(steps[steps.index("dw = ") :])
        dw = X' 1                                                                (d x 1)
          w enters the loss itself
          1. product                                                  (1 x 1) -> (d x 1)
             1  ->  (1' X)'
               w[i,0] meets (1' X)[0,i] in [0,0] of 1' X w alone: (1' X)[0,i] is [i,0]
               of (1' X)'
          ...
        """
        return view_text(self.derived, depth)

    def latex(self, **options: Any) -> str:
        """Write the equations as LaTeX, which needs amsmath."""
        return view_latex(self.derived, "equations", **options)

    def source(self, language: str = "numpy") -> str:
        """Write the equations as assignments; they need the matrices, and sizes such as `n` where they stand."""
        return source({e.name: e.node for e in self.equations}, language=language)

    def verify(self, random_state: int = 0) -> Verification:
        """Replay every step on random numbers, and the gradient against finite differences."""
        return verify(self.derived, random_state=random_state)

    def at(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Compute every equation where the loss is differentiable.

        Parameters
        ----------
        values : mapping of str to array-like
            One for each symbol, as `evaluate` takes them.

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        DerivationError
            If the loss has a kink, an infinite slope or a jump there, or its second derivative, where there is one,
            jumps; `evaluate` would give a number all the same. Or if an equation, as it is written, is not finite.

        Examples
        --------
        >>> import chainrule as cr
        >>> x = cr.matrix("x", 2, 1)
        >>> cr.differentiate(cr.sum(cr.abs(x)), x).at({"x": [[1], [0]]})
        Traceback (most recent call last):
            ...
        chainrule.errors.DerivationError: not differentiable here: abs has a kink at 0, and entry [1, 0] of x is 0
        """
        loss = _loss(self.equations).expression
        with np.errstate(all="ignore"):
            refuse_breaks(loss, self.parameters, values, twice=any(e.phase == "hessian" for e in self.equations))
            refuse_infinite({e.name: e.expression for e in self.equations}, values)
            return dict(self._values(dict(values)))

    def check(self, random_state: int = 0) -> GradientReport:
        """Compare every derivative with finite differences: gradients of the loss, second derivatives of gradients.

        Returns
        -------
        GradientReport
            At random numbers where the loss is finite and smooth; one block for each derivative.
        """
        rng = np.random.default_rng(random_state)
        reports: list[GradientReport] = []
        for draw in range(DRAWS):
            values = random_values(self._expressions, draw, rng)
            with np.errstate(all="ignore"):
                if not all(np.isfinite(a).all() for a in self._values(values).values()):
                    continue
                reports.append(self._checked(values, rng))
            if reports[-1].ok:
                return reports[-1]
        if not reports:
            where = never_finite(self._expressions)
            blame = f", because of {text(where)}" if where is not None else ""
            raise DerivationError(
                f"the loss or its derivative is not finite at any of the random points tried{blame}", where
            )
        return reports[0]

    @property
    def _expressions(self) -> list[Node]:
        """Of every equation, and what is differentiated by, which may be in none."""
        return [*(e.expression for e in self.equations), *self.parameters]

    def _values(self, values: Values) -> Mapping[str, Any]:
        names = [e.name for e in self.equations]
        return dict(zip(names, evaluate_all([e.expression for e in self.equations], values), strict=True))

    def _checked(self, values: Values, rng: np.random.Generator) -> GradientReport:
        """First derivatives against the loss, second ones against a random combination of the first."""
        at = {str(W.name): values[str(W.name)] for W in self.parameters}
        last = _loss(self.equations)
        own = self._factor(last.name, values)  # of a loss and derivatives that are multiples, in some conventions
        first = {name: self._values(values)[f"d{name}"] * own / self._factor(f"d{name}", values) for name in at}
        loss = last.expression
        blocks = dict(check_gradient(lambda p: _number([loss], {**values, **p}), first, at, random_state=rng).blocks)
        second = [e for e in self.equations if e.phase == "hessian"]
        for e in second:
            blocks[e.name] = self._second(e, values, rng)
        return GradientReport(blocks, 1e-6)

    def _factor(self, name: str, values: Values) -> float:
        known = self.derived.factors
        return _number([known[name]], values) if name in known else 1.0

    def _second(self, e: Equation, values: Values, rng: np.random.Generator) -> Any:
        """<C, dW> by W along the direction of a product, or by the entries of the vector of a Hessian."""
        found = self._values(values)[e.name]
        wrt = {hessian_name(W): W for W in self.parameters}.get(e.name)
        G = self[f"d{wrt.name}" if wrt else e.name.removesuffix("_dot")]
        C = rng.standard_normal(tuple(map(int, np.shape(self._values(values)[G.name]))))

        def weighed(point: Values) -> float:
            return float(np.sum(C * evaluate_all([G.expression], {**values, **point})[0]))

        if wrt is not None:
            name = str(wrt.name)
            along = (found.T @ C.reshape((-1, 1), order="F")).reshape(C.shape, order="F")
            report = check_gradient(
                lambda p: weighed({name: p[e.name]}), {e.name: along}, {e.name: values[name]}, random_state=rng
            )
        else:
            moves = {
                name: values[dotted(name)] for name in (str(W.name) for W in self.parameters) if dotted(name) in values
            }

            def along_the_line(t: Values) -> float:
                return weighed({name: values[name] + (t[e.name][0] - 1) * move for name, move in moves.items()})

            slope = np.array([np.sum(C * found)])
            report = check_gradient(along_the_line, {e.name: slope}, {e.name: np.ones(1)}, random_state=rng)
        return next(iter(report.blocks.values()))


def differentiate(loss: Node, *wrt: Node, hessian: bool = False) -> Derivatives:
    """Derive a loss by matrices as named equations, with every step: `gradient`, to be shown and checked.

    Parameters
    ----------
    loss : Node of shape (1, 1)
    *wrt : Node
        Symbols.
    hessian : bool
        With the Hessian H_w by each symbol w, or, where no matrix is found for it, its product dw_dot with a
        direction w_dot.

    Returns
    -------
    Derivatives

    Examples
    --------
    >>> import chainrule as cr
    >>> X = cr.matrix("X", "n", "n")
    >>> print(cr.differentiate(cr.logdet(X), X))
    loss
      loss = log|det(X)|  (1 x 1)
    backward
        dX = X^-T         (n x n)  log-determinant
    """
    check_expressions("differentiate", loss, *wrt)
    check_scalar(loss)
    for w in wrt:
        if w.op is not symbol_op:
            raise DerivationError(f"equations are named after symbols, and {called(w)} is none: use gradient()")
    if not wrt:
        raise DerivationError("differentiate() needs at least one symbol: differentiate(loss, W)")
    taken = _named_once(loss, wrt, hessian)
    name = next(each for each in ("loss", "f", "L", *(f"loss_{i}" for i in range(len(taken)))) if each not in taken)
    inner = [(n, "", "forward") for n in toposort(loss) if n.op is define_op]
    finish = (*LAST, minus_enters) if inner else LAST
    forward: list[tuple[Node, str, Phase]] = [*inner, (define(name, loss), "", "loss")]  # type: ignore[list-item]
    derived = derive_equations(forward, wrt, rules=ANY, stable=BEFORE, finish=finish, last=(transposes_leave_sums,))
    breaks = where_not_differentiable(_loss(derived.equations).expression, wrt, twice=hessian)
    notes = [*breaks, *entries_of_symmetric(wrt)]
    if not hessian:
        return _annotated(derived, wrt, notes)
    opened: dict[Node, Node] = {}  # of every name that is made here, what it stands for
    for e in (e for e in derived.equations if e.phase != "forward"):
        opened[e.node] = replaced(e.expression, opened)
    found: list[Equation] = []
    slopes = {e.name: e.node for e in derived.equations}
    products: dict[Node, str] = {}  # and why there is no matrix
    for w in wrt:
        try:
            H = closed_form(opened[slopes[f"d{w.name}"]], w)
            found.append(Equation(hessian_name(w), H, H.shape, "second derivatives", "hessian"))
        except NotFoundError as failure:
            products[w] = str(failure)
    along = " and ".join(dotted(str(w.name)) for w in products)
    notes += [f"{why}: {dotted(f'd{w.name}')} is how d{w.name} moves along {along}" for w, why in products.items()]
    extended = with_tangents(derived, products, ANY)
    found += [e for e in extended.equations if e.phase in ("tangent", "hessian")]
    return _annotated(replace(derived, equations=(*derived.equations, *found), steps=extended.steps), wrt, notes)


def hessian_name(w: Node) -> str:
    """The name of the matrix of second derivatives."""
    return f"H_{w.name}"


def _named_once(loss: Node, wrt: Sequence[Node], hessian: bool) -> dict[str, str]:
    """Every name there is or will be and what it stands for; none may stand for two."""
    nodes = list(toposort(loss, *wrt))
    inner = [str(n.value) for n in nodes if n.op is define_op]
    moving = [*inner, *dict.fromkeys(str(w.name) for w in wrt)]
    named = [(str(n.name), "a matrix of the loss", n) for n in nodes if n.op is symbol_op]
    named += [(n.value, "a part of the loss", n) for n in nodes if n.op is define_op]
    made = [(f"d{name}", f"the derivative by {name}") for name in moving]
    if hessian:
        made += [(dotted(name), f"a direction of {name}") for name in (*moving, *(name for name, _ in made))]
        made += [(hessian_name(w), f"the Hessian by {w.name}") for w in dict.fromkeys(wrt)]
    found: dict[str, tuple[str, Node | None]] = {}
    for name, what, node in (*named, *((name, what, None) for name, what in made)):
        if name in found:
            other, where = found[name]
            message = f"{name} would stand for two things, {other} and {what}: give the first another name"
            raise DerivationError(message, where)
        found[name] = what, node
    return {name: what for name, (what, _) in found.items()}


def _annotated(derived: Derived, wrt: tuple[Node, ...], notes: Sequence[str]) -> Derivatives:
    shown = [e.expression for e in derived.equations if e.phase != "loss"]
    more = (*facts_that_would_shorten(shown), *sizes_in_kronecker_products(shown), *functions_of_few(shown))
    return Derivatives(derived, wrt, (*notes, *more))


def _loss(equations: Iterable[Equation]) -> Equation:
    """The last of them, in its simplified form."""
    return [e for e in equations if e.phase == "loss"][-1]


def _number(expressions: list[Node], values: Values) -> float:
    return float(evaluate_all(expressions, values)[0].item())
