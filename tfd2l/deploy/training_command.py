"""The command `python -m tfd2l.deploy train`: a training job from the flags of training."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from pipelines.basics.text import shown
from tfd2l.common.commands import CommandParser, UsageError, whole_number_from
from tfd2l.deploy.files import write_files
from tfd2l.deploy.flags import DNS_LABEL, DNS_NAME, IMAGE, add_setting, name_reader, of_settings
from tfd2l.deploy.training_job import JobSettings, render_job
from tfd2l.train.settings.catalog import file_and_class, is_file
from tfd2l.train.settings.config import TrainConfig
from tfd2l.train.settings.flags import parse_all

__all__ = ["deploy_training"]

DESCRIPTION = """
Write the files that train a model on several workers: kubernetes.yaml for any Kubernetes,
tfjob.yaml and trainjob.yaml for Kubeflow, and a compose.yaml to try it on this machine. After --
come the flags of python -m tfd2l.train, which are checked now. The current directory stands for
the volume that all workers share: their data, model files, runs and exports are below it. Files
that differ are shown and not overwritten without --force.
"""
# Flags that the job gives each worker.
_OF_WORKERS = ("--workers", "--worker-index")


def deploy_training(argv: Sequence[str]) -> int:
    """Write the files of a training job; return the exit status 0.

    Args:
        argv: the flags of the job and, after `--`, those of training.

    Raises:
        UsageError: a flag can't be used, or not in a job of several workers.
        DeployError: a file differs from the generated one.
        OSError: a file can't be written.
    """
    own, training = split(argv)
    flags = _parser().parse_args(own)
    config = _checked(training)
    settings = of_settings(JobSettings, flags)
    if config.resume is not None:
        run, given = None, list(training)
    else:
        run = config.run_dir or _run_of(settings.name, config)
        given = [*training, *([] if config.run_dir else ["--run-dir", str(run)])]
    flags.directory.mkdir(parents=True, exist_ok=True)
    here = os.path.relpath(Path.cwd(), flags.directory)
    texts = render_job(settings, given, None if run is None else str(run), here)
    write_files(flags.directory, texts, overwrite=flags.force, say=print)
    _print_start(flags.directory, config.resume or run)
    if config.resume is None and not (config.data or config.data_dir or config.is_synthetic):
        print("note   each worker fetches Fashion-MNIST for itself; --data-dir spares that")
    return 0


def split(argv: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """The flags of the job, and those of training after the separator."""
    if "--" in argv:
        place = list(argv).index("--")
        return argv[:place], argv[place + 1 :]
    if {"-h", "--help", "--version"} & {*argv}:
        return argv, []
    raise UsageError("the flags of training come after --, such as -- --model mlp --epochs 10")


def _checked(training: Sequence[str]) -> TrainConfig:
    """The settings that the flags of training give; UsageError if they don't suit a job."""
    for flag in training:
        if flag.split("=")[0] in _OF_WORKERS:
            raise UsageError(f"{flag.split('=')[0]} is given by the job to each worker; drop it")
        if not flag.isprintable():
            raise UsageError(f"the flags of a job are in one line of text; got {shown(flag)}")
    configs = parse_all(training)
    if len(configs) > 1:
        raise UsageError("a job makes one run; give one --seed, and write a job for each")
    [config] = configs
    if config.publish is not None or config.dry_run:
        name = "--publish" if config.publish is not None else "--dry-run"
        raise UsageError(f"a job trains and keeps a run; use {name} without a job")
    for name, path in _paths(config).items():
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(
                f"the paths of a job are relative to the volume that all workers share; got "
                f"{shown(str(path))} for --{name.replace('_', '-')}"
            )
    return config


def _paths(config: TrainConfig) -> dict[str, Path]:
    """The paths among the settings, by the settings' names."""
    found = {name: value for name, value in config if isinstance(value, Path)}
    if is_file(config.model):
        found["model"] = file_and_class(config.model)[0]
    if isinstance(rows := config.data_option.get("val"), str):
        found["data_option"] = Path(rows)
    return found


def _run_of(name: str, config: TrainConfig) -> Path:
    """The directory of the run that the given settings make: with other ones it is another run.

    A worker that finds its run resumes it with the run's own settings.
    """
    digest = hashlib.sha256(config.model_dump_json(exclude_unset=True).encode()).hexdigest()
    return Path("runs", f"{name}-{digest[:8]}")


def _print_start(directory: Path, run: Path | None) -> None:
    files = {
        name: shlex.quote(str(directory / f"{name}.yaml"))
        for name in ("kubernetes", "tfjob", "trainjob", "compose")
    }
    print(f"run    {run}, on the volume that all workers share")
    print(f"start  kubectl apply -f {files['kubernetes']}")
    print(f"   or  kubectl apply -f {files['tfjob']}      (Kubeflow Training Operator v1)")
    print(f"   or  kubectl apply -f {files['trainjob']}   (Kubeflow Trainer v2)")
    print(f"   or  docker compose -f {files['compose']} up")


def _parser() -> CommandParser:
    parser = CommandParser(
        "deploy train",
        "[DIR] [flags] -- [flags of python -m tfd2l.train]",
        DESCRIPTION,
        [
            "--workers 2 -- --model mlp --data-dir fashion-mnist",
            "--workers 4 --gpus 1 -- --model my_models.py:Net --data photos --epochs 30",
            "-- --resume runs/wide --epochs 20",
        ],
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("training-job"), metavar="DIR",
        help="gets the files",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite files that differ")
    add = partial(add_setting, JobSettings())
    # With the names of pods, such as NAME-node-0-999, still a DNS label.
    label = name_reader(f"(?=[a-z]){DNS_LABEL}", "a DNS label", 50)
    add(parser, "name", "of all objects in Kubernetes and of the Compose project", label)
    add(parser, "workers", "processes that train together", whole_number_from(1, 1000))
    worker = parser.add_argument_group("each worker")
    add(worker, "image", "has tfd2l, as the Dockerfile makes it", name_reader(IMAGE, "a name"))
    add(worker, "cpus", "that it may use", whole_number_from(1, 1024))
    add(worker, "memory", "that it may use, MiB", whole_number_from(512, 2**24))
    add(worker, "gpus", "that it gets; the image then needs CUDA", whole_number_from(0, 64))
    add(worker, "user", "id of the volume's owner", whole_number_from(1, 2**31 - 1))
    cluster = parser.add_argument_group("Kubernetes")
    claim = name_reader(DNS_NAME, "a DNS name", 253)
    add(cluster, "claim", "PersistentVolumeClaim that all workers share", claim)
    return parser
