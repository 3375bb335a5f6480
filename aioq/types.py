"""The types of what aioq takes and gives, for annotations: `from aioq.types import Registry`.

Nobody makes objects of these classes: queues, jobs and decorators do. `result_of` is ResultOf with a type.
"""

from aioq.client.bound_task import BoundTask
from aioq.client.producer import EnqueueData
from aioq.client.registry import Registry
from aioq.client.result_of import result_of
from aioq.client.searching import SearchPage
from aioq.client.task import Task
from aioq.client.using import Using
from aioq.values.audit import AuditEntry
from aioq.values.departed import DepartedWorker
from aioq.values.durability import Durability, Level
from aioq.values.durations import Duration
from aioq.values.explanation import Explanation, Reason, ReasonKind
from aioq.values.failure_group import FailureGroup
from aioq.values.filter import Filter
from aioq.values.group import GroupProgress
from aioq.values.histogram import Histogram
from aioq.values.options import Executor, Options
from aioq.values.retry_budget import RetryBudget
from aioq.values.statistics import Backlog, Period, QueueStatistics

__all__ = [
    "AuditEntry",
    "Backlog",
    "BoundTask",
    "DepartedWorker",
    "Durability",
    "Duration",
    "EnqueueData",
    "Executor",
    "Explanation",
    "FailureGroup",
    "Filter",
    "GroupProgress",
    "Histogram",
    "Level",
    "Options",
    "Period",
    "QueueStatistics",
    "Reason",
    "ReasonKind",
    "Registry",
    "RetryBudget",
    "SearchPage",
    "Task",
    "Using",
    "result_of",
]
