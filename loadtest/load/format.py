"""What marks a report.json. The version changes with anything that a reader of an older one would misread."""

FORMAT = "kiln-load"
VERSION = 1
