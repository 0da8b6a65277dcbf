"""Servers of other people's, to try the kit against. The kit itself does not need this folder."""
