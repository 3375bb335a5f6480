"""Floor 2: what an application imports to enqueue jobs and to look after them."""
