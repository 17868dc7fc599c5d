"""How finely time is kept for how long, and which level answers a question. Pure."""

from __future__ import annotations

from dataclasses import dataclass

MINUTE_S, HOUR_S, DAY_S, WEEK_S = 60, 3600, 86_400, 7 * 86_400

LATE_S = 360
"""How late a sample may come: an agent keeps five minutes for a master that was away."""


@dataclass(frozen=True)
class Level:
    """One resolution: buckets of ``bucket_s`` seconds, stored in blocks of ``block_s``."""

    number: int
    bucket_s: int
    block_s: int
    keep_s: int
    """How far back it can be asked. Stored a little longer, until the next level has it."""

    @property
    def buckets(self) -> int:
        """How many buckets a block has."""
        return self.block_s // self.bucket_s

    def block_of(self, at: float) -> int:
        """Return the start of the block that a time lies in."""
        return int(at // self.block_s) * self.block_s


RAW = Level(0, 1, 5 * MINUTE_S, HOUR_S)
MIDDLE = Level(1, 10, HOUR_S, DAY_S)
COARSE = Level(2, MINUTE_S, DAY_S, 31 * DAY_S)
COARSEST = Level(3, 10 * MINUTE_S, WEEK_S, 31 * DAY_S)
"""What charts of days are made from: a week of it is two blocks where a week of minutes is eight larger ones."""
LEVELS = (RAW, MIDDLE, COARSE, COARSEST)

POINTS = 360
"""About how many points are answered where nobody asked for a step."""

_NICE_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 21_600, 43_200, 86_400)


@dataclass(frozen=True)
class Grid:
    """The times of an answer: ``count`` steps of ``step_s`` seconds from ``start`` on, made from one level."""

    level: Level
    start: int
    step_s: int
    count: int

    @property
    def end(self) -> int:
        """Just after the last step."""
        return self.start + self.count * self.step_s


def choose_grid(start: float, end: float, step_s: int | None, now: float) -> Grid:
    """Return the grid that answers a question: as fine as asked for, as far as that is still kept.

    Steps are whole multiples of the level's bucket and begin at multiples of themselves, so that the same question a
    second later has the same points.
    """
    wanted = step_s or _nice_step((end - start) / POINTS)
    level = next(
        (level for level in reversed(LEVELS) if _fits(level, wanted) and _reaches(level, start, now)),
        next((level for level in LEVELS if _reaches(level, start, now)), COARSE),
    )
    step = max(1, -(-wanted // level.bucket_s)) * level.bucket_s
    first = int(start // step) * step
    return Grid(level, first, step, max(1, -int(-(end - first) // step)))


def _nice_step(least_s: float) -> int:
    return next((step for step in _NICE_S if step >= least_s), _NICE_S[-1])


def _fits(level: Level, wanted_s: int) -> bool:
    # Nobody misses what rounding a step up to a whole minute takes; up to ten, everybody would.
    return level.bucket_s <= wanted_s and (level is not COARSEST or wanted_s % level.bucket_s == 0)


def _reaches(level: Level, start: float, now: float) -> bool:
    return start >= now - level.keep_s - LATE_S or level in (COARSE, COARSEST)
