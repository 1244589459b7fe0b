"""The outside world on one machine: real Debian hosts, a server that speaks the CyTube protocol, a mail sink.

For the demo and the tests.
"""
