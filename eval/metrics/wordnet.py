"""WordNet for METEOR: nltk's own data where it is installed, else Debian's, else a clear line."""

import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any, Final

from assistant.errors import PoiseError

DEBIAN: Final = Path("/usr/share/wordnet")
COMMAND: Final = "apt-get install wordnet-base"
_LEXICOGRAPHER_FILES: Final = 45


class NoSynonyms:
    """A WordNet without entries: words match exactly or by their stem."""

    label = "none (exact and stem matches only)"

    def synsets(self, word: str) -> list[Any]:
        """Nothing, whatever the word."""
        return []


@cache
def reader() -> Any:
    """WordNet 3.0 as nltk reads it, with an attribute `label`.

    Raises:
        PoiseError: it is installed neither as nltk data nor by Debian's package.
    """
    import nltk

    try:
        root = nltk.data.find("corpora/wordnet.zip").join("wordnet/")
    except LookupError:
        try:
            root = nltk.data.find("corpora/wordnet")
        except LookupError:
            if not (DEBIAN / "data.noun").is_file():
                raise PoiseError(
                    "METEOR needs WordNet",
                    got="neither nltk's data nor Debian's package",
                    expected=f"nltk's corpora/wordnet, or {DEBIAN}",
                    remedy=f"run `{COMMAND}`, or take synonyms='none', which gives other numbers",
                ) from None
            if str(DEBIAN) not in nltk.data.path:
                nltk.data.path.append(str(DEBIAN))  # nltk refuses folders that are not named there
            root = nltk.data.FileSystemPathPointer(str(DEBIAN))
    return _open(root)


def installed() -> bool:
    """Can METEOR's synonyms be read?"""
    try:
        reader()
    except PoiseError:
        return False
    return True


def _open(root: Any) -> Any:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):
        """Debian keeps the list of the lexicographers' files in a manual page; METEOR does not
        read their names, so they are numbered."""

        label = "WordNet 3.0"

        def open(self, file: str) -> Any:
            if file == "lexnames":
                lines = (f"{i:02d}\tfile{i:02d}\t0\n" for i in range(_LEXICOGRAPHER_FILES))
                return io.StringIO("".join(lines))
            return super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """No map to the other languages, for which more files would be needed."""
            return None

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses the other languages, which METEOR does not use
        return Reader(root, None)
