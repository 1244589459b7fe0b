"""Management commands: `./manage.py` in a tree, `cytube-ops` where pip installed the portal, `python -m portal`."""

import os
import select
import signal
import sys


def main() -> None:
    """Run the management command that the arguments name."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import DatabaseError

    from portal import first_start

    if sys.argv[1:2] == ["qcluster"] and (why := first_start.set_up()):
        sys.exit(why)
    try:
        try:
            execute_from_command_line(sys.argv)
        finally:  # what nobody reads any more shows here at the latest
            sys.stdout.flush()
    except BrokenPipeError:
        _nobody_reads()
    except KeyboardInterrupt:
        sys.exit(_said("Broken off.", 130))
    except EOFError:  # Ctrl-D, or a prompt where nobody can type
        sys.exit(_said("Nothing was typed; run it where it can be asked for.", 2))
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except DatabaseError:  # of Django's own commands: ours have said it
        from deployments.core import unmigrated

        unready = unmigrated.refusal()
        if unready is None or (sys.argv[1:2] == ["migrate"] and isinstance(unready, unmigrated.Unmigrated)):
            raise
        sys.exit(unready.said)


def _said(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code


def _nobody_reads() -> None:
    """End as programs do whose output is read no further (`| head`); another pipe that broke is an error."""
    reader = select.poll()
    reader.register(sys.stdout.fileno(), 0)
    if reader.poll(0):  # POLLERR: the other end is closed
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more
        sys.exit(128 + signal.SIGPIPE)
    raise


if __name__ == "__main__":
    main()
