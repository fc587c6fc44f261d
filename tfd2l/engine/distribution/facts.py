"""The facts of a fit that all its processes must share, or their steps would not fit together."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.common.packages import package_versions, project_version
from tfd2l.engine.errors import MirrorError
from tfd2l.engine.loaders import Batch, indexed
from tfd2l.engine.tracing.step import spec_of
from tfd2l.engine.variables import tf_variable

__all__ = ["facts_of", "optimizer_facts"]

_SETTINGS = ("max_epochs", "gradient_clip_val", "steps_per_execution", "run_eagerly")


def facts_of(trainer: Any, example: Batch | None, checkpoint: Path | None) -> dict[str, Any]:
    """Versions, model, data and settings of a fit, by the names that an error gives.

    Args:
        trainer: has its model and its loaders.
        example: a batch, or the first example of data in memory.
        checkpoint: the file that the fit resumes from.

    Raises:
        MirrorError: a data set asks for shards.
    """
    model = trainer.model
    for loader in (trainer._train_loader.batches, trainer.val_dataloader):
        _check_sharding(loader)
    facts: dict[str, Any] = {"the version of tfd2l": project_version()}
    facts |= {
        f"the version of {name}": version
        for name, version in package_versions().items()
        if name in ("tensorflow", "keras")
    }
    facts["the model"] = type(model).__name__
    facts |= _facts_of_loader("training", trainer._train_loader.batches, example)
    facts |= _facts_of_loader("validation", trainer.val_dataloader, None)
    facts["the number of steps in an epoch"] = trainer.num_train_batches
    facts["the number of validation steps"] = trainer.num_val_batches
    for number, variable in enumerate(map(tf_variable, model.variables), 1):
        name = f"variable {number} of the model"
        facts[name] = f"{tuple(variable.shape)} {variable.dtype.name}"
    facts |= {name: getattr(trainer, name, None) for name in _SETTINGS}
    if checkpoint is not None:
        # A file that can't be read is an error of `load_checkpoint`, which says why.
        known = checkpoint.is_file()
        facts["the checkpoint"] = _digest(checkpoint.read_bytes()) if known else "missing"
    return facts


def optimizer_facts(optimizer: Any) -> dict[str, Any]:
    """The optimizer and its settings."""
    facts: dict[str, Any] = {"the optimizer": type(optimizer).__name__}
    settings = {name: value for name, value in vars(optimizer).items() if name == "lr"}
    if isinstance(optimizer, keras.optimizers.Optimizer):
        # Its name has the number of the optimizers that the process made before.
        settings = optimizer.get_config() | {"name": None}
    for name, value in settings.items():
        # Through JSON, as a schedule has settings of its own.
        facts[f"{name} of the optimizer"] = json.loads(json.dumps(value, default=str))
    return facts


def _check_sharding(loader: Any) -> None:
    """Refuse a policy that would give each worker other batches than one process has."""
    if isinstance(loader, tf.data.Dataset):
        policy = loader.options().experimental_distribute.auto_shard_policy
        policies = tf.data.experimental.AutoShardPolicy
        if policy not in (policies.AUTO, policies.OFF):
            raise MirrorError(
                f"each worker makes the whole batch and takes its slice, so a data set must have "
                f"AutoShardPolicy.OFF; got {policy.name}. Drop the option."
            )


def _facts_of_loader(kind: str, loader: Any, example: Batch | None) -> dict[str, Any]:
    """The batches of a loader; data in memory also by the seed and the bytes of one example."""
    examples = indexed(loader)
    if examples is None:
        if example is None:
            return {}
        shapes = [f"{tuple(s.shape)} {s.dtype.name}" for s in tf.nest.flatten(spec_of(example))]
        return {f"the first {kind} batch": ", ".join(shapes)}
    first = examples.fetch(tf.constant([0])) if example is None else example
    parts = [part for part in tf.nest.flatten(first) if isinstance(part, tf.Tensor)]
    return {
        f"the {kind} batch size": examples.batch_size,
        f"the number of {kind} examples": examples.num_examples,
        f"the seed of the {kind} data": examples.seed if examples.shuffle else None,
        f"the first {kind} example": _digest(
            *(np.ascontiguousarray(part).tobytes() for part in parts if part.dtype != tf.string)
        ),
    }


def _digest(*parts: bytes) -> str:
    """The first digits of the SHA-256 of some bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
