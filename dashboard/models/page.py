"""What the status page shows to people who are not signed in."""

from django.db import models


class StatusPage(models.Model):
    """The one row of choices. Members always see everything; servers' addresses are shown to nobody.

    What strangers see unless somebody chooses more: components with their uptime, incidents and maintenance. What is
    about the work on them (versions, deployments, alerts) is for members until then.
    """

    title = models.CharField(max_length=60, default="CyTube Ops")
    public = models.BooleanField(default=True, help_text="Off: the status page needs a sign-in.")
    show_users = models.BooleanField("people in the room", default=True)
    show_versions = models.BooleanField("versions and releases", default=False)
    show_charts = models.BooleanField("charts", default=True)
    show_deployments = models.BooleanField("running and recent deployments", default=False)
    show_alerts = models.BooleanField("firing alerts", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "status page"
        constraints = (models.CheckConstraint(condition=models.Q(pk=1), name="one_status_page"),)

    def __str__(self) -> str:
        return self.title
