"""The rating sheet in a real browser: rate, close, go on, download, import."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.humans import make_key, read_study, write_study
from eval.humans_import import summarise
from eval.humans_sheet import render_sheets

pytestmark = pytest.mark.browser


@pytest.fixture
def sheet(tmp_path: Path) -> tuple[Path, Path]:
    """A sheet of three clips, two systems and the floor; and the key."""
    systems = {}
    for name in ("first", "second"):
        rows = [{"id": f"{i}", "text": f"Bend the {name} knee, {i} cm lower."} for i in range(3)]
        systems[name] = tmp_path / f"{name}.jsonl"
        systems[name].write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    study = read_study(systems, sheets=1)
    key, pages = make_key(study), render_sheets(study, make_key(study))
    return write_study(study, tmp_path / "sheets", tmp_path / "key.json", pages, key)[0], (
        tmp_path / "key.json"
    )


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens sheets in one profile a test; at the end nothing was said or asked for elsewhere."""
    said: list[str] = []
    asked: list[str] = []
    contexts: list[Any] = []

    def open_page(path: Path, *, width: int = 1000, scheme: str = "light") -> Any:
        if not contexts:
            size = {"width": width, "height": 800}
            contexts.append(browser.new_context(viewport=size, color_scheme=scheme))
        page = contexts[0].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    contexts[0].close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def download(page: Any, path: Path) -> dict[str, Any]:
    with page.expect_download() as caught:
        page.locator("#download").click()
    assert caught.value.suggested_filename.endswith("_sheet_1.json")
    caught.value.save_as(path)
    return json.loads(path.read_text("utf-8"))


def test_rate_by_mouse_and_keyboard_close_go_on_download_and_import(open_page, sheet, tmp_path):
    path, key_path = sheet
    page = open_page(path)
    assert page.locator("#progress").inner_text() == "0 of 9 answered"
    sets = page.locator(".clip:visible fieldset")
    assert sets.count() == 3
    sets.nth(0).get_by_label("4 Very good").check()
    sets.nth(1).locator("input").first.focus()
    page.keyboard.press("2")
    page.keyboard.press("ArrowRight")  # native radios: 3
    sets.nth(2).get_by_label("Can’t tell").check()
    assert page.locator("#progress").inner_text() == "3 of 9 answered"
    page.locator("#next").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent") == "Clip 2 of 3"
    page.wait_for_timeout(1000)  # Chromium writes what is stored a little later
    page.close()

    page = open_page(path)  # the same browser later
    assert page.locator("h2:visible").inner_text() == "Clip 2 of 3"
    assert page.locator("#progress").inner_text() == "3 of 9 answered"
    page.locator("#previous").click()
    chosen = page.locator(".clip:visible input:checked")
    assert [radio.input_value() for radio in chosen.all()] == ["4", "3", "0"]
    chosen.nth(0).focus()
    page.keyboard.press("1")  # changed my mind

    got = download(page, tmp_path / "ratings.json")
    assert [row["value"] for row in got["ratings"]] == [1, 3, None]
    result = summarise([tmp_path / "ratings.json"], key_path)
    assert (result["n_ratings"], result["n_cannot_tell"], result["n_left_open"]) == (2, 1, 6)
    key = json.loads(key_path.read_text("utf-8"))
    means = result["questions"]["quality"]["systems"]
    for row in got["ratings"]:
        assert means[key["items"][row["item"]]["system"]]["mean"] == row["value"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(open_page, sheet, scheme):
    page = open_page(sheet[0], width=360, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 243)", "dark": "rgb(15, 21, 20)"}[scheme]
    labels = page.locator(".clip:visible label span")
    assert all(label.bounding_box()["height"] >= 44 for label in labels.all())
    last = page.locator(".clip:visible fieldset").last
    last.locator("input").last.focus()
    footer = page.locator("footer").bounding_box()
    assert last.bounding_box()["y"] < footer["y"]


def test_without_storage_it_says_so_and_still_downloads(open_page, sheet, tmp_path):
    page = open_page(sheet[0])
    assert page.locator("#no-memory").is_hidden()
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no'); } })"
    )
    page.reload()
    assert page.locator("#no-memory").is_visible()
    page.locator(".clip:visible fieldset").first.get_by_label("3 Good").check()
    assert [row["value"] for row in download(page, tmp_path / "r.json")["ratings"]] == [3]
