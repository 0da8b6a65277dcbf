"""Load tests, the peers to compare with, and the benchmark: `./kiln bench`."""
