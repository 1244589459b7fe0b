"""Numbers turned into shapes, and shapes that say what the numbers say."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.charts.bars import DayBar, drawn, overall, overall_said, percent
from dashboard.charts.line import HEIGHT, WIDTH, columns, line, nice_top
from dashboard.charts.timeline import position
from dashboard.templatetags import wording
from deployments.templatetags import ops


@pytest.mark.parametrize(
    ("release", "shown"),
    [
        ("0.3.0-e10340088dc2", '<span title="0.3.0-e10340088dc2">0.3.0</span>'),
        ("1.0-rc-1-0a<b", '<span title="1.0-rc-1-0a&lt;b">1.0-rc-1</span>'),
        ("nothing", "nothing"),
    ],
)
def test_a_release_is_called_by_its_version(release: str, shown: str) -> None:
    assert ops.version(release) == shown


@pytest.mark.parametrize(
    ("highest", "top"), [(0, 1), (-3, 1), (0.3, 0.5), (1, 1), (1.1, 2), (5, 5), (51, 100), (100, 100), (0.004, 0.005)]
)
def test_the_scale_ends_at_a_round_number(highest: float, top: float) -> None:
    assert nice_top(highest) == pytest.approx(top)


def test_a_day_says_of_how_much_of_it_its_uptime_is() -> None:
    today = DayBar(date(2026, 5, 4), 1.0, 0, observed=28 * 60, elapsed=20 * 3600)
    assert (today.label, today.whole) == ("4 May: 100 % of 28 min", False)
    assert "bar-part" in drawn([today])
    whole = DayBar(date(2026, 5, 4), 0.5, 0, observed=3600, elapsed=3600)
    assert (whole.said, whole.whole) == ("50 %", True)
    assert overall_said([today, whole]).startswith("65.9 % of 1 h 28 min")
    assert overall_said([]) == "–"


@given(st.floats(min_value=1e-6, max_value=1e12))
def test_the_scale_always_holds_the_highest_value(highest: float) -> None:
    assert highest <= nice_top(highest) * 1.000001
    assert nice_top(highest) < highest * 10.000001


@pytest.mark.parametrize("highest", [5e-324, 2.2e-308, 1e-301, 9e-300])
def test_a_scale_ends_however_small_its_values_are(highest: float) -> None:
    assert highest <= nice_top(highest) <= 1e-298


def test_a_sample_that_is_missing_between_two_leaves_the_line_whole() -> None:
    drawn = line([1, 2, None, 3, None, 4])
    assert drawn.stroke.count("M") == drawn.area.count("Z") == 1


def test_a_gap_breaks_the_line() -> None:
    drawn = line([1, 2, None, None, 3, 4])
    assert drawn.stroke.count("M") == 2
    assert drawn.area.count("Z") == 2


def test_a_lone_value_is_visible() -> None:
    assert "L" in line([None, 5, None]).stroke


def test_nothing_draws_nothing() -> None:
    for shape in (line([]), line([None, None]), columns([None])):
        assert shape.stroke == shape.area == ""


@given(st.lists(st.none() | st.floats(min_value=0, max_value=1e9), max_size=200))
def test_no_point_leaves_the_box(values: list[float | None]) -> None:
    for shape in (line(values), columns(values)):
        numbers = [float(part) for part in shape.stroke.replace("M", " ").replace("L", " ").replace("h", " ").split()]
        assert all(-0.1 <= number <= max(WIDTH, HEIGHT) + 0.1 for number in numbers)


def test_columns_stand_only_where_something_failed() -> None:
    assert columns([0, 2, 0, None]).area.count("Z") == 1


@pytest.mark.parametrize(
    ("uptime", "grade", "said"),
    [
        (1.0, "good", "100 %"),
        (0.99999, "good", "99.99 %"),
        (0.99, "good", "99 %"),
        (0.9899, "fair", "98.99 %"),
        (0.95, "fair", "95 %"),
        (0.5, "bad", "50 %"),
        (0.0, "bad", "0 %"),
        (None, "none", "no data"),
    ],
)
def test_a_day_has_a_grade_and_says_it_in_words(uptime: float | None, grade: str, said: str) -> None:
    bar = DayBar(date(2026, 5, 4), uptime, 3)
    assert bar.grade == grade
    assert bar.label == f"4 May: {said}"


def test_grades_differ_in_height_too() -> None:
    bars = [DayBar(date(2026, 5, 4), uptime, 0) for uptime in (1.0, 0.96, 0.5, None)]
    *heights, hollow = [int(found) for found in re.findall(r'height="(\d+)"', drawn(bars))]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == 3
    assert hollow == heights[0], "a day without data stands as high as a good one, and is hollow"


def test_uptime_over_all_days_leaves_out_those_without_data() -> None:
    days = [DayBar(date(2026, 5, 4), uptime, 0) for uptime in (None, 1.0, 0.5)]
    assert overall(days) == 0.75
    assert overall(days[:1]) is None


@given(st.floats(min_value=0, max_value=0.9999999))
def test_less_than_everything_is_never_shown_as_everything(part: float) -> None:
    assert percent(part) != "100 %"
    assert not percent(part).startswith("100")


def test_marks_stay_inside_the_chart() -> None:
    start = datetime(2026, 5, 4, tzinfo=UTC)
    end = start + timedelta(hours=24)
    assert position(start, start, end) == 1
    assert position(end, start, end) == 99
    assert position(start + timedelta(hours=12), start, end) == 50


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0, "0.0 s"),
        (4.24, "4.2 s"),
        (59, "59 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3600, "1 h"),
        (3 * 86400 + 4000, "3 d 1 h"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds: float | None, said: str) -> None:
    assert ops.duration(seconds) == said


@pytest.mark.parametrize(("part", "said"), [(0, "0 %"), (0.004, "0.4 %"), (0.5, "50 %"), (1, "100 %")])
def test_rates_are_short(part: float, said: str) -> None:
    assert wording.rate(part) == said
