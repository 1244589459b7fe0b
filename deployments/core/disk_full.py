"""Whether a failure says that there is no room left."""

import errno

from django.db import DatabaseError


def is_full(error: BaseException) -> bool:
    """Whether the disk, or the quota, is why: of a file, of SQLite ("database or disk is full") or of PostgreSQL."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return isinstance(error, DatabaseError) and ("disk is full" in str(error) or "No space left" in str(error))
