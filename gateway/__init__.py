"""The HTTP gateway: authentication, limits, media checks and translation between HTTP and gRPC.

It never imports torch or a service; it reaches the models through ``interplay.rpc`` alone.
"""
