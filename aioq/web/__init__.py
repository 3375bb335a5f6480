"""Web: what shows queues in a browser."""
