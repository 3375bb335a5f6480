"""Floor 3: the process that runs jobs. Small loops around one executor."""
