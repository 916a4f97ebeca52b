"""The command line: from arguments to an exit status, with one message and no traceback for what a user can mend.

Each command is a typed function in a module of its own, which is imported when it is asked for.
"""

from __future__ import annotations

import io
import sys
import warnings
from typing import TYPE_CHECKING

from chainrule.cli.output import complain
from chainrule.cli.status import BAD_INPUT, CLOSED_PIPE, INTERRUPTED, OK

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments without the name of the program; those of the process where it is not given.

    Returns
    -------
    int
        The exit status: 0, 1 where a check failed, 2 for bad input, 130 after Ctrl-C.

    Examples
    --------
    >>> from chainrule.cli import main
    >>> main(["derive", "2 -> 1 logistic", "--source", "numpy", "--part", "backward"])
    dZ1 = (A1 - Y) / n
    db1 = dZ1.sum(axis=0, keepdims=True)
    dW1 = X.T @ dZ1
    0
    """
    _accept_every_letter()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]  # the rest of its arguments is unused
            return _run(sys.argv[1:] if argv is None else list(argv))
    except BrokenPipeError:
        return CLOSED_PIPE
    except KeyboardInterrupt:
        complain("interrupted")
        return INTERRUPTED
    except (ValueError, OSError, MemoryError, ArithmeticError) as error:
        if sys.flags.dev_mode:  # python -X dev -m chainrule ...: for a traceback
            raise
        complain(_message(error))
        return BAD_INPUT


def _run(argv: list[str]) -> int:
    """Parse, then call the function of the command; its status, or 0 where it returns none."""
    from cyclopts.exceptions import CycloptsError

    from chainrule.cli.commands import build
    from chainrule.cli.usage import explain

    app = build()
    try:
        command, bound, _ = app.parse_args(argv, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        raise ValueError(explain(error)) from error
    return command(*bound.args, **bound.kwargs) or OK


def _message(error: Exception) -> str:
    """One message for what went wrong."""
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}".removesuffix(": ")
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename!r}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _show_warning(message: Warning | str, category: type[Warning], *_: object) -> None:
    """What is meant for the user; how numbers overflowed on the way to an error is not."""
    if issubclass(category, UserWarning):
        complain(str(message), kind="warning")


def _accept_every_letter() -> None:
    """Show letters that a stream's encoding lacks by their number, where it would refuse the whole text."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
