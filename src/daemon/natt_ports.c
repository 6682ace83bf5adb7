/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/natt_ports.h"

enum { PORTS = 65536 };
enum { NONE, SAID, AGED };

bool
tdo_natt_ports_set(struct tdo_natt_ports *p, uint16_t port, bool marker, bool on)
{
	bool was = tdo_natt_ports_has(p, port, marker);

	p->state[marker][port] = on ? SAID : NONE;
	return was != on;
}

void
tdo_natt_ports_age(struct tdo_natt_ports *p)
{
	for (unsigned i = 0; i < 2 * PORTS; i++)
		if (p->state[i / PORTS][i % PORTS] == SAID)
			p->state[i / PORTS][i % PORTS] = AGED;
}

void
tdo_natt_ports_drop_aged(
    struct tdo_natt_ports *p, void (*gone)(void *ctx, uint16_t port, bool marker), void *ctx)
{
	for (unsigned i = 0; i < 2 * PORTS; i++) {
		if (p->state[i / PORTS][i % PORTS] != AGED)
			continue;
		p->state[i / PORTS][i % PORTS] = NONE;
		if (gone)
			gone(ctx, (uint16_t)(i % PORTS), i / PORTS != 0);
	}
}

void
tdo_natt_ports_each(
    const struct tdo_natt_ports *p, void (*fn)(void *ctx, uint16_t port, bool marker), void *ctx)
{
	for (unsigned i = 0; i < 2 * PORTS; i++)
		if (p->state[i / PORTS][i % PORTS] != NONE)
			fn(ctx, (uint16_t)(i % PORTS), i / PORTS != 0);
}
