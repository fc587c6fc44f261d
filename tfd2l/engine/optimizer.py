"""The optimizer in a fit: its state, scaled losses, clipped gradients, updates and last values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.engine.state import Trained
from tfd2l.engine.variables import HasVariables, tf_variable

__all__ = ["apply_gradients", "build_as", "build_for", "check_trained", "clip_by_global_norm",
           "finalize", "scaled_loss", "trained_variables", "with_loss_scale"]  # fmt: skip


def with_loss_scale(optimizer: Any, gradient_clip_val: float = 0) -> Any:
    """Wrap the optimizer in Keras' `LossScaleOptimizer` under the policy `mixed_float16`.

    Half precision loses small gradients, so the loss is scaled up before the gradients are taken,
    and the gradients are scaled down after.

    Args:
        optimizer: a Keras optimizer, or another object with `apply_gradients`.
        gradient_clip_val: the norm that the trainer clips to; 0 means no clipping.

    Returns:
        The wrapped optimizer. Under another policy, or for an optimizer that is not Keras', the
        optimizer itself.

    Raises:
        ValueError: the trainer would clip scaled gradients.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if keras.config.dtype_policy().name == "mixed_float16" and not hasattr(
        optimizer, "inner_optimizer"
    ):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    scales = hasattr(optimizer, "inner_optimizer") or optimizer.loss_scale_factor is not None
    if gradient_clip_val > 0 and scales:
        raise ValueError(
            f"gradient_clip_val={gradient_clip_val} would clip gradients that the optimizer has "
            "scaled, as for mixed_float16; give the Keras optimizer a global_clipnorm instead, or "
            "train in mixed_bfloat16."
        )
    return optimizer


@do_not_convert
def build_for(optimizer: Any, variables: Iterable[Any]) -> None:
    """Give a Keras optimizer its state for variables that it may not have met, as one unfrozen.

    Keras builds an optimizer once, and refuses other variables later. Here it is built again: on
    the variables that it knows, whose state keeps its values, and then on the new ones.

    Args:
        optimizer: a Keras optimizer, which changes, or another object, which does not.
        variables: those that it is to update.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return
    variables = list(variables)
    known = _known_variables(optimizer)
    new = _without(variables, known)
    if optimizer.built and not new:
        return
    with tf.init_scope():
        if optimizer.built:
            _build_again(getattr(optimizer, "inner_optimizer", optimizer), known, new)
        else:
            optimizer.build(variables)


def trained_variables(model: HasVariables, optimizer: Any) -> list[Trained]:
    """The variables that a fit has trained, for a checkpoint."""
    places = {id(tf_variable(v)): place for place, v in enumerate(model.variables)}
    trained = _known_variables(optimizer) or model.trainable_variables
    return [
        Trained(places[id(tf_variable(v))], bool(v.trainable))
        for v in trained
        if id(tf_variable(v)) in places
    ]


def build_as(trained: Sequence[Trained], model: HasVariables, optimizer: Any) -> None:
    """Give an optimizer its state for the variables that a fit has trained, in its order."""
    variables = model.variables
    if max((place for place, _ in trained), default=0) >= len(variables):
        return  # of another model, which the shapes in the checkpoint tell
    build_for(optimizer, [variables[place] for place, _ in trained] or model.trainable_variables)


def check_trained(trained: Sequence[Trained], model: HasVariables) -> None:
    """Warn if a resumed fit trains other variables than the fit that wrote the checkpoint."""
    variables = model.variables
    now = {place for place, variable in enumerate(variables) if variable.trainable}
    then = {place for place, still in trained if still}
    if not trained or now == then:
        return
    changed = sorted(now ^ then)
    names = ", ".join(getattr(variables[place], "path", variables[place].name) for place in changed)
    warnings.warn(
        f"the resumed fit trains other variables than the checkpoint's fit did: {names} "
        f"{'is' if len(changed) == 1 else 'are'} frozen in one of them. Set `trainable` of the "
        "layers as it was at the checkpoint, before the fit.",
        stacklevel=5,
    )


def apply_gradients(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> None:
    """Update the variables, and keep the constraints that layers have put on them.

    Args:
        optimizer: any object with `apply_gradients`.
        gradients: a tensor for each variable, or None.
        variables: `tf.Variable`s and Keras variables.
    """
    optimizer.apply_gradients(zip(gradients, variables, strict=True))
    if not isinstance(optimizer, keras.optimizers.Optimizer):  # Keras' own do it themselves
        for variable in variables:
            if getattr(variable, "constraint", None) is not None:
                variable.assign(variable.constraint(variable))


@do_not_convert
def scaled_loss(optimizer: Any, loss: tf.Tensor) -> tf.Tensor:
    """Scale the loss up, if the optimizer scales the gradients down again.

    Args:
        optimizer: a Keras optimizer, or another object with `apply_gradients`.
        loss: () float.

    Returns:
        The loss to differentiate: () of the dtype of `loss`.
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer.scale_loss(loss)
    return loss


@do_not_convert
def clip_by_global_norm(
    gradients: Sequence[tf.Tensor | None], max_norm: float
) -> list[tf.Tensor | None]:
    """Scale all gradients by one factor so that their joint l2 norm is at most `max_norm`.

    Args:
        gradients: float tensors of any shapes; None, for a variable that the loss does not depend
            on, stays None.
        max_norm: above 0.

    Returns:
        The gradients in the same order, with their shapes and dtypes.

    Source: D2L 9.5.3, and the `gradient_clip_val` of 3.4.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    clipped = iter(tf.clip_by_global_norm(present, max_norm)[0])
    return [None if gradient is None else next(clipped) for gradient in gradients]


def finalize(optimizer: Any) -> None:
    """Give the variables the values of a finished fit: with `use_ema`, their moving averages."""
    if isinstance(optimizer, keras.optimizers.Optimizer) and optimizer.built:
        optimizer.finalize_variable_values(_known_variables(optimizer))


def _known_variables(optimizer: Any) -> list[Any]:
    """The variables that a built Keras optimizer has state for, in its order; [] for another."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return list(getattr(inner, "_trainable_variables", ()))


def _build_again(optimizer: Any, known: list[Any], new: list[Any]) -> None:
    """Build a Keras optimizer on known and new variables; what it had for the known ones stays."""
    # A MultiOptimizer has others inside, each with variables of its own.
    owners = [optimizer, *getattr(optimizer, "optimizers", ())]
    before = [(list(owner._variables), dict(vars(owner))) for owner in owners]
    for owner in owners:
        owner.built = False
    optimizer.build([*known, *new])
    for owner, (old, attributes) in zip(owners, before, strict=True):
        _move_state(owner, old, attributes)
        if owner.use_ema:
            averages = owner._model_variables_moving_average
            for variable, average in zip(owner._trainable_variables, averages, strict=True):
                if average is not None and _without([variable], known):
                    average.assign(variable)


def _move_state(optimizer: Any, old: list[Any], attributes: dict[str, Any]) -> None:
    """Give the variables that an optimizer has just made the values of those that they replace."""
    made = _without(optimizer._variables, old)
    for before in old:
        # An attribute, or a slot, which is named after its variable; slots of one name are made in
        # the order of the variables.
        named = [vars(optimizer)[name] for name, held in attributes.items() if held is before]
        alike = [v for v in made if (v.path, v.shape) == (before.path, before.shape)]
        after = next(iter([*_without(named, old), *alike]), None)
        if after is not None:
            after.assign(before)
            made = _without(made, [after])
            optimizer._untrack_variable(before)


def _without(variables: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """The variables that are not among the others; `==` would compare their values."""
    ids = {id(tf_variable(other)) for other in others}
    return [variable for variable in variables if id(tf_variable(variable)) not in ids]
