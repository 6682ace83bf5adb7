/* SPDX-License-Identifier: BSD-2-Clause */
/* testudod.conf(5): "key value" lines. */
#ifndef TDO_DAEMON_CONF_H
#define TDO_DAEMON_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define TDO_CONF_FILES_MAX 8

enum tdo_fail { TDO_FAIL_CLOSED, TDO_FAIL_OPEN };

struct tdo_conf {
	unsigned workers;       /* "workers N": packet threads, 1 .. 64, default 1 */
	uint32_t mark_mask;     /* "mark-mask 0x3ff00000" */
	uint32_t busy_poll;     /* "busy-poll N": microseconds awake before sleeping, default 100 */
	enum tdo_fail fail;     /* "fail closed | open" */
	uint32_t rule_priority; /* "rule-priority N": ip rule, default 10: before those of others */
	uint32_t table;         /* "table N": routing table, default 5800 */
	char tun[16];           /* "tun NAME": default testudo0 */
	uint16_t queue;         /* "queue N": nfqueue number, default 5800 */
	char user[32];          /* "user NAME": of the data process, default nobody */
	uint16_t access_gid_set;
	uint32_t access_gid; /* "access-group NAME": may use PF_KEY besides root */
	unsigned nsetkey;
	char *setkey[TDO_CONF_FILES_MAX]; /* "setkey FILE": loaded at start, before ready */
	enum tdo_conf_log { TDO_CONF_STDERR, TDO_CONF_SYSLOG } log; /* "log stderr | syslog" */
	bool debug;                                                 /* "debug yes | no" */
};

/* Fills *c with the defaults. */
void tdo_conf_init(struct tdo_conf *c);
/*
 * Reads f; name is for messages.  0, or -EINVAL after writing "name:line: what is wrong" to
 * errbuf.  *c is changed only on success.
 */
int tdo_conf_read(struct tdo_conf *c, FILE *f, const char *name, char *errbuf, size_t errlen);
void tdo_conf_fini(struct tdo_conf *c);

#endif
