"""Paths that platforms fix, for the resources that answer there and the document that tells of them."""

# Amazon SageMaker
PING, INVOCATIONS = "/ping", "/invocations"
# Azure Machine Learning
SCORE = "/score"
# Function Compute
INVOKE, INITIALIZE, PRE_FREEZE, PRE_STOP = "/invoke", "/initialize", "/pre-freeze", "/pre-stop"
