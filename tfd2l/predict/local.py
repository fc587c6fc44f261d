"""A client that runs an exported classifier in this process.

It uses the loader that TensorFlow Serving has, and so refuses the models that a server refuses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pipelines.basics.text import one_line
from tfd2l.common.errors import Tfd2lError
from tfd2l.export.signature_types import Signature
from tfd2l.export.versions import versions_in
from tfd2l.predict.answers import ServingError
from tfd2l.predict.predictor import EXPORT_HINT, PREDICT, Outputs, Predictor, encode_examples

if TYPE_CHECKING:
    from tfd2l.export.loaded import LoadedVersion

__all__ = ["LocalModel"]


class LocalModel(Predictor):
    """Queries an exported classifier in this process, through the C API of TensorFlow's runtime.

    TensorFlow is imported, and the model loaded, when they are first needed.
    """

    def __init__(self, directory: Path | str, *, batch_size: int = 256) -> None:
        """Find the version; the first call loads it.

        Args:
            directory: a version's directory, or that of a model, whose highest version is taken.
            batch_size: the largest number of images to run at once, up to 1,024.

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
        """The model's signatures by name.

        Raises:
            ServingError: the model can't be loaded.
        """
        return {**self._load().signatures}

    def _query(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        if signature == PREDICT:
            feeds = {"image": images}
        else:
            feeds = {"inputs": np.array(encode_examples(images), np.object_)}
        loaded = self._load()
        try:
            return loaded.call("predict", signature, feeds)
        except Tfd2lError as error:
            raise ServingError(
                f"{self} can't be run: {one_line(str(error))}. {EXPORT_HINT}"
            ) from error

    def _load(self) -> LoadedVersion:
        """Load the model, unless it is loaded; loading runs its warm-up requests."""
        if self._loaded is None:
            try:
                from tfd2l.export.c_api import SessionError, load_library
                from tfd2l.export.loaded import LoadedVersion
            except ImportError as error:
                raise ServingError(
                    f"{self} needs TensorFlow to run, which can't be imported: {error}. Install "
                    "it, or query a server with d2l.Client."
                ) from error
            try:
                self._loaded = LoadedVersion(load_library(), self.directory)
            except (Tfd2lError, SessionError) as error:
                raise ServingError(
                    f"{self} can't be loaded: {one_line(str(error)).rstrip('.')}. "
                    "python -m tfd2l.train exports a new one."
                ) from error
        return self._loaded


def _version_directory(directory: Path) -> Path:
    """Return the directory itself if it has a SavedModel, or else that of its highest version."""
    if (directory / "saved_model.pb").is_file():
        return directory
    try:
        versions = [path for path in versions_in(directory).values() if path.is_dir()]
        names = sorted(path.name for path in directory.iterdir() if path.is_dir())
    except OSError as error:
        raise ServingError(
            f"{directory} can't be read: {error.strerror}. python -m tfd2l.train makes models."
        ) from error
    if not versions:
        raise ServingError(
            f"a model's directory has versions named 1, 2, ...; {directory} has "
            f"{one_line(', '.join(names)) or 'no directories'}. Name the directory of a model."
        )
    return versions[-1]
