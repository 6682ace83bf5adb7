/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random statements, and every way round: text, message, parameters; canonical text and
 * again; database entry, dump, and the statement that the dump describes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "rng.h"
#include "setkey/algname.h"
#include "setkey/dump.h"
#include "setkey/option.h"
#include "setkey/parse.h"
#include "setkey/request.h"

#define TEXT_MAX 16384

static struct rng rng;

static unsigned
below(unsigned n)
{
	return rng_below(&rng, n);
}

static bool
chance(unsigned one_in)
{
	return below(one_in) == 0;
}

/* Text that grows. */
struct text {
	char s[TEXT_MAX];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void
put(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(t->s + t->len, sizeof(t->s) - t->len, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(t->s) - t->len)
		abort();
	t->len += (size_t)n;
}

/* What may stand between two words. */
static void
gap(struct text *t)
{
	static const char *const gaps[] = {" ", "  ", "\t", "\n", " # and so on; \"\n"};

	put(t, "%s", gaps[chance(4) ? below(5) : 0]);
}

/* ---- random parts ----------------------------------------------------------------------- */

static struct tdo_addr
random_addr(uint8_t af)
{
	struct tdo_addr a = {.af = af};

	rng_fill(&rng, a.b, tdo_af_len(af));
	if (af == TDO_AF_INET6 && chance(2))
		memset(a.b + 2, 0, 12); /* "::" in the middle */
	return a;
}

static uint8_t
random_af(void)
{
	return chance(2) ? TDO_AF_INET : TDO_AF_INET6;
}

static struct tdo_range
random_range(unsigned max)
{
	unsigned a = below(max + 1), b = below(max + 1);

	switch (below(4)) {
	case 0:
		return TDO_RANGE_ANY;
	case 1:
		return (struct tdo_range){(uint16_t)a, (uint16_t)a};
	case 2:
		return (struct tdo_range){0, (uint16_t)(chance(2) ? 0 : b)};
	default:
		return (struct tdo_range){(uint16_t)(a < b ? a : b), (uint16_t)(a < b ? b : a)};
	}
}

static struct tdo_sel
random_sel(void)
{
	static const uint8_t protos[] = {1, 4, 6, 17, 47, 58, 132, 135, 136, 255, 99};
	uint8_t af = random_af();
	unsigned bits = tdo_af_bits(af);
	struct tdo_sel s = {.src_plen = (uint8_t)(chance(2) ? bits : below(bits + 1)),
	    .dst_plen = (uint8_t)(chance(2) ? bits : below(bits + 1)),
	    .proto = protos[below(sizeof(protos))],
	    .sport = TDO_RANGE_ANY,
	    .dport = TDO_RANGE_ANY};
	struct tdo_addr a = random_addr(af), b = random_addr(af);

	s.src = tdo_addr_mask(&a, s.src_plen);
	s.dst = tdo_addr_mask(&b, s.dst_plen);
	if (s.proto == STMT_PROTO_GRE) {
		uint32_t key = chance(2) ? below(100000) : (uint32_t)rng_next(&rng);

		if (key != 0 && !chance(4)) {
			s.sport.lo = s.sport.hi = (uint16_t)(key >> 16);
			s.dport.lo = s.dport.hi = (uint16_t)key;
		}
		return s;
	}
	s.sport = random_range(tdo_stmt_proto_has_type(s.proto) ? 255 : 65535);
	s.dport = random_range(tdo_stmt_proto_has_type(s.proto) ? 255 : 65535);
	return s;
}

static struct stmt_opt
random_opt(bool sa)
{
	struct stmt_opt o = {0};

	if (chance(3))
		o.tunnel.ecn = (uint8_t)below(6);
	if (chance(3))
		o.tunnel.df = (uint8_t)below(4);
	if (chance(3))
		o.tunnel.dscp = (uint8_t)(chance(4) ? TDO_OPT_DSCP_COPY : below(65));
	if (chance(3))
		o.tunnel.hop_limit = (uint8_t)below(256);
	if (chance(3))
		o.tunnel.flow_label = (uint8_t)below(4);
	if (sa) {
		o.adaptive = chance(3);
		o.align = (uint8_t)(chance(3) ? 4 + 4 * below(2) : 0);
		o.cpu = (uint16_t)(chance(3) ? below(65536) : 0);
	} else {
		o.hold = chance(3);
		o.pfp = (uint8_t)(chance(3) ? below(TDO_PFP_ALL + 1) : 0);
	}
	return o;
}

/* ---- writing statements ----------------------------------------------------------------- */

static void
put_addr(struct text *t, const struct tdo_addr *a)
{
	char buf[TDO_ADDR_STRLEN];

	put(t, "%s", tdo_addr_str(a, buf));
}

static void
put_end(struct text *t, const struct tdo_addr *a, unsigned plen, const struct tdo_range *port)
{
	put_addr(t, a);
	if (plen != tdo_af_bits(a->af) || chance(4))
		put(t, "/%u", plen);
	if (!port || (tdo_stmt_range_any(port) && chance(2)))
		return;
	if (tdo_stmt_range_any(port))
		put(t, "%s", chance(2) ? "[any]" : "[0]");
	else if (port->lo == port->hi && port->lo != 0 && chance(2))
		put(t, "[%u]", port->lo);
	else
		put(t, "[%u-%u]", port->lo, port->hi);
}

static void
put_value(struct text *t, const char *word, const struct tdo_range *r)
{
	gap(t);
	put(t, "%s", word);
	gap(t);
	if (tdo_stmt_range_any(r))
		put(t, "any");
	else if (r->lo == r->hi && chance(2))
		put(t, "%u", r->lo);
	else
		put(t, "%u-%u", r->lo, r->hi);
}

static void
put_sel(struct text *t, const struct tdo_sel *s)
{
	bool type = tdo_stmt_proto_has_type(s->proto), gre = s->proto == STMT_PROTO_GRE;

	gap(t);
	put_end(t, &s->src, s->src_plen, type || gre ? NULL : &s->sport);
	gap(t);
	put_end(t, &s->dst, s->dst_plen, type || gre ? NULL : &s->dport);
	gap(t);
	put(t, "%u", s->proto);
	if (gre && !tdo_stmt_range_any(&s->sport))
		put(t, " %" PRIu32, (uint32_t)s->sport.lo << 16 | s->dport.lo);
	if (!type || (tdo_stmt_range_any(&s->sport) && tdo_stmt_range_any(&s->dport)))
		return;
	put_value(t, "type", &s->sport);
	if (!tdo_stmt_range_any(&s->dport) || chance(3))
		put_value(t, "code", &s->dport);
}

static void
put_opt(struct text *t, const struct stmt_opt *o)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	tdo_option_print(f, " -o ", o);
	fclose(f);
	put(t, "%s", text);
	free(text);
}

/* ---- parsing ---------------------------------------------------------------------------- */

/* The message of the one statement in a text, and its canonical form. */
struct result {
	uint8_t buf[8192];
	struct tdo_sadb_msg m;
	char *canonical;
};

struct input {
	const char *p;
	struct result *ret;
};

static int
read_text(void *ctx, char *buf, size_t max)
{
	struct input *in = ctx;
	size_t n = strnlen(in->p, max < 5 ? max : 5);

	memcpy(buf, in->p, n);
	in->p += n;
	return (int)n;
}

static int
take(void *ctx, const struct stmt *s)
{
	struct result *r = ((struct input *)ctx)->ret;
	struct tdo_wr w = tdo_wr_init(r->buf, sizeof(r->buf));
	size_t len;
	FILE *f = open_memstream(&r->canonical, &len);

	tdo_stmt_print(f, s);
	fclose(f);
	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = tdo_request_type(s->kind),
			       .satype = s->sa.proto ? s->sa.proto->satype : 0});
	if (s->sa.src.n > 0)
		tdo_request_put_sa(&w, s, &s->sa.src.v[0], &s->sa.dst.v[0]);
	else
		tdo_request_put_sp(&w, s);
	if (tdo_sadb_parse(r->buf, tdo_sadb_end(&w), &r->m, NULL) != 0)
		abort();
	return 0;
}

static void
fail(const char *what, const char *text)
{
	printf("not ok - %s:\n# %s\n", what, text);
	exit(1);
}

static void
parse_one(const char *text, struct result *ret)
{
	struct input in = {.p = text, .ret = ret};
	struct parse p = {.read = read_text, .take = take, .ctx = &in, .names = &tdo_names_numeric};

	ret->canonical = NULL;
	if (tdo_parse_run(&p) != 0 || !ret->canonical) {
		printf("# %u.%u: %s [%s]\n", p.error.pos.line, p.error.pos.column, p.error.text,
		    p.error.token);
		fail("does not parse", text);
	}
}

/* ---- SAs -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t satype;
	bool old;
} types[] = {{"esp", TDO_SATYPE_ESP, false}, {"esp-old", TDO_SATYPE_ESP, true},
    {"ah", TDO_SATYPE_AH, false}, {"ah-old", TDO_SATYPE_AH, true},
    {"ipcomp", TDO_SATYPE_IPCOMP, false}};

static const char *const encs[] = {"aes-cbc", "aes-ctr", "aes-gcm-16", "3des-cbc", "blowfish-cbc",
    "camellia-cbc", "chacha20-poly1305", "null", "cast128-cbc", "des-cbc", "aes-gmac", "aes-gcm-8",
    "aes-ccm-16", "aes-gcm-16-iiv", "twofish-cbc"};
static const char *const auths[] = {"hmac-sha1", "hmac-sha256", "hmac-sha384", "hmac-sha512",
    "hmac-md5", "aes-xcbc-mac", "hmac-ripemd160", "null", "aes-cmac", "keyed-md5", "keyed-sha1",
    "hmac-sha256-96", "aes-128-gmac", "aes-192-gmac", "aes-256-gmac"};

struct sa_case {
	struct tdo_sa_param p;
	const char *type, *enc, *auth;
	uint8_t ekey[64], akey[64];
	struct stmt_opt opt;
	bool update, esp_udp; /* the latter: in the language of NetBSD */
};

static uint16_t
random_port(void)
{
	return (uint16_t)(1 + below(65535));
}

/* NetBSD has one original address; an update may leave out what stays. */
static void
random_natt(struct sa_case *c)
{
	struct tdo_natt *n = &c->p.natt;
	uint8_t af = c->p.key.src.af;
	bool unsaid = c->update && chance(2);

	c->esp_udp = chance(2);
	n->type = TDO_NATT_ESPINUDP;
	n->sport = unsaid ? 0 : random_port();
	n->dport = unsaid && chance(2) ? 0 : random_port();
	n->frag = chance(3) ? random_port() : 0;
	if (!c->esp_udp || chance(2))
		n->oa_src = random_addr(af);
	if (!c->esp_udp)
		n->oa_dst = random_addr(af);
	if (c->esp_udp)
		c->type = "esp-udp";
}

static unsigned
random_key(const struct tdo_alg *a, uint8_t *key)
{
	unsigned steps = a->key_step ? (a->key_max - a->key_min) / a->key_step : 0;
	unsigned bits = a->key_min + a->key_step * below(steps + 1);

	rng_fill(&rng, key, bits / 8);
	return bits;
}

static void
random_algs(struct sa_case *c)
{
	const struct tdo_alg *e = NULL, *a = NULL;

	if (c->p.key.satype == TDO_SATYPE_IPCOMP) {
		c->p.ealg = 2;
		c->p.key.spi &= 0xffff;
		return;
	}
	if (c->p.key.satype == TDO_SATYPE_ESP) {
		c->enc = encs[below(sizeof(encs) / sizeof(encs[0]))];
		e = tdo_alg_enc_by_name(c->enc);
		c->p.ealg = e->pfkey;
		c->p.ekey_bits = (uint16_t)random_key(e, c->ekey);
	}
	if (!e || (e->kind != TDO_ALG_AEAD && chance(2))) {
		do {
			c->auth = auths[below(sizeof(auths) / sizeof(auths[0]))];
			a = tdo_algname_auth(c->auth);
		} while (c->p.key.satype == TDO_SATYPE_ESP
			     ? a->ah_only
			     : (c->p.flags & TDO_SAF_OLD) && !tdo_alg_ah_old(a->pfkey));
		c->p.aalg = a->pfkey;
		c->p.akey_bits = (uint16_t)random_key(a, c->akey);
	}
	c->p.ekey = c->ekey;
	c->p.akey = c->akey;
}

static uint32_t
random_flags(bool old)
{
	static const uint32_t pads[] = {TDO_SAF_PSEQ, TDO_SAF_PRAND, TDO_SAF_PZERO};

	return pads[below(3)] | (chance(2) ? TDO_SAF_CYCSEQ : 0) | (old ? TDO_SAF_OLD : 0) |
	       (!old && chance(3) ? TDO_SAF_ESN : 0);
}

static void
random_sa(struct sa_case *c)
{
	unsigned type = below(sizeof(types) / sizeof(types[0]));
	uint8_t af = random_af();

	*c = (struct sa_case){.type = types[type].name, .opt = random_opt(true)};
	c->update = chance(3);
	c->p = (struct tdo_sa_param){
	    .key = {.satype = types[type].satype,
		.spi = 256 + (uint32_t)rng_next(&rng) % 0xfffff000u,
		.src = random_addr(af),
		.dst = random_addr(af)},
	    .mode = (uint8_t)below(3),
	    .reqid = chance(2) ? (uint32_t)rng_next(&rng) : 0,
	    .flags = random_flags(types[type].old),
	    .replay = types[type].old ? 0 : below(600) * 8,
	    .tunnel = c->opt.tunnel,
	    .adaptive = c->opt.adaptive,
	    .cpu = c->opt.cpu,
	    .align = c->opt.align,
	    .has_sel = chance(2),
	};
	c->p.hard.addtime = chance(2) ? 1 + below(100000) : 0;
	c->p.hard.bytes = chance(3) ? 1 + (rng_next(&rng) >> below(60)) : 0;
	c->p.soft.addtime = chance(2) ? 1 + below(100000) : 0;
	c->p.soft.bytes = chance(3) ? 1 + (rng_next(&rng) >> below(60)) : 0;
	c->p.has_hard = c->p.hard.addtime || c->p.hard.bytes;
	c->p.has_soft = c->p.soft.addtime || c->p.soft.bytes;
	if (c->p.has_sel)
		c->p.sel = random_sel();
	if (c->update && chance(2)) {
		af = random_af();
		c->p.new_src = random_addr(af);
		c->p.new_dst = random_addr(af);
	}
	if (c->p.key.satype == TDO_SATYPE_ESP && !types[type].old && chance(3))
		random_natt(c);
	random_algs(c);
}

static void
put_key(struct text *t, const char *letter, const char *name, const uint8_t *key, unsigned bits)
{
	if (!name)
		return;
	put(t, " -%s %s", letter, name);
	if (bits == 0)
		return;
	put(t, " 0x");
	for (unsigned i = 0; i < bits / 8; i++)
		put(t, chance(2) ? "%02x" : "%02X", key[i]);
}

/* An address with a port. */
static void
put_natt_end(struct text *t, const struct tdo_addr *a, uint16_t port)
{
	put_addr(t, a);
	if (port != 0)
		put(t, chance(4) ? " [%u]" : "[%u]", port);
}

static void
put_extension(struct text *t, const struct sa_case *c, unsigned which)
{
	static const char *const modes[] = {"any", "transport", "tunnel"};
	const struct tdo_sa_param *p = &c->p;
	uint32_t pad = p->flags & TDO_SAF_PMASK;

	gap(t);
	if (which == 0 && (p->mode != 0 || chance(2)))
		put(t, "-m %s", modes[p->mode]);
	if (which == 1 && p->replay != 0)
		put(t, "-r %" PRIu32, p->replay / 8);
	if (which == 2 && p->reqid != 0)
		put(t, chance(2) ? "-u %" PRIu32 : "-u 0x%" PRIx32, p->reqid);
	if (which == 3)
		put(t, "-f %s",
		    pad == TDO_SAF_PZERO   ? "zero-pad"
		    : pad == TDO_SAF_PRAND ? "random-pad"
					   : "seq-pad");
	if (which == 4 && !(p->flags & TDO_SAF_CYCSEQ))
		put(t, "-f nocyclic-seq");
	if (which == 5 && (p->flags & TDO_SAF_ESN))
		put(t, "-esn");
	if (which == 6 && p->hard.addtime)
		put(t, "-lh %" PRIu64, p->hard.addtime);
	if (which == 7 && p->hard.bytes)
		put(t, "-bh %" PRIu64, p->hard.bytes);
	if (which == 8 && p->soft.addtime)
		put(t, "-ls %" PRIu64, p->soft.addtime);
	if (which == 9 && p->soft.bytes)
		put(t, "-bs %" PRIu64, p->soft.bytes);
	if (which == 10)
		put_opt(t, &c->opt);
	if (which == 11 && p->has_sel) {
		put(t, "-sel");
		put_sel(t, &p->sel);
	}
	if (which == 12 && p->new_src.af != TDO_AF_NONE) {
		put(t, "-new ");
		put_addr(t, &p->new_src);
		gap(t);
		put_addr(t, &p->new_dst);
	}
	if (which == 13 && p->natt.type != TDO_NATT_NONE && !c->esp_udp) {
		put(t, "-natt ");
		put_natt_end(t, &p->natt.oa_src, p->natt.sport);
		gap(t);
		put_natt_end(t, &p->natt.oa_dst, p->natt.dport);
	}
	if (which == 14 && p->natt.frag != 0)
		put(t, "-natt_mtu %u", p->natt.frag);
}

enum { EXTENSIONS = 16 /* a power of two: a step of 5 meets all of them */ };

static void
write_sa(struct text *t, const struct sa_case *c)
{
	unsigned first = below(EXTENSIONS);

	put(t, "%s", c->update ? "update" : "add");
	gap(t);
	put_natt_end(t, &c->p.key.src, c->esp_udp ? c->p.natt.sport : 0);
	gap(t);
	put_natt_end(t, &c->p.key.dst, c->esp_udp ? c->p.natt.dport : 0);
	gap(t);
	put(t, "%s", c->type);
	gap(t);
	if (c->esp_udp && c->p.natt.oa_src.af != TDO_AF_NONE) {
		put_addr(t, &c->p.natt.oa_src);
		gap(t);
	}
	put(t, chance(2) ? "%" PRIu32 : "0x%" PRIx32, c->p.key.spi);
	for (unsigned i = 0; i < EXTENSIONS; i++)
		put_extension(t, c, (first + i * 5) % EXTENSIONS);
	put_key(t, "E", c->enc, c->ekey, c->p.ekey_bits);
	put_key(t, "A", c->auth, c->akey, c->p.akey_bits);
	if (c->p.key.satype == TDO_SATYPE_IPCOMP)
		put(t, " -C deflate");
	put(t, ";");
}

static bool
same_sel(const struct tdo_sel *a, const struct tdo_sel *b)
{
	return tdo_addr_equal(&a->src, &b->src) && tdo_addr_equal(&a->dst, &b->dst) &&
	       a->src_plen == b->src_plen && a->dst_plen == b->dst_plen && a->proto == b->proto &&
	       a->sport.lo == b->sport.lo && a->sport.hi == b->sport.hi &&
	       a->dport.lo == b->dport.lo && a->dport.hi == b->dport.hi;
}

static bool
same_lifetime(const struct tdo_lifetime *a, const struct tdo_lifetime *b)
{
	return a->bytes == b->bytes && a->addtime == b->addtime;
}

static bool
same_key(const uint8_t *a, unsigned a_bits, const uint8_t *b, unsigned b_bits)
{
	return a_bits == b_bits && (a_bits == 0 || memcmp(a, b, a_bits / 8) == 0);
}

/* The name of the field that differs, or NULL. */
static const char *
sa_differs(const struct tdo_sa_param *a, const struct tdo_sa_param *b)
{
	if (a->key.satype != b->key.satype || a->key.spi != b->key.spi ||
	    !tdo_addr_equal(&a->key.src, &b->key.src) || !tdo_addr_equal(&a->key.dst, &b->key.dst))
		return "key";
	if (a->mode != b->mode || a->reqid != b->reqid || a->flags != b->flags)
		return "mode, reqid or flags";
	if (a->replay != b->replay)
		return "replay";
	if (a->ealg != b->ealg || a->aalg != b->aalg)
		return "algorithm";
	if (!same_key(a->ekey, a->ekey_bits, b->ekey, b->ekey_bits) ||
	    !same_key(a->akey, a->akey_bits, b->akey, b->akey_bits))
		return "keys";
	if (a->has_hard != b->has_hard || a->has_soft != b->has_soft ||
	    !same_lifetime(&a->hard, &b->hard) || !same_lifetime(&a->soft, &b->soft))
		return "lifetimes";
	if (memcmp(&a->tunnel, &b->tunnel, sizeof(a->tunnel)) != 0 || a->adaptive != b->adaptive ||
	    a->cpu != b->cpu || a->align != b->align)
		return "settings";
	if (a->natt.type != b->natt.type || a->natt.sport != b->natt.sport ||
	    a->natt.dport != b->natt.dport || a->natt.frag != b->natt.frag ||
	    !tdo_addr_equal(&a->natt.oa_src, &b->natt.oa_src) ||
	    !tdo_addr_equal(&a->natt.oa_dst, &b->natt.oa_dst))
		return "UDP encapsulation";
	if (a->has_sel != b->has_sel || (a->has_sel && !same_sel(&a->sel, &b->sel)))
		return "selectors";
	return NULL;
}

/* ---- dumps as statements ---------------------------------------------------------------- */

/* The rest of the line behind the first occurrence of word, or NULL. */
static const char *
after(const char *text, const char *word)
{
	const char *p = strstr(text, word);

	return p ? p + strlen(word) : NULL;
}

static void
copy_word(struct text *t, const char *p)
{
	put(t, " %.*s", (int)strcspn(p, " \t\n("), p);
}

/* Copies the key of a line "\tE: name  groups", which may go on in the next line. */
static void
copy_alg(struct text *t, const char *dump, const char *line, const char *letter)
{
	const char *p = after(dump, line);
	bool any = false;

	if (!p)
		return;
	put(t, " -%s", letter);
	copy_word(t, p);
	p += strcspn(p, " ");
	for (; *p && !(p[0] == '\n' && p[1] != ' '); p++)
		if (*p != ' ' && *p != '\n') {
			put(t, "%s%c", any ? "" : " 0x", *p);
			any = true;
		}
}

/* Number k of the "hard:" and "soft:" that follow each other, line by line. */
static void
copy_limit(struct text *t, const char *dump, const char *start, const char *word, const char *opt)
{
	const char *p = after(dump, start);

	p = p ? after(p, word) : NULL;
	if (!p)
		abort();
	if (*p == '0')
		return;
	put(t, " %s", opt);
	copy_word(t, p);
}

/* A line "\toptions: a b" as "-o a -o b". */
static void
copy_options(struct text *t, const char *dump)
{
	const char *p = after(dump, "\toptions:");

	while (p && *p == ' ') {
		put(t, " -o");
		copy_word(t, p + 1);
		p += 1 + strcspn(p + 1, " \n");
	}
}

/* Addresses and type; with both original addresses in the language of FreeBSD. */
static void
natt_from_dump(struct text *t, const char *dump)
{
	const char *oa = after(dump, "NAT OA="), *oar = after(dump, "NAT OAR=");
	const char *src = dump, *dst = dump + strcspn(dump, " ") + 1;
	const char *sport = src + strcspn(src, "["), *dport = dst + strcspn(dst, "[");

	if (!oar) {
		put(t, "add %.*s esp-udp", (int)strcspn(dump, "\n"), dump);
		if (oa)
			copy_word(t, oa);
		copy_word(t, after(dump, " spi="));
		return;
	}
	put(t, "add %.*s %.*s esp", (int)(sport - src), src, (int)(dport - dst), dst);
	copy_word(t, after(dump, " spi="));
	put(t, " -natt");
	copy_word(t, oa);
	copy_word(t, sport);
	copy_word(t, oar);
	copy_word(t, dport);
}

static void
sa_from_dump(struct text *t, const char *dump)
{
	uint32_t flags = (uint32_t)strtoul(after(dump, "flags="), NULL, 16);
	const char *p = after(dump, "\n\t"), *sel = after(dump, "\tselectors:");

	if (strncmp(p, "esp-udp", 7) == 0) {
		natt_from_dump(t, dump);
	} else {
		put(t, "add %.*s", (int)strcspn(dump, "\n"), dump);
		put(t, "%.*s%s", (int)strcspn(p, " "), p, flags & TDO_SAF_OLD ? "-old" : "");
		copy_word(t, after(p, " spi="));
	}
	if (after(dump, "NAT-T fragment=")) {
		put(t, " -natt_mtu");
		copy_word(t, after(dump, "NAT-T fragment="));
	}
	put(t, " -m");
	copy_word(t, after(p, " mode="));
	put(t, " -u");
	copy_word(t, after(p, " reqid="));
	put(t, " -r");
	copy_word(t, after(p, " replay="));
	if ((flags & TDO_SAF_PMASK) != TDO_SAF_PSEQ)
		put(t, " -f %s", flags & TDO_SAF_PZERO ? "zero-pad" : "random-pad");
	put(t, "%s%s", flags & TDO_SAF_CYCSEQ ? "" : " -f nocyclic-seq",
	    flags & TDO_SAF_ESN ? " -esn" : "");
	copy_limit(t, dump, "\tdiff: ", "hard: ", "-lh");
	copy_limit(t, dump, "\tdiff: ", "soft: ", "-ls");
	copy_limit(t, dump, "(bytes)", "hard: ", "-bh");
	copy_limit(t, dump, "(bytes)", "soft: ", "-bs");
	copy_options(t, dump);
	if (sel)
		put(t, " -sel%.*s", (int)strcspn(sel, "\n"), sel);
	copy_alg(t, dump, "\tE: ", "E");
	copy_alg(t, dump, "\tA: ", "A");
	if (after(dump, "\tC: "))
		put(t, " -C deflate");
	put(t, ";");
}

/* "8,any" as "type 8 code any"; a key of GRE as it is. */
static void
copy_upper(struct text *t, const char *p)
{
	const char *end = p + strcspn(p, "\n"), *blank;
	unsigned proto = (unsigned)strtoul(p, NULL, 10);

	put(t, " %u", proto);
	blank = memchr(p, ' ', (size_t)(end - p));
	if (!blank)
		return;
	if (!tdo_stmt_proto_has_type(proto)) {
		copy_word(t, blank + 1);
		return;
	}
	put(t, " type %.*s", (int)strcspn(blank + 1, ","), blank + 1);
	put(t, " code");
	copy_word(t, after(blank, ","));
}

static void
sp_from_dump(struct text *t, const char *dump)
{
	const char *second = dump + strcspn(dump, " ") + 1, *third, *end;

	third = second + strcspn(second, " ") + 1;
	put(t, "spdadd %.*s", (int)(third - dump), dump);
	copy_upper(t, third);
	copy_options(t, dump);
	end = strstr(dump, "\n\tcreated:");
	dump += strcspn(dump, "\n") + 1;
	put(t, " -P %.*s;", (int)(end - dump), dump);
}

/* ---- the ways round --------------------------------------------------------------------- */

static void
check_canonical(const struct result *r, const char *text)
{
	struct result again;

	parse_one(r->canonical, &again);
	if (strcmp(r->canonical, again.canonical) != 0)
		fail("canonical text changes", text);
	free(again.canonical);
}

static void
dump_entry(const struct tdo_sadb_msg *m, struct text *ret)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (m->base.type == TDO_SADB_X_SPDDUMP)
		tdo_dump_sp(f, m, &tdo_names_numeric);
	else
		tdo_dump_sa(f, m, 1799571642, false);
	fclose(f);
	put(ret, "%s", text);
	free(text);
}

static void
sa_through_dump(const struct tdo_sa_param *p)
{
	static struct tdo_sa_info info;
	struct text dump = {.len = 0}, text = {.len = 0};
	struct tdo_sa_param back;
	struct tdo_sadb_msg m;
	struct result r;
	uint8_t buf[8192];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	const char *differs;

	info = (struct tdo_sa_info){.param = *p, .current = {5, 420, 1799571600, 0}, .refcnt = 1};
	info.param.state = TDO_SA_MATURE;
	info.window = p->replay + 64;
	info.late.accepted[below(TDO_LATE_BINS)] = below(9);
	info.late.dropped[below(TDO_LATE_BINS)] = below(9);
	tdo_sadb_begin(
	    &w, &(struct tdo_sadb_base){
		    .type = TDO_SADB_DUMP, .satype = p->key.satype, .reserved = 1, .pid = 4711});
	tdo_sadb_put_sa_info(&w, &info, true);
	if (tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL) != 0)
		abort();
	dump_entry(&m, &dump);
	sa_from_dump(&text, dump.s);
	parse_one(text.s, &r);
	if (tdo_sadb_get_sa_param(&r.m, &back, NULL) != 0)
		abort();
	differs = sa_differs(p, &back);
	if (differs) {
		printf("%s\n%s\n", dump.s, differs);
		fail("the dump says something else", text.s);
	}
	free(r.canonical);
}

static void
sa_round(void)
{
	struct text text = {.len = 0};
	struct tdo_sa_param back;
	struct sa_case c;
	struct result r;
	const char *differs;

	random_sa(&c);
	write_sa(&text, &c);
	parse_one(text.s, &r);
	if (tdo_sadb_get_sa_param(&r.m, &back, NULL) != 0)
		abort();
	differs = sa_differs(&c.p, &back);
	if (differs)
		fail(differs, text.s);
	if (!tdo_addr_equal(&c.p.new_src, &back.new_src) ||
	    !tdo_addr_equal(&c.p.new_dst, &back.new_dst))
		fail("new addresses", text.s);
	check_canonical(&r, text.s);
	/* Every SA in UDP has ports, also those that an update left out. */
	if (c.p.natt.sport == 0)
		c.p.natt.sport = c.p.natt.type ? 4500 : 0;
	if (c.p.natt.dport == 0)
		c.p.natt.dport = c.p.natt.type ? 4500 : 0;
	sa_through_dump(&c.p);
	free(r.canonical);
}

static struct tdo_req
random_req(void)
{
	static const uint8_t protos[] = {50, 51, 108};
	struct tdo_req q = {
	    .proto = protos[below(3)], .mode = (uint8_t)(1 + below(2)), .level = (uint8_t)below(4)};
	uint8_t af = random_af();

	if (q.mode == TDO_MODE_TUNNEL || chance(3)) {
		q.src = random_addr(af);
		q.dst = random_addr(af);
		q.sport = chance(4) ? random_port() : 0;
		q.dport = chance(4) ? random_port() : 0;
	}
	/* Those between are replaced by numbers that the daemon picks. */
	if (q.level == TDO_LEVEL_UNIQUE && chance(2))
		q.reqid = chance(2) ? 1 + below(TDO_REQID_MANUAL_MAX)
				    : 65536 + (uint32_t)rng_next(&rng) % 0xffff0000u;
	return q;
}

static struct tdo_sp_param
random_sp(const struct stmt_opt *o)
{
	struct tdo_sp_param p = {.dir = (uint8_t)(1 + below(2)),
	    .type = (uint8_t)below(3),
	    .sel = random_sel(),
	    .prio = chance(2) ? TDO_PRIO_DEFAULT : 1 + (uint32_t)rng_next(&rng) % 0xfffffffeu,
	    .tunnel = o->tunnel,
	    .hold = o->hold,
	    .pfp = o->pfp};

	if (p.type == TDO_POLICY_IPSEC)
		p.nreq = (uint8_t)(1 + below(TDO_REQ_MAX));
	for (unsigned i = 0; i < p.nreq; i++)
		p.req[i] = random_req();
	return p;
}

static void
write_sp(struct text *t, const struct tdo_sp_param *p, const struct stmt_opt *o)
{
	struct tdo_policy_text q = {.sp = *p};
	char policy[4096];

	put(t, "%s", chance(2) ? "spdadd" : "spdupdate");
	put_sel(t, &p->sel);
	put_opt(t, o);
	gap(t);
	tdo_policy_text_print(&q, chance(2) ? " " : "\n\t", policy, sizeof(policy));
	put(t, "-P %s;", policy);
}

static const char *
sp_differs(const struct tdo_sp_param *a, const struct tdo_sp_param *b)
{
	if (a->dir != b->dir || a->type != b->type || a->prio != b->prio)
		return "direction, type or priority";
	if (!same_sel(&a->sel, &b->sel))
		return "selectors";
	if (memcmp(&a->tunnel, &b->tunnel, sizeof(a->tunnel)) != 0 || a->hold != b->hold ||
	    a->pfp != b->pfp)
		return "settings";
	if (a->nreq != b->nreq)
		return "number of requests";
	for (unsigned i = 0; i < a->nreq; i++) {
		const struct tdo_req *x = &a->req[i], *y = &b->req[i];

		if (x->proto != y->proto || x->mode != y->mode || x->level != y->level ||
		    x->reqid != y->reqid || x->sport != y->sport || x->dport != y->dport ||
		    !tdo_addr_equal(&x->src, &y->src) || !tdo_addr_equal(&x->dst, &y->dst))
			return "a request";
	}
	return NULL;
}

static void
sp_through_dump(const struct tdo_sp_param *p)
{
	struct tdo_sp_info info = {.param = *p, .id = 3, .created = 1799571600, .refcnt = 1};
	struct text dump = {.len = 0}, text = {.len = 0};
	struct tdo_sp_param back;
	struct tdo_sadb_msg m;
	struct result r;
	uint8_t buf[8192];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	const char *differs;

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDDUMP, .pid = 4711});
	tdo_sadb_put_sp_info(&w, &info);
	if (tdo_sadb_parse(buf, tdo_sadb_end(&w), &m, NULL) != 0)
		abort();
	dump_entry(&m, &dump);
	sp_from_dump(&text, dump.s);
	parse_one(text.s, &r);
	if (tdo_sadb_get_sp_param(&r.m, &back, NULL) != 0)
		abort();
	differs = sp_differs(p, &back);
	if (differs) {
		printf("%s\n%s\n", dump.s, differs);
		fail("the dump says something else", text.s);
	}
	free(r.canonical);
}

static void
sp_round(void)
{
	struct stmt_opt o = random_opt(false);
	struct tdo_sp_param p = random_sp(&o), back;
	struct text text = {.len = 0};
	struct result r;
	const char *differs;

	write_sp(&text, &p, &o);
	parse_one(text.s, &r);
	if (tdo_sadb_get_sp_param(&r.m, &back, NULL) != 0)
		abort();
	differs = sp_differs(&p, &back);
	if (differs)
		fail(differs, text.s);
	check_canonical(&r, text.s);
	sp_through_dump(&p);
	free(r.canonical);
}

int
main(void)
{
	unsigned rounds = rng_rounds(5000);

	rng = rng_seed_new();
	setenv("TZ", "UTC", 1);
	printf("1..2\n");
	for (unsigned i = 0; i < rounds; i++)
		sa_round();
	printf("ok 1 - %u statements about SAs\n", rounds);
	for (unsigned i = 0; i < rounds; i++)
		sp_round();
	printf("ok 2 - %u statements about policies\n", rounds);
	return 0;
}
