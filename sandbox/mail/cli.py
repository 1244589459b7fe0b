"""``python -m sandbox mail``: sinks for mail and webhooks until interrupted."""

import argparse
import contextlib
import signal
import sys
import threading
from pathlib import Path

from sandbox.mail.sink import Mail, MailSink
from sandbox.mail.webhook import Post, WebhookSink

DEFAULT_PORT = 1025


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox mail",
        description="Keeps mail and webhook posts that are sent to it; nothing leaves the machine.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    parser.add_argument(
        "--port", type=int, help=f"port for mail (default {DEFAULT_PORT}, unless only --webhook-port is given)"
    )
    parser.add_argument("--webhook-port", type=int, metavar="PORT", help="port for Slack-shaped webhooks")
    parser.add_argument(
        "--directory", type=Path, default=Path(".state/mail"), help="where files are written (default %(default)s)"
    )
    return parser


def _tell_mail(mail: Mail) -> None:
    print(f"mail for {', '.join(mail.recipients)}: {mail.subject!r} -> {mail.file}", flush=True)


def _tell_post(post: Post) -> None:
    print(f"post to {post.path}: {post.text[:100]!r} ({post.status}) -> {post.file}", flush=True)


def _serve(options: argparse.Namespace, finished: threading.Event) -> None:
    port = DEFAULT_PORT if options.port is None and options.webhook_port is None else options.port
    with contextlib.ExitStack() as stack:
        if port is not None:
            sink = MailSink(port, host=options.host, directory=options.directory, heard=_tell_mail)
            stack.enter_context(sink)
            print(f"Mail sink on {options.host}:{sink.port}", flush=True)
        if options.webhook_port is not None:
            hook = WebhookSink(options.webhook_port, host=options.host, directory=options.directory, heard=_tell_post)
            stack.enter_context(hook)
            print(f"Webhook sink on {hook.url}", flush=True)
        finished.wait()


def main(argv: list[str]) -> int:
    """Keep what arrives until SIGINT or SIGTERM. 0 then; 1 when a port is taken or the directory cannot be written."""
    options = _parser().parse_args(argv)
    finished = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: finished.set())
    try:
        _serve(options, finished)
    except OSError as error:
        print(f"The sink cannot start: {error}. Choose other ports or another directory.", file=sys.stderr)
        return 1
    return 0
