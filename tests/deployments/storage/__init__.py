"""Tests of `deployments.storage`."""
