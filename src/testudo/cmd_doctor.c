/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo doctor: what is wrong with this host, and what to do about it. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testudo/cmd.h"
#include "testudo/report.h"

static const char *const verdicts[] = {
    [TDO_OK] = "ok", [TDO_NOTE] = "note", [TDO_WARN] = "warn", [TDO_FAIL] = "fail"};

void
tdo_report(struct tdo_report *r, enum tdo_finding f, const char *check, const char *remedy,
    const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	r->failed |= f == TDO_FAIL;
	(void)json_array_append_new(
	    r->list, json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "verdict", verdicts[f],
			 "text", text, "remedy", remedy));
}

void
tdo_report_print(const struct tdo_report *r)
{
	const json_t *c;
	size_t i;

	json_array_foreach(r->list, i, c)
	{
		printf("%-4s  %s: %s\n", tdo_cmd_str(c, "verdict"), tdo_cmd_str(c, "check"),
		    tdo_cmd_str(c, "text"));
		if (json_string_value(json_object_get(c, "remedy")) != NULL)
			printf("      remedy: %s\n", tdo_cmd_str(c, "remedy"));
	}
}

static void
attachment(struct tdo_report *r, const json_t *s)
{
	const json_t *a = json_object_get(s, "attachment");
	json_int_t repairs = tdo_cmd_int(a, "repairs"), restarts = tdo_cmd_int(a, "restarts");

	if (repairs > 0)
		tdo_report(r, TDO_WARN, "foreign changes",
		    "find out who flushes rules or routes (nft flush ruleset, network managers)",
		    "%d times something of testudo was removed and put back", (int)repairs);
	if (restarts > 0)
		tdo_report(r, TDO_WARN, "crashes", "the log of testudod has the reason; report it",
		    "the data process was restarted %d times", (int)restarts);
	if (json_is_false(json_object_get(a, "owner-table")))
		tdo_report(r, TDO_WARN, "nft table",
		    "a kernel of 5.12 or newer protects the table from \"nft flush ruleset\"",
		    "the table has no owner: others can remove it");
}

static void
sandbox(struct tdo_report *r, const json_t *s)
{
	const json_t *b = json_object_get(s, "sandbox");

	if (json_is_false(json_object_get(b, "seccomp")))
		tdo_report(r, TDO_WARN, "sandbox", "a kernel with CONFIG_SECCOMP_FILTER",
		    "system calls of the data process are not filtered");
	else
		tdo_report(r, TDO_OK, "sandbox", NULL, "no capabilities, system calls filtered%s%s",
		    json_is_true(json_object_get(b, "landlock")) ? ", no files" : "",
		    json_is_true(json_object_get(b, "user")) ? ", unprivileged user" : "");
}

static void
drops(struct tdo_report *r, const json_t *s)
{
	const json_t *list = json_object_get(s, "drops"), *d;
	size_t i;

	json_array_foreach(list, i, d) if (tdo_cmd_int(d, "count") > 0)
	    tdo_report(r, TDO_NOTE, "dropped packets", tdo_cmd_str(d, "remedy"), "%d x %s: %s",
		(int)tdo_cmd_int(d, "count"), tdo_cmd_str(d, "name"), tdo_cmd_str(d, "text"));
}

/* Settings that were changed, and those that make packets wrong on purpose. */
static void
settings(struct tdo_report *r)
{
	const char *error;
	json_t *s = tdo_cmd_ask(json_pack("{s:s}", "op", "sysctl"), &error);
	const json_t *list = json_object_get(s, "knobs"), *k;
	size_t i;

	json_array_foreach(list, i, k)
	{
		const char *name = tdo_cmd_str(k, "name");

		if (json_is_true(json_object_get(k, "read-only")) ||
		    tdo_cmd_int(k, "value") == tdo_cmd_int(k, "default"))
			continue;
		if (strstr(name, ".test_") != NULL)
			tdo_report(r, TDO_WARN, "settings", "testudo sysctl takes it back",
			    "%s is set: peers drop what this host sends", name);
		else
			tdo_report(r, TDO_NOTE, "settings", NULL, "%s is %d, by default %d", name,
			    (int)tdo_cmd_int(k, "value"), (int)tdo_cmd_int(k, "default"));
	}
	json_decref(s);
}

static void
set_host(struct tdo_host *h, const json_t *s)
{
	const json_t *c = json_object_get(s, "config");

	(void)snprintf(h->tun, sizeof(h->tun), "%s", tdo_cmd_str(c, "tun"));
	h->mark_mask = (unsigned)tdo_cmd_int(c, "mark-mask");
	h->rule_priority = (unsigned)tdo_cmd_int(c, "rule-priority");
	h->table = (unsigned)tdo_cmd_int(c, "table");
	h->queue = (unsigned)tdo_cmd_int(c, "queue");
	h->nfqueue = json_is_true(json_object_get(json_object_get(s, "attachment"), "nfqueue"));
}

static void
ask_daemon(struct tdo_report *r, struct tdo_host *h)
{
	const char *error;
	json_t *s = tdo_cmd_ask(json_pack("{s:s}", "op", "stats"), &error);

	if (s == NULL) {
		tdo_report(r, TDO_FAIL, "daemon",
		    "start testudod in this network namespace; ask as root or its owner", "%s",
		    error);
		return;
	}
	tdo_report(r, TDO_OK, "daemon", NULL, "testudod %s answers: %d SAs, %d policies",
	    tdo_cmd_str(s, "version"), (int)tdo_cmd_int(s, "sas"), (int)tdo_cmd_int(s, "policies"));
	if (tdo_cmd_str(s, "without")[0] != '\0')
		tdo_report(r, TDO_NOTE, "build", "meson configure build -D<name>=enabled",
		    "this testudo was built without %s", tdo_cmd_str(s, "without"));
	if (json_is_true(json_object_get(s, "recovering")))
		tdo_report(r, TDO_FAIL, "recovering", "load the policies again with setkey",
		    "an earlier testudod crashed and no policies were loaded since");
	set_host(h, s);
	attachment(r, s);
	sandbox(r, s);
	settings(r);
	drops(r, s);
	json_decref(s);
}

int
tdo_cmd_doctor(const struct tdo_cmd_opts *o, int argc, char **argv)
{
	struct tdo_report r = {.list = json_array()};
	struct tdo_host h = {"testudo0", 0x3ff00000, 10, 5800, 5800, false};
	int rc;

	(void)argv;
	if (argc != 1) {
		(void)fprintf(stderr, "testudo: doctor takes no argument\n");
		json_decref(r.list);
		return 2;
	}
	ask_daemon(&r, &h);
	tdo_doctor_tun(&r, &h);
	tdo_doctor_sysctls(&r, &h);
	tdo_doctor_links(&r, &h);
	tdo_doctor_rules(&r, &h);
	tdo_doctor_nft(&r, &h);
	tdo_doctor_queue(&r, &h);
	tdo_doctor_raw(&r);
	tdo_doctor_xfrm(&r);
	tdo_doctor_clock(&r);
	tdo_report(&r, TDO_NOTE, "limits", NULL,
	    "not covered: input of device-bound sockets, link-local and on-link multicast, "
	    "traffic of the host to itself, packet sockets, bridged traffic");
	rc = r.failed ? EXIT_FAILURE : EXIT_SUCCESS;
	if (o->json) {
		json_t *out = json_pack("{s:O, s:b}", "checks", r.list, "failed", r.failed);

		(void)tdo_cmd_print_json(out);
		json_decref(out);
	} else {
		tdo_report_print(&r);
	}
	json_decref(r.list);
	return rc;
}
