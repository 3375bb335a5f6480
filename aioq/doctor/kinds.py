"""The kinds of damage: what each means for jobs, and what a repair does."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of damage.

    Args:
        title: what is wrong, in a few words.
        means: what it means for jobs.
        repair: what a repair does, or what to do if it does nothing.

    """

    title: str
    means: str
    repair: str


#: Each kind by its word in reports. The words stay the same.
KINDS = {
    "job-without-index": Kind(
        "jobs that their state's index does not list",
        "A queued or scheduled job would never run; an ended job is in no list.",
        "A queued job goes back to its lane, a scheduled job to the schedule, an ended job to its registry.",
    ),
    "job-in-two-indexes": Kind(
        "jobs that two indexes list",
        "They would be counted twice, or be held by a worker that does not run them.",
        "They stay only in the index of their state.",
    ),
    "job-in-wrong-index": Kind(
        "rows of an index whose jobs are in another state",
        "Lists and counts are wrong. No job is lost.",
        "The rows are removed.",
    ),
    "index-without-job": Kind(
        "rows of an index without a job",
        "Lists and counts are wrong. The record was evicted, or deleted by hand.",
        "The rows are removed.",
    ),
    "index-differs": Kind(
        "jobs whose index and record have different times",
        "They are listed out of order, or do not expire when they should.",
        "They are made equal.",
    ),
    "dependency-gone": Kind(
        "jobs that wait for one that is gone",
        "They would wait for ever. The record of the other job was evicted, or deleted by hand.",
        "What its end means to them is decided, by what they were told of an end that is no finish.",
    ),
    "dependency-untold": Kind(
        "jobs that would not hear of the end of one that they wait for",
        "They would wait for ever.",
        "The other job lists them again. If it has ended, it is decided what that means to them.",
    ),
    "result-held": Kind(
        "jobs whose result is kept for one that has ended, or is gone",
        "The record would stay for longer than its retention.",
        "It is kept for that one no longer.",
    ),
    "result-not-held": Kind(
        "jobs that take the result of another one, which would not be kept for them",
        "They fail if the result goes before they run; or it stays when they have ended.",
        "The result is kept until they have ended.",
    ),
    "child-differs": Kind(
        "jobs whose list of children is wrong",
        "Their dependents would wait for ever, or not for all.",
        "The list is put right, and it is decided what that means to the dependents.",
    ),
    "row-not-carried": Kind(
        "rows for other queues that nobody has carried on for a minute",
        "Jobs of another queue, which depend on jobs of this one or are depended on, wait for it.",
        "Not repaired: a worker of one of the two queues carries them on. If none runs, start one.",
    ),
    "callback-untold": Kind(
        "jobs with a callback that their end would not call",
        "The callback would not be called. The record was changed by hand, or is damaged.",
        "The end of the job calls it again; one that has come already does not.",
    ),
    "callback-unreadable": Kind(
        "jobs with a callback that cannot be read",
        "The callback would not be called. The record was changed by hand, or is damaged.",
        "It is removed; the job itself is not touched.",
    ),
    "member-gone": Kind(
        "members of a group whose jobs are gone",
        "The group would never end. The record was evicted, or deleted by hand.",
        "The group counts them as gone.",
    ),
    "member-untold": Kind(
        "members of whose end a group has not heard, or would not hear",
        "The group would never end.",
        "The group counts those that have ended; the others are to tell it.",
    ),
    "group-not-ended": Kind(
        "groups whose members have all ended",
        "Those who wait for its end, and the job that is made then, would wait for ever.",
        "It ends.",
    ),
    "group-unlisted": Kind(
        "groups that the list of groups does not have",
        "They are not listed. If nobody goes on to add members, they would never end.",
        "They are put on the list.",
    ),
    "group-part-alone": Kind(
        "parts of a group without their group",
        "Nothing is lost; they take memory.",
        "They are removed.",
    ),
    "companion-alone": Kind(
        "rows of a registry's companion without their job",
        "Nothing is lost; the rows take memory.",
        "The rows are removed.",
    ),
    "entry-without-job": Kind(
        "lane entries that belong to no waiting or running job",
        "The queue looks longer than it is.",
        "The entries are acknowledged and deleted.",
    ),
    "entry-passed-over": Kind(
        "queued jobs that the consumer group of their lane has passed",
        "They would never run. The consumer group was changed by hand.",
        "They go to the front of the queue.",
    ),
    "bad-retry-budget": Kind(
        "retry budgets that cannot be read",
        "Retries of the queue are not held back. The key was changed by hand.",
        "The budget is removed. Set it again with `aioq retry-budget`.",
    ),
    "lane-not-served": Kind(
        "lanes of quarantine or of callbacks, or deadlines of deferred jobs, that no claim reads",
        "Jobs of dead workers, or callbacks, would not run; or a deferred_ttl would end no job. A key was evicted,"
        " or deleted by hand.",
        "The lanes are announced to the workers again.",
    ),
    "run-without-holder": Kind(
        "started jobs that are pending for no worker, or for another worker",
        "If the worker dies, they do not come back.",
        "They go to the front of the queue. If a run of such a job still goes on, its outcome is refused.",
    ),
    "pending-without-entry": Kind(
        "pending entries that are in no lane",
        "Counts are wrong, and their worker cannot leave.",
        "They are acknowledged.",
    ),
    "consumer-without-lease": Kind(
        "workers that hold jobs and have no lease",
        "Their jobs would not come back when they die.",
        "They get a lease of ten seconds. If it is not renewed, the next worker takes the jobs back.",
    ),
    "consumer-left-over": Kind(
        "consumers without jobs and without a lease",
        "Nothing is lost; they take memory.",
        "They are removed.",
    ),
    "claims-without-lease": Kind(
        "workers that claim jobs but do not renew their lease",
        "Others take their jobs and run them again. The thread or the connection of the heartbeat is broken.",
        "Not repaired: restart the worker, and read its log.",
    ),
    "lease-too-long": Kind(
        "leases that end far in the future",
        "A worker that dies would not be noticed. The server's clock has gone back.",
        "The lease ends in ten seconds. A living worker renews it.",
    ),
    "no-retention": Kind(
        "keys that would never expire",
        "Their memory is never freed.",
        "They get the retention that they should have.",
    ),
    "unwanted-retention": Kind(
        "keys that expire although they must not",
        "Jobs would be lost before they run.",
        "The retention is removed.",
    ),
    "retention-differs": Kind(
        "keys that expire earlier or later than the keys that belong to them",
        "Jobs are forgotten too early, or are in no list for a while.",
        "They get the same retention.",
    ),
    "history-without-job": Kind(
        "histories of jobs that are gone",
        "Nothing is lost; they take memory.",
        "They are deleted.",
    ),
    "record-unreadable": Kind(
        "records without a valid state or function",
        "It is unknown whether they have run. They are in no list.",
        "They go to the failed registry, with a note. Requeue those that should run.",
    ),
    "field-unreadable": Kind(
        "records with a field that is no number",
        "Scripts fail on them: perhaps no worker can claim from this queue.",
        "The field is restored from other data, or removed. A started job goes back to the queue.",
    ),
    "wrong-type": Kind(
        "keys with a value of another type",
        "Every script that reads them fails, and the doctor cannot look further. Another program wrote them.",
        "They are moved to <queue>:damaged:<key> for 30 days. Jobs that they listed are found and listed again.",
    ),
    "too-many-tokens": Kind(
        "more than one wake token",
        "Idle workers wake up for nothing.",
        "One token stays.",
    ),
    "unknown-key": Kind(
        "keys that aioq does not know",
        "Nothing, as far as aioq knows. Another program or a later version may have written them.",
        "Not repaired: look at them, and delete those that are not needed.",
    ),
    "queue-not-listed": Kind(
        "a queue that has keys and is not on the list of queues",
        "`aioq info` does not show it, and a suspension of all workers does not affect it.",
        "It is added to the list.",
    ),
}
