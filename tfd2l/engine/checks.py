"""Checks of what a user's model, data and steps give to the trainer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.engine.callback import Callback

__all__ = ["check_callbacks", "check_gradients", "check_loss", "check_methods"]

# Keras' callbacks, and what does their work here.
_FOR_KERAS = {
    "EarlyStopping": "d2l.EarlyStopping",
    "ModelCheckpoint": "d2l.ModelCheckpoint",
    "BackupAndRestore": "d2l.ModelCheckpoint, and fit(model, data, checkpoint)",
    "LearningRateScheduler": "a schedule of keras.optimizers.schedules in configure_optimizers",
    "ReduceLROnPlateau": "a d2l.Callback whose on_epoch_end sets trainer.optim.learning_rate",
    "CSVLogger": "pandas.DataFrame(history).to_csv(path)",
    "TensorBoard": "a d2l.Callback whose on_epoch_end calls tf.summary.scalar",
    "LambdaCallback": "a subclass of d2l.Callback",
    "ProgbarLogger": "Trainer(enable_progress_bar=True), the default",
    "History": "the history that fit returns",
    "TerminateOnNaN": "fit itself, which stops at a loss or weight that is not finite",
}
# Hooks of Keras and Lightning by other names than here.
_HOOKS = {
    "on_train_begin": "on_fit_begin", "on_train_start": "on_fit_begin",
    "on_fit_start": "on_fit_begin", "on_train_end": "on_fit_end",
    "on_epoch_start": "on_epoch_begin", "on_train_epoch_start": "on_epoch_begin",
    "on_train_epoch_end": "on_epoch_end", "on_validation_epoch_end": "on_epoch_end",
    "on_validation_end": "on_epoch_end", "on_test_end": "on_epoch_end",
    "on_batch_end": "on_train_batches_end", "on_train_batch_end": "on_train_batches_end",
}  # fmt: skip


def check_callbacks(callbacks: Iterable[Any]) -> None:
    """Raise TypeError unless all are callbacks of this library, with hooks that are called."""
    for given in callbacks:
        name = given.__name__ if isinstance(given, type) else type(given).__name__
        if isinstance(given, type) and issubclass(given, Callback):
            raise TypeError(f"callbacks are objects; {name} is a class, so give {name}(...).")
        if not isinstance(given, Callback):
            remedy = "derive it from d2l.Callback"
            if type(given).__module__.partition(".")[0] == "keras" and name in _FOR_KERAS:
                remedy = f"instead of Keras' take {_FOR_KERAS[name]}"
            raise TypeError(f"a trainer's callbacks are d2l.Callback's; got {name}: {remedy}.")
        for hook, ours in _HOOKS.items():
            if hasattr(given, hook):
                raise TypeError(f"{name}.{hook} would never be called; name it {ours}.")


def check_methods(role: str, given: Any, *methods: str) -> None:
    """Raise TypeError unless the object given to `Trainer.fit` as `role` has these methods."""
    missing = [name for name in methods if not hasattr(given, name)]
    if missing:
        raise TypeError(
            f"Trainer.fit(model, data) needs a d2l.Module and a d2l.DataModule; the {role} given "
            f"is a {type(given).__name__}, which has no {missing[0]}. A Keras model goes in as the "
            "attribute net of a d2l.Classifier or d2l.Module, a data set as what a DataModule's "
            "get_dataloader(train) returns."
        )


@do_not_convert
def check_loss(loss: Any, name: str) -> None:
    """Raise ValueError unless the loss of the model `name` is one number, of shape () or (1,)."""
    if loss is None:
        raise ValueError(f"{name}.training_step returned None; let it return the loss.")
    shape = tf.convert_to_tensor(loss).shape
    if shape.num_elements() not in (None, 1):
        raise ValueError(
            f"{name}.training_step returned a loss of shape {shape}, whose gradient would be that "
            "of the sum; return one number, e.g. tf.reduce_mean of the examples' losses, and "
            "tf.add_n of several penalties."
        )


@do_not_convert
def check_gradients(gradients: Sequence[Any], name: str) -> None:
    """Raise ValueError if the loss does not depend on any variable of the model `name`."""
    if all(gradient is None for gradient in gradients):
        raise ValueError(
            f"the loss does not depend on any of the {len(gradients)} trainable variables of "
            f"{name}; make parameters tf.Variables or Keras layers that are "
            "attributes of the model, and compute the loss from them with TensorFlow."
        )
