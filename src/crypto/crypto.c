/* SPDX-License-Identifier: BSD-2-Clause */
/* The framework object: which drivers there are, and which of them can be trusted. */
#include <errno.h>
#include <stdio.h>

#include "crypto/driver.h"

/* In order of priority. */
static const struct tdo_driver *const drivers[] = {
#ifdef TDO_HAVE_IPSECMB
    &tdo_driver_ipsecmb,
#endif
    &tdo_driver_openssl,
#ifdef TDO_HAVE_NETTLE
    &tdo_driver_nettle,
#endif
    &tdo_driver_null,
};

#define NDRIVERS (sizeof(drivers) / sizeof(drivers[0]))

_Static_assert(NDRIVERS + 1 <= TDO_DRIVER_MAX, "slots for all drivers and one of the caller");

static void
report(const struct tdo_crypto *c, enum tdo_log_level level, const char *driver, const char *what)
{
	char text[160];

	if (c->cfg.log == NULL)
		return;
	snprintf(text, sizeof(text), "crypto driver %s not used: %s", driver, what);
	c->cfg.log(c->cfg.log_ctx, level, text);
}

/* Starts and tests d; what fails is left out, except for lack of memory.  0 or -ENOMEM. */
static int
add_driver(struct tdo_crypto *c, const struct tdo_driver *d)
{
	struct tdo_driver_slot *slot = &c->slot[c->n];
	const char *what = NULL;
	int err;

	slot->driver = d;
	slot->crypto = c;
	err = d->start(&c->cfg, &slot->state);
	if (err) {
		if (err != -ENOMEM)
			report(c, TDO_LOG_INFO, d->name, "not supported by this machine");
		return err == -ENOMEM ? err : 0;
	}
	err = tdo_selftest(c, slot, &what);
	if (err) {
		d->stop(slot->state);
		if (err != -ENOMEM)
			report(c, TDO_LOG_ERR, d->name, what);
		return err == -ENOMEM ? err : 0;
	}
	c->n++;
	return 0;
}

static bool
driver_exists(const struct tdo_crypto_config *cfg, const char *name)
{
	if (cfg->extra && strcmp(cfg->extra->name, name) == 0)
		return true;
	for (size_t i = 0; i < NDRIVERS; i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return true;
	return false;
}

static bool
is_wanted(const struct tdo_crypto_config *cfg, const struct tdo_driver *d)
{
	return cfg->only == NULL || strcmp(cfg->only, d->name) == 0;
}

int
tdo_crypto_new(const struct tdo_crypto_config *cfg, struct tdo_crypto **ret)
{
	struct tdo_crypto *c;
	int err = 0;

	if (cfg->nworkers == 0)
		return -EINVAL;
	if (cfg->only && !driver_exists(cfg, cfg->only))
		return -ENOENT;
	c = cfg->mem.alloc(cfg->mem.ctx, sizeof(*c));
	if (c == NULL)
		return -ENOMEM;
	c->cfg = *cfg;
	c->cfg.only = NULL; /* borrowed for this call */
	if (cfg->extra && is_wanted(cfg, cfg->extra))
		err = add_driver(c, cfg->extra);
	for (size_t i = 0; i < NDRIVERS && err == 0; i++)
		if (is_wanted(cfg, drivers[i]))
			err = add_driver(c, drivers[i]);
	if (err == 0 && c->n == 0)
		err = -ELIBBAD;
	if (err) {
		tdo_crypto_free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void
tdo_crypto_free(struct tdo_crypto *c)
{
	struct tdo_mem mem;

	if (c == NULL)
		return;
	for (unsigned i = 0; i < c->n; i++)
		c->slot[i].driver->stop(c->slot[i].state);
	mem = c->cfg.mem;
	mem.free(mem.ctx, c, sizeof(*c));
}

const char *
tdo_crypto_driver_at(const struct tdo_crypto *c, unsigned i)
{
	return i < c->n ? c->slot[i].driver->name : NULL;
}
