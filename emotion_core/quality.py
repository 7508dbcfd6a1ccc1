"""How well a face can be seen: size, sharpness, brightness and the pose of the head."""

import cv2
import numpy as np
from numpy.typing import NDArray

from .types import Faces, Image, Quality

Floats = NDArray[np.float32]

#: Faces are compared at one size, since the Laplacian depends on it.
_SIDE_PX = 64

#: Points of an average head in mm: x to the right of the picture, y down, z away from the camera.
_EYES = [(-31.0, 0.0, 0.0), (31.0, 0.0, 0.0)]
_NOSE = (0.0, 36.0, -28.0)
_HEADS = {
    # the six points of BlazeFace: eyes, nose tip, centre of the mouth, tragions
    6: np.array([*_EYES, _NOSE, (0.0, 68.0, -8.0), (-70.0, 12.0, 78.0), (70.0, 12.0, 78.0)]),
    # the five points of CenterFace and YuNet: eyes, nose tip, corners of the mouth
    5: np.array([*_EYES, _NOSE, (-24.0, 66.0, 4.0), (24.0, 66.0, 4.0)]),
}


def face_quality(image: Image, faces: Faces) -> Quality:
    """Measure the faces of a picture.

    Sharpness is the variance of the Laplacian (Pech-Pacheco et al. 2000) of the grey face, scaled
    to 64 px; it compares faces of one video, not of different cameras.

    Args:
        image: uint8 RGB (height, width, 3).
        faces: Where the faces are.
    """
    n = len(faces)
    sharpness, brightness = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for row in range(n):
        left, top, right, bottom = _inside(faces.xyxy[row], image)
        grey = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY)
        small = cv2.resize(grey, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA)
        sharpness[row] = cv2.Laplacian(small, cv2.CV_32F).var()
        brightness[row] = small.mean()
    sides = faces.xyxy[:, 2:] - faces.xyxy[:, :2]
    return Quality(sides.min(axis=1, initial=np.inf), sharpness, brightness, head_pose(faces))


def head_pose(faces: Faces) -> Floats:
    """Estimate yaw, pitch and roll of each head in degrees, float32 (n, 3).

    The head that, turned and scaled, lies closest to the landmarks (weak perspective, least
    squares; DeMenthon and Davis 1995, the step that POSIT begins with). Positive yaw looks to the
    right of the picture, positive pitch down, positive roll tilts clockwise. An average head is
    assumed, so a few degrees are always wrong. NaN where there are no landmarks.
    """
    pose = np.full((len(faces), 3), np.nan, np.float32)
    points = faces.landmarks
    if points is None or points.shape[1] not in _HEADS:
        return pose
    head = _HEADS[points.shape[1]]
    solve = np.linalg.pinv(head - head.mean(axis=0))
    for row in range(len(faces)):
        centred = points[row] - points[row].mean(axis=0)
        across, down = (solve @ centred).T
        if np.linalg.norm(across) < 1e-6 or np.linalg.norm(down) < 1e-6:
            continue
        pose[row] = _angles(across / np.linalg.norm(across), down / np.linalg.norm(down))
    return pose


def _angles(across: NDArray[np.float64], down: NDArray[np.float64]) -> list[float]:
    """Yaw, pitch, roll in degrees of the rotation whose first two rows are given."""
    u, _, vt = np.linalg.svd(np.stack([across, down]), full_matrices=False)
    first, second = u @ vt
    third = np.cross(first, second)
    yaw = np.arctan2(third[0], np.hypot(third[1], third[2]))
    pitch = np.arctan2(third[1], third[2])
    roll = np.arctan2(second[0], first[0])
    return [float(np.degrees(angle)) for angle in (yaw, pitch, roll)]


def _inside(box: Floats, image: Image) -> tuple[int, int, int, int]:
    height, width = image.shape[:2]
    left, top = int(np.clip(box[0], 0, width - 1)), int(np.clip(box[1], 0, height - 1))
    right, bottom = int(np.clip(box[2], left + 1, width)), int(np.clip(box[3], top + 1, height))
    return left, top, right, bottom
