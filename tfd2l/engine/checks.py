"""Checks of what a user's model, data and steps give to the trainer."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.text import shown
from pipelines.tensors import described
from tfd2l.engine.callback import Callback

__all__ = ["check_callbacks", "check_gradients", "check_methods", "check_num_inputs", "class_ids",
           "loss_of", "optimizer_of", "scores_and_ids"]  # fmt: skip

# Keras' callbacks, and what does their work here.
_FOR_KERAS = {
    "EarlyStopping": "d2l.EarlyStopping",
    "ModelCheckpoint": "d2l.ModelCheckpoint",
    "BackupAndRestore": "d2l.ModelCheckpoint, and fit(model, data, checkpoint)",
    "LearningRateScheduler": "a schedule of keras.optimizers.schedules in configure_optimizers",
    "ReduceLROnPlateau": "a d2l.Callback whose on_epoch_end sets trainer.optim.learning_rate",
    "CSVLogger": "pandas.DataFrame(history).to_csv(path)",
    "TensorBoard": "d2l.TensorBoard",
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


def optimizer_of(model: Any) -> Any:
    """The optimizer that a model's `configure_optimizers` returns.

    Raises:
        TypeError: it is no object with `apply_gradients`.
    """
    optimizer = model.configure_optimizers()
    if isinstance(optimizer, type) or not hasattr(optimizer, "apply_gradients"):
        raise TypeError(
            f"{type(model).__name__}.configure_optimizers must return one optimizer, an object "
            f"with apply_gradients; got {described(optimizer)}. Return e.g. "
            "keras.optimizers.Adam(self.lr); a schedule goes in as its learning rate, and a step "
            "with two optimizers into a Trainer.fit_epoch of your own."
        )
    return optimizer


@do_not_convert
def loss_of(returned: Any, name: str) -> Any:
    """The loss that the `training_step` of the model `name` returned, alone or in a dict.

    As in Lightning, a dict has it as "loss"; other entries are not used.

    Raises:
        ValueError: there is no loss, or it is not one number, of shape () or (1,).
    """
    loss = returned
    if isinstance(returned, Mapping):
        if "loss" not in returned:
            raise ValueError(
                f"{name}.training_step returned a dict without 'loss', with the keys "
                f"{shown([*returned])}; let it return the loss, or a dict with it."
            )
        loss = returned["loss"]
    if loss is None:
        raise ValueError(f"{name}.training_step returned None; let it return the loss.")
    if isinstance(loss, list | tuple | str | Mapping):
        raise ValueError(
            f"{name}.training_step returned a {type(loss).__name__}; let it return the loss alone, "
            "and self.plot('name', value, train=True) what else is to be recorded."
        )
    shape = tf.convert_to_tensor(loss).shape
    if shape.num_elements() not in (None, 1):
        raise ValueError(
            f"{name}.training_step returned a loss of shape {shape}, whose gradient would be that "
            "of the sum; return one number, e.g. tf.reduce_mean of the examples' losses, and "
            "tf.add_n of several penalties."
        )
    return loss


@do_not_convert
def check_gradients(gradients: Sequence[Any], name: str) -> None:
    """Raise ValueError if the loss does not depend on any variable of the model `name`."""
    if all(gradient is None for gradient in gradients):
        raise ValueError(
            f"the loss does not depend on any of the {len(gradients)} trainable variables of "
            f"{name}; make parameters tf.Variables or Keras layers that are "
            "attributes of the model, and compute the loss from them with TensorFlow."
        )


@do_not_convert
def check_num_inputs(model: Any, batch: Sequence[Any]) -> None:
    """Raise TypeError unless `model` takes as many inputs as a batch has before its targets."""
    if len(batch) == 2:
        return
    net = getattr(model, "net", None)
    functions = [model.call, model.forward]
    functions += [net.call] if isinstance(net, keras.layers.Layer) else []
    # A function that takes any number of inputs passes them on to the next one.
    limits = [most for most in map(_most_inputs, functions) if most is not None]
    inputs, name = len(batch) - 1, type(model).__name__
    if inputs == 0:
        raise TypeError(
            "a batch of one entry has targets and no inputs; let the loader give (inputs, targets),"
            f" or define {name}.training_step and validation_step."
        )
    if limits and inputs > limits[0]:
        raise TypeError(
            f"a batch of {len(batch)} entries has {inputs} inputs and, last, the targets; {name} "
            f"takes {limits[0]} input. If the last are Keras' sample weights, define "
            f"{name}.training_step: X, y, w = batch, and its loss tf.reduce_mean(w * losses). "
            "Several inputs of a Keras model are one entry: ((X1, X2), y)."
        )


@do_not_convert
def scores_and_ids(Y_hat: Any, Y: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Flatten scores (..., q) to (n, q), and class ids of as many examples to (n,).

    Raises:
        ValueError: `Y` is one-hot, or of another number of examples.
    """
    Y_hat, Y = tf.convert_to_tensor(Y_hat), tf.convert_to_tensor(Y)
    scores, ids = tf.reshape(Y_hat, (-1, Y_hat.shape[-1])), tf.reshape(Y, (-1,))
    if not ids.shape.is_compatible_with(scores.shape[:1]):
        raise ValueError(_wrong_shapes(Y_hat, Y))
    return scores, ids


@do_not_convert
def class_ids(y_hat: Any, y: Any) -> tf.Tensor:
    """Return `y` as int32 or int64, if it is (n,) of integers and `y_hat` is (n, q)."""
    y_hat, y = tf.convert_to_tensor(y_hat), tf.convert_to_tensor(y)
    if y_hat.shape.rank != 2 or not y.shape.is_compatible_with(y_hat.shape[:1]):
        raise ValueError(_wrong_shapes(y_hat, y))
    if y.dtype == tf.string:
        raise ValueError(
            "class ids must be integers, from 0; got text. Number the labels: "
            "ids, names = pandas.factorize(labels), or keras.layers.StringLookup(num_oov_indices=0)"
            " in the data set's map."
        )
    if not y.dtype.is_integer:
        raise ValueError(
            f"class ids must be integers, from 0; got {y.dtype.name}. Do: tf.cast(y, tf.int32)."
        )
    return y if y.dtype in (tf.int32, tf.int64) else tf.cast(y, tf.int32)


def _wrong_shapes(y_hat: tf.Tensor, y: tf.Tensor) -> str:
    """The rule for the shapes of scores and class ids, and the remedy for common labels."""
    remedy = ""
    if y.shape.rank == 2 and y.shape[1] == 1:
        remedy = " Labels of shape (n, 1) become class ids by tf.squeeze(y, axis=1)."
    elif y.shape.rank is not None and y.shape.rank > 1 and y.shape.rank == y_hat.shape.rank:
        axis = y.shape.rank - 1
        remedy = f" One-hot labels become class ids by tf.argmax(y, axis={axis})."
    return (
        f"scores need shape (n, q) and class ids shape (n,); got {y_hat.shape} and {y.shape}."
        + remedy
    )


def _most_inputs(function: Callable[..., Any]) -> int | None:
    """The number of arguments that a function takes by position; None if it is any number."""
    found = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in found):
        return None
    by_position = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(p.kind in by_position and p.name not in ("training", "mask") for p in found)
