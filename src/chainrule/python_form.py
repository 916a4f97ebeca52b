"""An expression as the Python that makes it again: what `repr` shows; and how errors name the operands."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

Node: TypeAlias = Any  # a Node of expr.py, which stands above this file

INFIX = {"add": "({0} + {1})", "hadamard": "({0} * {1})", "matmul": "({0} @ {1})", "transpose": "{0}.T"}
LONGEST = 20_000  # characters; a longer form is of no use to a reader


def as_python(root: Node, order: Iterable[Node]) -> str:
    """Python that makes `root` again, given its nodes operands first; a short form where that is very long."""
    text: dict[Node, str] = {}
    for node in order:
        text[node] = _call(node, [text[a] for a in node.args])
        if len(text[node]) > LONGEST:
            return f"<{root.op.name} {root.name or 'expression'} ({root.shape[0]} x {root.shape[1]})>"
    return text[root]


def _call(node: Node, args: list[str]) -> str:
    """One node, its operands being text already."""
    op = node.op.name
    if op in INFIX:
        return INFIX[op].format(*args)
    if op == "symbol":
        return _symbol(node.value, node)
    if op == "full":
        finite = node.value - node.value == 0
        return f"full({node.value if finite else f'float({str(node.value)!r})'}, {node.shape!r})"
    if op == "ones":
        return f"ones({node.shape[0]!r})"
    if op == "define":
        return f"define({node.value!r}, {args[0]})"
    if op == "scale":
        number, exponents = node.value
        powers = "".join(f", ({base}, {e})" for base, e in zip(args[1:], exponents, strict=True))
        return f"scale({args[0]}, {str(number)!r}{powers})"
    parameters = "".join(f", {p!r}" for p in node.value)
    return f"{op}({', '.join(args)}{parameters})"


def _symbol(s: Any, node: Node) -> str:
    declared = {"role": (s.role, "data"), "facts": (s.facts, ()), "distribution": (s.distribution, None)}
    extra = "".join(f", {key}={value!r}" for key, (value, default) in declared.items() if value != default)
    return f"matrix({s.name!r}, {node.shape[0]!r}, {node.shape[1]!r}{extra})"


def operands_in_words(op: str, args: Iterable[Node]) -> str:
    """Where an error is, in the user's own names: `, in X W1`; nothing where an operand has no name."""
    names = [a.name or (a.op.name == "transpose" and a.args[0].name and f"{a.args[0].name}'") for a in args]
    between = {"matmul": " ", "add": " + ", "hadamard": " ∘ "}.get(op, ", ")
    return f", in {between.join(names)}" if all(names) else ""


def called(node: Node) -> str:
    """What an error calls an expression: its name, or the Python that makes it if that is short."""
    written = node.name or repr(node)
    return written if len(written) <= 60 else f"an expression of {node.shape[0]} x {node.shape[1]}"
