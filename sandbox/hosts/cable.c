/* cable: the network cable of one host, with latency, loss and a line rate. For kernels without a network emulator.
 *
 *     cable TAP STATE [CGROUP.PROCS ...]
 *
 * One end is the tap device TAP in the network namespace it is started in; the other is "host0" in a new, empty
 * namespace, in which the process stays: /proc/PID/ns/net is the host's network for as long as the cable lives, and
 * nothing of it is left when the cable dies. Prints "ready" once both ends exist.
 *
 * STATE is a file of four 64-bit integers that is mapped, so that a change holds for the very next frame:
 *     delay each way in microseconds, loss each way in parts per million, line rate each way in kbit/s (0: no limit),
 *     and whether the cable is plugged in (0: nothing passes).
 *
 * Every CGROUP.PROCS file is joined before anything is made, so that whoever empties those groups ends the cable too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { TIMER = 2, LARGEST_FRAME = 70000, BURST = 64, MOST_QUEUED = 200000 };
static const int64_t SECOND = 1000000000, LONGEST_BACKLOG = 500000000; /* ns: a full line drops, like a router would */

struct state { int64_t delay_us, loss_ppm, rate_kbit, plugged; };
struct frame { struct frame *next; int64_t due; size_t length; char bytes[]; };
struct line { struct frame *first, *last; int64_t free_at; long queued; };

static struct line lines[2]; /* lines[i] carries what end i took in to end !i */
static int ends[2], timer;
static const volatile struct state *state;

static void give_up(const char *what) { fprintf(stderr, "cable: %s: %s\n", what, strerror(errno)); exit(1); }

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static int open_end(const char *name) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) give_up("/dev/net/tun");
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(fd, TUNSETIFF, &request) < 0) give_up(name);
    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
    return fd;
}

static void put(int end, const char *bytes, size_t length) {
    if (!state->plugged) return;
    if (write(ends[end], bytes, length) < 0) return; /* a link that is down takes nothing: the frame is lost, as on a wire */
}

/* When the frame comes out at the far end; -1 when the line is too far behind to take it. */
static int64_t arrival(struct line *line, size_t length) {
    int64_t t = now(), rate = state->rate_kbit;
    if (line->queued >= MOST_QUEUED) return -1;
    if (rate > 0) {
        if (line->free_at < t) line->free_at = t;
        if (line->free_at - t > LONGEST_BACKLOG) return -1;
        line->free_at += (int64_t)length * 8 * 1000000 / rate;
        t = line->free_at;
    }
    return t + state->delay_us * 1000;
}

static void take_in(int end) {
    static char bytes[LARGEST_FRAME];
    struct line *line = &lines[end];
    for (int i = 0; i < BURST; i++) {
        ssize_t length = read(ends[end], bytes, sizeof bytes);
        if (length <= 0) return;
        if (state->loss_ppm > 0 && drand48() * 1e6 < (double)state->loss_ppm) continue;
        if (!state->delay_us && !state->rate_kbit && !line->first) { put(!end, bytes, length); continue; }
        int64_t due = arrival(line, length);
        struct frame *frame = due < 0 ? NULL : malloc(sizeof *frame + length);
        if (!frame) continue;
        *frame = (struct frame){.due = due, .length = length};
        memcpy(frame->bytes, bytes, length);
        if (line->last) line->last->next = frame; else line->first = frame;
        line->last = frame;
        line->queued++;
    }
}

static void deliver(int end) {
    struct line *line = &lines[end];
    int64_t t = now();
    while (line->first && line->first->due <= t) {
        struct frame *frame = line->first;
        put(!end, frame->bytes, frame->length);
        line->first = frame->next;
        if (!line->first) line->last = NULL;
        line->queued--;
        free(frame);
    }
}

static void set_timer(void) {
    int64_t due = 0;
    for (int i = 0; i < 2; i++) if (lines[i].first && (!due || lines[i].first->due < due)) due = lines[i].first->due;
    struct itimerspec when = {.it_value = {.tv_sec = due / SECOND, .tv_nsec = due % SECOND}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void join(const char *group) {
    int fd = open(group, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) give_up(group);
    close(fd);
}

int main(int count, char **words) {
    if (count < 3) { fprintf(stderr, "usage: cable TAP STATE [CGROUP.PROCS ...]\n"); return 2; }
    for (int i = 3; i < count; i++) join(words[i]);
    int fd = open(words[2], O_RDONLY | O_CLOEXEC);
    void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *state, PROT_READ, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED) give_up(words[2]);
    state = mapped;
    ends[0] = open_end(words[1]);
    if (unshare(CLONE_NEWNET) < 0) give_up("a new network namespace");
    ends[1] = open_end("host0");
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (timer < 0 || poll < 0) give_up("epoll");
    int watched[3] = {ends[0], ends[1], timer};
    for (unsigned i = 0; i < 3; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, watched[i], &event) < 0) give_up("epoll");
    }
    srand48(now());
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[3];
        int ready = epoll_wait(poll, events, 3, -1);
        if (ready < 0 && errno != EINTR) give_up("epoll");
        for (int i = 0; i < ready; i++) {
            uint64_t expired;
            if (events[i].data.u32 != TIMER) take_in(events[i].data.u32);
            else if (read(timer, &expired, sizeof expired) < 0) continue;
        }
        deliver(0);
        deliver(1);
        set_timer();
    }
}
