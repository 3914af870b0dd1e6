/* SPDX-License-Identifier: MIT */
#include "listed.h"

#include <check.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    int error;
    const char *name;
} names[] = {
    {E2BIG, "E2BIG"},         {EACCES, "EACCES"},   {EAGAIN, "EAGAIN"},
    {EBADF, "EBADF"},         {EBADFD, "EBADFD"},   {EBADMSG, "EBADMSG"},
    {EBUSY, "EBUSY"},         {ECHILD, "ECHILD"},   {ECANCELED, "ECANCELED"},
    {EDQUOT, "EDQUOT"},       {EFBIG, "EFBIG"},     {EINTR, "EINTR"},
    {EINVAL, "EINVAL"},       {EIO, "EIO"},         {EISDIR, "EISDIR"},
    {ELOOP, "ELOOP"},         {EMFILE, "EMFILE"},   {EMEDIUMTYPE, "EMEDIUMTYPE"},
    {EMSGSIZE, "EMSGSIZE"},   {ENFILE, "ENFILE"},   {ENAMETOOLONG, "ENAMETOOLONG"},
    {ENOBUFS, "ENOBUFS"},     {ENODATA, "ENODATA"}, {ENOENT, "ENOENT"},
    {ENOLCK, "ENOLCK"},       {ENOMEM, "ENOMEM"},   {ENOSPC, "ENOSPC"},
    {ENOSYS, "ENOSYS"},       {ENOTDIR, "ENOTDIR"}, {EOPNOTSUPP, "EOPNOTSUPP"},
    {EOVERFLOW, "EOVERFLOW"}, {EPERM, "EPERM"},     {EPIPE, "EPIPE"},
    {ESHUTDOWN, "ESHUTDOWN"}, {ESRCH, "ESRCH"},     {EUSERS, "EUSERS"},
};

const char *name_of_error(int error) {
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (names[i].error == error) {
            return names[i].name;
        }
    }
    return NULL;
}

static const char *header(void) {
    static char text[1 << 17];
    if (*text == '\0') {
        FILE *file = fopen(RBCORE_HEADER, "r");
        ck_assert_msg(file != NULL, "%s: %s", RBCORE_HEADER, strerror(errno));
        size_t size = fread(text, 1, sizeof(text) - 1, file);
        ck_assert_uint_gt(size, 0);
        ck_assert_uint_lt(size, sizeof(text) - 1);
        fclose(file);
    }
    return text;
}

/* Finds the comment right before the declaration of a function. Returns false if there is none. */
static bool comment_of(const char *function, char *out, size_t room) {
    char opening[64];
    snprintf(opening, sizeof(opening), "%s(", function);
    const char *text = header(), *at = text;
    while ((at = strstr(at, opening)) != NULL) {
        const char *line = at;
        while (line > text && line[-1] != '\n') {
            line--;
        }
        if (strncmp(line, "RBCORE_API ", 11) == 0) {
            const char *begin = line;
            while (begin > text && strncmp(begin, "/*", 2) != 0) {
                begin--;
            }
            ck_assert_uint_lt((size_t)(line - begin), room);
            memcpy(out, begin, (size_t)(line - begin));
            out[line - begin] = '\0';
            return true;
        }
        at += strlen(opening);
    }
    return false;
}

static bool has_word(const char *text, const char *word) {
    const size_t length = strlen(word);
    for (const char *at = text; (at = strstr(at, word)) != NULL; at += length) {
        if (!isalnum((unsigned char)at[length]) && at[length] != '_') {
            return true;
        }
    }
    return false;
}

/* "the results of F", "errors are those of F", "Otherwise as F". */
static bool is_listed_by_reference(const char *comment, int error, const char *failed) {
    static const char *const phrases[] = {"results of ", "those of ", "Otherwise as "};
    for (size_t i = 0; i < sizeof(phrases) / sizeof(*phrases); i++) {
        const char *at = strstr(comment, phrases[i]);
        if (at == NULL) {
            continue;
        }
        at += strlen(phrases[i]);
        at += strspn(at, " *\n");
        char function[64] = "";
        size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        if (length < sizeof(function) && strncmp(at, "rbcore_", 7) == 0) {
            memcpy(function, at, length);
            if (is_listed(function, error, failed)) {
                return true;
            }
        }
    }
    return false;
}

/* "others as write(2) gives them"; but none that says to try again. */
static bool is_left_to(const char *comment, int error, const char *failed) {
    if (error == EINTR || error == EAGAIN) {
        return false;
    }
    static const struct {
        const char *words, *call;
    } left[] = {{"as open(2)", "bpf OBJ_GET"}, {"as read(2)", "read"}, {"as write(2)", "write"}};
    for (size_t i = 0; i < sizeof(left) / sizeof(*left); i++) {
        if (strstr(comment, left[i].words) != NULL && strcmp(failed, left[i].call) == 0) {
            return true;
        }
    }
    return false;
}

bool is_listed(const char *function, int error, const char *failed) {
    static char texts[4][8192];
    static unsigned depth;
    char word[32];
    const char *name = name_of_error(error);
    if (name == NULL) {
        return false;
    }
    ck_assert_uint_lt(depth, 4);
    char *comment = texts[depth++];
    ck_assert_msg(comment_of(function, comment, sizeof(texts[0])), "no %s in the header", function);
    snprintf(word, sizeof(word), "-%s", name);
    bool listed = has_word(comment, word) || is_left_to(comment, error, failed) ||
                  is_listed_by_reference(comment, error, failed);
    depth--;
    return listed;
}
