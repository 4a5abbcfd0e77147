"""`python -m dcpc`: the command line where its script is not on the path."""

from dcpc.cli import main

if __name__ == "__main__":
    main()
