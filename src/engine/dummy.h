/* SPDX-License-Identifier: BSD-2-Clause */
/* Dummy packets of SAs that want some (RFC 4303 2.6): a list of these SAs. */
#ifndef TDO_ENGINE_DUMMY_H
#define TDO_ENGINE_DUMMY_H

#include "engine/engine.h"

/* The SA is in the SAD, or no longer (control thread). */
void tdo_dummy_join(struct tdo_engine *e, struct tdo_sa *sa);
void tdo_dummy_leave(struct tdo_engine *e, struct tdo_sa *sa);

#endif
