"""The grammar of calls such as ``huber(0.5)`` or ``l2(0.01) + l1(0.001)``: text to frozen data.

Syntax only, by a tokenizer and a recursive descent; nothing is evaluated. The caller says which
names exist. The reader of tokens serves the grammar of SPECs (chainrule.spec) as well.

    sum   = part { "+" part }
    part  = call [ "/" name ]
    call  = name [ "(" [ value { "," value } ] ")" ]
    value = [ name "=" ] number
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import NamedTuple, NoReturn

from chainrule.errors import SpecError, nearest, with_article

__all__ = ["Call", "bind", "format_call", "parse_call", "parse_sum"]

_TOKEN = re.compile(
    r"""
      (?P<space>  \s+ )
    | (?P<arrow>  -> | → )
    | (?P<other>  =+> | --+> | ⇒ )
    | (?P<number> [+-]? (?: [0-9] | \.[0-9] ) (?: [eE][+-][0-9] | [\w.] )* )
    | (?P<name>   [^\W\d]\w* )
    | (?P<mark>   . )
    """,
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
# The names that exist, or None when any name is accepted.
Known = Collection[str] | None


@dataclass(frozen=True, slots=True)
class Call:
    """A name with its parameters, as in ``leaky_relu(0.1)``, ``elu(alpha=0.5)`` or ``relu``."""

    name: str
    arguments: tuple[float, ...] = ()
    keywords: tuple[tuple[str, float], ...] = ()
    position: int = field(default=0, compare=False)


class Token(NamedTuple):
    """A piece of the text; its kind is arrow, other (arrow), number, name, end, or any other character itself."""

    kind: str
    text: str
    position: int


class Reader:
    """The tokens of a text, and how many have been read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokenize(text)
        self.index = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.index]

    def take(self, kind: str) -> Token | None:
        """The next token, now read, if it is of this kind."""
        token = self.next
        if token.kind != kind:
            return None
        self.index += 1
        return token

    def fail(self, message: str, token: Token) -> NoReturn:
        """Raise `message` with carets under `token`."""
        raise SpecError(message, self.text, token.position, len(token.text))

    def expected(self, wanted: str) -> NoReturn:
        """Raise that something else than `wanted` comes next."""
        found = "the end" if self.next.kind == "end" else repr(self.next.text)
        self.fail(f"expected {wanted}, found {found}", self.next)


def check_text(what: str, text: object, such_as: str) -> None:
    """Refuse what is not a text; `what` is written in one."""
    if not isinstance(text, str):
        raise TypeError(f"{what} is a text such as {such_as!r}, got {shown(text)}")


def shown(value: object) -> str:
    """A value as an error shows it: itself if it is short, else what it is."""
    written = repr(value)
    short = len(written) <= 40 and "\n" not in written
    return written if short else with_article(type(value).__name__)


def _tokenize(text: str) -> tuple[Token, ...]:
    """Cut the text into tokens; the last one has kind "end"."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind, piece = str(match.lastgroup), match.group()
        if kind != "space":
            tokens.append(Token(piece if kind == "mark" else kind, piece, match.start()))
    return (*tokens, Token("end", "", len(text.rstrip())))


def read_number(reader: Reader, wanted: str) -> float:
    """A finite number; `wanted` says what it is for."""
    token = reader.take("number")
    if token is None:
        reader.expected(wanted)
    if not _NUMBER.fullmatch(token.text):
        reader.fail(f"cannot read {token.text!r} as a number", token)
    value = float(token.text)
    if not isfinite(value):
        reader.fail(f"{token.text!r} is too large for a number", token)
    return value


def read_call(reader: Reader, name: Token) -> Call:
    """A call of which the name has been read."""
    arguments: list[float] = []
    keywords: dict[str, float] = {}
    bracket = reader.take("(")
    if bracket is not None:
        ahead = (token.kind for token in reader.tokens[reader.index :])
        if next(kind for kind in ahead if kind in (")", "arrow", "end")) != ")":
            reader.fail(f"'(' after {name.text!r} is never closed", bracket)
        more = reader.next.kind != ")"
        while more:
            _read_value(reader, name.text, arguments, keywords)
            more = reader.take(",") is not None
        if not reader.take(")"):
            reader.expected("',' or ')'")
    return Call(name.text, tuple(arguments), tuple(keywords.items()), name.position)


def _read_value(reader: Reader, owner: str, arguments: list[float], keywords: dict[str, float]) -> None:
    """Read one parameter into `arguments` or `keywords`."""
    wanted = f"a parameter of {owner!r}"
    keyword = reader.take("name")
    if keyword is None:
        token = reader.next
        arguments.append(read_number(reader, wanted))
        if keywords:
            reader.fail(f"{token.text!r} without a name stands after a named parameter", token)
        return
    if keyword.text in keywords:
        reader.fail(f"{wanted} is given twice: {keyword.text!r}", keyword)
    if not reader.take("="):
        reader.fail(f"{wanted} is a number or name=number, found {keyword.text!r}", keyword)
    keywords[keyword.text] = read_number(reader, f"a number after '{keyword.text}='")


def read_known_call(reader: Reader, what: str, known: Known) -> Call:
    """A call whose name is one of `known`; any name when that is None."""
    name = reader.take("name")
    if name is None:
        reader.expected(what)
    if known is not None and name.text not in known:
        reader.fail(f"unknown name {name.text!r}{nearest(name.text, known)}", name)
    return read_call(reader, name)


def parse_call(text: str, *, known: Collection[str] | None = None) -> Call:
    """Read a name with optional parameters, such as a loss typed on a command line.

    Parameters
    ----------
    text : str
        ``name``, ``name(number, ...)`` or ``name(parameter=number, ...)``.
    known : collection of str, optional
        The names that exist; any name is accepted when this is not given.

    Returns
    -------
    Call

    Raises
    ------
    SpecError
        On any mistake, with the text and carets under the mistake.

    Examples
    --------
    >>> parse_call("huber(0.5)")
    Call(name='huber', arguments=(0.5,), keywords=(), position=0)
    """
    reader = Reader(text)
    call = read_known_call(reader, "a name", known)
    _end_calls(reader, call)
    return call


def parse_sum(
    text: str, *, known: Collection[str] | None = None, over: Mapping[str, tuple[str, float]] | None = None
) -> tuple[Call, ...]:
    """Read a sum of calls, such as penalties typed on a command line.

    Parameters
    ----------
    text : str
        Calls as in `parse_call`, with ``+`` between them.
    known : collection of str, optional
        The names that exist; any name is accepted when this is not given.
    over : mapping of str to (str, float), optional
        By what a call may be divided, and the parameter with its value that this means.

    Returns
    -------
    tuple of Call

    Raises
    ------
    SpecError
        On any mistake, with the text and carets under the mistake.

    Examples
    --------
    >>> [call.name for call in parse_sum("l2(0.01) + l1(0.001)")]
    ['l2', 'l1']
    """
    reader = Reader(text)
    calls = [_divided(reader, read_known_call(reader, "a name", known), over or {})]
    while reader.take("+"):
        calls.append(_divided(reader, read_known_call(reader, "a name after '+'", known), over or {}))
    _end_calls(reader, calls[-1])
    return tuple(calls)


def _divided(reader: Reader, call: Call, over: Mapping[str, tuple[str, float]]) -> Call:
    """The call with what a slash after it means."""
    slash = reader.next
    if not over or not reader.take("/"):
        return call
    below = reader.take("name")
    if below is None or below.text not in over:
        reader.fail(f"{call.name!r} is divided by {' or '.join(over)} only", below or slash)
    parameter, value = over[below.text]
    if parameter in dict(call.keywords):
        reader.fail(f"{parameter!r} of {call.name!r} is said twice", slash)
    return replace(call, keywords=(*call.keywords, (parameter, value)))


def _end_calls(reader: Reader, last: Call) -> None:
    if reader.next.kind != "end":
        reader.fail(f"unexpected {reader.next.text!r} after {last.name!r}", reader.next)


def bind(call: Call, parameters: Iterable[tuple[str, float | None]], text: str | None = None) -> tuple[float, ...]:
    """Give every declared parameter its value: from the call, else its default.

    Parameters
    ----------
    call : Call
        The name with the parameters that were typed.
    parameters : iterable of (str, float or None)
        The declared parameters in order, with their defaults; None for one that must be given.
    text : str, optional
        The text that the call was read from, to show a mistake in.

    Returns
    -------
    tuple of float
        One value for each declared parameter, in the declared order.

    Raises
    ------
    SpecError
        On a parameter too many, unknown, given twice or missing.

    Examples
    --------
    >>> bind(parse_call("huber"), [("delta", 1.0)])
    (1.0,)
    >>> bind(parse_call("huber(delta=0.5)"), [("delta", 1.0)])
    (0.5,)
    """
    defaults, named = dict(parameters), dict(call.keywords)
    positional = tuple(defaults)[: len(call.arguments)]
    twice = next((name for name in positional if name in named), None)
    unknown = next((name for name in named if name not in defaults), None)
    values = {**defaults, **dict(zip(positional, call.arguments, strict=False)), **named}
    missing = next((name for name, value in values.items() if value is None), None)
    message = ""
    if len(call.arguments) > len(positional):
        takes, got = ", ".join(defaults) or "none", len(call.arguments)
        message = f"too many parameters for {call.name!r}: it takes {takes}, got {got}"
    elif unknown is not None:
        message = f"{call.name!r} has no parameter {unknown!r}{nearest(unknown, defaults)}"
    elif twice is not None:
        message = f"parameter {twice!r} of {call.name!r} is given twice"
    elif missing is not None:
        message = f"{call.name!r} needs {missing!r}, as in {call.name}({missing}=0.5)"
    if message:
        shown, position = (format_call(call), 0) if text is None else (text, call.position)
        raise SpecError(message, shown, position, len(call.name))
    return tuple(value for value in values.values() if value is not None)


def format_call(call: Call) -> str:
    """Print a call so that it is read back equal.

    Parameters
    ----------
    call : Call

    Returns
    -------
    str

    Examples
    --------
    >>> format_call(Call("elu", keywords=(("alpha", 0.5),)))
    'elu(alpha=0.5)'
    """
    values = [shortest(value) for value in call.arguments]
    values += [f"{name}={shortest(value)}" for name, value in call.keywords]
    return f"{call.name}({', '.join(values)})" if values else call.name


def shortest(number: float) -> str:
    """The shortest digits that are read back as the same number, without a trailing ".0"."""
    return repr(float(number)).removesuffix(".0")
