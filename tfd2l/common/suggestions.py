"""Suggests the name that a user may have meant: misspelt, or what other tools call it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]

# The names of other libraries and servers, by those of this one.
_SYNONYMS = {
    "batch-size": "bs minibatch-size per-device-train-batch-size",
    "checkpoint-every": "save-every save-freq save-steps",
    "claim": "pvc volume",
    "config": "cfg settings",
    "cpus": "cpu",
    "data-dir": "dataset input root",
    "device": "accelerator cpu cuda gpu gpus",
    "epochs": "max-epochs n-epochs num-epochs num-train-epochs",
    "export-dir": "out out-dir outdir output output-dir save-dir save-path",
    "force": "overwrite",
    "gradient-clip-val": "clip-norm clipnorm grad-clip max-grad-norm",
    "host": "address bind ip listen",
    "image": "docker-image",
    "jit-compile": "xla",
    "lr": "learning-rate learningrate rate step-size",
    "memory": "mem ram",
    "num-hiddens": "hidden-size hidden-units units",
    "picture": "figure out output plot save",
    "pin": "model-version",
    "port": "rest-api-port rest-port",
    "precision": "amp bf16 dtype fp16",
    "resize": "image-size img-size input-size size",
    "rest-port": "port rest-api-port",
    "resume": "checkpoint ckpt ckpt-path continue restore",
    "run-dir": "checkpoint-dir ckpt-dir log-dir logdir work-dir workdir",
    "run-eagerly": "debug eager",
    "seed": "random-state",
    "threads": "num-workers workers",
    "url": "address endpoint host port server",
}


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """A question with the one of the names that is most like `name`; empty if none is.

    Example:
        >>> did_you_mean("--learning_rate", ["--epochs", "--lr"])
        '; did you mean --lr?'
        >>> did_you_mean("--colour", ["--epochs", "--lr"])
        ''
    """
    found = _closest(_key(name), {_key(one): one for one in names})
    return f"; did you mean {found}?" if found else ""


def _key(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()


def _closest(key: str, names: dict[str, str]) -> str | None:
    """The most likely of the names, which are given by their keys."""
    if key.startswith("no-"):
        off = {one[3:]: flag for one, flag in names.items() if one.startswith("no-")}
        return _closest(key[3:], off)
    names = {one: flag for one, flag in names.items() if not one.startswith("no-")}
    by_synonym = [one for one in names if key in _SYNONYMS.get(one, "").split()]
    by_part = [one for one in names if key in one.split("-")]
    by_letters = difflib.get_close_matches(key, names, n=1, cutoff=0.7)
    for found in ([key] if key in names else [], by_synonym, by_part, by_letters):
        if len(found) == 1:
            return names[found[0]]
    return None
