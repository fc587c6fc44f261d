"""The command `python -m tfd2l.deploy`: flags, models, files, and the report."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from pipelines.basics.text import shown
from tfd2l.common.commands import CommandParser, UsageError, run_command, whole_number_from
from tfd2l.deploy.files import GeneratedFile, read_generated
from tfd2l.deploy.models import DeployError, ServedModel, choose_versions, find_models
from tfd2l.deploy.rendering import Settings, render

__all__ = ["main"]

DESCRIPTION = """
Write, beside the models, the files that start TensorFlow Serving for them: its configuration, a
compose.yaml for one machine and a kubernetes.yaml for several. If one of the files is there
already and differs, because you edited it or because the models or flags have changed, the
difference is shown and nothing is written; --force overwrites. The flags of an earlier call are
not remembered.
"""
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# The name of a model, and the numbers of some of its versions.
ModelVersions = tuple[str, tuple[int, ...]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 0, or 2 for a wrong flag, directory or file."""
    return run_command(lambda: _deploy(_parse(argv)))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
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
    settings = Settings(**{field.name: getattr(flags, field.name) for field in fields(Settings)})
    files = read_generated(flags.directory, render(models, settings))
    if not flags.force:
        _refuse_to_overwrite(files)
    _write(flags.directory, files)
    _print_models(models)
    _print_start(flags.directory)
    return 0


def _refuse_to_overwrite(files: Sequence[GeneratedFile]) -> None:
    """Print how files on disk differ from the generated ones; raise DeployError if any does."""
    different = [file for file in files if file.differs]
    if not different:
        return
    for file in different:
        print(file.difference())
    names = ", ".join(str(file.path) for file in different)
    raise DeployError(
        f"a file that differs from the generated one is not overwritten; got {names}. Nothing was "
        "written. Move your changes elsewhere, or overwrite all files with --force."
    )


def _write(directory: Path, files: Sequence[GeneratedFile]) -> None:
    if all(file.is_current for file in files):
        print(f"nothing to change: the {len(files)} files in {directory} are up to date")
        return
    for file in files:
        print(f"{file.path}: {file.write()}")


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
        ],
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("savedmodels"), metavar="DIR",
        help="has a directory for each model, with a directory for each version",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite files that differ")
    _add_version_flags(parser.add_argument_group("versions"))
    server = parser.add_argument_group("each server")
    _add(server, "image", "of TensorFlow Serving",
         _name_reader("[A-Za-z0-9][A-Za-z0-9._/:@-]*", "a name"))  # fmt: skip
    _add(server, "cpus", "that it may use", whole_number_from(1, 1024))
    _add(server, "memory", "that it may use, MiB", whole_number_from(256, 2**24))
    server.add_argument(
        "--batching", action="store_true",
        help="let requests share runs of a model. Those that share one fail together, so a client "
        "with a wrong shape makes requests of others fail; and an empty request gets no answer "
        "before the next one. For large models with many small requests from clients that you know",
    )  # fmt: skip
    compose = parser.add_argument_group("Compose")
    for protocol in ("rest", "grpc"):
        _add(compose, f"{protocol}-port", "of this machine", whole_number_from(1, 65535))
    _add(
        parser, "name", "of the Compose project and of all objects in Kubernetes",
        # The name of a Service begins with a letter.
        _name_reader(f"(?=[a-z]){_DNS_LABEL}", "a DNS label", 63),
    )  # fmt: skip
    cluster = parser.add_argument_group("Kubernetes")
    _add(
        cluster, "claim", "PersistentVolumeClaim with the models",
        _name_reader(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*", "a DNS name", 253),
    )  # fmt: skip
    _add(cluster, "replicas", "servers", whole_number_from(1, 1000))
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


def _add(
    group: argparse._ActionsContainer, name: str, text: str, read: Callable[[str], object]
) -> None:
    """Add a flag for one of the settings."""
    default = getattr(Settings(), name.replace("-", "_"))
    group.add_argument(f"--{name}", type=read, default=default, metavar=name.upper(), help=text)


def _name_reader(pattern: str, kind: str, maximum: int = 255) -> Callable[[str], str]:
    """Make a reader of names that match the pattern and have at most `maximum` characters."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text) or len(text) > maximum:
            raise argparse.ArgumentTypeError(
                f"must be {kind} of at most {maximum} characters like the default; got "
                f"{shown(text)}"
            )
        return text

    return read


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
