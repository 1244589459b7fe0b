"""Servers: enrolment, provisioning, inspection, adoption, decommissioning."""
