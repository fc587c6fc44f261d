"""`python -m tfd2l.predict`; see `command`."""

import sys

from tfd2l.predict.command import main

if __name__ == "__main__":
    sys.exit(main())
