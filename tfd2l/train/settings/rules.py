"""The rules by which settings go together, and the defaults that follow from others.

Imports nothing slow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfd2l.train.settings.catalog import CATALOG
from tfd2l.train.settings.cluster import addresses_in

__all__ = ["check_together", "defaults_for"]

# The book's settings for linear regression, where they differ from those for classifiers.
LINEAR_DEFAULTS = {"epochs": 3, "batch_size": 32, "lr": 0.03}
# With a rate of 0.1, an mlp on images of 64 x 64 pixels in colour diverges, or only guesses.
OWN_DATA_DEFAULTS = {"epochs": 20, "batch_size": 32, "lr": 0.01}
# Weights of a layer: 4 GiB of float32.
MAX_WEIGHTS = 2**30
_OF_IMAGES = ("resize", "data_dir")
_OF_FOLDERS = ("channels", "skip_broken")


def defaults_for(values: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that differ for these settings from those of Fashion-MNIST."""
    if values.get("resume") is not None or values.get("publish") is not None:
        return {}
    found: dict[str, Any] = {}
    model = str(values.get("model", ""))
    if values.get("data") is not None:
        found |= OWN_DATA_DEFAULTS
        if values.get("target") is None:
            found |= {"resize": (64, 64)}
    elif model in CATALOG and CATALOG[model].task == "regression":
        found |= LINEAR_DEFAULTS
    if str(values.get("optimizer", "")).startswith("adam"):
        found |= {"lr": 0.001}
    return found


def check_together(config: Any, given: set[str]) -> None:
    """Raise ValueError for settings that exclude each other.

    Args:
        config: all settings, a `TrainConfig`.
        given: the names of those that differ from the defaults.
    """
    _check_execution(config)
    _check_model(config, given)
    _check_data(config, given)
    if config.dry_run and "run_dir" in given:
        raise ValueError("dry_run keeps nothing; drop it or run_dir")
    if config.epoch is not None and config.publish is None:
        raise ValueError("epoch names the one to publish; add publish, or say epochs")
    if config.publish is not None and config.resume is not None:
        raise ValueError("publish and resume exclude each other; drop one")


def _check_execution(config: Any) -> None:
    if config.run_eagerly and config.jit_compile:
        raise ValueError("run_eagerly and jit_compile exclude each other; drop one")
    if config.deterministic and config.jit_compile:
        raise ValueError(
            "what XLA computes depends on the number of threads; drop deterministic or jit_compile"
        )
    if config.devices != 1 and config.jit_compile:
        raise ValueError("jit_compile compiles for one device, not for several; drop it or devices")
    if (config.workers is None) != (config.worker_index is None):
        raise ValueError("workers and worker_index go together; give both")
    if config.workers is not None:
        _check_workers(config)
    entry = CATALOG.get(config.model)
    if config.precision != "float32" and entry is not None and entry.is_scratch:
        raise ValueError(
            f"precision {config.precision!r} is a policy of Keras layers, and {config.model!r} "
            f"has none; use model {config.model.removesuffix('-scratch')!r}"
        )


def _check_workers(config: Any) -> None:
    count = len(addresses_in(config.workers))
    if config.worker_index >= count:
        raise ValueError(
            f"worker_index must be a number of the {count} workers, from 0; got "
            f"{config.worker_index}"
        )
    if config.publish is not None:
        raise ValueError("publish needs one process; drop workers and worker_index")
    if config.jit_compile:
        raise ValueError("jit_compile compiles for one device, not for several; drop it or workers")


def _check_model(config: Any, given: set[str]) -> None:
    if config.model not in CATALOG:
        return
    is_mlp = config.model.removesuffix("-scratch") in ("mlp", "dropout")
    if "num_hiddens" in given and not is_mlp:
        raise ValueError(f"num_hiddens is for 'mlp' and 'dropout', not {config.model!r}")
    if is_mlp and math.prod(config.resize) * config.num_hiddens > MAX_WEIGHTS:
        raise ValueError(
            f"num_hiddens times the pixels of resize must be at most {MAX_WEIGHTS:,} weights; "
            f"got {config.num_hiddens:,} times {math.prod(config.resize):,}"
        )
    if config.model == "lenet" and min(config.resize) < 12:
        raise ValueError(
            f"resize must be at least 12x12 for 'lenet'; got {config.resize[0]}x{config.resize[1]}"
        )


def _check_data(config: Any, given: set[str]) -> None:
    if config.data is None:
        others = {"target", "val_share", "data_option", *_OF_FOLDERS} & given
        if others:
            raise ValueError(f"{min(others)} is for data of your own; add data")
    elif "data_dir" in given:
        raise ValueError("data_dir is for Fashion-MNIST, and data is your own; drop one")
    for name in _OF_IMAGES:
        if name in given and config.is_synthetic:
            raise ValueError(f"{name} is for image models; {config.model!r} fits made-up data")
    for name in (*_OF_IMAGES, *_OF_FOLDERS):
        if name in given and config.is_table:
            raise ValueError(f"{name} is for images, and target for a table; drop one")
    if config.channels == 2:
        raise ValueError("channels must be 1 for grey images or 3 for coloured ones; got 2")
