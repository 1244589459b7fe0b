"""The portal's settings, with the URLs of `benchmarks.health_urls`."""

from portal.settings import *  # noqa: F403  (all of them)

ROOT_URLCONF = "benchmarks.health_urls"
