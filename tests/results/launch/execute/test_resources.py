"""What may reach an sbatch line, and what is refused before."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

import harness
from results.launch.commands.execution_options import on_a_cluster
from results.launch.commands.parse import execution_of
from results.launch.execute.resources import Resources, minutes_of, resources_for
from splits.errors import UserError


def given(*arguments: str, methods: tuple[str, ...] = ("zegclip",)) -> dict[str, Resources]:
    options = harness._parser().parse_args(["run", "--cluster", "slurm", *arguments])
    execution = execution_of(options)
    return resources_for(methods, execution.resources, execution.cluster_config, ranks=options.ranks)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("24:00:00", 1440), ("0:01:30", 2), ("2-00", 2880), ("1-02:30", 1590), ("1-02:30:00", 1590)],
)
def test_time_limits(text: str, minutes: int) -> None:
    """Fails when a time limit is read otherwise than SLURM reads it."""
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["24:00", "0", "0:00:00", "1h", "", "-5", "1-", "٣"])
def test_time_limits_that_are_refused(text: str) -> None:
    """Fails when a limit of nothing, which SLURM takes for none at all, or an ambiguous one is let through."""
    with pytest.raises(ValueError, match="time limit"):
        minutes_of(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--partition", "gpu\n#SBATCH --wrap=rm"),
        ("--partition", "gpu; rm"),
        ("--account", "a b"),
        ("--qos", "$(id)"),
        ("--constraint", "a`b"),
        ("--mem", "16 GB"),
        ("--gpus", "2"),
        ("--nodes", "2"),
        ("--gpus", "2x"),
        ("--gpus", "-1"),
        ("--setup", "module load a\n#SBATCH -n 5"),
        ("--setup", "#SBATCH -n 5"),
        ("--slurm", "exclude=n1\nrm"),
        ("--slurm", "array=0-5"),
        ("--slurm", "job-name=x"),
        ("--slurm", "clusters=elsewhere"),
        ("--slurm", "export-file=/dev/null"),
        ("--slurm", "EXPORT"),
        ("--slurm", "a b=c"),
        ("--time", "2"),
        ("--time", "10", "--signal-delay", "540"),
    ],
)
def test_values_that_do_not_reach_a_script(arguments: tuple[str, ...]) -> None:
    """Fails when a value that would break out of its line, be ignored or leave no time to stop is let through."""
    with pytest.raises(UserError):
        given(*arguments)


def test_who_has_the_last_word(tmp_path: Path) -> None:
    """Fails when the command line does not win over the file, or a method's table over the rest of the file."""
    file = tmp_path / "cluster.toml"
    file.write_text(
        'partition = "gpu"\ngpus = 1\ntime = "8:00:00"\nslurm = { nice = 5 }\nsetup = ["module load cuda"]\n'
        '[methods.zegclip]\ntime = "2-00:00:00"\nmem = "32G"\nslurm = { exclude = "n7" }\n'
    )
    found = given("--cluster-config", str(file), "--mem", "8G", methods=("zegclip", "clip"))
    assert (found["zegclip"].minutes, found["clip"].minutes) == (2880, 480)
    assert (found["zegclip"].mem, found["clip"].mem) == ("8G", "8G")
    assert found["zegclip"].slurm == {"nice": "5", "exclude": "n7"}
    assert (found["clip"].slurm, found["clip"].setup, found["clip"].on_gpu) == (
        {"nice": "5"},
        ("module load cuda",),
        True,
    )


@pytest.mark.parametrize(
    "content",
    [
        "partition = gpu",
        "partitions = 'gpu'",
        "[methods.nothing]\ntime = '5:00:00'",
        "gpus = true",
        "methods = 3",
        "slurm = 3",
        "time = 2026-01-02",
        "[methods.zegclip]\nslurm = []",
    ],
)
def test_files_that_are_refused(tmp_path: Path, content: str) -> None:
    """Fails when a misspelt or misplaced setting is silently ignored."""
    file = tmp_path / "cluster.toml"
    file.write_text(content)
    with pytest.raises(UserError):
        given("--cluster-config", str(file))


def test_gpus_and_nodes_of_several_ranks() -> None:
    """Fails when ranks and GPUs need not agree, a run of one process takes all of them, or a type is lost."""
    found = given("--ranks", "8", "--gpus", "a100:4", "--nodes", "2")["zegclip"]
    assert found.of(8) == found
    assert (found.of(1).nodes, found.of(1).gpus) == (1, "a100:1")
    assert given("--ranks", "8", "--gpus", "4")["zegclip"].of(1).gpus == "1"
    with pytest.raises(UserError, match="4 GPUs for as many processes"):
        given("--ranks", "8", "--gpus", "4")["zegclip"].of(8)
    on_cpu = given("--ranks", "4", "--nodes", "2")["zegclip"]
    assert (on_cpu.of(4).nodes, on_cpu.of(1).nodes, on_cpu.of(1).on_gpu) == (2, 1, False)
    with pytest.raises(UserError, match="the same number of ranks"):
        given("--ranks", "4", "--nodes", "3")["zegclip"].of(4)
    with pytest.raises(UserError, match="with --ranks"):
        given("--gpus", "4")


def test_help_names_the_defaults() -> None:
    """Fails when `--help` says another default than a run on a cluster gets."""
    parser = argparse.ArgumentParser()
    on_a_cluster(parser)
    said = {action.dest: re.search(r"default: ([\w:]+)$", action.help or "") for action in parser._actions}
    found = {name: match[1] for name, match in said.items() if match and name in Resources.model_fields}
    assert found == {name: str(Resources.model_fields[name].default) for name in found}
    assert {"gpus", "nodes", "time", "signal_delay", "requeues"} == found.keys()
