"""Dive into Deep Learning, chapters 2 to 5, on today's TensorFlow: `import tfd2l as d2l`.

The public names are listed in `__init__.pyi`, and imported when they are first used: the import
of this package loads neither TensorFlow nor anything else that is slow. It sees to it that
TensorFlow's own import, whenever that comes, prints nothing.
"""

import lazy_loader

from tfd2l.common.startup import check_pipelines, quiet_tensorflow

__version__ = "0.1.0"

check_pipelines()
quiet_tensorflow()
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
