"""Makes the functions of an export's signatures, for any raw inputs and either kind of output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from pipelines.outputs import ClassOutput, NumberOutput, Output
from pipelines.raw_inputs import ImageInput, RawInput

__all__ = ["PREDICT", "PREDICT_BYTES", "endpoints"]

Outputs = dict[str, tf.Tensor]
Raw = Mapping[str, tf.Tensor]
PREDICT, PREDICT_BYTES = "serving_default", "predict_bytes"
# The input of Classify and Regress: serialised `tf.train.Example`s.
_EXAMPLES = tf.TensorSpec((None,), tf.string, name="inputs")
_FILES = tf.TensorSpec((None,), tf.string, name="image_bytes")


def endpoints(
    function: Callable[[Any], tf.Tensor],
    raw_input: RawInput,
    output: Output,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """Make the signatures' functions, by the signature's name.

    Args:
        function: the model's inputs -> logits, or numbers.
        raw_input: the raw inputs.
        output: the kind of output.
        names: the names of the raw inputs in the graph, by their own.
    """

    def answer(raw: Raw) -> Outputs:
        outputs = tf.cast(function(raw_input.prepare(_guarded(raw, raw_input))), tf.float32)
        if isinstance(output, ClassOutput):
            return _class_answer(outputs, output)
        return {"prediction": output.restore(tf.reshape(outputs, [-1]))}

    specs = [
        tf.TensorSpec(spec.shape, spec.dtype, names[name]) for name, spec in raw_input.specs.items()
    ]

    @tf.function(input_signature=specs)  # type: ignore[untyped-decorator]  # no types
    def predict(*raw: tf.Tensor) -> Outputs:
        return answer(dict(zip(raw_input.specs, raw, strict=True)))

    found = {PREDICT: predict, **_of_examples(answer, raw_input, output)}
    if isinstance(raw_input, ImageInput) and raw_input.decode is not None:
        found[PREDICT_BYTES] = _of_files(answer, raw_input)
    return found


def _guarded(raw: Raw, raw_input: RawInput) -> Raw:
    """The server does not enforce declared shapes; without these ops a wrong one gets an answer."""
    specs = raw_input.specs
    return {name: tf.ensure_shape(tensor, specs[name].shape) for name, tensor in raw.items()}


def _class_answer(logits: tf.Tensor, output: ClassOutput) -> Outputs:
    class_id = tf.argmax(logits, axis=-1, output_type=tf.int64)
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "class_id": class_id,
        "label": tf.gather(tf.constant(output.labels), class_id),
    }


def _of_examples(
    answer: Callable[[Raw], Outputs], raw_input: RawInput, output: Output
) -> dict[str, Any]:
    """Make the function of Classify or of Regress."""

    @tf.function(input_signature=[_EXAMPLES])  # type: ignore[untyped-decorator]  # no types
    def of_examples(inputs: tf.Tensor) -> Outputs:
        answers = answer(raw_input.parse(tf.ensure_shape(inputs, [None])))
        if isinstance(output, NumberOutput):
            return {"outputs": answers["prediction"]}
        scores, order = tf.math.top_k(answers["probabilities"], k=len(output.labels))
        return {"classes": tf.gather(tf.constant(output.labels), order), "scores": scores}

    return {"regress" if isinstance(output, NumberOutput) else "classify": of_examples}


def _of_files(answer: Callable[[Raw], Outputs], raw_input: ImageInput) -> Any:
    """Make the function that takes encoded files."""

    @tf.function(input_signature=[_FILES])  # type: ignore[untyped-decorator]  # no types
    def predict_bytes(image_bytes: tf.Tensor) -> Outputs:
        return answer({"image": raw_input.decoded(tf.ensure_shape(image_bytes, [None]))})

    return predict_bytes
