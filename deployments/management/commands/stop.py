"""Stop an environment's services, and keep their alerts quiet; needs a reason."""

from deployments.management.operating import OperateCommand
from deployments.models import Operation


class Command(OperateCommand):
    """`stop E`."""

    help = "Stop an environment's services, and keep their alerts quiet; needs a reason."
    kind = Operation.Kind.STOP
