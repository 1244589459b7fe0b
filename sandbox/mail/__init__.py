"""Where mail and chat notifications end up in the demo and in tests: nothing leaves the machine.

MailSinkError          base of what these sinks raise, with reason and hint
├── NotListening       the sink was asked for its address before start() or after stop()
└── NothingArrived     a wait reached its deadline
"""

from sandbox.mail.arrivals import MailSinkError, NothingArrived, NotListening
from sandbox.mail.sink import Mail, MailSink
from sandbox.mail.webhook import Post, WebhookSink

__all__ = ["Mail", "MailSink", "MailSinkError", "NotListening", "NothingArrived", "Post", "WebhookSink"]
