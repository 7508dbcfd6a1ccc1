"""Faces over time: who is who, and probabilities that do not flicker."""

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .types import Affect, Faces, Scores

Floats = NDArray[np.float32]

#: A face is looked for this far from where it is expected, in multiples of its size ...
_REACH = 0.7
#: ... and this much further for every second that it has not been seen.
_REACH_PER_S = 1.0
#: A face does not become larger or smaller than this from one look to the next.
_SIZE_RATIO = 2.0
#: Times that differ by less are equal.
_ROUNDING_S = 1e-6
#: Shares that differ by less are equal.
_TIE = 1e-6
#: A movement is followed for so long; after that nobody knows where a face went.
_FOLLOW_S = 0.2
#: Share of the new movement in the remembered one.
_VELOCITY_GAIN = 0.4


@dataclass
class _Track:
    """One person: the box where it was last seen, and how it moves (px per second)."""

    id: int
    faces: Faces
    velocity: Floats
    time_s: float

    def expected(self, time_s: float) -> Floats:
        """Return the box, (4,), where the face should be at `time_s`."""
        ahead = min(max(0.0, time_s - self.time_s), _FOLLOW_S)
        return np.asarray(self.faces.xyxy[0] + self.velocity * np.float32(ahead), np.float32)


class Tracker:
    """Gives every person one number for as long as they can be followed.

    Each face takes the number of the nearest track of about its size; distances count in face
    sizes, the nearest pairs first. A number outlives misses of up to `max_gap_s` and never
    comes back after that. Numbers begin at 1 and mean nothing beyond one video.

    Args:
        max_gap_s: Longest time for which a person may be unseen, although somebody looked.
    """

    def __init__(self, *, max_gap_s: float = 1.0) -> None:
        self._max_gap_s = max_gap_s
        self._looked_s = 0.0
        self._tracks: list[_Track] = []
        self._next_id = 1

    def update(self, faces: Faces, time_s: float) -> Faces:
        """Return the faces of one frame with `tracker_id`, in their order."""
        self._forget(time_s)
        ids = np.zeros(len(faces), np.int64)
        for track, row in self._pairs(faces, time_s):
            self._move(track, faces[[row]], time_s)
            ids[row] = track.id
        for row in range(len(faces)):
            if ids[row]:
                continue
            self._tracks.append(
                _Track(self._next_id, faces[[row]], np.zeros(4, np.float32), time_s)
            )
            ids[row] = self._next_id
            self._next_id += 1
        self._looked_s = time_s
        return replace(faces, tracker_id=ids)

    def carry(self, time_s: float, *, since_s: float) -> Faces:
        """Return where the faces of the look at `since_s` should be now, without a detector."""
        tracks = [track for track in self._tracks if track.time_s == since_s]
        if not tracks:
            return replace(Faces.empty(), tracker_id=np.zeros(0, np.int64))
        moved = [_moved(track.faces, track.expected(time_s)) for track in tracks]
        has_points = all(face.landmarks is not None for face in moved)
        return Faces(
            np.concatenate([face.xyxy for face in moved]),
            np.concatenate([face.confidence for face in moved]),
            np.concatenate([f.landmarks for f in moved if f.landmarks is not None])
            if has_points
            else None,
            np.array([track.id for track in tracks], np.int64),
        )

    def _forget(self, time_s: float) -> None:
        self._tracks = [
            track
            for track in self._tracks
            if track.time_s == self._looked_s
            or time_s - track.time_s <= self._max_gap_s + _ROUNDING_S
        ]

    def _pairs(self, faces: Faces, time_s: float) -> list[tuple[_Track, int]]:
        if not self._tracks or not len(faces):
            return []
        expected = np.stack([track.expected(time_s) for track in self._tracks])
        unseen = [min(time_s - track.time_s, self._max_gap_s) for track in self._tracks]
        gap_s = np.array(unseen)[:, None]
        sizes, expected_sizes = _sizes(faces.xyxy), _sizes(expected)[:, None]
        apart = np.linalg.norm(_centres(expected)[:, None] - _centres(faces.xyxy)[None], axis=2)
        distance = apart / np.sqrt(expected_sizes * sizes)
        ratio = np.maximum(expected_sizes / sizes, sizes / expected_sizes)
        distance = np.where(
            (distance <= _REACH + _REACH_PER_S * gap_s) & (ratio <= _SIZE_RATIO), distance, np.inf
        )
        pairs: list[tuple[_Track, int]] = []
        while np.isfinite(distance).any():
            row, column = np.unravel_index(distance.argmin(), distance.shape)
            pairs.append((self._tracks[int(row)], int(column)))
            distance[row], distance[:, column] = np.inf, np.inf
        return pairs

    def _move(self, track: _Track, face: Faces, time_s: float) -> None:
        passed = time_s - track.time_s
        if 0 < passed <= _FOLLOW_S + _ROUNDING_S:
            seen = (face.xyxy[0] - track.faces.xyxy[0]) / np.float32(passed)
            track.velocity = track.velocity + np.float32(_VELOCITY_GAIN) * (seen - track.velocity)
        else:
            track.velocity = np.zeros(4, np.float32)
        track.faces, track.time_s = face, time_s


def _centres(xyxy: Floats) -> Floats:
    return np.asarray((xyxy[:, :2] + xyxy[:, 2:]) / 2, np.float32)


def _sizes(xyxy: Floats) -> Floats:
    return np.asarray(np.maximum((xyxy[:, 2:] - xyxy[:, :2]).max(axis=1), 1), np.float32)


def _moved(face: Faces, xyxy: Floats) -> Faces:
    """Return a face at another box, its landmarks moved along."""
    old = face.xyxy[0]
    scale = (xyxy[2:] - xyxy[:2]) / np.maximum(old[2:] - old[:2], 1e-3)
    points = face.landmarks
    if points is not None:
        points = ((points - old[:2]) * scale + xyxy[:2]).astype(np.float32)
    return Faces(xyxy[None], face.confidence, points, face.tracker_id)


@dataclass(frozen=True)
class Smoothed:
    """Scores of the faces of one frame, smoothed over time.

    Attributes:
        scores: Those of n faces, with valence and arousal where they were answered.
        class_id: int64 (n,), who leads; a challenger has to lead by the hysteresis.
        confidence: float32 (n,), the leader's probability; in a hard vote its share of all members.
        abstained: bool (n,), whether that is too low, with the same hysteresis.
    """

    scores: Scores
    class_id: NDArray[np.int64]
    confidence: Floats
    abstained: NDArray[np.bool_]


@dataclass
class _Memory:
    """What is remembered of one person: the last answers with their times, and the label."""

    seen: deque[tuple[float, Floats]]
    class_id: int
    abstained: bool


class Smoother:
    """Smooths the scores of each person over time, and holds the label.

    The median of the last moments, per label, scaled to sum 1, and of valence and arousal where a
    network answers them: a flicker leaves no trace, and a
    true change passes whole after half of the window. It looks back only, so that a live camera
    and a file read alike. Then hysteresis keeps an answer that is nearly as good as another one.

    Args:
        window_s: Length of the window in seconds; 0 leaves the probabilities as they are.
        hysteresis: A label gives way when another one leads by so much; abstaining begins so much
            below the threshold and ends so much above it, at most half the way to 0 and to 1. 0
            always takes the leader.
        threshold: Abstain under this probability.
        max_gap_s: A person unseen for longer starts anew.
    """

    def __init__(
        self, *, window_s: float, hysteresis: float, threshold: float, max_gap_s: float = 1.0
    ) -> None:
        self._window_s, self._hysteresis = window_s, hysteresis
        self._threshold, self._max_gap_s = threshold, max_gap_s
        self._people: dict[int, _Memory] = {}
        self._looked_s = 0.0

    def update(
        self,
        scores: Scores,
        class_id: NDArray[np.int64],
        confidence: Floats,
        tracker_id: NDArray[np.int64],
        time_s: float,
    ) -> Smoothed:
        """Return the smoothed scores of one frame.

        Args:
            scores: Those of n faces, as they were read.
            class_id: int64 (n,), who won there; in a hard vote that is not simply the highest.
            confidence: float32 (n,), how sure that is; in a hard vote, whose scores are shares of
                the votes that were cast, the winner's share of all members.
            tracker_id: int64 (n,), who is who.
            time_s: Time of the frame.
        """
        self._people = {
            person: memory
            for person, memory in self._people.items()
            if memory.seen[-1][0] == self._looked_s
            or time_s - memory.seen[-1][0] <= self._max_gap_s + _ROUNDING_S
        }
        self._looked_s = time_s
        affect, k = scores.affect, len(scores.labels)
        own = scores.probs[np.arange(len(scores)), class_id]
        cast = np.where(own > 0, confidence / np.maximum(own, 1e-9), 1.0)
        parts = [scores.probs, cast]
        if affect is not None:
            parts += [affect.valence, affect.arousal]
        answers = np.column_stack(parts).astype(np.float32)
        smoothed = np.empty_like(answers)
        for row, person in enumerate(tracker_id):
            smoothed[row] = self._step(int(person), answers[row], k, int(class_id[row]), time_s)
        if affect is not None:
            affect = Affect(smoothed[:, k + 1], smoothed[:, k + 2])
        now = [self._people[int(person)] for person in tracker_id]
        leads = np.array([memory.class_id for memory in now], np.int64)
        return Smoothed(
            Scores(smoothed[:, :k], scores.labels, affect),
            leads,
            np.asarray(smoothed[np.arange(len(leads)), leads] * smoothed[:, k], np.float32),
            np.array([memory.abstained for memory in now], bool),
        )

    def _step(self, person: int, answer: Floats, k: int, winner: int, time_s: float) -> Floats:
        """Take in one person's answer: `k` probabilities, the share of members that answered, …"""
        memory = self._people.get(person)
        if memory is None:
            abstained = bool(answer[winner] * answer[k] < self._threshold)
            self._people[person] = _Memory(deque([(time_s, answer)]), winner, abstained)
            return answer
        memory.seen.append((time_s, answer))
        while time_s - memory.seen[0][0] > self._window_s + _ROUNDING_S:
            memory.seen.popleft()
        middle = answer
        if len(memory.seen) > 1:
            middle = np.median([past for _, past in memory.seen], axis=0).astype(np.float32)
            total = middle[:k].sum()  # zero when hard votes went to three labels in turn
            middle[:k] = middle[:k] / total if total else answer[:k]
            if middle[winner] < middle[:k].max() - _TIE:  # else the rule of the vote decides
                winner = int(middle[:k].argmax())
        if middle[winner] - middle[memory.class_id] >= self._hysteresis:
            memory.class_id = winner
        # never so wide that a sure answer could not end it, or a weak one begin it
        wide = min(self._hysteresis, (1 - self._threshold) / 2, self._threshold / 2)
        margin = wide if memory.abstained else -wide
        memory.abstained = bool(middle[memory.class_id] * middle[k] < self._threshold + margin)
        return middle
