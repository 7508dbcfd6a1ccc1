"""Many trainings one after another: a recipe varied, or a survey of backbones."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pandas as pd
import yaml

from ..cards import read_card
from ..classify import BUDGET_MS
from ..datasets.cleaning import fingerprint_of
from ..errors import EmotionError, JobCancelled, TrainingError, reason_of
from ..export import to_csv
from ..files import atomic_write, safe_stem
from ..jobs import owner_hash
from ..runs import DONE, Run, list_runs, load_run
from ..serving import open_network
from ..texts import say
from ..training.recipe import EarlyStop, Head, Recipe, Stage, parse_recipe
from ..training.recipes import changed_recipe
from ..yaml_text import read_yaml
from .cluster import work_side_by_side
from .evaluation import submission
from .index import load_index
from .store import Dataset, recipe_hash
from .trainings import begin_run, compare_runs, work_on

#: A head on a frozen backbone learns quickly; what is unfrozen then needs small steps.
_HEAD_RATE, _TUNE_RATE = 1e-3, 1e-5


def varied(recipe: Recipe, vary: Sequence[str]) -> list[Recipe]:
    """Return every combination of some settings.

    Args:
        recipe: What is varied.
        vary: `SETTING=VALUE,VALUE…` each, such as `batch=16,32` or `seed=0,1,2`.

    Raises:
        TrainingError: A setting is unknown or a value impossible.
    """
    axes = [_axis(one) for one in vary]
    return [
        replace(changed_recipe(recipe, chosen), title=", ".join(chosen) or recipe.title)
        for chosen in product(*axes)
    ]


def surveyed(
    recipe: Recipe, backbones: Sequence[str], *, head_epochs: int, unfreeze: int, tune_epochs: int
) -> list[Recipe]:
    """Return a training per backbone as seed 003 compared them: a head on the frozen backbone, then
    its last layers with small steps; without weights the whole network at once.

    Args:
        recipe: Input, augmentation, weights, batch and loss are taken from it.
        backbones: Networks of `keras.applications`, such as `EfficientNetB0`, or of ours.
        head_epochs: At most so many for the head; it ends early when nothing gets better.
        unfreeze: How many of the last layers learn then.
        tune_epochs: Epochs of that; 0 for none.

    Raises:
        TrainingError: A setting is impossible.
    """
    if recipe.weights == "none":  # a head on a random backbone would rank chance
        epochs, stop = head_epochs + tune_epochs, EarlyStop(recipe.monitor, 3)
        stages = [Stage(epochs, _HEAD_RATE, "all", "adam", early_stop=stop)]
    else:
        stages = [
            Stage(head_epochs, _HEAD_RATE, "head", "adam", early_stop=EarlyStop(recipe.monitor, 3)),
            *([Stage(tune_epochs, _TUNE_RATE, unfreeze, "adam")] if tune_epochs else []),
        ]
    return [
        replace(
            recipe,
            name=f"survey-{name.lower()}",
            title=name,
            network="application" if name[:1].isupper() else name,
            options={"variant": name} if name[:1].isupper() else {},
            head=Head(dropout=0.2),
            stages=tuple(stages),
            average=0.0,
            calm_epochs=0,
        )
        for name in backbones
    ]


def run_all(
    dataset: Dataset,
    recipes: Sequence[Recipe],
    *,
    owner: str,
    on_trial: Callable[[Run], None] | None = None,
    on_epoch: Callable[[dict[str, float]], None] | None = None,
    on_failure: Callable[[str, str], None] | None = None,
    ray_address: str = "",
) -> pd.DataFrame:
    """Train recipes, one after another here or side by side on Ray, and rank them.

    A trial that was finished before is not trained again, one that was interrupted goes on; so a
    stopped sweep is given the same command again. One that fails does not end the others.

    Args:
        dataset: Measured before.
        recipes: What is trained.
        owner: Whose runs they are.
        on_trial: Called with each run before it is worked on; on Ray, when it is done.
        on_epoch: Called with the history row of every finished epoch.
        on_failure: Called with the title and the reason of what failed.
        ray_address: Of a Ray cluster, as `cluster.work_side_by_side` takes it; empty for here.

    Returns:
        As `compare_runs`, the best first, with `rank` and `fits_40_ms`.

    Raises:
        TrainingError: All of them failed, or there is no cluster.
    """

    def tell(recipe: Recipe, reason: str) -> None:
        if on_failure:
            on_failure(recipe.title or recipe.name, reason)

    runs: list[Run] = []
    for recipe in recipes:
        try:
            run = _known(dataset, recipe, owner) or begin_run(dataset, recipe, owner=owner)
        except EmotionError as error:
            tell(recipe, str(error))
            continue
        if run.id in {other.id for other in runs}:  # the same recipe, named twice
            continue
        runs.append(run)
        if not ray_address and run.state != DONE:
            if on_trial:
                on_trial(run)
            try:
                work_on(run, on_epoch=on_epoch)
            except JobCancelled:
                raise
            except Exception as error:  # noqa: BLE001 – such as a batch too large for the memory
                tell(recipe, reason_of(error))
            _forget_networks()
    missing = [run for run in runs if run.state != DONE]
    if ray_address and missing:
        work_side_by_side(
            missing,
            ray_address,
            on_trial=on_trial,
            on_failure=lambda run, reason: tell(parse_recipe(run.recipe), reason),
        )
    done = [again for run in runs if (again := load_run(run.id)).state == DONE]
    if not done:
        raise TrainingError(say("error.all_failed", n=len(recipes)))
    table = compare_runs(done)
    table.insert(0, "rank", range(1, len(table) + 1))
    fits = table["ms_per_face"] <= BUDGET_MS
    table["fits_40_ms"] = fits.astype("boolean").where(table["ms_per_face"].notna())
    return table


def write_submissions(dataset: Dataset, table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write what each finished training of a table says of the pictures without a label.

    Args:
        dataset: What they were trained on.
        table: As `run_all` returned it.
        folder: Gets a CSV for each, `<rank>-<name>.csv`.

    Raises:
        InputError: No picture is without a label.
        StorageError: A file cannot be written.
    """
    written = []
    for _, row in table.iterrows():
        run = load_run(str(row["run"]))
        card = read_card(run.model_folder / "card.json")
        network = open_network(run.model_folder, card).at_prior("data")
        answers = submission(dataset, network)
        name = safe_stem(str(row["name"]), otherwise=run.id)
        written.append(atomic_write(folder / f"{row['rank']}-{name}.csv", to_csv(answers)))
    return written


def _axis(text: str) -> list[str]:
    setting, _, values = text.partition("=")
    try:
        held = read_yaml(f"[{values}]")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise TrainingError(say("error.bad_axis", text=text)) from error
    if not setting or not held:
        raise TrainingError(say("error.bad_axis", text=text))
    return [f"{setting}={_as_yaml(value)}" for value in held]


def _as_yaml(value: object) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"))
    return text.partition("\n")[0]


def _known(dataset: Dataset, recipe: Recipe, owner: str) -> Run | None:
    """Return the run of this very recipe on this very state of the data set: one that is done, or
    the newest."""
    state = (fingerprint_of(load_index(dataset)), recipe_hash(dataset))
    same = [
        run
        for run in _of(dataset, owner)
        if (run.dataset["fingerprint"], run.dataset["recipe_sha256"]) == state
        and run.recipe == _plain(recipe)
    ]
    return next((run for run in same if run.state == DONE), next(iter(same), None))


def _of(dataset: Dataset, owner: str) -> Iterator[Run]:
    return (run for run in list_runs(owner_hash(owner)) if run.dataset["id"] == dataset.id)


def _plain(recipe: Recipe) -> object:
    return read_yaml(recipe.to_yaml())


def _forget_networks() -> None:
    """Let go of what a finished training leaves in Keras."""
    import keras

    keras.backend.clear_session()
