"""`python -m tfd2l.deploy`: write what starts TensorFlow Serving for a directory of models."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from tfd2l.deploy.files import edited_text, settle, with_header
from tfd2l.deploy.models import DeployError, ServedModel, choose, find_models
from tfd2l.deploy.rendering import Settings, compose, configuration, kubernetes

__all__ = ["deploy", "main"]

EXIT_USAGE = 2
DESCRIPTION = """
Write, beside the models, what starts TensorFlow Serving for them: its configuration, a compose.yaml
for one machine and a kubernetes.yaml for several. Called again, it brings the files up to date and
keeps those that were edited. It does not remember the flags of an earlier call.
"""
# The server reads the first three, which are in kubernetes.yaml as well.
CONFIGURATION = ("models.config", "batching_parameters.txt", "monitoring.config")
FILES = (*CONFIGURATION, "compose.yaml", "kubernetes.yaml")
_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
# Versions of a model: its name and their numbers.
Versions = tuple[str, tuple[int, ...]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status: 0, or 2 for a wrong flag, directory or file."""
    parser = _parser()
    flags = parser.parse_args(argv)
    if flags.rest_port == flags.grpc_port:
        parser.error(f"--rest-port and --grpc-port must differ; got {flags.rest_port} for both")
    settings = Settings(**{field.name: getattr(flags, field.name) for field in fields(Settings)})
    try:
        models = choose(
            find_models(flags.directory),
            keep=flags.keep_versions,
            pins=_by_model("--pin", flags.pin),
            labels=_labels(stable=flags.stable, canary=flags.canary),
        )
        outcomes = deploy(flags.directory, models, settings, force=flags.force)
    except (DeployError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    _report(flags.directory, models, outcomes)
    return 0


def deploy(
    directory: Path, models: Sequence[ServedModel], settings: Settings, *, force: bool = False
) -> dict[str, str]:
    """Bring the five files in `directory` up to date, each by one rename.

    A configuration that was edited is kept, and is what goes into `kubernetes.yaml`.

    Args:
        directory: has the models.
        models: those to serve, at least one.
        settings: names and sizes.
        force: write edited files anew too.

    Returns:
        What became of each file, in a few words, by name.

    Raises:
        DeployError: an edited file is no text, or can't go into `kubernetes.yaml`.
        OSError: a file can't be read or written.
    """
    # All is read before anything is written.
    edited = {name: edited_text(directory / name) for name in FILES}
    if force:
        edited = dict.fromkeys(FILES)
    wanted = configuration(models, settings)
    wanted["compose.yaml"] = compose(models, settings)
    wanted = {name: with_header(name, text) for name, text in wanted.items()}
    used = {
        name: wanted[name] if text is None else text
        for name, text in edited.items()
        if name in CONFIGURATION
    }
    wanted["kubernetes.yaml"] = with_header("kubernetes.yaml", kubernetes(models, settings, used))
    return {name: settle(directory / name, wanted[name], edited[name]) for name in FILES}


def _report(directory: Path, models: Sequence[ServedModel], outcomes: Mapping[str, str]) -> None:
    """Say what was done, what will be served and how to start it."""
    if {*outcomes.values()} == {"unchanged"}:
        print(f"nothing to change: the {len(outcomes)} files in {directory} are up to date")
    else:
        for name, outcome in outcomes.items():
            print(f"{directory / name}: {outcome}")
    for model in models:
        which = f"the last {model.keep} versions" if model.keep > 1 else "the last version"
        if model.versions:
            which = f"only {', '.join(map(str, model.versions))}"
        labels = "".join(f"; {label} is {version}" for label, version in model.labels.items())
        print(f"serves {model.name}: {which}{labels}")
    compose_file, kubernetes_file = (shlex.quote(str(directory / name)) for name in FILES[3:])
    print(f"start  docker compose -f {compose_file} up -d --wait")
    print(f"   or  kubectl apply -f {kubernetes_file}")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say in two lines what is wrong, and where all flags are explained."""
        self.exit(EXIT_USAGE, f"error: {message}\n({self.prog} --help lists the flags)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m tfd2l.deploy", description=DESCRIPTION)
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("savedmodels"),
        help="has a directory for each model, with one for each version in it (savedmodels)",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="write edited files anew as well")
    _add_versions(parser.add_argument_group("versions"))
    server = parser.add_argument_group("each server")
    _add(server, "image", "of TensorFlow Serving", _like("[A-Za-z0-9][A-Za-z0-9._/:@-]*", "a name"))
    _add(server, "cpus", "that it may use", _whole(1, 1024))
    _add(server, "memory", "that it may use, MiB", _whole(256, 2**24))
    compose_group = parser.add_argument_group("Compose")
    for protocol in ("rest", "grpc"):
        _add(compose_group, f"{protocol}-port", "of this machine", _whole(1, 65535))
    _add(
        parser, "name", "of the Compose project and of what Kubernetes gets",
        # The name of a Service begins with a letter.
        _like(f"(?=[a-z]){_DNS_LABEL}", "a DNS label", 63),
    )  # fmt: skip
    cluster = parser.add_argument_group("Kubernetes")
    _add(
        cluster, "claim", "PersistentVolumeClaim with the models",
        _like(rf"{_DNS_LABEL}(\.{_DNS_LABEL})*", "a DNS name", 253),
    )  # fmt: skip
    _add(cluster, "replicas", "servers", _whole(1, 1000))
    return parser


def _add_versions(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--keep-versions", type=_whole(1, 1000), default=1, metavar="N",
        help="serve the last N of each model (1)",
    )  # fmt: skip
    group.add_argument(
        "--pin", type=_versions(1000), action="append", default=[], metavar="MODEL=N[,N...]",
        help="serve only these of a model, whatever is published later",
    )  # fmt: skip
    for label in ("stable", "canary"):
        group.add_argument(
            f"--{label}", type=_versions(1), action="append", default=[], metavar="MODEL=N",
            help=f"give one the label {label!r}; without --pin, only labelled ones are served",
        )  # fmt: skip


def _add(
    group: argparse._ActionsContainer, name: str, text: str, read: Callable[[str], object]
) -> None:
    """Add a flag for one of the settings."""
    default = getattr(Settings(), name.replace("-", "_"))
    group.add_argument(
        f"--{name}", type=read, default=default, metavar=name.upper(), help=f"{text} ({default})"
    )


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers in a range."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,19}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {least} to {most}; got {text!r}"
            )
        return int(text)

    return read


def _like(pattern: str, what: str, most: int = 255) -> Callable[[str], str]:
    """A reader of names of a kind."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text) or len(text) > most:
            raise argparse.ArgumentTypeError(
                f"must be {what} of at most {most} characters like the default; got {text!r}"
            )
        return text

    return read


def _versions(most: int) -> Callable[[str], Versions]:
    """A reader of MODEL=N,N,... with at most so many versions."""

    def read(text: str) -> Versions:
        model, _, numbers = text.rpartition("=")
        if not model or not re.fullmatch(f"[0-9]{{1,19}}(,[0-9]{{1,19}}){{0,{most - 1}}}", numbers):
            examples = "mlp=3" if most == 1 else "mlp=3 or mlp=3,4"
            raise argparse.ArgumentTypeError(f"must be like {examples}; got {text!r}")
        return model, tuple(map(int, numbers.split(",")))

    return read


def _by_model(flag: str, given: Sequence[Versions]) -> dict[str, tuple[int, ...]]:
    """The versions of each model that a flag names."""
    found = dict(given)
    if len(found) < len(given):
        raise DeployError(f"{flag} can be given once for each model; got {given}.")
    return found


def _labels(**labels: Sequence[Versions]) -> dict[str, dict[str, int]]:
    """The labels of each model, from the versions of each label."""
    found: dict[str, dict[str, int]] = {}
    for label, given in labels.items():
        for model, (version,) in _by_model(f"--{label}", given).items():
            found.setdefault(model, {})[label] = version
    return found
