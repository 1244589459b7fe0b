"""Which alerts are silenced, as Alertmanager said when last asked: every minute, and after each change made here.

Pages ask the database, so that none of them waits for Alertmanager. The end of a silence needs nobody: it is kept.
"""

import logging
from datetime import datetime

from alerting.models import Alert
from deployments.core.alertmanager import alertmanager
from engine.alertmanager import AlertmanagerError

logger = logging.getLogger(__name__)


def mark() -> int:
    """Keep of each firing alert until when it is silenced; returns how many changed: none where nobody answers."""
    firing = Alert.objects.filter(status=Alert.Status.FIRING).exclude(severity="none")
    if not firing.exists():
        return 0
    try:
        ends = {one.identifier: one.ends_at for one in alertmanager().silences() if one.state == "active"}
        held = {one.fingerprint: one.silenced_by for one in alertmanager().alerts()} if ends else {}
    except AlertmanagerError as error:
        logger.debug("whether alerts are silenced is not known: %s", error.message)
        return 0
    changed = 0
    for alert in firing.only("pk", "fingerprint", "silenced_until"):
        covering = [ends[each] for each in held.get(alert.fingerprint, ()) if each in ends]
        until: datetime | None = max(covering, default=None)
        if until != alert.silenced_until:
            changed += Alert.objects.filter(pk=alert.pk).update(silenced_until=until)
    return changed
