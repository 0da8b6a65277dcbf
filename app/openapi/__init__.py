"""The OpenAPI 3.1 document: what the service does, made from the settings and the models in force."""
