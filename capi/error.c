/* SPDX-License-Identifier: MIT */
/* What errors mean: the texts of all, and the message of the last call on a reader that failed. */
#include "reader.h"

#include <errno.h>
#include <rbcore/rbcore.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

/* Errors that mean something narrower here than what errno(3) says of them. */
static const struct {
    int error;
    const char *text;
} meanings[] = {
    {0, "success"},
    {E2BIG, "the struct or file is from a newer version and uses what this one does not know"},
    {EACCES, "the descriptor, or the mode of the path, does not grant both reading and writing"},
    {EAGAIN, "try again: discarded records were passed and more may wait, or the ring is full"},
    {EBADF, "not an open file descriptor"},
    {EBADFD, "the descriptor is not of a BPF map, or not of a sealed memory ring"},
    {EBADMSG, "the content of the ring or file is impossible: something overwrote it"},
    {EBUSY, "another reader or producer has the ring, or records are not committed"},
    {ECANCELED, "interrupted by rbcore_reader_interrupt"},
    {ECHILD, "the handle was opened before fork(): it is the parent's"},
    {EINTR, "a signal was caught"},
    {EINVAL, "an argument is not valid"},
    {EMEDIUMTYPE, "the BPF map is not of the type that is needed"},
    {EMFILE, "the process has too many open file descriptors"},
    {EMSGSIZE, "the record is larger than any the ring can hold"},
    {ENFILE, "the system has too many open files"},
    {ENOBUFS, "too many turns of several rings are not committed"},
    {ENODATA, "at the end: all that was there has been delivered"},
    {ENOENT, "no BPF map of this path or id"},
    {ENOMEM, "out of memory"},
    {ENOSPC, "no room: the reader has the most rings it can have, or a device or limit is full"},
    {EOPNOTSUPP, "not supported by this version for this kind of ring"},
    {EPERM, "not permitted, for want of CAP_BPF or CAP_SYS_ADMIN, or by a filter (seccomp(2))"},
    {ESHUTDOWN, "the reader was shut down"},
    {EUSERS, "the memory ring has the most producers it can have"},
};

const char *rbcore_strerror(int error) {
    /* The magnitude, computed without overflow for INT_MIN. */
    unsigned magnitude = error < 0 ? 0u - (unsigned)error : (unsigned)error;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if ((unsigned)meanings[i].error == magnitude) {
            return meanings[i].text;
        }
    }
    return "an error of the operating system: see errno(3)";
}

/* ---- Messages of a reader ---- */

int rbc_reader_fail(rbcore_reader *self, int error, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->message, sizeof(self->message), format, arguments);
    va_end(arguments);
    return error;
}

const char *rbcore_reader_message(const rbcore_reader *self) {
    return self == NULL ? "" : self->message;
}
