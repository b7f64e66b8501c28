"""Regions of `assembly`: shapes drawn here, files of one's own, and whether robots fit."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import covey
from covey.core.errors import BadInput
from covey.environments import in_folder
from covey.environments.assembly import assembly, auto_radius, pictures
from covey.environments.assembly.shapes import FAR, HEIGHT, PAPER, SHAPES, bank, cut

SPECIFIED = {  # cells and their area, of the paper's pictures
    "star": (497, 1.86),
    "T": (487, 1.63),
    "R": (534, 2.37),
    "O": (516, 2.16),
    "A": (510, 2.02),
    "B": (502, 2.53),
    "E": (536, 2.12),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes(name):
    region = bank([name])
    count, side = int(region.count[0]), float(region.side[0])
    cell, padding = np.split(region.cell[0], [count])
    assert len(region.cell[0]) % 32 == 0
    assert (padding == FAR).all()
    assert 450 < count < 550
    np.testing.assert_allclose(cell.mean(0), 0, atol=1e-5)
    assert np.ptp(cell[:, 1]) == pytest.approx(HEIGHT, abs=1e-5)
    apart = np.linalg.norm(cell[:, None] - cell, axis=-1) + 9 * np.eye(count)
    assert apart.min() == pytest.approx(side, rel=1e-3)  # a lattice of that side
    assert (apart.min(1) < 1.42 * side).all()  # without islands of one cell


@pytest.mark.parametrize("name", PAPER)
def test_shapes_are_about_as_large_as_those_of_the_paper(name):
    region = bank([name])
    count, area = SPECIFIED[name]
    assert int(region.count[0]) == pytest.approx(count, rel=0.08)
    assert float(region.area[0]) == pytest.approx(area, rel=0.15)


def test_the_largest_sets_the_padding_and_the_order_is_kept():
    both = bank(["T", "star"])
    assert both.cell.shape == (2, 544, 2)
    np.testing.assert_array_equal(both.cell[1][:400], bank(["star"]).cell[0][:400])


def test_thirty_robots_fit_into_all_shapes_of_the_paper():
    env = assembly()
    assert (env.robots, env.radius, len(env.bank.count)) == (30, 0.1, 7)


def test_too_many_robots():
    with pytest.raises(BadInput, match=r"42 robots .* fit into T: .* 4 N r² = 1.68 .* at most 41 robots fit") as caught:
        assembly(robots=42)
    radius = float(str(caught.value).split()[-1].rstrip("."))
    assert assembly(robots=42, collision_radius=radius).radius == radius
    assert assembly(robots=41).robots == 41


def test_the_radius_of_the_papers_code():
    """At 30 robots it is 0.13, as with the paper's pictures."""
    regions = bank(PAPER)
    assert [2 * auto_radius(n, regions) for n in (10, 20, 30, 40, 50, 60)] == pytest.approx(
        [0.45, 0.32, 0.26, 0.22, 0.2, 0.18], abs=0.021
    )
    assert assembly(collision_radius="auto").radius == 0.13


# ---------------------------------------------------------------------------------------------------------------------
# Files


def test_an_arrow_from_a_picture_and_from_a_mask(tmp_path):
    """Both are the same region, and y points upwards: the tip of a triangle is up."""
    row, column = np.mgrid[:120, :100]
    mask = np.abs(column - 49.5) < row / 2.5
    Image.fromarray(np.where(mask, 0, 255).astype(np.uint8)).save(tmp_path / "arrow.png")
    np.save(tmp_path / "arrow.npy", mask)
    clear = np.zeros((120, 100, 4), np.uint8)
    clear[mask] = 20, 20, 20, 255
    Image.fromarray(clear).save(tmp_path / "clear.png")
    regions = bank([str(tmp_path / name) for name in ("arrow.png", "arrow.npy", "clear.png")])
    for other in (1, 2):
        np.testing.assert_array_equal(regions.cell[0], regions.cell[other])
    cell = regions.cell[0][: regions.count[0]]
    assert np.ptp(cell[cell[:, 1] > 1.0][:, 0]) < 0.5 < np.ptp(cell[cell[:, 1] < -0.5][:, 0])
    env = covey.make("assembly", robots=4, shapes=("star", str(tmp_path / "arrow.png")))
    assert env.bank.count.tolist()[1] == regions.count[0]


def save(path, array):
    np.save(path, array)


def picture(path, gray, size=(60, 60)):
    Image.fromarray(np.full(size, gray, np.uint8)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("none.png", lambda path: None, "is no file"),
        ("white.png", lambda path: picture(path, 255), "there is no shape in"),
        ("empty.npy", lambda path: save(path, np.zeros((9, 9), bool)), "there is no shape in"),
        ("text.png", lambda path: path.write_text("hello"), "cannot be read as PNG"),
        ("text.npy", lambda path: path.write_text("hello"), "cannot be read"),
        ("nothing.npy", lambda path: path.write_bytes(b""), "cannot be read"),
        ("cut.png", lambda path: (picture(path, 0), path.write_bytes(path.read_bytes()[:60])), "cannot be read as PNG"),
        (
            "large.png",
            lambda path: picture(path, 0, (1001, 1000)),
            "too large .1000 x 1001.: scale it down to 1",
        ),
        ("large.npy", lambda path: save(path, np.ones((1001, 1000), bool)), "too large"),
        ("floats.npy", lambda path: save(path, np.ones((60, 60))), "is not of bool values"),
        ("deep.npy", lambda path: save(path, np.ones((60, 60, 2), bool)), "is not of bool values"),
        ("objects.npy", lambda path: np.save(path, np.array([{}]), allow_pickle=True), "cannot be read"),
        ("tiny.npy", lambda path: save(path, np.ones((9, 9), bool)), "room for 81 cells, and a region needs 100"),
        ("flat.npy", lambda path: save(path, np.ones((10, 90), bool)), "times as wide as high"),
        ("row.npy", lambda path: save(path, np.ones((1, 200), bool)), "times as wide as high"),
    ],
)
def test_files_that_are_no_shapes(tmp_path, monkeypatch, name, write, words):
    monkeypatch.setattr(pictures, "MOST_PIXELS", 1_000_000)
    write(tmp_path / name)
    with pytest.raises(BadInput, match=words) as caught:
        assembly(robots=4, shapes=str(tmp_path / name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bombs_are_not_decoded(tmp_path, monkeypatch):
    """Neither those that Pillow warns of nor those that it refuses."""
    Image.fromarray(np.zeros((400, 400), bool)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    for limit in (100_000, 10_000):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        monkeypatch.setattr(pictures, "MOST_PIXELS", limit)
        with pytest.raises(BadInput, match="too large"):
            bank([str(tmp_path / "bomb.png")])


def test_thin_lines_have_no_cells():
    with pytest.raises(BadInput, match="there is no shape in a drawing"):
        cut(np.zeros((50, 50), bool), "a drawing")


def test_files_are_found_again_from_another_folder(tmp_path):
    (tmp_path / "own.npy").touch()
    (tmp_path / "star").mkdir()  # a folder that is called as a shape
    _, options = in_folder("assembly", {"shapes": ("star", "own.npy", "gone.npy"), "robots": 4}, tmp_path)
    assert options == {"shapes": ("star", str(tmp_path / "own.npy"), "gone.npy"), "robots": 4}
    assert in_folder("assembly", {"shapes": "own.npy"}, tmp_path)[1] == {"shapes": str(tmp_path / "own.npy")}


# ---------------------------------------------------------------------------------------------------------------------
# Options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"robots": 1}, "choose from 2 to 200"),
        ({"robots": 201}, "choose from 2 to 200"),
        ({"time_limit": 0}, "`time_limit` is 0"),
        ({"shapes": ()}, "`shapes` is 0"),
        ({"shapes": "stra"}, "did you mean 'star'"),
        ({"shapes": ("star", 3)}, "must be text"),
        ({"collision_radius": 0.0}, "above 0, or `auto`"),
        ({"collision_radius": "large"}, "must be a number or one of 'auto'"),
        ({"sensing_radius": float("inf")}, "`sensing_radius` is inf"),
        ({"tolerance": 0.0}, "`tolerance` is 0"),
        ({"nearest": 0}, "`nearest` is 0"),
        ({"cells": 0}, "`cells` is 0"),
        ({"cells": 9999}, "see fewer cells"),
        ({"reward": "dense"}, "must be one of 'llm', 'manual'"),
        ({"layout": "code191"}, "must be one of"),
    ],
)
def test_impossible_options_are_one_sentence(options, words):
    with pytest.raises(BadInput, match=words):
        covey.make("assembly", **options)
