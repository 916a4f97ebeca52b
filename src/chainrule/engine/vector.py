"""What Numba has no words for: vectors in registers, and integers that several threads count with.

Each is an intrinsic, some lines of LLVM's language written at compile time, for float32 or float64 by its arguments.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from chainrule.engine.lanes import Lanes

FEATURES = llvm.get_host_cpu_features()
WIDE = bool(FEATURES.get("avx512f"))
BYTES = 64 if WIDE else 32  # of a vector; where registers are narrower, LLVM uses several
LINE = 64  # bytes of memory that are read at a time
UNROLLED = 4
I32, I64 = ir.IntType(32), ir.IntType(64)


@dataclass(frozen=True)
class First:
    """The first `count` lanes of a vector, all of them where it has fewer; as a mask as well."""

    count: Any
    mask: Any


class Vectors:
    """Writes instructions on the vectors of one data type."""

    def __init__(self, builder: Any, number: Any) -> None:
        self.builder = builder
        self.size = 4 if number == types.float32 else 8
        self.entry = ir.FloatType() if self.size == 4 else ir.DoubleType()
        self.lanes = BYTES // self.size
        self.type = ir.VectorType(self.entry, self.lanes)
        self.suffix = f"v{self.lanes}f{8 * self.size}"

    def constant(self, value: float) -> Lanes:
        """A vector of one number."""
        return Lanes(self.builder, ir.Constant(self.type, [value] * self.lanes))

    def repeated(self, x: Any) -> Lanes:
        """A vector of one entry."""
        return Lanes(self.builder, self.splat(x))

    def splat(self, x: Any) -> Any:
        """A vector of one entry, or of one integer."""
        vector = ir.VectorType(x.type, self.lanes)
        undefined = ir.Constant(vector, ir.Undefined)
        first = self.builder.insert_element(undefined, x, I32(0))
        return self.builder.shuffle_vector(
            first, undefined, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        )

    def pointer(self, address: Any) -> Any:
        """An address as a place of entries."""
        return self.builder.inttoptr(address, self.entry.as_pointer())

    def first(self, count: Any) -> First:
        """The first `count` lanes."""
        index = ir.Constant(ir.VectorType(I32, self.lanes), list(range(self.lanes)))
        return First(count, self.builder.icmp_signed("<", index, self.splat(self.builder.trunc(count, I32))))

    def load(self, at: Any, offset: Any, first: First | None = None) -> Lanes:
        """The vector at a place; of the first lanes only, ones in the others."""
        place = self._place(at, offset)
        if first is None:
            value = self.builder.load(place)
            value.align = self.size
            return Lanes(self.builder, value)
        function = ir.FunctionType(self.type, [place.type, I32, first.mask.type, self.type])
        read = self._declared(f"llvm.masked.load.{self.suffix}.p0", function)
        ones = self.constant(1.0).value
        return Lanes(self.builder, self.builder.call(read, [place, I32(self.size), first.mask, ones]))

    def store(self, x: Lanes, at: Any, offset: Any, first: First | None = None) -> None:
        """Write a vector, or its first lanes."""
        place = self._place(at, offset)
        if first is None:
            self.builder.store(x.value, place).align = self.size
        elif WIDE:
            function = ir.FunctionType(ir.VoidType(), [self.type, place.type, I32, first.mask.type])
            write = self._declared(f"llvm.masked.store.{self.suffix}.p0", function)
            self.builder.call(write, [x.value, place, I32(self.size), first.mask])
        else:
            enough = self.builder.icmp_signed(">=", first.count, I64(self.lanes))
            with self.builder.if_else(enough) as (whole, part):
                with whole:
                    self.builder.store(x.value, place).align = self.size
                with part:
                    self.builder.call(self._parts(), [x.value, self.builder.gep(at, [offset]), first.count])

    def _parts(self) -> Any:
        """A function that writes the first lanes of a vector, fewer than all: a half, a quarter and so on.

        With AVX2 a masked store takes 12 cycles on Zen 3. It is one function, as there are many places that call it.
        """
        name = f"store_parts.{self.suffix}"
        if name in self.builder.module.globals:
            return self.builder.module.globals[name]
        kind = ir.FunctionType(ir.VoidType(), [self.type, self.entry.as_pointer(), I64])
        function = ir.Function(self.builder.module, kind, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder, many = ir.IRBuilder(function.append_basic_block()), self.lanes // 2
        x, place, count = function.args
        left = cgutils.alloca_once_value(builder, x)
        while many:
            with builder.if_then(builder.icmp_signed("!=", builder.and_(count, I64(many)), I64(0))):
                at = builder.gep(place, [builder.and_(count, I64(-2 * many))])
                value = builder.load(left)
                low, down = ([(i + skip) % self.lanes for i in range(n)] for n, skip in ((many, 0), (self.lanes, many)))
                shuffled = lambda order, of=value: builder.shuffle_vector(
                    of, of, ir.Constant(ir.VectorType(I32, len(order)), order)
                )
                part = shuffled(low) if many > 1 else builder.extract_element(value, I32(0))
                builder.store(part, builder.bitcast(at, part.type.as_pointer())).align = self.size
                builder.store(shuffled(down), left)
            many //= 2
        builder.ret_void()
        return function

    def chosen(self, first: First, a: Lanes, b: Lanes) -> Lanes:
        """The first lanes of a, else those of b."""
        return Lanes(self.builder, self.builder.select(first.mask, a.value, b.value))

    def call_ahead(self, place: Any) -> None:
        """Call a line from memory that is read soon."""
        function = ir.FunctionType(ir.VoidType(), [place.type, I32, I32, I32])
        call = self._declared("llvm.prefetch.p0", function)
        self.builder.call(call, [place, I32(0), I32(2), I32(1)])

    def _place(self, at: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(at, [offset]), self.type.as_pointer())

    def _declared(self, name: str, function: Any) -> Any:
        return cgutils.get_or_insert_function(self.builder.module, function, name)


@dataclass(frozen=True)
class Entry:
    """An operation on entries, D = f(A, B, s, t), by f on vectors of its operands and of s and t."""

    operands: int
    write: Callable[..., Lanes]
    unrolled: int = UNROLLED  # vectors at a time

    def loop(self, v: Vectors, n: Any, places: Sequence[Any], numbers: Sequence[Lanes]) -> None:
        """Write the loop over n entries; D, the first place, may lie where A or B lies."""
        builder, (d, *inputs) = v.builder, places[: 1 + self.operands]

        def work(first: Any, many: int, mask: First | None = None) -> None:
            spots = [builder.add(first, I64(i * v.lanes)) for i in range(many)]
            values = [[v.load(x, spot, mask) for x in inputs] for spot in spots]
            for spot, taken in zip(spots, values, strict=True):
                v.store(self.write(*taken, *numbers), d, spot, mask)

        block = I64(self.unrolled * v.lanes)
        blocks = builder.udiv(n, block)
        with cgutils.for_range(builder, blocks) as whole:
            work(builder.mul(whole.index, block), self.unrolled)
        done = builder.mul(blocks, block)
        left = builder.sub(n, done)
        rest = builder.udiv(builder.add(left, I64(v.lanes - 1)), I64(v.lanes))
        with cgutils.for_range(builder, rest) as part:
            first = builder.mul(part.index, I64(v.lanes))
            work(builder.add(done, first), 1, v.first(builder.sub(left, first)))


def one_of(entries: Mapping[int, Entry]) -> Any:
    """One of several operations by its number; n entries from address d, by those from a and b and two numbers."""

    @intrinsic
    def chosen(typing, code, n, d, a, b, s, t):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            code, n, d, a, b, s, t = args
            v = Vectors(builder, signature.args[-1])
            places, numbers = [v.pointer(x) for x in (d, a, b)], [v.repeated(x) for x in (s, t)]
            end = builder.append_basic_block("end")
            choice = builder.switch(code, end)
            for number, entry in entries.items():
                block = builder.append_basic_block(f"entry{number}")
                choice.add_case(I64(number), block)
                builder.position_at_end(block)
                entry.loop(v, n, places, numbers)
                builder.branch(end)
            builder.position_at_end(end)
            return context.get_dummy_value()

        return types.void(types.int64, *(types.intp,) * 4, s, s), generate

    return chosen


def copy_ahead() -> Any:
    """D = A for n entries, while the lines of `soon` are called from memory: of a row that is copied soon.

    What is left after whole vectors is the end of one that overlaps the last of them.
    """

    @intrinsic
    def copy(typing, n, d, a, soon, zero):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            n, d, a, soon, _ = args
            v = Vectors(builder, signature.args[-1])
            d, a, soon = map(v.pointer, (d, a, soon))
            lanes = I64(v.lanes)
            with builder.if_else(builder.icmp_signed(">=", n, lanes)) as (long, short):
                with long:
                    with cgutils.for_range(builder, builder.udiv(n, lanes)) as part:
                        first = builder.mul(part.index, lanes)
                        v.call_ahead(builder.gep(soon, [first]))
                        v.store(v.load(a, first), d, first)
                    last = builder.sub(n, lanes)
                    v.call_ahead(builder.gep(soon, [builder.sub(n, I64(1))]))
                    v.store(v.load(a, last), d, last)
                with short:
                    v.call_ahead(soon)
                    mask = v.first(n)
                    v.store(v.load(a, I64(0), mask), d, I64(0), mask)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 4, zero), generate

    return copy


def along(combine: Callable[[Lanes, Lanes], Lanes], neutral: float, each: Callable[[Lanes, Lanes], Lanes]) -> Any:
    """One number of f(a, s) for n entries a: vectors are combined, then the halves of the last one, in this order."""

    @intrinsic
    def reduce(typing, n, a, s):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            n, a, s = args
            v = Vectors(builder, signature.args[-1])
            a, s = v.pointer(a), v.repeated(s)
            total = cgutils.alloca_once_value(builder, v.constant(neutral).value)
            rest = builder.udiv(builder.add(n, I64(v.lanes - 1)), I64(v.lanes))
            with cgutils.for_range(builder, rest) as part:
                first = builder.mul(part.index, I64(v.lanes))
                mask = v.first(builder.sub(n, first))
                value = v.chosen(mask, each(v.load(a, first, mask), s), v.constant(neutral))
                builder.store(combine(Lanes(builder, builder.load(total)), value).value, total)
            whole = halved(v, combine, Lanes(builder, builder.load(total)))
            return builder.extract_element(whole.value, I32(0))

        return s(types.intp, types.intp, s), generate

    return reduce


def halved(v: Vectors, combine: Callable[[Lanes, Lanes], Lanes], x: Lanes) -> Lanes:
    """What the lanes of a vector combine to, in every lane."""
    half = v.lanes // 2
    while half:
        order = ir.Constant(ir.VectorType(I32, v.lanes), [(i + half) % v.lanes for i in range(v.lanes)])
        x = combine(x, Lanes(v.builder, v.builder.shuffle_vector(x.value, x.value, order)))
        half //= 2
    return x


def short_rows(neutral: float, write: Callable[[Vectors, Lanes, Lanes], Lanes], *, one: bool = False) -> Any:
    """D = f(A, s) for rows of at most `lanes` entries, a vector each; lanes past the end are `neutral`.

    Row r is given s = D[r], a number that was there before; the last row comes first, so that no row is written over a
    number that is still to be read. Of f there is `one` number for each row, D[r], or a whole row.
    """

    @intrinsic
    def loop(typing, rows, k, d, a, like):
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            rows, k, d, a, _ = args
            v = Vectors(builder, signature.args[-1])
            d, a = map(v.pointer, (d, a))
            mask = v.first(k)
            with cgutils.for_range(builder, rows) as each:
                row = builder.sub(builder.sub(rows, I64(1)), each.index)
                at, number = builder.mul(row, k), builder.gep(d, [row])
                value = v.chosen(mask, v.load(a, at, mask), v.constant(neutral))
                result = write(v, value, v.repeated(builder.load(number)))
                if one:
                    builder.store(builder.extract_element(result.value, I32(0)), number)
                else:
                    v.store(result, d, at, mask)
            return context.get_dummy_value()

        return types.void(*(types.intp,) * 4, like), generate

    return loop


X86 = platform.machine().lower() in ("x86_64", "amd64")
FLUSH = 0x8040  # of the control register: results and operands below the smallest normal number are 0


@intrinsic
def flush_tiny(typing, on, before):
    """Treat numbers below the smallest normal one as 0, which some processors are slow at; the state before.

    With `on` 0 it returns to the state `before`. On other processors than x86 it does nothing.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not X86:
            return args[1]
        place = cgutils.alloca_once(builder, I32)
        function = ir.FunctionType(ir.VoidType(), [place.type])
        read, write = (
            cgutils.get_or_insert_function(builder.module, function, f"llvm.x86.sse.{name}mxcsr")
            for name in ("st", "ld")
        )
        builder.call(read, [place])
        old = builder.load(place)
        wanted = builder.or_(old, I32(FLUSH))
        builder.store(
            builder.select(builder.icmp_signed("!=", args[0], I64(0)), wanted, builder.trunc(args[1], I32)), place
        )
        builder.call(write, [place])
        return builder.zext(old, I64)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def fetch_add(typing, address, value):
    """Add to the integer at an address, in one step that no other thread divides; its value before."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.atomic_rmw("add", builder.inttoptr(args[0], I64.as_pointer()), args[1], "seq_cst")

    return types.int64(types.intp, types.int64), generate


@intrinsic
def fetch(typing, address):
    """The integer at an address, as every thread sees it."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(builder.inttoptr(args[0], I64.as_pointer()), "seq_cst", 8)

    return types.int64(types.intp), generate
