/* SPDX-License-Identifier: MIT */
/*
 * The waiting of a reader, as capi/read.c, wait.c, pace.c and consumer.c do it, against the wakeup rule
 * of the kernel's bpf_ringbuf_commit(), on a machine whose stores become visible late (x86-TSO).
 * One ring, of producers that live; rings.pml has more.
 *
 * A position is a number of records. Wakeups that are lost show as a state in which nothing moves any more
 * and the reader is not done; see Judge at the end. README.md lists the configurations and mutations.
 */

/* ---- What -D sets --------------------------------------------------------------------------- */

#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef PRODUCERS
#define PRODUCERS 1
#endif
#ifndef WORKERS
#define WORKERS 0 /* 0: records are committed by the reading thread; else released by so many */
#endif
/* BY_FD:  rbcore_reader_read and an event loop over rbcore_reader_fd; otherwise rbcore_reader_next
 * PACING: the reader may change between armed and paced
 * SIGNAL: INTERRUPT, FLUSH (then the producers never wake) or SHUTDOWN, by another thread
 * OVERTAKEN: the ring is read through a copy, and overwritten behind the last record: the reader can go on
 *         only when all is given back, with no worker at work */
#define INTERRUPT 1
#define FLUSH 2
#define SHUTDOWN 4
#ifndef SIGNAL
#define SIGNAL 0
#endif

#define RELEASE (WORKERS > 0)
#define READER 0 /* the reading thread's number; workers have 1, 2 */

#define up_to(n) ((1 << (n)) - 1)

/* ---- The machine: memory, epoll, a timer ---------------------------------------------------- */

/* Words of memory that are written by plain stores: they wait in the store buffer of their thread. */
#define CONSUMER_POS 0
#define USER_POS 1
#define READ_POS 2
#define PARKED 3
#define PACED 4
byte memory[5];
chan buffer[WORKERS + 1] = [4] of { byte, byte };

#define store(me, word, value) buffer[me]!word,value
#define full_fence(me) empty(buffer[me])
/* A locked instruction: it waits for the stores before it. */
#define locked(me, what) atomic { full_fence(me) -> what }

/* Written by locked instructions or under the producers' lock only. */
byte producer_pos;
byte complete;  /* a bit for each record: its header is not BUSY any more */
byte held;      /* release: a bit for each record that is handed out */
byte advancing;
byte asked;

/* Edges on the list of the reader's epoll, until they are fetched. */
bool ring_edge, wake_edge, timer_edge;
bool silenced; /* the ring's descriptor is not in the epoll */
bool timer_set;
bool woken; /* set by the waking thread, after the edge */
bool in_round = true; /* MANY: false: the ring is idle, and the epoll alone knows of it */

/*
 * Once an armed reader was given back everything, the next record must wake it at once: the timer that was
 * set while the user held records comes up to 10 ms late and does not count.
 */
#if WORKERS > 0
#define user_holds_some (memory[USER_POS] != read_pos)
#else
#define user_holds_some (user_pos != read_pos)
#endif
#define timer_helps (paced || user_holds_some || waits_for_releases)

/* The copy was overtaken, and the reader has seen that, or has gone on since. */
#ifdef OVERTAKEN
bool overtaken, waits_for_releases, has_jumped;
#else
#define waits_for_releases false
#define has_jumped true
#endif

/* The reading thread's own view of what it writes. */
byte read_pos, user_pos, published; /* published: consumer_pos */
bool parked, paced;

/* What the model knows and the program does not. */
byte given_back; /* a bit for each record that the user gave back */
byte producing = PRODUCERS;
bool done;

inline check_store(word, value) {
    if
    :: word == CONSUMER_POS -> assert(memory[CONSUMER_POS] <= value && value <= memory[USER_POS])
    :: word == USER_POS -> assert(memory[USER_POS] <= value && value <= read_pos &&
                                  (given_back & up_to(value)) == up_to(value))
    :: word == READ_POS -> assert(memory[READ_POS] <= value && value <= producer_pos)
    :: else
    fi
}

#define land(me) atomic { buffer[me]?word,value -> check_store(word, value); \
                          memory[word] = value; word = 0; value = 0 }

active proctype Machine() {
    byte word, value;
end:
    do
    :: land(READER)
#if WORKERS > 0
    :: land(1)
#endif
#if WORKERS > 1
    :: land(2)
#endif
    :: atomic { timer_set && timer_helps -> timer_set = false; timer_edge = true }
    od
}

/* epoll asks a descriptor whether it is ready before it reports an edge, and when it is added. */
#ifdef OVERTAKEN
#define ring_is_ready (producer_pos != memory[CONSUMER_POS] || overtaken)
#else
#define ring_is_ready (producer_pos != memory[CONSUMER_POS])
#endif
#define is_ready (ring_edge && ring_is_ready || wake_edge || timer_edge)
inline fetch_events() {
    d_step {
        if
#ifndef FETCHES_AND_FORGETS
        :: ring_edge && ring_is_ready -> in_round = true
#endif
        :: else
        fi
        ring_edge = false; wake_edge = false; timer_edge = false
    }
}

/* rbc_wait_wake() */
inline wake() {
    wake_edge = true;
    woken = true
}

/* rbc_wait_start_timer(): a timer that is started anew is not over. */
inline start_timer() {
    d_step { timer_set = true; timer_edge = false }
}

/* EPOLL_CTL_ADD: a full barrier, and then it looks whether the descriptor is ready. EPOLL_CTL_DEL takes the
 * edge that is on the list along. */
inline listen(yes) {
    atomic {
        full_fence(READER);
        silenced = !yes;
        if
        :: !(yes) -> ring_edge = false
#ifndef ADD_WITHOUT_LOOK
        :: yes && ring_is_ready -> ring_edge = true
#endif
        :: else
        fi
    }
}

/* ---- The kernel: __bpf_ringbuf_reserve(), bpf_ringbuf_commit() ------------------------------ */

proctype Producer() {
    byte at, consumer;
    do
    :: atomic { producer_pos < RECORDS -> at = producer_pos; producer_pos++ }
        complete = complete | (1 << at); /* xchg(): a full barrier */
        consumer = memory[CONSUMER_POS];
        if
        :: consumer == at && SIGNAL != FLUSH ->
            atomic { if :: !silenced -> ring_edge = true :: else fi }
        :: else
        fi
        d_step { at = 0; consumer = 0 }
    :: else -> break
    od;
#ifdef OVERTAKEN
    overtaken = true; /* by a record behind the last one, which wakes like others */
    consumer = memory[CONSUMER_POS];
    if
    :: consumer == RECORDS -> atomic { if :: !silenced -> ring_edge = true :: else fi }
    :: else
    fi;
#endif
    producing--
}

/* ---- consumer.c ----------------------------------------------------------------------------- */

/* rbc_consumer_has_record_in_place(); `read` is what the thread takes for read_pos. */
#ifdef OVERTAKEN
#define can_jump(read) (overtaken && !has_jumped && (read) == RECORDS && memory[USER_POS] == (read))
#else
#define can_jump(read) false
#endif
#define has_record(read) (producer_pos > (read) && (complete >> (read) & 1) || can_jump(read))

/* publish(position_to_publish()): a paced ring may hold back the last record, if that is small. */
inline publish(me, user, is_paced, read) {
    target = user;
    if
    :: is_paced && user == read && user - 1 >= published && user > 0 -> target = user - 1
    :: true
    fi;
    published = target;
    store(me, CONSUMER_POS, target)
}

/* The thread that commits is the one that parks: it knows without a fence. */
inline look_again(me, is_paced, is_parked, read) {
    if
    :: RELEASE || is_parked ->
#ifndef WITHOUT_FENCE
        full_fence(me);
#endif
        if
        :: is_parked ->
            if
            :: !(is_paced) ->
                if
#ifndef WITHOUT_WAKE
                :: has_record(read) -> wake()
#endif
                :: else
                fi
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

inline advance_to(me, user, is_paced, read) {
    store(me, USER_POS, user);
    publish(me, user, is_paced, read)
}

/* commit_to() */
inline commit(end) {
    d_step { user_pos = end; given_back = given_back | up_to(end) }
    advance_to(READER, user_pos, paced, read_pos);
    look_again(READER, paced, parked, read_pos)
}

/* work_on_releases(). What is_paced and is_parked stand for is asked anew in each round. */
inline advance_over_released(me, is_paced, is_parked) {
    locked(me, old = advancing; advancing++);
    if
    :: old != 0
    :: else ->
        do
        ::  seen = advancing;
            d_step { user = memory[USER_POS]; end = user }
            read = memory[READ_POS];
            do
            :: end < read && !(held >> end & 1) -> end++
            :: else -> break
            od
            if
            :: end != user -> has_published = true; advance_to(me, end, is_paced, memory[READ_POS])
            :: end == user && published != user ->
                has_published = true;
                publish(me, user, is_paced, memory[READ_POS])
            :: else
            fi
#ifdef WITHOUT_LATE_RAISES
            locked(me, advancing = 0);
            break
#else
            atomic {
                full_fence(me);
                if
                :: advancing == seen -> advancing = 0; break
                :: else
                fi
            }
#endif
        od
        if
        :: has_published -> has_published = false; look_again(me, is_paced, is_parked, memory[READ_POS])
        :: else
        fi
    fi
    skip;
    d_step { old = 0; seen = 0; user = 0; end = 0; read = 0; target = 0 }
}

#if WORKERS > 0
byte in_hand; /* a bit for each record that lies ready for a worker */

proctype Worker(byte me) {
    byte record, old, seen, user, end, read, target;
    bool has_published;
end_of_work:
    do
    :: atomic {
        in_hand ->
        if /* any of them: out of order */
        :: in_hand & 1 -> record = 0
        :: in_hand & 2 -> record = 1
        :: in_hand & 4 -> record = 2
        :: in_hand & 8 -> record = 3
        fi
        in_hand = in_hand & ~(1 << record)
       }
        /* let_go() */
        atomic { assert(memory[USER_POS] <= record && record < memory[READ_POS]) }
        locked(me, given_back = given_back | (1 << record); held = held & ~(1 << record); record = 0);
        advance_over_released(me, memory[PACED], memory[PARKED])
    od
}
#endif

/* ---- read.c, ring.c ------------------------------------------------------------------------------- */

#define EMPTY 0
#define FOUND 1
#define CANCELED 2
#define FLUSHED 3
#define ENDED 4

inline end_flush() {
    d_step { is_flushing = false; flush_pos = 0; result = FLUSHED }
}

/* answer() */
inline answer() {
    if
    :: asked & SHUTDOWN -> result = ENDED
    :: else ->
        if
        :: asked & INTERRUPT -> locked(READER, asked = asked & ~INTERRUPT; result = CANCELED)
        :: else ->
            if
            :: asked & FLUSH ->
                locked(READER, asked = asked & ~FLUSH);
                d_step {
                    is_flushing = true; flush_pos = producer_pos
#ifndef FLUSH_FORGETS_IDLE_RINGS
                    if :: producer_pos != read_pos -> in_round = true :: else fi
#endif
                }
            :: else
            fi
            if
            :: is_flushing && read_pos >= flush_pos -> end_flush()
            :: else
            fi
        fi
    fi
}

inline publish_held_back(user) {
    if
    :: published != user ->
        publish(READER, user, paced, read_pos);
        look_again(READER, paced, parked, read_pos)
    :: else
    fi
}

/* rbc_consumer_publish() */
inline publish_rest() {
#if WORKERS > 0
#ifdef WITHOUT_COMBINER
    locked(READER, user = memory[USER_POS]);
    publish_held_back(user);
    user = 0
#else
    advance_over_released(READER, paced, parked)
#endif
#else
    publish_held_back(user_pos)
#endif
}

/* resume_at(), rbc_consumer_stop_releases(), rbc_consumer_jump(): does not wait for a worker that is at work. */
inline jump() {
#ifdef OVERTAKEN
    if
    :: overtaken && !has_jumped && read_pos == RECORDS ->
        waits_for_releases = true;
        if
        :: memory[USER_POS] == read_pos ->
            atomic {
                full_fence(READER);
                if
                :: advancing == 0 -> advancing = 1; has_jumped = true
                :: else
                fi
            };
            if
            :: has_jumped ->
                assert(held == 0);
                waits_for_releases = false;
                result = FOUND;
                count = 0;
                locked(READER, advancing = 0)
            :: else
            fi
        :: else
        fi
    :: else
    fi
#else
    skip
#endif
}

/* rbc_ring_scan(), rbc_read_note() */
inline scan() {
    limit = producer_pos; /* and after it the headers */
    do
    :: read_pos + count < limit && (complete >> (read_pos + count) & 1) -> count++
    :: count > 0 -> break /* the array is full */
    :: else -> break
    od
    if
    :: count > 0 ->
#if WORKERS > 0
        locked(READER, held = held | (up_to(count) << read_pos));
        atomic { store(READER, READ_POS, read_pos + count); read_pos = read_pos + count };
#else
        read_pos = read_pos + count;
#endif
        if
        :: paced -> publish_rest()
        :: else
        fi
        result = FOUND
    :: else
    fi
    limit = 0;
    jump()
}

inline set_parked(yes) {
    parked = yes;
#if WORKERS > 0
    store(READER, PARKED, yes)
#endif
}

#define set_paced(yes) \
    paced = yes; \
    if :: RELEASE -> store(READER, PACED, yes) :: else fi

/* change_pace(): the thresholds in records per interval may say anything at any time. (The counter of raises
 * has 32 bits in the program and a few here.) */
inline change_pace() {
#ifdef PACING
    if
    :: true
    :: in_round && !paced -> set_paced(true)
    :: paced && advancing < 2 ->
        set_paced(false);
#ifndef WITHOUT_PUBLISHING
        publish_rest()
#endif
    fi
#else
    skip
#endif
}

/* rbc_idle_sweep(): with MANY it may come before any look, and find that the ring gave nothing of late or not. */
#if WORKERS > 0
#define nothing_held (memory[USER_POS] == read_pos)
#else
#define nothing_held (user_pos == read_pos)
#endif
#if defined(LEAVES_HELD)
#define is_armed (memory[CONSUMER_POS] == read_pos || memory[CONSUMER_POS] == user_pos)
#elif defined(LEAVES_BY_USER_POS)
#define is_armed nothing_held
#else
/* A thread sees its own store before others do. */
#define is_armed (nothing_held && \
    (memory[CONSUMER_POS] == read_pos || buffer[READER] ?? [CONSUMER_POS, eval(read_pos)]))
#endif
inline sweep() {
#ifdef MANY
    if
    :: in_round && !paced && !silenced && is_armed ->
#ifndef SWEEP_WITHOUT_FENCE
        full_fence(READER);
#endif
        if
#ifdef LEAVES_WITHOUT_LOOK
        :: true -> in_round = false
#else
        :: atomic { producer_pos == read_pos -> in_round = false }
#endif
        :: true
        fi
    :: true
    fi
#else
    skip
#endif
}

/* look(): with only_due it leaves in a paced ring what is not due yet. */
inline look(only_due) {
    sweep();
    d_step { result = EMPTY; count = 0 }
#if SIGNAL > 0
    answer();
#endif
    if
    :: result == EMPTY ->
        if
        :: !in_round
        :: in_round -> scan();
            if
#ifdef ARMS_AFTER_AN_EMPTY_SCAN
            :: only_due -> change_pace()
#else
            :: count > 0 -> change_pace() /* a read or look that ends a batch judges, too */
#endif
            :: else
            fi
        :: in_round && only_due && paced && !is_flushing
        fi
    :: else
    fi
    if
    :: result == FOUND -> set_parked(false)
#if SIGNAL == FLUSH
    :: result == EMPTY && is_flushing -> end_flush() /* go_on_flushing(): nobody died here, see rings.pml */
#endif
    :: else
    fi
}

inline prepare_to_park() {
    change_pace();
    if
    :: in_round && silenced != paced -> listen(!paced)
#ifdef MANY
    :: in_round && paced && !silenced
#endif
    :: else
    fi
}

inline look_parked(only_due) {
    prepare_to_park();
#ifdef PARKED_LATE
    look(only_due);
    if
    :: result == EMPTY -> set_parked(true)
    :: else
    fi
#else
    set_parked(true);
#ifndef WITHOUT_PARK_FENCE
    full_fence(READER);
#endif
    look(only_due)
#endif
}

#ifdef OVERTAKEN_WITHOUT_TIMER
#define must_look_by_itself (in_round && (paced || user_holds_some))
#else
#define must_look_by_itself (in_round && (paced || user_holds_some || waits_for_releases))
#endif

/* A reader that will start the timer anew and listens to nothing else has nothing to fetch. */
inline empty_fd() {
    if
    :: paced && silenced && !woken /* rbc_wait_drain_timer() */
    :: else ->
        woken = false;
        fetch_events()
    fi
}

/* rbcore_reader_read(), or rbcore_reader_next(0) with only_due */
inline read_records(only_due) {
    look(only_due);
    if
    :: result == EMPTY ->
#ifdef DRAIN_LATE
        look_parked(only_due);
        empty_fd();
#else
        empty_fd();
        look_parked(only_due);
#endif
        if
        :: result == EMPTY && must_look_by_itself -> start_timer()
        :: else
        fi
#ifdef READ_GIVES_BACK
        if
        :: result == EMPTY ->
            user_pos = read_pos;
            advance_to(READER, user_pos, paced, read_pos);
            look_again(READER, paced, parked, read_pos)
        :: else
        fi
#endif
    :: else
    fi
}

/* rbcore_reader_next(RBCORE_FOREVER) */
inline next_records() {
    look(true);
    do
    :: result == EMPTY ->
        look_parked(true);
        if
        :: result == EMPTY ->
            timed = must_look_by_itself;
            if
            :: is_ready -> fetch_events()
            :: timed && timer_helps /* the time is up */
            fi;
            timed = false;
            look(true)
        :: else
        fi
    :: else -> break
    od
}

/* ---- The user ------------------------------------------------------------------------------- */

/* Gives back nothing, a part, or all. */
inline give_back() {
#if WORKERS > 0
    if
    :: result == FOUND -> locked(READER, in_hand = in_hand | (up_to(count) << (read_pos - count)))
    :: else
    fi
#else
    if
    :: skip
    :: user_pos < read_pos -> commit(read_pos)
    :: user_pos + 1 < read_pos -> commit(user_pos + 1)
    fi
#endif
}

active proctype Reader() {
    byte result, count, limit, flush_pos, target, answers;
    byte old, seen, user, end, read;
    bool is_flushing, timed, only_due, has_published;
    do
    :: result == ENDED || (SIGNAL != SHUTDOWN && read_pos == RECORDS && has_jumped &&
                           (answers == 1 || SIGNAL == 0)) -> break
    :: else ->
#ifdef BY_FD
        if
#if !defined(PACING) || WORKERS == 0
        :: only_due = false
#endif
#ifdef PACING
        :: only_due = true
#endif
        fi;
        read_records(only_due);
#else
        next_records();
#endif
        if
        :: result == CANCELED || result == FLUSHED -> answers++; assert(answers == 1)
        :: else
        fi
        give_back();
#ifdef BY_FD
        if
        :: result == EMPTY -> is_ready
        :: else
        fi
#endif
    od
    /* rbcore_reader_free(): the ring is closed when the last record is back. */
#if WORKERS == 0
    commit(read_pos);
#else
    memory[USER_POS] == read_pos && advancing == 0;
#endif
    set_paced(false);
    publish_rest();
    done = true
}

/* ask() */
#if SIGNAL > 0
active proctype Signaler() {
#if SIGNAL == FLUSH
    producing == 0;
#endif
#ifdef WAKE_BEFORE_ASKING
    wake();
    asked = asked | SIGNAL
#else
    asked = asked | SIGNAL;
    wake()
#endif
}
#endif

/* When nothing moves any more, all must have come to a good end. */
active proctype Judge() {
    timeout;
    assert(done);
    assert(SIGNAL == SHUTDOWN || read_pos == RECORDS);
    assert(memory[USER_POS] == read_pos && memory[CONSUMER_POS] == read_pos)
}

init {
    byte i;
    atomic {
        do
        :: i < PRODUCERS -> run Producer(); i++
        :: else -> break
        od
#if WORKERS > 0
        run Worker(1);
#endif
#if WORKERS > 1
        run Worker(2);
#endif
        i = 0
    }
}
