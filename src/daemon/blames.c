/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/blames.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/addr.h"

static json_t *
number(uint64_t v)
{
	return json_integer((json_int_t)v);
}

json_t *
tdo_offender_json(const struct tdo_offender *o, tdo_ns now)
{
	char src[TDO_ADDR_STRLEN], dst[TDO_ADDR_STRLEN];
	json_t *j;

	if (o->when == 0)
		return json_null();
	j = json_pack("{s:s, s:s, s:i, s:o}", "src", tdo_addr_str(&o->flow.src, src), "dst",
	    tdo_addr_str(&o->flow.dst, dst), "proto", (int)o->flow.proto, "seconds-ago",
	    number(now > o->when ? (now - o->when) / TDO_SEC : 0));
	if (j != NULL && o->flow.has_ports) {
		(void)json_object_set_new(j, "sport", json_integer(o->flow.sport));
		(void)json_object_set_new(j, "dport", json_integer(o->flow.dport));
	}
	if (j != NULL && o->spi != 0) {
		(void)json_object_set_new(j, "spi", number(o->spi));
		(void)json_object_set_new(j, "seq", number(o->seq));
	}
	return j;
}

/* ---- one SA, one policy ------------------------------------------------------------- */

static const char *
satype_name(uint8_t satype)
{
	switch (satype) {
	case TDO_SATYPE_AH:
		return "ah";
	case TDO_SATYPE_ESP:
		return "esp";
	case TDO_SATYPE_IPCOMP:
		return "ipcomp";
	default:
		return "unknown";
	}
}

static json_t *
sa_json(const struct tdo_blame *b)
{
	char src[TDO_ADDR_STRLEN], dst[TDO_ADDR_STRLEN];

	return json_pack("{s:s, s:s, s:s, s:o}", "satype", satype_name(b->sa.satype), "src",
	    tdo_addr_str(&b->sa.src, src), "dst", tdo_addr_str(&b->sa.dst, dst), "spi",
	    number(b->sa.spi));
}

/* "10.0.0.0/8[any]", "10.0.0.1/32[80-89]" */
static json_t *
end_json(const struct tdo_addr *a, uint8_t plen, struct tdo_range port)
{
	char addr[TDO_ADDR_STRLEN], text[TDO_ADDR_STRLEN + 32], range[24];

	if (port.lo == 0 && port.hi == UINT16_MAX)
		(void)snprintf(range, sizeof(range), "any");
	else if (port.lo == port.hi)
		(void)snprintf(range, sizeof(range), "%u", port.lo);
	else
		(void)snprintf(range, sizeof(range), "%u-%u", port.lo, port.hi);
	(void)snprintf(text, sizeof(text), "%s/%u[%s]", tdo_addr_str(a, addr), plen, range);
	return json_string(text);
}

static json_t *
sp_json(struct tdo_engine *e, const struct tdo_blame *b)
{
	struct tdo_sp_info info;
	const struct tdo_sel *s = &info.param.sel;

	/* It may be removed and not yet forgotten. */
	if (tdo_sp_get(e, b->sp_id, &info) != 0)
		return NULL;
	return json_pack("{s:o, s:s, s:o, s:o, s:i}", "id", number(b->sp_id), "dir",
	    info.param.dir == TDO_DIR_IN ? "in" : "out", "src",
	    end_json(&s->src, s->src_plen, s->sport), "dst",
	    end_json(&s->dst, s->dst_plen, s->dport), "proto", (int)s->proto);
}

static json_t *
reason_json(const struct tdo_blame *b, tdo_ns now)
{
	const struct tdo_reason_info *info = tdo_reason_info((enum tdo_reason)b->reason);

	return json_pack("{s:s, s:o, s:s, s:s, s:o}", "name", info->name, "count", number(b->count),
	    "text", info->text, "remedy", info->remedy, "last", tdo_offender_json(&b->last, now));
}

/* ---- lists -------------------------------------------------------------------------- */

/* The reasons of one SA or policy in a list. */
struct group {
	const struct tdo_blame *first;
	size_t n;
	uint64_t total;
};

static int
by_total(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	if (x->total != y->total)
		return x->total > y->total ? -1 : 1;
	return x->first < y->first ? -1 : 1;
}

static size_t
make_groups(const struct tdo_blame_list *l, struct group *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (n == 0 || ret[n - 1].first->owner != l->blame[i].owner)
			ret[n++] = (struct group){.first = &l->blame[i]};
		ret[n - 1].n++;
		ret[n - 1].total += l->blame[i].count;
	}
	qsort(ret, n, sizeof(*ret), by_total);
	return n;
}

static json_t *
group_json(struct tdo_engine *e, const struct group *g, tdo_ns now)
{
	json_t *j = g->first->is_sp ? sp_json(e, g->first) : sa_json(g->first);
	json_t *reasons = json_array();

	for (size_t i = 0; i < g->n; i++)
		(void)json_array_append_new(reasons, reason_json(&g->first[i], now));
	if (j == NULL) {
		json_decref(reasons);
		return NULL;
	}
	(void)json_object_set_new(j, "drops", number(g->total));
	(void)json_object_set_new(j, "reasons", reasons);
	return j;
}

/* The groups of one kind; how many were left out is written to *ret_more.  NULL: no memory. */
static json_t *
kind_json(struct tdo_engine *e, bool of_policies, size_t limit, tdo_ns now, size_t *ret_more)
{
	struct tdo_blame_list l;
	struct group *groups;
	json_t *list = NULL;
	size_t n;

	if (tdo_blame_list(e, of_policies, &l) != 0)
		return NULL;
	groups = calloc(l.n + 1, sizeof(*groups));
	if (groups != NULL) {
		list = json_array();
		n = make_groups(&l, groups);
		for (size_t i = 0; i < n && i < limit; i++) {
			json_t *j = group_json(e, &groups[i], now);

			if (j != NULL)
				(void)json_array_append_new(list, j);
		}
		*ret_more = n > limit ? n - limit : 0;
		free(groups);
	}
	tdo_blame_list_free(e, &l);
	return list;
}

json_t *
tdo_blames_json(struct tdo_engine *e, size_t limit, tdo_ns now)
{
	size_t more_sas = 0, more_sps = 0;
	json_t *sas = kind_json(e, false, limit, now, &more_sas);
	json_t *sps = kind_json(e, true, limit, now, &more_sps);

	if (sas == NULL || sps == NULL) {
		json_decref(sas);
		json_decref(sps);
		return NULL;
	}
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "sas", sas, "policies", sps, "more-sas",
	    number(more_sas), "more-policies", number(more_sps), "unattributed",
	    number(tdo_blame_lost(e)));
}
