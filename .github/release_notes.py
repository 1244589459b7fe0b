"""Prints what CHANGELOG.md says of a version: `python3 .github/release_notes.py vX.Y.Z`, in the root of the tree.

2, with a sentence, when the tag, VERSION and a dated section of the changelog do not agree.
"""

import re
import sys
from pathlib import Path


def notes(tag: str, version: str, changelog: str) -> str:
    """The section of the version without its heading. Raises ValueError when something does not agree."""
    if tag != f"v{version}":
        raise ValueError(f"the tag is {tag} and VERSION says {version}; move neither, make a new tag")
    section = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## \[|\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if section is None:
        raise ValueError(f'CHANGELOG.md has no section "## [{version}] - <day>"; give what is unreleased its number')
    return section[1].strip() + "\n"


def main() -> int:
    """Print the notes of the tag in the first argument."""
    try:
        sys.stdout.write(notes(sys.argv[1], Path("VERSION").read_text().strip(), Path("CHANGELOG.md").read_text()))
    except ValueError as error:
        sys.stdout.write(f"::error title=Release::{error}.\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
