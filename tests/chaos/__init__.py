"""What aioq does when things break: histories of runs, and their checker."""
