"""The Django project: settings, addresses, the API's mount, and the processes."""
