"""Benchmarks of data preparation, run by `poise bench NAME`."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np

from assistant.bench import BY_RATE, compared, in_turns

FILMS: Final = 2
FILM_SECONDS: Final = 30
CLIPS: Final = 6  # of each film
CLIP_SECONDS: Final = 2.0
ROUNDS: Final = 3


def features() -> dict[str, Any]:
    """Clips a second through `data_prep.features` and by reading the whole film of each clip.

    One process, the shipped encoder, films of 30 s at 640 x 360 with six clips of 2 s each; both
    ways give the same features, which is checked.
    """
    from assistant.progress import quiet_libraries
    from assistant.video.bench_decode import make_film
    from assistant.video.decode import forget_films
    from data_prep.features import SHIPPED, Extractor, Item, load_encoder, read_features

    with quiet_libraries():
        encoder = load_encoder(None)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / encoder.sha256()
        folder.mkdir()
        extractor = Extractor(str(SHIPPED), str(folder))
        films = [make_film(Path(scratch) / f"{i}.mp4", FILM_SECONDS) for i in range(FILMS)]
        starts = np.linspace(0, FILM_SECONDS - CLIP_SECONDS, CLIPS)
        items = [
            Item(f"{film.stem}-{i}", "exo1", str(film), (start, start + CLIP_SECONDS))
            for film in films
            for i, start in enumerate(starts.tolist())
        ]

        def ours() -> None:
            forget_films()
            for item in items:
                (folder / item.file).unlink(missing_ok=True)
                assert extractor(item).status == "computed"

        naive = _whole_films(encoder, items)
        ours()  # the first pass of a process also starts torch's threads
        seconds = in_turns([ours, naive], ROUNDS)
        for item, expected in zip(items, naive(), strict=True):
            found = read_features(folder, item.sample_id, item.view)
            assert np.allclose(found, expected, atol=1e-4)
    fast, slow = ([len(items) / value for value in row] for row in seconds)
    return {
        "measured": f"{len(items)} clips of {CLIP_SECONDS:g} s in films of {FILM_SECONDS} s",
        **compared(
            fast,
            {"every frame of each clip's film decoded": slow},
            ours_is="only the clip's frames",
            unit="clips/s",
            ratio_is=BY_RATE,
        ),
    }


def _whole_films(encoder: Any, items: list[Any]) -> Callable[[], list[np.ndarray]]:
    """The usual way: a film is decoded to its end, then its frames are picked."""
    from assistant.video.decode import frames
    from assistant.video.sampling import uniform_times

    def run() -> list[np.ndarray]:
        found = []
        for item in items:
            times, pictures = [], []
            for time, picture in frames(Path(item.film), max_side=encoder.film_side):
                times.append(time)
                pictures.append(picture)
            wanted = uniform_times(item.span[0], item.span[1], encoder.frames)
            nearest = [int(np.abs(np.array(times) - t).argmin()) for t in wanted]
            found.append(encoder.encode_frames(np.stack([pictures[i] for i in nearest])[None])[0])
        return found

    return run
