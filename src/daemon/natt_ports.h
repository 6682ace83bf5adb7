/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which local UDP ports ESP in UDP comes to: what the data process said, and what its predecessor
 * said until the new one has said all.
 */
#ifndef TDO_DAEMON_NATT_PORTS_H
#define TDO_DAEMON_NATT_PORTS_H

#include <stdbool.h>
#include <stdint.h>

struct tdo_natt_ports {
	uint8_t state[2][65536]; /* [marker][port]; all zero: none */
};

static inline bool
tdo_natt_ports_has(const struct tdo_natt_ports *p, uint16_t port, bool marker)
{
	return p->state[marker][port] != 0;
}

/* Enters or takes out a port; true when it was not, or was, there before. */
bool tdo_natt_ports_set(struct tdo_natt_ports *p, uint16_t port, bool marker, bool on);
/* Whoever said them is gone. */
void tdo_natt_ports_age(struct tdo_natt_ports *p);
/* Takes out those that nobody said again, and calls gone, unless it is NULL, with each. */
void tdo_natt_ports_drop_aged(
    struct tdo_natt_ports *p, void (*gone)(void *ctx, uint16_t port, bool marker), void *ctx);
/* Calls fn with each. */
void tdo_natt_ports_each(
    const struct tdo_natt_ports *p, void (*fn)(void *ctx, uint16_t port, bool marker), void *ctx);

#endif
