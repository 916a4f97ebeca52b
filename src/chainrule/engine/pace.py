"""How many threads are faster at the moment: measured while they work, as results do not depend on it."""

from __future__ import annotations

import time

SHORT, LONG = 60_000_000, 300_000_000  # multiply-adds of a trial
HOPELESS = 3.0  # times as slow as one thread; less may be the time that threads take to wake, which a long trial shows
AGAIN = 0.1  # seconds after which what was slower is tried again, twice as many after each trial that it lost
SELDOM = 3.0  # the most: other programs come and go
NEWEST = 0.5  # what the newest measurement counts


class Pace:
    """Chooses between one thread and all of a team, for one part of the work after the other."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.seconds: dict[int, float] = {}  # a step, lately
        self.best, self.again, self.due = 1, AGAIN, 0.0
        self.hopeful = False  # was the short trial of all threads worth a long one?

    def threads(self) -> tuple[int, float | None]:
        """How many threads do the next part, and the multiply-adds of it that are a trial, if it is one."""
        for threads in 1, self.most:
            if self._on_trial(threads) and (threads not in self.seconds or time.perf_counter() >= self.due):
                return threads, LONG if self.hopeful else SHORT
        return self.best, None

    def note(self, threads: int, seconds: float) -> None:
        """So many threads took so many seconds a step."""
        if self._on_trial(threads) and threads > 1 and not self.hopeful and seconds < HOPELESS * self.seconds[1]:
            self.hopeful = True
            return
        self.hopeful = False
        before = self.seconds.get(threads, seconds)
        self.seconds[threads] = min(seconds, before + NEWEST * (seconds - before))
        best = min(self.seconds, key=self.seconds.__getitem__)
        if best != self.best:
            self.best, self.again, self.due = best, AGAIN, time.perf_counter() + AGAIN
        elif threads != best:
            self.due = time.perf_counter() + self.again
            self.again = min(SELDOM, 2 * self.again)

    def _on_trial(self, threads: int) -> bool:
        return threads not in self.seconds or threads != self.best
