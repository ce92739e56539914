"""`python -m music_reclass` is `reclass`."""

from music_reclass.cli.main import main

if __name__ == "__main__":
    main()
