/* SPDX-License-Identifier: BSD-2-Clause */
/* Rules: each function here appends one expression of the kernel's rule machine. */
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <string.h>

#include "os/nft_int.h"

void
tdo_nft_rule_begin(struct tdo_nft *n, const char *table, const char *chain)
{
	struct nlmsghdr *m = tdo_nft_msg(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

	mnl_attr_put_strz(m, NFTA_RULE_TABLE, table);
	mnl_attr_put_strz(m, NFTA_RULE_CHAIN, chain);
	n->rule = mnl_attr_nest_start(m, NFTA_RULE_EXPRESSIONS);
}

void
tdo_nft_rule_end(struct tdo_nft *n)
{
	mnl_attr_nest_end(n->last, n->rule);
	n->rule = NULL;
	tdo_nft_msg_end(n);
}

struct expr {
	struct nlattr *elem, *data;
};

static struct expr
begin(struct tdo_nft *n, const char *name)
{
	struct expr e;

	e.elem = mnl_attr_nest_start(n->last, NFTA_LIST_ELEM);
	mnl_attr_put_strz(n->last, NFTA_EXPR_NAME, name);
	e.data = mnl_attr_nest_start(n->last, NFTA_EXPR_DATA);
	return e;
}

static void
end(struct tdo_nft *n, struct expr e)
{
	mnl_attr_nest_end(n->last, e.data);
	mnl_attr_nest_end(n->last, e.elem);
}

static void
put_u32(struct tdo_nft *n, uint16_t type, uint32_t v)
{
	mnl_attr_put_u32(n->last, type, htonl(v));
}

static void
put_data(struct tdo_nft *n, uint16_t type, const void *p, uint16_t len)
{
	struct nlattr *a = mnl_attr_nest_start(n->last, type);

	mnl_attr_put(n->last, NFTA_DATA_VALUE, len, p);
	mnl_attr_nest_end(n->last, a);
}

void
tdo_nft_payload(
    struct tdo_nft *n, enum nft_payload_bases base, uint32_t off, uint32_t len, uint32_t dreg)
{
	struct expr e = begin(n, "payload");

	put_u32(n, NFTA_PAYLOAD_DREG, dreg);
	put_u32(n, NFTA_PAYLOAD_BASE, base);
	put_u32(n, NFTA_PAYLOAD_OFFSET, off);
	put_u32(n, NFTA_PAYLOAD_LEN, len);
	end(n, e);
}

void
tdo_nft_meta(struct tdo_nft *n, enum nft_meta_keys key, uint32_t dreg)
{
	struct expr e = begin(n, "meta");

	put_u32(n, NFTA_META_DREG, dreg);
	put_u32(n, NFTA_META_KEY, key);
	end(n, e);
}

void
tdo_nft_socket_mark(struct tdo_nft *n, uint32_t dreg)
{
	struct expr e = begin(n, "socket");

	put_u32(n, NFTA_SOCKET_KEY, NFT_SOCKET_MARK);
	put_u32(n, NFTA_SOCKET_DREG, dreg);
	end(n, e);
}

void
tdo_nft_meta_set(struct tdo_nft *n, enum nft_meta_keys key, uint32_t sreg)
{
	struct expr e = begin(n, "meta");

	put_u32(n, NFTA_META_KEY, key);
	put_u32(n, NFTA_META_SREG, sreg);
	end(n, e);
}

void
tdo_nft_exthdr_present(struct tdo_nft *n, uint8_t type, uint32_t dreg)
{
	struct expr e = begin(n, "exthdr");

	put_u32(n, NFTA_EXTHDR_DREG, dreg);
	mnl_attr_put_u8(n->last, NFTA_EXTHDR_TYPE, type);
	put_u32(n, NFTA_EXTHDR_OFFSET, 0);
	put_u32(n, NFTA_EXTHDR_LEN, 1);
	put_u32(n, NFTA_EXTHDR_FLAGS, NFT_EXTHDR_F_PRESENT);
	put_u32(n, NFTA_EXTHDR_OP, NFT_EXTHDR_OP_IPV6);
	end(n, e);
}

void
tdo_nft_fib_daddr_type(struct tdo_nft *n, uint32_t dreg)
{
	struct expr e = begin(n, "fib");

	put_u32(n, NFTA_FIB_DREG, dreg);
	put_u32(n, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	put_u32(n, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
	end(n, e);
}

void
tdo_nft_bitwise(
    struct tdo_nft *n, uint32_t reg, const uint8_t *mask, const uint8_t * xor, uint16_t len)
{
	static const uint8_t zero[16];
	struct expr e = begin(n, "bitwise");

	put_u32(n, NFTA_BITWISE_SREG, reg);
	put_u32(n, NFTA_BITWISE_DREG, reg);
	put_u32(n, NFTA_BITWISE_LEN, len);
	put_data(n, NFTA_BITWISE_MASK, mask, len);
	put_data(n, NFTA_BITWISE_XOR, xor? xor : zero, len);
	end(n, e);
}

void
tdo_nft_cmp(struct tdo_nft *n, enum nft_cmp_ops op, uint32_t sreg, const void *data, uint16_t len)
{
	struct expr e = begin(n, "cmp");

	put_u32(n, NFTA_CMP_SREG, sreg);
	put_u32(n, NFTA_CMP_OP, op);
	put_data(n, NFTA_CMP_DATA, data, len);
	end(n, e);
}

void
tdo_nft_lookup(struct tdo_nft *n, const char *set, uint32_t sreg)
{
	struct expr e = begin(n, "lookup");

	mnl_attr_put_strz(n->last, NFTA_LOOKUP_SET, set);
	put_u32(n, NFTA_LOOKUP_SREG, sreg);
	end(n, e);
}

void
tdo_nft_immediate(struct tdo_nft *n, uint32_t dreg, const void *data, uint16_t len)
{
	struct expr e = begin(n, "immediate");

	put_u32(n, NFTA_IMMEDIATE_DREG, dreg);
	put_data(n, NFTA_IMMEDIATE_DATA, data, len);
	end(n, e);
}

void
tdo_nft_payload_set(
    struct tdo_nft *n, enum nft_payload_bases base, uint32_t off, uint32_t len, uint32_t sreg)
{
	struct expr e = begin(n, "payload");

	put_u32(n, NFTA_PAYLOAD_SREG, sreg);
	put_u32(n, NFTA_PAYLOAD_BASE, base);
	put_u32(n, NFTA_PAYLOAD_OFFSET, off);
	put_u32(n, NFTA_PAYLOAD_LEN, len);
	put_u32(n, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_NONE);
	put_u32(n, NFTA_PAYLOAD_CSUM_OFFSET, 0);
	end(n, e);
}

void
tdo_nft_tproxy(struct tdo_nft *n, uint8_t family, uint32_t sreg)
{
	struct expr e = begin(n, "tproxy");

	put_u32(n, NFTA_TPROXY_FAMILY, family);
	put_u32(n, NFTA_TPROXY_REG_PORT, sreg);
	end(n, e);
}

void
tdo_nft_counter(struct tdo_nft *n, const char *name)
{
	struct expr e = begin(n, "objref");

	put_u32(n, NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_COUNTER);
	mnl_attr_put_strz(n->last, NFTA_OBJREF_IMM_NAME, name);
	end(n, e);
}

void
tdo_nft_notrack(struct tdo_nft *n)
{
	struct nlattr *a = mnl_attr_nest_start(n->last, NFTA_LIST_ELEM);

	mnl_attr_put_strz(n->last, NFTA_EXPR_NAME, "notrack");
	mnl_attr_nest_end(n->last, a);
}

void
tdo_nft_nfqueue(struct tdo_nft *n, uint16_t queue)
{
	/* No NFQ_FLAG_BYPASS: when nobody listens, the kernel drops. */
	struct xt_NFQ_info_v3 info = {.queuenum = queue, .queues_total = 1};
	struct expr e = begin(n, "target");

	mnl_attr_put_strz(n->last, NFTA_TARGET_NAME, "NFQUEUE");
	put_u32(n, NFTA_TARGET_REV, 3);
	mnl_attr_put(n->last, NFTA_TARGET_INFO, sizeof(info), &info);
	end(n, e);
}

void
tdo_nft_verdict(struct tdo_nft *n, int code, const char *chain)
{
	struct expr e = begin(n, "immediate");
	struct nlattr *d, *v;

	put_u32(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	d = mnl_attr_nest_start(n->last, NFTA_IMMEDIATE_DATA);
	v = mnl_attr_nest_start(n->last, NFTA_DATA_VERDICT);
	put_u32(n, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		mnl_attr_put_strz(n->last, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(n->last, v);
	mnl_attr_nest_end(n->last, d);
	end(n, e);
}
