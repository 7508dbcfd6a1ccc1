"""Valence and arousal: coordinates of the emotions, and ways between them and labels.

All of it is an estimate. Coordinates are conventions of the two student systems that this project
re-creates, not measurements of people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from .labels import LabelSet
from .types import Affect, Scores

Floats = NDArray[np.floating]

#: Points of seed 000, whose scale is about ±4.
ANCHORS = MappingProxyType(
    {
        "anger": (-3.0, 1.0),
        "contempt": (-3.5, -0.5),
        "disgust": (-1.0, -1.8),
        "fear": (-1.0, 2.8),
        "happy": (4.0, 1.0),
        "neutral": (0.0, 0.0),
        "sad": (-3.5, -1.8),
        "surprise": (3.0, 2.0),
        "uncertain": (0.0, -2.0),
    }
)
ANCHOR_SCALE = 4.0

#: Ends of the rays of seed 003, on the unit circle of Russell 1980 (J. Pers. Soc. Psychol. 39).
RAYS = MappingProxyType(
    {
        "anger": (-0.46, 0.89),
        "contempt": (-0.65, 0.76),
        "disgust": (-0.81, 0.58),
        "fear": (-0.14, 0.99),
        "happy": (0.98, 0.19),
        "neutral": (0.0, 0.0),
        "sad": (-0.90, -0.44),
        "surprise": (0.43, 0.90),
    }
)
#: Seed 003: closer to the origin is neutral, further from every ray is uncertain.
RAY_RADIUS = 0.1

#: Both systems in [-1, 1].
COORDINATES = MappingProxyType(
    {
        "rays": dict(RAYS),
        "anchors": {k: (v / ANCHOR_SCALE, a / ANCHOR_SCALE) for k, (v, a) in ANCHORS.items()},
    }
)


def affect_from_scores(scores: Scores, *, system: str = "rays") -> Affect:
    """Estimate valence and arousal as the mean of the labels' points, weighted by probability.

    Args:
        scores: Distributions over labels; a label without a point in the system pulls to the
            origin.
        system: `rays` (seed 003) or `anchors` (seed 000, scaled to ±1).
    """
    points = COORDINATES[system]
    matrix = np.array([points.get(name, (0.0, 0.0)) for name in scores.labels], np.float32)
    mean = scores.probs @ matrix
    return Affect(mean[:, 0].astype(np.float32), mean[:, 1].astype(np.float32))


def affect_of(scores: Scores, *, system: str = "rays") -> Affect:
    """Return valence and arousal as a network answered them, else as `affect_from_scores` does."""
    own = scores.affect
    return affect_from_scores(scores, system=system) if own is None else own


def nearest_anchor(valence: float, arousal: float) -> str:
    """Return the label of seed 000 whose anchor is nearest (Euclidean, its ±4 scale)."""
    distances = {
        name: float(np.hypot(valence - v, arousal - a)) for name, (v, a) in ANCHORS.items()
    }
    return min(distances, key=lambda name: distances[name])


def anchor_box_label(valence: float, arousal: float, *, half_side: float = 0.4) -> str | None:
    """Return the first label whose box of ± `half_side` holds the point, or None (seed 000)."""
    for name, (v, a) in ANCHORS.items():
        if abs(valence - v) <= half_side and abs(arousal - a) <= half_side:
            return name
    return None


@dataclass(frozen=True)
class RayLabel:
    """A label read from a point.

    Attributes:
        label: A label of `RAYS` or `uncertain`.
        confidence: 0..1, or None where seed 003 says "no data".
    """

    label: str
    confidence: float | None


def ray_label(valence: float, arousal: float) -> RayLabel:
    """Return the label of the nearest ray (seed 003), its mirror fault mended.

    Within `RAY_RADIUS` of the origin it is neutral, with confidence 1 - r. Otherwise the nearest
    ray by perpendicular distance wins, with confidence cos(angle between) · r; further than
    `RAY_RADIUS` from every ray, or outside the unit circle, it is `uncertain`. The original
    measures to the whole line, so that a point opposite to a ray gets its label; here a ray has a
    direction.
    """
    names = tuple(RAYS)
    rows, confidence = _nearest_ray(np.array([[valence, arousal]]), names)
    if rows[0] < 0:
        return RayLabel("uncertain", None)
    return RayLabel(names[rows[0]], float(confidence[0]))


def _nearest_ray(
    points: Floats, names: Sequence[str]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return which of the names each point reads as, -1 for none of them, and how surely."""
    ends = np.array([RAYS.get(name, (0.0, 0.0)) for name in names], np.float64)
    lengths = np.hypot(*ends.T)
    unit = ends / np.where(lengths, lengths, 1)[:, None]
    radius = np.hypot(*points.T)
    along = points @ unit.T
    distance = np.abs(points[:, :1] * unit[:, 1] - points[:, 1:] * unit[:, 0])
    distance[(along <= 0) | (lengths == 0)] = np.inf
    best = distance.argmin(axis=1)
    here = np.arange(len(points))
    is_near = (distance[here, best] <= RAY_RADIUS) & (radius <= 1)
    rows = np.where(is_near, best, -1)
    confidence = np.where(is_near, along[here, best], 0.0)
    is_middle = radius <= RAY_RADIUS
    rows[is_middle] = names.index("neutral") if "neutral" in names else -1
    confidence[is_middle] = 1 - radius[is_middle]
    return rows, confidence


#: How far a network's points are taken to stray before its temperature says better: one unit of
#: the scale of seed 000.
_STRAY = 1 / ANCHOR_SCALE


#: So much more than an even share has the label that a point is nearest to.
_LEAD = 1e-3


def scores_from_affect(affect: Affect, labels: LabelSet, *, system: str) -> Scores:
    """Read labels from points, as the two seeds did, with the rest of the probability spread out.

    `rays`: the label and confidence of `ray_label` among these labels; what is left is shared by
    the other labels, and a point near none of them gives all the same. `anchors`: the nearest
    anchor leads; as if points strayed from equally likely anchors by a normal distribution.

    Args:
        affect: n points.
        labels: The labels that may be read.
        system: `rays` or `anchors`.

    Returns:
        The scores, (n, k), with `affect` in them.
    """
    points = np.stack([affect.valence, affect.arousal], axis=1).astype(np.float64)
    k = len(labels)
    if system == "rays":
        rows, confidence = _nearest_ray(points, tuple(labels))
        leads = rows >= 0
        sure = np.where(leads, np.clip(confidence, 1 / k + _LEAD, 1.0), 1 / k)
        probs = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
        probs[leads, rows[leads]] = sure[leads]
    else:
        anchors = np.array([COORDINATES["anchors"].get(name, (np.inf, np.inf)) for name in labels])
        away = np.square(points[:, None] - anchors).sum(axis=2) / (2 * _STRAY**2)
        weights = np.exp(away.min(axis=1, keepdims=True) - away)
        probs = weights / weights.sum(axis=1, keepdims=True)
    return Scores(probs.astype(np.float32), labels, affect)


#: Seed 000: radius of the disc around an anchor, on its ±4 scale. Seed 003: on the unit circle.
ANCHOR_DISC, RAY_DISC = 0.4, 0.1


def anchor_targets(labels: Sequence[str], *, seed: int) -> NDArray[np.float32]:
    """Return a point for each label, drawn evenly from a disc around its anchor (seed 000).

    Args:
        labels: Labels of `ANCHORS`.
        seed: Of the points; the original had none.

    Returns:
        float32 (n, 2), valence and arousal in -1..1, rounded to 0.01 of the ±4 scale.
    """
    random = np.random.default_rng(seed)
    centres = np.array([ANCHORS[name] for name in labels], np.float64).reshape(-1, 2)
    points = centres + _in_disc(random, len(centres), ANCHOR_DISC)
    return np.asarray(points.round(2) / ANCHOR_SCALE, np.float32)


def ray_targets(
    labels: Sequence[str], confidence: NDArray[np.floating], *, seed: int
) -> NDArray[np.float32]:
    """Return a point for each label near its ray, as far out as a model is sure (seed 003).

    A picture whose label has a confidence of `RAY_RADIUS` or less counts as neutral, which lies
    around the origin. Every other point is drawn from a disc around the place on the ray until
    its own ray is the nearest one and its radius is above `RAY_RADIUS` and at most 1.

    Args:
        labels: Labels of `RAYS`.
        confidence: float (n,), how sure a model is of each label, 0..1.
        seed: Of the points; the original had none.

    Returns:
        float32 (n, 2), valence and arousal in -1..1; `ray_label` reads the label from each.
    """
    random = np.random.default_rng(seed)
    points = np.empty((len(labels), 2), np.float32)
    for row, (name, sure) in enumerate(zip(labels, confidence, strict=True)):
        if name == "neutral" or sure <= RAY_RADIUS:
            points[row] = _in_disc(random, 1, RAY_DISC)[0]
            continue
        centre = np.array(RAYS[name]) * min(float(sure), 1.0)
        while True:
            point = (centre + _in_disc(random, 1, RAY_DISC)[0]).astype(np.float32)
            if ray_label(*map(float, point)).label == name:
                points[row] = point
                break
    return points


def _in_disc(random: np.random.Generator, n: int, radius: float) -> NDArray[np.float64]:
    """Return points spread evenly over a disc around the origin, (n, 2)."""
    far = np.sqrt(random.uniform(0, radius**2, n))
    angle = random.uniform(0, 2 * np.pi, n)
    return np.stack([far * np.cos(angle), far * np.sin(angle)], axis=1)
