"""One line over time, with gaps where nothing was heard."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 1000, 100
_TOP = 4  # room above the highest value, so that the stroke is not cut
_LEAST_POWER = -300  # of ten; below it a float loses its digits, and soon it is zero
Values = Sequence[float | None]


@dataclass(frozen=True)
class Line:
    """Paths in a box of WIDTH × HEIGHT; `top` is the value at its upper edge."""

    stroke: str
    area: str
    top: float


def line(values: Values, *, least: float = 0) -> Line:
    """A line through `values`, each in the middle of its stretch. The scale ends at `least` or above.

    None is a gap, but for one alone between two values: a sample may come late.
    """
    values = _bridged(values)
    top = nice_top(max((value for value in values if value is not None), default=0), least)
    step = WIDTH / max(1, len(values))
    strokes, areas = [], []
    for start, run in _runs(values):
        points = [(step * (start + i + 0.5), _y(value, top)) for i, value in enumerate(run)]
        if len(points) == 1:  # a lone value would be invisible
            points = [(step * start, points[0][1]), (step * (start + 1), points[0][1])]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        strokes.append(f"M{path}")
        areas.append(f"M{points[0][0]:.1f} {HEIGHT}L{path}L{points[-1][0]:.1f} {HEIGHT}Z")
    return Line("".join(strokes), "".join(areas), top)


def columns(values: Values) -> Line:
    """A column per value that is above zero, and a base line where something was heard."""
    top = nice_top(max((value for value in values if value is not None), default=0))
    step = WIDTH / max(1, len(values))
    width = step * 0.8
    shapes = [
        f"M{step * i + step * 0.1:.1f} {HEIGHT}V{_y(value, top):.1f}h{width:.1f}V{HEIGHT}Z"
        for i, value in enumerate(values)
        if value
    ]
    base = [f"M{step * start:.1f} {HEIGHT}h{step * len(run):.1f}" for start, run in _runs(values)]
    return Line("".join(base), "".join(shapes), top)


def limit_within(values: Values, top: float) -> str:
    """A path along a limit, as far as the scale that ends at `top` shows it."""
    step = WIDTH / max(1, len(values))
    runs = _runs([value if value is not None and value <= top else None for value in values])
    return "".join(
        f"M{step * start:.1f} {_y(run[0], top):.1f}"
        + "".join(f"V{_y(value, top):.1f}H{step * (start + i + 1):.1f}" for i, value in enumerate(run))
        for start, run in runs
    )


def nice_top(highest: float, least: float = 0) -> float:
    """The smallest of 1, 2, 5, 10, 20, 50 … that is not below `highest` or `least`."""
    highest = max(highest, least)
    if highest <= 0:
        return 1
    power = 10.0 ** max(_LEAST_POWER, math.floor(math.log10(highest)))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= highest)


def _y(value: float, top: float) -> float:
    return HEIGHT - (HEIGHT - _TOP) * value / top


def _bridged(values: Values) -> Values:
    around = zip(values, [None, *values], [*values[1:], None], strict=False)
    return [
        (before + after) / 2 if value is None and before is not None and after is not None else value
        for value, before, after in around
    ]


def _runs(values: Values) -> list[tuple[int, list[float]]]:
    runs: list[tuple[int, list[float]]] = []
    previous: float | None = None
    for index, value in enumerate(values):
        if value is not None:
            if previous is None:
                runs.append((index, []))
            runs[-1][1].append(value)
        previous = value
    return runs
