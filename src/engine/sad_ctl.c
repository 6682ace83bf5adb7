/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations on the SAD (RFC 2367 3.1, spec 4.3): GETSPI, ADD, UPDATE, DELETE, GET, FLUSH. */
#include <errno.h>

#include "base/addr.h"
#include "engine/encap.h"
#include "engine/protocol.h"
#include "engine/sad.h"

/* ---- operator warnings -------------------------------------------------------------- */

/* True the first time, and when crypto_warn_interval has passed since the last; then notes now. */
static bool
is_due(const struct tdo_engine *e, tdo_ns *last, tdo_ns now)
{
	uint64_t interval = (uint64_t)tdo_knob(e, TDO_KNOB_CRYPTO_WARN_INTERVAL, TDO_AF_INET);

	if (*last != 0 && (interval == 0 || tdo_age(*last, now) < interval))
		return false;
	*last = now != 0 ? now : 1; /* 0: never */
	return true;
}

static void
warn_weak(struct tdo_engine *e, const struct tdo_alg *a, tdo_ns *last, tdo_ns now)
{
	if (a && tdo_alg_weak(a) && is_due(e, last, now))
		tdo_engine_log(
		    e, TDO_LOG_WARN, "%s is weak (RFC 8221); do not use it for new SAs", a->name);
}

/*
 * RFC 8750 7: the sequence number must not come again under the same key.  Here it never does while
 * the daemon runs; what the keys were used for before that, or are at the other end, only key
 * management knows.
 */
static void
warn_implicit_iv(struct tdo_engine *e, const struct tdo_alg *enc)
{
	if (enc == NULL || !enc->implicit_iv || e->sad->warned_iiv)
		return;
	e->sad->warned_iiv = true;
	tdo_engine_log(e, TDO_LOG_WARN,
	    "%s has the sequence number as its nonce (RFC 8750 7): a key must never serve twice, "
	    "so it is not for keys that are set by hand",
	    enc->name);
}

static void
warn(struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now)
{
	const struct tdo_alg *enc, *auth;
	struct tdo_sad *d = e->sad;

	if (p->key.satype == TDO_SATYPE_IPCOMP)
		return; /* it promises nothing */
	tdo_sa_algs(p, &enc, &auth);
	warn_implicit_iv(e, enc);
	warn_weak(e, enc, &d->warned_enc[p->ealg], now);
	warn_weak(e, auth, &d->warned_auth[p->aalg], now);
	if (enc && (auth == NULL || auth->no_auth) && enc->kind != TDO_ALG_AEAD &&
	    !d->warned_clear) {
		d->warned_clear = true;
		/* RFC 4303 1: confidentiality-only service may be attacked actively. */
		tdo_engine_log(e, TDO_LOG_WARN,
		    "ESP without authentication protects neither the packets nor against replay");
	}
}

/* ---- control calls ------------------------------------------------------------------ */

/* The SA of this name, or NULL.  An empty source is not compared. */
static struct tdo_sa *
find(const struct tdo_engine *e, const struct tdo_sa_key *k)
{
	struct tdo_sa *sa = tdo_sad_find_in(e, &k->dst, k->spi, tdo_satype_proto(k->satype));

	if (sa == NULL || sa->param.key.satype != k->satype)
		return NULL;
	if (k->src.af != TDO_AF_NONE && !tdo_addr_equal(&k->src, &sa->id.src))
		return NULL;
	return sa;
}

/* A new object and all memory that publishing it takes. */
static int
make(struct tdo_engine *e, const struct tdo_sa_param *p, bool larval, tdo_ns now,
    struct tdo_sa **ret, struct tdo_err *ret_err)
{
	struct tdo_sa *sa;
	int r = tdo_sa_new(e, p, larval, now, &sa, ret_err);

	if (r)
		return r;
	r = tdo_sad_out_reserve(e, sa);
	if (r)
		tdo_sa_unref(sa);
	else
		*ret = sa;
	return r;
}

/* The homes of the numbers; an inherited counter has one. */
static void
settle_seq(struct tdo_engine *e, struct tdo_sa *sa)
{
	_Atomic uint64_t *slot = NULL;
	_Atomic uint32_t *high = NULL;

	if (e->cfg.seq_slot && sa->out_seq == &sa->own_seq)
		slot = e->cfg.seq_slot(e->cfg.seq_ctx, &sa->param);
	if (slot)
		sa->out_seq = slot;
	if (e->cfg.high_slot && sa->fmt.esn)
		high = e->cfg.high_slot(e->cfg.seq_ctx, &sa->param);
	if (high)
		tdo_replay_keep_high(&sa->replay, high);
}

int
tdo_sa_add(struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now, struct tdo_err *ret_err)
{
	struct tdo_sa *sa;
	int r;

	tdo_engine_reclaim(e);
	r = tdo_sa_validate(e, p, ret_err);
	if (r == 0)
		r = tdo_sa_check_levels(e, p, ret_err);
	if (r)
		return r;
	if (tdo_sad_find_in(e, &p->key.dst, p->key.spi, tdo_satype_proto(p->key.satype)))
		return -EEXIST;
	r = make(e, p, false, now, &sa, ret_err);
	if (r)
		return r;
	settle_seq(e, sa);
	warn(e, p, now);
	tdo_sad_publish(e, sa);
	return 0;
}

/*
 * RFC 2367 3.1.2: an update of lifetimes alone says nothing about algorithms.  The name is that
 * of the SA from now on (D44).
 */
static struct tdo_sa_param
completed(const struct tdo_sa_param *p, const struct tdo_sa *old)
{
	struct tdo_sa_param full = *p;

	full.key.src = p->new_src.af != TDO_AF_NONE ? p->new_src : old->id.src;
	if (p->new_dst.af != TDO_AF_NONE)
		full.key.dst = p->new_dst;
	full.new_src = full.new_dst = (struct tdo_addr){0};
	if (p->ealg != 0 || p->aalg != 0)
		return full;
	full.ealg = old->param.ealg;
	full.aalg = old->param.aalg;
	full.ekey = old->param.ekey;
	full.akey = old->param.akey;
	full.ekey_bits = old->param.ekey_bits;
	full.akey_bits = old->param.akey_bits;
	return full;
}

int
tdo_sa_update(
    struct tdo_engine *e, const struct tdo_sa_param *p, tdo_ns now, struct tdo_err *ret_err)
{
	struct tdo_sa *old = find(e, &p->key), *sa;
	struct tdo_sa_param full;
	int r;

	if (old == NULL)
		return -ESRCH;
	full = completed(p, old);
	r = tdo_sa_validate(e, &full, ret_err);
	if (r == 0 && (p->ealg != 0 || p->aalg != 0))
		r = tdo_sa_check_levels(e, &full, ret_err);
	if (r == 0 && !tdo_addr_equal(&full.key.dst, &old->id.dst) &&
	    tdo_sad_find_in(e, &full.key.dst, full.key.spi, old->id.proto))
		r = -EEXIST;
	if (r == 0)
		r = make(e, &full, false, now, &sa, ret_err);
	if (r)
		return r;
	tdo_sa_inherit(sa, old);
	settle_seq(e, sa);
	warn(e, &full, now);
	tdo_sad_swap(e, old, sa);
	return 0;
}

/* ---- GETSPI ------------------------------------------------------------------------- */

static uint64_t
random64(struct tdo_engine *e)
{
	uint64_t v;

	tdo_engine_random(e, &v, sizeof(v));
	return v;
}

/* A free SPI in [min, max], or 0. */
static uint32_t
pick_spi(struct tdo_engine *e, const struct tdo_sa_key *k, uint32_t min, uint32_t max)
{
	uint32_t tries = (uint32_t)tdo_knob(e, TDO_KNOB_SPI_TRY, k->dst.af);
	uint64_t n = (uint64_t)max - min + 1, at = random64(e) % n;

	for (uint32_t i = 0; i < tries; i++) {
		uint32_t spi = (uint32_t)(min + at);

		if (tdo_sad_find_in(e, &k->dst, spi, tdo_satype_proto(k->satype)) == NULL)
			return spi;
		/* A small range is searched completely, a large one at random. */
		if (n > tries)
			at = random64(e) % n; /* NOLINT: more than tries is not 0 */
		else if (i + 1 < n)
			at = (at + 1) % n;
		else
			break;
	}
	return 0;
}

int
tdo_sa_getspi(struct tdo_engine *e, const struct tdo_sa_param *p, uint32_t min, uint32_t max,
    tdo_ns now, uint32_t *ret_spi)
{
	struct tdo_sa_param full = *p;
	struct tdo_sa *sa;
	int r;

	if (tdo_protocol_of(p->key.satype) == NULL)
		return p->key.satype == TDO_SATYPE_AH || p->key.satype == TDO_SATYPE_IPCOMP
			   ? -EOPNOTSUPP
			   : -EINVAL;
	if (p->mode > TDO_MODE_TUNNEL || tdo_af_len(p->key.src.af) == 0 ||
	    p->key.src.af != p->key.dst.af)
		return -EINVAL;
	if (min > max || min < TDO_SPI_MIN)
		return -EINVAL;
	r = tdo_encap_check(e, p, NULL);
	if (r)
		return r;
	full.key.spi = pick_spi(e, &p->key, min, max);
	if (full.key.spi == 0)
		return -ENOENT;
	/* A larval SA has neither algorithms nor keys nor lifetimes. */
	full.ealg = full.aalg = 0;
	full.ekey_bits = full.akey_bits = 0;
	full.replay = 0;
	full.has_hard = full.has_soft = false;
	r = make(e, &full, true, now, &sa, NULL);
	if (r)
		return r;
	tdo_acquire_working(e, p->seq, now);
	tdo_sad_publish(e, sa);
	*ret_spi = full.key.spi;
	return 0;
}

/* ---- deleting and reading ----------------------------------------------------------- */

int
tdo_sa_delete(struct tdo_engine *e, const struct tdo_sa_key *key)
{
	struct tdo_sa *sa = find(e, key);

	if (sa == NULL)
		return -ESRCH;
	tdo_sad_remove(e, sa);
	return 0;
}

unsigned
tdo_sa_delete_all(struct tdo_engine *e, const struct tdo_sa_key *key)
{
	struct tdo_sa *sa;
	unsigned count = 0;

	for (; (sa = tdo_sad_out_any(e, key)) != NULL; count++)
		tdo_sad_remove(e, sa);
	return count;
}

unsigned
tdo_sa_flush(struct tdo_engine *e, uint8_t satype)
{
	struct tdo_sa *next;
	unsigned count = 0;

	for (struct tdo_sa *sa = e->sad->first; sa; sa = next) {
		next = sa->next;
		if (satype != TDO_SATYPE_UNSPEC && sa->param.key.satype != satype)
			continue;
		tdo_sad_remove(e, sa);
		count++;
	}
	return count;
}

bool
tdo_sa_usable(const struct tdo_engine *e, const struct tdo_sa_key *key)
{
	struct tdo_req req = {.proto = tdo_satype_proto(key->satype), .level = TDO_LEVEL_USE};
	struct tdo_sa_ask ask = {.req = &req, .src = &key->src, .dst = &key->dst};

	for (unsigned mode = TDO_MODE_TRANSPORT; mode <= TDO_MODE_TUNNEL; mode++) {
		req.mode = (uint8_t)mode;
		if (tdo_sad_find_out(e, &ask))
			return true;
	}
	return false;
}

int
tdo_sa_get(struct tdo_engine *e, const struct tdo_sa_key *key, struct tdo_sa_info *ret)
{
	struct tdo_sa *sa = find(e, key);

	if (sa == NULL)
		return -ESRCH;
	tdo_sa_fill_info(e, sa, ret);
	return 0;
}
