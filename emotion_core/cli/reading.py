"""Options that every command that reads faces has."""

from typing import Annotated

import typer

Model = Annotated[
    list[str] | None,
    typer.Option(help="Model id; several make a committee, the first one leads."),
]
Vote = Annotated[str, typer.Option(help="How a committee votes: soft or hard.")]
Prior = Annotated[
    str,
    typer.Option(
        metavar="PRIOR",
        help="How frequent expressions are taken to be: balanced, or data (as in training).",
    ),
]
DetectorName = Annotated[str, typer.Option(help="Face detector.")]
MinConfidence = Annotated[
    float | None, typer.Option(min=0.05, max=1, help="Drop faces the detector is less sure of.")
]
Threshold = Annotated[
    float | None, typer.Option(min=0, max=1, help="Answer 'uncertain' under this confidence.")
]
Tta = Annotated[bool, typer.Option("--tta/--no-tta", help="Average with the mirror image.")]
ByValence = Annotated[
    bool, typer.Option("--by-valence", help="Red, green and grey boxes by valence.")
]
ShowAffect = Annotated[
    bool, typer.Option("--affect", help="Write valence and arousal on the picture.")
]
ShowBars = Annotated[bool, typer.Option("--bars", help="Draw the distributions.")]
Smooth = Annotated[
    float, typer.Option(min=0, max=5, help="Median over so many last seconds; 0 = raw.")
]
Hysteresis = Annotated[
    float,
    typer.Option(min=0, max=1, help="A new label has to lead the old one by so much; 0 = raw."),
]
DetectEvery = Annotated[
    int, typer.Option(min=1, help="Search for faces in every n-th frame that is read.")
]
