"""A team of threads that run the same instructions, for as long as a fit or a prediction lasts."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any

import numpy as np
from numba import from_dtype

from chainrule.engine.compiled import link_units
from chainrule.engine.interpreter import STOP, run
from chainrule.engine.pace import Pace
from chainrule.engine.plan import Plan
from chainrule.engine.products import PACKED
from chainrule.engine.vector import LINE

Array = np.ndarray[Any, Any]
SHARED = 900_000  # multiply-adds of a step from which a second thread pays
SLOW = 4_000_000_000  # of a call, after which Python has a chance to see an interrupt
STEP = 250_000  # what a step counts besides its products, times the square of the threads, which wait for each other
WATCHED = 40_000_000_000  # of a minibatch; while a longer one runs, the thread that called waits for an interrupt
ONCE = "some seconds, once for an installation"
NONE_OF_INTEGERS = np.zeros(0, np.int64)
ZERO = np.uint64(0)
_compiling = threading.Lock()


def processors() -> int:
    """The processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def team_size(wanted: int | None, work: float) -> int:
    """How many threads: as wanted, else one where there is too little to share."""
    return wanted or (1 if work < SHARED else processors())


def compile_kernels(dtype: Any, say: Callable[[str], object] | None = None) -> None:
    """Compile the kernels for a data type, or load them from disk; `say` takes one line where they are not there."""
    dtype = np.dtype(dtype)
    empty, m = np.zeros((0, 6), np.int64), np.zeros((1, 1), dtype)
    tell = cache(lambda: (say or say_on_stderr)(f"chainrule compiles its kernels for {dtype}: {ONCE}"))
    with _compiling:
        if any(signature[0].dtype.name == dtype.name for signature in run.signatures):
            return
        link_units(from_dtype(dtype), tell)
        run(
            m[0], m.ctypes.data, np.zeros(1), np.zeros((0, 4)), empty, empty, empty, np.zeros(1), 0, 0, m, m,
            NONE_OF_INTEGERS, m, NONE_OF_INTEGERS, np.zeros(1, np.int64), np.zeros(0), m, 1, 0, 0, np.uint64(0),
            np.zeros(1), 0, 1, np.zeros(32, np.int64).ctypes.data,
        )  # fmt: skip


def say_on_stderr(line: str) -> None:
    """One line beside the results."""
    print(line, file=sys.stderr, flush=True)


class Team:
    """Memory for a plan, and the threads that work on it; one that `adapts` uses only one where that is faster."""

    def __init__(self, plan: Plan, dtype: Any, threads: int, *, adapts: bool = False) -> None:
        self.plan, self.threads = plan, threads
        self.pace = Pace(threads) if adapts and threads > 1 else None
        self.pool: ThreadPoolExecutor | None = None
        self.process = os.getpid()
        self.dtype = np.dtype(dtype)
        self.area = _whole_lines(plan.private + PACKED, self.dtype)
        self.shared = _whole_lines(plan.shared, self.dtype)
        self.arena = _aligned(self.shared + threads * self.area, self.dtype)
        self.arena[plan.stored] = 1
        self.partials = np.zeros(plan.partials)
        self.at_n = plan.numbers.named("n")
        self.arithmetic = plan.numbers.table
        self.numbers = [np.array(plan.numbers.initial) for _ in range(threads)]
        self.board = np.zeros(32, np.int64)
        self.none, self.no_shares = np.zeros((1, 1), self.dtype), np.zeros(0)
        self.fixed = (self.arithmetic, plan.loops, plan.code, plan.micro, self.partials, self.shared, self.area)
        self.base, self.board_at = self.arena.ctypes.data, self.board.ctypes.data

    def views(self, memory: Array) -> dict[str, Array]:
        """The stored matrices by name, as views of the arena or of a copy of its front."""
        return {name: memory[first:last].reshape(shape) for name, first, last, shape in self.plan.lasting}

    def set_numbers(self, values: Mapping[str, float]) -> None:
        """Set hyper-parameters and states that are plain numbers, for every thread."""
        for name, slot in self.plan.numbers.supplied.items():
            if name in values:
                for numbers in self.numbers:
                    numbers[slot] = values[name]

    def number(self, name: str) -> float:
        """A state that is a plain number."""
        return float(self.numbers[0][self.plan.numbers.supplied[name]])

    def run(
        self,
        starts: Array,
        *,
        X: Array,
        Y: Array | None = None,
        labels: Array | None = None,
        weights: Array | None = None,
        order: Array = NONE_OF_INTEGERS,
        shares: Array | None = None,
        results: Array | None = None,
        seed: int = 0,
        loss_at: int = 0,
        work: float = 0.0,
    ) -> float:
        """Minibatches `starts[i] : starts[i + 1]` of `order`, one after the other; the sum of shares times losses.

        `work` is multiply-adds a minibatch. An interrupt ends it between minibatches, or within a long one.
        """
        total, shares = np.zeros(1), self.no_shares if shares is None else shares
        given = (
            open_(X), self.none if Y is None else open_(Y), NONE_OF_INTEGERS if labels is None else labels,
            self.none if weights is None else open_(weights), order,
        )  # fmt: skip
        results = self.none if results is None else results
        rest = (results, self.plan.tile, self.at_n, loss_at, np.uint64(seed), total)

        def part(first: int, last: int, team: int) -> Callable[[int], None]:
            def member(me: int) -> None:
                run(
                    self.arena, self.base, self.numbers[me], *self.fixed, *given, starts[first : last + 1],
                    shares[first:last], *rest, me, team, self.board_at,
                )  # fmt: skip

            return member

        self.partials[:] = 0.0
        steps, first = len(starts) - 1, 0
        while first < steps:
            team, trial = (self.threads, None) if self.pace is None else self.pace.threads()
            part_work = trial / max(work, 1.0) if trial else SLOW / (work + STEP * team**2)
            last = min(steps, first + max(1, int(part_work)))
            began = time.perf_counter()
            self._together(part(first, last, team), team, watch=work > WATCHED)
            if self.pace is not None:
                self.pace.note(team, (time.perf_counter() - began) / (last - first))
            first = last
        return float(total[0])

    def outputs(self, X: Array, results: Array, starts: Array) -> None:
        """The same for few rows on one thread, without order, loss or ceremony."""
        none, empty = self.none, NONE_OF_INTEGERS
        run(
            self.arena, self.base, self.numbers[0], *self.fixed, open_(X), none, empty, none, empty, starts,
            self.no_shares, results, self.plan.tile, self.at_n, 0, ZERO, self.no_shares, 0, 1, self.board_at,
        )  # fmt: skip

    def _together(self, member: Callable[[int], None], team: int, *, watch: bool) -> None:
        """Every thread does its part; with `watch` this one only waits, so that an interrupt reaches it."""
        self.board[:] = 0
        if team == 1 and not watch:
            member(0)
            return
        for numbers in self.numbers[1:]:
            numbers[:] = self.numbers[0]  # as they are after steps that others did not take part in

        def guarded(me: int) -> None:
            try:
                member(me)
            except BaseException:
                self.board[STOP] = 1  # nobody waits for this one
                raise

        others: list[Future[None]] = []
        try:
            others.extend(self._pool().submit(guarded, me) for me in range(0 if watch else 1, team))
            if not watch:
                member(0)
            while wait(others, 0.05 if watch else None).not_done:
                pass
        except BaseException:
            self.board[STOP] = 1
            wait(others)
            raise
        for other in others:
            other.result()

    def _pool(self) -> ThreadPoolExecutor:
        """The other threads; a child of a fork has none of its parent's."""
        if self.pool is None or self.process != os.getpid():
            self.pool, self.process = ThreadPoolExecutor(self.threads, "chainrule"), os.getpid()
        return self.pool


def open_(array: Array) -> Array:
    """The same memory as an array that could be written to: for another kind Numba would compile anew."""
    if array.flags.writeable and array.flags.aligned:
        return array
    if not array.flags.aligned or not array.size:
        return array.copy()
    whole = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
    alias: Array = np.frombuffer(memoryview(whole), array.dtype)
    return alias.reshape(array.shape)


def _whole_lines(entries: int, dtype: np.dtype[Any]) -> int:
    per_line = LINE // dtype.itemsize
    return -(-entries // per_line) * per_line


def _aligned(entries: int, dtype: np.dtype[Any]) -> Array:
    """Uninitialized memory that begins at a cache line; zeros would touch what is never used."""
    room = np.empty(entries + LINE // dtype.itemsize, dtype)
    skip = -room.ctypes.data % LINE // dtype.itemsize
    return room[skip : skip + entries]
