"""The verbs: every change of state happens here, authorised, in one transaction, with its audit event."""
