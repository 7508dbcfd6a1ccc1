"""A new training: on which data set, by which recipe."""

import streamlit as st

from emotion_core.errors import EmotionError, TrainingError
from emotion_core.limits import NAME_SHOWN_CHARS
from emotion_core.runs import Run, delete_run
from emotion_core.texts import say
from emotion_core.training.recipe import Recipe, parse_recipe
from emotion_core.training.recipes import load_recipe, recipe_names
from emotion_core.training.weights import published_weights, weights_name
from emotion_core.workbench.store import Dataset, list_datasets
from emotion_core.workbench.teachers import suits_datasets
from emotion_core.workbench.trainings import begin_run, start_run

from . import recipe_form, resources, visitor
from .dataset_open import title_of
from .errors import plain
from .options import KEPT

#: What a newcomer finds first; all others follow by name.
_FIRST = ("quick", "fine-tune", "vgg-plain", "se-resnet-s", "two-headed", "mobilenet-s")


def show() -> None:
    """Ask for data set and recipe, and start."""
    dataset = choose_dataset(key="training_dataset", help_text=say("training.dataset_help"))
    if dataset is None:
        return
    recipe = _choose_recipe()
    number = st.session_state.get("training_number", 0)  # each training has a name of its own
    name = st.text_input(
        say("training.name"),
        placeholder=recipe.title,
        max_chars=NAME_SHOWN_CHARS,
        key=f"training_name_{number}",
        **KEPT,
    )
    if st.button(say("training.start"), type="primary", key="training_start"):
        run = start(dataset, recipe, name=name.strip())
        st.session_state["training_number"] = number + 1
        open_run(run)


def start(dataset: Dataset, recipe: Recipe, *, name: str = "") -> Run:
    """Begin a run and its job.

    Raises:
        TrainingError, InputError, StorageError: As `begin_run`.
    """
    run = begin_run(dataset, recipe, owner=visitor.owner(), name=name)
    try:
        start_run(run, owner=visitor.owner())
    except EmotionError:
        delete_run(run)  # nobody works on it
        raise
    return run


def repeat(run: Run) -> None:
    """Open the form with the settings of a run."""
    st.session_state["training_again"] = run
    st.session_state["training_round"] = st.session_state.get("training_round", 0) + 1
    if _is_here(run.dataset["id"]):
        st.session_state["dataset"] = run.dataset["id"]
        st.session_state.pop("training_dataset-follows", None)
    st.session_state.pop("run", None)
    st.session_state["training_view"] = "new"
    st.rerun()


def _is_here(dataset_id: str) -> bool:
    return any(one.id == dataset_id for one in list_datasets(*visitor.owners()))


def open_run(run: Run) -> None:
    """Show a run in place of the list."""
    st.session_state["run"] = run.id
    st.rerun()


def choose_dataset(*, key: str, help_text: str) -> Dataset | None:
    """Let people choose one of their measured data sets; None, and a way to one, without any.

    `help_text` says what becomes of its pictures.
    """
    everyone = list_datasets(*visitor.owners())
    mine = [one for one in everyone if one.has_index]
    if not mine:
        st.info(say("training.no_dataset"))
        with st.container(horizontal=True):
            if st.button(say("dataset.draw"), help=say("dataset.draw_help"), key="training_draw"):
                st.session_state["dataset_drawn_wanted"] = True
                st.switch_page("pages/dataset.py")
            if st.button(say("dataset.open"), key="training_open_dataset"):
                st.switch_page("pages/dataset.py")
        return None
    titles = {one.id: title_of(one, everyone) for one in mine}
    # it follows what was opened last, and keeps what was chosen here since
    wanted, followed = st.session_state.get("dataset"), f"{key}-follows"
    if wanted in titles and st.session_state.get(followed) != wanted:
        st.session_state[key] = st.session_state[followed] = wanted
    if st.session_state.get(key) not in titles:
        st.session_state[key] = mine[0].id
    chosen = st.selectbox(
        say("training.dataset"),
        list(titles),
        format_func=lambda one: titles.get(one, one),
        help=help_text,
        key=key,
        **KEPT,
    )
    return next(one for one in mine if one.id == chosen)


def _choose_recipe() -> Recipe:
    again: Run | None = st.session_state.get("training_again")
    if again is not None:
        recipe = parse_recipe(again.recipe)
        with st.container(horizontal=True, vertical_alignment="center"):
            title = recipe.title or recipe.name
            st.markdown(say("training.settings_of", title=plain(title)))
            if st.button(say("training.other_recipe"), key="training_other"):
                st.session_state.pop("training_again")
                st.rerun()
        if not _is_here(again.dataset["id"]):
            st.warning(say("training.again_elsewhere", name=plain(again.dataset["name"])))
        return _edited(recipe, key=f"recipe-again-{st.session_state['training_round']}")
    here = {entry.id for entry in resources.models() if entry.card}
    recipes = {name: one for name, one in _recipes().items() if suits_datasets(one, here)}
    name = st.selectbox(
        say("training.recipe"),
        list(recipes),
        format_func=lambda one: say("training.recipe_line", title=recipes[one].title, name=one),
        help=say("training.recipe_help"),
        key="training_recipe",
        **KEPT,
    )
    recipe = recipes[str(name)]
    if recipe.source:
        st.caption(say("training.source", source=plain(recipe.source)))
    told = st.container()
    if st.toggle(say("training.settings"), key="training_settings", **KEPT):
        recipe = _edited(recipe, key=f"recipe-{recipe.name}")
    with told:
        if recipe.weights == "pretrained":
            file = published_weights(recipe)
            if file is not None and not file.is_ready():
                name = weights_name(recipe)
                st.warning(say("training.weights_missing", file=file.name, name=name))
        st.caption(_summary(recipe))
    return recipe


def _edited(recipe: Recipe, *, key: str) -> Recipe:
    try:
        return recipe_form.edit(recipe, key=key)
    except TrainingError as error:
        st.error(plain(str(error)))
        st.stop()


@st.cache_resource(show_spinner=False)
def _recipes() -> dict[str, Recipe]:
    """Return the recipes that come along, a newcomer's first; read once."""
    others = [name for name in recipe_names() if name not in _FIRST]
    return {name: load_recipe(name) for name in (*_FIRST, *others)}


def _summary(recipe: Recipe) -> str:
    return say(
        "training.summary",
        network=recipe.network,
        px=recipe.crop.side_px,
        epochs=recipe.epochs,
        batch=recipe.batch,
        weights=recipe.weights,
    )
