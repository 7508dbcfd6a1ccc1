"""The tidy table of a video, and what follows from it."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from emotion_core.export import TIMELINE_ENDS, timeline_files
from emotion_core.timeline import (
    EPISODE_COLUMNS,
    PERSON_COLUMNS,
    SCHEMA,
    TIMELINE_COLUMNS,
    TimelineBuilder,
    compact_form,
    episodes,
    expand_compact,
    per_frame_form,
    persons,
    timeline_table,
)
from emotion_core.types import Affect, FrameReading, Provenance, Quality
from tests.builders import make_frame_reading, make_scores

BOX, OTHER = (0, 0, 40, 40), (100, 0, 140, 40)


def table_of(*frames: dict[int, str], rate: float = 10) -> pd.DataFrame:
    """A timeline from who looks like what in each frame."""
    readings = [
        make_frame_reading(
            i,
            i / rate,
            {person: (OTHER if person > 1 else BOX, label) for person, label in frame.items()},
        )
        for i, frame in enumerate(frames)
    ]
    return timeline_table(readings, model_id="m")


def test_the_columns_are_those_of_the_dictionary() -> None:
    for table in (table_of({1: "happy"}, {}), table_of({}), timeline_table([])):
        plain = [column for column in table.columns if not column.startswith("prob_")]
        assert plain == [column for column in TIMELINE_COLUMNS if column != "prob_*"]


def test_a_frame_without_a_face_has_a_row() -> None:
    table = table_of({1: "happy"}, {}, {1: "sad", 2: "fear"})
    assert table["frame"].tolist() == [0, 1, 2, 2]
    assert table["tracker_id"].isna().tolist() == [False, True, False, False]
    assert table["model_id"].tolist() == ["m"] * 4
    assert table["label"].isna().tolist() == [False, True, False, False]


def test_a_held_frame_has_no_row() -> None:
    held = make_frame_reading(1, 0.1, {1: (BOX, "happy")}, is_held=True)
    table = timeline_table([make_frame_reading(0, 0.0, {1: (BOX, "happy")}), held])
    assert table["frame"].tolist() == [0]


def test_many_rows_are_one_table() -> None:
    builder = TimelineBuilder(model_id="m")
    for i in range(5000):
        builder.add(make_frame_reading(i, i / 25, {1: (BOX, "happy")} if i % 7 else {}))
    table = builder.table()
    assert len(table) == 5000
    assert table["frame"].is_monotonic_increasing
    assert table["label"].notna().sum() == sum(1 for i in range(5000) if i % 7)
    assert builder.table().equals(table)


def test_episodes_end_with_the_label_and_with_the_person() -> None:
    frames = [{1: "happy"}] * 3 + [{1: "sad", 2: "happy"}] * 2 + [{}] + [{1: "sad"}] * 2
    found = episodes(table_of(*frames))
    assert list(found.columns) == list(EPISODE_COLUMNS)
    rows = found[["tracker_id", "start_s", "end_s", "label", "frames"]].values.tolist()
    assert rows == [
        [1, 0.0, pytest.approx(0.3), "happy", 3],
        [1, pytest.approx(0.3), pytest.approx(0.5), "sad", 2],
        [2, pytest.approx(0.3), pytest.approx(0.5), "happy", 2],
        [1, pytest.approx(0.6), pytest.approx(0.8), "sad", 2],
    ]
    assert found["duration_s"].tolist() == pytest.approx([0.3, 0.2, 0.2, 0.2])


def test_the_people_are_summed_up_by_time() -> None:
    frames = [{1: "happy"}] * 3 + [{1: "sad"}] + [{}] * 5 + [{1: "sad", 2: "fear"}] * 2
    people = persons(table_of(*frames))
    assert [c for c in people.columns if not c.startswith("share_")] == [
        column for column in PERSON_COLUMNS if column != "share_*"
    ]
    first = people.iloc[0]
    assert (first["first_s"], first["last_s"]) == (0, pytest.approx(1.1))
    assert first["seen_s"] == pytest.approx(0.6)
    assert first["share_happy"] == first["share_sad"] == pytest.approx(0.5)
    assert first["changes_per_min"] == pytest.approx(100)
    assert people["label"].tolist()[1] == "fear"
    shares = people.filter(like="share_").sum(axis=1)
    assert shares.tolist() == pytest.approx([1, 1], abs=1e-3)


def test_time_counts_and_not_frames() -> None:
    readings = [
        make_frame_reading(0, 0.0, {1: (BOX, "happy")}),
        make_frame_reading(1, 3.0, {1: (BOX, "sad")}),
        make_frame_reading(2, 4.0, {1: (BOX, "sad")}),
    ]
    person = persons(timeline_table(readings)).iloc[0]
    assert person["share_happy"] == pytest.approx(3 / (3 + 1 + 2))


def test_frames_of_one_time_count_once() -> None:
    table = table_of({1: "happy"}, {1: "happy", 2: "sad"}, {1: "happy"}, {1: "happy"})
    table["time_s"] = table["frame"].map({0: 0.0, 1: 0.1, 2: 0.1, 3: 0.2})
    one, two = persons(table).to_dict("records")
    assert (one["seen_s"], one["last_s"]) == pytest.approx((0.3, 0.3))
    assert episodes(table)["duration_s"].tolist() == pytest.approx([0.3, 0])
    assert (two["seen_s"], two["share_sad"]) == pytest.approx((0, 1))


def two_faces(index: int, time_s: float) -> FrameReading:
    """One frame of two people who differ in all that is told of them."""
    seen = make_frame_reading(index, time_s, {4: (BOX, "happy"), 7: (OTHER, "sad")})
    reading = replace(
        seen.reading,
        scores=make_scores({"happy": 0.7, "fear": 0.2}, {"sad": 0.6, "anger": 0.3}),
        affect=Affect(np.array([0.5, -0.4], np.float32), np.array([0.1, -0.2], np.float32)),
        label=("happy", "uncertain"),
        confidence=np.array([0.7, 0.4 + index / 10], np.float32),
        abstained=np.array([False, True]),
    )
    quality = Quality(
        np.array([40, 39], np.float32),
        np.array([120, 80], np.float32),
        np.array([90, 130], np.float32),
        np.array([[10, 20, 30], [-1, -2, -3]], np.float32),
    )
    return replace(seen, reading=reading, quality=quality)


def test_each_column_tells_of_its_face() -> None:
    row = timeline_table([two_faces(3, 0.12)], model_id="m").iloc[1]
    told = row.drop([name for name in row.index if name.startswith("prob_")]).to_dict()
    assert told == {
        "time_s": 0.12,
        "frame": 3,
        "tracker_id": 7,
        "left_px": 100,
        "top_px": 0,
        "right_px": 140,
        "bottom_px": 40,
        "detector_confidence": pytest.approx(0.7),
        "size_px": 39,
        "sharpness": 80,
        "brightness": 130,
        "yaw_deg": -1,
        "pitch_deg": -2,
        "roll_deg": -3,
        "label": "uncertain",
        "top_label": "sad",
        "confidence": pytest.approx(0.7),
        "abstained": True,
        "valence": pytest.approx(-0.4),
        "arousal": pytest.approx(-0.2),
        "model_id": "m",
    }
    assert (row["prob_sad"], row["prob_anger"]) == pytest.approx((0.6, 0.3))
    assert row["prob_happy"] == pytest.approx(0.1 / 6, abs=1e-6)


def test_people_and_episodes_mean_over_their_frames() -> None:
    table = timeline_table([two_faces(0, 0.0), two_faces(1, 0.3), two_faces(2, 0.4)])
    episode = episodes(table).set_index("tracker_id").loc[7]
    assert (episode["label"], episode["frames"]) == ("uncertain", 3)
    assert episode["confidence"] == pytest.approx((0.4 + 0.5 + 0.6) / 3)
    person = persons(table).set_index("tracker_id").loc[7]
    assert (person["valence"], person["arousal"]) == pytest.approx((-0.4, -0.2))
    # the first frame stands for 0.3 s, the second for 0.1 s, the last for their median
    assert person["confidence"] == pytest.approx(
        (0.4 * 0.3 + 0.5 * 0.1 + 0.6 * 0.2) / 0.6, abs=1e-4
    )


def test_a_video_of_one_frame_has_a_length() -> None:
    table = table_of({1: "happy"})
    assert episodes(table)["duration_s"].tolist() == pytest.approx([0.04])
    assert persons(table)["share_happy"].tolist() == [1]
    assert persons(table)["share_uncertain"].tolist() == [0], "columns are those of any video"


def test_a_video_of_nobody_has_empty_tables() -> None:
    table = table_of({}, {})
    assert len(episodes(table)) == len(persons(table)) == 0
    assert compact_form(per_frame_form(table))["emotions"].tolist() == ["[]"]


#: The beginning of the table that seed 002 publishes, 29.97 frames per second.
SEED_ROWS = """ms_start,ms_end,frame_start,frame_end,emotions
0.0,0.0,1,1,"['anger', 'happy']"
33.36666666666667,33.36666666666667,2,2,"['disgust', 'happy']"
66.73333333333333,66.73333333333333,3,3,"['sad', 'happy']"
100.10000000000001,133.46666666666667,4,5,"['disgust', 'happy']"
166.83333333333334,166.83333333333334,6,6,"['sad', 'happy']"
200.20000000000002,200.20000000000002,7,7,"['anger', 'happy']"
233.56666666666666,233.56666666666666,8,8,"['fear', 'happy']"
266.93333333333334,467.1333333333333,9,15,"['anger', 'happy']"
500.50000000000006,533.8666666666667,16,17,anger
567.2333333333333,567.2333333333333,18,18,"['anger', 'happy']"
600.6,734.0666666666667,19,23,anger
767.4333333333334,800.8000000000001,24,25,[]
834.1666666666667,867.5333333333334,26,27,happy
"""


def test_the_table_of_seed_002_survives_the_way_to_frames_and_back() -> None:
    compact = pd.read_csv(io.StringIO(SEED_ROWS))
    frames = expand_compact(compact)
    assert frames["frame"].tolist() == list(range(1, 28))
    assert frames["ms"].tolist() == pytest.approx([i * 1001 / 30 for i in range(27)])
    back = compact_form(frames)
    pd.testing.assert_frame_equal(back, compact, check_dtype=False)


def test_the_order_of_a_list_counts() -> None:
    frames = pd.DataFrame(
        {"ms": [0.0, 1.0], "frame": [1, 2], "emotions": ["['a', 'b']", "['b', 'a']"]}
    )
    assert len(compact_form(frames)) == 2


def test_frames_are_written_as_seed_002_writes_them() -> None:
    frames = per_frame_form(table_of({1: "happy"}, {}, {2: "sad", 1: "fear"}))
    assert frames["frame"].tolist() == [1, 2, 3]
    assert frames["ms"].tolist() == pytest.approx([0, 100, 200])
    assert frames["emotions"].tolist() == ["happy", "[]", "['fear', 'sad']"]


def test_the_files_of_a_timeline_agree() -> None:
    table = table_of({1: "happy"}, {}, {1: "happy", 2: "sad"})
    provenance = Provenance(models={"m": "0" * 64}, options={})
    files = timeline_files(table, provenance, about={"width": 640})
    assert set(files) == set(TIMELINE_ENDS), "what lies there already is looked for by these"
    read = pd.read_csv(io.BytesIO(files["timeline.csv"]))
    parquet = pd.read_parquet(io.BytesIO(files["timeline.parquet"]))
    assert parquet["label"].tolist()[0] == "happy"
    np.testing.assert_allclose(read["prob_happy"], parquet["prob_happy"])
    held = json.loads(files["json"])
    assert held["schema"] == SCHEMA
    assert held["columns"]["timeline"].keys() == set(table.columns)
    assert all(held["columns"]["timeline"].values())
    assert all(held["columns"]["persons"].values())
    assert len(held["episodes"]) == len(pd.read_csv(io.BytesIO(files["episodes.csv"])))
    compact = pd.read_csv(io.BytesIO(files["compact.csv"]))
    assert compact["emotions"].tolist() == ["happy", "[]", "['happy', 'sad']"]
