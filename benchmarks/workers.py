"""Competitors in processes of their own, so that the thread pools and the memory of one never meet another's."""

from __future__ import annotations

import multiprocessing
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, Self

Session = Mapping[str, Callable[..., Any]]  # what a competitor can be asked to do, by name
Setup = tuple[Any, ...]  # a function that gives a session, and its arguments
Task = tuple[Any, ...]  # such a name, and arguments
Least = Mapping[Task, float]


class WorkerError(Exception):
    """What went wrong in a worker: the last line of its traceback."""


class Worker:
    """A process that sets up one session after another and does what it is asked, one thing at a time."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, end = context.Pipe()
        self._process = context.Process(target=_serve, args=(end,), daemon=True)
        self._process.start()
        end.close()

    def open(self, setup: Callable[..., Session], *arguments: Any) -> Self:
        """Begin a session, in place of the one before."""
        self._ask(("open", setup, arguments))
        return self

    def value(self, name: str, *arguments: Any) -> Any:
        """What it gives."""
        return self._ask(("do", name, arguments))[1]

    def seconds(self, name: str, *arguments: Any) -> float:
        """How long it takes, measured in the worker."""
        return float(self._ask(("time", name, arguments))[0])

    def close(self) -> None:
        self._connection.close()
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.terminate()

    def _ask(self, message: tuple[str, Any, tuple[Any, ...]]) -> Any:
        self._connection.send(message)
        try:
            good, answer = self._connection.recv()
        except EOFError:
            raise WorkerError("the process ended") from None
        if not good:
            raise WorkerError(answer)
        return answer


def _serve(connection: Connection) -> None:
    """The other side: sessions and answers until the connection closes."""
    session: Session = {}
    while True:
        try:
            kind, what, arguments = connection.recv()
        except (EOFError, KeyboardInterrupt):
            return
        try:
            if kind == "open":
                session = {}  # frees the one before first
                session, answer = what(*arguments), None
            else:
                start = time.perf_counter()
                value = session[what](*arguments)
                answer = time.perf_counter() - start, value if kind == "do" else None
            connection.send((True, answer))
        except Exception:
            connection.send((False, traceback.format_exc().strip().splitlines()[-1]))


def opened(workers: dict[str, Worker], setups: Mapping[str, Setup], needed: Collection[str]) -> dict[str, Worker]:
    """The workers by name, each at its session; what does not work is left out with its reason, unless it is needed."""
    running = {}
    for name, (setup, *arguments) in setups.items():
        worker = workers[name] = workers.get(name) or Worker()
        try:
            running[name] = worker.open(setup, *arguments)
        except WorkerError as error:
            if name in needed:
                raise
            print(f"   {name} left out: {error}")
    return running


def fastest(workers: Mapping[str, Worker], tasks: Mapping[str, Sequence[Task]], rounds: int) -> dict[str, Least]:
    """The least seconds of every task of each worker; all in turn, round by round, so that noise meets all alike.

    Three times the rounds where two lengths of a task are compared and noise is plainly in the difference.
    """
    least = {each: dict.fromkeys(tasks[each], float("inf")) for each in workers}
    slopes = all(len(each) > 1 for each in tasks.values())
    for done in range(3 * rounds):
        if done >= rounds and not (slopes and any(map(is_noisy, least.values()))):
            break
        for each, worker in workers.items():
            for task in tasks[each]:
                least[each][task] = min(least[each][task], worker.seconds(*task))
    return least


def slope(least: Least) -> float:
    """Seconds by which a task of one argument grows with it, from its least seconds for two: what comes once falls out.

    Noise may make it negative where the tasks are very short; it is then a nanosecond.
    """
    (short, low), (long, high) = sorted((task[1], seconds) for task, seconds in least.items())
    return max(high - low, 1e-9) / (long - short)


def is_noisy(least: Least) -> bool:
    """Is the slope one that cannot be, or hardly: more than the longer task has, or next to nothing?"""
    (long, high) = max((task[1], seconds) for task, seconds in least.items())
    return not 0.3 <= slope(least) / (high / long) <= 1.03
