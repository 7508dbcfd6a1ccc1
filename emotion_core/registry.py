"""The models that come along and those that were promoted: list them, check them, load them."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from .cards import DEFAULT_PRIOR, KERAS_FILE, NETWORK_FILE, Card, check_benchmarks, read_card
from .classify import (
    VOTES,
    Calibration,
    Committee,
    LiteRTClassifier,
    NetworkClassifier,
    Recognizer,
)
from .errors import BadArgument, CardMismatch, ModelError, ModelNotTrusted, StorageError, os_reason
from .files import sha256_of, work_folder, work_path, write_json
from .texts import say

DEFAULT_MODEL = "se-resnet-n"
#: Shipped models that vote well together (docs/models.md).
DEFAULT_COMMITTEE = ("se-resnet-l", "se-resnet-m", "se-resnet-s")


def models_folder() -> Path:
    """Return where the shipped models lie: `MIEN_MODELS`, or `models/`.

    It lies beside the library in a clone, and within it where pip has installed it.
    """
    named = os.environ.get("MIEN_MODELS")
    if named:
        return Path(named).expanduser()
    library = Path(__file__).resolve().parent
    installed = library / "models"
    return installed if installed.is_dir() else library.parent / "models"


def user_models_folder() -> Path:
    """Return where promoted models lie, made with mode 0700."""
    return work_folder("models")


@contextmanager
def model_being_added(model_id: str) -> Iterator[Path]:
    """Yield an empty folder, which becomes that of a promoted model when the block succeeds.

    Raises:
        ModelError: Somebody else is adding a model of that name.
        OSError: It cannot be written, or there is such a model.
    """
    target = user_models_folder() / model_id
    partial = target.with_name(f".{model_id}.partial")
    lock = FileLock(work_folder("slots") / f"model-{model_id}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise ModelError(say("error.model_being_added", id=model_id)) from error
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of one that was killed
        partial.mkdir(mode=0o700)
        yield partial
        if not (target / "card.json").exists():  # what an interrupted removal left is no model
            shutil.rmtree(target, ignore_errors=True)
        os.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        lock.release()


@dataclass(frozen=True)
class ModelEntry:
    """One folder of models.

    Attributes:
        id: Name of the folder.
        card: Its card, or None when that cannot be read.
        problem: Why the model cannot be used; empty when it can.
    """

    id: str
    card: Card | None
    problem: str = ""


def list_models() -> list[ModelEntry]:
    """Return every model folder, with broken ones and what is wrong there.

    The default comes first, those that answer by other labels last.
    """
    entries = [_entry(path) for path in _cards()]
    usual = next((one.card.labels for one in entries if one.id == DEFAULT_MODEL and one.card), ())

    def place(entry: ModelEntry) -> tuple[bool, bool, str]:
        answers_other = bool(usual and entry.card and entry.card.labels != usual)
        return entry.id != DEFAULT_MODEL, answers_other, entry.id

    return sorted(entries, key=place)


def shipped_models() -> list[ModelEntry]:
    """Return those of `list_models` that come along."""
    return [entry for entry in list_models() if is_shipped(entry.id)]


def verify_model(model_id: str) -> Card:
    """Check the card and the SHA-256 of every file of a model.

    Raises:
        ModelError: There is no such model.
        CardMismatch: The card cannot be used.
        ModelNotTrusted: A file is missing or differs from the card.
    """
    folder = model_folder(model_id)
    card = read_card(folder / "card.json")
    if card.id != model_id:
        raise CardMismatch(say("error.card_id", id=model_id, named=card.id))
    for name, expected in card.files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file():
            raise ModelNotTrusted(say("error.model_file_missing", id=model_id, file=name))
        try:
            digest = sha256_of(path)
        except OSError as error:
            raise ModelNotTrusted(
                say("error.model_file_closed", id=model_id, file=name, reason=os_reason(error))
            ) from error
        if digest != expected:
            raise ModelNotTrusted(say("error.model_file_changed", id=model_id, file=name))
    return card


def is_shipped(model_id: str) -> bool:
    """Return whether a model comes along."""
    return (models_folder() / model_id).is_dir()


def adder_of(model_id: str) -> str:
    """Return whose model a promoted one is, as `jobs.owner_hash` gives it; empty: not noted."""
    note = user_models_folder() / model_id / ADDER_FILE
    return note.read_text(encoding="utf-8").strip() if note.is_file() else ""


def delete_model(model_id: str) -> None:
    """Delete a model that was promoted or brought.

    Raises:
        ModelError: There is none of that id, or it comes along.
        StorageError: It cannot be deleted.
    """
    folder = model_folder(model_id)
    if is_shipped(model_id):
        raise ModelError(say("error.model_shipped", id=model_id))
    removed = folder.with_name(f".{model_id}.removed")  # not listed, should this end halfway
    try:
        shutil.rmtree(removed, ignore_errors=True)
        os.replace(folder, removed)
        shutil.rmtree(removed)
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.model_undeleted", id=model_id, reason=reason)) from error


def slim_model(model_id: str) -> None:
    """Delete a model's Keras file, which only learning on from it and looking into it need.

    Raises:
        ModelError: There is no such model, or it has no other file to read faces with.
        CardMismatch, ModelNotTrusted: As `verify_model`.
        StorageError: It cannot be deleted.
    """
    card = verify_model(model_id)
    if NETWORK_FILE not in card.files:
        raise ModelError(say("error.model_keras_alone", id=model_id))
    folder, kept = model_folder(model_id), dict(card.files)
    kept.pop(KERAS_FILE, None)
    write_json(folder / "card.json", replace(card, files=kept).as_dict())
    try:
        (folder / KERAS_FILE).unlink(missing_ok=True)
    except OSError as error:
        reason = os_reason(error)
        raise StorageError(say("error.model_undeleted", id=model_id, reason=reason)) from error


#: In a promoted model's folder: whose it is.
ADDER_FILE = "owner"
#: Loads the network of a model's folder.
Load = Callable[[Path, Card], NetworkClassifier]


def load_model(
    model_id: str = DEFAULT_MODEL, *, prior: str = DEFAULT_PRIOR, load: Load | None = None
) -> NetworkClassifier:
    """Load one model after checking its hash, labels and shapes.

    Args:
        model_id: Its id.
        prior: How frequent it takes the expressions for: as in its training `data`, or `balanced`.
        load: Loads the network; None takes LiteRT, which needs no TensorFlow. A worker's own is
            `serving.open_network`.

    Raises:
        ModelError: There is no such model.
        CardMismatch: Card and network do not fit together, or it has no LiteRT network.
        ModelNotTrusted: A file differs from its card.
    """
    card = verify_model(model_id)
    folder = model_folder(model_id)
    if load is not None:
        return load(folder, card).at_prior(prior)
    if not reads_faces(card):
        raise CardMismatch(say("error.model_no_litert", id=model_id))
    return LiteRTClassifier(folder / NETWORK_FILE, card).at_prior(prior)


def load_committee(
    model_ids: Iterable[str] | None = None,
    *,
    vote: str = "soft",
    weights: Sequence[float] = (),
    prior: str = DEFAULT_PRIOR,
    load: Load | None = None,
) -> Committee:
    """Load several models that answer as one.

    Args:
        model_ids: The leader first; None takes those of `DEFAULT_COMMITTEE` that are there.
        vote: `soft` (mean probability) or `hard` (majority, ties to the first seen).
        weights: How much each counts in a soft vote; none = alike.
        prior, load: As `load_model` takes them.

    Raises:
        BadArgument: A text is given for the ids, or none of them.
        ModelError, CardMismatch, ModelNotTrusted: As `load_model`; or the members' labels
            differ in a soft vote.
    """
    if isinstance(model_ids, str):
        raise BadArgument(f"A committee is a list of ids; {model_ids!r} is a text. Give it in [].")
    if model_ids is None:
        there = [entry.card for entry in list_models() if entry.card and reads_faces(entry.card)]
        cards = _best_known_first(there)
        found = committees(cards)
        model_ids = found[0] if found else [card.id for card in cards[:1]]
    ids = tuple(model_ids)
    if not ids and any(entry.card for entry in list_models()):
        raise BadArgument("A committee needs at least one member.")
    if not ids:
        raise ModelError(say("error.no_models", folder=models_folder()))
    members = tuple(load_model(model_id, prior=prior, load=load) for model_id in ids)
    calibration = committee_records().calibration_of(ids)
    return Committee(members, vote, tuple(weights), calibration)


@dataclass(frozen=True)
class CommitteeRecords:
    """What is known of committees of the shipped models, kept beside them.

    Attributes:
        calibration: Of soft votes: by `key_of` the members, then by prior, the fields of
            `classify.Calibration`.
        figures: By a committee's id, then by benchmark.
    """

    calibration: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    @staticmethod
    def key_of(model_ids: Sequence[str]) -> str:
        """Return what a soft vote of these models is filed under, whoever leads."""
        return "+".join(sorted(model_ids))

    def calibration_of(self, model_ids: Sequence[str]) -> dict[str, Calibration]:
        """Return the calibration of a soft vote by prior; empty where nobody fitted it."""
        held = self.calibration.get(self.key_of(model_ids), {})
        return {prior: Calibration(**values) for prior, values in held.items()}


def committee_records() -> CommitteeRecords:
    """Return what is known of committees; nothing where no file lies beside the models.

    Raises:
        CardMismatch: The file is broken, or has values that cannot be.
    """
    path = _committee_file()
    if not path.is_file():
        return CommitteeRecords()
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        records = CommitteeRecords(**{name: dict(held) for name, held in values.items()})
        for members in records.calibration:
            records.calibration_of(members.split("+"))
        for model, held in records.figures.items():
            if model.partition("(")[0] not in VOTES:
                raise CardMismatch(f"{model!r} is no committee")
            check_benchmarks(held)
        return records
    except (
        OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, CardMismatch
    ) as error:  # fmt: skip
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")
        raise CardMismatch(say("error.broken_committee_file", path=path, reason=reason)) from error


def write_committee_records(records: CommitteeRecords) -> None:
    """Write what is known of committees beside the shipped models.

    Raises:
        StorageError: The file cannot be written.
    """
    write_json(_committee_file(), asdict(records))


def _committee_file() -> Path:
    return models_folder() / "committees.json"


def reads_faces(card: Card, *, in_job: bool = False) -> bool:
    """Return whether a model can read faces in this process: its network is there in LiteRT.

    Args:
        card: Its card.
        in_job: Whether a worker will read, which takes large networks as Keras files, too.
    """
    return NETWORK_FILE in card.files or (in_job and KERAS_FILE in card.files)


def like_minded(cards: Sequence[Card] | None = None) -> list[Card]:
    """Return the cards of the models that can vote together.

    They answer emotions, with the labels of the first. A model that answers valence and arousal
    alone has labels that are read from a point, which is no distribution to be averaged.

    Args:
        cards: Those to choose from; None takes all models.
    """
    if cards is None:
        cards = [entry.card for entry in list_models() if entry.card and reads_faces(entry.card)]
    voters = [card for card in cards if "emotion" in card.outputs]
    return [card for card in voters if card.labels == voters[0].labels]


def committees(cards: Sequence[Card]) -> list[tuple[str, ...]]:
    """Return the committees to choose from: the default one, and that of all that can vote with it.

    They are of models that come along: one of one's own votes only where it is named.

    Args:
        cards: The models that there are.
    """
    shipped = [card for card in cards if is_shipped(card.id)]
    everybody = tuple(card.id for card in like_minded(_best_known_first(shipped)))
    default = tuple(one for one in DEFAULT_COMMITTEE if one in everybody)
    several = [one for one in (default, everybody) if len(one) > 1]
    return several[:1] if set(default) == set(everybody) else several


def _best_known_first(cards: Sequence[Card]) -> list[Card]:
    """Return the default committee's members first, then other models that come along, then own."""
    return sorted(
        cards, key=lambda card: (card.id not in DEFAULT_COMMITTEE, not is_shipped(card.id))
    )


def load_recognizer(
    model_ids: Sequence[str],
    *,
    vote: str = "soft",
    weights: Sequence[float] = (),
    prior: str = DEFAULT_PRIOR,
    load: Load | None = None,
) -> Recognizer:
    """Load one model, or a committee when several are named, as `load_committee` does.

    Raises:
        ModelError, CardMismatch, ModelNotTrusted: As `load_committee`.
    """
    if len(model_ids) == 1 and vote in VOTES and not weights:
        return load_model(model_ids[0], prior=prior, load=load)
    return load_committee(model_ids, vote=vote, weights=weights, prior=prior, load=load)


def _entry(card_path: Path) -> ModelEntry:
    model_id = card_path.parent.name
    try:
        return ModelEntry(model_id, verify_model(model_id))
    except ModelError as error:
        return ModelEntry(model_id, None, str(error))


def model_folder(model_id: str) -> Path:
    """Return the folder of a model; one that comes along goes before a promoted one.

    Raises:
        ModelError: There is no such model.
    """
    found = [path.parent for path in _cards() if path.parent.name == model_id]
    if not found:
        known = ", ".join(path.parent.name for path in _cards())
        raise ModelError(say("error.no_model", id=model_id, names=known or "-"))
    return found[0]


def _cards() -> list[Path]:
    """Return the cards of all models, the ones that come along first."""
    found: dict[str, Path] = {}
    # reading a photo makes no folder, so this one is only looked into
    for folder in (models_folder(), work_path() / "models"):
        for path in sorted(folder.glob("[!.]*/card.json")):
            found.setdefault(path.parent.name, path)
    return list(found.values())
