from fractions import Fraction

import numpy as np
import pytest

from assistant.errors import PoiseError
from assistant.video import decode

END = (
    "expected: a video (mp4, mov or webm) that plays to its end; "
    "remedy: export or copy the film again and check that it plays"
)


def numbers(pictures):
    """Frame numbers told by the brightness of the pictures' middles."""
    return [round(float(p[p.shape[0] // 2, p.shape[1] // 2].mean()) / 4) for _, p in pictures]


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm"])
def test_probe_and_all_frames(tmp_path, film, suffix):
    path = film(tmp_path / f"a{suffix}", 30)
    info = decode.probe(path)
    assert (info.width, info.height, info.frames) == (64, 48, 30)
    assert info.fps == pytest.approx(30, abs=0.05)
    assert info.duration == pytest.approx(1.0, abs=0.01)
    pictures = list(decode.frames(path))
    assert numbers(pictures) == list(range(30))
    np.testing.assert_allclose([t for t, _ in pictures], np.arange(30) / 30, atol=1e-3)
    assert pictures[0][1].dtype == np.uint8
    assert pictures[0][1].shape == (48, 64, 3)


def test_frames_at_times_are_the_nearest_ones_in_ascending_order(tmp_path, film):
    path = film(tmp_path / "a.mp4", 50, every=10)
    wanted = [45.4 / 30, 0.0, 3.4 / 30, 3.6 / 30, 44 / 30, 44 / 30, 99.0, -1.0]
    pictures = list(decode.frames(path, wanted))
    assert numbers(pictures) == [0, 0, 3, 4, 44, 44, 45, 49]
    np.testing.assert_allclose(
        [t for t, _ in pictures], np.array([0, 0, 3, 4, 44, 44, 45, 49]) / 30, atol=1e-4
    )


def test_far_frames_are_reached_without_decoding_what_lies_between(tmp_path, film, monkeypatch):
    path = film(tmp_path / "a.mp4", 55, every=5)
    entries = []
    original = decode._decode_from
    monkeypatch.setattr(
        decode, "_decode_from", lambda p, c, pts: entries.append(pts) or original(p, c, pts)
    )
    assert numbers(decode.frames(path, [0, 1 / 30, 40 / 30, 52 / 30])) == [0, 1, 40, 52]
    assert len(entries) == 3


def test_every_time_by_seeking_equals_reading_through(tmp_path, film):
    path = film(tmp_path / "a.mp4", 40, every=7)
    through = [picture for _, picture in decode.frames(path)]
    for i in range(0, 40, 3):
        ((_, picture),) = decode.frames(path, [i / 30])
        np.testing.assert_array_equal(picture, through[i])


def test_variable_frame_rate_keeps_its_times(tmp_path, film):
    ticks = [0, 1, 2, 10, 11, 30, 31, 32, 33, 45, 46, 47]
    path = film(tmp_path / "a.mp4", 12, times=ticks)
    pictures = list(decode.frames(path))
    np.testing.assert_allclose([t for t, _ in pictures], np.array(ticks) / 30, atol=1e-3)
    assert numbers(decode.frames(path, [19 / 30, 21 / 30])) == [4, 5]


@pytest.mark.parametrize(
    ("rotation", "shape", "corner"),
    [
        (0, (48, 64), (0, 0)),
        (90, (64, 48), (-1, 0)),
        (180, (48, 64), (-1, -1)),
        (-90, (64, 48), (0, -1)),
    ],
)
def test_rotation_of_the_file_is_applied(tmp_path, film, rotation, shape, corner):
    path = film(tmp_path / "a.mp4", 3, rotation=rotation)
    info = decode.probe(path)
    assert (info.height, info.width) == shape
    (_, picture), *_ = decode.frames(path)
    assert picture.shape[:2] == shape
    white = {
        (row, column): picture[row, column].min() > 200 for row in (0, -1) for column in (0, -1)
    }
    assert [place for place, is_white in white.items() if is_white] == [corner]


def test_large_pictures_are_shrunk_on_request(tmp_path, film):
    path = film(tmp_path / "a.mp4", 2, size=(320, 160))
    (_, small), _ = decode.frames(path, max_side=80)
    assert small.shape == (40, 80, 3)
    (_, same), _ = decode.frames(path, max_side=1000)
    assert same.shape == (160, 320, 3)


def test_fractional_rate(tmp_path, film):
    path = film(tmp_path / "a.mp4", 30, fps=Fraction(30000, 1001))
    assert decode.probe(path).fps == pytest.approx(29.97, abs=0.01)


def line(path):
    with pytest.raises(PoiseError) as caught:
        decode.probe(path)
    return str(caught.value)


def test_missing_file(tmp_path):
    assert line(tmp_path / "no.mp4") == (
        f"cannot read video {tmp_path}/no.mp4; got: no such file; expected: a video with content; "
        "remedy: check the path"
    )


def test_empty_file(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert line(tmp_path / "a.mp4") == (
        f"cannot read video {tmp_path}/a.mp4; got: an empty file (0 bytes); "
        "expected: a video with content; remedy: export or copy it again"
    )


def test_folder(tmp_path):
    assert line(tmp_path) == (
        f"cannot read video {tmp_path}; got: a folder; expected: a video with content; "
        "remedy: name the file itself"
    )


@pytest.mark.parametrize(
    "text", ["Dear diary, today I did squats.\n" * 9, "ffconcat version 1.0\nfile b.mp4\n", "x"]
)
def test_text_renamed_to_mp4(tmp_path, film, text):
    film(tmp_path / "b.mp4", 3)
    (tmp_path / "a.mp4").write_text(text)
    assert line(tmp_path / "a.mp4") == (
        f"cannot read video {tmp_path}/a.mp4; got: no readable video data; {END}"
    )


def test_playlist_renamed_to_mp4_opens_no_other_file(tmp_path, film):
    film(tmp_path / "b.mp4", 3)
    (tmp_path / "a.mp4").write_text(f"#EXTM3U\n#EXTINF:10,\n{tmp_path}/b.mp4\n#EXT-X-ENDLIST\n")
    assert "got: no readable video data" in line(tmp_path / "a.mp4")


def test_mp4_truncated_before_its_index(tmp_path, film):
    path = film(tmp_path / "a.mp4", 60)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert line(path) == f"cannot read video {path}; got: no readable video data; {END}"


def test_mp4_truncated_after_its_index(tmp_path, film):
    path = film(tmp_path / "a.mp4", 120, options={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: -(path.stat().st_size // 3)])
    text = line(path)
    assert text.startswith(f"cannot read video {path}; got: truncated, ")
    assert text.endswith(f" s of the 4.0 s that it states; {END}")


def test_truncated_webm(tmp_path, film):
    path = film(tmp_path / "a.webm", 120)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert line(path).startswith(f"cannot read video {path}; got: truncated, ")


def test_damage_inside_the_film(tmp_path, film):
    path = film(tmp_path / "a.mp4", 60, size=(320, 240), options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start:] = bytes(len(data) - start)
    path.write_bytes(data)
    with pytest.raises(PoiseError) as caught:
        list(decode.frames(path))
    assert str(caught.value).startswith(f"cannot read video {path}; got: ")
    assert str(caught.value).endswith(END)


def test_sound_without_pictures(tmp_path):
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), "float32"), "fltp", "mono")
        frame.rate = 16000
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    assert line(path) == f"cannot read video {path}; got: no picture track; {END}"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "width", "height", "fps", "frames"),
    [
        ("squat_side_gym", 608, 1080, 29.97, 614),
        ("multiview_cam02", 1080, 1920, 60, 100),
        ("outdoor_two_people", 1768, 994, 30, 230),
    ],
)
def test_real_films(shared_data, name, width, height, fps, frames):
    path = shared_data / "video" / f"{name}.mp4"
    info = decode.probe(path)
    assert (info.width, info.height, info.frames) == (width, height, frames)
    assert info.fps == pytest.approx(fps, abs=0.01)
    middle = info.duration / 2
    ((time, picture),) = decode.frames(path, [middle])
    assert abs(time - middle) <= 0.51 / fps
    assert picture.shape == (height, width, 3)
