/* SPDX-License-Identifier: BSD-2-Clause */
/* SA objects: making, freeing, copies for the outside.  Parameters are checked in sa_check.c. */
#include "engine/sa.h"

#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "base/ct.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/engine.h"
#include "engine/protocol.h"

/* ---- making and freeing ------------------------------------------------------------- */

static void
sa_free(struct tdo_sa *sa)
{
	struct tdo_engine *e = sa->engine;
	const struct tdo_mem *mem = &e->cfg.mem;

	tdo_session_free(sa->dec); /* uses the keys of enc */
	tdo_session_free(sa->enc);
	tdo_replay_fini(&sa->replay, mem);
	tdo_encap_free(e, sa);
	tdo_ipcomp_fini(e, sa);
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
	    .ekey = sa->param.ekey,
	    .akey = sa->param.akey,
	    .ekey_len = sa->param.ekey_bits / 8,
	    .akey_len = sa->param.akey_bits / 8,
	    .encrypt = encrypt,
	    .by =
		(enum tdo_crypto_support)tdo_knob(sa->engine, TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET),
	    .esn = (sa->param.flags & TDO_SAF_ESN) != 0,
	    .twin = twin,
	};

	tdo_sa_algs(&sa->param, &sp.enc, &sp.auth);
	return tdo_session_new(sa->engine->cfg.crypto, &sp, ret);
}

/* What a mature SA has and a larval one has not. */
static int
equip(struct tdo_sa *sa, const struct tdo_sa_param *p, struct tdo_err *err)
{
	struct tdo_engine *e = sa->engine;
	const struct tdo_protocol *proto = tdo_protocol_of(p->key.satype);
	const struct tdo_alg *enc, *auth;
	bool keyed;
	int r;

	tdo_sa_algs(p, &enc, &auth);
	keyed = enc || auth;
	r = copy_keys(sa, p);
	if (r == 0)
		r = tdo_replay_init(&sa->replay, &e->cfg.mem, p->replay, p->adaptive);
	if (r == 0 && keyed)
		r = make_session(sa, NULL, true, &sa->enc);
	if (r == 0 && keyed)
		r = make_session(sa, sa->enc, false, &sa->dec);
	if (r == 0)
		r = proto->init(e, sa, enc, auth);
	if (r == 0)
		r = tdo_encap_new(e, sa);
	if (r == -EINVAL || r == -EOPNOTSUPP)
		return tdo_refuse(
		    e, err, r, "%s cannot use this combination of parameters", proto->name);
	sa->fmt.front[0] = (uint8_t)(sa->fmt.encap_len + sa->fmt.head_len);
	sa->fmt.front[1] = (uint8_t)(sa->fmt.front[0] + sa->fmt.outer_len);
	sa->used = tdo_used_slot(sa->id.proto, sa->id.proto == TDO_IPPROTO_AH ? p->aalg : p->ealg,
	    sa->fmt.authenticated);
	return r;
}

static void
set_constants(struct tdo_sa *sa, const struct tdo_sa_param *p)
{
	sa->id = (struct tdo_sa_id){
	    .proto = tdo_protocol_of(p->key.satype)->proto,
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
	sa->limited = (sa->hard.allocations | sa->hard.bytes) != 0;
	sa->cpu = p->cpu > TDO_QSBR_READERS ? UINT8_MAX : (uint8_t)p->cpu;
	sa->flags = p->flags;
	sa->tunnel = p->tunnel;
	sa->tfc = p->tfc.pad;
	sa->mtu = p->mtu;
	sa->param = *p;
	sa->param.ekey = sa->param.akey = NULL;
	if (p->has_sel) {
		sa->param.sel = tdo_sel_normal(&p->sel);
		sa->sel = &sa->param.sel;
		sa->selective = true;
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
	sa->uid = ++e->last_uid;
	set_constants(sa, p);
	sa->out_seq = &sa->own_seq;
	atomic_init(&sa->state, larval ? TDO_SA_LARVAL : TDO_SA_MATURE);
	if (larval) {
		/* Its SPI is known to the peer already, and to anybody who guesses it. */
		sa->in = &tdo_larval_in;
		r = tdo_replay_init(&sa->replay, &e->cfg.mem, 0, false);
	} else {
		r = equip(sa, p, err);
	}
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
	copy_counter(&sa->last_use, &old->last_use);
	copy_counter(&sa->drops, &old->drops);
	sa->uid = old->uid;
	old->continued = true;
	sa->successor = true;
	sa->serial = old->serial;
	tdo_encap_inherit(sa, old);
	if (old->out == NULL || !tdo_sa_same_keys(&sa->param, &old->param))
		return;
	/*
	 * Workers may still send with the old object: both must draw from one counter, and
	 * from one series of IVs, or a sequence number and an IV would be used twice.
	 */
	sa->created = old->created;
	copy_counter(&sa->packets, &old->packets);
	copy_counter(&sa->bytes, &old->bytes);
	copy_counter(&sa->first_use, &old->first_use);
	sa->fmt.iv_base = old->fmt.iv_base;
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
	    .made = sa->created,
	    .first_used = atomic_load_explicit(&sa->first_use, memory_order_relaxed),
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
