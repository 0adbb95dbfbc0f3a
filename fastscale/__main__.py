"""`python -m fastscale`: the command line."""

from fastscale.cli import main

if __name__ == "__main__":
    main()
