"""Explains names of other frameworks that are not here: the idiom of this library instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping

__all__ = ["LIBRARY", "MODEL", "OPTIMIZER", "missing_attribute", "missing_name"]

_FIT = "train with d2l.Trainer(max_epochs=10).fit(model, data)"
_DEVICE = (
    "the trainer chooses the device, d2l.Trainer(num_gpus=1); variables stay where they are made, "
    "e.g. within `with d2l.gpu():`"
)
_TAPE = (
    "compute the loss within `with tf.GradientTape() as tape:`, then "
    "tape.gradient(loss, model.trainable_variables)"
)
_NOTHING_TO_CLEAR = "there is nothing to clear: each tf.GradientTape starts without gradients"
_IMPORT = "write `import tfd2l as d2l`: there is one edition, for TensorFlow and Keras"
_FROZEN = "set layer.trainable = False, or make it tf.Variable(..., trainable=False)"
_PARTS = "layers and modules are attributes, e.g. model.net.layers; model.summary() lists them"
_INITIALIZER = (
    "Keras layers begin with Xavier's (Glorot's) weights; others come from "
    "kernel_initializer= of the layer"
)

# Names that users of PyTorch, Lightning and Keras try on a model, and the idiom here.
MODEL: Mapping[str, str] = {
    **dict.fromkeys(("to", "cuda", "cpu", "device"), _DEVICE),
    **dict.fromkeys(("children", "modules", "named_children", "named_modules"), _PARTS),
    **dict.fromkeys(("apply", "apply_init"), _INITIALIZER),
    **dict.fromkeys(("compile", "fit"), _FIT),
    **dict.fromkeys(("log", "log_dict"), "plot and record by self.plot('loss', value, train=True)"),
    **dict.fromkeys(("requires_grad_", "freeze"), _FROZEN),
    "backward": _TAPE,
    "zero_grad": _NOTHING_TO_CLEAR,
    "half": "set keras.config.set_dtype_policy('mixed_bfloat16') before the model is made",
    "evaluate": "losses and accuracies of the validation data are in the history that fit returns",
    "save": "write the weights by model.save_weights(path); export a model to serve by d2l.publish",
}
# The same for the optimizer from scratch.
OPTIMIZER: Mapping[str, str] = {
    "step": "optimizer.apply_gradients(zip(gradients, variables)) makes a step",
    "zero_grad": _NOTHING_TO_CLEAR,
    "param_groups": "the learning rate is optimizer.lr; variables come with the gradients",
}
# The same for the library itself, with functions of the book's older editions.
LIBRARY: Mapping[str, str] = {
    **dict.fromkeys(("torch", "tensorflow", "mxnet", "jax", "paddle"), _IMPORT),
    **dict.fromkeys(("train_ch3", "train_epoch_ch3", "train_ch6", "train_ch13"), _FIT),
    **dict.fromkeys(("evaluate_accuracy", "evaluate_accuracy_gpu", "evaluate_loss"),
                    "model.predict(X) gives the outputs, d2l.accuracy(outputs, y) their share of "
                    "hits; a fit's history has both for the validation data"),
    **dict.fromkeys(("load_array", "get_dataloader_workers"),
                    "a DataModule's get_tensorloader(tensors, train) makes batches of tensors in "
                    "memory, tf.data of all others; neither has worker processes"),
    "load_data_fashion_mnist":
        "data = d2l.FashionMNIST(batch_size) has train_dataloader() and val_dataloader()",
    "synthetic_data": "d2l.SyntheticRegressionData(w, b) has the examples as X and y",
    "linreg": "d2l.LinearRegressionScratch is the model",
    "sgd": "d2l.SGD(lr).apply_gradients(zip(gradients, variables)) makes a step",
    "init_cnn": _INITIALIZER,
    "no_grad": "nothing is needed in its place: only a tf.GradientTape records",
    "Animator": "d2l.ProgressBoard draws curves, and model.plot adds to them",
    "nn": "keras.layers has the layers, d2l.Module and d2l.Classifier are the base classes",
}  # fmt: skip


def missing_attribute(owner: object, name: str, hints: Mapping[str, str]) -> AttributeError:
    """Make the error for an attribute that an object lacks, with the idiom in its place.

    Args:
        owner: the object.
        name: the attribute.
        hints: idioms by name, such as `MODEL`.
    """
    text = f"{type(owner).__name__!r} object has no attribute {name!r}"
    hint = f": {hints[name]}." if name in hints else ""
    # Python's tracebacks suggest a similar attribute by `name` and `obj`.
    return AttributeError(text + hint, name=name, obj=owner)


def missing_name(module: str, name: str, names: Iterable[str]) -> str:
    """Say that a module lacks a name, and the idiom in its place or similar names.

    Args:
        module: the module's name.
        name: the missing name.
        names: the names that the module has.

    Example:
        >>> missing_name("tfd2l", "LeNett", ["LeNet", "MLP"])
        "tfd2l has no 'LeNett'. Did you mean LeNet? It has the names of the book's chapters 2 to 8."
    """
    if name in LIBRARY:
        return f"{module} has no {name!r}: {LIBRARY[name]}."
    by_lower_case = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), by_lower_case, cutoff=0.75)
    suggestion = f" Did you mean {' or '.join(by_lower_case[n] for n in near)}?" if near else ""
    return f"{module} has no {name!r}.{suggestion} It has the names of the book's chapters 2 to 8."
