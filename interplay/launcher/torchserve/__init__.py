"""A TorchServe of our models: archives, configuration, start. Needs no torch: TorchServe's workers do."""
