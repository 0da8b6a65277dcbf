"""`./kiln plan`: how many machines a load takes, when to add one, and what each way to run them costs a month."""
