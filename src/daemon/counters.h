/* SPDX-License-Identifier: BSD-2-Clause */
/* The counters of the BSDs as JSON, for "testudo netstat" and "net.key.stats". */
#ifndef TDO_DAEMON_COUNTERS_H
#define TDO_DAEMON_COUNTERS_H

#include <jansson.h>

#include "testudo/counter.h"

/*
 * {"groups": [{"group": "esp", "heading": "IPsec esp", "prefix": "esp ", "counters": [...]}]}.
 * A counter has "name", "index", "label" and "count"; "never": why it is always 0; a histogram has
 * "slots" and "entries" [{"number", "name", "count"}], those that are not 0.
 */
json_t *tdo_counters_json(const struct tdo_counter_from *f);

#endif
