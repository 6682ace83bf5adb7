/* SPDX-License-Identifier: BSD-2-Clause */
/* SA objects: checking of parameters, making, freeing, copies for the outside. */
#include "engine/sa.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/ct.h"
#include "engine/control.h"
#include "engine/engine.h"
#include "wire/ip.h"

/* ---- validation --------------------------------------------------------------------- */

static int
check_name(struct tdo_engine *e, const struct tdo_sa_key *k, struct tdo_err *err)
{
	if (k->satype == TDO_SATYPE_AH || k->satype == TDO_SATYPE_IPCOMP)
		return tdo_refuse(e, err, -EOPNOTSUPP, "%s is not supported by this version",
		    k->satype == TDO_SATYPE_AH ? "AH" : "IPComp");
	if (k->satype != TDO_SATYPE_ESP)
		return tdo_refuse(e, err, -EINVAL, "unknown SA type %u", k->satype);
	if (tdo_af_len(k->src.af) == 0 || k->src.af != k->dst.af)
		return tdo_refuse(
		    e, err, -EINVAL, "source and destination must be addresses of one family");
	/* RFC 4303 2.1: 1..255 are reserved, 0 is for local use. */
	if (k->spi < TDO_SPI_MIN)
		return tdo_refuse(
		    e, err, -EINVAL, "SPI %u is reserved; the lowest is 256", (unsigned)k->spi);
	return 0;
}

static int
check_flags(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	if (p->mode > TDO_MODE_TUNNEL)
		return tdo_refuse(e, err, -EINVAL, "unknown mode %u", p->mode);
	if (p->flags & (TDO_SAF_OLD | TDO_SAF_IV4B | TDO_SAF_DERIV))
		return tdo_refuse(e, err, -EOPNOTSUPP,
		    "the old ESP formats (RFC 1827, derived or 32-bit IV) are not supported");
	if ((p->flags & TDO_SAF_PMASK) == TDO_SAF_PMASK)
		return tdo_refuse(e, err, -EINVAL, "padding is either random or zero, not both");
	if (!tdo_tunnel_opt_ok(&p->tunnel))
		return tdo_refuse(e, err, -EINVAL,
		    "ECN, DF, DSCP or flow label setting of a tunnel is out of range");
	if (p->replay > TDO_REPLAY_MAX)
		return tdo_refuse(e, err, -EINVAL, "replay window of %u packets; at most %u",
		    (unsigned)p->replay, TDO_REPLAY_MAX);
	return 0;
}

/* The legal key lengths of an algorithm: "128, 192, 256" or "40 to 448". */
static void
print_legal(char *buf, size_t len, const struct tdo_alg *a)
{
	unsigned n = a->key_step ? (a->key_max - a->key_min) / a->key_step + 1u : 1;
	size_t at = 0;

	if (n > 4) {
		tdo_text(
		    buf, len, &at, "%u to %u in steps of %u", a->key_min, a->key_max, a->key_step);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		tdo_text(buf, len, &at, "%s%u", i ? ", " : "", a->key_min + i * a->key_step);
}

static int
check_key(struct tdo_engine *e, const struct tdo_alg *a, const uint8_t *key, unsigned bits,
    struct tdo_err *err)
{
	char legal[64];

	if (bits % 8 == 0 && bits / 8 <= TDO_KEY_MAX && tdo_alg_keylen_ok(a, bits) &&
	    (key != NULL || bits == 0))
		return 0;
	print_legal(legal, sizeof(legal), a);
	return tdo_refuse(e, err, -EINVAL,
	    "invalid key length: %s with a key of %u bits; legal: %s", a->name, bits, legal);
}

static int
check_algs(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_alg *enc = p->ealg ? tdo_alg_enc(p->ealg) : NULL;
	const struct tdo_alg *auth = p->aalg ? tdo_alg_auth(p->aalg) : NULL;
	int r;

	if (p->ealg == 0)
		return tdo_refuse(
		    e, err, -EINVAL, "ESP needs an encryption algorithm; \"null\" is one");
	if (enc == NULL)
		return tdo_refuse(e, err, -EINVAL, "unknown encryption algorithm %u", p->ealg);
	if (p->aalg != 0 && auth == NULL)
		return tdo_refuse(e, err, -EINVAL, "unknown authentication algorithm %u", p->aalg);
	if (auth && enc->kind == TDO_ALG_AEAD)
		return tdo_refuse(e, err, -EINVAL,
		    "%s authenticates by itself; it takes no authentication algorithm", enc->name);
	/* RFC 4303 2.2.1: the high half is known from the ICV alone. */
	if ((p->flags & TDO_SAF_ESN) && auth == NULL && enc->kind != TDO_ALG_AEAD)
		return tdo_refuse(e, err, -EINVAL,
		    "extended sequence numbers need authentication: the receiver could not tell "
		    "the "
		    "high half");
	r = check_key(e, enc, p->ekey, p->ekey_bits, err);
	if (r == 0 && auth)
		r = check_key(e, auth, p->akey, p->akey_bits, err);
	if (r)
		return r;
	if (!tdo_crypto_supports(e->cfg.crypto, enc, auth))
		return tdo_refuse(e, err, -EOPNOTSUPP, "no crypto driver supports %s%s%s",
		    enc->name, auth ? " with " : "", auth ? auth->name : "");
	return 0;
}

/* The selectors may be of another family than the addresses: a tunnel carries both. */
static int
check_sel(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_sel *s = &p->sel;

	if (!p->has_sel)
		return 0;
	if (tdo_af_len(s->src.af) == 0 || s->src.af != s->dst.af ||
	    s->src_plen > tdo_af_bits(s->src.af) || s->dst_plen > tdo_af_bits(s->dst.af))
		return tdo_refuse(
		    e, err, -EINVAL, "the selectors of an SA need two prefixes of one family");
	if (s->sport.lo > s->sport.hi || s->dport.lo > s->dport.hi)
		return tdo_refuse(e, err, -EINVAL, "port range whose end is before its start");
	return 0;
}

int
tdo_sa_validate(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	int r = check_name(e, &p->key, err);

	if (r == 0)
		r = check_flags(e, p, err);
	if (r == 0)
		r = check_algs(e, p, err);
	if (r == 0)
		r = check_sel(e, p, err);
	return r;
}

/* ---- making and freeing ------------------------------------------------------------- */

static void
sa_free(struct tdo_sa *sa)
{
	struct tdo_engine *e = sa->engine;
	const struct tdo_mem *mem = &e->cfg.mem;

	tdo_session_free(sa->dec); /* uses the keys of enc */
	tdo_session_free(sa->enc);
	tdo_replay_fini(&sa->replay, mem);
	if (sa->keys) {
		tdo_wipe(sa->keys, sa->keys_len);
		mem->free(mem->ctx, sa->keys, sa->keys_len);
	}
	if (sa->seq_owner)
		tdo_sa_unref(sa->seq_owner);
	tdo_line_free(mem, sa, sizeof(*sa));
}

void
tdo_sa_ref(struct tdo_sa *sa)
{
	sa->refs++;
}

void
tdo_sa_unref(struct tdo_sa *sa)
{
	if (--sa->refs == 0)
		sa_free(sa);
}

static int
copy_keys(struct tdo_sa *sa, const struct tdo_sa_param *p)
{
	const struct tdo_mem *mem = &sa->engine->cfg.mem;
	size_t elen = p->ekey_bits / 8, alen = p->aalg ? p->akey_bits / 8 : 0;

	sa->param.ekey = sa->param.akey = NULL;
	sa->param.akey_bits = (uint16_t)(alen * 8);
	if (elen + alen == 0)
		return 0;
	sa->keys = mem->alloc(mem->ctx, elen + alen);
	if (sa->keys == NULL)
		return -ENOMEM;
	sa->keys_len = elen + alen;
	if (elen) {
		memcpy(sa->keys, p->ekey, elen);
		sa->param.ekey = sa->keys;
	}
	if (alen) {
		memcpy(sa->keys + elen, p->akey, alen);
		sa->param.akey = sa->keys + elen;
	}
	return 0;
}

static int
make_session(
    struct tdo_sa *sa, const struct tdo_session *twin, bool encrypt, struct tdo_session **ret)
{
	struct tdo_session_param sp = {
	    .enc = tdo_alg_enc(sa->param.ealg),
	    .auth = sa->param.aalg ? tdo_alg_auth(sa->param.aalg) : NULL,
	    .ekey = sa->param.ekey,
	    .akey = sa->param.akey,
	    .ekey_len = sa->param.ekey_bits / 8,
	    .akey_len = sa->param.akey_bits / 8,
	    .encrypt = encrypt,
	    .esn = (sa->param.flags & TDO_SAF_ESN) != 0,
	    .twin = twin,
	};

	return tdo_session_new(sa->engine->cfg.crypto, &sp, ret);
}

/* What a mature SA has and a larval one has not. */
static int
equip(struct tdo_sa *sa, const struct tdo_sa_param *p, struct tdo_err *err)
{
	struct tdo_engine *e = sa->engine;
	int r;

	r = copy_keys(sa, p);
	if (r == 0)
		r = tdo_replay_init(&sa->replay, &e->cfg.mem, p->replay, p->adaptive);
	if (r == 0)
		r = make_session(sa, NULL, true, &sa->enc);
	if (r == 0)
		r = make_session(sa, sa->enc, false, &sa->dec);
	if (r == 0)
		r = tdo_esp_init(
		    e, sa, tdo_alg_enc(p->ealg), p->aalg ? tdo_alg_auth(p->aalg) : NULL);
	if (r == -EINVAL || r == -EOPNOTSUPP)
		return tdo_refuse(e, err, r, "ESP cannot use this combination of parameters");
	return r;
}

static void
set_constants(struct tdo_sa *sa, const struct tdo_sa_param *p)
{
	sa->id = (struct tdo_sa_id){
	    .proto = TDO_IPPROTO_ESP,
	    .mode = p->mode,
	    .spi = p->key.spi,
	    .reqid = p->reqid,
	    .src = p->key.src,
	    .dst = p->key.dst,
	};
	if (p->has_hard)
		sa->hard = p->hard;
	if (p->has_soft)
		sa->soft = p->soft;
	sa->cpu = p->cpu;
	sa->flags = p->flags;
	sa->tunnel = p->tunnel;
	sa->param = *p;
	sa->param.ekey = sa->param.akey = NULL;
	if (p->has_sel) {
		sa->param.sel = tdo_sel_normal(&p->sel);
		sa->sel = &sa->param.sel;
	}
}

int
tdo_sa_new(struct tdo_engine *e, const struct tdo_sa_param *p, bool larval, tdo_ns now,
    struct tdo_sa **ret, struct tdo_err *err)
{
	struct tdo_sa *sa = tdo_line_alloc(&e->cfg.mem, sizeof(*sa));
	int r = 0;

	if (sa == NULL)
		return -ENOMEM;
	sa->engine = e;
	sa->refs = 1;
	sa->created = now;
	set_constants(sa, p);
	sa->out_seq = &sa->own_seq;
	atomic_init(&sa->state, larval ? TDO_SA_LARVAL : TDO_SA_MATURE);
	if (larval)
		r = tdo_replay_init(&sa->replay, &e->cfg.mem, 0, false);
	else
		r = equip(sa, p, err);
	if (r) {
		tdo_sa_unref(sa);
		return r;
	}
	*ret = sa;
	return 0;
}

/* ---- update ------------------------------------------------------------------------- */

static bool
same_key(const uint8_t *a, unsigned abits, const uint8_t *b, unsigned bbits)
{
	return abits == bbits && (abits == 0 || tdo_ct_equal(a, b, abits / 8));
}

bool
tdo_sa_same_keys(const struct tdo_sa_param *a, const struct tdo_sa_param *b)
{
	return a->ealg == b->ealg && a->aalg == b->aalg &&
	       same_key(a->ekey, a->ekey_bits, b->ekey, b->ekey_bits) &&
	       same_key(a->akey, a->akey_bits, b->akey, b->akey_bits);
}

static void
copy_counter(_Atomic uint64_t *to, const _Atomic uint64_t *from)
{
	atomic_store_explicit(
	    to, atomic_load_explicit(from, memory_order_relaxed), memory_order_relaxed);
}

void
tdo_sa_inherit(struct tdo_sa *sa, struct tdo_sa *old)
{
	copy_counter(&sa->packets, &old->packets);
	copy_counter(&sa->bytes, &old->bytes);
	copy_counter(&sa->first_use, &old->first_use);
	copy_counter(&sa->last_use, &old->last_use);
	copy_counter(&sa->drops, &old->drops);
	sa->serial = old->serial;
	if (old->enc == NULL || !tdo_sa_same_keys(&sa->param, &old->param))
		return;
	/*
	 * Workers may still send with the old object: both must draw from one counter, and
	 * from one series of IVs, or a sequence number and an IV would be used twice.
	 */
	sa->created = old->created;
	sa->esp.iv_base = old->esp.iv_base;
	if (old->out_seq == &old->own_seq || old->seq_owner) {
		sa->seq_owner = old->seq_owner ? old->seq_owner : old;
		tdo_sa_ref(sa->seq_owner);
	}
	sa->out_seq = old->out_seq;
	if (sa->replay.adaptive)
		tdo_replay_grow(&sa->replay, &sa->engine->cfg.mem, tdo_replay_size(&old->replay));
	tdo_replay_move(&old->replay, &sa->replay);
}

/* ---- copies ------------------------------------------------------------------------- */

void
tdo_sa_fill_info(const struct tdo_engine *e, struct tdo_sa *sa, struct tdo_sa_info *ret)
{
	*ret = (struct tdo_sa_info){
	    .param = sa->param,
	    .current.allocations = atomic_load_explicit(&sa->packets, memory_order_relaxed),
	    .current.bytes = atomic_load_explicit(&sa->bytes, memory_order_relaxed),
	    .current.addtime = tdo_wall(e, sa->created),
	    .current.usetime =
		tdo_wall_used(e, atomic_load_explicit(&sa->first_use, memory_order_relaxed)),
	    .last_used =
		tdo_wall_used(e, atomic_load_explicit(&sa->last_use, memory_order_relaxed)),
	    .out_seq = atomic_load_explicit(sa->out_seq, memory_order_relaxed),
	    .refcnt = sa->refs,
	};
	tdo_replay_info(&sa->replay, ret);
	ret->param.state = atomic_load_explicit(&sa->state, memory_order_relaxed);
	if (sa->param.ekey) {
		memcpy(ret->key_store, sa->param.ekey, sa->param.ekey_bits / 8);
		ret->param.ekey = ret->key_store;
	}
	if (sa->param.akey) {
		memcpy(ret->key_store + TDO_KEY_MAX, sa->param.akey, sa->param.akey_bits / 8);
		ret->param.akey = ret->key_store + TDO_KEY_MAX;
	}
}
