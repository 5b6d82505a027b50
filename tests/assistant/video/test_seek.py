"""Frames reached by seeking are, bit by bit, those of decoding from the first frame."""

from fractions import Fraction

import av
import numpy as np
import pytest

from assistant.video import decode

RATE = 30
TICKS = 4  # presentation times are given in quarters of a frame
IRREGULAR = np.cumsum(np.random.default_rng(3).integers(1, 5, 70)).tolist()

# name: file, codec, the encoder's options, the container's options, first frame, times in frames
FILMS = {
    "b-frames": ("a.mp4", "libx264", {"bf": "3", "b_strategy": "0"}, {}, 0, None),
    "b-frames, odd start": ("a.mp4", "libx264", {"bf": "3", "b_strategy": "0"}, {}, 47, None),
    "odd start without edit list": (
        "a.mp4", "libx264", {"bf": "5", "b_strategy": "0"}, {"use_editlist": "0"}, 47, None,
    ),
    "fragments": (
        "a.mp4", "libx264", {"bf": "3"}, {"movflags": "frag_keyframe+empty_moov"}, 31, None,
    ),
    "open groups": (
        "a.webm", "libx264", {"bf": "3", "x264-params": "open-gop=1"}, {"format": "matroska"}, 0,
        None,
    ),
    "no full key frames": (
        "a.mp4", "libx264", {"x264-params": "intra-refresh=1"}, {}, 0, None,
    ),
    "variable rate": ("a.mp4", "libx264", {"bf": "3"}, {}, 0, IRREGULAR),
    "vp9": ("a.webm", "libvpx-vp9", {"auto-alt-ref": "1", "lag-in-frames": "16"}, {}, 0, None),
    "vp9, odd start": ("a.webm", "libvpx-vp9", {}, {}, 100, None),
    "vp9, variable rate": ("a.webm", "libvpx-vp9", {}, {}, 11, IRREGULAR),
}  # fmt: skip


def write(folder, name, codec, options, container_options, start, times, frames=70):
    base = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    container_options = dict(container_options)
    form = container_options.pop("format", None)
    with av.open(str(folder / name), "w", format=form, options=container_options) as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.gop_size = 12
        stream.codec_context.options = options
        stream.codec_context.time_base = Fraction(1, RATE * TICKS)
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(np.roll(base, 3 * i, axis=1), format="rgb24")
            frame.pts = TICKS * (start + (i if times is None else times[i]))
            frame.time_base = Fraction(1, RATE * TICKS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder / name


def from_frame_0(path):
    """Times and pictures by plain PyAV."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(f.pts * stream.time_base, f.to_ndarray(format="rgb24")) for f in
                  container.decode(stream)]  # fmt: skip
    return [float(t - frames[0][0]) for t, _ in frames], [picture for _, picture in frames]


@pytest.mark.parametrize("kind", list(FILMS))
def test_a_frame_alone_is_that_of_decoding_from_frame_0(tmp_path, kind):
    path = write(tmp_path, *FILMS[kind])
    times, pictures = from_frame_0(path)
    assert len(pictures) == 70
    for number in [*range(0, 70, 6), 11, 12, 13, 68, 69]:
        ((time, picture),) = decode.frames(path, [times[number]])
        assert time == pytest.approx(times[number], abs=1e-6)
        np.testing.assert_array_equal(picture, pictures[number])


@pytest.mark.parametrize("kind", list(FILMS))
def test_a_window_is_that_of_decoding_from_frame_0(tmp_path, kind):
    path = write(tmp_path, *FILMS[kind])
    times, pictures = from_frame_0(path)
    chosen = [20, 21, 25, 25, 40, 69]
    found = list(decode.frames(path, [times[i] for i in chosen]))
    for number, (_, picture) in zip(chosen, found, strict=True):
        np.testing.assert_array_equal(picture, pictures[number])
    slow = decode.frames(path, [times[i] for i in chosen], seek=False)
    for (_, picture), (_, same) in zip(found, slow, strict=True):
        np.testing.assert_array_equal(picture, same)


def test_a_film_is_scanned_once_until_it_changes(tmp_path, film, monkeypatch):
    path = film(tmp_path / "a.mp4", 30)
    scans = []
    original = decode._scan
    monkeypatch.setattr(decode, "_scan", lambda *a: scans.append(a) or original(*a))
    for time in (0.0, 0.5, 0.9):
        list(decode.frames(path, [time]))
    assert len(scans) == 1
    film(path, 20)
    assert decode.probe(path).frames == 20
    assert len(scans) == 2
