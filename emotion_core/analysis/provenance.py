"""Where a result comes from."""

from collections.abc import Mapping
from typing import Any

from ..cards import KERAS_FILE, NETWORK_FILE
from ..classify import Recognizer
from ..export import software_versions
from ..faces import Detector
from ..types import Provenance


def provenance_of(
    recognizer: Recognizer,
    detector: Detector,
    *,
    options: Mapping[str, Any],
    threshold: float | None,
    input_sha256: str,
) -> Provenance:
    """Return who read something, how, and what.

    Args:
        recognizer: A model or a committee.
        detector: What found the faces.
        options: The options of the reading, as plain values.
        threshold: The one that was asked for; None is the recogniser's own.
        input_sha256: SHA-256 of what was read; empty for a camera.
    """
    return Provenance(
        models=network_hashes(recognizer),
        options={
            **options,
            "recognizer": recognizer.id,
            "prior": recognizer.prior,
            "threshold": recognizer.threshold if threshold is None else threshold,
            "temperatures": {m.card.id: m.card.temperature for m in recognizer.members},
            "vote_temperature": recognizer.vote_temperature,
            "detector": detector.name,
            "detector_min_confidence": detector.min_confidence,
        },
        versions=software_versions(),
        input_sha256=input_sha256,
    )


def network_hashes(recognizer: Recognizer) -> dict[str, str]:
    """Return the hash of each network that is asked, by model: LiteRT, or Keras where there is
    none."""
    cards = [member.card for member in recognizer.members]
    return {card.id: card.files.get(NETWORK_FILE) or card.files[KERAS_FILE] for card in cards}
