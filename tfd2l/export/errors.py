"""The errors of exports; TensorFlow is not imported."""

from __future__ import annotations

from tfd2l.common.errors import Tfd2lError

__all__ = ["DamagedError", "ExportError"]


class ExportError(Tfd2lError, RuntimeError):
    """A model can't be exported, or an exported model can't be served."""


class DamagedError(ExportError):
    """A file of a version differs from the published one."""
