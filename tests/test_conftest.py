"""The tiers themselves: --no-skips must fail a silent skip and pass a documented one."""

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

SUITE = """
import pytest
{module_skip}
def test_runs(): pass
def test_skips(): pytest.skip({reason!r})
"""


def run_suite(
    pytester: pytest.Pytester, reason: str, *options: str, module_skip: str = ""
) -> pytest.RunResult:
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makepyfile(SUITE.format(reason=reason, module_skip=module_skip))
    return pytester.runpytest_inprocess(*options, "-p", "no:cacheprovider")


def test_a_silent_skip_fails_under_no_skips(pytester: pytest.Pytester) -> None:
    result = run_suite(pytester, "felt like it", "--no-skips")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*skipped under --no-skips*felt like it*"])


def test_a_documented_skip_passes_under_no_skips(pytester: pytest.Pytester) -> None:
    run_suite(pytester, "no CUDA device", "--no-skips").assert_outcomes(passed=1, skipped=1)


def test_a_module_that_skips_itself_fails_under_no_skips(pytester: pytest.Pytester) -> None:
    skip = "pytest.importorskip('no_such_module')"
    result = run_suite(pytester, "", "--no-skips", module_skip=skip)
    result.assert_outcomes(errors=1)


def test_skips_pass_without_the_option(pytester: pytest.Pytester) -> None:
    run_suite(pytester, "felt like it").assert_outcomes(passed=1, skipped=1)
