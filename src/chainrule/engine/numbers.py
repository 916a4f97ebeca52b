"""The plain numbers of a step: hyper-parameters, sizes, 1 x 1 states, constants, and what is computed of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chainrule.engine.resolve import NotLoweredError
from chainrule.engine.words import ASSIGN, FUNCTION, MULTIPLY, NUMBER_WORDS, PLUS, POWER, WORDS
from chainrule.expr import Node, add_op, full_op, hadamard_op, scale_op, symbol_op, toposort, transpose_op
from chainrule.program.lower import repeat_op


@dataclass
class Numbers:
    """Slots of float64, and a program over them that runs once a step."""

    supplied: dict[str, int] = field(default_factory=dict)  # slots by name: to be set before a run
    initial: list[float] = field(default_factory=list)
    code: list[tuple[int, int, int, float]] = field(default_factory=list)  # opcode, target, operand, operand
    before: list[tuple[int, int, int, float]] = field(default_factory=list)  # runs first
    found: dict[object, int] = field(default_factory=dict)

    def slot(self, value: float = 0.0) -> int:
        """A new slot."""
        self.initial.append(float(value))
        return len(self.initial) - 1

    def named(self, name: str) -> int:
        """The slot of a number that is supplied."""
        if name not in self.supplied:
            self.supplied[name] = self.slot()
        return self.supplied[name]

    def constant(self, value: float) -> int:
        """The slot of a constant."""
        key = float(value).hex()
        if key not in self.found:
            self.found[key] = self.slot(value)
        return self.found[key]

    def number(self, node: Node) -> int:
        """The slot of an expression that is one number."""
        for n in toposort(node):
            if n not in self.found:
                self.found[n] = self._number(n)
        return self.found[node]

    def coefficient(self, n: Node) -> int:
        """The slot of the coefficient of a scaled matrix."""
        k, powers = n.value
        factors = [] if k == 1 and powers else [self.constant(float(k))]
        for s, e in zip(n.args[1:], powers, strict=True):
            factors.append(self.number(s) if e == 1 else self.emit(POWER, self.number(s), float(e)))
        result = factors[0]
        for factor in factors[1:]:
            result = self.emit(MULTIPLY, result, factor)
        return result

    def _read(self, name: str) -> int:
        """A state as it is at the beginning of a step: what it becomes is written where it is supplied."""
        slot = self.slot()
        self.before.append((ASSIGN, slot, self.named(name), 0.0))
        return slot

    def product(self, a: int, b: int) -> int:
        """The slot of a product of two slots."""
        one = self.constant(1.0)
        return b if a == one else a if b == one else self.emit(MULTIPLY, a, b)

    def commit(self, scalars: Iterable[tuple[Node, Node]]) -> None:
        """States that are plain numbers take their next values, all at once, at the end."""
        pairs = [(self.named(str(old.name)), self.number(new)) for old, new in scalars]
        self.code += [(ASSIGN, old, new, 0.0) for old, new in pairs]

    @property
    def table(self) -> np.ndarray[Any, Any]:
        """The program as numbers."""
        return np.array([*self.before, *self.code], np.float64).reshape(-1, 4)

    def emit(self, op: int, a: int, b: float) -> int:
        """The slot of an operation on slots; the same operation is done once."""
        key = (op, a, b)
        if key not in self.found:
            self.found[key] = self.slot()
            self.code.append((op, self.found[key], a, b))
        return self.found[key]

    def _number(self, n: Node) -> int:
        operands = [self.found[a] for a in n.args]
        if n.op is symbol_op and n.value.role == "state":
            return self._read(n.value.name)
        if n.op is symbol_op:
            return self.named(n.value.name)
        if n.op is full_op:
            return self.constant(n.value)
        if n.op in (repeat_op, transpose_op):
            return operands[0]
        if n.op is add_op:
            return self.emit(PLUS, *operands)
        if n.op is hadamard_op:
            return self.emit(MULTIPLY, *operands)
        if n.op is scale_op:
            return self.emit(MULTIPLY, operands[0], self.coefficient(n))
        if n.op.name == "power":
            return self.emit(POWER, operands[0], n.value[0])
        if n.op.name in NUMBER_WORDS:
            return self.emit(FUNCTION, operands[0], WORDS[n.op.name])
        raise NotLoweredError(f"{n.op.name} of numbers")
