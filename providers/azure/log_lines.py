"""What is new in a log that is read as a whole again and again. Pure.

ACI gives the last 4 MB of a container's log, or its last lines, each time anew. With `timestamps` each line begins
with its time (RFC 3339, nanoseconds), so lines are told apart even where their words repeat.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from virtual_kubelet.pure import times

__all__ = ["Line", "Tracker", "parse", "since"]

ANCHOR = 32  # lines by which the place where we stopped is found again


@dataclass(frozen=True)
class Line:
    """One line as it came, with its line break if it had one."""

    raw: str
    time: str  # "" where it has none
    text: str

    @property
    def complete(self) -> bool:
        """Whether the line has ended."""
        return self.raw.endswith("\n")

    def shown(self, *, timestamps: bool) -> str:
        """Return it as a client wants it."""
        return self.raw if timestamps else self.text


def parse(content: str) -> list[Line]:
    """Return the lines of a log that was asked for with timestamps.

    Only a line feed ends one: a lone carriage return is what progress bars write.
    """
    parts = content.split("\n")
    whole = [_line(f"{part}\n") for part in parts[:-1]]
    return whole + ([_line(parts[-1])] if parts[-1] else [])


def _line(raw: str) -> Line:
    time, space, text = raw.partition(" ")
    stamp = time if space else time.rstrip("\n")
    if _is_time(stamp):
        return Line(raw, stamp, text if space else raw[len(stamp) :])
    return Line(raw, "", raw)


def _is_time(word: str) -> bool:
    if len(word) < 20 or word[4] != "-":
        return False
    try:
        times.parse(word)
    except ValueError:
        return False
    return True


def since(lines: list[Line], moment: float) -> list[Line]:
    """Return the lines from `moment` (seconds since the epoch) on; one without a time goes with its forerunner."""
    kept = []
    late = False
    for line in lines:
        if line.time:
            late = times.parse(line.time) >= moment
        if late:
            kept.append(line)
    return kept


@dataclass
class Tracker:
    """Remembers where a reader stopped, and finds the place again in the next copy of the log."""

    _last: list[str] = field(default_factory=list)  # the last lines that were handed out
    _time: str = ""  # the latest time among all that were
    _count: int = 0  # how many there were

    def skip(self, lines: list[Line]) -> None:
        """Take `lines` for known."""
        self._note([line for line in lines if line.complete])

    def fresh(self, lines: list[Line], *, ended: bool = False) -> list[Line] | None:
        """Return the lines that are new, in order; None when the place is not found in them.

        A line that has not ended is held back until it has, or, with `ended`, the whole log has.
        """
        start = self._place(lines)
        if start is None:
            return None
        news = lines[start:]
        if news and not news[-1].complete and not ended:
            news = news[:-1]
        self._note(news)
        return news

    def newer(self, lines: list[Line], *, ended: bool = False) -> list[Line]:
        """Return the lines whose time is later than all known: for a log whose known part has been cut off."""
        news = [line for line in lines if not self._time or line.time > self._time]
        if news and not news[-1].complete and not ended:
            news = news[:-1]
        self._note(news)
        return news

    def _place(self, lines: list[Line]) -> int | None:
        """Return the index behind the last known line."""
        if not self._last:
            return 0
        known = len(self._last)
        # Where we have the log from its beginning, counting beats comparing: lines without times repeat.
        if self._matches(lines, self._count):
            return self._count
        for end in range(len(lines), 0, -1):
            if lines[end - 1].raw != self._last[-1]:
                continue
            size = min(known, end)
            # At the head of what we got, fewer lines must do: the rest may have been cut off.
            if [line.raw for line in lines[end - size : end]] == self._last[known - size :]:
                return end
        return None

    def _matches(self, lines: list[Line], end: int) -> bool:
        begin = end - len(self._last)
        return begin >= 0 and end <= len(lines) and [line.raw for line in lines[begin:end]] == self._last

    def _note(self, lines: list[Line]) -> None:
        if not lines:
            return
        self._last = [*self._last, *(line.raw for line in lines)][-ANCHOR:]
        self._time = max(self._time, *(line.time for line in lines))
        self._count += len(lines)
