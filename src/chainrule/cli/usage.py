"""Wrong command lines in words: what cyclopts found, said as the library says its own errors."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    RepeatArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from chainrule.cli.output import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterable

_WANTED = {int: "a whole number", float: "a number", bool: "no value"}


def explain(error: CycloptsError) -> str:
    """One sentence: what was asked, and what there is."""
    match error:
        case UnknownCommandError(unused_tokens=[str(name), *_]):
            known = [str(each) for each in error.app or ()]
            if name.startswith("-"):
                return _unknown("option", name, known, error)
            return _unknown("command", name, [each for each in known if not each.startswith("-")], error)
        case UnknownOptionError():
            if error.token.keyword == "-":  # of an unquoted `4 -> 3`, whose rest the shell took for a file
                return _unquoted("-", error)
            known = [name for argument in error.argument_collection for name in argument.names]
            return _unknown("option", error.token.keyword or error.token.value, known, error)
        case UnusedCliTokensError(unused_tokens=[str(token), *_]):
            return _unquoted(token, error)
        case MissingArgumentError(argument=argument) if argument is not None:
            given = error.keyword or (any(name.startswith("-") for name in argument.names) and argument.tokens)
            what = f"{error.keyword or argument.name} needs a value" if given else f"{argument.name} is missing"
            return f"{what}{_see(error)}"
        case RepeatArgumentError():
            return f"{error.token.keyword} is given twice"
        case CoercionError(token=token) if token is not None and error.target_type in _WANTED:
            return f"{token.keyword} takes {_WANTED[error.target_type]}, got {token.value!r}"
    error.verbose = False
    text = str(error).rstrip(".")
    return text[:1].lower() + text[1:]


def _unknown(what: str, name: str, known: Iterable[str], error: CycloptsError) -> str:
    """The nearest known name, whatever its dashes, or where to find them all."""
    full = {each.lstrip("-"): each for each in known}
    close = difflib.get_close_matches(name.lstrip("-"), full, n=1)
    return f"unknown {what} {name!r}{f'; did you mean {full[close[0]]!r}?' if close else _see(error)}"


def _unquoted(token: str, error: CycloptsError) -> str:
    return f"unexpected {token!r}: an argument with spaces or > in it needs quotes around it{_see(error)}"


def _see(error: CycloptsError) -> str:
    return f"; see {' '.join([PROGRAM, *(error.command_chain or ())])} --help"
