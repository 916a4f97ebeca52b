"""A derivation as a product: the equations of one network, shown, replayed, and written as a program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from chainrule.arrays import check_mapping
from chainrule.asked import check_word
from chainrule.check.proof import verify
from chainrule.check.verification import Verification
from chainrule.conventions import Convention, Reading, stacked, translated
from chainrule.derivatives import Derivatives
from chainrule.derive import Derived, Equation
from chainrule.expr import Node, full
from chainrule.program.listing import Listing
from chainrule.program.source import program
from chainrule.render.text import sentence_lines
from chainrule.render.views import view_latex, view_text
from chainrule.rewrite import Step
from chainrule.rules import ALGEBRA
from chainrule.tangents import with_tangents
from chainrule.worked import Worked, check_digits, work_out


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
        return tuple(self.derived.steps)

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
        UnknownNameError
            If the derivation has no such name.
        ShapeError
            If an array does not have the shape of its name, in rows.
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
        shapes = {str(n.name): n.shape for n in (*self.listing.supplied, *(e.node for e in self.equations))}
        return translated(self.reading, values, shapes)

    def __getitem__(self, name: str) -> Equation:
        equations = {e.name: e for e in self.equations}
        check_word("no equation for", name, equations, " in this derivation")
        return equations[name]

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
        return "\n".join([*_filled(head), self.view()])

    def __repr__(self) -> str:
        return f"<Derivation of {self.listing.title}: {len(self.equations)} equations, {len(self.steps)} steps>"

    def view(self, depth: str = "rules") -> str:
        """Write the derivation as plain text, as deep as is wanted, within 80 columns.

        Parameters
        ----------
        depth : {"equations", "rules", "steps", "algebra"}
            The equations alone; with shapes and the rules that made them, as `print` shows them; the steps, with the
            reason for each: an identity, or by which indices a derivative is passed on; or the same with every
            algebraic step, also where only numbers, brackets and transposes move.

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("4 -> 3 identity").derive()
        >>> for step in d.steps:
        ...     if step.equation == "dW1":
        ...         print(step.rule, step.shapes, step.why, sep="; ")
        product; (('n', 3), (4, 3)); W1[i,j] meets X[k,i] in [k,j] of X W1, for every example k: the sum over k of
        X[k,i] dZ1[k,j] is [i,j] of X' dZ1
        """
        return view_text(self.derived, depth)

    def latex(self, view: str = "equations", *, derivatives: Literal["delta", "partial"] = "delta") -> str:
        """Write the derivation as LaTeX; `derivatives="partial"` writes dL/dZ for the error signals.

        Parameters
        ----------
        view : {"equations", "rules", "steps", "algebra"}
            As for `view`.

        Returns
        -------
        str
            Displays that need amsmath only.
        """
        return view_latex(self.derived, view, derivatives=derivatives, notes=self.reading.notes)

    def with_numbers(
        self,
        params: Mapping[str, Any],
        X: Any,
        Y: Any,
        *,
        digits: int = 4,
        sample_weight: Any = None,
        random_state: Any = 0,
        **hyper: float,
    ) -> Worked:
        """Work out every equation for given data: symbols, numbers, result, as an engineer writes them.

        Parameters
        ----------
        params : mapping of str to array
            As `Network.init` gives them, in rows, whatever the layout of the derivation.
        X, Y : arrays
            As for `Network.loss`.
        digits : int
            Significant digits of the smallest number in a matrix.
        sample_weight : array of shape (n,), optional
            For a derivation with weights; 1 for each example where it is not given.
        random_state : int, Generator or None
            Draws the dropout masks.
        **hyper
            Hyper-parameters of the update rule, such as `lr=0.5`; of `learning_rate="matrix"` also `lr_W1`, in rows.

        Returns
        -------
        Worked
            Printed by `print`; `.latex()`, `.six_steps()`; `["dW1"]` is one result.

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("2 -> 1 identity nobias").derive()
        >>> print(d.with_numbers({"W1": [[0.5], [-1]]}, [[1, 2], [3, 4]], [[0], [1]], lr=0.1))
        forward
          Z1 = X W1                                                              (2 x 1)
             = [1 2] [ 0.5]
               [3 4] [-1.0]
             = [-1.5]
               [-2.5]
        ...
          W1_next = W1 - lr dW1                                                  (2 x 1)
                  = [ 0.5] - 0.1 [-6.0]
                    [-1.0]       [-8.5]
                  = [ 1.10]
                    [-0.15]
        """
        check_digits(digits)
        data = {"sample_weight": sample_weight, "random_state": random_state}
        params = stacked(self.reading, check_mapping(params))
        return work_out(
            self.derived, self.listing, params, X, Y, digits=digits, hyper=hyper, translate=self.translate, **data
        )

    def entry(
        self,
        name: str,
        i: int,
        j: int,
        params: Mapping[str, Any],
        X: Any,
        Y: Any,
        *,
        latex: bool = False,
        digits: int = 4,
        **options: Any,
    ) -> str:
        """Explain one entry of one equation by its indices, with numbers. Indices count from 0.

        Parameters
        ----------
        name : str
            Of the equation, such as "dW2".
        i, j : int
            Row and column.
        params, X, Y, digits, **options
            As for `with_numbers`.
        latex : bool
            As LaTeX instead of text.

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("2 -> 1 identity nobias").derive()
        >>> print(d.entry("dW1", 1, 0, {"W1": [[0.5], [-1]]}, [[1, 2], [3, 4]], [[0], [1]]))
        dW1 = X' dZ1
        dW1[1,0] is row 1 of X' times column 0 of dZ1
          = X[0,1] · dZ1[0,0] + X[1,1] · dZ1[1,0]
          = 2 · (-0.75) + 4 · (-1.75)
          = -8.5
          W1[1,0] meets X[k,1] in [k,0] of X W1, for every example k: the sum over k of
          X[k,1] dZ1[k,0] is [1,0] of X' dZ1
        """
        worked = self.with_numbers(params, X, Y, digits=digits, **options)
        return worked.entry(self.derived, name, i, j, latex=latex)

    def source(self, language: str = "numpy", part: str = "program", *, flat: bool = False) -> str:
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
        flat : bool
            For the "step" of "numpy-inplace": all parameters lie end to end in one row theta, and what the update rule
            says of each, entry by entry, is said once of theta. Estimators with `engine="numpy"` run this.

        Returns
        -------
        str

        Raises
        ------
        UnknownNameError
            If there is no such language or part.
        DataError
            If the language has no word for a function, or no flat step.

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
        return program(self.listing, language, part, flat=flat)

    def hessian_vector_product(self) -> Derivatives:
        r"""Derive the Hessian of the loss times a direction, as equations after those of the forward and backward pass.

        Forward over reverse: the tangent of Z1 is Z1_dot, the direction of W1 is W1_dot, and dW1_dot is the product.

        Returns
        -------
        Derivatives

        Examples
        --------
        >>> import chainrule as cr
        >>> d = cr.Network("4 -> 8 tanh -> 1").derive().hessian_vector_product()
        >>> print(d["A1_dot"], d["dW2_dot"], sep="\n")
        A1_dot = Z1_dot ∘ (1 - A1 ∘ A1)
        dW2_dot = A1_dot' dZ2 + A1' dZ2_dot
        """
        return Derivatives(
            with_tangents(self.derived, self.listing.parameters, ALGEBRA), self.listing.parameters, self.notes
        )

    def verify(self, random_state: int = 0) -> Verification:
        """Replay every step by an independent checker, and compare the whole with finite differences.

        Sums, products and transposes are checked exactly, modulo a prime, at random points; what depends on the meaning
        of a function in floating point. What the steps pass on must add up to the equations, updates are those of their
        rule, and programs are printed from the same equations.

        Returns
        -------
        Verification
            True when every step is right; its text says how many were, and shows the wrong ones.
        """
        return verify(self.derived, self.listing.equations, random_state=random_state)


def _filled(lines: list[str]) -> list[str]:
    return [part for line in lines for part in sentence_lines(line, 0, 2)]
