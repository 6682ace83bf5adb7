/* SPDX-License-Identifier: BSD-2-Clause */
/* What doctor found: lines with a verdict and a remedy. */
#ifndef TDO_TESTUDO_REPORT_H
#define TDO_TESTUDO_REPORT_H

#include <jansson.h>
#include <stdbool.h>

enum tdo_finding { TDO_OK, TDO_NOTE, TDO_WARN, TDO_FAIL };

struct tdo_report {
	json_t *list; /* [{"check", "verdict", "text", "remedy"}] */
	bool failed;
};

/* remedy may be NULL; fmt makes the text. */
void tdo_report(struct tdo_report *r, enum tdo_finding f, const char *check, const char *remedy,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void tdo_report_print(const struct tdo_report *r);

/* What the configuration of the daemon says, or the defaults when it does not run. */
struct tdo_host {
	char tun[16];
	unsigned mark_mask, rule_priority, table, queue;
	bool nfqueue; /* the daemon says that its queue works */
};

/* doctor_host.c */
void tdo_doctor_tun(struct tdo_report *r, const struct tdo_host *h);
void tdo_doctor_sysctls(struct tdo_report *r, const struct tdo_host *h);
void tdo_doctor_links(struct tdo_report *r, const struct tdo_host *h);
void tdo_doctor_clock(struct tdo_report *r);
/* doctor_net.c */
void tdo_doctor_rules(struct tdo_report *r, const struct tdo_host *h);
void tdo_doctor_nft(struct tdo_report *r, const struct tdo_host *h);
void tdo_doctor_raw(struct tdo_report *r);
void tdo_doctor_xfrm(struct tdo_report *r);
void tdo_doctor_queue(struct tdo_report *r, const struct tdo_host *h);

/* probe.c: the first line of a file without its end; false: cannot be read. */
bool tdo_probe_line(const char *path, char *buf, size_t len);
/* The number in a file of /proc/sys; -1: cannot be read. */
long tdo_probe_number(const char *fmt, const char *name);
/*
 * Runs a program without a shell and parses its standard output as JSON: NULL when it does
 * not exist, fails or says something else.  argv ends with NULL.
 */
json_t *tdo_probe_json(const char *const *argv);

#endif
