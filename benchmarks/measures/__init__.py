"""The benchmarks. Each module has `measure(bench)`, which yields the outcomes of its runs."""

#: By name, in the order in which they run.
NAMES = (
    "enqueue",
    "drain",
    "users",
    "latency",
    "io",
    "depth",
    "memory",
    "idle",
    "promotion",
    "recovery",
    "workers",
    "shards",
    "threads",
    "processes",
    "dependencies",
    "group",
    "sync",
    "imports",
    "typed",
)
