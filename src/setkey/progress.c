/* SPDX-License-Identifier: BSD-2-Clause */
#include "setkey/progress.h"

#include <time.h>

static tdo_ns
system_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (tdo_ns)t.tv_sec * TDO_SEC + (tdo_ns)t.tv_nsec;
}

static void
show(struct progress *p, tdo_ns now)
{
	tdo_ns time = now - p->begun;

	fprintf(p->out, "\r%llu done, %llu a second, %u failed, %llu s\033[K",
	    (unsigned long long)p->done, (unsigned long long)(p->done * 1000 / (time / 1000000)),
	    p->failed, (unsigned long long)(time / TDO_SEC));
	fflush(p->out);
	p->on_screen = true;
	p->shown = now;
}

void
tdo_progress_tick(struct progress *p)
{
	tdo_ns now;

	if (p->out == NULL)
		return;
	now = p->now ? p->now() : system_now();
	if (p->begun == 0)
		p->begun = now;
	if (now - p->begun > PROGRESS_AFTER && now - p->shown > PROGRESS_EVERY)
		show(p, now);
}

void
tdo_progress_hide(struct progress *p)
{
	if (!p->on_screen)
		return;
	fputs("\r\033[K", p->out);
	fflush(p->out);
	p->on_screen = false;
}

void
tdo_progress_end(struct progress *p)
{
	tdo_progress_hide(p);
	p->begun = p->shown = 0;
	p->done = 0;
	p->failed = 0;
}
