#!/usr/bin/env python3
"""Management commands of the portal: `./manage.py help`."""

from portal.__main__ import main

if __name__ == "__main__":
    main()
