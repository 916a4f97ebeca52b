"""What Numba does not say by itself: single instructions on scalars of float32 and float64.

No floating point flags are set anywhere, and a fused multiply-add is written where one is meant: every lane of a
vector and every remainder of a loop gets the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from llvmlite import ir
from numba import njit
from numba.core import types
from numba.extending import intrinsic

_F = TypeVar("_F", bound=Callable[..., Any])
_MANTISSA = {types.float32: 23, types.float64: 52}
_SQRT_HALF = {types.float32: 0x3F3504F3, types.float64: 0x3FE6A09E667F3BCD}


def scalar(function: _F) -> _F:
    """Compile a function of scalars, and expand it where it is called."""
    compiled: Any = njit(fastmath=False, error_model="numpy", forceinline=True)(function)
    return cast("_F", compiled)


def instruction(function: Callable[..., Any]) -> Callable[..., float]:
    """Enter a function that gives the type of a call's result and writes its instructions."""
    entered: Any = intrinsic(function)
    return cast("Callable[..., float]", entered)


@instruction
def select(_: Any, condition: Any, a: Any, b: Any) -> Any:
    """a where the condition holds, else b: never a jump."""
    return a(types.boolean, a, a), lambda context, builder, signature, args: builder.select(*args)


@instruction
def fma(_: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z, rounded once."""
    return x(x, x, x), lambda context, builder, signature, args: builder.fma(*args)


@instruction
def like(_: Any, x: Any, value: Any) -> Any:
    """A number in the type of x."""
    return x(x, value), lambda context, builder, signature, args: context.cast(builder, args[1], value, x)


def number(in_float32: float, in_float64: float) -> Callable[..., float]:
    """A constant that has another value in each type: a function of any x of that type."""

    @instruction
    def constant(_: Any, x: Any) -> Any:
        value = {32: in_float32, 64: in_float64}[x.bitwidth]
        return x(x), lambda context, builder, signature, args: ir.Constant(args[0].type, value)

    return constant


def polynomial(in_float32: Sequence[float], in_float64: Sequence[float]) -> Callable[..., float]:
    """A polynomial with other coefficients in each type, the highest power first."""

    @instruction
    def horner(_: Any, x: Any) -> Any:
        coefficients = {32: in_float32, 64: in_float64}[x.bitwidth]

        def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first, *rest = (ir.Constant(args[0].type, c) for c in coefficients)
            for c in rest:
                first = builder.fma(first, args[0], c)
            return first

        return x(x), write

    return horner


def _named(name: str) -> Callable[..., Any]:
    """The writer of an instruction that LLVM has under this name."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        real = args[0].type
        kind = ir.FunctionType(real, [real] * len(args))
        return builder.call(builder.module.declare_intrinsic(f"llvm.{name}", [real], kind), args)

    return write


@instruction
def copysign(_: Any, x: Any, y: Any) -> Any:
    """|x| with the sign of y."""
    return x(x, x), _named("copysign")


@instruction
def rint(_: Any, x: Any) -> Any:
    """The nearest integer, the even one of two."""
    return x(x), _named("rint")


@instruction
def power_of_two(_: Any, shifted: Any) -> Any:
    """2^k of a `shifted` k, the exponent of a normal number: k + 1.5 2^23 in float32, k + 1.5 2^52 in float64."""
    bits, digits = shifted.bitwidth, _MANTISSA[shifted]

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(bits)
        k = builder.shl(builder.bitcast(args[0], integer), ir.Constant(integer, digits))
        one = ir.Constant(integer, ((1 << (bits - digits - 2)) - 1) << digits)
        return builder.bitcast(builder.add(k, one), args[0].type)

    return shifted(shifted), write


@instruction
def exponent(_: Any, x: Any) -> Any:
    """The integer e with x / 2^e in [sqrt(1/2), sqrt(2)), of a positive normal x."""
    bits, digits = x.bitwidth, _MANTISSA[x]

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer, real = ir.IntType(bits), args[0].type
        biased = builder.lshr(_from_sqrt_half(builder, args[0], x), ir.Constant(integer, digits))
        unit = ir.Constant(integer, (digits + (1 << (bits - digits - 2)) - 1) << digits)  # 2^digits
        bias = ir.Constant(real, float((1 << digits) + (1 << (bits - digits - 1))))
        return builder.fsub(builder.bitcast(builder.or_(biased, unit), real), bias)

    return x(x), write


@instruction
def mantissa(_: Any, x: Any) -> Any:
    """x / 2^e in [sqrt(1/2), sqrt(2)), of a positive normal x."""

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(x.bitwidth)
        low = ir.Constant(integer, (1 << _MANTISSA[x]) - 1)
        above = builder.and_(_from_sqrt_half(builder, args[0], x), low)
        return builder.bitcast(builder.add(above, ir.Constant(integer, _SQRT_HALF[x])), args[0].type)

    return x(x), write


def _from_sqrt_half(builder: Any, x: Any, kind: Any) -> Any:
    """The bits of x counted from those of sqrt(1/2), and a half of all integers more: no exponent is negative."""
    integer = ir.IntType(kind.bitwidth)
    start = ir.Constant(integer, (1 << (kind.bitwidth - 1)) - _SQRT_HALF[kind])
    return builder.add(builder.bitcast(x, integer), start)
