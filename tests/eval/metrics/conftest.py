"""Golden numbers of the reference implementations."""

import json
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parents[2] / "data" / "metrics" / "golden.json"
NO_WORDNET = "no WordNet (apt-get install wordnet-base)"


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return json.loads(GOLDEN.read_text("utf-8"))


@pytest.fixture
def needs_wordnet() -> None:
    from eval.metrics import wordnet

    if not wordnet.installed():
        pytest.skip(NO_WORDNET)
