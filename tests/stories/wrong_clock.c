/* Preloaded into a program, it reads a time of day that is CLOCK_AHEAD seconds ahead (or behind); what is steady stays.
 * So one machine has programs with different clocks, as two machines would. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long ahead(void)
{
	const char *text = getenv("CLOCK_AHEAD");
	return text ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *told)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	int failed = real(clock, told);
	if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		told->tv_sec += ahead();
	return failed;
}

int gettimeofday(struct timeval *told, void *zone)
{
	struct timespec now;
	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	told->tv_sec = now.tv_sec;
	told->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *told)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (told)
		*told = now.tv_sec;
	return now.tv_sec;
}

/* The kernel waits by the right clock, for moments that were reckoned by the wrong one. */
int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
	static int (*real)(sem_t *, const struct timespec *);
	if (!real)
		real = (int (*)(sem_t *, const struct timespec *))dlsym(RTLD_NEXT, "sem_timedwait");
	struct timespec meant = *until;
	meant.tv_sec -= ahead();
	return real(semaphore, &meant);
}
