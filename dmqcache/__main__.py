"""``python -m dmqcache`` is ``dmqcache``."""

from dmqcache.cli import main

if __name__ == "__main__":
    main()
