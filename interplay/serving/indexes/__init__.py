"""``IndexService``: the indexes of a capability, the same for every one that keeps some.

A capability's ``build_service`` makes it of three parts, of which the first two are to be closed::

    indexes = open_indexes(settings, model)
    snapshots = open_snapshots(settings, indexes)
    servicer = IndexServicer(indexes, snapshots)

``model`` says what the capability makes of an image (``IndexedModel``); ``settings`` are ``IndexSettings``.
"""
