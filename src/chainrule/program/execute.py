"""Running a program: the printed NumPy text is what is executed. The one `exec` of the package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy  # and not scipy.special, which a word such as erfc loads when it runs

from chainrule.expr import is_atom, toposort_to_names
from chainrule.program.code import code
from chainrule.program.languages import NUMPY
from chainrule.program.lower import Statement

INDENT = "    "


def compile_function(
    name: str, inputs: Sequence[str], statements: Sequence[Statement], outputs: Sequence[str]
) -> Callable[..., tuple[Any, ...]]:
    """A function of the inputs, by name, that runs the statements and returns the outputs in order."""
    lines = [f"def {name}({', '.join(inputs)}):"]
    lines += [f"{INDENT}{s.target} = {code(s.expression, NUMPY)}" for s in statements]
    lines.append(f"{INDENT}return ({', '.join(outputs)},)")
    function: Callable[..., tuple[Any, ...]] = run("\n".join(lines), name)
    return function


def run(text: str, name: str) -> Any:
    """Execute a program's text and return what it defines under a name."""
    namespace: dict[str, Any] = {"np": np, "scipy": scipy}
    exec(compile(text, f"<chainrule {name}>", "exec"), namespace)
    return namespace[name]


def needed(statements: Sequence[Statement], outputs: Sequence[str]) -> list[Statement]:
    """The statements that the outputs depend on."""
    wanted = set(outputs)
    kept: list[Statement] = []
    for s in reversed(statements):
        if s.target in wanted:
            kept.append(s)
            wanted |= {str(n.name) for n in toposort_to_names(s.expression) if is_atom(n)}
    return kept[::-1]
