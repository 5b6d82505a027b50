"""Conditions, vectors and alignment: what is found in a library, in memory or on disk."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant.demos.choice import Choice
from assistant.demos.embedding import EMBEDDING_SIZE, embed
from assistant.demos.library import MOST_CANDIDATES, Demonstration, Library
from assistant.demos.search import search
from assistant.demos.store import DemoStore
from assistant.errors import PoiseError
from assistant.pose.alignment import pa_mpjpe
from assistant.pose.normalise import REST_POSE

SQUAT, THROW = "bodyweight_squat", "basketball_free_throw"


def smooth_library(count: int = 60) -> Library:
    """Bodies that move smoothly, each in its own way; every third item is a throw."""
    rng = np.random.default_rng(3)
    clock = np.linspace(0, np.pi, 30)[:, None, None]
    items = []
    for i in range(count):
        sway = rng.normal(0, 0.15, (2, 17, 3))
        motion = REST_POSE + sway[0] * np.sin(clock) + sway[1] * np.cos(clock)
        items.append(
            Demonstration(
                f"item-{i:02d}", THROW if i % 3 == 2 else SQUAT, 0.0, 2.0,
                ("Late Expert", "Novice", None)[i % 3], ("legs", "feet")[: 1 + i % 2],
                motion.astype(np.float32), 15.0, rng.integers(0, 16, (10, 4)), -1.0,
                licence=("CC0", "it's mine", None)[i % 3],
            )
        )  # fmt: skip
    return Library(items)


@pytest.fixture(scope="module", params=["memory", "store"])
def stocked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Library:
    library = smooth_library()
    if request.param == "memory":
        return library
    return DemoStore.create(tmp_path_factory.mktemp("library"), "sha", library.items)


CHOICES = (
    Choice(),
    Choice(activity=THROW),
    Choice(levels=("Late Expert", "Novice")),
    Choice(regions=("legs", "feet")),
    Choice(licences=("it's mine",)),
    Choice(activity=SQUAT, levels=("Late Expert",), regions=("legs",), licences=("CC0",)),
    Choice(activity="unknown"),
)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_only_what_meets_every_condition_is_selected(stocked: Library, choice: Choice) -> None:
    expected = [
        item.demonstration_id
        for item in smooth_library().items
        if choice.activity in (None, item.activity)
        and (not choice.levels or item.level in choice.levels)
        and all(region in item.correct_regions for region in choice.regions)
        and (not choice.licences or item.licence in choice.licences)
    ]
    assert [item.demonstration_id for item in stocked.select(choice)] == expected
    assert [i.demonstration_id for i in stocked.select(choice, 2)] == expected[:2]
    assert len(expected) == 60 if choice == Choice() else len(expected) < 60


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_conditions_hold_before_anything_is_ranked(stocked: Library, choice: Choice) -> None:
    """The items nearest to the query do not meet the condition, and yet others are found."""
    everything = smooth_library().items
    window = everything[7].window
    allowed = [item for item in everything if choice.allows(item)]
    errors = {i.demonstration_id: pa_mpjpe(i.window, window).mean() for i in allowed}
    expected = sorted(errors, key=lambda name: (errors[name], name))[:3]
    found = search(stocked, window, choice, 3)
    assert [f.demonstration.demonstration_id for f in found] == expected
    assert [f.pa_mpjpe_mm for f in found] == pytest.approx(
        [errors[name] for name in expected], abs=0.1
    )


def test_the_nearest_are_those_of_the_vectors(stocked: Library) -> None:
    items = smooth_library().items
    window = items[11].window
    distance = [float(((embed(i.window) - embed(window)) ** 2).sum()) for i in items]
    expected = [items[i].demonstration_id for i in np.argsort(distance)[:5]]
    found = stocked.nearest(window, Choice(), 5)
    assert [item.demonstration_id for item in found] == expected
    assert expected[0] == "item-11"


def test_a_vector_keeps_neither_place_nor_size() -> None:
    window = smooth_library(1).items[0].window
    assert embed(window).shape == (EMBEDDING_SIZE,) == (204,)
    assert embed(1.3 * window + np.array([1.0, 2.0, 3.0])) == pytest.approx(embed(window), abs=1e-6)
    assert not np.allclose(embed(window[::-1]), embed(window), atol=0.1)
    still = embed(np.repeat(window[:1], 10, 0)).reshape(4, 51)
    assert np.abs(still[1:]).max() < 1e-6  # only the slowest component of a body that stands still
    assert (still[0] ** 2).sum() == pytest.approx(10.0, rel=1e-5)  # ten frames of unit size


def test_of_very_many_only_the_nearest_are_ranked_by_the_model() -> None:
    base = smooth_library(40).items
    squats = [item for item in base if item.activity == SQUAT]
    many = [
        replace(squats[i % len(squats)], demonstration_id=f"copy-{i}")
        for i in range(MOST_CANDIDATES + 20)
    ]
    window = squats[0].window
    assert len(Library(base).candidates(SQUAT, window)) == len(squats)
    found = Library(many).candidates(SQUAT, window)
    assert len(found) == MOST_CANDIDATES
    assert np.array_equal(found[0].window, window)


def test_an_unknown_level_or_region_is_refused() -> None:
    with pytest.raises(PoiseError, match=r"unknown level; got: 'Pro'; expected: Novice, "):
        Choice(levels=("Pro",))
    with pytest.raises(PoiseError, match=r"unknown region; got: 'knee'; expected: head, "):
        Choice(regions=("knee",))


def test_an_empty_library_finds_nothing(tmp_path: Path) -> None:
    window = smooth_library(1).items[0].window
    for library in (Library([]), DemoStore.create(tmp_path / "empty", "sha", ())):
        assert search(library, window, Choice(), 5) == []
        assert library.candidates(SQUAT, window) == []
