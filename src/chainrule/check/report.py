"""The result of a gradient check: what was found about each parameter, and its table.

Only data and its printing; the judging is done elsewhere.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["OK", "BlockReport", "Entry", "GradientReport"]

OK = "ok"


@dataclass(frozen=True)
class Entry:
    """One entry of a block: its index and the two derivatives."""

    index: tuple[int, ...]
    analytic: float
    numeric: float
    relative_error: float


@dataclass(frozen=True)
class BlockReport:
    """What was found about one parameter.

    Attributes
    ----------
    name, shape : str, tuple of int
        The parameter; the name is ``params[0]``, ... in a sequence, ``params`` for one array.
    verdict : str
        ``"ok"``, ``"wrong"``, ``"not smooth here (a kink?)"``, or a text that starts with
        ``"wrong:"``, ``"too coarse to judge:"`` or ``"not deterministic:"`` and says why.
    relative_error : float
        The disagreement relative to the block's own scale; where the verdict is ok, relative also
        to what the difference can resolve, so that two zeros agree.
    analytic, numeric, precision : float
        The worst pair of derivatives, along a random unit direction or of one entry, and the
        error estimate of `numeric`.
    worst : Entry or None
        The worst of the entries that were looked at one by one.
    factor : float or None
        c, where the verdict is wrong and analytic = c * numeric in all entries looked at.
    """

    name: str
    shape: tuple[int, ...]
    verdict: str
    relative_error: float
    analytic: float
    numeric: float
    precision: float
    worst: Entry | None = None
    factor: float | None = None

    @property
    def ok(self) -> bool:
        """True where the block was judged and is right; what cannot be judged is not ok."""
        return self.verdict == OK


@dataclass(frozen=True)
class GradientReport:
    """What `check_gradient` found: `blocks` by name, `tolerance`; `print` shows a table."""

    blocks: dict[str, BlockReport]
    tolerance: float

    @property
    def ok(self) -> bool:
        """True where every block is ok."""
        return all(block.ok for block in self.blocks.values())

    @property
    def worst(self) -> float:
        """The largest relative error of all blocks."""
        return max(block.relative_error for block in self.blocks.values())

    def __str__(self) -> str:
        blocks = self.blocks.values()
        width = max(5, *(min(len(block.name), 20) for block in blocks))
        head = (
            f"gradient check: {sum(b.ok for b in blocks)} of {len(blocks)} ok, "
            f"worst relative error {self.worst:.1e}, tolerance {self.tolerance:.0e}"
        )
        columns = f"{'block':{width}}  {'shape':<14}  {'error':>7}  verdict"
        return "\n".join([head, columns, *(line for b in blocks for line in _rows(b, width))])


def _rows(block: BlockReport, width: int) -> Iterator[str]:
    """The line of a block in the table, and indented below it what there is to say."""
    verdict, _, detail = block.verdict.partition(": ")
    name, shape = _cut(block.name, 20), _cut(str(block.shape), 16)
    yield f"{name:{width}}  {shape:<14}  {block.relative_error:7.1e}  {verdict}"
    notes = [detail] if detail else []
    if block.worst and not block.ok:
        where = ", ".join(map(str, block.worst.index))
        notes.append(
            f"worst at [{where}]: analytic {block.worst.analytic:.6g}, "
            f"numeric {block.worst.numeric:.6g}, error {block.worst.relative_error:.1e}"
        )
    if block.factor is not None:
        times = f"= {_plain(block.factor)} * numeric" if block.factor else "is zero"
        notes.append(f"analytic {times} in all entries looked at")
    for note in notes:
        yield from textwrap.wrap(note, 79, initial_indent=" " * 4, subsequent_indent=" " * 8)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _plain(factor: float) -> str:
    """A factor as a person would say it: 2, -1, 1/150, else six digits."""
    for number, form in ((factor, "{}"), (1 / factor if factor else 0.0, "1/{}")):
        if round(number) and abs(number - round(number)) <= 1e-5 * abs(number):
            return form.format(round(number))
    return f"{factor:.6g}"
