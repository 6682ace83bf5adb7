/* SPDX-License-Identifier: BSD-2-Clause */
/* PF_KEY messages: building, extension by extension (formats: RFC 2367 2.3). */
#include "base/addr.h"
#include "wire/pfkey_ext.h"

enum { LEN_OFF = 4 /* sadb_msg_len */ };

void
tdo_sadb_begin(struct tdo_wr *w, const struct tdo_sadb_base *b)
{
	tdo_wr_u8(w, TDO_SADB_VERSION);
	tdo_wr_u8(w, b->type);
	tdo_wr_u8(w, b->err);
	tdo_wr_u8(w, b->satype);
	tdo_wr_h16(w, 0); /* the length, by end() */
	tdo_wr_h16(w, b->reserved);
	tdo_wr_h32(w, b->seq);
	tdo_wr_h32(w, b->pid);
}

size_t
tdo_sadb_end(struct tdo_wr *w)
{
	size_t units = w->len / TDO_SADB_UNIT;
	uint16_t v = (uint16_t)units;

	if (w->bad || units > UINT16_MAX || w->len < TDO_SADB_BASE_LEN)
		return 0;
	memcpy(w->start + LEN_OFF, &v, sizeof(v));
	return w->len;
}

size_t
tdo_sadb_pad8(size_t n)
{
	return (n + TDO_SADB_UNIT - 1) / TDO_SADB_UNIT * TDO_SADB_UNIT;
}

void
tdo_sadb_put_header(struct tdo_wr *w, unsigned type, size_t len)
{
	size_t units = tdo_sadb_pad8(len) / TDO_SADB_UNIT;

	if (units > UINT16_MAX)
		w->bad = true;
	tdo_wr_h16(w, (uint16_t)units);
	tdo_wr_h16(w, (uint16_t)type);
}

void
tdo_sadb_put_ext(struct tdo_wr *w, const struct tdo_sadb_ext *ext)
{
	if (ext->p)
		tdo_wr_bytes(w, ext->p, ext->len);
}

void
tdo_sadb_put_sa(struct tdo_wr *w, const struct tdo_sadb_sa *sa)
{
	tdo_sadb_put_header(w, TDO_SADB_EXT_SA, TDO_SADB_SA_LEN);
	tdo_wr_be32(w, sa->spi);
	tdo_wr_u8(w, sa->replay);
	tdo_wr_u8(w, sa->state);
	tdo_wr_u8(w, sa->auth);
	tdo_wr_u8(w, sa->encrypt);
	tdo_wr_h32(w, sa->flags);
}

void
tdo_sadb_put_sa2(struct tdo_wr *w, const struct tdo_sadb_sa2 *sa2)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_SA2, TDO_SADB_SA2_LEN);
	tdo_wr_u8(w, sa2->mode);
	tdo_wr_zero(w, 3);
	tdo_wr_h32(w, sa2->sequence);
	tdo_wr_h32(w, sa2->reqid);
}

static uint32_t
clamp32(uint64_t v)
{
	return v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
}

void
tdo_sadb_put_lifetime(struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_lifetime *l)
{
	tdo_sadb_put_header(w, ext, TDO_SADB_LIFETIME_LEN);
	tdo_wr_h32(w, clamp32(l->allocations));
	tdo_wr_h64(w, l->bytes);
	tdo_wr_h64(w, l->addtime);
	tdo_wr_h64(w, l->usetime);
}

size_t
tdo_sadb_sockaddr_len(uint8_t af)
{
	return af == TDO_AF_INET6 ? TDO_SADB_SIN6_LEN : TDO_SADB_SIN_LEN;
}

void
tdo_sadb_put_sockaddr(struct tdo_wr *w, const struct tdo_addr *a, uint16_t port)
{
	tdo_wr_u8(w, (uint8_t)tdo_sadb_sockaddr_len(a->af));
	switch (a->af) {
	case TDO_AF_INET6:
		tdo_wr_u8(w, TDO_SADB_AF_INET6);
		tdo_wr_be16(w, port);
		tdo_wr_zero(w, 4); /* flow information */
		tdo_wr_bytes(w, a->b, 16);
		tdo_wr_zero(w, 4); /* scope */
		break;
	case TDO_AF_INET:
		tdo_wr_u8(w, TDO_SADB_AF_INET);
		tdo_wr_be16(w, port);
		tdo_wr_bytes(w, a->b, 4);
		tdo_wr_zero(w, 8);
		break;
	default:
		tdo_wr_u8(w, TDO_SADB_AF_UNSPEC);
		tdo_wr_zero(w, TDO_SADB_SIN_LEN - 2);
		break;
	}
}

void
tdo_sadb_put_padding(struct tdo_wr *w, size_t len)
{
	tdo_wr_zero(w, tdo_sadb_pad8(len) - len);
}

void
tdo_sadb_put_address(struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_sadb_address *a)
{
	size_t len = TDO_SADB_ADDRESS_LEN + tdo_sadb_sockaddr_len(a->addr.af);

	tdo_sadb_put_header(w, ext, len);
	tdo_wr_u8(w, a->proto);
	tdo_wr_u8(w, a->plen);
	tdo_wr_zero(w, 2);
	tdo_sadb_put_sockaddr(w, &a->addr, a->port);
	tdo_sadb_put_padding(w, len);
}

void
tdo_sadb_put_key(struct tdo_wr *w, enum tdo_sadb_ext_type ext, const uint8_t *key, uint16_t bits)
{
	size_t bytes = (bits + 7u) / 8;

	tdo_sadb_put_header(w, ext, TDO_SADB_KEY_LEN + bytes);
	tdo_wr_h16(w, bits);
	tdo_wr_zero(w, 2);
	tdo_wr_bytes(w, key, bytes);
	tdo_sadb_put_padding(w, bytes);
}

void
tdo_sadb_put_spirange(struct tdo_wr *w, const struct tdo_sadb_spirange *r)
{
	tdo_sadb_put_header(w, TDO_SADB_EXT_SPIRANGE, TDO_SADB_SPIRANGE_LEN);
	tdo_wr_h32(w, r->min);
	tdo_wr_h32(w, r->max);
	tdo_wr_zero(w, 4);
}

/* ---- policies ----------------------------------------------------------------------- */

static size_t
request_len(const struct tdo_req *r)
{
	size_t len = TDO_SADB_REQUEST_LEN;

	if (r->src.af != TDO_AF_NONE || r->dst.af != TDO_AF_NONE)
		len += tdo_sadb_sockaddr_len(r->src.af) + tdo_sadb_sockaddr_len(r->dst.af);
	return len;
}

static void
put_request(struct tdo_wr *w, const struct tdo_req *r)
{
	size_t len = request_len(r);

	tdo_wr_h16(w, (uint16_t)tdo_sadb_pad8(len)); /* bytes */
	tdo_wr_h16(w, r->proto);
	tdo_wr_u8(w, r->mode);
	tdo_wr_u8(w, r->level);
	/* A part of a longer number would name another SA: TDO_SP has it whole. */
	tdo_wr_h16(w, (uint16_t)(r->reqid > UINT16_MAX ? 0 : r->reqid));
	if (len > TDO_SADB_REQUEST_LEN) {
		tdo_sadb_put_sockaddr(w, &r->src, r->sport);
		tdo_sadb_put_sockaddr(w, &r->dst, r->dport);
		tdo_sadb_put_padding(w, len);
	}
}

void
tdo_sadb_put_policy(struct tdo_wr *w, const struct tdo_sadb_policy *p)
{
	size_t len = TDO_SADB_POLICY_LEN;

	for (unsigned i = 0; i < p->nreq; i++)
		len += tdo_sadb_pad8(request_len(&p->req[i]));
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_POLICY, len);
	tdo_wr_h16(w, p->type);
	tdo_wr_u8(w, p->dir);
	tdo_wr_u8(w, p->flags);
	tdo_wr_h32(w, p->id);
	tdo_wr_h32(w, p->prio);
	for (unsigned i = 0; i < p->nreq; i++)
		put_request(w, &p->req[i]);
}

/* ---- small ones, lists -------------------------------------------------------------- */

void
tdo_sadb_put_replay(struct tdo_wr *w, uint32_t packets)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_SA_REPLAY, TDO_SADB_REPLAY_LEN);
	tdo_wr_h32(w, packets);
}

void
tdo_sadb_put_natt_type(struct tdo_wr *w, uint8_t type)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_NAT_T_TYPE, TDO_SADB_NATT_LEN);
	tdo_wr_u8(w, type);
	tdo_wr_zero(w, 3);
}

void
tdo_sadb_put_natt_port(struct tdo_wr *w, enum tdo_sadb_ext_type ext, uint16_t port)
{
	tdo_sadb_put_header(w, ext, TDO_SADB_NATT_LEN);
	tdo_wr_be16(w, port);
	tdo_wr_zero(w, 2);
}

void
tdo_sadb_put_natt_frag(struct tdo_wr *w, uint16_t fraglen)
{
	tdo_sadb_put_header(w, TDO_SADB_X_EXT_NAT_T_FRAG, TDO_SADB_NATT_LEN);
	tdo_wr_h16(w, fraglen);
	tdo_wr_zero(w, 2);
}

void
tdo_sadb_put_supported(
    struct tdo_wr *w, enum tdo_sadb_ext_type ext, const struct tdo_sadb_alg *a, unsigned n)
{
	tdo_sadb_put_header(w, ext, TDO_SADB_SUPPORTED_LEN + (size_t)n * TDO_SADB_ALG_LEN);
	tdo_wr_zero(w, 4);
	for (unsigned i = 0; i < n; i++) {
		tdo_wr_u8(w, a[i].id);
		tdo_wr_u8(w, a[i].ivlen);
		tdo_wr_h16(w, a[i].minbits);
		tdo_wr_h16(w, a[i].maxbits);
		tdo_wr_zero(w, 2);
	}
}

static void
put_comb(struct tdo_wr *w, const struct tdo_sadb_comb *c)
{
	tdo_wr_u8(w, c->auth);
	tdo_wr_u8(w, c->encrypt);
	tdo_wr_h16(w, c->flags);
	tdo_wr_h16(w, c->auth_minbits);
	tdo_wr_h16(w, c->auth_maxbits);
	tdo_wr_h16(w, c->encrypt_minbits);
	tdo_wr_h16(w, c->encrypt_maxbits);
	tdo_wr_zero(w, 4);
	tdo_wr_h32(w, clamp32(c->soft.allocations));
	tdo_wr_h32(w, clamp32(c->hard.allocations));
	tdo_wr_h64(w, c->soft.bytes);
	tdo_wr_h64(w, c->hard.bytes);
	tdo_wr_h64(w, c->soft.addtime);
	tdo_wr_h64(w, c->hard.addtime);
	tdo_wr_h64(w, c->soft.usetime);
	tdo_wr_h64(w, c->hard.usetime);
}

void
tdo_sadb_put_proposal(struct tdo_wr *w, uint8_t replay, const struct tdo_sadb_comb *c, unsigned n)
{
	tdo_sadb_put_header(
	    w, TDO_SADB_EXT_PROPOSAL, TDO_SADB_PROP_LEN + (size_t)n * TDO_SADB_COMB_LEN);
	tdo_wr_u8(w, replay);
	tdo_wr_zero(w, 3);
	for (unsigned i = 0; i < n; i++)
		put_comb(w, &c[i]);
}
