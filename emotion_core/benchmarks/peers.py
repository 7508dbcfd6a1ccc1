"""What people use today, on the same faces.

Measured on 2026-11-20 with the packages of that day on two cores, crops given directly, or as
published. None of those measured learned from the votes of FER+.
"""

import pandas as pd

_MEASURED = "measured 2026-11-20"
_PUBLISHED = "published, not measured"

_FERPLUS = pd.DataFrame(
    [
        {"model": "fer (58 k)", "accuracy": 0.670, "plurality_accuracy": 0.631, "ece": 0.057},
        {"model": "fer, mirrored", "accuracy": 0.684, "plurality_accuracy": 0.640, "ece": 0.037},
        {"model": "human (0.2 M)", "accuracy": 0.664, "plurality_accuracy": 0.621, "ece": 0.102},
        {
            "model": "face-api.js (0.33 M)",
            "accuracy": 0.687,
            "plurality_accuracy": 0.642,
            "ece": 0.320,
        },
        {
            "model": "vote of fer, human and face-api.js",
            "accuracy": 0.729,
            "plurality_accuracy": 0.683,
            "ece": 0.039,
        },
    ]
).assign(source=_MEASURED)

#: Trained on the votes as ours are; each with its own rule which rows count.
_FERPLUS_PUBLISHED = pd.DataFrame(
    [
        {"model": "VGG13 (8.75 M), Barsoum 2016", "accuracy": 0.850},
        {"model": "CERN (1.45 M), Gera 2022", "accuracy": 0.882},
        {"model": "SCN, pretrained on faces, Wang 2020", "accuracy": 0.880},
        {"model": "DDAMFN (4.1 M), pretrained on faces, Zhang 2023", "accuracy": 0.907},
    ]
).assign(source=_PUBLISHED)

_FER2013 = pd.DataFrame(
    [
        {"model": "fer (58 k)", "accuracy": 0.658, "mean_recall": 0.639, "source": _MEASURED},
        {"model": "fer, mirrored", "accuracy": 0.669, "mean_recall": 0.645, "source": _MEASURED},
        {"model": "human (0.2 M)", "accuracy": 0.666, "mean_recall": 0.659, "source": _MEASURED},
        {
            "model": "face-api.js (0.33 M)",
            "accuracy": 0.589,
            "mean_recall": 0.609,
            "source": _MEASURED,
        },
        {
            "model": "vote of fer and human",
            "accuracy": 0.691,
            "mean_recall": 0.678,
            "source": _MEASURED,
        },
        {"model": "deepface", "accuracy": 0.574, "source": _PUBLISHED},
        {"model": "student system 004", "accuracy": 0.7111, "source": "its commit messages"},
        {"model": "VGG, single net (Khaireddin 2021)", "accuracy": 0.7328, "source": _PUBLISHED},
        {"model": "Residual Masking Net (143 M)", "accuracy": 0.7414, "source": _PUBLISHED},
    ]
)

_FILM = pd.DataFrame(
    [{"model": "fer (58 k)", "accuracy": 0.312, "mean_recall": 0.262, "source": _MEASURED}]
)

#: By benchmark; nobody else was measured on the photos.
PEERS = {
    "ferplus": pd.concat([_FERPLUS, _FERPLUS_PUBLISHED], ignore_index=True),
    "fer2013": _FER2013,
    "film": _FILM,
    "photos": pd.DataFrame(columns=["model", "source"]),
}
