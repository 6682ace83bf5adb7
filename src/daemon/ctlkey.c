/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The nodes of net.key that are no settings: dumpsa, dumpsp, stats.  Here they are numbers; the
 * databases themselves come over the PF_KEY socket, as "testudo sysctl -b" has them.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/process.h"
#include "testudo/counter.h"
#include "wire/pfkey_msg.h"

static void
add(json_t *list, const char *name, uint64_t value, const char *help)
{
	(void)json_array_append_new(list,
	    json_pack("{s:s, s:I, s:s}", "name", name, "value", (json_int_t)value, "help", help));
}

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
}

/* The label of a counter in its plural form. */
static void
without_asterisk(char *to, size_t len, const char *label)
{
	size_t n = 0;

	for (; *label != '\0' && n + 1 < len; label++)
		to[n++] = *label == '*' ? 's' : *label;
	to[n] = '\0';
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

/* One counter, or the slots of a histogram that are not 0. */
static void
add_counter(const struct tdo_counter_from *from, json_t *list, enum tdo_counter c)
{
	const struct tdo_counter_info *info = tdo_counter_info(c);
	uint64_t slot[TDO_COUNTER_SLOTS];
	char name[96], help[96];

	(void)snprintf(name, sizeof(name), "net.key.stats.%s", info->name);
	lower(name);
	without_asterisk(help, sizeof(help), info->label);
	if (info->slots == 1) {
		add(list, name, tdo_counter_read(from, c), help);
		return;
	}
	tdo_counter_slots(from, c, slot);
	for (unsigned i = 0; i <= TDO_SADB_MAX; i++) {
		char full[160];

		if (slot[i] == 0)
			continue;
		(void)snprintf(full, sizeof(full), "%s.%s", name, tdo_sadb_type_name(i));
		add(list, full, slot[i], "of this type");
	}
}

static void
add_stats(const struct tdo_process *d, json_t *list)
{
	const struct tdo_pfkey_stats *s = tdo_pfkey_stats(d->pfkey);
	const struct tdo_counter_from from = {.e = d->engine, .pfkey = s};

	for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++)
		if (tdo_counter_info((enum tdo_counter)c)->group == TDO_COUNTER_GROUP_PFKEY)
			add_counter(&from, list, (enum tdo_counter)c);
	/* The BSDs have no names for these. */
	add(list, "net.key.stats.out_inval", s->out_inval, "messages that are malformed otherwise");
	add(list, "net.key.stats.out_refused", s->out_refused, "requests that were refused");
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
