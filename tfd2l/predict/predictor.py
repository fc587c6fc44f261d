"""The part that all clients share: check examples, send them in batches, check the answers.

A `Predictor` queries a model over REST (`rest_client.Client`), over gRPC (`grpc_client.GrpcClient`)
or in this process (`local.LocalModel`). TensorFlow is not imported.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Self, TypeVar, overload

import numpy as np
import numpy.typing as npt

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import one_line, shown
from tfd2l.export.signature_types import Signature
from tfd2l.export.versions import MAX_VERSION
from tfd2l.predict.answers import (
    Classification,
    NumberPredictions,
    Predictions,
    ServingError,
    check_images,
)
from tfd2l.predict.forms import ImageForm, RowForm, raw_form
from tfd2l.predict.rows import Rows, are_rows, check_rows

__all__ = ["CLASSIFY", "EXPORT_HINT", "MAX_EXAMPLES", "PREDICT", "Inputs", "Outputs", "Predictor",
           "RemotePredictor", "signature_inputs"]  # fmt: skip

Array = np.ndarray[Any, Any]
# Arrays by the names of inputs: uint8 or float32, or strings as dtype object (bytes).
Inputs = Mapping[str, Array]
Outputs = Mapping[str, Any]
# A server that was deployed with --batching takes as many: max_batch_size of its parameters.
MAX_EXAMPLES = 1024
# Dtypes and ranks of the outputs of all signatures.
_FORMS: dict[str, tuple[npt.DTypeLike, int]] = {
    "logits": (np.float32, 2),
    "probabilities": (np.float32, 2),
    "class_id": (np.int64, 1),
    "label": (np.str_, 1),
    "classes": (np.str_, 2),
    "scores": (np.float32, 2),
    "prediction": (np.float32, 1),
}
PREDICT, CLASSIFY = "serving_default", "classify"
EXPORT_HINT = "Export the model with d2l.publish, or as savedmodels/README.md says."

Answer = TypeVar("Answer", Predictions, NumberPredictions, Classification)


class Predictor(ABC):
    """Base of all clients: checks examples, sends them in batches, checks and joins the answers."""

    def __init__(self, batch_size: int) -> None:
        """Keep the setting; ValueError if it is not a whole number from 1 to `MAX_EXAMPLES`."""
        hint = "It is per request; more examples are sent in several. 256 images make about 1 MB."
        self._batch_size = whole_number("batch_size", batch_size, maximum=MAX_EXAMPLES, hint=hint)
        self._signatures: Mapping[str, Signature] | None = None

    @overload
    def predict(self, examples: Rows) -> Predictions | NumberPredictions: ...

    @overload
    def predict(self, examples: npt.ArrayLike) -> Predictions: ...

    def predict(self, examples: Any) -> Predictions | NumberPredictions:
        """Predict the class or the number of raw examples.

        Args:
            examples: for a model of images an array of integers in 0..255: (n, height, width) if
                they are grey, (n, height, width, channels) in colour, or one image. For a model of
                a table its rows, with the columns by name: a `pandas.DataFrame`, a list of dicts,
                or a dict of columns. None is a missing value, and other columns are ignored. A
                model of numbers without names takes {'features': (n, d)}.

        Returns:
            `Predictions` of a classifier, `NumberPredictions` of a regression.

        Raises:
            ServingError: the examples have another form, which is found before anything is sent; or
                the model can't be reached, refuses, or gives an answer of the wrong form.
        """
        if self.form().is_number:
            return self.regress(examples)
        return self._in_batches(examples, PREDICT, Predictions)

    def regress(self, examples: npt.ArrayLike | Rows) -> NumberPredictions:
        """Numbers for raw examples.

        Arguments and errors are those of `predict`; the model must be a regression.
        """
        return self._in_batches(examples, PREDICT, NumberPredictions)

    def classify(self, examples: npt.ArrayLike | Rows) -> Classification:
        """Labels and probabilities of raw examples, the likeliest first.

        Arguments and errors are those of `predict`; the model must be a classifier.
        """
        return self._in_batches(examples, CLASSIFY, Classification)

    def form(self) -> ImageForm | RowForm:
        """The form of the raw inputs that the model takes.

        Raises:
            ServingError: the model can't be reached, or takes neither images nor rows.
        """
        signature = self._signature()
        form = raw_form(signature, self._card())
        if form is None:
            raise ServingError(
                f"{self} must have a signature {PREDICT!r} with the one input 'image', uint8 of "
                "shape (n, height, width) or (n, height, width, channels), or with columns of "
                f"float32 and string; it has {shown({**signature.inputs}, 300)}. {EXPORT_HINT}"
            )
        return form

    def image_shape(self) -> tuple[int | None, ...]:
        """Height and width in pixels of the images that the model takes, and channels of colour.

        A size is None where any is allowed.

        Raises:
            ServingError: the model can't be reached, or doesn't take images.
        """
        form = self.form()
        if isinstance(form, ImageForm):
            return form.shape
        raise ServingError(f"{self} takes no images, but rows with {shown([*form.columns])}.")

    @abstractmethod
    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name."""

    @abstractmethod
    def __str__(self) -> str:
        """The model's name and place, for errors."""

    @abstractmethod
    def _query(self, signature: str, inputs: Inputs) -> Outputs:
        """Run a signature on the checked inputs of `serving_default`, at most `batch_size` rows."""

    def _card(self) -> Mapping[str, Any]:
        """The version's card; a server does not tell."""
        return {}

    def _signature(self) -> Signature:
        """The signature for Predict; ServingError if the model can't be reached or has none."""
        if self._signatures is None:
            self._signatures = self.metadata()
        if PREDICT not in self._signatures:
            raise ServingError(
                f"{self} must have a signature {PREDICT!r}; it has {[*self._signatures]}. "
                f"{EXPORT_HINT}"
            )
        return self._signatures[PREDICT]

    def _checked(self, examples: Any) -> Inputs:
        form = self.form()
        if isinstance(form, ImageForm):
            if are_rows(examples):
                raise ServingError(f"{self} takes images, not rows; got {_kind(examples)}.")
            return {"image": check_images(examples, form.shape)}
        if not are_rows(examples):
            example = "{'features': X}" if not form.is_table else "a pandas.DataFrame"
            raise ServingError(
                f"{self} takes rows with {shown([*form.columns])}, such as {example}; got "
                f"{_kind(examples)}."
            )
        return check_rows(examples, form)

    def _in_batches(self, examples: Any, signature: str, answer_type: type[Answer]) -> Answer:
        inputs = self._checked(examples)
        total = len(next(iter(inputs.values())))
        parts: dict[str, list[Array]] = {field.name: [] for field in fields(answer_type)}
        try:
            for start in range(0, total, self._batch_size):
                rows = slice(start, start + self._batch_size)
                outputs = self._query(signature, {name: a[rows] for name, a in inputs.items()})
                for name, arrays in parts.items():
                    arrays.append(self._read(outputs, name, len(range(total)[rows])))
        except ServingError:
            # The server may have another model by now, so the next call reads its metadata.
            self._signatures = None
            raise
        return answer_type(**{name: np.concatenate(arrays) for name, arrays in parts.items()})

    def _read(self, outputs: Outputs, name: str, n: int) -> Array:
        """Convert an output for n examples; ServingError for another rank, length or dtype."""
        dtype, rank = _FORMS[name]
        try:
            if name not in outputs:
                raise ValueError(f"the outputs {[*outputs]}")
            values = np.asarray(outputs[name])
            if values.dtype == object:
                # TensorFlow gives strings as bytes.
                values = np.char.decode(values.astype(np.bytes_), "utf-8", "replace")
            if values.ndim != rank or len(values) != n:
                raise ValueError(f"an array of shape {values.shape}")
            values = values.astype(dtype, casting="same_kind")
            # Written so that NaN is refused; rounding may leave a probability a little outside.
            if name in ("probabilities", "scores") and not (np.abs(values - 0.5) < 0.5001).all():
                raise ValueError("probabilities outside of [0, 1]")
            return values
        except (TypeError, ValueError) as error:
            raise ServingError(
                f"the answer of {self} must have an output {name!r} of rank {rank} for {n} "
                f"examples; got {one_line(str(error), 200)}. {EXPORT_HINT}"
            ) from error


class RemotePredictor(Predictor):
    """Base of the clients of a server: a model's name and version, and connections to close."""

    def __init__(self, address: str, model: str, version: int | None, batch_size: int) -> None:
        """Keep the settings; `address` is the server's, as errors name it."""
        super().__init__(batch_size)
        self._address = address
        self._model = model
        if version is not None:
            version = whole_number("version", version, minimum=0, maximum=MAX_VERSION)
        self._version = version

    def __str__(self) -> str:
        version = "" if self._version is None else f", version {self._version},"
        return f"model {self._model!r}{version} at {self._address}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None:
        """End the connections."""


def signature_inputs(signature: str, inputs: Inputs) -> Inputs:
    """Return the inputs of a signature for those of `serving_default`.

    The other signatures take serialised `tf.train.Example`s, with a feature for each input.
    """
    if signature == PREDICT:
        return inputs
    # TensorFlow, which has the protos, takes long to import.
    from tensorflow.core.example import example_pb2

    encoded = []
    for row in range(len(next(iter(inputs.values())))):
        example = example_pb2.Example()
        for name, array in inputs.items():
            feature, value = example.features.feature[name], array[row]
            if array.dtype == np.float32:
                feature.float_list.value.extend(np.ravel(value).tolist())
            else:
                bytes_ = value.tobytes() if array.dtype == np.uint8 else value
                feature.bytes_list.value.append(bytes_)
        encoded.append(example.SerializeToString())
    examples = np.empty(len(encoded), np.object_)
    examples[:] = encoded
    return {"inputs": examples}


def _kind(examples: Any) -> str:
    shape = getattr(examples, "shape", None)
    return type(examples).__name__ if shape is None else f"an array of shape {tuple(shape)}"
