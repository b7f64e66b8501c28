"""`mkdocs.yml`: every page is in the navigation, and nothing is fetched from elsewhere."""

from __future__ import annotations

from pathlib import Path

import yaml

import covey

ROOT = Path(covey.__file__).parents[2]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())


def pages(navigation: object) -> set[str]:
    """The files of a navigation, at any depth."""
    match navigation:
        case str():
            return {navigation}
        case dict():
            return set().union(*(pages(below) for below in navigation.values()))
        case list():
            return set().union(*(pages(below) for below in navigation))
    raise TypeError(navigation)


def test_every_page_is_in_the_navigation():
    written = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert pages(SITE["nav"]) == written


def test_nothing_is_fetched_from_elsewhere():
    """Fonts come from Google by default, and the plugin `offline` adds a script from a CDN."""
    assert SITE["theme"]["font"] is False
    assert "offline" not in SITE["plugins"]
    assert not {"extra_javascript", "extra_css"} & set(SITE)
