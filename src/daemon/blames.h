/* SPDX-License-Identifier: BSD-2-Clause */
/* Drops by SA and by policy as JSON, for "testudo drops". */
#ifndef TDO_DAEMON_BLAMES_H
#define TDO_DAEMON_BLAMES_H

#include <jansson.h>

#include "testudo/engine.h"

#define TDO_BLAMES_MAX 1000u /* SAs, and policies, in one answer */

/* The last packet that was dropped for a reason; null if there was none. */
json_t *tdo_offender_json(const struct tdo_offender *o, tdo_ns now);

/*
 * {"sas": [{"satype", "src", "dst", "spi", "drops", "reasons": [{"name", "count", "text", "remedy",
 * "last"}]}], "policies": [{"id", "dir", "src", "dst", "proto", "drops", "reasons"}], "more-sas",
 * "more-policies", "unattributed"}: those with the most drops first, at most limit of each; "more":
 * how many were left out.
 */
json_t *tdo_blames_json(struct tdo_engine *e, size_t limit, tdo_ns now);

#endif
