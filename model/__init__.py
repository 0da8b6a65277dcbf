"""Everything about a model that is not HTTP. Never imports app or Flask."""
