"""A model's card as text for people: `CARD.md`, the pages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .cards import Card
from .files import atomic_write, write_json


def write_card(card: Card, folder: Path) -> None:
    """Write a card into its model's folder, for programs and for people.

    Raises:
        StorageError: It cannot be written.
    """
    text = card_text(card)
    write_json(folder / "card.json", card.as_dict())
    atomic_write(folder / "CARD.md", text)


def training_lines(card: Card) -> list[str]:
    """Return what is known of a card's training, a line for each thing."""
    known = ((key, value) for key, value in card.training.items() if value != "")
    return [f"{key.replace('_', ' ')}: {_plain(value)}" for key, value in known]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_plain(held)}" for name, held in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def card_text(card: Card) -> str:
    """Return a card as Markdown, for people."""
    data = "\n".join(f"- {line}" for line in training_lines(card))
    limits = "\n".join(f"- {limit}" for limit in card.limits)
    is_of_whole = card.sees == "whole"
    whole = "\nIt learned from whole pictures, and reads those of data sets whole." * is_of_whole
    parts = [
        f"# {card.title} (`{card.id}`)",
        f"{card.network}, {card.parameters:,} parameters. Outputs: {', '.join(card.outputs)}.\n"
        f"Labels in order: {', '.join(card.labels)}.",
        f"Input: {card.crop.side_px} px square, {'grey' if card.crop.channels == 1 else 'RGB'};\n"
        f"{card.scaling}.\n"
        f"Crop: a square of {card.crop.margin} times the longer side of the face's box, moved "
        f"down by\n{card.crop.shift_y} of it, {'eyes level' if card.crop.align else 'not turned'}."
        f"{whole}",
        *_emotion_text(card),
        *_affect_text(card),
        f"## What it was trained on\n\n{data}",
        f"## Known failures\n\n{limits}",
        f"## Use\n\nIntended: {card.intended}\n\nNot allowed: {card.forbidden}",
    ]
    return "\n\n".join(parts) + "\n"


def _emotion_text(card: Card) -> list[str]:
    split = "test" if "test" in card.metrics else "validation"
    shown = card.metrics.get(split)
    if not shown:
        return []
    low, high = shown["accuracy_interval_95"]
    flipped = shown.get("accuracy_with_flip")
    rows = "\n".join(
        f"| {name} | {row['n']} | {_percent(row['recall'])} | {_percent(row['precision'])} |"
        for name, row in shown["recall"].items()
    )
    mirror = f", with mirror image {flipped:.1%}" if flipped is not None else ""
    chosen = "" if split == "test" else " It chose the best epoch by the same faces."
    return [
        f"Calibration: temperature {card.temperature}, from the validation split. It abstains "
        f"under\n{card.threshold:.2f}: {card.threshold_rule}; it answers\n"
        f"{card.metrics['answered_at_threshold']:.1%} of them.",
        f"## How good it is\n\n{shown['rule']}, {split} split, given crops, n {shown['n']}:\n"
        f"accuracy {shown['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}){mirror};\n"
        f"mean recall {_mean_recall(shown)}; ECE (15 bins) {shown['ece_15_bins']:.1%};\n"
        f"against the targets, n {shown['target_n']}: NLL {shown['nll']:.3f}, "
        f"Brier {shown['brier']:.3f}.{chosen}",
        f"| expression | n | recall | precision |\n|---|---|---|---|\n{rows}",
        *_balanced_text(card, split),
        *_robustness_text(card),
    ]


def _mean_recall(shown: Mapping[str, Any]) -> str:
    """Return the mean recall and its interval, which cards of before do not have."""
    value, interval = f"{shown['mean_recall']:.1%}", shown.get("mean_recall_interval_95")
    if not interval:
        return value
    return f"{value} (95 % interval {interval[0]:.1%} to {interval[1]:.1%})"


def _balanced_text(card: Card, split: str) -> list[str]:
    shown = card.metrics.get(f"{split}_balanced")
    if not shown or not card.prior:
        return []
    shares = ", ".join(
        f"{name} {share:.1%}" for name, share in zip(card.labels, card.prior, strict=True)
    )
    return [
        f"## The prior\n\nShares in the training data: {shares}. At the balanced prior, which "
        f"leans on them a third as much:\naccuracy {shown['accuracy']:.1%}, mean recall "
        f"{_mean_recall(shown)},\nECE {shown['ece_15_bins']:.1%}; it abstains under "
        f"{card.balanced_threshold:.2f}."
    ]


def _robustness_text(card: Card) -> list[str]:
    shown = card.metrics.get("robustness")
    if not shown:
        return []
    plain = shown["accuracy"]
    rows = "\n".join(
        f"| {name.replace('_', ' ')} | {accuracy:.1%} | {100 * (accuracy - plain):+.1f} |"
        for name, accuracy in shown["under"].items()
    )
    return [
        f"## Robustness\n\n{shown['split']} faces made worse, n {shown['n']}; as they are it "
        f"reads {plain:.1%} right.\nBrightness ×0.6 and ×1.4, blur of 1/32 of the side, noise of "
        "20 grey values, halves covered,\nturned by 20°, JPEG of quality 20, 24 px.\n\n"
        f"| faces are | accuracy | points |\n|---|---|---|\n{rows}"
    ]


def _affect_text(card: Card) -> list[str]:
    shown = card.metrics.get("test_affect") or card.metrics.get("validation_affect")
    if not shown:
        return []
    return [
        f"## Valence and arousal\n\nCoordinates: {card.coordinates}. n {shown['n']}: mean squared "
        f"error {shown['mse']:.4f}, mean absolute error {shown['mae']:.3f}, on the scale -1 to 1. "
        "The targets follow from the labels; nobody judged valence or arousal."
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
