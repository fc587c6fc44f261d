"""The command `python -m tfd2l.deploy`: flags, models, files, and the report."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from pipelines.basics.text import shown
from tfd2l.common.commands import CommandParser, UsageError, run_command, whole_number_from
from tfd2l.deploy.files import write_files
from tfd2l.deploy.flags import DNS_LABEL, DNS_NAME, IMAGE, add_setting, name_reader, of_settings
from tfd2l.deploy.models import ServedModel, choose_versions, find_models
from tfd2l.deploy.rendering import Settings, render
from tfd2l.deploy.training_command import deploy_training

__all__ = ["main"]

DESCRIPTION = """
Write, beside the models, the files that start TensorFlow Serving for them: its configuration, a
compose.yaml for one machine and a kubernetes.yaml for several. If one of the files is there
already and differs, because you edited it or because the models or flags have changed, the
difference is shown and nothing is written; --force overwrites. The flags of an earlier call are
not remembered. `train` in place of DIR writes a training job: see `train --help`.
"""
# The name of a model, and the numbers of some of its versions.
ModelVersions = tuple[str, tuple[int, ...]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 2 for a wrong flag, directory or file.

    With `train` first it writes a training job, else the files of TensorFlow Serving.
    """
    given = sys.argv[1:] if argv is None else argv
    if given[:1] == ["train"]:
        return run_command(lambda: deploy_training(given[1:]))
    return run_command(lambda: _deploy(_parse(given)))


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    flags = _parser().parse_args(argv)
    if flags.rest_port == flags.grpc_port:
        raise UsageError(
            f"--rest-port and --grpc-port must differ; got {flags.rest_port} for both. "
            "Change one of them."
        )
    return flags


def _deploy(flags: argparse.Namespace) -> int:
    models = choose_versions(
        find_models(flags.directory),
        keep=flags.keep_versions,
        pins=_by_model("--pin", flags.pin),
        labels=_labels_by_model(stable=flags.stable, canary=flags.canary),
    )
    settings = of_settings(Settings, flags)
    write_files(flags.directory, render(models, settings), overwrite=flags.force, say=print)
    _print_models(models)
    _print_start(flags.directory)
    return 0


def _print_models(models: Sequence[ServedModel]) -> None:
    for model in models:
        served = f"the last {model.keep} versions" if model.keep > 1 else "the last version"
        if model.versions:
            served = f"only {', '.join(map(str, model.versions))}"
        labels = "".join(f"; {label} is {version}" for label, version in model.labels.items())
        print(f"serves {model.name}: {served}{labels}")


def _print_start(directory: Path) -> None:
    compose, kubernetes = (
        shlex.quote(str(directory / name)) for name in ("compose.yaml", "kubernetes.yaml")
    )
    print(f"start  docker compose -f {compose} up -d --wait")
    print(f"   or  kubectl apply -f {kubernetes}")


def _parser() -> CommandParser:
    parser = CommandParser(
        "deploy",
        "[DIR] [flags]",
        DESCRIPTION,
        [
            "savedmodels",
            "savedmodels --stable mlp=3 --canary mlp=4",
            "savedmodels --cpus 4 --force",
            "train --workers 2 -- --model mlp --epochs 10",
        ],
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("savedmodels"), metavar="DIR",
        help="has a directory for each model, with a directory for each version",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite files that differ")
    _add_version_flags(parser.add_argument_group("versions"))
    add = partial(add_setting, Settings())
    server = parser.add_argument_group("each server")
    add(server, "image", "of TensorFlow Serving", name_reader(IMAGE, "a name"))
    add(server, "cpus", "that it may use", whole_number_from(1, 1024))
    add(server, "memory", "that it may use, MiB", whole_number_from(256, 2**24))
    server.add_argument(
        "--batching", action="store_true",
        help="let requests share runs of a model. Those that share one fail together, so a client "
        "with a wrong shape makes requests of others fail; and an empty request gets no answer "
        "before the next one. For large models with many small requests from clients that you know",
    )  # fmt: skip
    compose = parser.add_argument_group("Compose")
    for protocol in ("rest", "grpc"):
        add(compose, f"{protocol}-port", "of this machine", whole_number_from(1, 65535))
    # The name of a Service begins with a letter.
    label = name_reader(f"(?=[a-z]){DNS_LABEL}", "a DNS label", 63)
    add(parser, "name", "of the Compose project and of all objects in Kubernetes", label)
    cluster = parser.add_argument_group("Kubernetes")
    claim = name_reader(DNS_NAME, "a DNS name", 253)
    add(cluster, "claim", "PersistentVolumeClaim with the models", claim)
    add(cluster, "replicas", "servers", whole_number_from(1, 1000))
    return parser


def _add_version_flags(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--keep-versions", type=whole_number_from(1, 1000), default=1, metavar="N",
        help="serve the last N of each model",
    )  # fmt: skip
    group.add_argument(
        "--pin", type=_versions_reader(1000), action="append", default=[],
        metavar="MODEL=N[,N...]",
        help="serve only these of a model, whatever is published later",
    )  # fmt: skip
    for label in ("stable", "canary"):
        group.add_argument(
            f"--{label}", type=_versions_reader(1), action="append", default=[], metavar="MODEL=N",
            help=f"give one the label {label!r}; without --pin, only labelled ones are served",
        )  # fmt: skip


def _versions_reader(maximum: int) -> Callable[[str], ModelVersions]:
    """Make a reader of MODEL=N,N,... with at most `maximum` versions."""
    pattern = f"[0-9]{{1,19}}(,[0-9]{{1,19}}){{0,{maximum - 1}}}"
    examples = "mlp=3" if maximum == 1 else "mlp=3 or mlp=3,4"

    def read(text: str) -> ModelVersions:
        model, _, numbers = text.rpartition("=")
        if not model or not re.fullmatch(pattern, numbers):
            raise argparse.ArgumentTypeError(f"must be like {examples}; got {shown(text)}")
        return model, tuple(map(int, numbers.split(",")))

    return read


def _by_model(flag: str, given: Sequence[ModelVersions]) -> dict[str, tuple[int, ...]]:
    """Return the versions that a flag names, by model."""
    found = dict(given)
    if len(found) < len(given):
        pairs = ", ".join(f"{model}={','.join(map(str, numbers))}" for model, numbers in given)
        raise UsageError(f"{flag} can be given once for each model; got {pairs}. Name each once.")
    return found


def _labels_by_model(**labels: Sequence[ModelVersions]) -> dict[str, dict[str, int]]:
    """Turn the versions of each label into the labels of each model."""
    found: dict[str, dict[str, int]] = {}
    for label, given in labels.items():
        for model, (version,) in _by_model(f"--{label}", given).items():
            found.setdefault(model, {})[label] = version
    return found
