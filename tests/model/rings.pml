/* SPDX-License-Identifier: MIT */
/*
 * What a reader of several rings waits for, as capi/reader.c and read.c decide it: which descriptors are in
 * its epoll, and when the timer is set. Rings come and go while it waits; producers die, or never wake
 * (RBCORE_READER_POLL); a tap is woken for another reader.
 *
 * Memory is sequentially consistent here: the barriers of a single ring are the subject of ring.pml. A position
 * is a number of records. A wait that nothing ends shows as a state in which nothing moves any more and records
 * are left; see Judge at the end. README.md lists the configurations and mutations.
 */

/* ---- What -D sets --------------------------------------------------------------------------- */

#ifndef RINGS
#define RINGS 1
#endif
#ifndef RECORDS
#define RECORDS 2 /* in each ring */
#endif
#ifndef PRODUCERS
#define PRODUCERS 1 /* of each ring */
#endif
#ifndef CHANGES
#define CHANGES 1 /* adds and removes of the last ring; one before it is there from the start */
#endif
/* BY_FD:  rbcore_reader_read, or next(0), and an event loop over rbcore_reader_fd; otherwise next(RBCORE_FOREVER)
 * PACING: rings may change between armed and paced
 * POLL:   RBCORE_READER_POLL, and producers that never wake
 * DEATHS: the rings are memory rings; so many producers (or 0) die between reserve and wakeup
 * TAP:    ring 0 is a tap
 * FLUSH:  asked for by another thread, at any time
 * MANY:   as in a reader of many rings, each may go idle before any look
 * BUSY:   ring 0 always has more
 * DEAF:   epoll refuses to have a ring back */
#ifdef DEATHS
#define is_memory true
#else
#define is_memory false
#define DEATHS 0
#endif
#ifdef TAP
#define is_tap(r) ((r) == 0)
#else
#define is_tap(r) false
#endif
#ifdef BUSY
#define is_endless(r) ((r) == 0)
#else
#define is_endless(r) false
#endif
#ifdef POLL
#define wakes false
#else
#define wakes true
#endif

#define bit(n) (1 << (n))

#ifdef MANY
#define is_looked_at(r) (is_added[r] && in_round[r])
#define let_begin(r) turn = (r)
#else
#define is_looked_at(r) is_added[r]
#define let_begin(r) skip
#endif
#define LOOKS_BEFORE_HEARING 2 /* 64 in the program */
#ifdef STARTS_WITH_THE_SAME
#define next_turn(r) (r)
#else
#define next_turn(r) other(r)
#endif

/* ---- The rings, as their producers and the kernel see them --------------------------------------- */

byte producer_pos[RINGS];
byte complete[RINGS]; /* a bit for each record: its header is not BUSY any more */
byte dead[RINGS];     /* a bit for each record: its producer died before its wakeup */
byte consumer_pos[RINGS];
byte deaths = DEATHS;

/* ---- The reader ------------------------------------------------------------------------------ */

bool is_added[RINGS], is_paced[RINGS], left_epoll[RINGS], head_is_busy[RINGS];
byte read_pos[RINGS], user_pos[RINGS], handed_end[RINGS], flush_pos[RINGS];
bool in_round[RINGS]; /* the ring is looked at; without MANY each one is */
byte turn;            /* the ring that comes first in the next look: with MANY */
bool saw_all = true;  /* no timer has said that it is time for a look at all rings */
byte ring_count, paced_count, rings_to_watch;
bool parked, is_flushing, asked;

/* ---- The machine: epoll and a timer -------------------------------------------------------------- */

bool is_registered[RINGS]; /* the ring's descriptor is in the epoll */
bool was_woken[RINGS];     /* a memory ring's eventfd: it is not 0 any more, and nobody reads it */
bool ring_edge[RINGS], wake_edge, timer_edge;
bool woken; /* set by the one that wakes, after the edge */

#define NEVER 0
#define NOW_AND_THEN 1 /* 100 ms */
#define SOON 2         /* a ring's interval, or a delay up to 10 ms */
byte timer;

/* What the model knows and the program does not. */
byte must_come[RINGS]; /* by the flush */
byte changes = CHANGES;
byte turns_meanwhile;
#ifdef FLUSH
bool to_flush = true; /* the flush was not answered yet */
#else
#define to_flush false
#endif

#define is_held(r) (user_pos[r] != read_pos[r])
#define dies_unnoticed(r) (dead[r] >> read_pos[r] & 1)
#ifdef TAP
/* Records that wake nobody: the ring's reader had not given back those before, or this one as well already. */
byte came_early[RINGS], was_taken[RINGS];
#define is_early(r) (is_tap(r) && came_early[r] >> read_pos[r] & 1)
#define is_taken(r) (is_tap(r) && was_taken[r] >> read_pos[r] & 1)
#else
#define is_early(r) false
#define is_taken(r) false
#endif
/* Woken for it or not, epoll finds nothing in a map whose reader has given back all. */
#define is_gone(r) (is_tap(r) && !is_memory && consumer_pos[r] > read_pos[r])

/*
 * A timer is slow. So it counts only for what no producer wakes us for. What comes to an armed ring of which
 * nothing is held wakes the reader at once, however soon the timer would.
 */
#ifdef NEVER_LOOKS_AT_ALL
#define is_found(r) in_round[r] /* nor does a wait count that ends in vain, again and again */
#else
#define is_found(r) true
#endif
#define is_rare(r) (is_added[r] && is_found(r) && (dies_unnoticed(r) || is_taken(r)))
#define is_unheard(r)                                                                              \
    (is_added[r] && (is_paced[r] || is_held(r) || !is_registered[r]) || is_rare(r) || is_early(r) ||   \
     is_gone(r))
#define other(r) (RINGS - 1 - (r))
#if RINGS > 1
#define any(what) (what(0) || what(1))
#define all(what) (what(0) && what(1))
#define each(what) what(0); what(1)
#else
#define any(what) what(0)
#define all(what) what(0)
#define each(what) what(0)
#endif
#define is_over(t) ((t) == SOON && any(is_unheard) || (t) == NOW_AND_THEN && any(is_rare))

active proctype Machine() {
end:
    do
    :: atomic { is_over(timer) -> saw_all = timer != NOW_AND_THEN; timer = NEVER; timer_edge = true }
    od
}

/* epoll asks a descriptor whether it is ready before it reports an edge, and when it is added. */
#define file_is_ready(r) (is_memory && was_woken[r] || !is_memory && producer_pos[r] != consumer_pos[r])
#define has_edge(r) (ring_edge[r] && file_is_ready(r))
#define is_ready (any(has_edge) || wake_edge || timer_edge)

/* rbc_idle_end(): the ring comes last. */
inline join(r) {
    if
    :: !in_round[r] -> in_round[r] = true; let_begin(other(r))
    :: else
    fi
}

/* rbc_idle_hear() */
inline hear(r) {
    if
#ifndef FETCHES_AND_FORGETS
    :: is_added[r] && has_edge(r) -> join(r)
#endif
    :: else
    fi;
    ring_edge[r] = false
}

inline fetch_events() {
    d_step {
        wake_edge = false;
        timer_edge = false;
        each(hear)
    }
}

/* rbc_wait_wake() */
inline wake() {
    wake_edge = true;
    woken = true
}

/* EPOLL_CTL_ADD and EPOLL_CTL_DEL */
inline register(r) {
    is_registered[r] = true;
    ring_edge[r] = file_is_ready(r)
}

inline unregister(r) {
    is_registered[r] = false;
    ring_edge[r] = false
}

/* ---- The producers: reserve, commit or die; then the wakeup --------------------------------------- */

inline wake_readers(r) {
    was_woken[r] = true;
    if
    :: is_registered[r] ->
        assert(is_added[r]); /* a ring that was removed wakes the reader */
        ring_edge[r] = true
    :: else
    fi
}

#ifdef TAP
inline note_silence(r) {
    if
    :: consumer_pos[r] < at -> came_early[r] = came_early[r] | bit(at)
    :: consumer_pos[r] > at -> was_taken[r] = was_taken[r] | bit(at)
    fi
}
#else
#define note_silence(r) skip
#endif

proctype Producer(byte r) {
    byte at;
    do
    :: atomic { producer_pos[r] < RECORDS -> at = producer_pos[r]; producer_pos[r]++ }
        if
        ::  complete[r] = complete[r] | bit(at);
            if
            :: atomic { consumer_pos[r] == at && wakes -> wake_readers(r) }
            :: atomic { consumer_pos[r] != at || !wakes -> note_silence(r) }
            :: atomic { deaths > 0 -> deaths--; dead[r] = dead[r] | bit(at) }
            fi
        :: atomic { deaths > 0 -> deaths--; dead[r] = dead[r] | bit(at) }
        fi;
        at = 0
    :: else -> break
    od
}

/*
 * The reader of the ring that is tapped, another one of this library: it may be awake for whatever reason, commit
 * late, hold back a record, or stop.
 */
#ifdef TAP
active proctype Consumer() {
    byte at;
    do
    :: at < RECORDS && ((complete[0] | dead[0]) >> at & 1) -> at++
    :: consumer_pos[0] < at -> consumer_pos[0]++
    :: true -> break
    od
}
#endif

/* ---- consumer.c ----------------------------------------------------------------------------- */

/* rbc_consumer_has_record_in_place() */
#define is_complete(r) (complete[r] >> read_pos[r] & 1)
#define has_record(r) (producer_pos[r] > read_pos[r] && is_complete(r))

inline look_again(r) {
    if
    :: parked && !is_paced[r] && has_record(r) -> wake()
    :: else
    fi
}

/* A tap publishes for itself alone. A paced ring may hold back the last record, if that is small. */
inline publish(r) {
    if
    :: is_tap(r)
    :: !is_tap(r) -> consumer_pos[r] = user_pos[r]
    :: !is_tap(r) && is_paced[r] && !is_held(r) && user_pos[r] > consumer_pos[r] ->
        consumer_pos[r] = user_pos[r] - 1
    fi;
    look_again(r)
}

/* commit_to(), pass_discarded(): what was passed behind the last record that was handed out goes with it. */
inline commit_to(r, end) {
    user_pos[r] = end;
    if
    :: user_pos[r] == handed_end[r] ->
        handed_end[r] = read_pos[r];
        user_pos[r] = read_pos[r]
    :: else
    fi;
    publish(r)
}

/* ---- ring.c ----------------------------------------------------------------------------------- */

#define EMPTY 0
#define FOUND 1
#define AGAIN 2
#define FLUSHED 3

/* The turns of ring 0 while the other one is ready. */
#ifdef BUSY
#define is_ready_for_its_turn(r) (is_added[r] && has_record(r) && (in_round[r] || has_edge(r)))
inline note_turn_beside(r) {
    if
    :: is_ready_for_its_turn(r) -> turns_meanwhile++
    :: else
    fi;
    assert(turns_meanwhile <= LOOKS_BEFORE_HEARING + 1)
}
#endif

/* rbc_ring_scan(), rbc_read_note(); the array may be full after any record */
inline scan(r) {
    if
#ifdef BUSY
    :: is_endless(r) -> result = FOUND; note_turn_beside(other(r))
    :: !is_endless(r) && has_record(r) -> turns_meanwhile = 0;
#else
    :: has_record(r) ->
#endif
        read_pos[r]++;
        do
        :: has_record(r) -> read_pos[r]++
        :: break
        od;
        handed_end[r] = read_pos[r];
        result = FOUND;
        if
        :: is_paced[r] -> publish(r)
        :: else
        fi
    :: else
    fi;
    head_is_busy[r] = producer_pos[r] > read_pos[r] && !is_complete(r)
}

/* rbc_ring_skip_abandoned() */
inline skip_abandoned(r) {
    if
    :: is_looked_at(r) && is_memory && head_is_busy[r] && dies_unnoticed(r) ->
        result = AGAIN;
        if
        :: is_complete(r) /* the scan will say what it is */
        :: else ->
            read_pos[r]++;
            if
            :: user_pos[r] == handed_end[r] ->
                handed_end[r] = read_pos[r];
                user_pos[r] = read_pos[r];
                publish(r)
            :: else
            fi
        fi
    :: else
    fi
}

/* ---- idle.c ----------------------------------------------------------------------------------- */

/* rbc_idle_sweep(): it may come before any look, and find that the ring gave nothing of late or not. */
#define is_armed(r)                                                                                \
    (consumer_pos[r] == read_pos[r] && !is_held(r) && !is_paced[r] && !left_epoll[r] &&            \
     !is_tap(r) && !is_endless(r))
inline sweep(r) {
    if
    :: is_looked_at(r) && is_armed(r) && producer_pos[r] == read_pos[r] -> in_round[r] = false
    :: true
    fi
}

/* rbc_idle_look() */
inline look_at_idle(r) {
    if
    :: is_added[r] && producer_pos[r] != read_pos[r] -> join(r)
    :: else
    fi
}

/* rbc_idle_look_if_in_vain(): when a timer said so. What wakes the reader must be found without it. */
inline look_now_and_then() {
#ifndef NEVER_LOOKS_AT_ALL
    atomic {
        if
        :: !saw_all -> saw_all = true; each(look_at_idle)
        :: else
        fi
    }
#else
    skip
#endif
}

/* rbc_idle_listen(): fetches events although all looks find something */
inline listen_while_busy() {
#ifdef BUSY
    if
    :: busy_looks == LOOKS_BEFORE_HEARING ->
        busy_looks = 0;
#ifndef DEAF_WHILE_BUSY
        woken = false;
        fetch_events()
#endif
    :: else
    fi
#else
    skip
#endif
}

/* ---- read.c ----------------------------------------------------------------------------------- */

/* change_pace(): the thresholds may say anything at any time. A polling reader's rings stay paced. */
inline change_pace(r) {
#ifdef PACING
    if
    :: true
    :: !is_paced[r] -> is_paced[r] = true; paced_count++
    :: is_paced[r] -> is_paced[r] = false; paced_count--; publish(r)
    fi
#else
    skip
#endif
}

inline begin_flush(r) {
    look_at_idle(r);
    flush_pos[r] = producer_pos[r];
    must_come[r] = read_pos[r];
    do
    :: is_added[r] && must_come[r] < flush_pos[r] && ((complete[r] | dead[r]) >> must_come[r] & 1) ->
        must_come[r]++
    :: else -> break
    od
}

#define was_flushed(r) (!is_added[r] || read_pos[r] >= flush_pos[r])

/* answer(): here to a flush only; ring.pml has the others */
inline answer() {
    if
    :: asked -> atomic { asked = false; is_flushing = true; each(begin_flush) }
    :: else
    fi;
    if
    :: is_flushing && all(was_flushed) -> result = FLUSHED
    :: else
    fi
}

/* take_turn(): with only_due it leaves in a paced ring what is not due yet */
inline take_turn(r) {
    atomic {
        if
        :: result == FOUND /* and the array is full */
        :: is_looked_at(r) ->
            scan(r);
            if
            :: result == FOUND -> let_begin(next_turn(r)); change_pace(r)
            :: else
            fi
        :: is_looked_at(r) && only_due && is_paced[r] && !is_flushing
        :: else
        fi
    }
}

/* rbc_pass_over_rings() */
inline take_turns() {
#if RINGS > 1
    if
    :: turn == 0 -> take_turn(0); take_turn(1)
    :: else -> take_turn(1); take_turn(0)
    fi
#else
    take_turn(0)
#endif
}

/* go_on_flushing(): what was not found is not to be had, unless it is behind what a dead producer left */
inline go_on_flushing() {
#ifndef FLUSHES_BEFORE_THE_DEAD
    atomic { each(skip_abandoned) };
#endif
    if
    :: result == EMPTY -> result = FLUSHED
    :: else
    fi
}

inline look() {
    result = EMPTY;
#ifdef MANY
    atomic { each(sweep) };
#endif
#ifdef FLUSH
    answer();
#endif
    if
    :: result == EMPTY -> take_turns()
    :: else
    fi;
#ifdef BUSY
    busy_looks++; /* for each look finds something */
#endif
    if
    :: result == FOUND -> parked = false
#ifdef FLUSH
    :: result == EMPTY && is_flushing -> go_on_flushing()
#endif
    :: else
    fi
}

inline listen(r) {
    if
    :: is_paced[r] && !left_epoll[r] -> unregister(r); left_epoll[r] = true
    :: !is_paced[r] && left_epoll[r] -> register(r); left_epoll[r] = false
#ifdef DEAF
    :: !is_paced[r] && left_epoll[r]
#endif
#ifdef MANY
    :: is_paced[r] && !left_epoll[r] /* few of many rings leave */
#endif
    :: else
    fi
}

inline prepare_to_park(r) {
    if
    :: is_looked_at(r) -> change_pace(r); listen(r)
    :: else
    fi
}

inline look_parked() {
    atomic { each(prepare_to_park); parked = true };
    look();
    if
    :: result == EMPTY && rings_to_watch > 0 -> atomic { each(skip_abandoned) }
    :: else
    fi
}

/*
 * rbc_shadow_wakes(): not a tap of a map, whose reader may be quicker. Otherwise if the next record is what the ring's
 * reader waits for, too, and was not there after this was known.
 */
#ifdef TAP
inline look_at_its_reader() {
#ifdef TAP_TRUSTS_ITS_READER
    tap_is_deaf = false
#else
#ifdef TAP_OF_A_MAP_SLEEPS
    tap_is_deaf = consumer_pos[0] != read_pos[0];
#else
    tap_is_deaf = !is_memory || consumer_pos[0] != read_pos[0];
#endif
#ifndef TAP_LOOKS_AT_ITS_READER_LAST
    tap_is_deaf = tap_is_deaf || has_record(0)
#endif
#endif
}
#else
#define tap_is_deaf false
#define look_at_its_reader() skip
#endif

/* misses_wakeups(), must_look_by_itself(): no producer wakes us for what may come, and no interval ends */
#ifdef SILENCE_IS_FORGOTTEN
#define misses_wakeups(r) (is_held(r) || is_tap(r) && tap_is_deaf)
#else
#define misses_wakeups(r) (is_held(r) || is_tap(r) && tap_is_deaf || left_epoll[r])
#endif
#define must_look(r) (is_looked_at(r) && (misses_wakeups(r) && !is_paced[r] || is_memory && head_is_busy[r]))
#define is_timed(r) (is_added[r] && is_paced[r])
#define has_busy_head(r) (is_added[r] && head_is_busy[r])

inline longest_sleep() {
    look_at_its_reader();
    atomic {
        if
        :: paced_count > 0 && any(is_timed) || any(must_look) -> sleep = SOON
#ifndef WITHOUT_LOOK_NOW_AND_THEN
        :: else -> sleep = (rings_to_watch > 0 -> NOW_AND_THEN : NEVER)
#else
        :: else
#endif
        fi
#ifdef BUSY_HEAD_IS_WAITED_FOR
        sleep = (any(has_busy_head) -> NEVER : sleep)
#endif
    }
}

/* hears_only_the_timer(): then there is nothing to fetch */
#define hears_nothing(r) (!is_added[r] || left_epoll[r])
inline empty_fd() {
    if
    :: ring_count > 0 && paced_count == ring_count && all(hears_nothing) && !woken
    :: else ->
        woken = false;
        fetch_events()
    fi
}

/* rbcore_reader_read(), or rbcore_reader_next(0) with only_due */
inline read_records() {
    listen_while_busy();
    look();
    if
    :: result == EMPTY ->
        empty_fd();
        look_now_and_then();
        look_parked();
        if
        :: result == EMPTY ->
            longest_sleep();
            d_step {
                if
                :: sleep != NEVER -> timer = sleep; timer_edge = false
                :: else
                fi;
                sleep = NEVER
            }
        :: else
        fi
    :: else
    fi
}

/* rbcore_reader_next(RBCORE_FOREVER) */
inline next_records() {
    listen_while_busy();
    look();
    do
    :: result == EMPTY || result == AGAIN ->
        look_now_and_then();
        look_parked();
        if
        :: result == EMPTY ->
            longest_sleep();
            if
            :: is_ready -> fetch_events()
            :: is_over(sleep) -> saw_all = sleep != NOW_AND_THEN
            fi;
            sleep = NEVER;
            look()
        :: else
        fi
    :: else -> break
    od
}

/* ---- reader.c --------------------------------------------------------------------------------- */

/* rbc_idle_add() */
#define may_begin_idle(r) (!is_memory && !is_tap(r) && !is_paced[r] && !is_endless(r))

/* rbcore_reader_add(), rbc_ring_open(): begins where the last reader stopped, a tap where its reader is */
inline add(r) {
    atomic {
        if
        :: is_tap(r) -> user_pos[r] = consumer_pos[r]
        :: else
        fi;
        handed_end[r] = user_pos[r];
        read_pos[r] = user_pos[r];
#ifdef FLUSH
        flush_pos[r] = user_pos[r];
        must_come[r] = user_pos[r];
#endif
        left_epoll[r] = false;
        head_is_busy[r] = false;
#ifdef POLL
        is_paced[r] = true;
#endif
        is_added[r] = true;
        if /* a map may begin idle: EPOLL_CTL_ADD asks it what is there */
        :: join(r)
#ifdef MANY
        :: may_begin_idle(r) -> in_round[r] = false
#endif
        fi;
        register(r);
        ring_count++;
#ifndef ADD_DOES_NOT_COUNT
        paced_count = paced_count + is_paced[r];
#endif
        rings_to_watch = rings_to_watch + (is_memory || is_tap(r))
    };
#ifndef ADD_ARMS_NOTHING
    wake();
#endif
    can_wait = true
}

/* rbcore_reader_remove(), rbc_ring_close(): the kernel learns what was held back */
inline remove(r) {
    atomic {
#ifndef REMOVE_LISTENS_ON
        unregister(r);
#endif
        is_added[r] = false;
        in_round[r] = false;
        turns_meanwhile = 0;
        ring_count--;
#ifdef REMOVE_COUNTS_AN_ARMED_RING
        paced_count--;
#else
        paced_count = paced_count - is_paced[r];
#endif
        rings_to_watch = rings_to_watch - (is_memory || is_tap(r));
        is_paced[r] = false;
        publish(r)
    }
}

/* ---- The user --------------------------------------------------------------------------------- */

inline change(r) {
    if
    :: !is_added[r] -> add(r)
    :: is_added[r] && !is_held(r) -> remove(r)
    :: else
    fi
}

inline give_back(r) {
    if
    :: true
    :: is_added[r] && user_pos[r] != handed_end[r] -> commit_to(r, handed_end[r])
    fi
}

#define is_done(r) (!is_added[r] || read_pos[r] == RECORDS || is_endless(r))
#define was_delivered(r) (!is_added[r] || read_pos[r] >= must_come[r])

active proctype Reader() {
    byte result, sleep;
    byte busy_looks; /* that found something, since events were fetched */
    bool only_due = true;
#ifdef TAP
    bool tap_is_deaf;
#endif
    bool can_wait; /* rbcore_reader_fd may be waited for: a call returned 0, or a ring was added */
#if RINGS > 1
    add(0);
#endif
    do
    :: changes == 0 && all(is_done) && !to_flush -> break
    :: else ->
        do
        :: changes > 0 ->
            changes--;
            change(RINGS - 1)
        :: ring_count > 0 -> break
        od;
#ifdef BY_FD
        if
        :: can_wait -> is_ready
        :: else
        fi;
#if defined(PACING) || defined(POLL)
        if
        :: only_due = false
        :: true
        fi;
#endif
        read_records();
#else
        next_records();
#endif
        atomic {
            can_wait = result == EMPTY;
            only_due = true;
#ifdef FLUSH
            if
            :: result == FLUSHED ->
                assert(all(was_delivered));
                is_flushing = false;
                to_flush = false
            :: else
            fi;
#endif
            each(give_back)
        }
    od
}

#ifdef FLUSH
active proctype Flusher() {
    asked = true;
    wake()
}
#endif

/* When nothing moves any more, nothing must be left. */
active proctype Judge() {
    bool nothing_is_left;
    atomic {
        timeout;
        nothing_is_left = all(is_done) && !to_flush;
        assert(nothing_is_left)
    }
}

init {
    byte i;
    atomic {
        do
        :: i < PRODUCERS ->
            if
            :: !is_endless(0) -> run Producer(0)
            :: else
            fi;
#if RINGS > 1
            run Producer(1);
#endif
            i++
        :: else -> break
        od;
        i = 0
    }
}
