"""The control plane: releases, requests, approvals, their execution on servers, and the record."""
