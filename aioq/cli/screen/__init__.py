"""The screen of `aioq monitor`: what it shows and does, in a terminal. Only it loads rich and termios."""
