"""The report as a file: complete, escaped, self-contained, the same bytes for the same input."""

import base64
import hashlib
import io
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from assistant.clip import PoseSequence
from assistant.errors import PoiseError
from assistant.feedback import validate
from assistant.web import wording
from assistant.web.animation import animation, facing, stage, track
from assistant.web.report import ReportFrame, render_report, report_name, write_report
from assistant.web.strip import LEFT, data_url, person_box

VOID = {"meta", "link", "input", "img", "br", "hr"}
SVG_EMPTY = {"path", "circle", "ellipse", "rect"}


class Page(HTMLParser):
    """Collects tags, attributes, text and script bodies, and checks that tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in SVG_EMPTY, tag
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


def render(feedback: dict[str, Any], poses: dict[str, PoseSequence], **more: Any) -> Page:
    return Page(render_report(feedback, **poses, **more))


def test_the_made_up_answers_follow_the_schema(feedback, not_judged):
    validate(feedback)
    validate(not_judged)


def test_a_judged_clip_shows_everything(feedback, poses, frames):
    page = render(feedback, poses, frames=frames)
    for words in (
        "squat_side_gym",
        "Bodyweight squat with probability 97%",
        "Early Expert 55%",
        "Learned from simulated performers, not checked against human raters.",
        "The knees drift inwards",
        "Put a light band just above the knees",
        "58 ± 15 mm you",
        "12 ± 9 mm simulated experts",
        "Supported by measurement",
        "Not supported by measurement",
        "Not measurable here",
        "Knee flexion (highest) 96 ± 6°",
        "−24 ± 15 mm",
        "squat_expert_0042",
        "41.0 mm",
        "9f2c" * 16,
        "Re-assessed after the correction: Early Expert → Late Expert",
        "Time, Generate 930 ms",
    ):
        assert words in page.words, words
    assert len(page.all("canvas")) == 3
    assert len(page.all("img")) == len(frames)
    shown = {g["data-region"] for g in page.all("g") if "data-region" in g}
    assert shown == {"head", "torso", "arms", "hands", "legs", "feet"}


def test_the_level_bar_carries_the_four_probabilities(feedback, poses):
    page = render(feedback, poses)
    bars = [i for i in page.all("i") if (i.get("style") or "").startswith("flex-grow")]
    shares = [float(str(bar["style"]).split(":")[1]) for bar in bars]
    assert shares == pytest.approx([0.18, 0.55, 0.224, 0.046])
    assert [str(bar["class"]).split() for bar in bars][1] == ["l1", "chosen"]


def test_the_page_loads_nothing_and_names_no_address(feedback, poses, frames):
    text = render_report(feedback, **poses, frames=frames)
    assert "http://" not in text and "https://" not in text and "@import" not in text
    for tag, attributes in Page(text).tags:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            if name in attributes:
                assert str(attributes[name]).startswith(("data:", "#")), (tag, attributes)
    assert set(re.findall(r"url\(([^)]*)\)", text)) == {"#hatch"}


def test_ids_are_unique_and_controls_are_named(feedback, poses, frames):
    page = render(feedback, poses, frames=frames)
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for target in (attributes.get("aria-labelledby"), attributes.get("for")):
            assert target is None or target in ids
    assert all(canvas.get("aria-label") for canvas in page.all("canvas"))
    assert all(image.get("alt") for image in page.all("img"))


@pytest.mark.parametrize(
    "hostile",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</script><b>", "' onload='x"],
)
def test_text_from_outside_is_escaped_everywhere(hostile, feedback, poses):
    def poison(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return hostile if isinstance(value, str) else value

    clean = render(feedback, poses)
    kept = {"region", "polarity", "level"}
    poisoned = poison(feedback)
    for remark, original in zip(poisoned["remarks"], feedback["remarks"], strict=True):
        remark.update({key: original[key] for key in kept & set(remark)})
    poisoned["focus"]["region"] = "legs"
    page = render(poisoned, poses)
    assert hostile in page.words
    assert [tag for tag, _ in page.tags if tag in {"script", "img", "b", "canvas"}] == [
        tag for tag, _ in clean.tags if tag in {"script", "img", "b", "canvas"}
    ]
    assert page.scripts[-1] == clean.scripts[-1]
    assert not any(name.startswith("on") for _, a in page.tags for name in a)


def test_only_the_pages_own_script_may_run(feedback, poses):
    page = render(feedback, poses)
    digest = base64.b64encode(hashlib.sha256(page.scripts[-1].encode()).digest()).decode()
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)


def test_a_clip_that_was_not_judged_says_why_and_gives_no_level(not_judged, poses, frames):
    page = render(not_judged, {"learner": poses["learner"]}, frames=frames)
    assert "This clip was not judged" in page.words
    assert "No drill that Poise knows was recognised here (closest: walking)." in page.words
    assert "Film a bodyweight squat or a basketball free throw instead" in page.words
    assert "Camera level and still at hip height" in page.words
    assert "Knee flexion (highest) 96 ± 6°" in page.words
    assert len(page.all("canvas")) == 1 and len(page.all("img")) == len(frames)
    for level in ("Novice", "Early Expert", "Intermediate Expert", "Late Expert", "Remarks by"):
        assert level not in page.words


def test_missing_parts_leave_no_hole(feedback, poses):
    feedback.update(activity=None, focus=None, correction=None, moments=[], remarks=[])
    feedback.update(demonstrations=[], measurements=[], commentary=None, timings_ms=None)
    page = render(feedback, {"learner": poses["learner"]})
    assert "Nothing stands out" in page.words and "No activity named" in page.words
    assert "Measurements" not in page.words and "Moments" not in page.words
    assert "None" not in page.words


def test_a_missing_number_is_a_dash(feedback, poses):
    feedback["measurements"][0].update(value=None, error=None, time=None)
    feedback["remarks"][0].update(start=None, end=None)
    feedback["remarks"][0]["evidence"].update(value=None, expert_mean=None)
    assert "Knee flexion (highest) – Trunk lean" in render(feedback, poses).words


def test_same_input_same_bytes(feedback, poses, frames, tmp_path):
    paths = [write_report(feedback, tmp_path / n, frames=frames, **poses) for n in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].name == "squat_side_gym.html"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["squat_side_gym.html"]
    feedback["seed"] = 1
    feedback["proficiency"]["probabilities"] = [0.2, 0.5, 0.2, 0.1]
    assert write_report(feedback, tmp_path / "c", **poses).read_bytes() != paths[0].read_bytes()


@pytest.mark.parametrize(
    ("clip_id", "name"),
    [
        ("squat", "squat.html"),
        ("<script>", "_script_.html"),
        ("../../etc/passwd", "_.._etc_passwd.html"),
        ("..", "report.html"),
        ("", "report.html"),
        ("a" * 300, "a" * 180 + ".html"),
        ("wurf – 1", "wurf – 1.html"),
    ],
)
def test_file_names_are_safe(clip_id, name):
    assert report_name(clip_id) == name


def test_an_unwritable_folder_gives_one_line_and_no_file(feedback, poses, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PoiseError, match=r"cannot write the report into .*file/inside; got: "):
        write_report(feedback, tmp_path / "file" / "inside", **poses)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PoiseError, match=r"no space left on device; remedy: .*--report") as caught:
        write_report(feedback, tmp_path / "out", **poses)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failed_write_keeps_the_older_report(feedback, poses, tmp_path, monkeypatch):
    path = write_report(feedback, tmp_path, **poses)
    before = path.read_bytes()
    feedback["commentary"] = "changed"
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(5, "broken")))
    with pytest.raises(PoiseError, match="broken"):
        write_report(feedback, tmp_path, **poses)
    assert path.read_bytes() == before


def test_a_long_clip_stays_below_one_megabyte(feedback, poses, tmp_path):
    learner = poses["learner"]
    long = replace(
        learner,
        joints=np.tile(learner.joints, (40, 1, 1)),
        confidence=np.tile(learner.confidence, (40, 1)),
    )
    path = write_report(feedback, tmp_path, **(poses | {"learner": long}))
    assert path.stat().st_size < 1_000_000


# ---------------------------------------------------------------- animation


def test_tracks_share_the_two_seconds_of_the_window(poses):
    data = animation(
        poses["learner"],
        poses["demonstration"].crop(0.5, 2.5).resample(10),
        poses["correction"],
        window=(0.55, 2.55),
        key_time=9.0,
        faulty=["legs"],
    )
    for name, frames in (("learner", 60), ("expert", 20), ("corrected", 60)):
        one = data["tracks"][name]
        assert one["start"] == 0.55 and len(one["mm"]) == frames
        assert one["start"] + one["step"] * frames == pytest.approx(2.55, abs=1e-3)
    assert data["first"] == 2.55  # a key time outside is drawn into the window
    assert data["tracks"]["clip"]["start"] == 0.0
    json.dumps(data, allow_nan=False)


def test_a_body_faces_east_on_the_floor_whatever_its_heading(poses):
    learner = poses["learner"]
    yaw = facing(learner.joints.astype(np.float64))
    assert yaw == pytest.approx(0.8, abs=0.02)  # the heading that the fixture gave it
    joints = stage(learner)
    assert facing(joints) == pytest.approx(0.0, abs=1e-6)
    assert joints[:, [15, 16], 2] == pytest.approx(0.08, abs=0.02)
    assert np.abs(joints[:, [15, 16], :2].mean(axis=(0, 1))) == pytest.approx(0, abs=1e-9)
    turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    other = learner.joints.copy()
    other[..., :2] = other[..., :2] @ turn.T + 3.0
    other[..., 2] += 0.4
    assert stage(replace(learner, joints=other)) == pytest.approx(joints, abs=1e-5)


def test_a_root_centred_pose_is_stood_on_its_feet(poses):
    learner = poses["learner"]
    hips = learner.joints[:, 11:13].mean(axis=1, keepdims=True)
    joints = stage(replace(learner, joints=learner.joints - hips, world=False))
    assert joints[:, [15, 16], 2].min(axis=1) == pytest.approx(0.08, abs=0.01)
    assert stage(learner)[..., 2] == pytest.approx(joints[..., 2], abs=0.02)


def test_missing_joints_are_null(poses):
    confidence = poses["learner"].confidence.copy()
    confidence[3, 9] = 0
    frames = track(replace(poses["learner"], confidence=confidence), 0, 5.0)["mm"]
    assert frames[3][27:30] == [None] * 3
    assert sum(value is None for frame in frames for value in frame) == 3
    assert all(isinstance(value, int) for value in frames[0])


def test_a_whole_demonstration_is_cropped_to_its_record(feedback, poses):
    whole = render_report(feedback, **poses)
    cropped = poses["demonstration"].crop(0.5, 2.5)
    assert render_report(feedback, **(poses | {"demonstration": cropped})) == whole


# ---------------------------------------------------------------- frames


def open_frame(frame: ReportFrame, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    head, _, body = data_url(frame, box).partition(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body)))).astype(int)


def test_the_skeleton_is_drawn_where_the_points_are(frames):
    plain = open_frame(replace(frames[0], points=None))
    drawn = open_frame(frames[0])
    assert drawn.shape == (315, 420, 3)
    scale = 420 / 480
    middle = (frames[0].points[13] + frames[0].points[15]) / 2 * scale  # left shin
    x, y = np.rint(middle).astype(int)
    assert np.abs(drawn[y, x] - LEFT).max() < 60
    assert np.abs(plain[y, x] - LEFT).max() > 60
    assert np.abs(drawn[:40, :100] - plain[:40, :100]).max() < 4


def test_the_strip_shows_the_person_large_and_whole(frames):
    box = person_box(frames)
    assert box is not None
    left, top, right, bottom = box
    points = np.concatenate([f.points for f in frames if f.points is not None])
    points = points[np.isfinite(points).all(axis=1)]
    assert (points > (left, top)).all() and (points < (right, bottom)).all()
    assert right - left < 480 and 0.55 < (right - left) / (bottom - top) < 1.7
    small = ReportFrame(0.0, frames[0].image, (frames[0].points - 200) * 0.5 + 200)
    near = person_box([small])
    assert near is not None
    drawn = open_frame(small, near)
    plain = open_frame(replace(small, points=None), near)
    x, y = np.rint((small.points[13] + small.points[15]) / 2 - near[:2]).astype(int)
    assert np.abs(drawn[y, x] - LEFT).max() < 60 < np.abs(plain[y, x] - LEFT).max()
    assert person_box([replace(small, points=None)]) is None
    assert person_box([replace(small, points=small.points * 0.01)]) is None


def test_small_frames_are_not_enlarged_and_many_are_thinned(frames, feedback, poses):
    tiny = ReportFrame(0.0, np.zeros((40, 60, 3), np.uint8))
    assert open_frame(tiny).shape == (40, 60, 3)
    many = [replace(tiny, time=float(i)) for i in range(100)]
    page = render(feedback, poses, frames=many)
    labels = [str(image["alt"]) for image in page.all("img")]
    assert len(labels) == 24 and "at 0.00 s" in labels[0] and "at 99.00 s" in labels[-1]


def test_a_frame_of_the_wrong_shape_is_refused():
    with pytest.raises(PoiseError, match=r"expected: uint8 \[H, W, 3\]"):
        ReportFrame(0.0, np.zeros((4, 4), np.uint8))
    with pytest.raises(PoiseError, match=r"points \(16, 2\); expected: \[17, 2\]"):
        ReportFrame(0.0, np.zeros((4, 4, 3), np.uint8), np.zeros((16, 2)))


# ---------------------------------------------------------------- words and places


@pytest.mark.parametrize(
    ("value", "unit", "error", "text"),
    [
        (118.2, "deg", 6.0, "118 ± 6°"),
        (0.1234, "m", 0.02, "0.123 ± 0.020 m"),
        (1.153, "s", 0.07, "1.15 ± 0.07 s"),
        (-3.0, "mm", None, "−3.00 mm"),
        (0.0, "mm", 2.0, "0.0 ± 2.0 mm"),
        (None, "mm", 2.0, "–"),
    ],
)
def test_measures(value, unit, error, text):
    assert wording.measure(value, unit, error) == text


def test_percent_keeps_small_shares_visible():
    assert [wording.percent(share) for share in (0.0, 0.004, 0.55, None)] == [
        "0%",
        "<1%",
        "55%",
        "–",
    ]


def test_evidence_chart_by_hand():
    chart = wording.evidence_chart(
        {"value": 80.0, "error": 10.0, "expert_mean": 30.0, "expert_std": 20.0}
    )
    # The axis runs from 10 to 90 and a margin of 9.6 on both sides: 99.2 wide from 0.4.
    assert chart is not None
    assert chart["experts"]["left"] == pytest.approx(100 * (10 - 0.4) / 99.2, abs=0.01)
    assert chart["experts"]["width"] == pytest.approx(100 * 40 / 99.2, abs=0.01)
    assert chart["value"]["left"] == pytest.approx(100 * (80 - 0.4) / 99.2, abs=0.01)
    assert chart["error"]["width"] == pytest.approx(100 * 20 / 99.2, abs=0.01)
    assert wording.evidence_chart({"value": None, "expert_mean": 1.0}) is None


def test_measurements_of_one_unit_share_an_axis_from_zero():
    rows = [
        {"value": 50.0, "unit": "deg", "error": 10.0},
        {"value": 90.0, "unit": "deg", "error": 10.0},
        {"value": 3.0, "unit": "s", "error": None},
        {"value": None, "unit": "s", "error": None},
    ]
    charts = wording.measurement_charts(rows)
    assert charts[0] == {
        "bar": {"left": 0.0, "width": 50.0},
        "error": {"left": 40.0, "width": 20.0},
    }
    assert charts[1]["bar"]["width"] == 90.0
    assert charts[2]["bar"]["width"] == 100.0
    assert charts[3] is None


def test_groups_begin_with_the_focus_then_the_faults(feedback):
    remarks = feedback["remarks"]
    assert [g for g, _ in wording.group_remarks(remarks, "feet")] == ["feet", "legs", "torso"]
    assert [g for g, _ in wording.group_remarks(remarks, None)] == ["legs", "feet", "torso"]
    states = wording.region_states(remarks)
    assert states == {
        "head": "none",
        "torso": "good",
        "arms": "none",
        "hands": "none",
        "legs": "fix",
        "feet": "fix",
    }


def test_overlapping_spans_get_rows_of_their_own():
    spans = [{"start": 0.0, "end": 2.0}, {"start": 1.0, "end": 3.0}, {"start": 2.0, "end": 4.0}]
    stacked = wording.stack_spans(spans, 4.0)
    assert stacked["rows"] == 2
    assert [bar["row"] for _, bar in stacked["bars"]] == [0, 1, 0]
    assert stacked["bars"][1][1] == {"left": 25.0, "width": 50.0, "row": 1}
