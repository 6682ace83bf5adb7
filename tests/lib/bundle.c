/* SPDX-License-Identifier: BSD-2-Clause */
#include "bundle.h"

#include <stdarg.h>

#define IPCOMP_CPI 0x1000u

const char *const bundle_inner[2][2] = {
    {"10.1.0.1", "10.2.0.1"}, {"2001:db8:1::1", "2001:db8:2::1"}};
const char *const bundle_outer[BUNDLE_MAX][2][2] = {
    {{"192.0.2.11", "192.0.2.12"}, {"2001:db8:f::11", "2001:db8:f::12"}},
    {{"192.0.2.21", "192.0.2.22"}, {"2001:db8:f::21", "2001:db8:f::22"}},
    {{"192.0.2.31", "192.0.2.32"}, {"2001:db8:f::31", "2001:db8:f::32"}},
    {{"192.0.2.41", "192.0.2.42"}, {"2001:db8:f::41", "2001:db8:f::42"}},
    {{"192.0.2.51", "192.0.2.52"}, {"2001:db8:f::51", "2001:db8:f::52"}},
    {{"192.0.2.61", "192.0.2.62"}, {"2001:db8:f::61", "2001:db8:f::62"}},
    {{"192.0.2.71", "192.0.2.72"}, {"2001:db8:f::71", "2001:db8:f::72"}},
    {{"192.0.2.81", "192.0.2.82"}, {"2001:db8:f::81", "2001:db8:f::82"}}};
const char *const bundle_receiver[] = {"10.2.0.1", "2001:db8:2::1", "192.0.2.12", "2001:db8:f::12",
    "192.0.2.22", "2001:db8:f::22", "192.0.2.32", "2001:db8:f::32", "192.0.2.42", "2001:db8:f::42",
    "192.0.2.52", "2001:db8:f::52", "192.0.2.62", "2001:db8:f::62", "192.0.2.72", "2001:db8:f::72",
    "192.0.2.82", "2001:db8:f::82", NULL};

static const char *const names[BUNDLE_PROTOS] = {"esp", "ah", "ipcomp"};

/* ---- algorithms ---- */

static void
add(struct suites *s, const struct suite *one)
{
	if (s->n == SUITES_MAX)
		abort();
	s->v[s->n++] = *one;
}

/* All key lengths of the MAC, or none. */
static void
add_macs(struct suites *s, struct suite one)
{
	unsigned step = one.auth && one.auth->key_step ? one.auth->key_step : UINT16_MAX;
	unsigned max = one.auth ? one.auth->key_max : 0;

	for (unsigned k = one.auth ? one.auth->key_min : 0; k <= max; k += step) {
		one.akey_bits = (uint16_t)k;
		add(s, &one);
	}
}

/* All key lengths of the cipher; with a MAC, of the ciphers that have dozens only the ends. */
static void
add_pair(struct suites *s, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	unsigned step = enc->key_step ? enc->key_step : UINT16_MAX;

	if (auth && enc->key_step == 8)
		step = enc->key_max - enc->key_min;
	for (unsigned k = enc->key_min; k <= enc->key_max; k += step)
		add_macs(s, (struct suite){enc, auth, (uint16_t)k, 0});
}

void
suites_esp(struct suites *s, const struct tdo_crypto *c)
{
	const struct tdo_alg *enc, *auth;

	s->n = 0;
	for (unsigned i = 0; (enc = tdo_alg_at(i)); i++) {
		if (enc->kind == TDO_ALG_AUTH)
			continue;
		if (tdo_crypto_supports(c, enc, NULL))
			add_pair(s, enc, NULL);
		for (unsigned k = 0; enc->kind == TDO_ALG_ENC && (auth = tdo_alg_at(k)); k++)
			if (auth->kind == TDO_ALG_AUTH && tdo_crypto_supports(c, enc, auth))
				add_pair(s, enc, auth);
	}
}

void
suites_ah(struct suites *s, const struct tdo_crypto *c)
{
	const struct tdo_alg *auth;

	s->n = 0;
	for (unsigned k = 0; (auth = tdo_alg_at(k)); k++)
		if (auth->kind == TDO_ALG_AUTH && tdo_crypto_supports(c, NULL, auth))
			add_macs(s, (struct suite){.auth = auth});
}

void
suites_ipcomp(struct suites *s)
{
	s->n = 1;
	s->v[0] = (struct suite){0};
}

/* ---- bundles ---- */

bool
layer_integrity(const struct layer *l)
{
	const struct suite *s = l->suite;

	if (l->proto == BUNDLE_IPCOMP)
		return false;
	return s->auth ? !s->auth->no_auth : s->enc->kind == TDO_ALG_AEAD;
}

bool
layer_esn(const struct layer *l)
{
	return l->esn && layer_integrity(l);
}

uint8_t
bundle_family(const struct bundle *b)
{
	for (unsigned i = b->n; i-- > 0;)
		if (b->layer[i].tunnel != TDO_AF_NONE)
			return b->layer[i].tunnel;
	return b->af;
}

bool
bundle_separable(const struct bundle *b, unsigned layer)
{
	if (b->layer[layer].tunnel == TDO_AF_NONE)
		return true;
	/* Those in transport mode that stand on the tunnel have its addresses. */
	return layer + 1 == b->n || b->layer[layer + 1].tunnel != TDO_AF_NONE;
}

/* ---- statements ---- */

struct text {
	char *at;
	size_t left;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(t->at, t->left, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= t->left)
		abort();
	t->at += n;
	t->left -= (size_t)n;
}

/* Other keys for each layer; odd parity for DES does not matter. */
static void
put_key(struct text *t, unsigned bits, unsigned seed)
{
	if (bits == 0)
		return;
	put(t, " 0x");
	for (unsigned i = 0; i < bits / 8; i++)
		put(t, "%02x", (17 * seed + 7 * i + 1) & 0xff);
}

static void
put_sa(struct text *t, const struct layer *l, unsigned i, const char *const *ends)
{
	const struct suite *s = l->suite;

	put(t, "add %s %s %s %u -m %s -u %u", ends[0], ends[1], names[l->proto], HOST_SPI + i,
	    l->tunnel != TDO_AF_NONE ? "tunnel" : "transport", i + 1);
	if (l->proto == BUNDLE_IPCOMP) {
		put(t, " -C deflate%s;\n", l->raw ? " -R" : "");
		return;
	}
	put(t, " -r %u%s", layer_integrity(l) ? 8 : 0, layer_esn(l) ? " -esn" : "");
	if (s->enc) {
		put(t, " -E %s", s->enc->name);
		put_key(t, s->ekey_bits, 2 * i);
	}
	if (s->auth) {
		put(t, " -A %s", s->auth->name);
		put_key(t, s->akey_bits, 2 * i + 1);
	}
	put(t, ";\n");
}

unsigned
bundle_count(const struct bundle *b, enum bundle_proto proto)
{
	unsigned n = 0;

	for (unsigned i = 0; i < b->n; i++)
		n += b->layer[i].proto == proto;
	return n;
}

void
bundle_setkey(const struct bundle *b, uint8_t dir, uint32_t without, char *ret_text, size_t cap)
{
	struct text t = {ret_text, cap};
	const char *const *in = bundle_inner[b->af == TDO_AF_INET6], *const *ends = in;
	char requests[1024];
	struct text r = {requests, sizeof(requests)};

	for (unsigned i = 0; i < b->n; i++) {
		const struct layer *l = &b->layer[i];
		bool tunnel = l->tunnel != TDO_AF_NONE;

		if (i == without)
			continue;
		if (tunnel)
			ends = bundle_outer[i][l->tunnel == TDO_AF_INET6];
		put_sa(&t, l, i, ends);
		put(&r, " %s/%s/%s%s%s/", names[l->proto], tunnel ? "tunnel" : "transport",
		    tunnel ? ends[0] : "", tunnel ? "-" : "", tunnel ? ends[1] : "");
		/* Of two SAs that would do, a number names the one. */
		if (bundle_count(b, l->proto) > 1)
			put(&r, "unique:%u", i + 1);
		else
			put(&r, "require");
	}
	put(&t, "spdadd %s %s any -P %s ipsec%s;\n", in[0], in[1], dir == TDO_DIR_IN ? "in" : "out",
	    requests);
}
