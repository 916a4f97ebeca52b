"""A derivation as a product: the equations of one network, shown, replayed, and written as a program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chainrule.check.replay import Verification, verify
from chainrule.conventions import Convention, Reading, translated
from chainrule.derive import Derived, Equation
from chainrule.errors import UnknownNameError, nearest
from chainrule.expr import Node, full
from chainrule.program.source import Listing, program
from chainrule.render.latex import equations_latex
from chainrule.render.text import equations_text
from chainrule.rewrite import Step


@dataclass(frozen=True, eq=False)
class Derivation:
    """The named equations of a network and every step behind them. Made by `Network.derive`.

    Attributes
    ----------
    equations : tuple of Equation
        (name, expression, shape, rule, phase), in the order they run; phase is "forward", "loss", "backward" or
        "update".
    steps : tuple of Step
        (rule, before, after, equation): every rewriting on the way.
    reading : Reading
        What the names mean in the convention of this derivation.

    Examples
    --------
    >>> import chainrule as cr
    >>> d = cr.Network("784 -> 128 relu -> 10 softmax").derive()
    >>> print(d["dZ1"])
    dZ1 = (dZ2 W2') ∘ [Z1 > 0]
    >>> print(d.source("numpy", part="backward"))
    dZ2 = (P - Y) / n
    db2 = dZ2.sum(axis=0, keepdims=True)
    dW2 = A1.T @ dZ2
    dZ1 = (dZ2 @ W2.T) * (Z1 > 0)
    db1 = dZ1.sum(axis=0, keepdims=True)
    dW1 = X.T @ dZ1
    >>> d.verify().ok
    True
    """

    derived: Derived
    listing: Listing
    reading: Reading
    notes: tuple[str, ...] = ()

    @property
    def convention(self) -> Convention:
        """How the equations are written."""
        return self.reading.convention

    @property
    def layout(self) -> str:
        """One example in one of the rows, or of the columns."""
        return self.convention.layout

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The named equations in order."""
        return self.derived.equations

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rewriting step, in the order taken."""
        return self.derived.steps

    def is_transposed(self, name: str) -> bool:
        """Is what this derivation calls by a name the transpose of what the network calls so?"""
        return self.reading.is_transposed(name)

    def factor(self, name: str) -> Node:
        """By what it is multiplied, as a 1 x 1 expression: 1, or n, or -1/s, s being the sum of the weights.

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("4 -> 3 softmax").derive(convention="ng")
        >>> cr.text(d.factor("dZ1")), cr.text(d.factor("dW1")), d.is_transposed("dW1")
        ('n', '1', True)
        """
        return self.derived.factors.get(name, full(1, (1, 1)))

    def translate(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays as the network names them, as this derivation means them: turned, multiplied, biases in W.

        Parameters
        ----------
        values : mapping of str to array
            X, Y, w (as a column), parameters, gradients, any named value; in rows.

        Returns
        -------
        dict of str to ndarray

        Raises
        ------
        DataError
            Where a multiple needs the number of examples and neither X nor w is among the values.

        Examples
        --------
        >>> import chainrule as cr
        >>> net = cr.Network("4 -> 3 softmax")
        >>> params = net.init(random_state=0)
        >>> {k: v.shape for k, v in net.derive(layout="columns", bias="ones").translate(params).items()}
        {'W1': (3, 5)}
        """
        return translated(self.reading, values)

    def __getitem__(self, name: str) -> Equation:
        for e in self.equations:
            if e.name == name:
                return e
        known = [e.name for e in self.equations]
        raise UnknownNameError(f"no equation for {name!r} in this derivation{nearest(name, known)}")

    def __iter__(self) -> Iterator[Equation]:
        return iter(self.equations)

    def __len__(self) -> int:
        return len(self.equations)

    def __contains__(self, name: object) -> bool:
        """Is there an equation of this name?"""
        return any(e.name == name for e in self.equations)

    def __str__(self) -> str:
        """The network, its notes and its equations, within 80 columns."""
        how = replace(self.convention, reduction=None)  # of which the title and the notes speak
        head = [f"{self.listing.title} ({how})", *(f"note: {note}" for note in self.notes)]
        return "\n".join([*_filled(head), equations_text(self.equations)])

    def __repr__(self) -> str:
        return f"<Derivation of {self.listing.title}: {len(self.equations)} equations, {len(self.steps)} steps>"

    def latex(self, **options: Any) -> str:
        """Write the equations as LaTeX; `derivatives="partial"` writes dL/dZ for the error signals.

        Returns
        -------
        str
            A display that needs amsmath only.
        """
        own = self.factor("loss")
        multiples = [e.name for e in self.equations if self.factor(e.name) is not own]
        return equations_latex(self.equations, multiples=multiples, notes=self.reading.notes, **options)

    def source(self, language: str = "numpy", part: str = "program") -> str:
        """Write the equations as a program.

        Parameters
        ----------
        language : {"numpy"}
        part : {"program", "step", "forward", "backward", "update"}
            "forward" and "backward" are bare assignments in the equations' names: they need the inputs, the
            parameters and `n`. "update" needs the gradients and the hyper-parameters too. "step" is a function of
            one training step, "program" complete, with data and a loop.

        Returns
        -------
        str
        """
        return program(self.listing, language, part)

    def verify(self, random_state: int = 0) -> Verification:
        """Replay every step on random numbers of different sizes, and the whole against finite differences."""
        return verify(self.derived, random_state=random_state)


def _filled(lines: list[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, 80, subsequent_indent="  ")]
