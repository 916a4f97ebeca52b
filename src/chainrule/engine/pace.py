"""How many threads are faster at the moment: measured while they work, as results do not depend on it."""

from __future__ import annotations

import time

TRIAL = {False: 300_000_000, True: 60_000_000}  # multiply-adds of a trial: threads cost time to wake, one does not
AGAIN = 0.1  # seconds after which what was slower is tried again, twice as many after each trial that it lost
SELDOM = 3.0  # the most: other programs come and go
NEWEST = 0.5  # what the newest measurement counts


class Pace:
    """Chooses between one thread and all of a team, for one part of the work after the other."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seconds: dict[int, float] = {}  # a step, lately
        self.best, self.again, self.due = most, AGAIN, 0.0

    def threads(self) -> tuple[int, float | None]:
        """How many threads do the next part, and its multiply-adds where it is a trial, which should be short."""
        other = self.most + 1 - self.best
        for threads in self.best, other:
            if threads not in self.seconds or (threads == other and time.perf_counter() >= self.due):
                return threads, TRIAL[threads == 1]
        return self.best, None

    def note(self, threads: int, seconds: float) -> None:
        """So many threads took so many seconds a step."""
        before = self.seconds.get(threads, seconds)
        self.seconds[threads] = min(seconds, before + NEWEST * (seconds - before))
        best = min(self.seconds, key=self.seconds.__getitem__)
        if best != self.best:
            self.best, self.again, self.due = best, AGAIN, time.perf_counter() + AGAIN
        elif threads != best:
            self.due = time.perf_counter() + self.again
            self.again = min(SELDOM, 2 * self.again)
