"""How the shipped model was trained: `./kiln train`."""
