/* SPDX-License-Identifier: BSD-2-Clause */
#include "crypto_once.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRIVERS_MAX 8

static struct {
	const char *driver;
	struct tdo_crypto *crypto;
} made[DRIVERS_MAX];
static unsigned n, users;
static size_t allocated, without_sessions; /* bytes */

static void
check(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "crypto_once: %s\n", what);
	abort();
}

static void *
counted_alloc(void *ctx, size_t size)
{
	void *p = NULL;

	(void)ctx;
	/* Cache lines, as everywhere. */
	if (posix_memalign(&p, 64, size + 1) != 0)
		return NULL;
	memset(p, 0, size + 1);
	allocated += size;
	return p;
}

static void
counted_free(void *ctx, void *p, size_t size)
{
	(void)ctx;
	if (!p)
		return;
	check(allocated >= size, "freed more than allocated");
	allocated -= size;
	free(p);
}

struct tdo_crypto *
crypto_once_get(const char *driver)
{
	struct tdo_crypto_config cfg = {
	    .mem = {counted_alloc, counted_free, NULL}, .nworkers = 1, .only = driver};
	size_t before = allocated;

	users++;
	for (unsigned i = 0; i < n; i++)
		if (made[i].driver == driver ||
		    (driver && made[i].driver && strcmp(made[i].driver, driver) == 0))
			return made[i].crypto;
	check(n < DRIVERS_MAX, "too many drivers");
	check(tdo_crypto_new(&cfg, &made[n].crypto) == 0, "no such driver, or it fails its test");
	made[n].driver = driver;
	without_sessions += allocated - before;
	return made[n++].crypto;
}

void
crypto_once_put(void)
{
	check(users > 0, "put more than got");
	if (--users == 0)
		check(allocated == without_sessions, "sessions are left");
}
