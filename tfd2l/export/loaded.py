"""Loads a version of a model and runs its signatures, by the runtime's C API.

The development server and `predict` share it; neither HTTP nor JSON appears here.
"""

from __future__ import annotations

import ctypes
import json
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.basics.files import read_regular
from pipelines.basics.text import shown
from tfd2l.common.errors import Tfd2lError
from tfd2l.export.c_api.session import Session, SessionError
from tfd2l.export.checksums import check_files
from tfd2l.export.errors import ExportError
from tfd2l.export.publish import CARD_FILE
from tfd2l.export.saved_model import Signature, read_signature_defs, read_signatures
from tfd2l.export.warmup import WARMUP_FILE, read_warmup

__all__ = ["LoadedVersion", "ModelError"]

Array = np.ndarray[Any, Any]


class ModelError(Tfd2lError):
    """A call that the signature or the runtime refuses.

    Attributes:
        code: the runtime's TF_Code, tensorflow/c/tf_status.h; 3 is INVALID_ARGUMENT.
    """

    def __init__(self, text: str, code: int = 3) -> None:
        super().__init__(text)
        self.code = code


class LoadedVersion:
    """A version in memory.

    Threads may call it at the same time. The memory is freed with the last reference to it.

    Attributes:
        model: the model's name.
        number: the version's number.
        signatures: by name.
        signature_defs: JSON values of the protos, by name.
        card: JSON values about the version, from its card; empty if it has none.
    """

    def __init__(
        self, library: ctypes.CDLL, directory: Path, model: str | None = None, number: int = 0
    ) -> None:
        """Load a version and run its warm-up file.

        Args:
            library: from `c_api.session.load_library`.
            directory: of the version.
            model: the model's name; by default that of the directory above.
            number: the version's number.

        Raises:
            ExportError: it can't be loaded, differs from what was published, its card is no JSON
                object, or a request of the warm-up file fails.
        """
        self.model = model or directory.parent.name
        self.number = number
        check_files(directory)
        self.signatures = read_signatures(directory)
        self.signature_defs = read_signature_defs(directory)
        self.card = _read_card(directory / CARD_FILE)
        try:
            self._session = Session(library, str(directory))
        except SessionError as error:
            raise ExportError(f"{directory} can't be loaded: {error}") from error
        # Not at the end of the process: a thread may still run it.
        weakref.finalize(self, self._session.close).atexit = False
        self._warm_up(directory / WARMUP_FILE)

    def signature(self, name: str) -> Signature:
        """Return the signature of this name; ModelError if there is none."""
        if name not in self.signatures:
            raise ModelError(
                f"Serving signature name: {name[:100]!r} not found in signature def; this "
                f"version has {sorted(self.signatures)}"
            )
        return self.signatures[name]

    def call(
        self, method: str, signature_name: str, inputs: Mapping[str, Array]
    ) -> dict[str, Array]:
        """Run a signature.

        Args:
            method: 'predict', 'classify' or 'regress'.
            signature_name: of the signature.
            inputs: an array for each input, by its name; strings as dtype object (bytes).

        Returns:
            Arrays by output name.

        Raises:
            ModelError: the signature is missing or not for this method, or the runtime refuses the
                inputs.
        """
        signature = self.signature(signature_name)
        if set(inputs) != set(signature.inputs):
            raise ModelError(
                f"inputs must be those of signature {signature_name!r}: "
                f"{sorted(signature.inputs)}; got {sorted(inputs)}"
            )
        if method not in ("predict", signature.method):
            raise ModelError(
                f"Expected outputs of {method}; signature {signature_name!r} is for "
                f"{signature.method}: it has {sorted(signature.outputs)}"
            )
        fetches = {name: spec.tensor for name, spec in signature.outputs.items()}
        feeds = {signature.inputs[name].tensor: array for name, array in inputs.items()}
        try:
            return self._session.run(feeds, fetches)
        except SessionError as error:
            raise ModelError(str(error), error.code) from error

    def _warm_up(self, path: Path) -> None:
        """Run the requests of the warm-up file, if there is one."""
        if not path.exists():
            return
        for number, request in enumerate(read_warmup(path)):
            try:
                self.call(request.method, request.signature, request.inputs)
            except ModelError as error:
                raise ExportError(f"request {number} of {path} fails: {error}") from error


def _read_card(path: Path) -> dict[str, Any]:
    """Read a card; other programs write none."""
    try:
        card = json.loads(read_regular(path))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise ExportError(f"{path} must be a readable JSON file: {error}. Remove it.") from error
    if not isinstance(card, dict):
        raise ExportError(f"{path} must be a JSON object; got {shown(card)}. Remove it.")
    return card
