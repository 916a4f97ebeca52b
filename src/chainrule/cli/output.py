"""Where the command line writes: results to standard output or to a file, all else to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import textwrap
from pathlib import Path

from chainrule.atomic import atomic_write_text
from chainrule.errors import DataError

PROGRAM = "chainrule"
WIDTH = 80


def say(text: str) -> None:
    """Write a result to standard output, at once."""
    try:
        print(text, flush=True)
    except OSError as error:
        _abandon_output()
        if isinstance(error, BrokenPipeError):
            raise
        raise DataError(f"cannot write to standard output: {error.strerror or error}") from error


def remark(text: str) -> None:
    """Write what is not a result to standard error, where there still is one."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def complain(text: str, kind: str = "error") -> None:
    """Write `chainrule: error: ...` to standard error; an error as it is, for a caret may point into it."""
    said = f"{PROGRAM}: {kind}: {text}"
    remark(said if kind == "error" else textwrap.fill(said, WIDTH, subsequent_indent="  "))


def deliver(text: str, output: Path | None) -> None:
    """Write a whole result to a file, which appears complete or not at all, or to standard output."""
    text = text.rstrip("\n")
    if output is None:
        say(text)
        return
    with atomic_write_text(output) as file:
        file.write(f"{text}\n")


def keep_input(output: Path | None, *inputs: str) -> None:
    """Refuse to write over what is read: a slip would lose it."""
    for name in inputs:
        if output is not None and output.exists() and Path(name).exists() and output.samefile(name):
            raise DataError(f"{str(output)!r} is what is read, and would be replaced: write to another file")


def _abandon_output() -> None:
    """Let the rest of standard output vanish: the interpreter flushes it at its end, and would complain."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
