"""Other servers with the same model and the same photo, side by side with Kiln: `./kiln bench --peers`.

Each folder here is a peer, written as its own documentation recommends; the modules beside them measure.
"""
