"""How training goes on, on standard error: a bar in a terminal, a few plain lines anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from chainrule.cli.output import remark

if TYPE_CHECKING:
    from chainrule.train.loop import Epoch

LINES = 20  # of a whole training


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Callable[[Epoch], None] | None]:
    """What to call after every epoch; it shows nothing before the first."""
    if quiet:
        yield None
    elif sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        with _lines() as report:
            yield report


def described(epoch: Epoch) -> str:
    """Loss, validation score, learning rate and time left."""
    score = "" if epoch.score is None else f"  validation {epoch.score:.4f}"
    if epoch.number == epoch.of:
        time = f"  {epoch.seconds:.1f} s"
    else:
        time = "" if epoch.seconds_left is None else f"  {round(epoch.seconds_left)} s left"
    return f"loss {epoch.loss:.6f}{score}  rate {epoch.learning_rate:.3g}{time}"


def numbered(epoch: Epoch) -> str:
    """The epoch's line."""
    return f"epoch {epoch.number:{len(str(epoch.of))}}/{epoch.of}  {described(epoch)}"


@contextmanager
def _lines() -> Iterator[Callable[[Epoch], None]]:
    """The first epoch, some, and the last, wherever training ends."""
    waiting: list[Epoch] = []

    def report(epoch: Epoch) -> None:
        waiting[:] = [epoch]
        if epoch.number == 1 or epoch.number * LINES // epoch.of > (epoch.number - 1) * LINES // epoch.of:
            remark(numbered(waiting.pop()))

    yield report
    if waiting:
        remark(numbered(waiting.pop()))


@contextmanager
def _bar() -> Iterator[Callable[[Epoch], None]]:
    """One line that is written anew."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = TextColumn("epoch {task.completed}/{task.total}"), BarColumn(16), TextColumn("{task.description}")
    # Results go to standard output, which is not rich's to redirect.
    bar = Progress(*columns, console=Console(stderr=True), redirect_stdout=False)
    task = bar.add_task("", total=1)

    def report(epoch: Epoch) -> None:
        bar.start()
        bar.update(task, completed=epoch.number, total=epoch.of, description=described(epoch))

    try:
        yield report
    finally:
        bar.stop()
