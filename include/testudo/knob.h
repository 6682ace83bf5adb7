/* SPDX-License-Identifier: BSD-2-Clause */
/* Run-time settings under their BSD sysctl names; one list, knob.def. */
#ifndef TESTUDO_KNOB_H
#define TESTUDO_KNOB_H

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
};

/* The description of a knob; k must be below TDO_KNOB_COUNT. */
const struct tdo_knob_info *tdo_knob_info(enum tdo_knob k);

/*
 * Finds a knob by either of its names, including the other spellings of FreeBSD
 * (preferred_oldsa, spi_trycnt, spi_minval, spi_maxval, net.inet.esp.trans_deflev ...).
 * Returns 0 and writes the knob and the family (enum tdo_af) to which the name belongs,
 * or -ENOENT.
 */
int tdo_knob_find(const char *name, enum tdo_knob *ret_knob, uint8_t *ret_af);

#endif
