"""What public functions were asked for: known words, expressions in which a name is one matrix; or one sentence."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from chainrule.calls import shown
from chainrule.errors import DataError, UnknownNameError, nearest
from chainrule.expr import Node, symbol_op, toposort


def check_word(said: str, wanted: object, words: Collection[str], where: str = "") -> None:
    """Refuse what is none of the words, whatever its type: said of it, as in "unknown solver 3", with the nearest."""
    if not isinstance(wanted, str) or wanted not in words:
        raise UnknownNameError(f"{said} {shown(wanted)}{where}{nearest(wanted, words)}")


def check_expression(function: str, given: object) -> Node:
    """The expression; refuse what is none, such as a number, an array or a formula that is still a text."""
    if not isinstance(given, Node):
        how = f"chainrule.parse({given!r}).expression" if isinstance(given, str) else "chainrule.matrix('W', 'd', 'k')"
        raise TypeError(f"{function}() takes expressions, such as {how}, got {shown(given)}")
    return given


def check_expressions(function: str, *given: object) -> None:
    """Refuse what is not an expression, and expressions in which two matrices have one name."""
    check_names(toposort(*(check_expression(function, each) for each in given)))


def check_names(nodes: Iterable[Node]) -> None:
    """Refuse two matrices of one name, such as X (n x d) beside X (m x d): equations could not tell them apart."""
    seen: dict[str, Node] = {}
    for node in nodes:
        if node.op is symbol_op and (first := seen.setdefault(node.value.name, node)) is not node:
            raise DataError(f"two different matrices are named {node.value.name!r}: {first!r} and {node!r}")
