"""An exported classifier asked in this process, by the loader that TensorFlow Serving has.

What a server refuses is refused here.
"""

from __future__ import annotations

import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tfd2l.predict.answers import ServingError, Signature, TensorInfo, printable
from tfd2l.predict.predictor import CONTRACT, PREDICT, Outputs, Predictor, encode_examples

if TYPE_CHECKING:
    from tfd2l.export.loaded import LoadedVersion
    from tfd2l.export.saved_model import TensorSpec

__all__ = ["LocalModel"]


class LocalModel(Predictor):
    """Asks an exported classifier in this process, through the C API of TensorFlow's runtime.

    TensorFlow is imported and the model loaded when they are first needed.
    """

    def __init__(self, directory: Path | str, *, batch_size: int = 256) -> None:
        """Looks which version it is to be.

        Args:
            directory: a version's directory, or that of a model, whose highest version is taken.
            batch_size: most images to be run at once, up to 1,024.

        Raises:
            ServingError: there is no exported model.
            ValueError: `batch_size` is out of range.
        """
        super().__init__(batch_size)
        self.directory = _version_directory(Path(directory))
        self._loaded: LoadedVersion | None = None

    def __str__(self) -> str:
        """Its directory."""
        return f"the model in {self.directory}"

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures.

        Raises:
            ServingError: it can't be loaded.
        """
        return {
            name: Signature(_infos(signature.inputs), _infos(signature.outputs))
            for name, signature in self._load().signatures.items()
        }

    def _ask(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        from tfd2l.export.loaded import ModelError

        if signature == PREDICT:
            feeds = {"image": images}
        else:
            feeds = {"inputs": np.array(encode_examples(images), np.object_)}
        try:
            return self._load().call("predict", signature, feeds)
        except ModelError as error:
            raise ServingError(
                f"{self} can't be run: {printable(str(error))}. {CONTRACT}"
            ) from error

    def _load(self) -> LoadedVersion:
        """The model, loaded and tried."""
        if self._loaded is None:
            try:
                from tfd2l.export.c_api import SessionError, load_library
                from tfd2l.export.loaded import LoadedVersion
                from tfd2l.export.saved_model import ExportError
            except ImportError as error:
                raise ServingError(
                    f"{self} needs TensorFlow to run, which can't be imported: {error}. Install "
                    "it, or ask a server with Client."
                ) from error
            try:
                self._loaded = LoadedVersion(load_library(), self.directory)
            except (ExportError, SessionError) as error:
                raise ServingError(
                    f"{self} can't be loaded: {printable(str(error)).rstrip('.')}. "
                    "python -m tfd2l.train exports a new one."
                ) from error
            weakref.finalize(self, self._loaded.close)  # the runtime's memory is none of Python's
        return self._loaded


def _infos(specs: Mapping[str, TensorSpec]) -> dict[str, TensorInfo]:
    """Without the names of the graph's tensors."""
    return {name: TensorInfo(spec.dtype, spec.shape) for name, spec in specs.items()}


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
