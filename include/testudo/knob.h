/* SPDX-License-Identifier: BSD-2-Clause */
/* Run-time settings under their BSD sysctl names; one list, knob.def. */
#ifndef TESTUDO_KNOB_H
#define TESTUDO_KNOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tdo_knob {
#define KNOB(id, name4, name6, def, min, max, help) TDO_KNOB_##id,
#include "testudo/knob.def"
#undef KNOB
	TDO_KNOB_COUNT
};

struct tdo_knob_info {
	const char *name4, *name6; /* name6 is NULL when both families share the value */
	int32_t def, min, max;
	const char *help;
	bool read_only;
	const char *why; /* NULL, or why it has one value only */
};

/* The description of a knob; k must be below TDO_KNOB_COUNT. */
const struct tdo_knob_info *tdo_knob_info(enum tdo_knob k);

/*
 * Finds a knob by any of its names: those of NetBSD and the other spellings of FreeBSD and of
 * older systems (preferred_oldsa, spi_trycnt, net.inet.esp.trans_deflev, net.inet6.esp6 ...).
 * Returns 0 and writes the knob and the family (enum tdo_af) to which the name belongs,
 * or -ENOENT.
 */
int tdo_knob_find(const char *name, enum tdo_knob *ret_knob, uint8_t *ret_af);

/* All names, the proper ones first: *pos from 0 until NULL. */
const char *tdo_knob_next_name(unsigned *pos);
/*
 * The name by which the value of a family appears below a node ("net.inet.esp", "" for all):
 * the proper one, or else another spelling; NULL: it is not there, or it is the value of the
 * other family as well and appears as such.
 */
const char *tdo_knob_name_below(enum tdo_knob k, uint8_t af, const char *node);
/* The name that somebody who wrote this meant, or NULL. */
const char *tdo_knob_nearest(const char *name);
/* True for a node that is a structure of counters on the BSDs. */
bool tdo_knob_is_counters(const char *name);

#endif
