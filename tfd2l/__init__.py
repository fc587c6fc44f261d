"""Dive into Deep Learning, chapters 2 to 5, on today's TensorFlow: `import tfd2l as d2l`.

The public names are listed in `__init__.pyi`, and imported when they are first used: the import
of this package loads neither TensorFlow nor anything else that is slow. It sees to it that
TensorFlow's own import, whenever that comes, prints nothing.
"""

import importlib.util
import sys
from typing import Any

import lazy_loader

from tfd2l.common.startup import check_pipelines, quiet_tensorflow

__version__ = "0.1.0"

check_pipelines()
quiet_tensorflow()
_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    """Import a public name; for others say what is nearest to it."""
    is_part = name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}") is not None
    if name in __all__ or is_part:
        return _attribute(name)
    from tfd2l.common.hints import missing_name

    # `from tfd2l import name` would replace the text of an AttributeError by Python's own.
    imported = sys._getframe(1).f_code.co_name == "_handle_fromlist"
    raise (ImportError if imported else AttributeError)(missing_name(__name__, name, __all__))
