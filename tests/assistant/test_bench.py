"""`poise bench`: the form of results and the page. How fast things are is no matter of tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assistant import bench, bench_cli, bench_memory, bench_page, bench_startup
from assistant.bench import BENCHES, BY_RATE, BY_TIME, SHARE, Aim, compared, in_turns, run_bench
from assistant.cli import run_command
from assistant.errors import PoiseError

ROOT = Path(__file__).parents[2]
STORED = ROOT / bench_cli.RESULTS
KEYS = {"ours", "baseline", "ratio", "unit", "ours_is", "baselines", "ratio_is", "rounds", "spread"}


def check_form(part: dict[str, Any]) -> None:
    """A comparison says everything, and its medians, ranges, ratios and aims agree."""
    assert set(part) >= KEYS
    spreads = part["spread"]
    as_lists = {
        key: part[key] if isinstance(part["baselines"], list) else [part[key]]
        for key in ("baseline", "ratio", "baselines")
    }
    assert len({len(values) for values in as_lists.values()}) == 1
    assert part["ours"] == spreads["ours"]["median"] > 0
    for key in ("baseline", "ratio"):
        ranges = spreads[key] if isinstance(spreads[key], list) else [spreads[key]]
        for value, told in zip(as_lists[key], ranges, strict=True):
            assert value == told["median"]
            assert 0 < told["min"] <= told["median"] <= told["max"]
    if part["rounds"] == 1:
        for base, ratio in zip(as_lists["baseline"], as_lists["ratio"], strict=True):
            expected = base / part["ours"] if part["ratio_is"] == BY_TIME else part["ours"] / base
            assert ratio == pytest.approx(expected, rel=1e-2)
    for aim in part.get("aims", []):
        place = as_lists["baselines"].index(aim["baseline"]) if "baseline" in aim else 0
        value = part["ours"] if aim["of"] == "ours" else as_lists["ratio"][place]
        met = value >= aim["at_least"] if "at_least" in aim else value <= aim["at_most"]
        assert aim["met"] is met


FACTS = {
    "same_order": True,
    "whole_s": {"median": 0.25, "min": 0.2, "max": 1234.5},
    "set": {"span": [60.0, 62.5], "items": 100_000, "peak": None},
}


def fake(**more: Any) -> dict[str, Any]:
    found = compared([1.0, 2.0, 4.0], {"slow": [3.0, 4.0, 40.0]}, ours_is="fast", unit="s", **more)
    machine = {"processor": "abacus", "cores": 1, "load_1min": 0.5, "python": "3.11"}
    return {
        "measured": "beads",
        **found,
        "beads": 7,
        **FACTS,
        "note": "By hand.",
        "machine": machine,
    }


def test_a_comparison_by_hand() -> None:
    found = compared([1.0, 2.0, 4.0], {"slow": [3.0, 4.0, 40.0]}, ours_is="fast", unit="s")
    assert (found["ours"], found["baseline"], found["baselines"]) == (2.0, 4.0, "slow")
    assert found["spread"]["ratio"] == {"median": 3.0, "min": 2.0, "max": 10.0}
    assert found["rounds"] == 3 and "aims" not in found
    check_form(found)


@pytest.mark.parametrize(("kind", "ratio"), [(BY_TIME, 0.5), (BY_RATE, 2.0), (SHARE, 2.0)])
def test_ratios_of_each_kind_with_several_baselines(kind: str, ratio: float) -> None:
    aims = [Aim("ratio", "at_least", 1.0, "b"), Aim("ours", "at_most", 8.0)]
    found = compared(
        [8.0], {"a": [4.0], "b": [2.0]}, ours_is="x", unit="y", ratio_is=kind, aims=aims
    )
    assert found["ratio"][0] == ratio
    assert [aim["met"] for aim in found["aims"]] == [found["ratio"][1] >= 1.0, True]
    check_form(found)


def test_works_take_turns_and_are_measured_as_asked() -> None:
    order: list[str] = []
    works = [lambda: order.append("a"), lambda: order.append("b")]
    spent = in_turns(works, 3)
    assert order == ["a", "b"] * 3
    assert [len(times) for times in spent] == [3, 3]
    assert in_turns([lambda: 5, lambda: 7], 2, lambda work: work() + 0.5) == [[5.5] * 2, [7.5] * 2]
    assert bench.spread([3.0, 1.0, 2.00004]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_align_prints_one_object_and_writes_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "new" / "align.json"
    assert run_command("bench", ["align", "--json", "-o", str(file)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result == json.loads(file.read_text()) and result["bench"] == "align"
    assert {"processor", "cores", "load_1min", "python"} <= set(result["machine"])
    assert len(result["baselines"]) == 3
    check_form(result)
    assert result["dtw"]["ms"]["min"] > 0 and result["projection"]["hours"]["median"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decode", "features"])
def test_reading_films_is_compared_with_decoding_everything(name: str) -> None:
    result = run_bench(name)
    for part in (result, *result.get("parts", {}).values()):
        check_form(part)
        assert part["rounds"] >= 3


def test_an_unknown_benchmark_names_the_known_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PoiseError, match=", ".join(BENCHES)):
        run_bench("nothing")
    assert run_command("bench", ["all", "-o", str(tmp_path / "out"), "--only", "nothing"]) == 1
    assert "align" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert run_command("bench", ["nothing"]) == 2


def test_startup_measures_fresh_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_startup, "ROUNDS", 1)
    others = {"floor": ["-c", "pass"], "sleep": ["-c", "import time; time.sleep(2)"]}
    monkeypatch.setattr(bench_startup, "OTHERS", others)
    result = bench_startup.run()
    for part in (result, result["parts"]["import"]):
        check_form(part)
        assert part["baseline"][1] > 2.0


def test_help_and_import_bring_no_library_along() -> None:
    """What keeps them quick, whatever the load on the machine."""
    code = (
        "import sys, assistant; from assistant.cli import main; main(['--help']); "
        "libraries = {'torch', 'numpy', 'transformers', 'typer', 'rich'}; "
        "sys.exit(','.join(sys.modules.keys() & libraries))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "poise COMMAND --help" in done.stdout and done.stderr.strip() == ""


def test_peak_memory_is_of_the_process_alone_and_at_its_height() -> None:
    """A block that is freed again still counts; what this process holds does not."""
    held = bytearray(200_000_000)
    held[::4096] = b"x" * len(held[::4096])
    small, large = bench_memory.peak("", []), bench_memory.peak("x = b'x' * 100_000_000; del x", [])
    assert small < 60 and 95 < large - small < 130
    assert len(held) == 200_000_000


def test_peak_memory_of_a_failed_process_is_an_error_with_its_last_words() -> None:
    with pytest.raises(PoiseError, match="no such bead"):
        bench_memory.peak("sys.exit('no such bead')", ["coach"])
    assert bench_memory.peak("assert sys.stdin.read() == sys.argv[1]", ["why?"], "why?") > 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_memory_of_coaching_lies_between_loading_and_holding_a_film(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = {"ROUNDS": 1, "FILM_SECONDS": 8, "PERFORMERS": 1, "CLIPS_EACH": 1}
    for name, value in settings.items():
        monkeypatch.setattr(bench_memory, name, value)
    result = bench_memory.run()
    for part in (result, *result["parts"].values()):
        check_form(part)
        floor = part["baseline"][-1] if isinstance(part["baseline"], list) else part["baseline"]
        assert 100 < floor < part["ours"]
    frames = 8 * 30 * (3 * 256) ** 2 * 3 / 1e6
    assert result["baseline"][0] - result["ours"] > 0.5 * frames


def test_a_section_by_hand() -> None:
    aims = [Aim("ratio", "at_least", 5.0)]
    text = bench_page.section("rank", fake(aims=aims))
    row = text.splitlines()[6]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "beads, s",
        "fast: 2 (1 to 4)",
        "slow: 4 (3 to 40)",
        "3 (2 to 10) times",
        "3",
        "ratio at least 5: **missed**",
    ]
    assert text.splitlines()[8] == "By hand."
    assert text.endswith(
        "beads 7; same order yes; whole s 0.25 (0.2 to 1,234); set span 60 and 62.5; "
        "set items 100,000; on abacus, 1 cores, load 0.5; Python 3.11."
    )
    assert "of it" in bench_page.section("chat", fake(ratio_is=SHARE))


def test_a_benchmark_without_a_result_is_named_as_not_run(tmp_path: Path) -> None:
    (tmp_path / "rank.json").write_text(json.dumps(fake()))
    text = bench_page.page(bench_page.stored(tmp_path))
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(BENCHES)
    assert text.count("Not run.") == len(BENCHES) - 1


@pytest.mark.parametrize("content", ["{", "[]", '{"ours": 1}'])
def test_a_damaged_result_is_named_with_what_mends_it(tmp_path: Path, content: str) -> None:
    (tmp_path / "rank.json").write_text(content)
    with pytest.raises(PoiseError, match=r"rank\.json.*poise bench rank"):
        bench_page.stored(tmp_path)
    with pytest.raises(PoiseError, match="poise bench all"):
        bench_page.stored(tmp_path / "none")


def test_the_page_agrees_with_the_stored_results() -> None:
    results = bench_page.stored(STORED)
    assert {path.stem for path in STORED.iterdir()} == set(results)
    for result in results.values():
        for part in (result, *result.get("parts", {}).values()):
            check_form(part)
    assert (ROOT / bench_page.PAGE).read_text("utf-8") == bench_page.page(results), (
        "run `poise bench tables --markdown docs/benchmarks.md`"
    )
