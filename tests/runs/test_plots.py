from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from covey.core.errors import BadInput
from covey.runs import plots

X = np.linspace(0, 1000, 12)
RNG = np.random.default_rng(0)


def curve(seeds: int = 4):
    return X, X[:, None] / 1000 + RNG.normal(0, 0.1, (12, seeds))


def texts(axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


def test_band_is_the_t_interval_over_seeds():
    y = np.array([[1.0, 3.0], [2.0, 2.0]])
    _, middle, low, high = plots.band("a", ([0, 1], y))
    np.testing.assert_allclose(middle, [2, 2])
    np.testing.assert_allclose([low[0], high[0]], [2 - 12.7062, 2 + 12.7062], rtol=1e-4)  # t(1) quantile x 1 / √1
    np.testing.assert_allclose([low[1], high[1]], [2, 2])


def test_band_of_one_seed_is_its_line():
    _, middle, low, high = plots.band("a", (X, X))
    np.testing.assert_array_equal(middle, X)
    np.testing.assert_array_equal([low, high], [X, X])


def test_band_passes_over_seeds_that_have_no_number():
    _, middle, _, _ = plots.band("a", ([0.0], np.array([[1.0, np.nan, 3.0]])))
    np.testing.assert_allclose(middle, [2.0])


@pytest.mark.parametrize("y", [np.zeros((3, 2)), np.zeros((12, 2, 2)), np.zeros(())])
def test_band_refuses_other_shapes(y):
    with pytest.raises(BadInput, match=r"the curve 'a' has x of shape"):
        plots.band("a", (X, y))


def test_curves_name_every_line():
    published = {"ours": (X, X / 1100), "another": (X, X / 900)}
    figure = plots.curves("title", {"ours": curve(), "rival": curve(1)}, {"optimum": 1.2}, published=published)
    (axes,) = figure.axes
    assert texts(axes) == {"ours", "rival", "optimum", "ours, published", "another, published"}
    assert axes.get_title(loc="left") == "title"
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(dashed) == 3  # two published curves and one level
    ours = next(line for line in axes.lines if line.get_linestyle() == "-")
    assert dashed[0].get_color() == ours.get_color()


def test_beside_shares_colors_and_counts_episodes():
    theirs = {"episode": np.arange(5.0), "a": np.arange(5.0), "b": np.ones(5)}
    left, right = plots.beside("figure", {"b": curve(), "c": curve()}, theirs, 20).axes
    assert texts(left) == {"a", "b"}
    assert texts(right) == {"b", "c"}
    assert left.lines[1].get_color() == right.lines[0].get_color()
    np.testing.assert_allclose(np.asarray(right.lines[0].get_xdata(), float), X / 20)


def test_bars_show_mean_seeds_and_published():
    results = {"2": [1.0, 3.0], "4": [2.5]}
    axes: Any = plots.bars("K", results, {"rule": 1.5}, published={"4": 3.0}).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [2.0, 2.5]
    assert texts(axes) == {"rule"}
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "4"]
    bottom, top = axes.get_ylim()
    label = axes.texts[0]
    assert label.xy[1] == pytest.approx((1.5 - bottom) / (top - bottom))  # beside its line, whatever else is drawn


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: plots.curves("", {}), "no curves to draw"),
        (lambda: plots.bars("", {}), "no bars to draw"),
        (lambda: plots.bars("", {"a": []}), "no bars to draw"),
        (lambda: plots.bars("", {"a": [1.0]}, published={"b": 1.0}), "'b' belongs to no bar; the bars are a"),
    ],
)
def test_nothing_to_draw(draw, said):
    with pytest.raises(BadInput, match=said):
        draw()


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_save_writes_the_same_file_twice(tmp_path, suffix):
    first, second = (
        plots.save(plots.bars("K", {"2": [1.0, 2.0]}), tmp_path / name / f"bars{suffix}") for name in ("a", "b")
    )
    assert first.read_bytes() == second.read_bytes()


def test_save_refuses_other_suffixes(tmp_path):
    with pytest.raises(BadInput, match=r"cannot be written as '\.bmp': use \.png or \.svg or \.pdf"):
        plots.save(plots.bars("K", {"2": [1.0]}), tmp_path / "bars.bmp")


@pytest.mark.parametrize("heights", [[0.5, 0.5, 0.5], [0.1, 0.11, 0.3, 0.31], [0.0, 0.9], []])
def test_spread_keeps_labels_apart_and_near(heights):
    placed = plots.spread(heights, 0.05)
    assert all(b - a >= 0.05 - 1e-9 for a, b in itertools.pairwise(placed))
    assert np.mean(placed or [0]) == pytest.approx(np.mean(heights or [0]))
    assert plots.spread([0.0, 0.9], 0.05) == [0.0, 0.9]


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (1500, "1.5k"), (2e6, "2M"), (3e9, "3G"), (0.5, "0.5")])
def test_short(value, text):
    assert plots.short(value) == text
