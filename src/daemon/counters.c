/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/counters.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "wire/pfkey_msg.h"

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

static const struct {
	const char *name, *heading, *prefix;
} groups[TDO_COUNTER_GROUPS] = {
    [TDO_COUNTER_GROUP_IPSEC] = {"ipsec", "(Fast) IPsec", ""},
    [TDO_COUNTER_GROUP_AH] = {"ah", "IPsec ah", "ah "},
    [TDO_COUNTER_GROUP_ESP] = {"esp", "IPsec esp", "esp "},
    [TDO_COUNTER_GROUP_IPIP] = {"ipip", "IPsec ipip", "ipip "},
    [TDO_COUNTER_GROUP_IPCOMP] = {"ipcomp", "IPsec ipcomp", "ipcomp "},
    [TDO_COUNTER_GROUP_PFKEY] = {"pfkey", "pfkey", ""},
    [TDO_COUNTER_GROUP_KAME] = {"kame", "ipsec", ""},
};

/* ---- names of slots ----------------------------------------------------------------- */

/* netstat calls some algorithms otherwise than setkey. */
static const char *
netstat_name(const struct tdo_alg *a)
{
	static const char *const other[][2] = {
	    {"keyed-md5", "md5"},
	    {"keyed-sha1", "sha"},
	    {"hmac-sha256", "hmac-sha2-256"},
	    {"hmac-sha384", "hmac-sha2-384"},
	    {"hmac-sha512", "hmac-sha2-512"},
	};

	for (unsigned i = 0; a != NULL && i < sizeof(other) / sizeof(other[0]); i++)
		if (strcmp(a->name, other[i][0]) == 0)
			return other[i][1];
	return a != NULL ? a->name : NULL;
}

static const char *
compression_name(unsigned n)
{
	static const char *const names[] = {"none", "oui", "deflate", "lzs"};

	return n < sizeof(names) / sizeof(names[0]) ? names[n] : NULL;
}

/* "x_spdadd" */
static const char *
message_name(unsigned n, char *buf, size_t len)
{
	static const char prefix[] = "SADB_";
	const char *name = tdo_sadb_type_name(n);

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	(void)snprintf(buf, len, "%s", name + sizeof(prefix) - 1);
	for (char *p = buf; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return buf;
}

static const char *
slot_name(enum tdo_counter c, unsigned n, char *buf, size_t len)
{
	const char *name = NULL, *unknown = "alg#%u";

	switch (c) {
	case TDO_COUNTER_AH_HIST:
	case TDO_COUNTER_KAME_IN_AHHIST:
	case TDO_COUNTER_KAME_OUT_AHHIST:
		name = n == 0 ? "none" : netstat_name(tdo_alg_auth((uint8_t)n));
		break;
	case TDO_COUNTER_ESP_HIST:
	case TDO_COUNTER_KAME_IN_ESPHIST:
	case TDO_COUNTER_KAME_OUT_ESPHIST:
		name = n == 0 ? "none" : netstat_name(tdo_alg_enc((uint8_t)n));
		break;
	case TDO_COUNTER_IPCOMP_HIST:
	case TDO_COUNTER_KAME_IN_COMPHIST:
	case TDO_COUNTER_KAME_OUT_COMPHIST:
		name = compression_name(n);
		break;
	default:
		name = message_name(n, buf, len);
		unknown = "#%u";
		break;
	}
	if (name != NULL)
		return name;
	(void)snprintf(buf, len, unknown, n);
	return buf;
}

/* ---- counters ----------------------------------------------------------------------- */

static json_t *
entries(const struct tdo_counter_from *f, enum tdo_counter c)
{
	uint64_t slot[TDO_COUNTER_SLOTS];
	json_t *list = json_array();
	char buf[64];

	tdo_counter_slots(f, c, slot);
	for (unsigned i = 0; i < TDO_COUNTER_SLOTS; i++)
		if (slot[i] != 0)
			(void)json_array_append_new(
			    list, json_pack("{s:i, s:s, s:o}", "number", (int)i, "name",
				      slot_name(c, i, buf, sizeof(buf)), "count", number(slot[i])));
	return list;
}

static json_t *
counter(const struct tdo_counter_from *f, enum tdo_counter c)
{
	const struct tdo_counter_info *info = tdo_counter_info(c);
	json_t *j = json_pack("{s:s, s:i, s:s, s:o}", "name", info->name, "index", (int)info->index,
	    "label", info->label, "count", number(tdo_counter_read(f, c)));

	if (j != NULL && info->slots > 1) {
		(void)json_object_set_new(j, "slots", json_integer(info->slots));
		(void)json_object_set_new(j, "entries", entries(f, c));
	}
	if (j != NULL && tdo_counter_never(c) != NULL)
		(void)json_object_set_new(j, "never", json_string(tdo_counter_never(c)));
	return j;
}

json_t *
tdo_counters_json(const struct tdo_counter_from *f)
{
	json_t *list = json_array();

	for (unsigned g = 0; g < TDO_COUNTER_GROUPS; g++) {
		json_t *counters = json_array();

		for (unsigned c = 0; c < TDO_COUNTER_COUNT; c++)
			if (tdo_counter_info((enum tdo_counter)c)->group == g)
				(void)json_array_append_new(
				    counters, counter(f, (enum tdo_counter)c));
		(void)json_array_append_new(
		    list, json_pack("{s:s, s:s, s:s, s:o}", "group", groups[g].name, "heading",
			      groups[g].heading, "prefix", groups[g].prefix, "counters", counters));
	}
	return json_pack("{s:o}", "groups", list);
}
