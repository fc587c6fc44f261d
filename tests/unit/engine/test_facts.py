"""The facts that the processes of a fit compare."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tfd2l.engine.distribution.facts import facts_of, optimizer_facts
from tfd2l.engine.errors import MirrorError


def facts(train: Any, val: Any = None, **settings: Any) -> dict[str, Any]:
    trainer = SimpleNamespace(
        model=d2l.LinearRegressionScratch(2, lr=0.03),
        _train_loader=SimpleNamespace(batches=train),
        val_dataloader=val,
        num_train_batches=3,
        num_val_batches=0,
        **settings,
    )
    return facts_of(trainer, None, None)


def loader(seed: int = 0, size: int = 2, value: float = 1) -> tf.data.Dataset:
    X = np.full((5, 2), value, np.float32)
    return batched((X, X[:, :1]), size, shuffle=True, seed=seed)


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    return [name for name in one | other if one.get(name) != other.get(name)]


def test_data_in_memory_differs_by_size_seed_and_values() -> None:
    first = facts(loader(), max_epochs=2)
    assert differing(first, facts(loader(), max_epochs=2)) == []
    assert differing(first, facts(loader(size=3), max_epochs=2)) == ["the training batch size"]
    assert differing(first, facts(loader(seed=1), max_epochs=2)) == [
        "the seed of the training data"
    ]
    assert differing(first, facts(loader(value=2), max_epochs=2)) == ["the first training example"]
    assert differing(first, facts(loader(), max_epochs=3)) == ["max_epochs"]
    assert "the validation batch size" in differing(first, facts(loader(), loader(), max_epochs=2))


def test_optimizers_differ_by_class_and_settings() -> None:
    sgd, adam = keras.optimizers.SGD, keras.optimizers.Adam
    schedule = keras.optimizers.schedules.CosineDecay
    assert differing(optimizer_facts(sgd(0.1)), optimizer_facts(sgd(0.1))) == []
    assert "the optimizer" in differing(optimizer_facts(sgd(0.1)), optimizer_facts(adam(0.1)))
    rates = [optimizer_facts(sgd(schedule(0.1, steps))) for steps in (10, 20)]
    assert differing(*rates) == ["learning_rate of the optimizer"]
    scratch = [optimizer_facts(d2l.SGD(lr)) for lr in (0.1, 0.2)]
    assert differing(*scratch) == ["lr of the optimizer"]


def test_a_data_set_that_asks_for_shards_is_refused() -> None:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.FILE
    stream = loader().map(lambda *batch: batch)
    assert facts(stream)["the number of steps in an epoch"] == 3
    with pytest.raises(MirrorError, match=r"AutoShardPolicy.OFF; got FILE"):
        facts(stream.with_options(options))
