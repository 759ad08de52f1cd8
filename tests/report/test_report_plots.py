"""The figures, their thinning, and what stands on which chart."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from r1lab.report.charts import sections
from r1lab.report.plots import Line, Point, curves, scatter, thinned
from r1lab.report.records import Series, read_run


def series(values, start=0):
    return Series(np.arange(start, start + len(values), dtype=float), np.asarray(values, dtype=float))


def test_the_same_data_gives_the_same_drawing_without_a_date():
    drawings = {curves([Line(series([1, 2, 3]))], "loss") for _ in range(3)}
    (svg,) = drawings
    assert svg.startswith('<svg aria-label="loss"') and "Date" not in svg and "metadata" not in svg
    ET.fromstring(svg.replace("xlink:href", "href"))


def test_colours_are_the_pages_own():
    svg = curves([Line(series([1, 2]), 0), Line(series([2, 1]), 9), Line(series([0, 1]), None)], "x")
    for variable in ("--s0", "--s1", "--rest", "--ink-soft", "--grid"):
        assert f"var({variable})" in svg
    assert "#01010" not in svg and "#0201" not in svg


def test_a_long_series_is_thinned_to_means_with_their_extremes():
    steps, mean, low, high = thinned(series([0, 10] * 500), points=100)
    assert steps.tolist() == [4.5 + 10 * i for i in range(100)]
    assert (set(mean), set(low), set(high)) == ({5.0}, {0.0}, {10.0})


def test_thinning_passes_over_gaps():
    values = np.arange(1000.0)
    values[100:300] = math.nan
    _, mean, low, high = thinned(series(values), points=10)
    assert np.isnan([mean[1], mean[2], low[1], high[2]]).all()
    assert (mean[0], low[3], high[9]) == (49.5, 300, 999)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(), max_size=8), st.booleans())
def test_any_values_can_be_drawn(values, may_spike):
    assert curves([Line(series(values), 0, series(values), series(values))], "any", may_spike).endswith("</svg>\n")


@pytest.mark.parametrize(
    "values", [[1e308, -1e308], [5e-324, 1e-320], [1e-9, 1e9, 1.0], [0.0], [math.nan], [], [1, 1e30, 2]]
)
def test_extreme_values_can_be_drawn(values):
    assert "</svg>" in curves([Line(series(values))], "x", may_spike=True)


def ticks(svg):
    return [text.text for text in ET.fromstring(svg.replace("xlink:href", "href")).iter("text")]


def test_a_parameter_over_more_than_a_decade_is_drawn_on_a_logarithmic_axis():
    points = [Point(rate, 0.5) for rate in (1e-5, 1e-4, 1e-3)]
    assert ticks(scatter(points, "learning_rate", "x"))[:4] == ["1e-05", "0.0001", "0.001", "learning_rate"]
    assert "1e-05" not in ticks(scatter([Point(1.0, 0.5), Point(5.0, 0.6)], "beta", "x"))


def test_a_parameter_of_words_is_categorical_and_hostile_words_are_text():
    points = [
        Point("<script>", 0.5),
        Point("$\\frac", 0.6),
        Point("算\ud800\0", 0.7),
        Point("<script>", 0.4),
        Point(3.0, 0.1),
    ]
    assert ticks(scatter(points, "model", "x"))[:4] == ["<script>", "$\\frac", "算�␀", "3.0"]


def test_the_charts_of_a_run_in_the_order_one_reads_them(fake_run):
    found = {section.title: [chart.title for chart in section.charts] for section in sections(read_run(fake_run()))}
    assert found == {
        "Evaluation": ["Eval accuracy", "Eval, other shares", "eval/length"],
        "Training": [
            "Reward",
            "Spread within groups",
            "Completion length",
            "Clipped share",
            "Entropy",
            "KL to the reference",
            "Loss",
            "Gradient norm",
            "Learning rate",
        ],
        "Each reward": ["accuracy", "format"],
        "Other": ["gpu_temperature", "step_time"],
    }
