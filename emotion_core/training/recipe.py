"""Recipes: everything that decides a training, as data."""

import json
import re
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

import yaml

from ..errors import TrainingError
from ..types import CropRule
from .augment import Augmentation
from .settings import above_zero, number, read_settings

EMOTION, AFFECT = "emotion", "affect"
#: An output that exists in training alone: the labels that others gave the same faces.
GIVEN = "given"
#: Begins the weights of a recipe that starts from a model; its id follows.
MODEL_WEIGHTS = "model:"
#: The rule that reads most of the pasted validation faces right: python -m benchmarks.crop_fit.
DEFAULT_CROP = CropRule(margin=1.2, shift_y=0.0, align=True)
#: Figures of which more is better; of all others less is.
RISING = ("accuracy", "recall", "f1")

#: A small data set is dealt out in so many steps an epoch, of so many faces at least.
_STEPS_WANTED, _BATCH_MIN = 50, 32

#: A name of a recipe or a model; it becomes a folder, and the commands take it for no option.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")
#: What a network is built with besides its options.
_NOT_OPTIONS = {"input_px", "channels", "classes", "outputs", "given", "head"}
_EMOTION_FIGURES = {"val_accuracy", "val_mean_recall", "val_macro_f1", "val_loss"}
_AFFECT_FIGURES = {"val_mse", "val_mae"}

Monitor = Literal[
    "val_accuracy", "val_mean_recall", "val_macro_f1", "val_loss", "val_mse", "val_mae", "loss"
]


@dataclass(frozen=True)
class Head:
    """What is put on a backbone.

    Attributes:
        pooling: How the features of all places become one vector: their mean, their highest
            values, or all of them side by side; a backbone that ends in a vector takes none.
        hidden: Width of a dense layer before the outputs; 0 for none.
        activation: What follows the hidden layer.
        dropout: Share of the features that are dropped while training.
        zeros: Whether the outputs begin at zero, so that every class is equally likely at first.
    """

    pooling: Literal["avg", "max", "flatten"] = "avg"
    hidden: int = number(0, low=0, high=8192)
    activation: Literal["relu", "linear", "elu"] = "relu"
    dropout: float = number(0.0, low=0, high=0.95)
    zeros: bool = False


@dataclass(frozen=True)
class Plateau:
    """The learning rate falls when a figure no longer gets better.

    Attributes:
        monitor: Which figure.
        patience: Epochs without a new best before it falls.
        factor: What it is multiplied by.
        min_rate: It never falls below.
    """

    monitor: Monitor = "val_accuracy"
    patience: int = above_zero(3)
    factor: float = number(0.1, low=0.001, high=0.999)
    min_rate: float = number(0.0, low=0)


@dataclass(frozen=True)
class EarlyStop:
    """A stage ends when a figure no longer gets better.

    Attributes:
        monitor: Which figure.
        patience: Epochs without a new best before it ends.
    """

    monitor: Monitor = "val_accuracy"
    patience: int = above_zero(6)


@dataclass(frozen=True)
class Stage:
    """A part of a training: which layers learn, for how long, how fast.

    Attributes:
        epochs: Passes over the training faces, at most.
        learning_rate: Its highest value.
        train: Which layers learn: `all`, `head`, or the last so many of the backbone with the head.
        optimizer: `sgd` is with Nesterov momentum.
        momentum: How much of its last step each step of `sgd` goes on with.
        weight_decay: Share of each kernel that a step takes away at a rate of 1 (Loshchilov and
            Hutter 2017, arXiv 1711.05101); 0 = none.
        schedule: How the rate goes on: `constant`; `cosine` to zero; `exponential`, by
            `decay_rate` every `decay_steps` steps.
        warmup_epochs: Epochs in which it rises from zero, in every cycle; not with `exponential`.
        restarts: Finished epochs of the stage after which the rate rises once more, such as
            `[10, 30]`; not with `exponential`.
        restart_scale: Its highest value after a restart, relative to the cycle before.
        decay_steps: Steps after which the `exponential` rate has fallen once.
        decay_rate: What the `exponential` rate is multiplied by each time.
        plateau: Lowers the rate when a figure no longer gets better, such as
            `{monitor: val_loss, patience: 3, factor: 0.5}`; empty = never.
        early_stop: Ends the stage when a figure no longer gets better, such as
            `{monitor: val_accuracy, patience: 6}`; empty = never.
    """

    epochs: int = above_zero()
    learning_rate: float = above_zero()
    train: Literal["all", "head"] | int = "all"
    optimizer: Literal["sgd", "adam", "nadam"] = "sgd"
    momentum: float = number(0.9, low=0, high=0.999)
    weight_decay: float = number(0.0, low=0)
    schedule: Literal["constant", "cosine", "exponential"] = "constant"
    warmup_epochs: float = number(0.0, low=0)
    restarts: tuple[int, ...] = ()
    restart_scale: float = number(0.5, low=0.01, high=1)
    decay_steps: int = above_zero(100)
    decay_rate: float = number(0.9, low=0.01, high=1)
    plateau: Plateau | None = None
    early_stop: EarlyStop | None = None

    def __post_init__(self) -> None:
        within = sorted({epoch for epoch in self.restarts if 0 < epoch < self.epochs})
        if list(self.restarts) != within:
            raise TrainingError(
                f"The stage's restarts {list(self.restarts)} have to rise within its "
                f"{self.epochs} epochs."
            )
        if isinstance(self.train, int) and self.train < 0:
            raise TrainingError(
                f"The stage's train is {self.train}; take all, head, or a number of layers."
            )
        if self.schedule == "exponential" and (self.warmup_epochs or self.restarts):
            raise TrainingError(
                "The stage's exponential schedule has neither warmup_epochs nor restarts; leave "
                "them out."
            )
        turns = [0, *self.restarts, self.epochs]
        shortest = min(after - before for before, after in pairwise(turns))
        if not self.warmup_epochs <= shortest:
            between = "of the shortest time between its restarts" if self.restarts else "it has"
            raise TrainingError(
                f"The stage's warmup_epochs {self.warmup_epochs:g} are more than the "
                f"{shortest} epochs {between}."
            )


@dataclass(frozen=True)
class Loss:
    """What is minimised: cross-entropy of the emotions, squared error of valence and arousal.

    Attributes:
        soft_votes: Take the votes of several people as they are, where a data set has them.
        draw_votes: Draw one label from the votes each time a face is seen (Barsoum et al. 2016,
            arXiv 1608.01041) instead of taking all of them.
        label_smoothing: Share of each target that is spread over all labels.
        class_weights: `balanced` weighs each face by how rare its label is.
        logit_adjustment: Exponent of the labels' shares that the network's answer is multiplied
            by in training (Menon et al. 2020, arXiv 2007.07314); 0 = none, 1 = fully balanced.
            What is measured and kept answers at the prior of the data again.
        mixup: Alpha of the Beta distribution of mixup (Zhang et al. 2017, arXiv 1710.09412);
            0 = none.
        cutmix: Alpha of the Beta distribution of CutMix (Yun et al. 2019, arXiv 1905.04899);
            0 = none. With mixup, too, each batch takes one of both.
        teaching: Share of each target that is what the recipe's teachers say of the face as it was
            changed (Hinton et al. 2015, arXiv 1503.02531; Beyer et al. 2021, arXiv 2106.05237).
        affect_weight: Weight of the squared error beside the cross-entropy.
        given_weight: Weight of a second head, in training alone, that learns the labels that
            others gave the same faces: FER2013's beside the votes, or the votes beside FER2013's;
            0 = no such head.
    """

    soft_votes: bool = True
    draw_votes: bool = False
    label_smoothing: float = number(0.0, low=0, high=0.9)
    class_weights: Literal["none", "balanced"] = "none"
    logit_adjustment: float = number(0.0, low=0, high=2)
    mixup: float = number(0.0, low=0, high=10)
    cutmix: float = number(0.0, low=0, high=10)
    teaching: float = number(0.5, low=0, high=1)
    affect_weight: float = number(1.0, low=0)
    given_weight: float = number(0.0, low=0, high=10)


@dataclass(frozen=True)
class Recipe:
    """What is trained, and how.

    Attributes:
        name: Also the id of the model that comes out.
        network: A key of `zoo.NETWORKS`.
        stages: One after another; each begins with the best weights of the one before, the
            head's included.
        title: A short name for people.
        source: Where the recipe comes from, in words; empty for ours.
        sees: `face`, cut out by the crop rule, or the `whole` picture, its edge repeated to a
            square.
        crop: How faces are cut out; side and channels are the network's input.
        options: Options of the network, such as `{widths: [16, 32, 64], dropout: 0.2}`; which
            there are, its builder in `zoo` says.
        head: What stands on it.
        outputs: What it answers: `emotion`, `affect` or both.
        affect: Whose coordinates the targets of valence and arousal have: `rays` or `anchors`.
        weights: `none`; `pretrained` (the published file, fetched before); `model:ID`, those of a
            model of the same network, its head aside where the labels are others, and of its layers
            the channels that weigh most where these are narrower; or the path of a file.
        split: A key of `datasets.splits.RULES`; empty takes the data set's own split.
        leave_out: Labels whose faces are left out, such as `[contempt]`.
        seed: Seeds the weights, the order of the faces, augmentation and dropout.
        batch: Faces per step, at most: an epoch has equal steps, and leaves out fewer faces than
            it has steps.
        evenness: 0 shows a face once in an epoch. Above, faces are drawn, those of rarer labels
            more often: 1 shows all labels alike.
        loss: What is minimised.
        teachers: Ids of models, with the same labels and input, whose mean answer is learned
            beside the labels, as `loss.teaching` says.
        monitor: The figure whose best epoch is kept.
        average: Momentum of the weights' moving average that is evaluated and kept; 0 = none.
        precision: Keras dtype policy of the training; what is exported is float32. `auto` is
            bfloat16 on processors made for it.
        quantise: Serve the network with weights in 8 bits: a quarter of the size and several times
            as quick; left out where it costs more than half a point of validation accuracy.
        augmentation: How far the training faces are changed.
        calm_epochs: In this many last epochs faces are only moved, mirrored and brightened, so
            that the network ends on faces as they come; what mixes faces goes on. They are at most
            half of all.
    """

    name: str
    network: str
    stages: tuple[Stage, ...]
    title: str = ""
    source: str = ""
    sees: Literal["face", "whole"] = "face"
    crop: CropRule = DEFAULT_CROP
    options: dict[str, Any] = field(default_factory=dict)
    head: Head = field(default_factory=Head)
    outputs: tuple[str, ...] = (EMOTION,)
    affect: Literal["rays", "anchors"] = "rays"
    weights: str = "none"
    split: str = ""
    leave_out: tuple[str, ...] = ()
    seed: int = number(0, low=0, high=4_000_000)
    batch: int = above_zero(96)
    evenness: float = number(0.0, low=0, high=1)
    loss: Loss = field(default_factory=Loss)
    teachers: tuple[str, ...] = ()
    monitor: Monitor = "val_accuracy"
    average: float = number(0.0, low=0, high=0.99999)
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = "auto"
    quantise: bool = False
    augmentation: Augmentation = field(default_factory=Augmentation)
    calm_epochs: int = number(0, low=0)

    def __post_init__(self) -> None:
        if not self.stages:
            raise TrainingError("The recipe's stages are empty; it needs one at least.")
        repeated = len(set(self.outputs)) < len(self.outputs)
        if not self.outputs or repeated or set(self.outputs) - {EMOTION, AFFECT}:
            raise TrainingError(
                f"The recipe's outputs are {list(self.outputs)}; choose {EMOTION}, {AFFECT} or "
                "both."
            )
        if self.teachers and EMOTION not in self.outputs:
            raise TrainingError(
                f"The recipe's teachers tell expressions, and its outputs are {list(self.outputs)}."
            )
        if not NAME.fullmatch(self.name):
            raise TrainingError(
                f"The recipe's name is {self.name!r}; it becomes a folder, so use letters, "
                "digits, - and _, and begin with a letter or a digit."
            )
        crop = self.crop
        fits = 0 < crop.margin <= 10 and abs(crop.shift_y) <= 2 and 8 <= crop.side_px <= 1024
        if not fits or crop.channels not in (1, 3):
            raise TrainingError(
                f"The recipe's crop cannot be cut: {crop}. The margin goes to 10, shift_y from -2 "
                "to 2, side_px from 8 to 1024; channels are 1 or 3."
            )
        told_elsewhere = _NOT_OPTIONS & set(self.options)
        if told_elsewhere:
            raise TrainingError(
                f"The recipe's options name {', '.join(sorted(told_elsewhere))}, which follow from "
                "the data set and the other settings. Leave them out."
            )
        try:
            json.dumps(self.options, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise TrainingError(f"The recipe's options cannot be kept: {error}.") from error
        self._check_monitors()

    def _check_monitors(self) -> None:
        """Check that every figure that is waited for is measured."""
        figures = {"loss"}
        figures |= _EMOTION_FIGURES if EMOTION in self.outputs else set()
        figures |= _AFFECT_FIGURES if AFFECT in self.outputs else set()
        asked = {"monitor": self.monitor}
        for where, stage in enumerate(self.stages):
            for name in ("plateau", "early_stop"):
                if getattr(stage, name) is not None:
                    asked[f"stages[{where}].{name}.monitor"] = getattr(stage, name).monitor
        for name, figure in asked.items():
            if figure not in figures:
                raise TrainingError(
                    f"The recipe's {name} is {figure}, which is not measured for the outputs "
                    f"{list(self.outputs)}; choose one of {sorted(figures)}."
                )

    @property
    def trained_outputs(self) -> tuple[str, ...]:
        """What the network answers while it is trained."""
        return (*self.outputs, GIVEN) if self.loss.given_weight else self.outputs

    @property
    def epochs(self) -> int:
        """Epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def steps_of(self, n: int) -> tuple[int, int]:
        """Return how many steps an epoch over n faces has, and how many faces each takes."""
        steps = -(-n // self.batch)
        return steps, n // steps

    def augmentation_with(self, epochs_left: int) -> Augmentation:
        """Return the augmentation of an epoch that so many are left with, itself among them."""
        if epochs_left > min(self.calm_epochs, self.epochs // 2):
            return self.augmentation
        return replace(self.augmentation, blur=0.0, noise=0.0, erase=0.0, six_way=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, as they stand in a file: lists, no tuples."""
        values: dict[str, Any] = _listed(asdict(self))
        return values

    def to_yaml(self) -> str:
        """Return the recipe as YAML that `recipes.load_recipe` reads."""
        return yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True)


def is_better(monitor: str, value: float, than: float | None) -> bool:
    """Return whether a figure is better than the best so far; None is before the first."""
    if than is None:
        return True
    return value > than if monitor.endswith(RISING) else value < than


def parse_recipe(values: object) -> Recipe:
    """Make a recipe from plain values.

    Raises:
        TrainingError: A setting is unknown, missing or impossible; the message names it.
    """
    return read_settings(Recipe, values, title="recipe")


def fitted_to(recipe: Recipe, *, n: int, samples: int, longest: int) -> Recipe:
    """Return a recipe of one stage with more and smaller steps for a small data set.

    Args:
        recipe: Its epochs are the fewest, its batch is the largest.
        n: Faces in the data set.
        samples: Faces that the network should see in all, repeated ones included.
        longest: Never more epochs than this.

    Raises:
        TrainingError: It has several stages.
    """
    if len(recipe.stages) != 1:
        raise TrainingError(
            f"The recipe {recipe.name!r} has {len(recipe.stages)} stages; take one with a single "
            "stage."
        )
    (stage,) = recipe.stages
    epochs = max(stage.epochs, min(longest, -(-samples // max(1, n))))
    batch = min(recipe.batch, max(_BATCH_MIN, n // _STEPS_WANTED))
    rate = stage.learning_rate * (batch / recipe.batch) ** 0.5
    return replace(recipe, batch=batch, stages=(replace(stage, epochs=epochs, learning_rate=rate),))


def _listed(value: Any) -> Any:
    """Return plain values with lists in place of tuples, which YAML would tag."""
    if isinstance(value, dict):
        return {key: _listed(one) for key, one in value.items()}
    return [_listed(one) for one in value] if isinstance(value, tuple | list) else value
