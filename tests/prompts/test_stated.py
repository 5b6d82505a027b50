"""Which numbers a text states."""

import pytest

from prompts.stated import last_run, part_of_a_number, stated_numbers, states_other


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Three sets of 12, twice a week.", {"3", "12", "2"}),
        ("Bend 92.5 or 92,5 deg", {"92.5"}),
        ("One thing first; the second one often counts.", set()),
        ("twenty, Forty and a hundred", {"20", "40", "100"}),
        ("Often you lean; attend to weight and tension.", set()),
        ("", set()),
    ],
)
def test_digits_and_number_words_count(text: str, numbers: set[str]) -> None:
    assert stated_numbers(text) == numbers


def closed(written: str, allowed: set[str]) -> set[str]:
    """Of some pieces those that may not follow a text."""
    pieces = ["three", " three", "ee", " sets", "wei", "en", "2", "12", ".5", "one", " ", ", two"]
    run = last_run([written])
    return {piece for piece in pieces if states_other(run, piece, allowed)}


def test_while_writing_only_allowed_numbers_can_be_ended() -> None:
    assert closed("do ", set()) == {"three", " three", "2", "12", ".5", ", two"}
    assert closed("do ", {"3", "2"}) == {"12", ".5"}
    assert closed("thr", set()) == {" three", "ee", "2", "12", ".5", ", two"}
    assert "ee" not in closed("s thr", {"3"}) and "ee" not in closed("upthr", set())
    assert "2" in closed("1", {"3"}) and "2" not in closed("1", {"12"})
    assert ".5" in closed("3", {"3"}) and ".5" not in closed("3", {"3.5", "3"})


@pytest.mark.parametrize("piece", ["three", " 3", "thr", "ee", "twi", " ", ".", "legs, "])
def test_pieces_of_numbers_are_known(piece: str) -> None:
    assert part_of_a_number(piece)


@pytest.mark.parametrize("piece", ["knees", " the squat", "mmm"])
def test_other_pieces_are_not(piece: str) -> None:
    assert not part_of_a_number(piece)
