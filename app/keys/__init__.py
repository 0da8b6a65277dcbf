"""API keys: who may ask, and how often. Off unless KILN_API_KEYS names a file of them."""
