"""What puts jobs into the log of an application: `from aioq.logs import JobLogFilter`."""

from aioq.client.log_filter import JobLogFilter

__all__ = ["JobLogFilter"]
