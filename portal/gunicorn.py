"""Configuration of the web process for gunicorn."""

import os
from typing import Any

from prometheus_client import multiprocess

from portal import process_metrics

process_metrics.install()

worker_class = "portal.gunicorn_worker.BoundedWorker"
workers = 2
threads = 8
timeout = 60
graceful_timeout = 10
control_socket_disable = True


def child_exit(_server: Any, worker: Any) -> None:
    """A worker that is gone no longer counts in the gauges of /metrics."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]  # published without types
