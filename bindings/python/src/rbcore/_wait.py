# SPDX-License-Identifier: MIT
"""How long waits are."""

SECOND = 1_000_000_000

# Python handles a signal between two calls. One that comes just before a wait does not end it, so
# that no wait in C is longer than this: Ctrl-C takes a second at worst, and mostly no time at all.
LONGEST_WAIT = SECOND
