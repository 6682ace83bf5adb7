/* SPDX-License-Identifier: BSD-2-Clause */
/* The transaction, and the objects of a table; the expressions of rules are in nft_expr.c. */
#include "os/nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "os/nft_int.h"

int
tdo_nft_open(struct tdo_nft **ret)
{
	struct tdo_nft *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	r = tdo_nl_open(&n->nl, NETLINK_NETFILTER);
	if (r < 0) {
		free(n);
		return r;
	}
	*ret = n;
	return 0;
}

void
tdo_nft_close(struct tdo_nft *n)
{
	if (!n)
		return;
	tdo_nl_close(&n->nl);
	free(n);
}

uint32_t
tdo_nft_portid(const struct tdo_nft *n)
{
	return n->nl.portid;
}

bool
tdo_nft_empty(const struct tdo_nft *n)
{
	return n->used == 0;
}

/* ---- the transaction ---------------------------------------------------------------- */

void
tdo_nft_discard(struct tdo_nft *n)
{
	n->used = 0;
	n->last = NULL;
	n->rule = NULL;
	n->elem = NULL;
	n->error = 0;
}

static struct nlmsghdr *
put_header(struct tdo_nft *n, uint16_t type, uint16_t flags, uint8_t family, uint16_t res_id)
{
	struct nlmsghdr *m = tdo_nl_request(&n->nl, n->buf + n->used, type, flags);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof(*g));

	g->nfgen_family = family;
	g->version = NFNETLINK_V0;
	g->res_id = htons(res_id);
	return m;
}

struct nlmsghdr *
tdo_nft_msg(struct tdo_nft *n, int type, uint16_t flags)
{
	/*
	 * A message never grows beyond TDO_NFT_SLACK: names have at most a few bytes, elements
	 * go to a new message in time.  So one check per message is enough.
	 */
	if (n->used > TDO_NFT_CAP - TDO_NFT_SLACK) {
		n->error = n->error ? n->error : -EMSGSIZE;
		n->used = 0;
	}
	n->elem = NULL;
	if (n->used == 0) {
		struct nlmsghdr *b =
		    put_header(n, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);

		n->used = b->nlmsg_len;
	}
	n->last =
	    put_header(n, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET, 0);
	return n->last;
}

void
tdo_nft_msg_end(struct tdo_nft *n)
{
	n->used = (size_t)((char *)n->last - (char *)n->buf) + MNL_ALIGN(n->last->nlmsg_len);
}

/*
 * The kernel works the whole batch off inside of sendmsg, so all answers wait when it
 * returns: an error for each refused message, and the acknowledgement of the last one.
 */
static int
collect(struct tdo_nft *n, uint32_t first, uint32_t last)
{
	_Alignas(struct nlmsghdr) char buf[TDO_NL_BUF];
	bool acked = false;
	int error = 0;

	for (;;) {
		ssize_t len = recv(tdo_nl_fd(&n->nl), buf, sizeof(buf), MSG_DONTWAIT);
		int left = (int)len;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (len < 0)
			return -errno;
		for (const struct nlmsghdr *m = (const void *)buf; mnl_nlmsg_ok(m, left);
		     m = mnl_nlmsg_next(m, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(m);

			if (m->nlmsg_type != NLMSG_ERROR || m->nlmsg_seq - first > last - first ||
			    mnl_nlmsg_get_payload_len(m) < sizeof(*e))
				continue;
			if (e->error != 0 && error == 0)
				error = e->error;
			acked |= m->nlmsg_seq == last;
		}
	}
	return error != 0 ? error : acked ? 0 : -EIO;
}

int
tdo_nft_commit(struct tdo_nft *n)
{
	uint32_t first, last;
	int r = n->error;

	if (r != 0 || n->used == 0) {
		tdo_nft_discard(n);
		return r;
	}
	first = ((struct nlmsghdr *)n->buf)->nlmsg_seq;
	last = n->last->nlmsg_seq;
	n->last->nlmsg_flags |= NLM_F_ACK;
	n->used += put_header(n, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES)->nlmsg_len;
	if (mnl_socket_sendto(n->nl.s, n->buf, n->used) < 0)
		r = -errno;
	else
		r = collect(n, first, last);
	tdo_nft_discard(n);
	return r;
}

void
tdo_nft_break(struct tdo_nft *n)
{
	int r;

	if (n->used < TDO_NFT_HIGH)
		return;
	r = tdo_nft_commit(n);
	n->error = r;
}

/* ---- objects ------------------------------------------------------------------------ */

void
tdo_nft_table_add(struct tdo_nft *n, const char *table, uint32_t flags)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_NEWTABLE, NLM_F_CREATE);

	mnl_attr_put_strz(m, NFTA_TABLE_NAME, table);
	mnl_attr_put_u32(m, NFTA_TABLE_FLAGS, htonl(flags));
	tdo_nft_msg_end(n);
}

void
tdo_nft_table_del(struct tdo_nft *n, const char *table)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_DELTABLE, 0);

	mnl_attr_put_strz(m, NFTA_TABLE_NAME, table);
	tdo_nft_msg_end(n);
}

struct list_ctx {
	void (*fn)(void *ctx, const char *name);
	void *ctx;
};

static int
list_one(void *ctx, const struct nlmsghdr *m)
{
	const struct list_ctx *l = ctx;
	struct nlattr *a;

	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_TABLE_NAME &&
		    mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >= 0)
			l->fn(l->ctx, mnl_attr_get_str(a));
	}
	return 0;
}

int
tdo_nft_table_list(struct tdo_nft *n, void (*fn)(void *ctx, const char *name), void *ctx)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct list_ctx l = {fn, ctx};
	struct nlmsghdr *m =
	    tdo_nl_request(&n->nl, buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof(*g));

	g->nfgen_family = NFPROTO_INET;
	g->version = NFNETLINK_V0;
	return tdo_nl_dump(&n->nl, m, list_one, &l);
}

void
tdo_nft_chain_add(
    struct tdo_nft *n, const char *table, const char *chain, const struct tdo_nft_hook *hook)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_NEWCHAIN, NLM_F_CREATE);

	mnl_attr_put_strz(m, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(m, NFTA_CHAIN_NAME, chain);
	if (hook) {
		struct nlattr *h = mnl_attr_nest_start(m, NFTA_CHAIN_HOOK);

		mnl_attr_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(hook->num));
		mnl_attr_put_u32(m, NFTA_HOOK_PRIORITY, htonl((uint32_t)hook->priority));
		mnl_attr_nest_end(m, h);
		mnl_attr_put_strz(m, NFTA_CHAIN_TYPE, hook->type);
		mnl_attr_put_u32(m, NFTA_CHAIN_POLICY, htonl(NF_ACCEPT));
	}
	tdo_nft_msg_end(n);
}

void
tdo_nft_chain_flush(struct tdo_nft *n, const char *table, const char *chain)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_DELRULE, 0);

	mnl_attr_put_strz(m, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(m, NFTA_RULE_CHAIN, chain);
	tdo_nft_msg_end(n);
}

void
tdo_nft_chain_del(struct tdo_nft *n, const char *table, const char *chain)
{
	struct nlmsghdr *m;

	tdo_nft_chain_flush(n, table, chain);
	m = tdo_nft_msg(n, NFT_MSG_DELCHAIN, 0);
	mnl_attr_put_strz(m, NFTA_CHAIN_TABLE, table);
	mnl_attr_put_strz(m, NFTA_CHAIN_NAME, chain);
	tdo_nft_msg_end(n);
}

void
tdo_nft_set_add(
    struct tdo_nft *n, const char *table, const char *set, uint32_t key_type, uint32_t key_len)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_NEWSET, NLM_F_CREATE);

	mnl_attr_put_strz(m, NFTA_SET_TABLE, table);
	mnl_attr_put_strz(m, NFTA_SET_NAME, set);
	mnl_attr_put_u32(m, NFTA_SET_FLAGS, 0);
	mnl_attr_put_u32(m, NFTA_SET_KEY_TYPE, htonl(key_type));
	mnl_attr_put_u32(m, NFTA_SET_KEY_LEN, htonl(key_len));
	mnl_attr_put_u32(m, NFTA_SET_ID, htonl(++n->set_id));
	tdo_nft_msg_end(n);
}

void
tdo_nft_set_del(struct tdo_nft *n, const char *table, const char *set)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_DELSET, 0);

	mnl_attr_put_strz(m, NFTA_SET_TABLE, table);
	mnl_attr_put_strz(m, NFTA_SET_NAME, set);
	tdo_nft_msg_end(n);
}

/* Elements for the same set that follow each other share a message. */
static bool
elem_fits(const struct tdo_nft *n, const char *set, bool add)
{
	return n->elem && n->elem_add == add && strcmp(n->elem_set, set) == 0 &&
	       n->elem->nla_len < TDO_NFT_ELEMS_MAX && n->used <= TDO_NFT_CAP - TDO_NFT_SLACK;
}

static void
elem_message(struct tdo_nft *n, const char *table, const char *set, bool add)
{
	struct nlmsghdr *m;

	m = tdo_nft_msg(n, add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, add ? NLM_F_CREATE : 0);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_TABLE, table);
	mnl_attr_put_strz(m, NFTA_SET_ELEM_LIST_SET, set);
	n->elem = mnl_attr_nest_start(m, NFTA_SET_ELEM_LIST_ELEMENTS);
	n->elem_add = add;
	strncpy(n->elem_set, set, sizeof(n->elem_set) - 1);
}

void
tdo_nft_elem(struct tdo_nft *n, const char *table, const char *set, bool add, const uint8_t *key,
    uint16_t key_len)
{
	struct nlattr *e, *k;

	if (!elem_fits(n, set, add))
		elem_message(n, table, set, add);
	e = mnl_attr_nest_start(n->last, NFTA_LIST_ELEM);
	k = mnl_attr_nest_start(n->last, NFTA_SET_ELEM_KEY);
	mnl_attr_put(n->last, NFTA_DATA_VALUE, key_len, key);
	mnl_attr_nest_end(n->last, k);
	mnl_attr_nest_end(n->last, e);
	mnl_attr_nest_end(n->last, n->elem);
	tdo_nft_msg_end(n);
}

void
tdo_nft_counter_add(struct tdo_nft *n, const char *table, const char *name)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_NEWOBJ, NLM_F_CREATE);
	struct nlattr *d;

	mnl_attr_put_strz(m, NFTA_OBJ_TABLE, table);
	mnl_attr_put_strz(m, NFTA_OBJ_NAME, name);
	mnl_attr_put_u32(m, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	d = mnl_attr_nest_start(m, NFTA_OBJ_DATA);
	mnl_attr_nest_end(m, d);
	tdo_nft_msg_end(n);
}

static int
counter_data(const struct nlattr *a, void *ctx)
{
	uint64_t *packets = ctx;

	if (mnl_attr_get_type(a) == NFTA_COUNTER_PACKETS && mnl_attr_validate(a, MNL_TYPE_U64) >= 0)
		*packets = be64toh(mnl_attr_get_u64(a));
	return MNL_CB_OK;
}

static int
counter_one(void *ctx, const struct nlmsghdr *m)
{
	struct nlattr *a;

	mnl_attr_for_each(a, m, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_OBJ_DATA)
			(void)mnl_attr_parse_nested(a, counter_data, ctx);
	}
	return 0;
}

int
tdo_nft_counter_get(struct tdo_nft *n, const char *table, const char *name, uint64_t *ret_packets)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *m =
	    tdo_nl_request(&n->nl, buf, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETOBJ, NLM_F_ACK);
	struct nfgenmsg *g = mnl_nlmsg_put_extra_header(m, sizeof(*g));

	g->nfgen_family = NFPROTO_INET;
	g->version = NFNETLINK_V0;
	mnl_attr_put_strz(m, NFTA_OBJ_TABLE, table);
	mnl_attr_put_strz(m, NFTA_OBJ_NAME, name);
	mnl_attr_put_u32(m, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
	return tdo_nl_ask(&n->nl, m, counter_one, ret_packets);
}
