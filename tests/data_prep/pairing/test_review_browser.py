"""The review page in a real browser: silent, playable, and its export is what --apply reads."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.cli import run_command
from data_prep.pairing.store import PairStore

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of simulated test drills, with their review page."""
    home = tmp_path_factory.mktemp("review")
    data, out = str(home / "drills"), home / "out"
    made = ["drills", "--performers", "4", "--clips", "8", "--split", "test", "-o", data]
    assert run_command("data", made) == 0
    assert run_command("data", ["pair", data, "-o", str(out)]) == 0
    assert run_command("data", ["pair", "--review", str(out)]) == 0
    return out


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Any]:
    """The page with a stopped clock; at the end nothing may have been said or asked for."""
    said: list[str] = []
    asked: list[str] = []
    context = browser.new_context(viewport={"width": 1200, "height": 1000})
    opened = context.new_page()
    opened.clock.install(time=0)
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto((folder / "review.html").as_uri())
    opened.clock.pause_at(1000)
    yield opened
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


def text(page: Any, name: str) -> str:
    return page.locator(f"#{name}").inner_text()


def pictures(page: Any) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('canvas')].map((c) => c.toDataURL())")


def export(page: Any, path: Path) -> dict[str, Any]:
    with page.expect_download() as download:
        page.locator("#export").click()
    assert download.value.suggested_filename == "decisions.json"
    download.value.save_as(path)
    return json.loads(path.read_text())


def test_both_bodies_play_in_step_and_pairs_change(page: Any) -> None:
    first = pictures(page)
    assert len(set(first)) == 2
    page.locator("#play").click()
    page.clock.run_for(500)
    assert all(new != old for new, old in zip(pictures(page), first, strict=True))
    moved = float(page.locator("#scrubber").input_value())
    assert moved == pytest.approx(1.5, abs=0.2)
    page.locator("#play").click()
    title, summary = text(page, "pair-title"), text(page, "summary")
    page.keyboard.press("n")
    page.keyboard.press("n")
    assert text(page, "pair-title") == title.replace("Pair 1", "Pair 3")
    assert text(page, "summary") and summary
    assert page.locator("#all button[aria-current=true]").inner_text() == "3"
    page.locator("#all button").first.click()
    assert page.locator("#back").is_disabled()


def test_a_shift_moves_only_the_expert_and_changes_the_error(page: Any) -> None:
    learner, expert = pictures(page)
    place = text(page, "place")
    key = "." if page.locator("#later").is_enabled() else ","
    for _ in range(3):
        page.keyboard.press(key)
    assert pictures(page)[0] == learner and pictures(page)[1] != expert
    assert text(page, "place") != place and "3 frames" in text(page, "place")
    assert text(page, "accept") == "Accept as shifted"
    page.locator("#shift").fill("0")
    assert page.locator("#earlier").is_disabled()


def test_decisions_are_exported_and_taken_over(
    page: Any, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.keyboard.press("a")
    page.keyboard.press("n")
    page.keyboard.press("r")
    page.keyboard.press("n")
    key = "." if page.locator("#later").is_enabled() else ","
    page.keyboard.press(key)
    page.keyboard.press("a")
    assert text(page, "verdict") == "fixed"
    place = text(page, "place")
    total = page.locator("#all button").count()
    assert text(page, "progress") == (f"{total} pairs: 2 accepted, 1 rejected, {total - 3} to go")
    path = tmp_path / "decisions.json"
    decisions = export(page, path)["decisions"]
    assert [d["decision"] for d in decisions] == ["accept", "reject", "fix"]
    page.reload()
    assert text(page, "progress").startswith(f"{total} pairs: 2 accepted, 1 rejected")

    assert run_command("data", ["pair", "--apply", str(path), "-o", str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["accepted"], told["rejected"], told["fixed"]) == (1, 1, 1)
    with PairStore(folder) as store:
        pairs = store.pairs()
    assert [p.status for p in pairs[:4]] == ["accepted", "rejected", "fixed", "mined"]
    fixed = pairs[2]
    assert place.startswith(f"{fixed.expert_start:.2f}–{fixed.expert_end:.2f} s")
    assert f"{fixed.pa_mpjpe_mm:.1f} mm" in place


def test_it_fits_a_phone(browser: Any, folder: Path) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740})
    opened = context.new_page()
    opened.goto((folder / "review.html").as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    context.close()
