"""Conventions as data: how a book writes a network. A derivation is made once, in rows, and re-read in any of them.

What each option means is in docs/conventions.md. Nothing is derived here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from chainrule.arrays import as_numbers, check_mapping
from chainrule.asked import check_word
from chainrule.calls import shown
from chainrule.errors import ConventionError, DataError, ShapeError
from chainrule.layers import Dense
from chainrule.shapes import Shape, show

OPTIONS: dict[str, tuple[str, ...]] = {
    "layout": ("rows", "columns"),
    "weights": ("XW", "XWt", "WX", "WtX"),
    "reduction": ("mean", "sum"),
    "scale": ("delta", "gradient", "step"),
    "bias": ("row", "column", "ones", "none"),
    "sign": ("descent", "ascent"),
}
"""The words of every option; the first is that of rows and of a mean, where none is given."""
SIDES = {"XW": "rows", "XWt": "rows", "WX": "columns", "WtX": "columns"}  # the layout that a product needs
TURNED = {"XW": "WX", "WX": "XW", "XWt": "WtX", "WtX": "XWt", "row": "column", "column": "row"}
TRANSPOSED = ("XWt", "WX")  # W has a row for every output
PRODUCTS = {"XW": "X W", "XWt": "X W'", "WX": "W X", "WtX": "W' X"}


@dataclass(frozen=True)
class Convention:
    """How equations are written, whatever the network.

    Parameters
    ----------
    layout : {"rows", "columns"}
        One example in a row of X, or in a column.
    weights : {"XW", "XWt", "WX", "WtX"}, optional
        The product of a layer: X W and X W' in rows, W X and W' X in columns; where it is not given, X W or W X.
    reduction : {"mean", "sum"}, optional
        Of the loss over the examples; the network's own where it is not given.
    scale : {"delta", "gradient", "step"}, optional
        Where the 1/n of a mean stands: in dZ, as where it is not given, in dW and db, or in the step. A sum has none.
    bias : {"row", "column", "ones", "none"}, optional
        A row or a column, as the layout is where it is not given; the last row of W, against a one beside every
        input; or no biases.
    sign : {"descent", "ascent"}
        Derivatives of the loss, taken off; or of its negative, added.

    Examples
    --------
    >>> import chainrule as cr
    >>> net = cr.Network("4 -> 3 tanh -> 1 logistic")
    >>> print(net.derive(convention=cr.Convention(weights="XWt", sign="ascent"))["dZ1"])
    dZ1 = (dZ2 W2) ∘ (1 - A1 ∘ A1)
    >>> cr.Convention("columns").weights
    'WX'
    """

    layout: str = "rows"
    weights: str = ""
    reduction: str | None = None
    scale: str | None = None
    bias: str = ""
    sign: str = "descent"

    def __post_init__(self) -> None:
        usual = {"rows": ("XW", "row"), "columns": ("WX", "column")}.get(str(self.layout), ("", ""))
        for option, word in zip(("weights", "bias"), usual, strict=True):
            object.__setattr__(self, option, getattr(self, option) or word)
        for option, words in OPTIONS.items():
            if (word := getattr(self, option)) is not None or option not in ("reduction", "scale"):
                check_word(f"unknown {option}", word, words)
        if self.layout != SIDES[self.weights]:
            raise ConventionError(self._of_the_other_layout())
        if self.reduction == "sum" and self.scale:
            raise ConventionError(nothing_to_place(self.scale))

    @property
    def place(self) -> str:
        """Where the 1/n of a mean stands."""
        return self.scale or "delta"

    def _of_the_other_layout(self) -> str:
        needed = SIDES[self.weights]
        W = "h x d" if self.weights in TRANSPOSED else "d x h"
        X = "n x d" if self.layout == "rows" else "d x n"
        others = " or ".join(repr(word) for word, layout in SIDES.items() if layout == self.layout)
        return (
            f"weights={self.weights!r} is the product {PRODUCTS[self.weights]} of {needed}, and the layout is "
            f"{self.layout}: in layer 1 already, W1 is ({W}) and X ({X}); take weights={others}, or layout={needed!r}"
        )

    @property
    def turned(self) -> Convention:
        """The same in the other layout: every matrix is the transpose."""
        other = "columns" if self.layout == "rows" else "rows"
        return replace(self, layout=other, weights=TURNED[self.weights], bias=TURNED.get(self.bias, self.bias))

    def __str__(self) -> str:
        """In words, what is usual left out: columns, 1/n in dW and db."""
        usual = Convention(self.layout)
        words = [self.layout]
        if self.weights != usual.weights:
            words.append(PRODUCTS[self.weights])
        if self.bias != usual.bias:
            words.append(BIASES[self.bias])
        if self.reduction == "sum":
            words.append("sum")
        elif self.place != usual.place:
            words.append(PLACES[self.place])
        if self.sign == "ascent":
            words.append("ascent")
        return ", ".join(words)


BIASES = {"row": "biases in rows", "column": "biases in columns", "ones": "biases in W", "none": "no biases"}
PLACES = {"delta": "1/n in dZ", "gradient": "1/n in dW and db", "step": "1/n in the step"}

CONVENTIONS: dict[str, Convention] = {
    "nielsen": Convention("columns", "WX", "mean", "step", "column"),  # Neural Networks and Deep Learning, 2015
    "ng": Convention("columns", "WX", "mean", "gradient", "column"),  # deeplearning.ai, course 1, week 3
    "raja": Convention("columns", "WX", "sum", None, "none"),  # A Derivation of Backpropagation in Matrix Form, 2016
    "cs231n": Convention("rows", "XW", "mean", "delta", "row"),  # Stanford, assignment 1: two_layer_net
    "hse": Convention("rows", "XW", "mean", "delta", "row"),  # Introduction to Deep Learning, week 2: Dense
    "pytorch": Convention("rows", "XWt", "mean", "delta", "row"),  # torch.nn.Linear
}


def find_convention(wanted: str | Convention | None, layers: Sequence[Dense] = (), **options: str | None) -> Convention:
    """The convention of a name, single options changed; None leaves an option as it is.

    Another layout turns the weights and biases with it, unless they are given too; a sum has no 1/n to place. The
    layers are those that a contradiction is about.
    """
    if not isinstance(wanted, str | Convention | None):
        raise TypeError(f"a convention is a name such as 'ng', or a chainrule.Convention, got {shown(wanted)}")
    if isinstance(wanted, str):
        check_word("unknown convention", wanted, CONVENTIONS)
    base = CONVENTIONS[wanted] if isinstance(wanted, str) else wanted or Convention()
    given: dict[str, Any] = {option: word for option, word in options.items() if word is not None}
    if given.get("layout", base.layout) != base.layout and given["layout"] in OPTIONS["layout"]:
        base = base.turned
    if given.get("reduction") == "sum":
        base = replace(base, scale=None)
    try:
        if given.get("reduction", base.reduction) == "sum" and given.get("scale") in OPTIONS["scale"]:
            raise ConventionError(nothing_to_place(given["scale"], layers, base.bias))
        return replace(base, **given)
    except ConventionError as error:
        if not isinstance(wanted, str):
            raise
        raise ConventionError(f"convention {wanted!r}: {error}") from None


PLACED = {"delta": ("", ("dZ",)), "gradient": ("", ("dW", "db")), "step": ("the step of ", ("W", "b"))}
MOST_NAMES = 6  # in a list


def nothing_to_place(scale: str, layers: Sequence[Dense] = (), bias: str = "row") -> str:
    """In words, that a sum has no 1/n, in which names of which layers."""
    before, kinds = PLACED[scale]
    names = [
        f"{kind}{i}"
        for i, layer in enumerate(layers, 1)
        for kind in kinds
        if not kind.endswith("b") or (layer.bias and bias not in ("ones", "none"))
    ]
    if len(names) > MOST_NAMES:
        names[3:-1] = ["..."]
    where = before + (", ".join(names) if names else " and ".join(kinds))
    some = f"layers 1 {'to' if len(layers) > 2 else 'and'} {len(layers)} have none"
    which = some if len(layers) > 1 else "layer 1 has none" if layers else "no layer has one"
    return (
        f"scale={scale!r} says that the 1/n of a mean stands in {where}, and with reduction='sum' {which} there: "
        f"take reduction='mean', or leave scale out"
    )


def check_convention(convention: Convention, layers: Sequence[Dense], reduction: str, asked: str) -> None:
    """Refuse a convention that contradicts the network, and say in which layer; `asked` is what left out biases."""
    c = convention
    biased = [str(i) for i, layer in enumerate(layers, 1) if layer.bias]
    if c.bias == "none" and biased:
        where, have = ("layer", "has one") if len(biased) == 1 else ("layers", "have them")
        raise ConventionError(
            f"{asked} is for networks without biases, and {where} {', '.join(biased)} {have}: write nobias there, "
            f"or take bias={'row' if c.layout == 'rows' else 'column'!r}"
        )
    if (c.reduction or reduction) == "sum" and c.scale:
        raise ConventionError(nothing_to_place(c.scale, layers, c.bias))


# ---- what names mean in a convention

Power = tuple[Fraction, int]  # a number, and the exponent of n: of the number of examples, or of their weights' sum
ONE: Power = (Fraction(1), 0)


@dataclass(frozen=True)
class Reading:
    """How the names of a network's rows derivation are read in a convention: which are turned, and which multiplied."""

    convention: Convention
    weights: frozenset[str] = frozenset()  # the parameters by kind
    biases: frozenset[str] = frozenset()
    multiples: Mapping[str, Power] = field(default_factory=dict)  # of the equations that are not what they were
    notes: tuple[str, ...] = ()  # the same in words, and how blocks are written

    def is_transposed(self, name: str) -> bool:
        """Is it the transpose of what the network calls by this name?"""
        parts = set(name.removeprefix("d").split("_"))  # dW1, lr_W1, m_W1_next are of W1
        if parts & self.weights:
            return self.convention.weights in TRANSPOSED
        if parts & self.biases:
            return self.convention.bias == "column"
        return self.convention.layout == "columns"

    def multiple(self, name: str) -> Power:
        """By which number, and by which power of n, it is multiplied."""
        return self.multiples.get(name, ONE)

    @property
    def is_plain(self) -> bool:
        """Does every name mean what it means in rows?"""
        c = self.convention
        return (c.layout, c.weights) == ("rows", "XW") and c.bias != "column" and not self.multiples


def translated(reading: Reading, values: Mapping[str, Any], shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Arrays in rows as a reading means them, whose names have these shapes there; see `Derivation.translate`."""
    arrays = {name: as_numbers(name, value) for name, value in stacked(reading, values).items()}
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        check_word("there is no", name, shapes, " in this derivation")
        _check_shape(name, array, shapes[name][::-1] if reading.is_transposed(name) else shapes[name], sizes)
    return {name: _translated(reading, name, array, arrays) for name, array in arrays.items()}


def _check_shape(name: str, array: Any, shape: Shape, sizes: dict[str, int]) -> None:
    """Refuse what does not have its shape in rows; `sizes` says how many rows were seen, by name."""
    fits = array.ndim == 2 and all(
        found == (sizes.setdefault(size, found) if isinstance(size, str) else size)
        for size, found in zip(shape, array.shape, strict=True)
    )
    if not fits:
        counted = "".join(f" with {size} = {sizes[size]}" for size in shape if size in sizes and array.ndim == 2)
        raise ShapeError(f"{name} is {show(shape)} in rows{counted}, got an array of shape {array.shape}")


def stacked(reading: Reading, values: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays in rows with every bias below its weights, where a reading has biases there."""
    arrays = check_mapping(values, "the values are a mapping of names to arrays")
    if reading.convention.bias == "ones":
        for name in [name for name in arrays if name.removeprefix("d") in reading.weights]:
            if (b := name.replace("W", "b")) in arrays:
                W, last = as_numbers(name, arrays[name]), as_numbers(b, arrays.pop(b))
                if W.ndim != 2 or last.shape != (1, W.shape[1]):
                    raise DataError(f"{b} is a row to go below {name}, got shapes {last.shape} and {W.shape}")
                arrays[name] = np.vstack([W, last])
    return arrays


def _translated(reading: Reading, name: str, array: Any, arrays: Mapping[str, Any]) -> Any:
    sign, exponent = reading.multiple(name)
    k = float(sign)
    if exponent:
        if "w" not in arrays and "X" not in arrays:
            raise DataError(f"{name} is multiplied by the number of examples here: give X too, or the weights w")
        k *= float(arrays["w"].sum() if "w" in arrays else len(arrays["X"])) ** exponent
    turned = array.T if reading.is_transposed(name) else array
    return turned if k == 1 else k * turned


@dataclass(frozen=True)
class Multiples:
    """What a convention multiplies: the loss, the error signals dZ, dA, ..., and the gradients dW and db."""

    loss: Power
    signals: Power
    gradients: Power

    @classmethod
    def of(cls, convention: Convention, reduction: str) -> Multiples:
        """Of a network whose loss is reduced this way."""
        wanted = convention.reduction or reduction
        c = (wanted == "sum") - (reduction == "sum")  # the power of n that the loss is multiplied by
        sign = Fraction(-1 if convention.sign == "ascent" else 1)
        return cls(
            loss=(Fraction(1), c),
            signals=(sign, c + (convention.place != "delta")),
            gradients=(sign, c + (convention.place == "step")),
        )

    @property
    def in_the_step(self) -> Power:
        """By what dW is multiplied in the step, which goes down the loss of the convention."""
        return self.gradients[0], self.loss[1] - self.gradients[1]

    def notes(self, n: str, signals: Sequence[str], gradients: Sequence[str]) -> list[str]:
        """In words, what is another multiple than its name says; `n` is what a mean is divided by."""
        said = []
        if self.loss != ONE:
            said.append(f"the loss is {_times(self.loss, n)} net.loss, and so are its derivatives")
        of_signals, of_gradients = ((sign, e - self.loss[1]) for sign, e in (self.signals, self.gradients))
        if of_signals == of_gradients:
            groups = [([*signals, *gradients], of_signals)]
        else:
            groups = [(list(signals), of_signals), (list(gradients), of_gradients)]
        return said + [_note(names, power, n) for names, power in groups if power != ONE]


def _note(names: Sequence[str], power: Power, n: str) -> str:
    *more, last = names
    if not more:
        return f"{last} is {_times(power, n)} the derivative of the loss"
    return f"{', '.join(more)} and {last} are {_times(power, n)} the derivatives of the loss"


def _times(power: Power, n: str) -> str:
    sign, exponent = power
    size = {0: "1", 1: n, -1: f"1/{n}"}[exponent]
    return f"{'-' if sign < 0 else ''}{size} times"
