"""A Keras model of any form -> a verified bundle in the store. `./kiln build`.

loaders/      what users have, to one form: a graph of positional inputs and outputs
exporting     LiteRT and ONNX files, each made in a process of its own
unread        from the LiteRT file the pixels that nothing reads, left out
winograd      of the LiteRT file another, which may be faster
measuring     their answers and speed, each in a process of its own
proof         those answers against Keras' own
assemble      all of it in order, and the bundle into the store
"""
