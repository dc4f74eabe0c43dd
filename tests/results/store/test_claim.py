"""Claims: at most one owner at any time, dead owners are replaced, replaced owners notice."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from results.store import claim as module
from results.store.claim import Claim, Claims, LostClaim

ROOT = Path(__file__).parents[3]
TRIALS = 60


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that only the test moves."""

    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    fake = Clock()
    monkeypatch.setattr(module, "time", fake)
    return fake


def owned(folder: Path) -> Claim:
    """Claim a folder that must be free."""
    claim = Claims(folder).claim()
    assert claim is not None
    return claim


def rewrite(folder: Path, **changes: object) -> None:
    """Change the highest claim's file, as its owner on another machine would."""
    path = sorted((folder / "claims").glob("*.json"))[-1]
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def elsewhere(folder: Path) -> Claim:
    """A claim whose owner runs on another machine."""
    claim = owned(folder)
    rewrite(folder, host="far", machine="far-boot:pid:[1]")
    return claim


def claim_in_process(folder: str, start, tried, won) -> None:
    claims = Claims(Path(folder))
    start.wait()
    if claims.claim() is not None:
        won.put(os.getpid())
    tried.wait()  # a winner that ended before would rightly be followed by the next


def test_threads_race(tmp_path):
    """Fails if two claimants can win one number, in a fresh folder."""
    for trial in range(TRIALS):
        start, won = threading.Barrier(4), []

        def compete(trial=trial, start=start, won=won) -> None:
            claims = Claims(tmp_path / str(trial))
            start.wait()
            won.append(claims.claim())

        threads = [threading.Thread(target=compete) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(claim is not None for claim in won) == 1, f"trial {trial}"


@pytest.mark.parametrize("before", ["nothing", "released", "dead"])
def test_processes_race(tmp_path, before):
    """Fails if two processes own a folder that was never claimed, was released, or whose owner died."""
    context = multiprocessing.get_context("fork")
    for trial in range(4):
        folder = tmp_path / str(trial)
        if before != "nothing":
            claim = owned(folder)
            with claim:
                pass
        if before == "dead":
            rewrite(folder, released=False, process_start="0")
        start, tried, won = context.Barrier(4), context.Barrier(4), context.Queue()
        racers = [context.Process(target=claim_in_process, args=(str(folder), start, tried, won)) for _ in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join()
            assert racer.exitcode == 0
        first = won.get(timeout=60)
        assert won.empty(), f"trial {trial}: {first} and {won.get()} both won"


def test_a_faster_claimant_is_not_outbid(tmp_path, monkeypatch):
    """Fails if the number is chosen from a second look: it then follows a living owner who came in between."""
    slow, fast = Claims(tmp_path), []
    monkeypatch.setattr(slow, "current", lambda look=slow.current: [look(), fast.append(Claims(tmp_path).claim())][0])
    assert slow.claim() is None
    assert fast[0].mine()


def test_released_is_free_at_once_and_numbers_go_up(tmp_path):
    """Fails if a release is not written, or if a number (the fencing token) is used twice."""
    with owned(tmp_path) as first:
        assert Claims(tmp_path).held()
        assert Claims(tmp_path).claim() is None
    assert not Claims(tmp_path).held()
    assert owned(tmp_path).number == first.number + 1


def test_a_dead_process_of_this_machine_is_followed_at_once(tmp_path):
    """Fails if the folder of a process that died without a word has to wait for its heartbeat to time out."""
    code = "import os, sys; from pathlib import Path; from results.store.claim import Claims\n"
    code += "Claims(Path(sys.argv[1])).claim(); os._exit(1)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=False)
    assert Claims(tmp_path).current() is not None
    assert not Claims(tmp_path).held()
    assert owned(tmp_path).number == 2


def test_a_reused_process_id_is_not_the_owner(tmp_path):
    """Fails if the process id alone decides: another process may have it by now."""
    owned(tmp_path)
    rewrite(tmp_path, process_start="1")
    assert not Claims(tmp_path).held()


def test_a_process_that_the_system_hides_is_timed(tmp_path, clock, monkeypatch):
    """Fails if a colleague's run is taken over where /proc shows nobody's processes but one's own (hidepid)."""

    def of_another(pid: int, number: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    owned(tmp_path)
    hidden = 2**22 + 1  # above the highest id that Linux gives
    rewrite(tmp_path, pid=hidden, waiter=f"{hidden}:77")
    assert not Claims(tmp_path).held()
    for spoilt in (10**30, "x", -1):
        rewrite(tmp_path, pid=spoilt)
        assert not Claims(tmp_path).held()
    rewrite(tmp_path, pid=hidden)
    monkeypatch.setattr(module.os, "kill", of_another)
    watcher = Claims(tmp_path)
    assert watcher.held()
    assert watcher.claim() is None
    assert watcher.orphan() is None, "nobody can see whether its starter is gone"
    clock.now += module.DEAD_AFTER_SECONDS
    assert not watcher.held()


def test_an_owner_elsewhere_lives_until_its_beat_stands_still(tmp_path, clock):
    """Fails if a foreign claim is judged by its age or by the process ids of this machine."""
    elsewhere(tmp_path)
    rewrite(tmp_path, pid=2**22 + 1)
    watcher = Claims(tmp_path)
    assert watcher.held()
    clock.now += module.DEAD_AFTER_SECONDS - 1
    assert watcher.held()
    rewrite(tmp_path, beat=1)
    clock.now += module.DEAD_AFTER_SECONDS - 1
    assert watcher.held(), "its beat went on"
    clock.now += module.DEAD_AFTER_SECONDS - 1
    assert watcher.claim() is None, "seen standing still for less than the limit"
    clock.now += 1
    assert not watcher.held()
    assert watcher.claim() is not None
    assert Claims(tmp_path).held(), "the new owner lives"


def test_a_shared_host_name_does_not_make_one_machine(tmp_path, clock):
    """Fails if the host's name decides whose process ids count: containers and cluster nodes share names."""
    owned(tmp_path)
    rewrite(tmp_path, machine="another-boot:pid:[1]", pid=2**22 + 1)
    assert Claims(tmp_path).held()


def test_every_look_of_a_new_watcher_starts_its_own_time(tmp_path, clock):
    """Fails if clocks of different observers are mixed: who has just come cannot know the beat stands still."""
    elsewhere(tmp_path)
    Claims(tmp_path).held()
    clock.now += 10 * module.DEAD_AFTER_SECONDS
    assert Claims(tmp_path).held()


def test_a_paused_owner_notices_the_takeover(tmp_path, clock):
    """Fails if an owner that was replaced while it slept may still rename files into place, or beats on."""
    paused = elsewhere(tmp_path)
    paused.check()
    watcher = Claims(tmp_path)
    watcher.held()
    clock.now += module.DEAD_AFTER_SECONDS
    follower = watcher.claim()
    assert follower is not None
    with pytest.raises(LostClaim, match="another process has taken this run over"):
        paused.check()
    with paused:
        pass  # its release must not touch the follower's claim
    follower.check()
    assert Claims(tmp_path).held()


def test_a_folder_that_started_anew_is_not_the_old_owners(tmp_path):
    """Fails if the number alone decides: numbers start again in a folder that was moved away."""
    old = owned(tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "away")
    with pytest.raises(LostClaim):
        old.check()
    new = owned(tmp_path / "run")
    assert new.number == old.number
    with pytest.raises(LostClaim):
        old.check()
    new.check()


def test_beats_rewrite_the_own_claim(tmp_path, monkeypatch):
    """Fails if the beat does not move, so that others would take a living owner's folder."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    with owned(tmp_path):
        deadline = time.monotonic() + 60
        while Claims(tmp_path).current()[1].beat < 2:
            assert time.monotonic() < deadline, "no beat within a minute"
            time.sleep(0.01)
    assert not list((tmp_path / "claims").glob(".*")), "a draft was left"


def test_a_full_disk_does_not_stop_the_beat(tmp_path, monkeypatch):
    """Fails if one failed beat ends the thread: the run would be taken over although it lives."""
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.01)
    failures = []

    def full(*_: object, **__: object) -> None:
        failures.append(1)
        raise OSError(errno.ENOSPC, "full")

    with owned(tmp_path):
        with monkeypatch.context() as disk:
            disk.setattr(module, "write_atomically", full)
            deadline = time.monotonic() + 60
            while len(failures) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
        assert len(failures) >= 3
        deadline = time.monotonic() + 60
        while not Claims(tmp_path).current()[1].beat and time.monotonic() < deadline:
            time.sleep(0.01)
        assert Claims(tmp_path).current()[1].beat > 0


def test_a_full_disk_leaves_no_draft_of_a_claim(tmp_path, monkeypatch):
    """Fails if claiming on a full disk leaves its temporary file in the folder."""

    def fail(path: Path, text: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(OSError, match="full"):
        Claims(tmp_path).claim()
    assert list((tmp_path / "claims").iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"token": 1}', "\x00"])
def test_an_unreadable_claim_is_waited_for_then_followed(tmp_path, clock, content):
    """Fails if a claim file that says nothing raises, counts as free at once, or blocks the folder for good."""
    (tmp_path / "claims").mkdir()
    (tmp_path / "claims" / "000007.json").write_text(content)
    claims = Claims(tmp_path)
    assert claims.claim() is None
    clock.now += module.DEAD_AFTER_SECONDS
    claim = claims.claim()
    assert claim is not None
    assert claim.number == 8


def test_an_owner_keeps_a_claim_it_cannot_read_for_a_moment(tmp_path):
    """Fails if a read that fails (a network file system under load) makes the owner give its run up."""
    claim = owned(tmp_path)
    (tmp_path / "claims" / "000001.json").write_text("")
    claim.check()


def test_a_job_that_starts_again_takes_over_from_its_earlier_self(tmp_path, clock) -> None:
    """Fails when a requeued job waits for the dead node it ran on, or another job takes over from a living one."""
    first = Claims(tmp_path, job="a.0").claim()
    assert first is not None
    rewrite(tmp_path, host="far", machine="far-boot:pid:[1]")
    assert Claims(tmp_path, job="a.1").claim() is None
    assert Claims(tmp_path).claim() is None
    second = Claims(tmp_path, job="a.0").claim()
    assert second is not None
    assert second.number == 2
    with pytest.raises(LostClaim):
        first.check()


def test_waiting_for_an_owner_to_be_seen_dead(tmp_path, monkeypatch) -> None:
    """Fails when a silent owner elsewhere is waited for without end, or one that beats is taken over."""
    monkeypatch.setattr(module, "DEAD_AFTER_SECONDS", 0.6)
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.2)
    elsewhere(tmp_path)
    assert (taken := Claims(tmp_path).claim_when_dead()) is not None
    assert taken.number == 2
    rewrite(tmp_path, host="far", machine="far-boot:pid:[1]")
    sleep, beats = module.time.sleep, iter([9])

    def beating(seconds: float) -> None:
        for beat in beats:  # once, while it is waited for
            rewrite(tmp_path, beat=beat)
        sleep(seconds)

    monkeypatch.setattr(module.time, "sleep", beating)
    assert Claims(tmp_path).claim_when_dead() is None


def test_an_orphan_is_known(tmp_path: Path) -> None:
    """Fails when a run that goes on without the harness that waited for it looks like any other, or one that is waited
    for, that was started by hand, that has ended, or that is elsewhere looks like an orphan.
    """
    waiter = subprocess.Popen(["sleep", "600"])
    try:
        claim = Claims(tmp_path).claim(module.process_name(waiter.pid))
        assert claim is not None
        assert Claims(tmp_path).orphan() is None
    finally:
        waiter.kill()
        waiter.wait()
    assert Claims(tmp_path).orphan() == os.getpid()
    for changes in ({"machine": "far"}, {"released": True}, {"waiter": ""}, {"waiter": "no number"}, {"pid": 0}):
        path = sorted((tmp_path / "claims").glob("*.json"))[-1]
        kept = path.read_text()
        rewrite(tmp_path, **changes)
        assert Claims(tmp_path).orphan() is None, changes
        path.write_text(kept)
