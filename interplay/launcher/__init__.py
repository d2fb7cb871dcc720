"""`interplay up`: the whole system on one machine, each part as its own process."""
