"""`poise bench`: its table and its keys. How fast things are is for the command, not for a test."""

import json

import pytest

from assistant.bench import BENCHES, in_turns, run_bench, spread
from assistant.cli import run_command
from assistant.errors import PoiseError


def test_align_prints_one_object_with_the_agreed_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command("bench", ["align", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {"ours", "baseline", "ratio", "unit", "machine"} <= set(result)
    assert len(result["baseline"]) == len(result["ratio"]) == len(result["baselines"]) == 3
    assert result["dtw"]["ms"]["min"] > 0 and result["projection"]["hours"]["median"] > 0
    told = result["spread"]["ratio"][0]
    assert 0 < told["min"] <= told["median"] <= told["max"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["decode", "features"])
def test_reading_films_is_compared_with_decoding_everything(name: str) -> None:
    result = run_bench(name)
    assert {"ours", "baseline", "ratio", "unit", "machine"} <= set(result)
    assert result["ratio"] > 0
    assert result["rounds"] >= 3


def test_an_unknown_benchmark_names_the_known_ones() -> None:
    with pytest.raises(PoiseError, match=", ".join(BENCHES)):
        run_bench("nothing")


def test_works_take_turns() -> None:
    order: list[str] = []
    spent = in_turns([lambda: order.append("a"), lambda: order.append("b")], 3)
    assert order == ["a", "b"] * 3
    assert [len(times) for times in spent] == [3, 3]
    assert spread([3.0, 1.0, 2.00004]) == {"median": 2.0, "min": 1.0, "max": 3.0}
