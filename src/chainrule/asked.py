"""What public functions were asked for: an expression where one is needed, or one sentence."""

from __future__ import annotations

from chainrule.calls import shown
from chainrule.expr import Node


def check_expressions(function: str, *given: object) -> None:
    """Refuse what is not an expression, such as a number, an array or a formula that is still a text."""
    for each in given:
        if not isinstance(each, Node):
            how = (
                f"chainrule.parse({each!r}).expression" if isinstance(each, str) else "chainrule.matrix('W', 'd', 'k')"
            )
            raise TypeError(f"{function}() takes expressions, such as {how}, got {shown(each)}")
