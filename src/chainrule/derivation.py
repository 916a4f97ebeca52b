"""A derivation as a product: the equations of one network, shown, replayed, and written as a program."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from chainrule.check.replay import Verification, verify
from chainrule.derive import Derived, Equation
from chainrule.errors import UnknownNameError, nearest
from chainrule.program.listing import Listing
from chainrule.program.source import program
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
    layout : {"rows", "columns"}

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
    layout: str
    notes: tuple[str, ...] = ()

    @property
    def equations(self) -> tuple[Equation, ...]:
        """The named equations in order."""
        return self.derived.equations

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every rewriting step, in the order taken."""
        return self.derived.steps

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
        head = [f"{self.listing.title} ({self.layout})", *(f"note: {note}" for note in self.notes)]
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
        return equations_latex(self.equations, **options)

    def source(self, language: str = "numpy", part: str = "program") -> str:
        """Write the equations as a program.

        Parameters
        ----------
        language : {"numpy", "numpy-inplace", "array-api", "octave", "torch", "jax", "python", "c"}
            "numpy-inplace" allocates nothing in the loop, "array-api" takes its array module as an argument, "python"
            has lists of rows, and "c" is C99.
        part : {"program", "step", "forward", "backward", "update"}
            "forward" and "backward" are bare assignments in the equations' names: they need the inputs, the
            parameters and `n`. "update" needs the gradients and the hyper-parameters too. "step" is a function of
            one training step, "program" complete, with made-up data, initial parameters and a loop.

        Returns
        -------
        str

        Raises
        ------
        UnknownNameError
            If there is no such language or part.
        DataError
            If the language has no word for a function.

        Examples
        --------
        >>> import chainrule as cr
        >>> print(cr.Network("2 -> 3 relu -> 1").derive().source("octave", part="backward"))
        dZ2 = (A2 - Y) / n;
        db2 = sum(dZ2, 1);
        dW2 = A1' * dZ2;
        dZ1 = (dZ2 * W2') .* (Z1 > 0);
        db1 = sum(dZ1, 1);
        dW1 = X' * dZ1;
        """
        return program(self.listing, language, part)

    def verify(self, random_state: int = 0) -> Verification:
        """Replay every step on random numbers of different sizes, and the whole against finite differences."""
        return verify(self.derived, random_state=random_state)


def _filled(lines: list[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, 80, subsequent_indent="  ")]
