"""Vectors of numbers while code is written: arithmetic on them writes instructions, once for float32 and float64.

No floating point flags are set anywhere, and a fused multiply-add is written where one is meant: every lane of a
vector and every remainder of a loop gets the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Union

from llvmlite import ir
from numba.core import cgutils

Real = Union["Lanes", float]
_MANTISSA = {32: 23, 64: 52}
_SQRT_HALF = {32: 0x3F3504F3, 64: 0x3FE6A09E667F3BCD}
_REAL: dict[int, Any] = {32: ir.FloatType(), 64: ir.DoubleType()}


class Lanes:
    """A vector of float32, of float64 or of truth values; a plain number beside it stands for a vector of it."""

    __slots__ = ("bits", "builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value
        self.bits = {ir.FloatType: 32, ir.DoubleType: 64}.get(type(value.type.element), 1)

    def _new(self, value: Any) -> Lanes:
        return Lanes(self.builder, value)

    def like(self, number: float) -> Lanes:
        """A vector of the same kind, of one number."""
        kind = self.value.type
        return self._new(ir.Constant(kind, [float(number)] * kind.count))

    def _of(self, other: Real) -> Any:
        return other.value if isinstance(other, Lanes) else self.like(other).value

    def __add__(self, other: Real) -> Lanes:
        return self._new(self.builder.fadd(self.value, self._of(other)))

    def __radd__(self, other: float) -> Lanes:
        return self._new(self.builder.fadd(self._of(other), self.value))

    def __sub__(self, other: Real) -> Lanes:
        return self._new(self.builder.fsub(self.value, self._of(other)))

    def __rsub__(self, other: float) -> Lanes:
        return self._new(self.builder.fsub(self._of(other), self.value))

    def __mul__(self, other: Real) -> Lanes:
        return self._new(self.builder.fmul(self.value, self._of(other)))

    def __rmul__(self, other: float) -> Lanes:
        return self * other

    def __truediv__(self, other: Real) -> Lanes:
        return self._new(self.builder.fdiv(self.value, self._of(other)))

    def __rtruediv__(self, other: float) -> Lanes:
        return self._new(self.builder.fdiv(self._of(other), self.value))

    def __neg__(self) -> Lanes:
        return self._new(self.builder.fneg(self.value))

    def __abs__(self) -> Lanes:
        return self.call("fabs")

    def _compared(self, how: str, other: Real) -> Lanes:
        return self._new(self.builder.fcmp_ordered(how, self.value, self._of(other)))

    def __lt__(self, other: Real) -> Lanes:
        return self._compared("<", other)

    def __gt__(self, other: Real) -> Lanes:
        return self._compared(">", other)

    def equals(self, other: Real) -> Lanes:
        """Where both are equal, and neither is NaN."""
        return self._compared("==", other)

    def is_nan(self) -> Lanes:
        """Where it is not a number."""
        return self._new(self.builder.fcmp_unordered("uno", self.value, self.value))

    def __and__(self, other: Lanes) -> Lanes:
        return self._new(self.builder.and_(self.value, other.value))

    def __or__(self, other: Lanes) -> Lanes:
        return self._new(self.builder.or_(self.value, other.value))

    def __invert__(self) -> Lanes:
        return self._new(self.builder.not_(self.value))

    def call(self, name: str, *others: Real) -> Lanes:
        """A function that LLVM knows for vectors, such as sqrt."""
        kind = self.value.type
        values = [self.value, *map(self._of, others)]
        full = f"llvm.{name}.v{kind.count}f{self.bits}"
        declared = ir.FunctionType(kind, [kind] * len(values))
        function: Any = cgutils.get_or_insert_function(self.builder.module, declared, full)  # type: ignore[no-untyped-call]
        return self._new(self.builder.call(function, values))

    def integers(self) -> tuple[Any, Callable[[int], Any]]:
        """Its bits as integers, and a function that makes a vector of one of them."""
        kind = ir.VectorType(ir.IntType(self.bits), self.value.type.count)
        fill = lambda k: ir.Constant(kind, [k] * kind.count)
        return self.builder.bitcast(self.value, kind), fill

    def from_integers(self, value: Any) -> Lanes:
        """Numbers of the same kind from their bits."""
        return self._new(self.builder.bitcast(value, self.value.type))

    def converted(self, bits: int) -> Lanes:
        """The same numbers as float32 or float64."""
        if bits == self.bits:
            return self
        kind = ir.VectorType(_REAL[bits], self.value.type.count)
        convert = self.builder.fpext if bits > self.bits else self.builder.fptrunc
        return self._new(convert(self.value, kind))


def select(condition: Lanes, a: Real, b: Real) -> Lanes:
    """a where the condition holds, else b: never a jump."""
    kind = a if isinstance(a, Lanes) else b
    assert isinstance(kind, Lanes)
    return Lanes(kind.builder, kind.builder.select(condition.value, kind._of(a), kind._of(b)))


def fma(x: Lanes, y: Real, z: Real) -> Lanes:
    """x y + z, rounded once."""
    return x.call("fma", y, z)


def copysign(x: Lanes, y: Lanes) -> Lanes:
    """|x| with the sign of y."""
    return x.call("copysign", y)


def rint(x: Lanes) -> Lanes:
    """The nearest integer, the even one of two."""
    return x.call("rint")


def number(in_float32: float, in_float64: float) -> Callable[[Lanes], float]:
    """A constant that has another value in each type: a function of any x of that type."""
    return lambda x: in_float32 if x.bits == 32 else in_float64


def polynomial(in_float32: Sequence[float], in_float64: Sequence[float]) -> Callable[[Lanes], Lanes]:
    """A polynomial with other coefficients in each type, the highest power first."""

    def horner(x: Lanes) -> Lanes:
        first, *rest = in_float32 if x.bits == 32 else in_float64
        total = x.like(first)
        for c in rest:
            total = fma(total, x, c)
        return total

    return horner


def power_of_two(shifted: Lanes) -> Lanes:
    """2^k of a `shifted` k, the exponent of a normal number: k + 1.5 2^23 in float32, k + 1.5 2^52 in float64."""
    bits, digits = shifted.bits, _MANTISSA[shifted.bits]
    value, fill = shifted.integers()
    k = shifted.builder.shl(value, fill(digits))
    one = ((1 << (bits - digits - 2)) - 1) << digits
    return shifted.from_integers(shifted.builder.add(k, fill(one)))


def exponent(x: Lanes) -> Lanes:
    """The integer e with x / 2^e in [sqrt(1/2), sqrt(2)), of a positive normal x."""
    bits, digits = x.bits, _MANTISSA[x.bits]
    _, fill = x.integers()
    biased = x.builder.lshr(_from_sqrt_half(x), fill(digits))
    unit = (digits + (1 << (bits - digits - 2)) - 1) << digits  # 2^digits
    bias = float((1 << digits) + (1 << (bits - digits - 1)))
    return x.from_integers(x.builder.or_(biased, fill(unit))) - bias


def mantissa(x: Lanes) -> Lanes:
    """x / 2^e in [sqrt(1/2), sqrt(2)), of a positive normal x."""
    _, fill = x.integers()
    above = x.builder.and_(_from_sqrt_half(x), fill((1 << _MANTISSA[x.bits]) - 1))
    return x.from_integers(x.builder.add(above, fill(_SQRT_HALF[x.bits])))


def _from_sqrt_half(x: Lanes) -> Any:
    """The bits of x counted from those of sqrt(1/2), and a half of all integers more: no exponent is negative."""
    value, fill = x.integers()
    return x.builder.add(value, fill((1 << (x.bits - 1)) - _SQRT_HALF[x.bits]))
