"""Data sets of Kaggle, through `kagglehub`, an optional extra (requirements-kaggle.txt)."""

from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError
from ..texts import say

#: Competitions, whose rules have to be accepted first, by their names there. A new one is a row.
DATASETS = {
    "skillbox": "skillbox-computer-vision-project",
    "fer2013": "challenges-in-representation-learning-facial-expression-recognition-challenge",
}


def fetch_dataset(name: str) -> Path:
    """Download a data set of Kaggle into kagglehub's cache, or find it there.

    Returns:
        The folder with its files.

    Raises:
        InputError: There is no such data set, kagglehub is not installed, or Kaggle cannot be
            reached or gives nothing to this account; the message says how to go on by hand.
    """
    if name not in DATASETS:
        raise InputError(say("error.no_kaggle", name=name, names=", ".join(DATASETS)))
    page = f"https://www.kaggle.com/competitions/{DATASETS[name]}/data"
    if find_spec("kagglehub") is None:
        raise InputError(say("error.no_kagglehub", page=page))
    import kagglehub

    try:
        return Path(kagglehub.competition_download(DATASETS[name]))
    except (OSError, ValueError, RuntimeError, kagglehub.exceptions.KaggleApiHTTPError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise InputError(say("error.kaggle_failed", page=page, reason=reason)) from error
