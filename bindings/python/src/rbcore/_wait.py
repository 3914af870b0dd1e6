# SPDX-License-Identifier: MIT
"""This module says how long waits are."""

SECOND = 1_000_000_000

# Python handles signals between two calls of C. A signal that comes just before a wait does not end
# it, so no wait in C is longer than this. Ctrl-C takes a second at worst, and mostly no time at
# all.
LONGEST_WAIT = SECOND
