"""`python -m tfd2l.deploy`; see `command`."""

import sys

from tfd2l.deploy.command import main

if __name__ == "__main__":
    sys.exit(main())
