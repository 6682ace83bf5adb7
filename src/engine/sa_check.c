/* SPDX-License-Identifier: BSD-2-Clause */
/* Which parameters an SA may have; every refusal says what is wrong and what to do. */
#include <errno.h>
#include <string.h>

#include "base/addr.h"
#include "engine/control.h"
#include "engine/encap.h"
#include "engine/engine.h"
#include "engine/protocol.h"
#include "wire/ip.h"

#define IP4_MTU_MIN 552u

static int
check_name(struct tdo_engine *e, const struct tdo_sa_key *k, struct tdo_err *err)
{
	if (tdo_protocol_of(k->satype) == NULL) {
		if (k->satype == TDO_SATYPE_AH || k->satype == TDO_SATYPE_IPCOMP)
			return tdo_refuse(e, err, -EOPNOTSUPP,
			    "%s is not supported by this version",
			    k->satype == TDO_SATYPE_AH ? "AH" : "IPComp");
		return tdo_refuse(e, err, -EINVAL, "unknown SA type %u", k->satype);
	}
	if (tdo_af_len(k->src.af) == 0 || k->src.af != k->dst.af)
		return tdo_refuse(
		    e, err, -EINVAL, "source and destination must be addresses of one family");
	return 0;
}

int
tdo_spi_check(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	if (p->key.spi < TDO_SPI_MIN)
		return tdo_refuse(
		    e, err, -EINVAL, "SPI %u is reserved; the lowest is 256", (unsigned)p->key.spi);
	return 0;
}

/* What this build does not have; in the log once, for clients to whom PF_KEY carries no text. */
static int
check_built(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_alg *enc, *auth;
	const char *what = NULL, *why = NULL;

	if (p->key.satype == TDO_SATYPE_IPCOMP)
		return 0;
	tdo_sa_algs(p, &enc, &auth);
#ifndef TDO_LEGACY
	if (p->flags & TDO_SAF_OLD) {
		what = p->key.satype == TDO_SATYPE_AH ? "ah-old" : "esp-old";
		why = TDO_NO_LEGACY;
	}
#endif
	if (why == NULL && enc && enc->not_there) {
		what = enc->name;
		why = enc->not_there;
	} else if (why == NULL && auth && auth->not_there) {
		what = auth->name;
		why = auth->not_there;
	}
	if (why == NULL)
		return 0;
	if (!e->absent_told)
		tdo_engine_log(e, TDO_LOG_WARN, "%s is refused: %s", what, why);
	e->absent_told = true;
	return tdo_refuse(e, err, -EOPNOTSUPP, "%s is refused: %s", what, why);
}

/* As little as is ever believed of a path (Linux' min_pmtu, RFC 8201 4). */
static uint16_t
least_mtu(uint8_t af)
{
	return af == TDO_AF_INET6 ? TDO_IP6_MTU_MIN : IP4_MTU_MIN;
}

static int
check_flags(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	if (p->mode > TDO_MODE_TUNNEL)
		return tdo_refuse(e, err, -EINVAL, "unknown mode %u", p->mode);
	if ((p->flags & TDO_SAF_PMASK) == TDO_SAF_PMASK)
		return tdo_refuse(e, err, -EINVAL, "padding is either random or zero, not both");
	if (!tdo_tunnel_opt_ok(&p->tunnel))
		return tdo_refuse(e, err, -EINVAL,
		    "ECN, DF, DSCP or flow label setting of a tunnel is out of range");
	if (p->align != 0 && p->key.satype != TDO_SATYPE_AH)
		return tdo_refuse(e, err, -EINVAL, "only AH headers have an alignment to choose");
	if (p->align != 0 && p->align != 4 && p->align != 8)
		return tdo_refuse(e, err, -EINVAL, "AH headers are aligned to 4 or 8 bytes, not %u",
		    (unsigned)p->align);
	if ((p->tfc.pad || p->tfc.dummies) &&
	    (p->key.satype != TDO_SATYPE_ESP || (p->flags & TDO_SAF_OLD)))
		return tdo_refuse(e, err, -EINVAL,
		    "only the ESP of RFC 4303 hides the length of packets, or has dummy packets");
	if (p->mtu != 0 && p->mtu < least_mtu(p->key.dst.af))
		return tdo_refuse(e, err, -EINVAL, "packets of %u bytes; at least %u may leave",
		    (unsigned)p->mtu, (unsigned)least_mtu(p->key.dst.af));
	if (p->replay > TDO_REPLAY_MAX)
		return tdo_refuse(e, err, -EINVAL, "replay window of %u packets; at most %u",
		    (unsigned)p->replay, TDO_REPLAY_MAX);
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

/* ---- keys --------------------------------------------------------------------------- */

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

int
tdo_key_check(struct tdo_engine *e, const struct tdo_alg *a, const uint8_t *key, unsigned bits,
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

/* ---- algorithms --------------------------------------------------------------------- */

void
tdo_sa_algs(
    const struct tdo_sa_param *p, const struct tdo_alg **ret_enc, const struct tdo_alg **ret_auth)
{
	const struct tdo_alg *half = tdo_alg_half_iv(), *enc = tdo_alg_enc(p->ealg);

	/* The numbers of IPComp are those of other algorithms; it has no keys. */
	*ret_enc = *ret_auth = NULL;
	if (p->key.satype == TDO_SATYPE_IPCOMP)
		return;
	/* des-deriv and des-32iv are DES with a flag. */
	if (enc && (p->flags & (TDO_SAF_IV4B | TDO_SAF_DERIV)) &&
	    strcmp(enc->name, half->name) == 0)
		enc = half;
	if (p->key.satype == TDO_SATYPE_ESP)
		*ret_enc = enc;
	if (p->aalg)
		*ret_auth = p->key.satype == TDO_SATYPE_AH && (p->flags & TDO_SAF_OLD)
				? tdo_alg_ah_old(p->aalg)
				: tdo_alg_auth(p->aalg);
}

static bool
authenticates(const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	return enc->kind == TDO_ALG_AEAD || (auth && !auth->no_auth);
}

/* RFC 1827 in the forms of RFC 1829 and 1851: SPI, IV, payload, trailer, and nothing else. */
static int
check_old(struct tdo_engine *e, const struct tdo_sa_param *p, const struct tdo_alg *enc,
    struct tdo_err *err)
{
	if (p->flags & TDO_SAF_DERIV)
		return tdo_refuse(e, err, -EINVAL,
		    "a derived IV is made from the sequence number, which esp-old has not");
	if (p->aalg != 0)
		return tdo_refuse(
		    e, err, -EINVAL, "esp-old has no authentication; take esp, or drop -A");
	if (p->replay != 0 || p->adaptive)
		return tdo_refuse(e, err, -EINVAL,
		    "replay prevention needs sequence numbers, which esp-old has not");
	if (p->flags & TDO_SAF_ESN)
		return tdo_refuse(e, err, -EINVAL, "esp-old has no sequence numbers to extend");
	if (enc->kind == TDO_ALG_AEAD || enc->iv_counter)
		return tdo_refuse(
		    e, err, -EINVAL, "%s exists in the new ESP only, not in esp-old", enc->name);
	return 0;
}

static int
check_format(struct tdo_engine *e, const struct tdo_sa_param *p, const struct tdo_alg *enc,
    const struct tdo_alg *auth, struct tdo_err *err)
{
	uint32_t half = p->flags & (TDO_SAF_IV4B | TDO_SAF_DERIV);

	if (half && enc != tdo_alg_half_iv())
		return tdo_refuse(e, err, -EINVAL,
		    "%s with %s has no IV of this kind; only des-cbc has", enc->name,
		    half & TDO_SAF_DERIV ? "a derived IV" : "a 32-bit IV");
	if ((p->flags & TDO_SAF_IV4B) && !(p->flags & TDO_SAF_OLD))
		return tdo_refuse(
		    e, err, -EINVAL, "a 32-bit IV (RFC 1829) exists in esp-old only, not in esp");
	if (p->flags & TDO_SAF_OLD)
		return check_old(e, p, enc, err);
	if (!(p->flags & TDO_SAF_ESN))
		return 0;
	/* RFC 4303 2.2.1: the high half is known from the ICV alone. */
	if (!authenticates(enc, auth))
		return tdo_refuse(e, err, -EINVAL,
		    "extended sequence numbers need authentication: nothing else tells the high "
		    "half");
	if (half)
		return tdo_refuse(
		    e, err, -EINVAL, "with extended sequence numbers derived IVs would come again");
	return 0;
}

int
tdo_driver_check(struct tdo_engine *e, const struct tdo_alg *enc, const struct tdo_alg *auth,
    struct tdo_err *err)
{
	int by = tdo_knob(e, TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET);
	char why[64] = "";
	size_t at = 0;

	if (tdo_crypto_supports_by(e->cfg.crypto, enc, auth, (enum tdo_crypto_support)by))
		return 0;
	if (by != TDO_CRYPTO_ANY)
		tdo_text(why, sizeof(why), &at, ", and %s is %d",
		    tdo_knob_info(TDO_KNOB_CRYPTO_SUPPORT)->name4, by);
	return tdo_refuse(e, err, -EOPNOTSUPP, "no %scrypto driver supports %s%s%s%s",
	    by == TDO_CRYPTO_HARDWARE ? "hardware " : "", enc ? enc->name : "",
	    enc && auth ? " with " : "", auth ? auth->name : "", why);
}

int
tdo_esp_check(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_alg *enc, *auth;
	int r = tdo_spi_check(e, p, err);

	if (r)
		return r;
	tdo_sa_algs(p, &enc, &auth);
	if (p->ealg == 0)
		return tdo_refuse(
		    e, err, -EINVAL, "ESP needs an encryption algorithm; \"null\" is one");
	if (enc == NULL)
		return tdo_refuse(e, err, -EINVAL, "unknown encryption algorithm %u", p->ealg);
	if (p->aalg != 0 && auth == NULL)
		return tdo_refuse(e, err, -EINVAL, "unknown authentication algorithm %u", p->aalg);
	if (auth && auth->ah_only)
		return tdo_refuse(e, err, -EINVAL,
		    "%s is for AH; in ESP it is called aes-gmac, an encryption algorithm",
		    auth->name);
	if (auth && enc->kind == TDO_ALG_AEAD)
		return tdo_refuse(e, err, -EINVAL,
		    "%s authenticates by itself; it takes no authentication algorithm", enc->name);
	r = check_format(e, p, enc, auth, err);
	if (r == 0)
		r = tdo_key_check(e, enc, p->ekey, p->ekey_bits, err);
	if (r == 0 && auth)
		r = tdo_key_check(e, auth, p->akey, p->akey_bits, err);
	if (r)
		return r;
	return tdo_driver_check(e, enc, auth, err);
}

int
tdo_sa_validate(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	int r = check_name(e, &p->key, err);

	if (r == 0)
		r = check_built(e, p, err);
	if (r == 0)
		r = check_flags(e, p, err);
	if (r == 0)
		r = tdo_protocol_of(p->key.satype)->check(e, p, err);
	if (r == 0)
		r = check_sel(e, p, err);
	if (r == 0)
		r = tdo_encap_check(e, p, err);
	return r;
}

/* ---- RFC 8221 ----------------------------------------------------------------------- */

static int
check_level(struct tdo_engine *e, const char *what, uint8_t level, uint8_t af, struct tdo_err *err)
{
	int32_t knob = tdo_knob(e, TDO_KNOB_WEAK_ALGS, af);

	if (level < TDO_LEVEL_SHOULD_NOT || knob == 2 ||
	    (level == TDO_LEVEL_SHOULD_NOT && knob == 1))
		return 0;
	return tdo_refuse(e, err, -EINVAL, "%s is refused: RFC 8221 says %s, and %s is %d", what,
	    level == TDO_LEVEL_MUST_NOT ? "MUST NOT" : "SHOULD NOT",
	    tdo_knob_info(TDO_KNOB_WEAK_ALGS)->name4, (int)knob);
}

int
tdo_sa_check_levels(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err)
{
	const struct tdo_alg *enc, *auth;
	uint8_t af = p->key.dst.af;
	int r = 0;

	tdo_sa_algs(p, &enc, &auth);
	if (enc)
		r = check_level(e, enc->name, enc->level, af, err);
	if (r == 0 && auth)
		return check_level(
		    e, auth->no_auth ? "no authentication" : auth->name, auth->level, af, err);
	/* RFC 8221 6: authentication NONE only beside an AEAD. */
	if (r == 0 && enc && !authenticates(enc, auth))
		return check_level(e, "no authentication", TDO_LEVEL_MUST_NOT, af, err);
	return r;
}
