"""TorchServe as a runtime: the client in a model server, the handler in an archive, what they say."""
