"""Names of motion capture markers to COCO-17 joints.

Names are compared without case, separators and the subject before a colon: `Anna:R_Shoulder`,
`right-shoulder` and `RShoulder` are one. Known are COCO and Ego-Exo4D names, those of Pose2Sim and
OpenPose (`RShoulder`), OpenCap (`r_knee_study` with `r_mknee_study`), Plug-in Gait (`RSHO`, `RWRA`
with `RWRB`) and joint centres (`RHJC`). Where a joint's outer and inner markers are there, their
middle is the joint.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from assistant.skeleton import JOINTS


@dataclass(frozen=True)
class Part:
    """Words for one body part behind (or before) the side.

    Attributes:
        centre: names of the joint itself, the best first.
        outer: names of a lateral marker.
        inner: names of the medial marker opposite.
    """

    centre: tuple[str, ...]
    outer: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()


# Anatomical landmarks that lie well beside the joint (the pelvis' spines for the hip) are left out.
PARTS: Final = {
    "eye": Part(("eye",)),
    "ear": Part(("ear",)),
    "shoulder": Part(
        ("sjc", "shoulderjointcenter", "shoulderjointcentre", "shoulder", "sho"),
        ("shoulderstudy", "acromion", "acromium"),
    ),
    "elbow": Part(
        ("ejc", "elbowjointcenter", "elbowjointcentre", "elbow"),
        ("elbowlat", "elbowlateral", "lelbowstudy", "elb"),
        ("elbowmed", "elbowmedial", "melbowstudy", "elbm", "elbmed"),
    ),
    "wrist": Part(
        ("wjc", "wristjointcenter", "wristjointcentre", "wrist"),
        ("wristlat", "wristlateral", "lwriststudy", "wra", "wri"),
        ("wristmed", "wristmedial", "mwriststudy", "wrb"),
    ),
    "hip": Part(("hjc", "hjcstudy", "hipjointcenter", "hipjointcentre", "hip")),
    "knee": Part(
        ("kjc", "kneejointcenter", "kneejointcentre", "knee"),
        ("kneelat", "kneelateral", "kneestudy", "kne"),
        ("kneemed", "kneemedial", "mkneestudy", "knem", "kmed"),
    ),
    "ankle": Part(
        ("ajc", "anklejointcenter", "anklejointcentre", "ankle"),
        ("anklelat", "anklelateral", "anklestudy", "ank"),
        ("anklemed", "anklemedial", "manklestudy", "ankm", "amed"),
    ),
}


@dataclass(frozen=True)
class MarkerMap:
    """Which markers make which joints.

    Attributes:
        joints: joint to the positions of its markers in the file; their mean is the joint.
        missing: joints without a marker, in COCO order.
        unused: names of markers that are no joint here, in the file's order.
    """

    joints: dict[str, tuple[int, ...]]
    missing: tuple[str, ...]
    unused: tuple[str, ...]


def map_markers(names: Sequence[str]) -> MarkerMap:
    """Find the COCO-17 joints among marker names; of equal names the first one counts."""
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(_plain(name), place)
    joints = {}
    for joint in JOINTS:
        found = _find(joint, places)
        if found:
            joints[joint] = found
    used = {place for found in joints.values() for place in found}
    return MarkerMap(
        joints,
        tuple(joint for joint in JOINTS if joint not in joints),
        tuple(name for place, name in enumerate(names) if place not in used),
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].lower())


def _find(joint: str, places: dict[str, int]) -> tuple[int, ...]:
    """Places of the markers of a joint, () where there are none."""
    side, _, word = joint.partition("_")
    if not word:
        return (places[side],) if side in places else ()
    part = PARTS[word]
    centre, outer, inner = (
        next((places[name] for name in _sided(side, words) if name in places), None)
        for words in (part.centre, part.outer, part.inner)
    )
    if centre is not None:
        return (centre,)
    # A medial marker alone lies half a joint's width off, as the lateral one does.
    return tuple(place for place in (outer, inner) if place is not None)


def _sided(side: str, words: Sequence[str]) -> list[str]:
    return [
        name
        for word in words
        for name in (f"{side}{word}", f"{side[0]}{word}", f"{word}{side}", f"{word}{side[0]}")
    ]
