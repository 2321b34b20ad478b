/* Counts the system calls that change files or talk to servers, of all threads of the process that it is preloaded
 * into (LD_PRELOAD), and does something at the N-th of them: kill or stop the process before it, have it fail, have it
 * do half. syscalls.py says what to Python.
 *
 * - A call is counted where the C library is called: tests/crash/test_syscalls.py checks by strace that none is missed.
 * - Unarmed, nothing is counted and everything is passed on.
 * - `calm`: fsync is counted but not done. A kill loses nothing that the kernel has, so nothing is proved by waiting.
 * - A lost fsync fails, and what was written since the last good one is gone: zeros, as after a failed write-back.
 *   Only what lies behind the end of the last good one can be lost here: for files that only grow.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLS(X) \
    X(write) X(pwrite) X(writev) X(pwritev) X(fsync) X(fdatasync) X(rename) X(link) X(unlink) X(ftruncate) \
    X(send) X(sendto) X(sendmsg) X(recv) X(recvfrom) X(recvmsg) X(open) X(socket) X(read) X(pread)

#define NAME(call) #call,
#define ID(call) CALL_##call,
enum { CALLS(ID) CALL_END };
static const char *const names[] = {CALLS(NAME) 0};

enum deed { NOTHING, KILL, FAIL, HALF, LOSE, STOP };

static atomic_long counts[CALL_END];
static atomic_long met;                /* of those asked for */
static atomic_long struck;
static unsigned long asked;            /* a bit for each call */
static long at;                        /* the first call to be struck, from 1 */
static enum deed deed;
static int number, always, calm, first_fd;
static atomic_int armed;

/* ------------------------------------------------------------------------------------------- for Python */

const char *syscalls_name(int call) { return call < CALL_END ? names[call] : 0; }

long syscalls_count(int call) { return counts[call]; }

long syscalls_struck(void) { return struck; }

/* Strike the `n`-th of the calls in `mask`, and all after it if `persistent`; leave descriptors below `low` alone. */
void syscalls_arm(unsigned long mask, long n, int what, int error, int persistent, int skip_sync, int low)
{
    asked = mask, at = n, deed = what, number = error, always = persistent, calm = skip_sync, first_fd = low;
    for (int call = 0; call < CALL_END; call++)
        counts[call] = 0;
    met = struck = 0;
    syscall(SYS_access, "/armed", 0); /* for those who watch us: from here on we count */
    armed = 1;
}

void syscalls_disarm(void)
{
    armed = 0;
    syscall(SYS_access, "/disarmed", 0);
}

/* -------------------------------------------------------------------------------------------- the meter */

static enum deed meet(int call, int fd)
{
    if (!armed)
        return NOTHING;
    counts[call]++;
    if (!(asked >> call & 1) || (fd >= 0 && fd < first_fd))
        return NOTHING;
    long n = ++met;
    if (deed == NOTHING || n < at || (n > at && !always))
        return NOTHING;
    struck++;
    if (deed == KILL) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;)
            pause();
    }
    if (deed == STOP) { /* until somebody sends SIGCONT: the call comes after that */
        syscall(SYS_kill, getpid(), SIGSTOP);
        return NOTHING;
    }
    errno = number;
    return deed;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define PATHS(name, call, params, args) \
    int name params \
    { \
        REAL(name); \
        return meet(CALL_##call, -1) ? -1 : real args; \
    }

#define BYTES(type, name, call, params, args, size) \
    type name params \
    { \
        REAL(name); \
        enum deed what = meet(CALL_##call, fd); \
        if (what == HALF) \
            size = size > 1 ? size / 2 : size; \
        return what == FAIL ? -1 : real args; \
    }

BYTES(ssize_t, write, write, (int fd, const void *data, size_t size), (fd, data, size), size)
BYTES(ssize_t, pwrite, pwrite, (int fd, const void *data, size_t size, off_t to), (fd, data, size, to), size)
BYTES(ssize_t, pwrite64, pwrite, (int fd, const void *data, size_t size, off64_t to), (fd, data, size, to), size)
BYTES(ssize_t, writev, writev, (int fd, const struct iovec *data, int size), (fd, data, size), size)
BYTES(ssize_t, pwritev, pwritev, (int fd, const struct iovec *data, int size, off_t to), (fd, data, size, to), size)
BYTES(ssize_t, pwritev64, pwritev, (int fd, const struct iovec *data, int size, off64_t to), (fd, data, size, to), size)
BYTES(ssize_t, read, read, (int fd, void *data, size_t size), (fd, data, size), size)
BYTES(ssize_t, pread, pread, (int fd, void *data, size_t size, off_t from), (fd, data, size, from), size)
BYTES(ssize_t, pread64, pread, (int fd, void *data, size_t size, off64_t from), (fd, data, size, from), size)
BYTES(ssize_t, send, send, (int fd, const void *data, size_t size, int how), (fd, data, size, how), size)
BYTES(ssize_t, recv, recv, (int fd, void *data, size_t size, int how), (fd, data, size, how), size)
BYTES(ssize_t, sendto, sendto, (int fd, const void *data, size_t size, int how, const struct sockaddr *to, socklen_t length),
      (fd, data, size, how, to, length), size)
BYTES(ssize_t, recvfrom, recvfrom, (int fd, void *data, size_t size, int how, struct sockaddr *from, socklen_t *length),
      (fd, data, size, how, from, length), size)

ssize_t sendmsg(int fd, const struct msghdr *message, int how)
{
    REAL(sendmsg);
    return meet(CALL_sendmsg, fd) == FAIL ? -1 : real(fd, message, how);
}

ssize_t recvmsg(int fd, struct msghdr *message, int how)
{
    REAL(recvmsg);
    return meet(CALL_recvmsg, fd) == FAIL ? -1 : real(fd, message, how);
}

int ftruncate(int fd, off_t length)
{
    REAL(ftruncate);
    return meet(CALL_ftruncate, fd) == FAIL ? -1 : real(fd, length);
}

int ftruncate64(int fd, off64_t length)
{
    REAL(ftruncate64);
    return meet(CALL_ftruncate, fd) == FAIL ? -1 : real(fd, length);
}

PATHS(rename, rename, (const char *from, const char *to), (from, to))
PATHS(renameat, rename, (int old, const char *from, int new, const char *to), (old, from, new, to))
PATHS(renameat2, rename, (int old, const char *from, int new, const char *to, unsigned how), (old, from, new, to, how))
PATHS(link, link, (const char *from, const char *to), (from, to))
PATHS(linkat, link, (int old, const char *from, int new, const char *to, int how), (old, from, new, to, how))
PATHS(unlink, unlink, (const char *path), (path))
PATHS(unlinkat, unlink, (int folder, const char *path, int how), (folder, path, how))
PATHS(socket, socket, (int domain, int type, int protocol), (domain, type, protocol))

/* --------------------------------------------------------------------------------------- fsync and open */

static long synced[1024]; /* the length of each open file that is known to be safe */

static void remember(int fd)
{
    struct stat now;
    if (fd >= 0 && fd < 1024 && !fstat(fd, &now))
        synced[fd] = S_ISREG(now.st_mode) ? now.st_size : 0;
}

static void lose(int fd)
{
    static const char zeros[4096];
    struct stat now;
    if (fd >= 1024 || fstat(fd, &now) || !S_ISREG(now.st_mode))
        return;
    for (long to = synced[fd]; to < now.st_size;) {
        long size = now.st_size - to < 4096 ? now.st_size - to : 4096;
        to += syscall(SYS_pwrite64, fd, zeros, size, to) > 0 ? size : now.st_size;
    }
}

static int sync_file(int call, int fd, int (*real)(int))
{
    enum deed what = meet(call, fd);
    if (what == LOSE)
        lose(fd);
    if (what == FAIL || what == LOSE) {
        errno = number;
        return -1;
    }
    int done = armed && calm ? 0 : real(fd);
    if (armed && !done)
        remember(fd);
    return done;
}

int fsync(int fd)
{
    REAL(fsync);
    return sync_file(CALL_fsync, fd, real);
}

int fdatasync(int fd)
{
    REAL(fdatasync);
    return sync_file(CALL_fdatasync, fd, real);
}

#define OPEN(name, params, args) \
    int name params \
    { \
        REAL(name); \
        mode_t mode = 0; \
        if (how & (O_CREAT | O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, how); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        if (meet(CALL_open, -1)) \
            return -1; \
        int fd = real args; \
        if (armed) \
            remember(fd); \
        return fd; \
    }

OPEN(open, (const char *path, int how, ...), (path, how, mode))
OPEN(open64, (const char *path, int how, ...), (path, how, mode))
OPEN(openat, (int folder, const char *path, int how, ...), (folder, path, how, mode))
OPEN(openat64, (int folder, const char *path, int how, ...), (folder, path, how, mode))
