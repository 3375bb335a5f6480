"""A pool: a small process that keeps worker processes going, and knows at once when one of them has died."""
