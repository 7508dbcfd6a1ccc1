"""Jobs: real processes that are cancelled, killed, queued, forgotten and kept."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from emotion_core import jobs, limits
from emotion_core.errors import InputError, StorageError
from emotion_core.files import write_json
from emotion_core.jobs import JobRun
from emotion_core.videos import VideoTask, start_video_job
from emotion_core.workbench.store import new_dataset
from emotion_core.workbench.tasks import start_task
from emotion_core.worker import run_video

ROOT = Path(__file__).resolve().parent.parent
ME = "me"


def start(clip: Path, *, is_slow: bool = False, end_s: float | None = None) -> jobs.Job:
    """A video job; where its detector is slow there is time to disturb it."""
    task = VideoTask(detector="centerface" if is_slow else "blazeface", end_s=end_s)
    settings = {"task": task.as_dict(), "stem": "video"}
    job = jobs.new_job("video", "clip.mp4", owner=ME, settings=settings)
    (job.folder / "input" / "clip.mp4").write_bytes(clip.read_bytes())
    jobs.start_job(job)
    return job


def wait(job: jobs.Job, until: Callable[[jobs.Job], bool], *, seconds: float = 120) -> jobs.Job:
    end_s = time.monotonic() + seconds
    while time.monotonic() < end_s:
        now = jobs.load_job(job.id, ME)
        if until(now):
            return now
        time.sleep(0.1)
    log = (job.folder / "log.txt").read_text()
    pytest.fail(f"{now.state} after {seconds} s\n{log}")


def is_over(job: jobs.Job) -> bool:
    return job.is_over


def is_moving(job: jobs.Job) -> bool:
    return job.state == "running" and job.done > 5


def pid_of(job: jobs.Job) -> int:
    return int(json.loads((job.folder / "process.json").read_text())["pid"])


def test_a_video_becomes_its_results(work_home: Path, clip: Path) -> None:
    job = wait(start(clip), is_over)
    assert (job.state, job.message) == ("done", "")
    assert (job.done, job.total, job.share) == (225, 225, 1.0)
    assert job.summary is not None
    assert (job.summary["frames"], job.summary["people"]) == (225, 3)
    assert {name.split(".", 1)[1] for name in job.results()} == {
        "annotated.mp4", "timeline.csv", "timeline.parquet", "episodes.csv", "persons.csv",
        "compact.csv", "frames.csv", "json",
    }  # fmt: skip
    assert not (job.folder / "input").exists()
    assert job.folder.stat().st_mode & 0o777 == 0o700
    assert job.expires_s == pytest.approx(time.time() + limits.JOB_EXPIRY_S, abs=60)


def test_a_cancelled_job_leaves_nothing(work_home: Path, clip: Path) -> None:
    job = wait(start(clip, is_slow=True), is_moving)
    assert job.left_s is not None
    assert job.preview()
    jobs.cancel_job(job)
    assert jobs.load_job(job.id, ME).is_stopping
    job = wait(job, is_over, seconds=20)
    assert job.state == "cancelled"
    assert job.results() == {}
    assert {path.name for path in job.folder.iterdir()} <= {
        "job.json", "status.json", "process.json", "cancel", "log.txt",
    }  # fmt: skip
    assert not list(job.folder.rglob("*.mp4"))


def test_a_killed_job_is_interrupted_and_the_next_one_runs(work_home: Path, clip: Path) -> None:
    job = wait(start(clip, is_slow=True), is_moving)
    os.kill(pid_of(job), signal.SIGKILL)
    job = wait(job, is_over, seconds=20)
    assert job.state == "interrupted"
    assert job.results() == {}
    assert not (job.folder / "input").exists()
    assert wait(start(clip, end_s=0.5), is_over).state == "done"


def test_a_job_that_does_not_listen_is_ended(work_home: Path, clip: Path) -> None:
    job = wait(start(clip, is_slow=True), is_moving)
    pid = pid_of(job)
    os.kill(pid, signal.SIGSTOP)
    jobs.cancel_job(job)
    job = wait(job, is_over, seconds=limits.JOB_STOP_S + 20)
    assert job.state == "cancelled"
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_a_broken_video_says_why(work_home: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_text("no video")
    job = wait(start(bad), is_over)
    assert job.state == "failed"
    assert "clip.mp4" in job.message
    assert "MP4" in job.message
    assert job.results() == {}


def test_a_video_that_breaks_later_is_called_as_its_owner_does(work_home: Path, clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    start_of, end_of = data.index(b"mdat") + 4, len(data)
    if (header := data.find(b"moov", start_of)) > 0:
        end_of = header - 4
    data[start_of:end_of] = bytes(end_of - start_of)  # it probes well, and no frame is in it
    job = start_video_job("holiday.mp4", bytes(data), VideoTask(), owner=ME)
    job = wait(job, is_over)
    assert job.state == "failed"
    assert job.message.startswith("holiday.mp4")
    assert "upload" not in job.message


def test_a_worker_works_in_the_same_folder_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIEN_HOME", "here")
    dataset = new_dataset("drawn", None, owner=ME, drawn={"n": 8, "seed": 1})
    job = wait(start_task("index", dataset, owner=ME, settings={"with_faces": False}), is_over)
    assert (job.state, job.message) == ("done", "")
    assert job.folder.is_relative_to(tmp_path / "here")


def full(*_: object) -> None:
    raise StorageError("the disk is full")


def test_without_room_a_dead_job_is_shown_and_can_be_deleted(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.new_job("video", "old", owner=ME, settings={})
    (job.folder / "process.json").write_text('{"pid": 1, "began": -9.0}')
    monkeypatch.setattr(jobs.store, "write_json", full)
    (found,) = jobs.list_jobs(ME)
    assert found.state == "interrupted"
    jobs.sweep_jobs()
    jobs.delete_job(found)
    assert jobs.list_jobs(ME) == []


def test_a_job_that_cannot_be_begun_stands_in_no_line(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.new_job("dataset-index", "set", owner=ME, settings={})
    monkeypatch.setattr(jobs.store, "write_process", full)
    with pytest.raises(StorageError):
        jobs.start_job(job)
    assert jobs.list_jobs(ME) == []
    named = [" ".join(one.cmdline()) for one in psutil.Process().children()]
    assert not [one for one in named if job.id in one]


def test_a_disk_that_is_full_for_a_moment_ends_no_work(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.new_job("video", "long", owner=ME, settings={})
    with jobs.JobRun(job.folder) as run:
        run.wait_for_slot()
        with monkeypatch.context() as patched:
            patched.setattr("emotion_core.jobs.run.write_json", full)
            patched.setattr("emotion_core.jobs.run.atomic_write", full)
            run.progress(1, 2, preview=b"jpeg")
        run.progress(2, 2)
    assert jobs.load_job(job.id, ME).state == "done"


def test_what_is_done_waits_for_a_disk_that_is_full_at_the_end(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[int] = []

    def full_twice(path: Path, value: object) -> Path:
        tried.append(1)
        return full(path, value) if len(tried) < 3 else write_json(path, value)

    job = jobs.new_job("video", "long", owner=ME, settings={})
    with jobs.JobRun(job.folder):
        (job.folder / "result").mkdir(exist_ok=True)
        (job.folder / "result" / "a.csv").write_text("a")
        monkeypatch.setattr(jobs.store, "write_json", full_twice)
    done = jobs.load_job(job.id, ME)
    assert (done.state, list(done.results())) == ("done", ["a.csv"])


@pytest.mark.parametrize("told", ["many", "0", "-1", "1.5"])
def test_slots_that_are_no_number_are_named(told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_JOB_SLOTS", told)
    with pytest.raises(InputError, match="MIEN_JOB_SLOTS is"):
        limits.slots("MIEN_JOB_SLOTS", otherwise=2)
    monkeypatch.setenv("MIEN_JOB_SLOTS", "3")
    assert limits.slots("MIEN_JOB_SLOTS", otherwise=2) == 3
    monkeypatch.delenv("MIEN_JOB_SLOTS")
    assert limits.slots("MIEN_JOB_SLOTS", otherwise=0) == 1


def test_one_job_waits_for_the_other(
    work_home: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIEN_JOB_SLOTS", "1")
    first = wait(start(clip, is_slow=True), is_moving)
    second, third = start(clip, end_s=0.5), start(clip)
    time.sleep(2)
    assert jobs.load_job(second.id, ME).state == "waiting"
    assert [jobs.place_in_line(jobs.load_job(job.id, ME)) for job in (second, third)] == [1, 2]
    jobs.cancel_job(third)
    assert wait(third, is_over, seconds=20).state == "cancelled"
    jobs.cancel_job(first)
    assert wait(second, is_over).state == "done"


def test_a_job_is_its_owners(work_home: Path) -> None:
    job = jobs.new_job("video", "mine", owner=ME, settings={})
    assert [mine.id for mine in jobs.list_jobs(ME)] == [job.id]
    assert jobs.list_jobs("somebody else") == []
    assert ME not in (job.folder / "job.json").read_text().replace(job.title, "")
    assert jobs.load_job(job.id, ME).id == job.id
    for job_id in (job.id, "0" * 16):
        with pytest.raises(InputError, match="no such job"):
            jobs.load_job(job_id, "somebody else")
    for way in (f"./{job.id}", f"../jobs/{job.id}", f"{job.id}/", str(job.folder)):
        with pytest.raises(InputError, match="no such job"):
            jobs.load_job(way, ME)


def test_a_clock_that_is_set_ends_no_job(work_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.new_job("video", "mine", owner=ME, settings={})
    jobs.write_process(job.folder)
    began = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: began(self) + 3600)
    assert jobs.load_job(job.id, ME).state == "waiting"
    held = json.loads((job.folder / "process.json").read_text())
    (job.folder / "process.json").write_text(json.dumps({**held, "began": held["began"] + 500}))
    assert jobs.load_job(job.id, ME).state == "interrupted", "another process of that number"


def test_a_rate_is_known_where_steps_are_long(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("emotion_core.jobs.run.time.monotonic", lambda: now[0])
    job = jobs.new_job("train", "slow", owner=ME, settings={})
    run = jobs.JobRun(job.folder)
    for done in range(4):
        now[0] += 20
        run.progress(done * 10, 100)
    shown = jobs.load_job(job.id, ME)
    assert (shown.rate, shown.left_s) == (0.5, 140)
    for done in range(0, 3_000, 1_000):  # another part, whose steps are quicker
        now[0] += 5
        run.progress(done, 10_000)
    shown = jobs.load_job(job.id, ME)
    assert (shown.rate, shown.left_s) == (200, 40)


def test_results_expire_unless_they_are_kept(work_home: Path) -> None:
    kept, left, young = (jobs.new_job("video", n, owner=ME, settings={}) for n in "abc")
    for job in (kept, left, young):
        jobs.end_job(job.folder, "done")
    jobs.keep_job(kept)
    old_s = time.time() - limits.JOB_EXPIRY_S - 1
    for job in (kept, left):
        jobs.store.write_status(job.folder, ended_s=old_s)
    jobs.sweep_jobs()
    assert {job.id for job in jobs.list_jobs(ME)} == {kept.id, young.id}
    assert jobs.load_job(kept.id, ME).expires_s is None
    jobs.keep_job(kept, is_kept=False)
    jobs.sweep_jobs()
    assert [job.id for job in jobs.list_jobs(ME)] == [young.id]


def test_deleting_ends_a_running_job(work_home: Path, clip: Path) -> None:
    job = wait(start(clip, is_slow=True), is_moving)
    pid = pid_of(job)
    jobs.delete_job(job)
    assert not job.folder.exists()
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    time.sleep(1)
    assert not job.folder.exists()


def test_two_may_end_a_job_at_once(work_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs.new_job("video", "mine", owner=ME, settings={})
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as worker:
        jobs.write_process(job.folder, worker.pid)
        jobs.write_status(job.folder, state="running")

        def just_ended(process: psutil.Process, **_: object) -> None:
            worker.kill()
            worker.wait()
            raise psutil.NoSuchProcess(process.pid)

        monkeypatch.setattr(psutil.Process, "children", just_ended)
        jobs.delete_job(jobs.load_job(job.id, ME))
    assert not job.folder.exists()


def run_in_process(
    folder: Path, body: str, *, patience_s: float = 1.0
) -> subprocess.CompletedProcess:
    code = (
        "import time\nfrom pathlib import Path\n"
        "from emotion_core import limits\nfrom emotion_core.jobs import JobRun\n"
        f"limits.JOB_STALL_S = limits.JOB_QUIET_S = {patience_s}\n"
        f"with JobRun(Path({str(folder)!r})) as run:\n    run.wait_for_slot()\n    {body}\n"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


def test_a_job_that_hangs_is_given_up(work_home: Path) -> None:
    job = jobs.new_job("video", "hangs", owner=ME, settings={})
    done = run_in_process(job.folder, "time.sleep(60)")
    assert done.returncode == 1
    job = jobs.load_job(job.id, ME)
    assert job.state == "failed"
    assert "The job made no progress" in job.message


@pytest.mark.skipif(os.name == "nt", reason="no process can be stopped for a while there")
def test_a_job_that_was_paused_with_its_machine_goes_on(work_home: Path) -> None:
    job = jobs.new_job("video", "sleeps", owner=ME, settings={})
    body = (
        "import os, subprocess, sys\n"
        "    again = f'import os, time; time.sleep(4); os.kill({os.getpid()}, 18)'\n"
        "    subprocess.Popen([sys.executable, '-c', again])\n"
        "    os.kill(os.getpid(), 19)\n"
        "    sum(range(30_000_000))"  # nothing is told for a moment
    )
    assert run_in_process(job.folder, body, patience_s=2.5).returncode == 0
    assert jobs.load_job(job.id, ME).state == "done"


def test_a_job_that_hangs_ends_on_a_full_disk_too(work_home: Path) -> None:
    job = jobs.new_job("video", "hangs", owner=ME, settings={})
    full = "import emotion_core.jobs.run as r; r.end_job = lambda *_, **__: 1 / 0; time.sleep(60)"
    assert run_in_process(job.folder, full).returncode == 1


@pytest.mark.parametrize(("largest", "patience"), [(16_000_000, "JOB_STALL_S"), (9, "JOB_QUIET_S")])
def test_a_large_network_gets_its_time_with_a_crowd(
    largest: int, patience: str, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUICK_NETWORK_MAX_BYTES", largest)
    told: list[float] = []
    task = VideoTask(end_s=0.2, has_video=False)
    settings = {"path": str(clip), "task": task.as_dict(), "stem": "x"}
    run = SimpleNamespace(
        job=SimpleNamespace(settings=settings, title="clip"),
        result=tmp_path,
        summary={},
        progress=lambda *_, quiet_s, **__: told.append(quiet_s),
    )
    run_video(run)  # type: ignore[arg-type]
    assert told[0] == getattr(limits, patience)
    assert told[-1] == limits.JOB_QUIET_S, "while the files are written"


def test_an_unexpected_error_is_logged_and_not_shown(work_home: Path) -> None:
    job = jobs.new_job("video", "fails", owner=ME, settings={})
    done = run_in_process(job.folder, "raise KeyError('a secret path')")
    job = jobs.load_job(job.id, ME)
    assert job.state == "failed"
    assert "KeyError" in job.message
    assert "secret" not in job.message
    assert "secret" in done.stderr


def test_a_folder_that_is_no_job_is_left_alone_and_a_broken_one_expires(work_home: Path) -> None:
    (jobs.store.jobs_folder() / "not-a-job").mkdir()
    (jobs.store.jobs_folder() / ("a" * 16)).mkdir()
    assert jobs.list_jobs(ME) == []
    (jobs.store.jobs_folder() / ("a" * 16) / "job.json").write_text('{"kind": "video"}')
    assert jobs.list_jobs(ME) == [], "what is damaged hides no other"
    jobs.sweep_jobs()
    assert len(list(jobs.store.jobs_folder().iterdir())) == 2
    old_s = time.time() - limits.JOB_EXPIRY_S - 1
    os.utime(jobs.store.jobs_folder() / ("a" * 16), (old_s, old_s))
    jobs.sweep_jobs()
    assert [path.name for path in jobs.store.jobs_folder().iterdir()] == ["not-a-job"]


def test_what_ends_a_part_is_told_at_once_and_the_next_part_counts_anew(work_home: Path) -> None:
    job = jobs.new_job("train", "learns", owner=ME, settings={})
    with jobs.JobRun(job.folder) as run:
        run.wait_for_slot()
        for done in (10, 20, 30):
            run.progress(done, 30)
        now = jobs.load_job(job.id, ME)
        assert (now.done, now.total) == (30, 30)
        run.progress(40, 900)  # further than the part before, and yet its first step
        now = jobs.load_job(job.id, ME)
        assert (now.done, now.total, now.rate) == (40, 900, 0)
        run.progress(41, 900)
        assert jobs.load_job(job.id, ME).done == 40, "the disk is not written to at each step"


def test_a_job_waits_for_who_writes_its_upload(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.new_job("video", "large.mp4", owner=ME, settings={})
    (job.folder / "input" / "large.mp4").write_bytes(b"half of it")
    later_s = time.time() + 3600
    monkeypatch.setattr("emotion_core.jobs.store.time.time", lambda: later_s)
    jobs.sweep_jobs()
    assert jobs.load_job(job.id, ME).state == "waiting"
    assert (job.folder / "input" / "large.mp4").is_file()


def test_a_wish_to_end_ends_a_job_that_this_process_forgot(work_home: Path) -> None:
    job = jobs.new_job("camera", "camera", owner=ME, settings={})
    jobs.write_process(job.folder, is_shared=True)
    jobs.write_status(job.folder, state="running")
    jobs.cancel_job(job)
    assert jobs.load_job(job.id, ME).state == "running"
    old_s = time.time() - limits.JOB_STOP_S - 1
    os.utime(job.folder / "cancel", (old_s, old_s))
    assert jobs.load_job(job.id, ME).state == "cancelled"


def test_a_preview_that_is_being_read_is_no_reason_to_lose_the_result(
    work_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs.new_job("video", "mine", owner=ME, settings={})
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "preview.jpg":
            raise PermissionError("in use")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    with JobRun(job.folder) as run:
        (run.result / "a.csv").write_text("found")
    assert jobs.load_job(job.id, ME).state == "done"
    assert [*jobs.load_job(job.id, ME).results()] == ["a.csv"]


def test_nobody_fills_the_line_alone(work_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "JOBS_UNDER_WAY", 2)
    first, _ = (jobs.new_job("video", "mine", owner=ME, settings={}) for _ in range(2))
    with pytest.raises(InputError, match=r"2 of your jobs wait or run.* cancel one"):
        jobs.new_job("video", "mine", owner=ME, settings={})
    assert len(jobs.list_jobs(ME)) == 2
    jobs.new_job("video", "theirs", owner="somebody else", settings={})
    jobs.delete_job(first)
    jobs.new_job("video", "mine", owner=ME, settings={})
