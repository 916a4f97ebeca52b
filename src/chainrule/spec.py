"""The grammar of SPECs such as ``784 -> 128 relu dropout=0.2 -> 10 softmax``: text to frozen data.

Syntax only: the caller says which names exist; whether layers fit together and what a name means
is decided elsewhere. A `call` is read by chainrule.calls.

    network = size "->" layer { "->" layer }
    layer   = size { word }
    word    = "batchnorm" | "nobias" | "residual" | "dropout" "=" number | "init" "=" call | call
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from chainrule.calls import (
    Call,
    Known,
    Reader,
    Token,
    bind,
    format_call,
    parse_call,
    parse_sum,
    read_call,
    read_known_call,
    read_number,
    shortest,
)
from chainrule.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = [
    "WORDS",
    "Call",
    "LayerSpec",
    "NetworkSpec",
    "bind",
    "format_call",
    "format_spec",
    "parse",
    "parse_call",
    "parse_sum",
]

# One float64 column of this many weights takes 80 MB: a wider dense layer is a slip of the finger.
_MAX_SIZE = 10_000_000
# The activation of a layer that names none.
_DEFAULT = Call("identity")


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer as declared; `position` is where its width stands in the text."""

    width: int
    activation: Call = _DEFAULT
    dropout: float = 0.0
    batchnorm: bool = False
    bias: bool = True
    residual: bool = False
    initializer: Call | None = None
    position: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """The number of inputs, the layers, and the text they were read from (to show mistakes in)."""

    inputs: int
    layers: tuple[LayerSpec, ...]
    text: str = field(default="", compare=False, repr=False)


class _Known(NamedTuple):
    """The names that exist."""

    activations: Collection[str]
    initializers: Known


def _size(reader: Reader, what: str) -> int:
    """A whole number from 1 to _MAX_SIZE."""
    token = reader.take("number")
    if token is None:
        reader.expected(what)
    if not (token.text.isascii() and token.text.isdecimal()) or float(token.text) < 1:
        reader.fail(f"{what} must be a positive whole number, got {token.text!r}", token)
    if float(token.text) > _MAX_SIZE:
        reader.fail(f"{what} must be at most {_MAX_SIZE:,}, got {token.text!r}", token)
    return int(token.text)


def _dropout(reader: Reader, _: _Known) -> float:
    """The probability after "dropout="."""
    token = reader.next
    probability = read_number(reader, "a probability after 'dropout='")
    if not 0 <= probability < 1:
        reader.fail(f"dropout must be in [0, 1), got {token.text!r}", token)
    return probability


def _initializer(reader: Reader, known: _Known) -> Call:
    """The call after "init="."""
    return read_known_call(reader, "an initializer after 'init='", known.initializers)


# word -> (the field of LayerSpec it sets, the value): the one list that is both read and written.
_FLAGS = {
    "batchnorm": ("batchnorm", True),
    "nobias": ("bias", False),
    "residual": ("residual", True),
}
# word -> (the field, how its value is read, an example)
_SETTINGS: dict[str, tuple[str, Callable[[Reader, _Known], Any], str]] = {
    "dropout": ("dropout", _dropout, "dropout=0.5"),
    "init": ("initializer", _initializer, "init=he_normal"),
}
WORDS: tuple[str, ...] = (*_FLAGS, *_SETTINGS)


def _word(reader: Reader, name: Token, where: str, known: _Known) -> tuple[str, Any]:
    """The field of LayerSpec that a word sets, and the value."""
    if name.text in _FLAGS:
        if reader.next.kind in ("=", "("):
            reader.fail(f"{name.text!r} takes no value", reader.next)
        return _FLAGS[name.text]
    if name.text in _SETTINGS:
        target, read, example = _SETTINGS[name.text]
        if not reader.take("="):
            reader.fail(f"{name.text!r} needs a value, as in {example}", name)
        return target, read(reader, known)
    if name.text not in known.activations:
        hint = nearest(name.text, (*known.activations, *WORDS))
        reader.fail(f"unknown word {name.text!r} in {where}{hint}", name)
    if reader.next.kind == "=":
        reader.fail(f"a parameter of {name.text!r} goes in brackets", reader.next)
    return "activation", read_call(reader, name)


def _layer(reader: Reader, where: str, known: _Known) -> LayerSpec:
    """A width and the words after it."""
    position = reader.next.position
    layer = LayerSpec(_size(reader, f"the width of {where}"), position=position)
    seen: dict[str, str] = {}
    while name := reader.take("name"):
        target, value = _word(reader, name, where, known)
        if target in seen and seen[target] != name.text:
            reader.fail(f"{where} has two activations, {seen[target]!r} and {name.text!r}", name)
        if target in seen:
            reader.fail(f"{name.text!r} appears twice in {where}", name)
        seen[target] = name.text
        layer = replace(layer, **{target: value})
    return layer


def _end_layer(reader: Reader, where: str) -> None:
    """After a layer stands an arrow or the end: anything else is a mistake."""
    token = reader.next
    if token.kind == "number":
        hint = "a new layer needs '->' before it, a parameter needs brackets"
        reader.fail(f"unexpected number {token.text!r} in {where}; {hint}", token)
    if token.kind == ")":
        reader.fail("')' closes no '('", token)
    if token.kind == "other":
        reader.fail(f"unexpected {token.text!r} in {where}; an arrow is written '->'", token)
    if token.kind not in ("arrow", "end"):
        reader.fail(f"unexpected {token.text!r} in {where}; expected a word or '->'", token)


def parse(text: str, *, activations: Collection[str], initializers: Collection[str] | None = None) -> NetworkSpec:
    """Read a network SPEC.

    Parameters
    ----------
    text : str
        ``inputs -> width words -> ...`` with ``->`` or an arrow sign. After the width stand, in
        any order, an activation (identity unless given) and any of ``dropout=p``, ``batchnorm``,
        ``nobias``, ``residual``, ``init=name``.
    activations : collection of str
        The names of the activations that exist.
    initializers : collection of str, optional
        The names of the initializers that exist; any name is accepted when this is not given.

    Returns
    -------
    NetworkSpec

    Raises
    ------
    SpecError
        On any mistake, with the text and carets under the mistake.

    Examples
    --------
    >>> spec = parse("784 -> 128 relu dropout=0.2 -> 10 softmax", activations={"relu", "softmax"})
    >>> spec.inputs, [layer.width for layer in spec.layers]
    (784, [128, 10])
    >>> spec.layers[0].dropout
    0.2
    """
    known = _Known({_DEFAULT.name, *activations}, initializers)
    reader = Reader(text)
    if reader.next.kind == "end":
        reader.fail("empty SPEC; write for example '784 -> 128 relu -> 10 softmax'", reader.next)
    inputs = _size(reader, "the number of inputs")
    layers: list[LayerSpec] = []
    while arrow := reader.take("arrow"):
        where = f"layer {len(layers) + 1}"
        if reader.next.kind == "end":
            reader.fail(f"nothing follows the last arrow: {where} needs a width", arrow)
        layers.append(_layer(reader, where, known))
        _end_layer(reader, where)
    if not layers:
        reader.expected("'->' after the number of inputs")
    return NetworkSpec(inputs, tuple(layers), text)


def format_spec(spec: NetworkSpec) -> str:
    """Print a network's SPEC in its one canonical form, which is read back equal.

    Parameters
    ----------
    spec : NetworkSpec

    Returns
    -------
    str
        With ``->``, one space between words, the words of a layer in a fixed order, and what is
        the default left out.

    Examples
    --------
    >>> format_spec(parse("4→8 dropout=.50 relu→1 identity", activations={"relu"}))
    '4 -> 8 relu dropout=0.5 -> 1'
    """
    return " -> ".join([str(spec.inputs), *map(_format_layer, spec.layers)])


def _format_layer(layer: LayerSpec) -> str:
    usual = LayerSpec(layer.width)
    words = [str(layer.width)]
    if layer.activation != usual.activation:
        words.append(format_call(layer.activation))
    if layer.dropout != usual.dropout:
        words.append(f"dropout={shortest(layer.dropout)}")
    words += [word for word, (name, value) in _FLAGS.items() if getattr(layer, name) == value]
    if layer.initializer is not None:
        words.append(f"init={format_call(layer.initializer)}")
    return " ".join(words)
