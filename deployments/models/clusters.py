"""That a cluster of workers lives, on the machine where it does."""

from django.db import models


class ClusterBeat(models.Model):
    """When one of a cluster's workers last did a task on this machine, or was still at a long one."""

    machine = models.CharField(max_length=80)
    cluster = models.CharField(max_length=20)
    at = models.DateTimeField("last heard")

    class Meta:
        verbose_name = "worker cluster"
        ordering = ("machine", "cluster")
        constraints = (models.UniqueConstraint(fields=("machine", "cluster"), name="one_beat_of_a_cluster"),)

    def __str__(self) -> str:
        return f"{self.cluster} on {self.machine}"
