/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of net.key that are no settings: dumpsa, dumpsp, stats.  Here they are numbers; the
 * databases themselves come over the PF_KEY socket, as "testudo sysctl -b" has them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/process.h"
#include "wire/pfkey_msg.h"

static void
add(json_t *list, const char *name, uint64_t value, const char *help)
{
	(void)json_array_append_new(list,
	    json_pack("{s:s, s:I, s:s}", "name", name, "value", (json_int_t)value, "help", help));
}

/* How many SAs of a type; the name may end in its number. */
static bool
count_sas(const struct tdo_process *d, const char *suffix, uint64_t *ret)
{
	struct tdo_sa_snap *snap;
	char *end;
	unsigned long type = 0;

	if (*suffix != '\0') {
		type = strtoul(suffix + 1, &end, 10);
		if (suffix[1] < '0' || suffix[1] > '9' || *end != '\0' || type > UINT8_MAX)
			return false;
	}
	if (type == TDO_SATYPE_UNSPEC) {
		*ret = tdo_engine_counts(d->engine).sas;
		return true;
	}
	if (tdo_sa_snap_new(d->engine, (uint8_t)type, &snap) != 0)
		return false;
	*ret = tdo_sa_snap_left(snap);
	tdo_sa_snap_free(snap);
	return true;
}

static void
add_stats(const struct tdo_process *d, json_t *list)
{
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(d->pfkey);
	char name[96];

#define ADD(member, help) add(list, "net.key.stats." #member, s->member, help)
	ADD(out_total, "messages from users");
	ADD(out_bytes, "their bytes");
	ADD(out_invlen, "messages whose length is wrong");
	ADD(out_invsatype, "messages for SA types that are not served");
	ADD(out_invaddr, "messages with an unknown address family");
	ADD(out_inval, "messages that are malformed otherwise");
	ADD(out_refused, "requests that were refused");
	ADD(in_total, "messages to users");
	ADD(in_bytes, "their bytes");
	ADD(in_one, "answers to one user");
	ADD(in_all, "messages for all");
	ADD(in_registered, "messages for those who are registered");
#undef ADD
	add(list, "net.key.stats.in_nomem", tdo_pfkey_lost(d->pfkey),
	    "messages that were lost because users did not read, or for want of memory");
	for (unsigned t = 1; t <= TDO_SADB_MAX; t++) {
		if (s->out_msgtype[t] == 0)
			continue;
		(void)snprintf(
		    name, sizeof(name), "net.key.stats.out_msgtype.%s", tdo_sadb_type_name(t));
		add(list, name, s->out_msgtype[t], "of this type");
	}
}

json_t *
tdo_process_key_node(const struct tdo_process *d, const char *name)
{
	static const char dumpsa[] = "net.key.dumpsa";
	const char *suffix = name + sizeof(dumpsa) - 1;
	json_t *list = json_array();
	uint64_t n;

	if (strcmp(name, "net.key.dumpsp") == 0)
		add(list, name, tdo_engine_counts(d->engine).sps,
		    "policies; -b: as PF_KEY messages");
	else if (strcmp(name, "net.key.stats") == 0)
		add_stats(d, list);
	else if (strncmp(name, dumpsa, sizeof(dumpsa) - 1) == 0 &&
		 (*suffix == '\0' || *suffix == '.') && count_sas(d, suffix, &n))
		add(list, name, n, "SAs; -b: as PF_KEY messages, with keys");
	if (json_array_size(list) > 0)
		return json_pack("{s:o}", "knobs", list);
	json_decref(list);
	return NULL;
}
