"""`python -m aioq` is the command `aioq`."""

from aioq.cli.main import main

if __name__ == "__main__":
    main()
