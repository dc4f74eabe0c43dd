"""A dry run for a cluster, on a machine that has none."""

from __future__ import annotations

from pathlib import Path

import pytest

import harness
from results.launch.execute import scheduler


@pytest.fixture(autouse=True)
def no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scheduler, "is_here", lambda: False)
    monkeypatch.setattr(scheduler, "_output", lambda *words, **_: pytest.fail(f"asks {words}"))


def test_scripts_are_shown_where_there_is_no_slurm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a laptop cannot show what would be submitted, or floors take a GPU for themselves."""
    asked = ["--methods", "zegclip", "clip", "constant", "random", "--folds", "0", "--runs", str(tmp_path / "runs")]
    options = ["--cluster", "slurm", "--partition", "gpu", "--gpus", "1", "--time", "24:00:00", "--dry-run"]
    assert harness.main(["run", *asked, *options]) == 0
    printed = capsys.readouterr()
    assert "no SLURM answers here" in printed.err
    with_gpu, without = printed.out.split("array of ")[1:]
    assert "zegclip shapes-5i fold 0 seed 0, clip shapes-5i" in with_gpu
    assert "#SBATCH --gpus-per-node=1" in with_gpu
    assert "constant shapes-5i fold 0 seed 0, random" in without
    assert "--gpus" not in without
    assert "to train: zegclip: 1 run x 300 iterations" in without
    assert not (tmp_path / "runs").exists()


def test_a_table_of_its_own_gives_a_floor_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fails when a partition that takes GPU jobs alone cannot be given one."""
    (tmp_path / "cluster.toml").write_text('[methods.constant]\ngpus = "1"\n')
    asked = ["--methods", "constant", "--folds", "0", "--runs", str(tmp_path / "runs"), "--dry-run"]
    assert harness.main(["run", *asked, "--cluster", "slurm", "--cluster-config", str(tmp_path / "cluster.toml")]) == 0
    assert "#SBATCH --gpus-per-node=1" in capsys.readouterr().out
