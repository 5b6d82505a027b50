"""Which numbers a text states."""

import pytest

from prompts.stated import stated_numbers


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
