"""What a program needs to know of a language: its words, and who writes its statements and its functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chainrule.expr import Node
from chainrule.functions import FUNCTIONS, Function

if TYPE_CHECKING:
    from chainrule.program.listing import Listing
    from chainrule.program.lower import Statement

Names = Mapping[str, str]
"""Other names to write for some: a next value takes the name of the old one where it may."""


@dataclass(frozen=True, kw_only=True)
class Language:
    """The words of a language; each function's word is in its own record, under this name or the one it is called by.

    `prepare` cuts statements as `write` needs them; `write` makes lines of them, `step` a function of one training
    step, `program` a whole program. A template that says `{there}`, `{k}`, `{size}` is of entries, others are of whole
    arrays.
    """

    name: str
    called: str  # a function of a library, by the name that most languages share: {0} is that name, {1} the operands
    write: Callable[[Sequence[Statement], Language, Names, Names], list[str]]  # names, and a comment for each target
    step: Callable[[Listing, Sequence[Statement], Language], str]
    program: Callable[[Listing, Sequence[Statement], Language], str]
    flat: Callable[[Listing, Sequence[Statement], Language], str] | None = None  # a step on parameters end to end
    prepare: Callable[[Sequence[Statement]], Sequence[Statement]] = lambda statements: statements
    plain: Language | None = None  # the language that it writes numbers in, and what it has no words for
    replace: str = "{old} = {new}"  # a matrix by another of its shape
    replace_number: str = ""  # the same, by a number for a 1 x 1 matrix
    transpose: str = "{0}.T"
    matmul: str = "{0} @ {1}"
    hadamard: str = "{0} * {1}"
    divide: str = "{0} / {1}"
    row_sums: str = ""
    column_sums: str = ""
    total: str = ""
    full: str = ""  # {0} is a number, a row or a column, {rows} and {columns} the sizes of the matrix it fills
    zeros: str = ""
    row: str = ""  # a matrix of one row, full of a number {0}, where it is written otherwise
    single: str = ""  # a matrix of 1 x 1, the same
    hstack: str = ""  # {0} is the list of what stands side by side
    vstack: str = ""
    block: str = "{0}[{rows}, {columns}]"
    range: str = "{first}:{stop}"  # of rows or columns: {first} is counted from 0, {start} from 1
    below: str = ", "  # between what stands one below the other
    choice: str = ""  # of {yes} where {if_}, else of {no}: of entries
    constants: Mapping[str, str] = field(default_factory=dict)  # what is not a finite number
    decimals: bool = False  # is 1 written 1.0, because 1 / 2 would be 0?
    booleans: bool = False  # may True and False be factors?
    annotated: bool = False  # do even bare parts need their equations beside them?
    reserved: frozenset[str] = frozenset()  # names that programs use themselves
    ascii: bool = False  # are names of ASCII letters only?
    comment: tuple[str, str] = ("# ", "")
    end: str = ""  # of a statement
    continued: str | None = None  # of a line of it, before the last; None: a statement goes on inside brackets only
    imports: str = ""
    others: Mapping[str, str] = field(default_factory=dict)  # a library that only some words name -> its import
    decorator: str = ""  # of a step
    module: str = ""  # the argument that is the library itself
    generator: str = ""  # the argument that random numbers come from
    seed: str = ""
    size: str = "{matrix}.shape[{axis}]"  # of an axis of a matrix
    normal: str = ""  # a matrix of normal random numbers, of a standard deviation {std}
    standard: str = ""  # the same of deviation 1, where it has a word of its own
    mask: str = ""  # a matrix of 1/{keep} with probability {keep}, else 0

    def word(self, function: Function) -> str | None:
        """The template of a function, if the language has one."""
        if self.name in function.code:
            return function.code[self.name]
        if function.called:
            return self.called.format(function.called, ", ".join(f"{{{i}}}" for i in range(function.operands)))
        return self.plain.word(function) if self.plain and function.definition is None else None

    def replaced(self, old: Node, new: str) -> str:
        """A parameter or a state gives way to its next value."""
        template = self.replace_number if old.shape == (1, 1) and self.replace_number else self.replace
        return template.format(old=old.name, new=new, rows=old.shape[0], columns=old.shape[1]) + self.end

    @property
    def words(self) -> frozenset[str]:
        """The functions that this language has a word for."""
        return frozenset(name for name, f in FUNCTIONS.items() if self.word(f) is not None)
