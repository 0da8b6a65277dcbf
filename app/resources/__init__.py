"""One file a protocol: parse, call the store, render."""
