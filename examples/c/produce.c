/* SPDX-License-Identifier: MIT */
/*
 * A memory ring between two processes: the reader makes it and passes its two file descriptors over
 * a socket, the producer at the other end writes records. Neither needs BPF or root.
 *
 * Build: cc -o produce produce.c $(pkg-config --cflags --libs rbcore)
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rbcore/rbcore.h>

#define RECORDS UINT64_C(100000)

static _Noreturn void fail(const char *what, const char *why) {
    fprintf(stderr, "produce: %s: %s\n", what, why);
    exit(1);
}

static int must(int result, const char *what) {
    if (result < 0) {
        fail(what, rbcore_strerror(result));
    }
    return result;
}

/* The same for a system call, which gives its error in errno. */
static int must_call(int result, const char *what) {
    if (result < 0) {
        fail(what, strerror(errno));
    }
    return result;
}

/* A message of one byte that carries, or has room for, two file descriptors. */
typedef struct fd_message {
    struct msghdr header;
    struct iovec content;
    char byte;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
} fd_message;

static void prepare(fd_message *message) {
    memset(message, 0, sizeof(*message));
    message->content = (struct iovec){&message->byte, 1};
    message->header.msg_iov = &message->content;
    message->header.msg_iovlen = 1;
    message->header.msg_control = message->control;
    message->header.msg_controllen = sizeof(message->control);
}

static void send_ring(int socket, const rbcore_source *source) {
    const int fds[2] = {source->fd, source->event_fd};
    fd_message message;
    struct cmsghdr *control;
    prepare(&message);
    control = CMSG_FIRSTHDR(&message.header);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(fds));
    memcpy(CMSG_DATA(control), fds, sizeof(fds));
    must_call((int)sendmsg(socket, &message.header, 0), "send the ring");
}

static void receive_ring(int socket, rbcore_source *source) {
    fd_message message;
    struct cmsghdr *control;
    int fds[2];
    prepare(&message);
    must_call((int)recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC), "receive the ring");
    control = CMSG_FIRSTHDR(&message.header);
    if (!control || control->cmsg_len != CMSG_LEN(sizeof(fds))) {
        fail("receive the ring", "no file descriptors came");
    }
    memcpy(fds, CMSG_DATA(control), sizeof(fds));
    source->kind = RBCORE_SOURCE_MEMORY_RING;
    source->fd = fds[0];
    source->event_fd = fds[1];
}

/* The producing process. A full ring refuses the record, as it does in the kernel. */
static int produce(int socket) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_producer *producer;
    void *data;
    receive_ring(socket, &source);
    must(rbcore_producer_open(&producer, &source), "open the producer");
    for (uint64_t number = 0; number < RECORDS; number++) {
        int result = rbcore_producer_reserve(producer, &data, sizeof(number));
        if (result == -EAGAIN) {
            continue;
        }
        must(result, "reserve");
        memcpy(data, &number, sizeof(number));
        must(rbcore_producer_submit(producer, data, 0), "submit");
    }
    rbcore_producer_free(producer);
    return 0;
}

/* Numbers must rise; returns how many records there were. */
static uint64_t check(const rbcore_record *records, int count, uint64_t *next) {
    for (int i = 0; i < count; i++) {
        uint64_t number = *(const uint64_t *)records[i].data;
        if (number < *next) {
            fail("record", "it came twice or out of order");
        }
        *next = number + 1;
    }
    return (uint64_t)count;
}

/* Reads until the producer is gone and the ring is empty; returns the number of records. */
static uint64_t receive(rbcore_reader *reader, pid_t producer) {
    rbcore_record records[256];
    uint64_t total = 0;
    uint64_t next = 0;
    int gone = 0;
    int count;
    while ((count = rbcore_reader_next(reader, records, 256, 20000000)) != -ENODATA) {
        total += check(records, must(count, "next"), &next);
        must(rbcore_reader_commit(reader, NULL, 0), "commit");
        if (!gone && waitpid(producer, NULL, WNOHANG) == producer) {
            gone = 1;
            rbcore_reader_flush(reader); /* -ENODATA comes after the last record */
        }
    }
    return total;
}

int main(void) {
    rbcore_source source = RBCORE_SOURCE_INIT;
    rbcore_ring_stats stats = RBCORE_RING_STATS_INIT;
    rbcore_reader *reader;
    uint64_t received;
    int sockets[2];
    pid_t child;
    int ring;
    must_call(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), "socketpair");
    child = must_call(fork(), "fork");
    if (child == 0) {
        return produce(sockets[1]);
    }
    source.kind = RBCORE_SOURCE_MEMORY_RING;
    must(rbcore_memory_ring_create(&source.fd, &source.event_fd, 1 << 20, 0), "create the ring");
    must(rbcore_reader_open(&reader, NULL), "open the reader");
    ring = must(rbcore_reader_add(reader, &source), "add the ring");
    send_ring(sockets[0], &source);
    received = receive(reader, child);
    must(rbcore_reader_ring_stats(reader, (unsigned int)ring, &stats), "statistics");
    printf("%" PRIu64 " produced = %" PRIu64 " received + %" PRIu64 " lost\n", RECORDS, received,
           stats.lost);
    rbcore_reader_free(reader);
    return received + stats.lost == RECORDS ? 0 : 1;
}
