/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings over the control socket: one, a tree of them, all; and changing one. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/process.h"

static json_t *failure(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static json_t *
failure(int code, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return json_pack("{s:s, s:i}", "error", text, "errno", -code);
}

static json_t *
knob_json(const struct tdo_process *d, const char *name, enum tdo_knob k, uint8_t af)
{
	const struct tdo_knob_info *info = tdo_knob_info(k);

	return json_pack("{s:s, s:i, s:s, s:i, s:i, s:i, s:b}", "name", name, "value",
	    (int)tdo_knob_get(d->engine, k, af), "help", info->help, "default", (int)info->def,
	    "min", (int)info->min, "max", (int)info->max, "read-only", (int)info->read_only);
}

/* All values that have a name below the node. */
static json_t *
tree(const struct tdo_process *d, const char *node)
{
	static const uint8_t family[] = {TDO_AF_INET, TDO_AF_INET6};
	json_t *list = json_array();

	for (unsigned i = 0; i < 2 * (unsigned)TDO_KNOB_COUNT; i++) {
		enum tdo_knob k = (enum tdo_knob)(i / 2);
		const char *name = tdo_knob_name_below(k, family[i % 2], node);

		if (name)
			(void)json_array_append_new(list, knob_json(d, name, k, family[i % 2]));
	}
	return list;
}

static json_t *
unknown(const char *name)
{
	const char *meant = tdo_knob_nearest(name);

	if (meant)
		return failure(-ENOENT, "%s: there is no such variable; is %s meant?", name, meant);
	return failure(-ENOENT,
	    "%s: testudo has no such variable; 'testudo sysctl -a' shows all, and those of the "
	    "host itself are a matter of sysctl(8)",
	    name);
}

static json_t *
set_knob(struct tdo_process *d, const char *name, enum tdo_knob k, uint8_t af, json_int_t v)
{
	int32_t old = tdo_knob_get(d->engine, k, af);
	struct tdo_err err = {.text = NULL};
	json_t *j;
	int rc;

	if (v < INT32_MIN || v > INT32_MAX)
		v = INT32_MIN; /* out of the range of every setting */
	rc = tdo_knob_change(d->engine, k, af, (int32_t)v, &err);
	if (rc != 0)
		return failure(rc, "%s: %s%s%s", name, strerror(-rc), err.text ? ": " : "",
		    err.text ? err.text : "");
	tdo_journal_knob(&d->journal, k, af, (int32_t)v);
	j = knob_json(d, name, k, af);
	if (j != NULL)
		(void)json_object_set_new(j, "old", json_integer(old));
	return json_pack("{s:[o]}", "knobs", j);
}

/* What is no setting. */
static json_t *
other_node(const struct tdo_process *d, const char *name, bool write)
{
	json_t *list, *node = tdo_process_key_node(d, name);

	if (node == NULL && tdo_knob_is_counters(name))
		return failure(
		    -EOPNOTSUPP, "%s: these are counters; 'testudo netstat -s' shows them", name);
	if (node == NULL && name[0] != '\0') {
		list = tree(d, name);
		if (json_array_size(list) > 0)
			node = json_pack("{s:o}", "knobs", list);
		else
			json_decref(list);
	}
	if (node == NULL || !write)
		return node != NULL ? node : unknown(name);
	json_decref(node);
	return failure(-EPERM, "%s: %s: it cannot be set", name, strerror(EPERM));
}

json_t *
tdo_process_sysctl(struct tdo_process *d, const json_t *request)
{
	const char *name = json_string_value(json_object_get(request, "name"));
	const json_t *value = json_object_get(request, "value");
	enum tdo_knob k;
	uint8_t af;

	if (name == NULL)
		return value == NULL ? json_pack("{s:o}", "knobs", tree(d, "")) : NULL;
	if (tdo_knob_find(name, &k, &af) != 0)
		return other_node(d, name, value != NULL);
	if (value == NULL)
		return json_pack("{s:[o]}", "knobs", knob_json(d, name, k, af));
	if (!json_is_integer(value))
		return failure(-EINVAL, "%s: %s: not a number", name, strerror(EINVAL));
	return set_knob(d, name, k, af, json_integer_value(value));
}
