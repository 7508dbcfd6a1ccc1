"""From a photo to its results: analysis, export, the shared photo flow, the five-line example."""

import csv
import io
import json
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import numpy as np
import pandas as pd
import pytest

from emotion_core import iter_frames, load_committee, load_detector, load_model, write_timeline
from emotion_core.analysis import (
    ReadOptions,
    VideoOptions,
    read_batches,
    read_frames,
    read_picture,
)
from emotion_core.analysis.picture import read_faces
from emotion_core.crops import crop_faces
from emotion_core.errors import BadArgument, StorageError
from emotion_core.export import (
    PHOTO_COLUMNS,
    PHOTO_ENDS,
    neutralised,
    photo_table,
    to_csv,
    to_json,
    to_zip,
)
from emotion_core.labels import LabelSet
from emotion_core.media.photo import decode_photo
from emotion_core.media.sample import sample_photo
from emotion_core.photos import (
    PhotoResult,
    Refusal,
    photo_files,
    read_photo_bytes,
    read_photos,
    stems_of,
)
from emotion_core.registry import DEFAULT_MODEL
from emotion_core.timeline import SCHEMA
from emotion_core.types import (
    Affect,
    CropRule,
    Faces,
    Frame,
    FrameReading,
    Image,
    Provenance,
    Scores,
    check_image,
)
from emotion_core.voting import Vote, soft_vote
from tests.builders import encode, make_faces, make_picture, make_reading, make_video

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def tools() -> tuple:
    return load_detector(), load_model()


def test_the_portrait_looks_happy(portrait: Image, tools: tuple) -> None:
    reading = read_picture(portrait, *tools)
    assert reading.label == ("happy",)
    assert reading.confidence[0] > 0.9
    assert reading.affect.valence[0] > 0.7


def test_ten_readings_are_one(portrait: Image, tools: tuple) -> None:
    first = read_picture(portrait, *tools)
    for _ in range(9):
        assert np.array_equal(read_picture(portrait, *tools).scores.probs, first.scores.probs)


def test_a_batch_reads_like_its_pictures_one_by_one(portrait: Image, tools: tuple) -> None:
    pictures = [portrait, make_picture(200, 200), np.ascontiguousarray(portrait[:, ::-1])]
    batch = next(read_batches([pictures], *tools))
    assert [len(reading) for reading in batch] == [1, 0, 1]
    for picture, reading in zip(pictures, batch, strict=True):
        alone = read_picture(picture, *tools)
        assert reading.scores.probs == pytest.approx(alone.scores.probs, abs=1e-5)


class Grey:
    """A model that reads how bright a crop is, and keeps the crops that it was asked about."""

    prior, threshold, vote_temperature = "data", 0.0, None

    def __init__(self, rule: CropRule, *, answers_affect: bool = False) -> None:
        self.card = replace(load_model().card, id="grey", crop=rule)
        self.labels, self.members = LabelSet(["dark", "bright"]), (self,)
        self._answers_affect = answers_affect

    def classify(self, crops: np.ndarray, *, flip: bool = False) -> Scores:
        del flip
        self.crops = crops
        bright = crops.reshape(len(crops), -1).mean(axis=1).astype(np.float32) / 255
        affect = Affect(bright, -bright) if self._answers_affect else None
        return Scores(np.stack([1 - bright, bright], axis=1), self.labels, affect)

    def fuse(self, scores: list[Scores]) -> Vote:
        return soft_vote(scores)


def test_each_face_gets_the_answer_to_its_own_crop() -> None:
    dark, bright = (np.full((90, 120, 3), grey, np.uint8) for grey in (30, 200))
    dark[20:60, 10:50] = 80
    found = [make_faces((10, 20, 50, 60), (70, 30, 100, 60)), make_faces((5, 5, 60, 60)),
             Faces.empty()]  # fmt: skip
    options = ReadOptions(flip=False, whole_if_none=True)
    rule = CropRule(1.5, shift_y=0.1)
    whole = make_picture(60, 60)
    network = Grey(rule, answers_affect=True)
    readings = read_faces([dark, bright, whole], found, network, options=options)
    assert [reading.is_whole_picture for reading in readings] == [False, False, True]
    assert [reading.label for reading in readings[:2]] == [("dark", "dark"), ("bright",)]
    plain = replace(rule, margin=1.0, shift_y=0.0)  # there is nothing around a whole picture
    expected = [
        crop_faces(dark, found[0], rule),
        crop_faces(bright, found[1], rule),
        crop_faces(whole, Faces.whole(whole), plain),
    ]
    assert np.array_equal(network.crops, np.concatenate(expected))
    for reading, crops in zip(readings, expected, strict=True):
        means = crops.reshape(len(crops), -1).mean(axis=1) / 255
        assert reading.scores.probs[:, 1] == pytest.approx(means, abs=1e-5)
        assert reading.affect.valence == pytest.approx(means, abs=1e-5), "the network's own"
        assert reading.affect.arousal == pytest.approx(-means, abs=1e-5)


def test_each_member_gets_crops_by_its_own_rule(portrait: Image) -> None:
    tight, wide = Grey(CropRule(1.0)), Grey(CropRule(2.0, side_px=32, channels=3))
    committee = Grey(CropRule(1.0))
    committee.members = (tight, wide)  # type: ignore[assignment]
    faces = make_faces((150, 50, 300, 220))
    read_faces([portrait], [faces], committee, options=ReadOptions(flip=False))
    for member in (tight, wide):
        assert np.array_equal(member.crops, crop_faces(portrait, faces, member.card.crop))


def test_no_face_may_be_read_as_a_whole(tools: tuple) -> None:
    empty = make_picture(90, 70)
    assert len(read_picture(empty, *tools)) == 0
    whole = read_picture(empty, *tools, options=ReadOptions(whole_if_none=True))
    assert whole.is_whole_picture
    assert whole.faces.xyxy.tolist() == [[0, 0, 90, 70]]
    assert whole.faces.confidence.tolist() == [0]


def test_photos_are_read_with_their_mirror_image_and_frames_without(
    portrait: Image, tools: tuple
) -> None:
    once, both = (
        read_picture(portrait, *tools, options=ReadOptions(flip=flip)).scores.probs
        for flip in (False, True)
    )
    assert not np.array_equal(once, both)
    assert np.array_equal(read_picture(portrait, *tools).scores.probs, both)
    photo = read_photo_bytes(sample_photo(), "a.jpg", *tools)
    assert np.array_equal(photo.reading.scores.probs, both)
    assert photo.provenance.options["flip"] is True
    raw = VideoOptions(smooth_s=0, hysteresis=0)
    assert raw.reading.flip is False
    (seen,) = read_frames([Frame(portrait, 0, 0.0)], *tools, options=raw)
    assert np.array_equal(seen.reading.scores.probs, once)


def test_not_answering_is_not_a_label(portrait: Image, tools: tuple) -> None:
    never = read_picture(portrait, *tools, options=ReadOptions(threshold=1.0))
    assert never.abstained.all()
    assert never.label == ("uncertain",)
    assert never.top_label == ("happy",)
    always = read_picture(portrait, *tools, options=ReadOptions(threshold=0.0))
    assert not always.abstained.any()


def test_a_threshold_of_one_in_n_is_no_threshold(portrait: Image, tools: tuple) -> None:
    options = ReadOptions(threshold=1 / 8, whole_if_none=True)
    for picture in (portrait, make_picture(90, 70)):
        assert not read_picture(picture, *tools, options=options).abstained.any()


@pytest.mark.parametrize("vote", ["soft", "hard"])
def test_a_committee_reads_a_picture(portrait: Image, vote: str) -> None:
    reading = read_picture(portrait, load_detector(), load_committee(vote=vote))
    assert reading.top_label == ("happy",)
    assert reading.confidence[0] == 1 if vote == "hard" else reading.confidence[0] > 0.9


def test_the_table_has_the_columns_of_the_dictionary() -> None:
    two = make_reading((0, 0, 9, 9), (1, 1, 8, 8))
    table = photo_table([("a.jpg", two)], model_id="m")
    plain = [column for column in table.columns if not column.startswith("prob_")]
    assert plain == [column for column in PHOTO_COLUMNS if column != "prob_*"]
    assert table["face"].tolist() == [1, 2]
    assert table.filter(like="prob_").sum(axis=1).tolist() == pytest.approx([1, 1], abs=1e-4)
    nobody = ("b.jpg", make_reading())
    alike = [(name, two) for name in ("a.jpg", "A.jpg", "a.png", "a.jpg", "a-2.jpg")]
    names = photo_table(alike, model_id="m")["file"].unique().tolist()
    assert names == ["a.jpg", "A-2.jpg", "a.png", "a-4.jpg", "a-2-2.jpg"]
    empty = photo_table([nobody], model_id="m")
    assert list(empty.columns) == list(table.columns)
    assert len(empty) == 0
    both = pd.read_csv(
        io.StringIO(to_csv(photo_table([("a.jpg", two), nobody], model_id="m", name_all=True))),
        dtype=str,
    )
    assert both["file"].tolist() == ["a.jpg", "a.jpg", "b.jpg"]
    assert both["face"].fillna("").tolist() == ["1", "2", ""]
    assert both.loc[2].dropna().to_dict() == {"file": "b.jpg", "model_id": "m"}


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\0=1", '=HYPERLINK("http://x")']
)
def test_no_spreadsheet_runs_a_cell(cell: str) -> None:
    text = to_csv(pd.DataFrame({"file": [cell], "value": [-0.5]}))
    read = list(csv.reader(io.StringIO(text)))[1] if "\r=" not in text else None
    assert neutralised(pd.DataFrame({"file": [cell]}))["file"].tolist() == ["'" + cell]
    assert neutralised(pd.DataFrame({"path": [cell]}))["path"].tolist() == ["./" + cell]
    assert f"'{cell[0]}" in text
    if read:
        assert float(read[1]) == -0.5


def test_a_photo_becomes_three_files(tools: tuple) -> None:
    uploads = [("=me.png", sample_photo()), ("bad.png", b"no"), ("empty.png", b"")]
    outcomes = list(read_photos(uploads, *tools))
    assert [type(outcome) for outcome in outcomes] == [PhotoResult, Refusal, Refusal]
    result = outcomes[0]
    assert isinstance(result, PhotoResult)
    files = dict(photo_files(result.slim(), stem="photo-1"))
    assert set(files) == {f"photo-1.{end}" for end in PHOTO_ENDS}
    assert list(files) == ["photo-1.json", "photo-1.csv", "photo-1.annotated.png"]
    held = json.loads(files["photo-1.json"])
    assert held["provenance"]["models"].keys() == {DEFAULT_MODEL}
    assert len(held["provenance"]["input_sha256"]) == 64
    assert held["provenance"]["options"]["detector"] == "blazeface"
    assert held["faces"][0]["label"] == "happy"
    table = pd.read_csv(io.BytesIO(files["photo-1.csv"]))
    assert table.loc[0, "file"] == "'=me.png"
    assert table.loc[0, "confidence"] == pytest.approx(
        float(result.reading.confidence[0]), abs=1e-4
    )
    with zipfile.ZipFile(io.BytesIO(to_zip([*files.items(), *files.items()]))) as archive:
        assert len(set(archive.namelist())) == 6


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_stops_the_writing_of_a_table_in_any_function() -> None:
    table = photo_table([("a.jpg", make_reading((0, 0, 9, 9)))], model_id="m")
    provenance = Provenance(models={"m": "0"}, options={})
    calls_left = 0

    def interrupt(frame: FrameType, event: str, arg: object) -> None:
        nonlocal calls_left
        calls_left -= 1
        if calls_left < 0:
            sys.settrace(None)
            raise KeyboardInterrupt

    tracer, stopped = sys.gettrace(), 0
    for call in range(400):  # as many as the table takes; then JSON is written piece by piece
        calls_left = call
        try:
            sys.settrace(interrupt)
            to_json(table, provenance)
        except KeyboardInterrupt:  # and nothing else: pandas' own encoder crashed, or complained
            stopped += 1
        finally:
            sys.settrace(tracer)
    assert stopped > 300


def test_a_video_becomes_a_timeline(tmp_path: Path, portrait: Image, tools: tuple) -> None:
    pictures = [portrait[::2, ::2], make_picture(256, 256), portrait[::2, ::2]]
    video = make_video(tmp_path / "a.mp4", pictures, pts=[0, 40, 100])
    provenance = Provenance(models={"m": "0"}, options={})
    options = VideoOptions(reading=ReadOptions(whole_if_none=True))  # says nothing of a video
    readings = read_frames(iter_frames(video), *tools, options=options)
    path = write_timeline(tmp_path / "a.csv", readings, model_id="m", provenance=provenance)
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == SCHEMA
    table = pd.read_csv(path)
    assert table["time_s"].tolist() == pytest.approx([0, 0.04, 0.1], abs=1e-3)
    assert table["label"].fillna("").tolist() == ["happy", "", "happy"]


def test_a_timeline_that_cannot_be_written_is_refused_before_anything_is_read(
    tmp_path: Path,
) -> None:
    def frames() -> Iterator[FrameReading]:
        raise AssertionError("read")
        yield

    provenance = Provenance(models={"m": "0"}, options={})
    with pytest.raises(StorageError, match="is a folder"):
        write_timeline(tmp_path, frames())
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="was not written"):
        write_timeline(tmp_path / "file" / "a.csv", frames())
    with pytest.raises(BadArgument, match="name of the JSON"):
        write_timeline(tmp_path / "a.json", frames(), provenance=provenance)
    (tmp_path / "a.json").write_text('{"mine": "labels by hand"}')
    with pytest.raises(StorageError, match="not the result of an earlier reading"):
        write_timeline(tmp_path / "a.csv", frames(), provenance=provenance)
    assert (tmp_path / "a.json").read_text() == '{"mine": "labels by hand"}'
    (tmp_path / "a.json").write_text('{"provenance": {}, "faces": []}')
    with pytest.raises(StorageError, match="is the result of a photo"):
        write_timeline(tmp_path / "a.csv", frames(), provenance=provenance)


def test_the_examples_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", readme, re.S)
    assert len(examples) == 2
    assert all(len(code.strip().splitlines()) <= 6 for code in examples)
    (tmp_path / "portrait.png").write_bytes(sample_photo())
    make_video(tmp_path / "clip.mp4", [decode_photo(sample_photo())] * 3)
    monkeypatch.chdir(tmp_path)
    for code in examples:
        exec(compile(code, "README.md", "exec"), {})
    assert "happy" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "timeline.csv")["label"].tolist() == ["happy"] * 3


def test_photos_with_alpha_and_other_modes_are_read(tools: tuple, portrait: Image) -> None:
    rgba = np.dstack([portrait, np.full(portrait.shape[:2], 255, np.uint8)])
    for content in (encode(rgba, "PNG"), encode(portrait, "JPEG", quality=90)):
        (result,) = read_photos([("a", content)], *tools)
        assert isinstance(result, PhotoResult)
        assert result.reading.label == ("happy",)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ReadOptions(threshold=70),
        lambda: ReadOptions(system="square"),
        lambda: VideoOptions(every=0),
        lambda: VideoOptions(gap_s=float("inf")),
        lambda: VideoOptions(smooth_s=float("nan")),
        lambda: load_detector(min_confidence=60),
        lambda: check_image(np.zeros((9, 9), np.uint8)),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(BadArgument):
        wrong()
    assert issubclass(BadArgument, ValueError)


def test_files_of_photos_are_called_by_their_names(tools: tuple) -> None:
    names = ["a b.png", "photos.png", "a b.jpg", "é.png", "../a-b.png"]
    results = list(read_photos([(name, sample_photo()) for name in names], *tools))
    assert stems_of([one for one in results if isinstance(one, PhotoResult)]) == [
        "a-b", "photos-2", "a-b-2", "photo", "a-b-3",
    ]  # fmt: skip
