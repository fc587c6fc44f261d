"""`python -m tfd2l.serve`; see `command`."""

import sys

from tfd2l.serve.command import main

if __name__ == "__main__":
    sys.exit(main())
