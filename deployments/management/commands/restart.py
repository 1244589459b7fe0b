"""Restart an environment's services and watch them as a deployment does."""

from deployments.management.operating import OperateCommand
from deployments.models import Operation


class Command(OperateCommand):
    """`restart E`."""

    help = "Restart an environment's services and watch them as a deployment does."
    kind = Operation.Kind.RESTART
