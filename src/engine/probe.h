/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the engine: probes among the dummy packets of ESP. */
#ifndef TDO_ENGINE_PROBE_H
#define TDO_ENGINE_PROBE_H

#include "engine/sa.h"

/*
 * The contents of a dummy packet that came by sa: true when it is a probe.  Then p is reduced to
 * them and has sa in its history, for tdo_probe_read().
 */
bool tdo_probe_found(const struct tdo_sa *sa, struct tdo_pkt *p, uint8_t *text, uint32_t len);

#endif
