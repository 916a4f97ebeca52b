"""What a verification found: data and its printing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module

from chainrule.expr import Node

__all__ = ["Failure", "Verification"]


@dataclass(frozen=True)
class Failure:
    """A claim that is not true: both sides, and their relative distance, NaN if never finite and smooth."""

    rule: str
    equation: str
    before: Node | str
    after: Node | str
    error: float

    def __str__(self) -> str:
        before, after = (side if isinstance(side, str) else _written(side) for side in (self.before, self.after))
        found = "never finite and smooth" if math.isnan(self.error) else f"relative error {self.error:.1e}"
        found = "not equal" if math.isinf(self.error) else found
        return f"{self.rule}, in {self.equation}: {found}\n    before: {before}\n    after:  {after}"


@dataclass(frozen=True)
class Verification:
    """What `verify` found; true when it is `ok`.

    Attributes
    ----------
    ok : bool
    steps : int
        How many recorded steps were replayed.
    worst : float
        The largest relative error of the rewritings that were compared in floating point.
    failures : tuple of Failure
        Wrong steps, wrong names, equations that the steps do not lead to, and wrong derivatives.
    exact : int
        How many steps were shown to be right exactly, modulo a prime.
    """

    ok: bool
    steps: int
    worst: float
    failures: tuple[Failure, ...]
    exact: int = 0

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "ok" if self.ok else f"{len(self.failures)} failed"
        exactly = f"{self.exact} of them modulo 2^61 - 1"
        head = f"{self.steps} steps replayed, {exactly}, worst relative error {self.worst:.1e}: {verdict}"
        return "\n".join([head, *(f"  {failure}" for failure in self.failures)])


def _written(node: Node) -> str:
    render = import_module("chainrule.render.text")  # only to be read: nothing that judges knows it
    return str(render.text(node))
