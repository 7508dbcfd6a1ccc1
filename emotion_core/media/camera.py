"""A camera of this machine, frame by frame; always the newest one."""

import threading
import time
from collections.abc import Iterator

import cv2
import numpy as np

from ..errors import InputError
from ..texts import say
from ..types import Frame

#: A camera that gives nothing for so long is gone.
_SILENCE_S = 5.0


def iter_camera(number: int) -> Iterator[Frame]:
    """Give the newest frame each time one is asked for; frames nobody asked for are left out.

    Args:
        number: 0 is the first camera.

    Yields:
        Frames with uint8 RGB pictures; `time_s` counts from the first one, `index` counts what
        the camera gave.

    Raises:
        InputError: The camera cannot be opened, or gives nothing any more.
    """
    capture = cv2.VideoCapture(number)
    if not capture.isOpened():
        capture.release()
        raise InputError(say("error.no_camera", number=number))
    grabber = _Grabber(capture)
    try:
        began_s, last = None, -1
        while True:
            index, at_s, picture = grabber.newer_than(last, number)
            began_s = at_s if began_s is None else began_s
            last = index
            yield Frame(picture, index, at_s - began_s)
    finally:
        grabber.close()


class _Grabber:
    """Empties the camera's own queue in a thread and holds the newest frame."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self._changed = threading.Condition()
        self._newest: tuple[int, float, np.ndarray] | None = None
        self._is_open = True
        self._thread = threading.Thread(target=self._grab, name="camera", daemon=True)
        self._thread.start()

    def newer_than(self, index: int, number: int) -> tuple[int, float, np.ndarray]:
        with self._changed:
            has_come = self._changed.wait_for(
                lambda: self._newest is not None and self._newest[0] > index, timeout=_SILENCE_S
            )
            if not has_come or self._newest is None:
                raise InputError(say("error.no_camera", number=number))
            return self._newest

    def close(self) -> None:
        self._is_open = False
        self._thread.join(timeout=_SILENCE_S)
        self._capture.release()

    def _grab(self) -> None:
        index = 0
        while self._is_open:
            is_read, bgr = self._capture.read()
            if not is_read:
                time.sleep(0.05)
                continue
            picture = np.ascontiguousarray(bgr[:, :, ::-1])
            with self._changed:
                self._newest = index, time.monotonic(), picture
                self._changed.notify_all()
            index += 1
