"""What mypy and pyright know of a program that uses aioq. `make check` runs both on these files.

known.py has what they must infer, refused.py what they must refuse.
"""
