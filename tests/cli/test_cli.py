"""The command line, run as a command."""

import contextlib
import json
import os
import runpy
import shlex
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd
import pytest
import typer

from emotion_core import load_committee, load_detector
from emotion_core.cli import app
from emotion_core.media.photo import decode_photo
from emotion_core.media.sample import sample_photo
from emotion_core.photos import read_photo_bytes
from emotion_core.texts import say
from emotion_core.timeline import TimelineBuilder
from tests.builders import encode, make_picture, make_video
from tests.steps import ROOT, called, complaints, mien, obey_signals, until


def test_good_photos_are_done_and_bad_ones_named(tmp_path: Path) -> None:
    (tmp_path / "portrait.png").write_bytes(sample_photo())
    (tmp_path / "nobody.jpg").write_bytes(encode(make_picture(), "JPEG"))
    (tmp_path / "broken.png").write_bytes(sample_photo()[:5000])
    names = ("broken.png", "portrait.png", "missing.png", "nobody.jpg")
    out = tmp_path / "out"
    photos, joint = (tmp_path / name for name in names), tmp_path / "all.csv"
    result = mien("photo", *photos, "--out", out, "--table", joint)
    assert result.returncode == 2
    assert len(complaints(result)) == 2
    assert complaints(result)[0].startswith("broken.png is damaged")
    assert "missing.png cannot be opened" in complaints(result)[1], "the whole path is named"
    assert sorted(path.name for path in out.iterdir()) == [
        f"{stem}.{suffix}"
        for stem in ("nobody", "portrait")
        for suffix in ("annotated.png", "csv", "json")
    ]
    table = pd.read_csv(out / "portrait.csv")
    assert table["label"].tolist() == ["happy"]
    assert pd.read_csv(out / "nobody.csv").empty
    assert pd.read_csv(joint)["file"].tolist() == ["portrait.png", "nobody.jpg"]
    portrait = tmp_path / "portrait.png"
    refused = called("photo", "--out", out, "--table", portrait, portrait)
    assert refused.returncode == 2
    assert "does not end in .csv" in complaints(refused)[0]
    assert portrait.read_bytes() == sample_photo(), "a photo in place of the table stays"
    before = joint.read_bytes()
    assert called("photo", tmp_path / "typo.png", "--out", out, "--table", joint).returncode == 2
    assert joint.read_bytes() == before, "where nothing was read, the table stays"
    (tmp_path / "d.csv").mkdir()
    refused = called("photo", portrait, "--out", tmp_path / "o", "--table", tmp_path / "d.csv")
    assert "d.csv is a folder" in complaints(refused)[0]
    assert not (tmp_path / "o").exists(), "it is refused before any photo is read"
    assert json.loads((out / "portrait.json").read_text())["provenance"]["versions"]["python"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_files_of_others_are_not_overwritten(tmp_path: Path) -> None:
    photo = tmp_path / "a.png"
    photo.write_bytes(sample_photo())
    for name in ("a.json", "a.csv"):
        (tmp_path / name).write_text("{}")
        refused = called("photo", photo, "--out", tmp_path)
        assert refused.returncode == 2
        assert f"{name} already exists" in refused.stderr
        assert (tmp_path / name).read_text() == "{}"
        assert not (tmp_path / "a.annotated.png").exists()
        (tmp_path / name).unlink()
    about = tmp_path / "a.json"
    about.write_text('{"schema": 1, "provenance": {}}')  # of the moment around it, as a video
    assert "is the result of a video" in called("photo", photo, "--out", tmp_path).stderr
    about.write_text('{"provenance": {}, "faces": []}')
    make_video(tmp_path / "a.mp4", [make_picture()] * 3)
    refused = called("video", tmp_path / "a.mp4", "--out", tmp_path)
    assert (refused.returncode, "is the result of a photo" in refused.stderr) == (2, True)
    for _ in range(2):  # results of its own may be
        assert called("photo", photo, "--out", tmp_path).returncode == 0


@pytest.mark.parametrize("name", ["clip.frames.csv", "clip.annotated.mp4"])
def test_no_file_of_a_video_lands_on_one_of_somebody_else(tmp_path: Path, name: str) -> None:
    video = make_video(tmp_path / "clip.mp4", [make_picture()] * 3)
    out = tmp_path / "out"
    out.mkdir()
    (out / "clip.csv").write_text("of another tool, and in nobody's way")
    (out / name).write_text("by hand")
    refused = called("video", video, "--out", out)
    assert (refused.returncode, f"{name} already exists" in refused.stderr) == (2, True)
    assert (out / name).read_text() == "by hand"
    (out / name).unlink()
    for _ in range(2):
        assert called("video", video, "--out", out).returncode == 0


def test_a_folder_is_no_photo_and_a_pattern_is_looked_up(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.png").write_bytes(sample_photo())
    refused = called("photo", tmp_path / "d", "--out", tmp_path / "out")
    assert refused.returncode == 2
    assert "d is a folder. Name the photos in it" in refused.stderr
    assert not (tmp_path / "out").exists()
    (tmp_path / "b.png").write_bytes(sample_photo())
    beside = called("photo", tmp_path / "*", "--out", tmp_path / "beside")
    assert (beside.returncode, len(complaints(beside))) == (2, 1)
    assert (tmp_path / "beside" / "b.csv").is_file(), "other photos are done all the same"
    done = called("photo", tmp_path / "d" / "*.png", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "a.csv").is_file()


def test_a_second_reading_without_a_video_leaves_none_of_the_first(tmp_path: Path) -> None:
    video = make_video(tmp_path / "clip.mp4", [make_picture()] * 3)
    assert called("video", video, "--out", tmp_path / "out").returncode == 0
    assert (tmp_path / "out" / "clip.annotated.mp4").is_file()
    assert called("video", video, "--out", tmp_path / "out", "--no-video").returncode == 0
    assert not (tmp_path / "out" / "clip.annotated.mp4").exists()


def test_a_photo_lands_on_no_other_one(tmp_path: Path) -> None:
    photos = [tmp_path / "a.png", tmp_path / "a.annotated.png"]
    for path in photos:
        path.write_bytes(sample_photo())
    told = called("photo", *photos, "--out", tmp_path)
    assert (told.returncode, "a.annotated.png already exists" in told.stderr) == (2, True)
    assert photos[1].read_bytes() == sample_photo()


def test_the_table_of_all_photos_takes_no_photo_s_own(tmp_path: Path) -> None:
    photo, out = tmp_path / "faces.png", tmp_path / "out"
    photo.write_bytes(sample_photo())
    told = called("photo", photo, "--out", out, "--table", out / "faces.csv")
    assert told.returncode == 0, told.stderr
    assert {"faces.csv", "faces-2.csv"} <= {path.name for path in out.iterdir()}


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_photos_that_were_read_before_ctrl_c_are_listed(tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number}.png").write_bytes(sample_photo())
    command = [sys.executable, "-m", "emotion_core", "photo", *sorted(tmp_path.glob("*.png"))]
    run = subprocess.Popen(
        [*command, "--out", tmp_path / "out"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=obey_signals,
    )  # fmt: skip
    until(lambda: len(list((tmp_path / "out").glob("*.csv"))) > 2)
    run.send_signal(signal.SIGINT)
    told, complained = run.communicate(timeout=60)
    assert run.returncode == 130
    assert say("photo.cancelled") in complained
    listed = {line.partition("  ")[0] for line in told.splitlines()}
    written = {str(path) for path in (tmp_path / "out").glob("*.annotated.png")}
    assert {path.replace(".csv", ".annotated.png") for path in listed} <= written
    assert 1 < len(listed) < 150


def test_a_name_that_is_no_text_stops_nothing(tmp_path: Path) -> None:
    photo = Path(os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9.png"))
    photo.write_bytes(sample_photo())
    out = tmp_path / "out"
    command = [sys.executable, "-m", "emotion_core", "photo", photo, "--out", out]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert b"caf\xe9.csv  happy" in done.stdout
    (table,) = out.glob("*.csv")
    assert pd.read_csv(table)["file"].tolist() == ["caf?.png"]
    video = Path(os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9.mp4"))
    video.write_bytes(b"any")
    command = [sys.executable, "-m", "emotion_core", "video", video, "--out", out]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    (said,) = done.stderr.splitlines()
    assert said.startswith(b"caf\\udce9.mp4 is not a video that can be read here")
    make_video(tmp_path / "clip.mp4", [make_picture()] * 3).rename(video)
    command[3:] = ["camera", "--source", video, "--out", tmp_path / "recorded"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    (about,) = (tmp_path / "recorded").glob("*.json")
    assert json.loads(about.read_text())["video"]["source"] == str(tmp_path / "caf?.mp4")


def test_options_reach_the_reading(tmp_path: Path) -> None:
    (tmp_path / "portrait.png").write_bytes(sample_photo())
    result = called(
        *("photo", tmp_path / "portrait.png", "--out", tmp_path / "out", "--tta"),
        *("--threshold", 1, "--detector", "centerface", "--bars", "--affect", "--by-valence"),
        *("--model", "vgg-xs", "--model", "vgg-s", "--vote", "hard"),
    )
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(tmp_path / "out" / "portrait.csv")
    assert table["model_id"].tolist() == ["hard(vgg-xs,vgg-s)"]
    options = json.loads((tmp_path / "out" / "portrait.json").read_text())["provenance"]["options"]
    assert options["flip"] is True
    assert options["detector"] == "centerface"
    assert options["threshold"] == 1
    drawn = (tmp_path / "out" / "portrait.annotated.png").read_bytes()
    detector = load_detector("centerface")
    committee = load_committee(["vgg-xs", "vgg-s"], vote="hard")
    read = read_photo_bytes(sample_photo(), "portrait.png", detector, committee)
    plain = read.picture()
    assert decode_photo(drawn).shape == plain.shape
    assert not np.array_equal(decode_photo(drawn), plain)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("photo", "a.jpg", "--out", "x", "--model", "nobody"), "There is no model 'nobody'"),
        (("photo", "a.jpg", "--out", "x", "--detector", "dlib"), "no face detector 'dlib'"),
        (("photo", "a.jpg", "--out", "x", "--detector", "ssd"), "models fetch ssd"),
        (("photo", "a.jpg", "--out", "x", "--vote", "loud"), "'soft' or 'hard'"),
        (("models", "show", "nobody"), "There is no model"),
        (("models", "verify", "nobody"), "There is no model"),
        (("models", "fetch", "dlib"), "no face detector"),
        (("train", "nothing.yaml"), "No recipe"),
        (("data", "fer2013", "--csv", "none.csv", "--votes", "none.csv"), "cannot be read"),
    ],
)
def test_refusals_are_one_line_and_exit_2(arguments: tuple, word: str, tmp_path: Path) -> None:
    result = called(*arguments)
    assert result.returncode == 2
    assert len(complaints(result)) == 1
    assert word in complaints(result)[0]


def test_models_are_listed_shown_and_verified() -> None:
    listed = mien("models", "list")
    assert not complaints(listed)
    assert "vgg-s" in listed.stdout
    assert "blazeface" in listed.stdout
    assert "to fetch" in listed.stdout
    assert called("models", "show", "vgg-s").stdout.startswith("# VGG small")
    assert called("models", "verify").stdout.count("as its card says") >= 3


def test_help_stands_in_the_docs() -> None:
    guide = (ROOT / "docs" / "guide" / "cli.md").read_text(encoding="utf-8")
    commands = typer.main.get_command(app)
    assert set(commands.commands) == {
        "photo", "video", "camera", "data", "models", "train", "resume", "compare", "promote",
        "export", "sweep", "survey", "evaluate", "submit",
    }  # fmt: skip
    for name, command in commands.commands.items():
        subcommands = getattr(command, "commands", {"": command})
        for subname, subcommand in subcommands.items():
            assert f"{name} {subname}".strip() in guide
            for parameter in subcommand.params:
                for option in parameter.opts:
                    if option.startswith("--") and option != "--help":
                        assert option in guide, f"{name} {subname} {option}"
    assert "--threshold" in mien("photo", "--help").stdout


def test_a_drawn_data_set_is_written_once(tmp_path: Path) -> None:
    out = tmp_path / "faces"
    result = mien("data", "drawn", "--out", out, "--n", 30)
    assert (result.returncode, result.stderr) == (0, "")
    assert len(list(out.rglob("*.png"))) == 30
    again = called("data", "drawn", "--out", out, "--n", 30)
    assert again.returncode == 2
    assert "not empty" in again.stderr


def test_a_video_becomes_its_files(tmp_path: Path, clip: Path) -> None:
    result = mien("video", clip, "--out", tmp_path, "--start", 6, "--end", 8, "--smooth", 0.3)
    assert (result.returncode, result.stderr) == (0, "")
    ends = ("annotated.mp4", "compact.csv", "episodes.csv", "frames.csv", "json", "persons.csv")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == sorted(
        f"clip.{end}" for end in (*ends, "timeline.csv", "timeline.parquet")
    )
    held = json.loads((tmp_path / "clip.json").read_text())
    assert held["provenance"]["options"]["options"]["smooth_s"] == 0.3
    assert [person["label"] for person in held["persons"]] == ["happy", "happy"]


def test_no_video_skips_drawing_and_region_holds(tmp_path: Path, clip: Path) -> None:
    arguments = ("--no-video", "--start", 7, "--region", 0.5, 0, 1, 1)
    result = called("video", clip, "--out", tmp_path, *arguments)
    assert result.returncode == 0, result.stderr
    assert not (tmp_path / "clip.annotated.mp4").exists()
    table = pd.read_csv(tmp_path / "clip.timeline.csv")
    assert table["left_px"].min() > 320


def test_a_video_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    for path, arguments in [
        (bad, ()),
        (tmp_path / "none.mp4", ()),
        (bad, ("--region", 1, 0, 0, 1)),
    ]:
        result = called("video", path, "--out", tmp_path / "out", *arguments)
        assert result.returncode == 2
        assert len(complaints(result)) == 1
    assert not (tmp_path / "out").exists()


def test_a_camera_may_be_a_file(tmp_path: Path, clip: Path) -> None:
    result = mien("camera", "--source", clip, "--out", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    table = pd.read_csv(tmp_path / "clip.timeline.csv")
    assert table["frame"].nunique() == 225
    assert table["tracker_id"].nunique() == 3


def test_a_camera_that_is_not_there_is_named(tmp_path: Path) -> None:
    for source, said in [("97", "Camera 97 gives no picture"), ("gone.mp4", "gone.mp4")]:
        result = called("camera", "--source", source, "--out", tmp_path / "out")
        assert result.returncode == 2
        assert said in result.stderr
    assert not (tmp_path / "out").exists()


def end_with_sigint(process: subprocess.Popen, terminal: int) -> None:
    process.send_signal(signal.SIGINT)


def end_with_sigterm(process: subprocess.Popen, terminal: int) -> None:
    process.terminate()


def end_with_sighup(process: subprocess.Popen, terminal: int) -> None:
    process.send_signal(signal.SIGHUP)


def end_by_closing(process: subprocess.Popen, terminal: int) -> None:
    os.close(terminal)
    process.send_signal(signal.SIGHUP)  # as the system does to who it is the terminal of


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
@pytest.mark.parametrize("end", [end_with_sigterm, end_with_sighup])
def test_a_video_whose_terminal_is_closed_leaves_nothing(
    tmp_path: Path, clip: Path, end: Callable
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "emotion_core", "video", clip, "--out", out]
    process = subprocess.Popen(
        [*command, "--detector", "centerface"], cwd=ROOT, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, preexec_fn=obey_signals,
    )  # fmt: skip
    until(lambda: list(out.glob(".*.mp4")), seconds=60)
    end(process, 0)
    assert "cancelled" in process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert list(out.iterdir()) == []


def test_a_file_in_place_of_a_camera_is_looked_into_before_it_is_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: object) -> str:
        raise PermissionError("not yours")

    monkeypatch.setattr("emotion_core.cli.camera.sha256_of", closed)
    (tmp_path / "a.mp4").write_bytes(b"no video")
    refused = called("camera", "--source", tmp_path / "a.mp4", "--out", tmp_path / "out")
    assert (refused.returncode, len(complaints(refused))) == (2, 1)
    assert not (tmp_path / "out").exists()


def end_with_q(process: subprocess.Popen, terminal: int) -> None:
    os.write(terminal, b"xq")  # whatever was typed before


@pytest.mark.skipif(sys.platform == "win32", reason="needs a terminal of POSIX")
@pytest.mark.parametrize(
    "end", [end_with_sigint, end_with_sigterm, end_with_sighup, end_by_closing, end_with_q]
)
def test_a_recording_that_is_ended_is_kept(tmp_path: Path, clip: Path, end: Callable) -> None:
    import pty

    outside, inside = pty.openpty()
    command = (sys.executable, "-m", "emotion_core", "camera", "--source", str(clip))
    with subprocess.Popen(
        [*command, "--out", str(tmp_path), "--detector", "centerface"],
        cwd=ROOT, stdin=inside, stdout=inside, stderr=inside, preexec_fn=obey_signals,
    ) as process:  # fmt: skip
        os.close(inside)
        said = b""
        late = threading.Timer(120, process.kill)
        late.start()
        while b"happy" not in said:
            said += os.read(outside, 1000)
        late.cancel()
        end(process, outside)
        with contextlib.suppress(OSError):  # the terminal ends with the process
            while os.read(outside, 1000):
                continue
        assert process.wait(30) == 0
    with contextlib.suppress(OSError):
        os.close(outside)
    table = pd.read_csv(tmp_path / "clip.timeline.csv")
    assert 0 < table["frame"].nunique() < 225


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals of POSIX")
def test_a_signal_that_was_ignored_stays_so() -> None:
    """As under nohup, which is to let a recording go on after its terminal."""
    code = """
        import os, signal
        from emotion_core.cli.camera import _stopped_by_keys
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with _stopped_by_keys() as is_stopped:
            for number in (signal.SIGHUP, signal.SIGTERM):
                os.kill(os.getpid(), number)
                print(is_stopped())
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "True"], done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk to write to")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_without_room_or_reader_ends_in_no_traceback(unbuffered: str) -> None:
    def listed_to(target: IO[str] | int) -> tuple[int, list[str]]:
        ended = subprocess.run(
            [sys.executable, "-m", "emotion_core", "models", "list"],
            cwd=ROOT, stdout=target, stderr=subprocess.PIPE, text=True, check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
        return ended.returncode, complaints(ended)

    with open("/dev/full", "w") as full:
        assert listed_to(full) == (2, [say("error.output_full")])
    read, write = os.pipe()
    os.close(read)
    assert listed_to(write) == (1, [])
    os.close(write)


def test_ctrl_c_in_the_first_second_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(app: typer.Typer) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(typer.main, "get_command", interrupt)
    with pytest.raises(SystemExit) as end:
        runpy.run_module("emotion_core", run_name="__main__")
    assert end.value.code == 130


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_leaves_nothing(tmp_path: Path, clip: Path) -> None:
    out = tmp_path / "out"
    command = (sys.executable, "-m", "emotion_core", "video", str(clip), "--out", str(out))
    process = subprocess.Popen(
        [*command, "--detector", "centerface"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=obey_signals,
    )
    until(lambda: out.is_dir() and any(path.stat().st_size for path in out.rglob("*")))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines() == ["clip.mp4 was cancelled; nothing was written."]
    assert list(out.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of other systems closes it")
@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_terminal_that_is_closed_keeps_nothing_from_being_written(
    tmp_path: Path, closed: str
) -> None:
    clip = make_video(tmp_path / "clip.mp4", [make_picture()] * 3)
    (tmp_path / "a.png").write_bytes(sample_photo())
    for command in (("photo", tmp_path / "a.png"), ("camera", "--source", clip)):
        line = [sys.executable, "-m", "emotion_core", *map(str, command), "--out", str(tmp_path)]
        result = subprocess.run(
            f"exec {shlex.join(line)} {closed}", shell=True, cwd=ROOT, timeout=300, check=False
        )
        assert result.returncode == 0
    assert {"a.csv", "clip.timeline.csv"} <= {path.name for path in tmp_path.iterdir()}


def test_a_recording_finds_out_at_once_that_it_cannot_be_kept(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "file").touch()
    for command in (("camera", "--source", clip), ("video", clip, "--no-video")):
        started = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TimelineBuilder, "table", lambda *_, seen=started: seen.append(1))
            refused = called(*command, "--out", tmp_path / "file" / "out")
        assert (refused.returncode, "was not written" in refused.stderr) == (2, True)
        assert not started, "it was read to the end"
