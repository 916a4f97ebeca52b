"""How many threads are faster at the moment: measured while they work, as results do not depend on it."""

from __future__ import annotations

import time

AGAIN = 0.3  # seconds, after which what was slower is tried again: other programs come and go
NEWEST = 0.5  # what the newest measurement counts


class Pace:
    """Chooses between one thread and all of a team, for one part of the work after the other."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seconds: dict[int, float] = {}  # a step, lately
        self.tried: dict[int, float] = {}  # when

    def threads(self) -> tuple[int, bool]:
        """How many threads do the next part, and whether it is a trial, which should be short."""
        for threads in {self.most, 1}:
            if threads not in self.seconds:
                return threads, True
        best = min(self.seconds, key=self.seconds.__getitem__)
        other = self.most + 1 - best
        if time.perf_counter() - self.tried[other] > AGAIN:
            return other, True
        return best, False

    def note(self, threads: int, seconds: float) -> None:
        """So many threads took so many seconds a step."""
        before = self.seconds.get(threads, seconds)
        self.seconds[threads] = min(seconds, before + NEWEST * (seconds - before))
        self.tried[threads] = time.perf_counter()
