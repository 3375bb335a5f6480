"""How bytes get to a server and back. Nothing here knows of jobs."""
