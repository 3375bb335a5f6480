"""Floor 4: the command line. Each module holds the commands of one kind; `output` alone knows how they look."""
