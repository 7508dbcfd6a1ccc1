"""Data sets of Kaggle, through `kagglehub`, an optional extra (requirements-kaggle.txt)."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError
from ..texts import say


@dataclass(frozen=True)
class KaggleDataset:
    """Where a data set lies on Kaggle.

    Attributes:
        handle: Its name there.
        is_competition: Whether it belongs to a competition, whose rules have to be accepted first.
    """

    handle: str
    is_competition: bool

    @property
    def page(self) -> str:
        """Where it can be downloaded by hand."""
        part = f"competitions/{self.handle}/data" if self.is_competition else self.handle
        return f"https://www.kaggle.com/{part}"


#: A new one is a row.
DATASETS = {
    "skillbox": KaggleDataset("skillbox-computer-vision-project", True),
    "fer2013": KaggleDataset(
        "challenges-in-representation-learning-facial-expression-recognition-challenge", True
    ),
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
    wanted = DATASETS[name]
    if find_spec("kagglehub") is None:
        raise InputError(say("error.no_kagglehub", page=wanted.page))
    import kagglehub

    download = (
        kagglehub.competition_download if wanted.is_competition else kagglehub.dataset_download
    )
    try:
        return Path(download(wanted.handle))
    except (OSError, ValueError, RuntimeError, kagglehub.exceptions.KaggleApiHTTPError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:160]
        raise InputError(say("error.kaggle_failed", page=wanted.page, reason=reason)) from error
