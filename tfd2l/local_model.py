"""An exported classifier asked in this process, through TensorFlow."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfd2l.checksums import DamagedError, check_files
from tfd2l.predictions import ServingError, Signature, TensorInfo, printable
from tfd2l.predictor import CONTRACT, PREDICT, Outputs, Predictor, encode_examples

__all__ = ["LocalModel"]


class LocalModel(Predictor):
    """Asks an exported classifier in this process, through TensorFlow.

    TensorFlow is imported and the model loaded when they are first needed.
    """

    def __init__(self, directory: Path | str, *, batch_size: int = 256) -> None:
        """Looks which version it is to be.

        Args:
            directory: a version's directory, or that of a model, whose highest version is taken.
            batch_size: most images to be run at once.

        Raises:
            ServingError: there is no exported model.
            ValueError: `batch_size` is out of range.
        """
        super().__init__(batch_size)
        self.directory = _version_directory(Path(directory))
        self._functions: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        """Its directory."""
        return f"the model in {self.directory}"

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures.

        Raises:
            ServingError: it can't be loaded.
        """
        return {
            name: Signature(
                _infos(function.structured_input_signature[1]), _infos(function.structured_outputs)
            )
            for name, function in self._load().items()
        }

    def _ask(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        function = self._load().get(signature)
        if function is None:
            raise ServingError(f"{self} has no signature {signature!r}. {CONTRACT}")
        import tensorflow as tf

        feeds = {"image": images} if signature == PREDICT else {"inputs": encode_examples(images)}
        try:
            outputs = function(**{name: tf.constant(value) for name, value in feeds.items()})
        except (tf.errors.OpError, TypeError, ValueError) as error:
            raise ServingError(
                f"{self} can't be run: {printable(str(error))}. {CONTRACT}"
            ) from error
        return {name: value.numpy() for name, value in outputs.items()}

    def _load(self) -> Mapping[str, Any]:
        """Its functions by signature."""
        if self._functions is None:
            try:
                check_files(self.directory)
                import tensorflow as tf

                self._functions = dict(tf.saved_model.load(str(self.directory)).signatures)
            except ImportError as error:
                raise ServingError(
                    f"{self} needs TensorFlow to run, which can't be imported: {error}. Install "
                    "it, or ask a server with Client."
                ) from error
            except DamagedError as error:
                raise ServingError(str(error)) from error
            except Exception as error:  # a damaged file makes the loader raise anything
                raise ServingError(
                    f"{self} can't be loaded: {printable(str(error))}. Export it again."
                ) from error
        return self._functions


def _infos(specs: Mapping[str, Any]) -> dict[str, TensorInfo]:
    """From `tf.TensorSpec`s by name."""
    return {
        name: TensorInfo(
            spec.dtype.name, None if spec.shape.rank is None else tuple(spec.shape.as_list())
        )
        for name, spec in specs.items()
    }


def _version_directory(directory: Path) -> Path:
    """The directory itself if it has a SavedModel, or else that of its highest version."""
    if (directory / "saved_model.pb").is_file():
        return directory
    try:
        names = [path.name for path in directory.iterdir() if path.is_dir()]
    except OSError as error:
        raise ServingError(
            f"{directory} can't be read: {error.strerror}. python -m tfd2l.train makes models."
        ) from error
    versions = {int(name): name for name in names if re.fullmatch("[0-9]+", name)}
    if not versions:
        shown = printable(", ".join(sorted(names))) or "no directories"
        raise ServingError(
            "a model's directory has versions named 1, 2, ...; "
            f"{directory} has {shown}. Name the one of a model."
        )
    return directory / versions[max(versions)]
