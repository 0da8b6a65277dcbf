"""`./kiln models`: see, prove and change what a store holds. Works on the files alone; servers follow by themselves."""
