"""Test tiers: what a machine cannot run is skipped with its reason; --no-skips fails the rest."""

import shutil
from collections.abc import Generator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

NO_SHARED = "no ../shared/data beside the repository"
NO_GPU = "no CUDA device"
# Reasons that are facts of the machine; every other skip is a failure under --no-skips.
DOCUMENTED = (NO_SHARED, NO_GPU)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips",
        action="store_true",
        help="fail every skipped test, except for a documented lack of the machine",
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    has_shared = (SHARED / "data").is_dir()
    has_gpu = shutil.which("nvidia-smi") is not None
    for item in items:
        if item.get_closest_marker("real") and not has_shared:
            item.add_marker(pytest.mark.skip(reason=NO_SHARED))
        if item.get_closest_marker("gpu") and not has_gpu:
            item.add_marker(pytest.mark.skip(reason=NO_GPU))


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip without a documented reason into a failure that names the reason."""
    if report.outcome != "skipped" or hasattr(report, "wasxfail"):
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    if not any(reason.endswith(known) for known in DOCUMENTED):
        report.outcome = "failed"
        report.longrepr = f"skipped under --no-skips: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.config.getoption("--no-skips"):
        _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if collector.config.getoption("--no-skips"):
        _fail_if_skipped(report)
    return report


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that use it carry the marker `real`."""
    if not (SHARED / "data").is_dir():
        pytest.skip(NO_SHARED)
    return SHARED / "data"
