"""A client that runs an exported model in this process.

It uses the loader that TensorFlow Serving has, and so refuses the models that a server refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.basics.text import one_line
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.startup import quiet_libraries
from tfd2l.export.signature_types import Signature
from tfd2l.export.versions import versions_in
from tfd2l.predict.answers import ServingError
from tfd2l.predict.predictor import EXPORT_HINT, Inputs, Outputs, Predictor, signature_inputs

if TYPE_CHECKING:
    from tfd2l.export.loaded import LoadedVersion

__all__ = ["LocalModel"]


class LocalModel(Predictor):
    """Queries an exported model in this process, through the C API of TensorFlow's runtime.

    TensorFlow is imported, and the model loaded, when they are first needed.
    """

    def __init__(self, directory: Path | str, *, batch_size: int = 256) -> None:
        """Find the version; the first call loads it.

        Args:
            directory: a version's directory, or that of a model, whose highest version is taken.
            batch_size: the largest number of examples to run at once, up to 1,024.

        Raises:
            ServingError: there is no exported model.
            ValueError: `batch_size` is out of range.
        """
        super().__init__(batch_size)
        self.directory = _version_directory(Path(directory))

    def __str__(self) -> str:
        return f"the model in {self.directory}"

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name; ServingError if it can't be loaded."""
        return dict(self._loaded.signatures)

    def _card(self) -> Mapping[str, Any]:
        return self._loaded.card

    def _query(self, signature: str, inputs: Inputs) -> Outputs:
        loaded = self._loaded
        try:
            return loaded.call("predict", signature, signature_inputs(signature, inputs))
        except Tfd2lError as error:
            raise ServingError(
                f"{self} can't be run: {one_line(str(error))}. {EXPORT_HINT}"
            ) from error

    @cached_property
    def _loaded(self) -> LoadedVersion:
        """The model; loading runs its warm-up requests."""
        from tfd2l.export.c_api.session import SessionError, load_library
        from tfd2l.export.loaded import LoadedVersion

        try:
            with quiet_libraries():
                library = load_library()
            return LoadedVersion(library, self.directory)
        except (Tfd2lError, SessionError) as error:
            raise ServingError(
                f"{self} can't be loaded: {one_line(str(error)).rstrip('.')}. "
                "python -m tfd2l.train exports a new one."
            ) from error


def _version_directory(directory: Path) -> Path:
    """Return the directory itself if it has a SavedModel, or else that of its highest version."""
    if (directory / "saved_model.pb").is_file():
        return directory
    paths = versions_in(directory).values() if directory.is_dir() else []
    versions = [path for path in paths if path.is_dir()]
    if not versions:
        given = f"{directory} has none" if directory.is_dir() else f"there is no {directory}"
        raise ServingError(
            f"a model's directory has versions named 1, 2, ..., and a version's has a SavedModel; "
            f"{given}. python -m tfd2l.train makes models."
        )
    return versions[-1]
