"""Floor 0: plain values. Standard library only; nothing here awaits, reads a clock or knows Redis."""
