"""Small programs that use aioq. Run them from the top folder; README.md lists the commands."""
