/* SPDX-License-Identifier: MIT */
#error "since glibc 2.25"
