"""`ccostdb` and `python -m ccostdb`."""

from ccostdb.cli import main

if __name__ == "__main__":
    main(prog_name="ccostdb")
