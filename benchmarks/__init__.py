"""Speed, memory and recovery of aioq, beside the least that its promise costs (docs/benchmarks.md)."""
