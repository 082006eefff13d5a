"""Subscriptions by the month and by the year: renewed, cancelled, ended and taken up again."""

from __future__ import annotations

import numpy as np

from data.simulator.draws import Draws, Ints
from data.simulator.parameters import DAY, NEVER, Parameters
from data.simulator.people import People
from data.simulator.tables import HISTORY, Table

_MONTH, _YEAR = 30, 365
_HOUR = 10 * 3600


class Subscriptions:
    """All subscriptions, one a person at most, and how they change day by day."""

    def __init__(self, parameters: Parameters, people: People) -> None:
        self._parameters = parameters
        self.user: Ints = np.flatnonzero(people.subscribe_day < parameters.days)
        draws = Draws(parameters.seed, "subscriptions")
        size = len(self.user)
        self._is_yearly = draws.happens(parameters.yearly_plans, size)
        self._started = people.subscribe_day[self.user].astype(np.int64)
        self._period = np.where(self._is_yearly, _YEAR, _MONTH)
        self._renews = np.full(size, NEVER, dtype=np.int64)
        self._auto = draws.happens(0.85, size)
        self._asked = np.full(size, -1, dtype=np.int64)
        self._ended = np.full(size, -1, dtype=np.int64)

    def history(self) -> tuple[Table, Ints]:
        """The subscriptions that began before the first day, as rows, and when they were written (seconds)."""
        old = np.flatnonzero(self._started < 0)
        elapsed = -self._started[old] // self._period[old]
        last = self._started[old] + elapsed * self._period[old]
        self._renews[old] = last + self._period[old]
        rows = self._rows(old, np.minimum(last, HISTORY))
        return rows, np.asarray(rows["updated"])

    def next_day(self, day: int) -> tuple[Table, Ints]:
        """What changes on a day, as rows, and when they are written (seconds)."""
        draws = Draws(self._parameters.seed, "subscriptions", day)
        luck = draws.uniform(3, len(self.user))
        begins = self._started == day
        self._renews[begins] = day + self._period[begins]
        runs = (self._started < day) & (self._ended < 0)
        due = runs & (self._renews == day)
        renewed = due & self._auto
        ends = due & ~self._auto
        self._renews[renewed] += self._period[renewed]
        self._ended[ends] = day
        goes_on = runs & ~due & self._auto
        turns_off = goes_on & (luck[0] < self._parameters.turns_off_renewal)
        cancels = goes_on & ~turns_off & (luck[1] < self._parameters.asks_to_cancel)
        self._auto[turns_off | cancels] = False
        self._asked[cancels] = day
        again = (self._ended >= 0) & (self._ended < day) & (luck[2] < self._parameters.subscribes_again)
        self._auto[again] = True
        self._asked[again] = -1
        self._ended[again] = -1
        self._renews[again] = day + self._period[again]
        changed = np.flatnonzero(begins | renewed | ends | turns_off | cancels | again)
        rows = self._rows(changed, np.full(len(changed), day))
        return rows, np.asarray(rows["updated"])

    def _rows(self, chosen: Ints, day: Ints) -> Table:
        """Rows of some subscriptions as they are now; ``day`` is that of the change."""
        start = self._parameters.start

        def time(days: Ints) -> Ints:
            return np.where(days < 0, -1, start + days * DAY + _HOUR)

        return {
            "user": self.user[chosen],
            "is_yearly": self._is_yearly[chosen].astype(np.int64),
            "started": start + self._started[chosen] * DAY + _HOUR,
            "renews": start + self._renews[chosen] * DAY + _HOUR,
            "auto": self._auto[chosen].astype(np.int64),
            "asked": time(self._asked[chosen]),
            "ended": time(self._ended[chosen]),
            "at": start + day * DAY + _HOUR,
            "updated": start + day * DAY + _HOUR,
        }
