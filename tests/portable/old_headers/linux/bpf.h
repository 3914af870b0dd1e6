/* SPDX-License-Identifier: MIT */
#error "no header of the kernel is there"
