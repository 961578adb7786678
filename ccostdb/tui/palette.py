"""The colours of `top`: on black, each with a contrast of 7 to 1 or more. No state is told by colour alone."""

BLACK = "#000000"
TEXT = "#ffffff"
QUIET = "#b4bcc4"
ACCENT = "#5cc8ff"
GOOD = "#6ee787"
WARNING = "#ffd866"
BAD = "#ff8f8f"
FAINT = "#3a454f"  # what is left of a bar
