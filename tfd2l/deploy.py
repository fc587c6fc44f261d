"""`python -m tfd2l.deploy`: what TensorFlow Serving needs to serve what was exported.

Writes its configuration, a `compose.yaml` for its official image and a Kubernetes manifest beside
the models. The texts are templates in `deployment/`; none of them was started where this was
written, which has no containers, but all were parsed by the formats' own definitions.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from tfd2l.files import write_whole

__all__ = ["DeployError", "Deployment", "main", "model_names", "texts_of"]

IMAGE = "tensorflow/serving:2.20.0"
# Names that are safe in a URL, in YAML, in a text proto and as a directory.
MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
CLUSTER_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# The configuration, which Compose mounts with the models and Kubernetes from a ConfigMap.
CONFIGURATION = ("models.config", "batching_parameters.txt", "monitoring.config")
MARK = "# Written by tfd2l.deploy; sha256 "
# Asks for the model's status and looks for a version that answers.
PROBE = (
    'exec 3<>/dev/tcp/127.0.0.1/8501; printf "GET /v1/models/{model} HTTP/1.0\\r\\n\\r\\n" >&3; '
    'grep -q "\\"AVAILABLE\\"" <&3'
)


class DeployError(ValueError):
    """The files can't be written."""


@dataclass(frozen=True)
class Deployment:
    """What the texts depend on.

    Attributes:
        models: their names, at least one.
        keep_versions: serve the latest so many versions of each.
        threads: batches computed at the same time; the server's cores.
        name: of the Kubernetes objects.
        claim: the volume claim that holds the models there.
        replicas: servers there.
    """

    models: tuple[str, ...]
    keep_versions: int = 1
    threads: int = 2
    name: str = "tfd2l-serving"
    claim: str = "models"
    replicas: int = 2


def model_names(base: Path) -> tuple[str, ...]:
    """The models below a directory: those that have a version.

    Raises:
        DeployError: there is none, or one with a name that can't be used everywhere.
    """
    try:
        entries = sorted(entry for entry in base.iterdir() if entry.is_dir())
    except OSError as error:
        raise DeployError(f"{str(base)!r} can't be read: {error.strerror}.") from error
    found = []
    for entry in entries:
        if any(re.fullmatch("[0-9]+", child.name) for child in entry.iterdir()):
            if not MODEL_NAME.fullmatch(entry.name):
                raise DeployError(
                    f"a model's name consists of letters, digits, '_', '.' and '-'; got "
                    f"{entry.name!r} in {str(base)!r}. Rename the directory."
                )
            found.append(entry.name)
    if not found:
        raise DeployError(
            f"no model with a version is in {str(base)!r}; export one: python -m tfd2l.train."
        )
    return tuple(found)


def texts_of(deployment: Deployment) -> dict[str, str]:
    """The files' texts by name."""
    first = deployment.models[0]
    configs = "".join(
        f'  config {{\n    name: "{name}"\n    base_path: "/models/{name}"\n'
        f'    model_platform: "tensorflow"\n    model_version_policy {{ latest {{ num_versions: '
        f"{deployment.keep_versions} }} }}\n  }}\n"
        for name in deployment.models
    )
    values = {
        "configs": configs,
        "threads": str(deployment.threads),
        "image": IMAGE,
        "name": deployment.name,
        "claim": deployment.claim,
        "replicas": str(deployment.replicas),
        "first": first,
    }
    texts = {name: _filled(name, values) for name in CONFIGURATION}
    # Compose reads $ as the start of a variable.
    probe = PROBE.format(model=first).replace("$", "$$")
    flags = textwrap.indent(_flags("/models"), 6 * " ")
    texts["compose.yaml"] = _filled("compose.yaml", {**values, "flags": flags, "probe": probe})
    mounted = "".join(
        f"  {name}: |\n{textwrap.indent(texts[name], 4 * ' ')}" for name in CONFIGURATION
    )
    cluster = {"flags": textwrap.indent(_flags("/config"), 12 * " "), "texts": mounted.rstrip("\n")}
    texts["kubernetes.yaml"] = _filled("kubernetes.yaml", {**values, **cluster})
    return texts


def write(base: Path, deployment: Deployment, force: bool = False) -> dict[str, str]:
    """Write the files; what became of each: 'written', 'unchanged' or 'kept'.

    A file that somebody changed since it was written is kept, unless `force`.
    """
    outcome = {}
    for name, text in texts_of(deployment).items():
        path = base / name
        marked = f"{MARK}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"
        known = path.read_text(encoding="utf-8") if path.exists() else None
        if known == marked:
            outcome[name] = "unchanged"
        elif known is not None and not force and not _is_ours(known):
            outcome[name] = "kept"
        else:
            write_whole(path, marked)
            outcome[name] = "written"
    return outcome


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit status: 0, or 2 where something can't be done."""
    parser = argparse.ArgumentParser(prog="python -m tfd2l.deploy", description=__doc__)
    parser.add_argument("base", nargs="?", type=Path, default=Path("savedmodels"))
    parser.add_argument("--keep-versions", type=int, default=1, help="of each model; default 1")
    parser.add_argument("--threads", type=int, default=2, help="the server's cores; default 2")
    parser.add_argument("--name", default="tfd2l-serving", help="of the Kubernetes objects")
    parser.add_argument("--claim", default="models", help="Kubernetes volume claim of the models")
    parser.add_argument("--replicas", type=int, default=2, help="in Kubernetes; default 2")
    parser.add_argument("--force", action="store_true", help="also over files you changed")
    flags = parser.parse_args(argv)
    try:
        deployment = _checked(flags)
        outcome = write(flags.base, deployment, flags.force)
    except (DeployError, OSError, UnicodeDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, what in outcome.items():
        hint = " (you changed it; --force overwrites it)" if what == "kept" else ""
        print(f"{what:<10} {flags.base / name}{hint}")
    print(f"start      docker compose -f {flags.base / 'compose.yaml'} up")
    return 0


def _checked(flags: argparse.Namespace) -> Deployment:
    for name in ("keep_versions", "threads", "replicas"):
        if not 1 <= getattr(flags, name) <= 1000:
            raise DeployError(
                f"--{name.replace('_', '-')} must be from 1 to 1000; got {getattr(flags, name)}."
            )
    for name in ("name", "claim"):
        if not CLUSTER_NAME.fullmatch(getattr(flags, name)):
            raise DeployError(
                f"--{name} must consist of small letters, digits and '-', as Kubernetes has it; "
                f"got {getattr(flags, name)!r}."
            )
    return Deployment(
        model_names(flags.base),
        flags.keep_versions,
        flags.threads,
        flags.name,
        flags.claim,
        flags.replicas,
    )


def _flags(folder: str) -> str:
    """The server's flags as a YAML list; `folder` has the configuration."""
    flags = [
        "--port=8500",
        "--rest_api_port=8501",
        f"--model_config_file={folder}/models.config",
        "--model_config_file_poll_wait_seconds=30",
        "--enable_batching=true",
        f"--batching_parameters_file={folder}/batching_parameters.txt",
        f"--monitoring_config_file={folder}/monitoring.config",
        # A label may be set before its version is loaded.
        "--allow_version_labels_for_unavailable_models=true",
        # With it a good version is up at once although the one before it fails.
        "--num_load_threads=2",
    ]
    return "\n".join(f"- {flag}" for flag in flags)


def _filled(name: str, values: dict[str, str]) -> str:
    template = resources.files("tfd2l").joinpath("deployment", name).read_text(encoding="utf-8")
    return Template(template).substitute(values)


def _is_ours(text: str) -> bool:
    """Whether a file is as it was written."""
    first, _, rest = text.partition("\n")
    return first == MARK + hashlib.sha256(rest.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
