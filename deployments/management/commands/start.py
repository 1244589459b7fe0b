"""Start an environment's services that do not run, and watch them."""

from deployments.management.operating import OperateCommand
from deployments.models import Operation


class Command(OperateCommand):
    """`start E`."""

    help = "Start an environment's services that do not run, and watch them."
    kind = Operation.Kind.START
