"""Lines of a program within the width of a page: a long statement goes on, broken at its outermost operators first.

The layout is a formatter's, of the text alone: brackets, commas, and operators between spaces. How a statement goes on
is the language's to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from chainrule.program.language import Language
from chainrule.render.text import WIDTH

STEP = 4  # of indentation
OPENING, CLOSING = "([{", ")]}"
COMMA, EQUALS = 0, " = "
TIGHTNESS = {  # of the operators that a line may start with, in any language; what ends with a comma binds least
    operator: level
    for level, operators in enumerate(
        ("for", "if else ? :", "or ||", "and && &", "< > <= >= == !=", "+ -", "* / @ .* ./"), start=COMMA + 1
    )
    for operator in operators.split()
}


def fitted(text: str, to: Language) -> str:
    """A program's text with its long statements broken; comments and docstrings stay as they are."""
    lines: list[str] = []
    for line in text.split("\n"):
        said = line.lstrip().startswith((to.comment[0], '"""'))
        lines += [line] if said or len(line) <= WIDTH else _statement(line, to)
    return "\n".join(lines)


def _statement(line: str, to: Language) -> list[str]:
    """A long statement; what is assigned to is broken too where nothing of the value has room beside it."""
    layout = Layout(WIDTH - len(to.continued or ""), bracketed=to.continued is None)
    indent = len(line) - len(line.lstrip())
    head, value = _head(line.lstrip())
    lines = [" " * indent + head]
    first, *more = layout.value(value, len(lines[0]), indent)
    if len(lines[0] + first) > layout.width and head.endswith(EQUALS):
        lines = layout.value(head.removesuffix(EQUALS), layout.width, indent)
        lines[0], lines[-1] = " " * indent + lines[0], lines[-1] + EQUALS
        first, *more = layout.value(value, len(lines[-1]), indent)
    lines = [*lines[:-1], lines[-1] + first, *more]
    return [*(each + (to.continued or "") for each in lines[:-1]), lines[-1]]


def _head(statement: str) -> tuple[str, str]:
    """What stands before the value: `target = `, `return `, or nothing."""
    words = _words(statement)
    if "=" in words:
        head = " ".join(words[: words.index("=")]) + EQUALS
    else:
        head = "return " if words[0] == "return" else ""
    return head, statement.removeprefix(head)


@dataclass(frozen=True)
class Layout:
    """Text on lines of a width. The first line begins in a column, and comes without what is before it."""

    width: int
    bracketed: bool  # does a statement go on inside brackets only?

    def value(self, text: str, column: int, indent: int) -> list[str]:
        """A whole value, in brackets of its own where it goes on outside of those it has."""
        lines = self.piece(text, column, indent)
        if self.bracketed and not _goes_on_inside(lines):
            return ["(", *self.inside(text, indent + STEP), " " * indent + ")"]
        return lines

    def piece(self, text: str, column: int, indent: int) -> list[str]:
        """What fits on a line, or its parts, or the text of its longest brackets."""
        if column + len(text) <= self.width:
            return [text]
        parts = _parts(text)
        return self.filled(parts, column, indent, indent + STEP) if len(parts) > 1 else self.opened(text, indent)

    def opened(self, text: str, indent: int) -> list[str]:
        """Brackets whose text stands on lines of its own."""
        start, stop = max(_brackets(text), key=lambda span: span[1] - span[0], default=(0, 0))
        if stop - start <= 2:
            return [text]
        margin = " " * indent
        first, *more = self.piece(text[stop:], indent + 1, indent)
        inside = self.inside(text[start + 1 : stop - 1], indent + STEP)
        return [text[: start + 1], *inside, margin + text[stop - 1] + first, *more]

    def inside(self, text: str, indent: int) -> list[str]:
        """A text on lines of its own."""
        first, *more = self.filled(_parts(text), indent, indent, indent)
        return [" " * indent + first, *more]

    def filled(self, parts: Sequence[str], column: int, indent: int, further: int) -> list[str]:
        """As many parts on each line as fit, the first line indented by `indent`, others further.

        A part longer than a line begins one and ends one. But brackets open beside an operator before them, and an
        operator follows where they close.
        """
        lines, ended, operand = [""], False, False
        for part in parts:
            operator = _is_operator(part)
            margin, used = (indent, column) if len(lines) == 1 else (further, 0)
            room = self.width - used - len(lines[-1])
            whole = further + len(part) <= self.width  # on a line of its own
            beside: list[str] = []
            if lines[-1] and (not ended or (operand and operator)):
                beside = self.beside(part, room, margin, opening=operator and not whole)
            if beside:
                lines[-1:] = [f"{lines[-1]} {beside[0]}", *beside[1:]]
            else:
                if lines[-1]:
                    lines.append(" " * further)
                    margin, used = further, 0
                first, *more = self.piece(part, used + len(lines[-1]), margin)
                lines[-1:] = [lines[-1] + first, *more]
                ended, operand = bool(more), len(_parts(part)) == 1
        return lines

    def beside(self, part: str, room: int, indent: int, *, opening: bool) -> list[str]:
        """A part on a line with some room: whole, or up to its brackets where they may open there; else nothing."""
        if len(part) < room:
            return [part]
        if not opening or len(_parts(part)) > 1:
            return []
        lines = self.opened(part, indent)
        return lines if len(lines) > 1 and len(lines[0]) < room else []


def _is_operator(part: str) -> bool:
    """Does a part start with an operator, and not with a comprehension's `for`?"""
    return TIGHTNESS.get(part.split(" ")[0], COMMA) > TIGHTNESS["for"]


def _goes_on_inside(lines: Sequence[str]) -> bool:
    """Does no line but the last end outside brackets?"""
    return all(_depths("".join(lines[:count]))[-1] for count in range(1, len(lines)))


def _parts(text: str) -> list[str]:
    """A text in parts, cut at its loosest operators: each starts with one, or ends with a comma."""
    words = _words(text)
    levels = [COMMA if a[-1] in ",;" else TIGHTNESS.get(b) for a, b in pairwise(words)]
    loosest = min((level for level in levels if level is not None), default=None)
    parts = [words[0]]
    for word, level in zip(words[1:], levels, strict=True):
        if level == loosest and level is not None:
            parts.append(word)
        else:
            parts[-1] += f" {word}"
    return parts


def _words(text: str) -> list[str]:
    """A text cut at the spaces outside brackets."""
    words = [""]
    for c, depth in zip(text, _depths(text), strict=True):
        if c == " " and not depth:
            words.append("")
        else:
            words[-1] += c
    return words


def _brackets(text: str) -> list[tuple[int, int]]:
    """Where the outermost brackets of a text begin, and what follows them begins; one left open is not among them."""
    edges = [
        i for i, (before, now) in enumerate(pairwise([0, *_depths(text)])) if not (before and now) and before != now
    ]
    spans = zip(edges[::2], edges[1::2], strict=False)
    return [(start, stop + 1) for start, stop in spans if text[start] in OPENING]


def _depths(text: str) -> list[int]:
    """How many brackets are open behind each letter; quotation marks are brackets, and enclose none."""
    depths, depth, quoted = [], 0, False
    for c in text:
        quoted ^= c == '"'
        depth += 0 if quoted else (c in OPENING) - (c in CLOSING)
        depths.append(depth + quoted)
    return depths
