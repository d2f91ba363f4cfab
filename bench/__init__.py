"""What Postwire exists for, measured beside its peers: `make bench`, or `make bench ONLY=idle`.

A module each, which also runs by itself: `PYTHONPATH=tests python -m bench.idle`. Machines are
shared and noisy: the peer, or the floor that physics sets, is measured in the same run, and it is
the ratio that counts.
"""
