/* SPDX-License-Identifier: BSD-2-Clause */
/* Algorithms towards key managers: the lists of REGISTER, the proposal of ACQUIRE. */
#include "pfkey/endpoint.h"
#include "testudo/comp.h"

enum {
	ALGS_MAX = 64,   /* of one list */
	COMBS_MAX = 128, /* of one proposal */
	REPLAY = 4,      /* proposed window in units of 8 packets */
};

static bool
listed(const struct tdo_crypto *crypto, const struct tdo_alg *a, bool auth, uint8_t satype)
{
	if ((a->kind == TDO_ALG_AUTH) != auth || (a->ah_only && satype == TDO_SATYPE_ESP))
		return false;
	return auth ? tdo_crypto_supports(crypto, NULL, a) : tdo_crypto_supports(crypto, a, NULL);
}

static void
put_list(struct tdo_wr *w, const struct tdo_crypto *crypto, enum tdo_sadb_ext_type ext, bool auth,
    uint8_t satype)
{
	struct tdo_sadb_alg list[ALGS_MAX];
	const struct tdo_alg *a;
	unsigned n = 0;

	for (unsigned i = 0; n < ALGS_MAX && (a = tdo_alg_at(i)) != NULL; i++)
		if (listed(crypto, a, auth, satype))
			list[n++] = (struct tdo_sadb_alg){.id = a->pfkey,
			    .ivlen = a->iv_len,
			    .minbits = a->key_min,
			    .maxbits = a->key_max};
	if (n > 0)
		tdo_sadb_put_supported(w, ext, list, n);
}

/*
 * RFC 2367 3.1.7; AH has no encryption.  For compression there is no list; libipsec keeps one
 * list of each kind, so one of IPComp would take the place of ESP's.
 */
void
tdo_pfkey_put_supported(struct tdo_wr *w, const struct tdo_crypto *crypto, uint8_t satype)
{
	if (satype != TDO_SATYPE_IPCOMP)
		put_list(w, crypto, TDO_SADB_EXT_SUPPORTED_AUTH, true, satype);
	if (satype == TDO_SATYPE_ESP || satype == TDO_SATYPE_UNSPEC)
		put_list(w, crypto, TDO_SADB_EXT_SUPPORTED_ENCRYPT, false, satype);
}

/* ---- proposals ---------------------------------------------------------------------- */

/* What is proposed, by the knobs (spec 4.3). */
struct limits {
	const struct tdo_crypto *crypto;
	unsigned esp_keymin, ah_keymin;
};

/* The shortest legal key of at least want bits beside the salt; 0: there is none. */
static uint16_t
least_key(const struct tdo_alg *a, unsigned want)
{
	unsigned bits = a->key_min, salt = a->salt_len * 8u;

	while (bits < want + salt && a->key_step != 0 && bits < a->key_max)
		bits += a->key_step;
	return bits < want + salt || bits > a->key_max ? 0 : (uint16_t)bits;
}

/*
 * One combination.  Lifetimes as BSD proposes them: 24 h since creation, 8 h since first
 * use, soft 80 % of these (D16).
 */
static struct tdo_sadb_comb
comb(const struct limits *l, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	struct tdo_sadb_comb c = {
	    .hard = {.addtime = 86400, .usetime = 28800},
	    .soft = {.addtime = 86400 * 8 / 10, .usetime = 28800 * 8 / 10},
	};

	if (enc) {
		c.encrypt = enc->pfkey;
		c.encrypt_minbits = least_key(enc, l->esp_keymin);
		c.encrypt_maxbits = enc->key_max;
	}
	if (auth) {
		c.auth = auth->pfkey;
		c.auth_minbits = least_key(auth, l->ah_keymin);
		c.auth_maxbits = auth->key_max;
	}
	return c;
}

/* Proposed is what RFC 8221 recommends; nothing that does not encrypt. */
static bool
recommended(const struct tdo_alg *a)
{
	return a->level <= TDO_LEVEL_SHOULD && !a->clear && !a->no_auth;
}

static bool
proposable(const struct limits *l, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	if (enc && (!recommended(enc) || least_key(enc, l->esp_keymin) == 0))
		return false;
	if (auth && (!recommended(auth) || least_key(auth, l->ah_keymin) == 0))
		return false;
	return tdo_crypto_supports(l->crypto, enc, auth);
}

/* All pairs of a cipher with each authentication algorithm (enc NULL: AH). */
static unsigned
add_pairs(const struct limits *l, const struct tdo_alg *enc, struct tdo_sadb_comb *list, unsigned n)
{
	const struct tdo_alg *auth;

	for (unsigned i = 0; n < COMBS_MAX && (auth = tdo_alg_at(i)) != NULL; i++)
		if (auth->kind == TDO_ALG_AUTH && proposable(l, enc, auth))
			list[n++] = comb(l, enc, auth);
	return n;
}

/*
 * RFC 2367 2.3.7: in order of preference.  A cipher without authentication must not be used
 * (RFC 8221 4), so without esp_auth there are only combined algorithms.
 */
static unsigned
add_esp(const struct limits *l, bool pairs, struct tdo_sadb_comb *list)
{
	const struct tdo_alg *enc;
	unsigned n = 0;

	for (unsigned i = 0; n < COMBS_MAX && (enc = tdo_alg_at(i)) != NULL; i++)
		if (enc->kind == TDO_ALG_AEAD && proposable(l, enc, NULL))
			list[n++] = comb(l, enc, NULL);
	for (unsigned i = 0; pairs && (enc = tdo_alg_at(i)) != NULL; i++)
		if (enc->kind == TDO_ALG_ENC)
			n = add_pairs(l, enc, list, n);
	return n;
}

/* A compression algorithm stands where others have the cipher, as in the SA extension. */
static unsigned
add_ipcomp(const struct limits *l, struct tdo_sadb_comb *list)
{
	const struct tdo_comp_alg *a;
	unsigned n = 0;

	for (unsigned i = 0; n < COMBS_MAX && (a = tdo_comp_alg_at(i)) != NULL; i++) {
		if (a->not_there)
			continue;
		list[n] = comb(l, NULL, NULL);
		list[n++].encrypt = a->pfkey;
	}
	return n;
}

void
tdo_pfkey_put_proposal(struct tdo_wr *w, struct tdo_engine *e, uint8_t satype)
{
	struct tdo_sadb_comb list[COMBS_MAX];
	struct limits l = {.crypto = tdo_engine_crypto(e),
	    .esp_keymin = (unsigned)tdo_knob_get(e, TDO_KNOB_ESP_KEYMIN, TDO_AF_INET),
	    .ah_keymin = (unsigned)tdo_knob_get(e, TDO_KNOB_AH_KEYMIN, TDO_AF_INET)};
	unsigned n = 0;

	if (satype == TDO_SATYPE_AH)
		n = add_pairs(&l, NULL, list, n);
	else if (satype == TDO_SATYPE_ESP)
		n = add_esp(&l, tdo_knob_get(e, TDO_KNOB_ESP_AUTH, TDO_AF_INET) != 0, list);
	else if (satype == TDO_SATYPE_IPCOMP)
		n = add_ipcomp(&l, list);
	tdo_sadb_put_proposal(w, REPLAY, list, n);
}
