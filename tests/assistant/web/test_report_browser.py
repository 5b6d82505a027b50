"""The report in a real browser: silent, playable, filterable, usable by keyboard and on a phone."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from assistant.web.report import write_report

pytestmark = pytest.mark.browser

# Text against the nearest opaque background, WCAG 2: what falls short of AA, at most ten lines.
CONTRAST = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const faults = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (["SCRIPT", "STYLE"].includes(element.tagName) || element.closest("svg")) continue;
    let ground = element;
    while (ground && (rgb(getComputedStyle(ground).backgroundColor)[3] ?? 1) < 1) {
      ground = ground.parentElement;
    }
    const style = getComputedStyle(element);
    const pair = [light(rgb(style.color)), light(rgb(getComputedStyle(ground).backgroundColor))];
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) faults.push(`${ratio.toFixed(2)} ${element.textContent}`);
  }
  return faults.slice(0, 10);
}"""


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a report with a stopped clock; at the end nothing may have been said or asked for."""
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def open_page(path: Path, *, width: int = 1200, scheme: str = "light") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.clock.install(time=0)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri())
        page.clock.pause_at(1000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in asked) == len(contexts)


@pytest.fixture
def report(feedback, poses, frames, tmp_path) -> Path:
    return write_report(feedback, tmp_path, frames=frames, **poses)


def time_of(page: Any) -> float:
    return float(page.locator("#scrubber").input_value())


def pictures(page: Any) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('canvas')].map((c) => c.toDataURL())")


def shown(page: Any) -> list[str]:
    remarks = page.locator(".remark .text")
    return [t.inner_text() for t in remarks.all() if t.is_visible()]


def test_it_stands_at_the_heaviest_moment_and_draws_three_bodies(open_page, report):
    page = open_page(report)
    assert time_of(page) == pytest.approx(1.55)
    assert page.locator("#clock").inner_text() == "1.55 s"
    blank = page.evaluate("""[...document.querySelectorAll('canvas')].map((c) => {
      const empty = document.createElement('canvas');
      [empty.width, empty.height] = [c.width, c.height];
      return c.toDataURL() === empty.toDataURL();
    })""")
    assert blank == [False, False, False]
    assert len(set(pictures(page))) == 3


@pytest.mark.parametrize("speed", [1.0, 0.5, 0.25])
def test_play_moves_the_scrubber_at_the_chosen_speed(open_page, report, speed):
    page = open_page(report)
    page.locator(f"[name=speed][value='{speed:g}']").check()
    page.locator("#play").click()
    assert page.locator("#play").get_attribute("aria-label") == "Pause"
    before, drawn = time_of(page), pictures(page)
    page.clock.run_for(800)
    assert time_of(page) - before == pytest.approx(0.8 * speed, abs=0.04 * speed + 0.01)
    assert all(new != old for new, old in zip(pictures(page), drawn, strict=True))
    page.locator("#play").click()
    stopped = time_of(page)
    page.clock.run_for(500)
    assert time_of(page) == stopped
    assert page.locator("#play").get_attribute("aria-label") == "Play"


def test_play_begins_again_at_the_end_of_the_window(open_page, report):
    page = open_page(report)
    page.locator("#play").click()
    page.clock.run_for(1200)  # 1.55 + 1.2 is past the end, 2.55
    assert 0.55 <= time_of(page) < 0.95


def test_the_whole_clip_can_be_shown(open_page, report):
    page = open_page(report)
    page.locator("[name=range][value=clip]").check()
    assert page.locator("#scrubber").get_attribute("max") == "5"
    page.locator("[name=range][value=window]").check()
    assert page.locator("#scrubber").get_attribute("max") == "2.55"


def test_a_remarks_time_moves_the_scrubber(open_page, report):
    page = open_page(report)
    page.locator(".remark .seek").first.click()
    assert time_of(page) == pytest.approx(1.2)
    assert page.locator("[name=range][value=window]").is_checked()
    page.locator(".remark .seek", has_text="3.50").click()  # outside the corrected window
    assert time_of(page) == pytest.approx(3.5)
    assert page.locator("[name=range][value=clip]").is_checked()
    page.locator(".strip button").nth(1).click()
    assert time_of(page) == pytest.approx(0.7)


def test_a_region_shows_only_its_remarks(open_page, report):
    page = open_page(report)
    assert len(shown(page)) == 4
    page.locator("g[data-region=feet] path").first.click()
    assert shown(page) == ["The heels come off the floor near the bottom."]
    assert page.locator("g[data-region=feet]").get_attribute("aria-pressed") == "true"
    assert page.locator(".chips [data-region=feet]").get_attribute("aria-pressed") == "true"
    assert page.locator("#shown").inner_text() == "1 remark about the feet shown"
    page.locator("g[data-region=head] ellipse").click()
    assert shown(page) == [] and page.locator("#no-remark").is_visible()
    page.locator("g[data-region=head] ellipse").click()
    assert len(shown(page)) == 4
    page.locator(".chips [data-region=legs]").click()
    assert len(shown(page)) == 2
    page.locator(".chips [data-region='']").click()
    assert len(shown(page)) == 4


def test_dragging_turns_all_bodies(open_page, report):
    page = open_page(report)
    before = pictures(page)
    canvas = page.locator("canvas").nth(1)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + 150, box["y"] + 100, steps=4)
    page.mouse.up()
    assert float(page.locator("#player").get_attribute("data-yaw")) == pytest.approx(-85)
    after = pictures(page)
    assert all(new != old for new, old in zip(after, before, strict=True))
    page.mouse.move(box["x"] + 20, box["y"] + 100)  # a move without a held button
    assert pictures(page) == after
    page.locator("[name=view][value='-55']").check()
    assert pictures(page) == before


def test_the_ghost_can_be_hidden(open_page, report):
    page = open_page(report)
    before = pictures(page)
    page.locator("#ghost").uncheck()
    after = pictures(page)
    assert [new == old for new, old in zip(after, before, strict=True)] == [True, False, True]


def test_everything_works_by_keyboard(open_page, report):
    page = open_page(report)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the remarks"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(" ")
    page.clock.run_for(200)
    assert time_of(page) == pytest.approx(1.75, abs=0.03)
    page.keyboard.press(" ")
    page.locator("#scrubber").focus()
    start = time_of(page)
    page.keyboard.press("ArrowRight")
    assert time_of(page) == pytest.approx(start + 1 / 30, abs=0.002)
    page.keyboard.press("PageDown")
    assert time_of(page) == pytest.approx(start - 7 / 30, abs=0.002)
    assert page.locator("#scrubber").get_attribute("aria-valuetext") == f"{time_of(page):.2f} s"
    page.keyboard.press("End")
    assert time_of(page) == pytest.approx(2.55)
    page.locator("canvas").first.focus()
    page.keyboard.press("ArrowLeft")
    assert float(page.locator("#player").get_attribute("data-yaw")) == pytest.approx(-47)
    page.locator("g[data-region=torso]").focus()
    page.keyboard.press("Enter")
    assert len(shown(page)) == 1
    page.keyboard.press(" ")
    assert len(shown(page)) == 4


def test_every_control_can_be_reached_by_tab(open_page, report):
    page = open_page(report)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                """(({id, tagName, name, dataset}) =>
                   id || name || dataset.region || dataset.track || tagName)
                   (document.activeElement)"""
            )
        )
    assert {"play", "scrubber", "speed", "range", "view", "ghost"} <= reached
    assert {"learner", "corrected", "expert", "head", "legs"} <= reached


@pytest.mark.parametrize("width", [390, 320, 700, 1200])
@pytest.mark.parametrize("judged", [True, False])
def test_nothing_scrolls_sideways(
    open_page, feedback, not_judged, poses, frames, tmp_path, width, judged
):
    feedback["clip"]["id"] = "a_rather_long_file_name_" * 5
    answer = feedback if judged else not_judged
    if not judged:
        poses = {"learner": poses["learner"]}
    page = open_page(write_report(answer, tmp_path, frames=frames, **poses), width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """(width) => [...document.querySelectorAll('main *, header *')]
      .filter((e) => e.checkVisibility() && !e.closest('.visually-hidden'))
      .filter((e) => e.getBoundingClientRect().right > width + 0.5)
      .map((e) => e.outerHTML.slice(0, 80))""",
        width,
    )
    assert cut == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_enough_contrast(open_page, report, scheme):
    page = open_page(report, scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(15, 21, 20)") == (scheme == "dark")
    assert page.evaluate(CONTRAST) == []


def test_a_clip_that_was_not_judged_still_plays(open_page, not_judged, poses, frames, tmp_path):
    path = write_report(not_judged, tmp_path, learner=poses["learner"], frames=frames)
    page = open_page(path)
    assert page.locator("h2").first.inner_text() == "This clip was not judged"
    assert page.locator("canvas").count() == 1
    page.locator("#play").click()
    page.clock.run_for(500)
    assert time_of(page) == pytest.approx(3.0, abs=0.05)


def test_a_hostile_name_does_not_run(open_page, feedback, poses, tmp_path):
    attack = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
    feedback["clip"]["id"] = attack
    feedback["commentary"] = feedback["remarks"][0]["text"] = attack
    page = open_page(write_report(feedback, tmp_path, **poses))
    assert page.locator("h1").inner_text() == attack
    assert page.evaluate("window.hacked") is None


def test_the_policy_blocks_a_script_that_got_in(browser, report):
    text = report.read_text("utf-8")
    report.write_text(text.replace("<main>", "<main><script>window.hacked = 1</script>"), "utf-8")
    page = browser.new_page()
    blocked = []
    page.on("console", lambda message: blocked.append(message.text))
    page.goto(report.as_uri())
    assert page.evaluate("window.hacked") is None
    assert page.locator("#clock").inner_text() == "1.55 s"
    assert any("Content Security Policy" in text for text in blocked)
    page.close()


def test_it_prints_in_light_colours_on_few_pages(open_page, report):
    page = open_page(report, scheme="dark")
    paper = page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert 2 <= paper.count(b"/Type /Page\n") <= 6
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_the_picture_for_the_readme(browser, report, tmp_path):
    script = Path(__file__).parents[3] / "docs" / "make_picture.py"
    picture = tmp_path / "images" / "report.png"
    command = [sys.executable, str(script), str(report.parent), str(picture)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert picture.stat().st_size <= 400_000
    image = Image.open(picture).convert("RGB")
    assert image.width == 1770
    assert len(image.getcolors(1 << 24) or []) > 100  # a page was drawn, with its colours
    empty = [sys.executable, str(script), str(tmp_path / "images"), str(picture)]
    done = subprocess.run(empty, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1 and "no report (*.html) in" in done.stderr
