/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table: protocol, mode, family pair, algorithm, key length, extended sequence numbers, size
 * and bundle, through two engines that know of each other only by the statements of setkey.
 *
 * - every packet arrives as it was sent, and its history satisfies the policy;
 * - what was damaged, repeated, sent in clear or without one of its layers does not arrive;
 * - no packet of up to the promised size gets longer than the MTU;
 * - as many cells ran as the tables say.
 */
#include "base/addr.h"
#include "bundle.h"
#include "wire/ip.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define CHECK(shot, x)                                                                             \
	do {                                                                                       \
		if (!(x))                                                                          \
			failed((shot), __FILE__, __LINE__, #x);                                    \
	} while (0)

#define CAP      (TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_IP6_HLEN + TDO_TAILROOM)
#define PROTO    253 /* for experiments: it may have no bytes at all */
#define MIDDLE   (UINT64_C(1) << 31)
#define NEAR     ((UINT64_C(1) << 32) - 3) /* the third packet crosses over */
#define TEXT_MAX 8192

/* Which protocols bundles are made of. */
static const enum bundle_proto protos[] = {BUNDLE_ESP, BUNDLE_AH, BUNDLE_IPCOMP};
static struct suites suites[BUNDLE_PROTOS];
static const uint8_t tunnels[] = {TDO_AF_NONE, TDO_AF_INET, TDO_AF_INET6};
static const uint8_t families[] = {TDO_AF_INET, TDO_AF_INET6};

/* ---- packets ---- */

/* A packet: as it was sent, as it was on the wire, and the memory in which it is changed. */
struct shot {
	uint32_t mtu; /* what it must fit into, or, if too_long, not; 0: nothing */
	bool too_long;
	bool shrinks; /* the innermost layer, if that is IPComp, makes it smaller */
	uint32_t plain_len, wire_len;
	uint8_t plain[TDO_PKT_MAXLEN + TDO_IP6_HLEN];
	uint8_t wire[CAP], memory[CAP];
	struct tdo_pkt p;
};

static struct shot shots[TDO_BURST_MAX];
static unsigned nshots; /* that wait */

static struct host sender, receiver;
static const struct bundle *current;
static const char *current_what = "";
static struct {
	unsigned long cells, packets, damaged, clear, parted, compressed;
} ran;
static struct rng bytes = {4711};

static void
failed(const struct shot *s, const char *file, int line, const char *what)
{
	static char text[TEXT_MAX];

	printf("Bail out! %s:%d: %s is false\n", file, line, what);
	printf("# verdict %u, %s\n", s->p.verdict,
	    tdo_reason_info((enum tdo_reason)s->p.reason)->name);
	if (current) {
		bundle_setkey(current, TDO_DIR_OUT, BUNDLE_WHOLE, text, sizeof(text));
		printf("# %s, %u bytes, on the wire %u:\n%s", current_what, s->plain_len,
		    s->wire_len, text);
	}
	abort();
}

static void
pkt_set(struct shot *s, const uint8_t *data, uint32_t len)
{
	s->p = (struct tdo_pkt){.buf = s->memory, .cap = CAP, .off = TDO_HEADROOM, .len = len};
	memcpy(s->memory + TDO_HEADROOM, data, len);
}

static void
fill(uint8_t *d, uint32_t len, bool random)
{
	for (uint32_t i = 0; i < len && !random; i++)
		d[i] = (uint8_t)(i / 5 % 7);
	for (uint32_t i = 0; i < len && random; i += 8) {
		uint64_t v = rng_next(&bytes);

		memcpy(d + i, &v, len - i < 8 ? len - i : 8);
	}
}

/* Whoever compresses gives up for a while after some packets that do not get smaller. */
static bool
shrinks(const struct bundle *b, uint32_t payload, bool random)
{
	static const struct bundle *last;
	static unsigned useless;

	if (last != b)
		useless = 0;
	last = b;
	if (random)
		useless += payload > 40;
	else if (payload >= 100 && useless < 4)
		useless = 0;
	return !random && payload >= 100 && useless == 0 && b->layer[0].proto == BUNDLE_IPCOMP;
}

static struct shot *
make(struct shot *s, const struct bundle *b, uint32_t payload, bool random)
{
	const char *const *ends = bundle_inner[b->af == TDO_AF_INET6];
	/* Not without an id: AH gives it one. */
	struct tdo_ip_hdr h = {.ttl = 61, .proto = PROTO, .id = (uint16_t)(rng_next(&bytes) | 1)};
	uint32_t head = tdo_ip_hlen(b->af);

	if (tdo_addr_parse(ends[0], strlen(ends[0]), &h.src) != 0 ||
	    tdo_addr_parse(ends[1], strlen(ends[1]), &h.dst) != 0)
		abort();
	s->mtu = 0;
	s->too_long = false;
	s->shrinks = shrinks(b, payload, random);
	s->plain_len = head + payload;
	s->wire_len = 0;
	tdo_ip_build(s->plain, &h, payload);
	fill(s->plain + head, payload, random);
	return s;
}

/* ---- sending and receiving ---- */

static void
protect(struct shot *s, unsigned n)
{
	struct tdo_pkt *p[TDO_BURST_MAX] = {0};

	for (unsigned i = 0; i < n; i++) {
		pkt_set(&s[i], s[i].plain, s[i].plain_len);
		p[i] = &s[i].p;
	}
	tdo_out(sender.w, p, n, sender.now);
	for (unsigned i = 0; i < n; i++) {
		if (p[i]->verdict != TDO_VERDICT_SEND)
			continue;
		s[i].wire_len = p[i]->len;
		memcpy(s[i].wire, tdo_pkt_data(p[i]), p[i]->len);
	}
}

static void
arrive(struct shot *s, unsigned n)
{
	struct tdo_pkt *p[TDO_BURST_MAX] = {0};

	for (unsigned i = 0; i < n; i++) {
		pkt_set(&s[i], s[i].wire, s[i].wire_len);
		p[i] = &s[i].p;
	}
	tdo_in(receiver.w, p, n, receiver.now);
}

static void
check_sent(const struct shot *s)
{
	struct tdo_ip_info ip;

	CHECK(s, s->p.verdict == TDO_VERDICT_SEND);
	CHECK(s, tdo_ip_parse(s->wire, s->wire_len, &ip) == TDO_REASON_NONE);
	CHECK(s, ip.total_len == s->wire_len);
	if (s->mtu > 0)
		CHECK(s, (s->wire_len > s->mtu) == s->too_long);
}

static bool
same(const struct shot *s)
{
	return s->p.verdict == TDO_VERDICT_PASS && s->p.len == s->plain_len &&
	       memcmp(tdo_pkt_data(&s->p), s->plain, s->plain_len) == 0;
}

static void
check_arrived(const struct bundle *b, const struct shot *s)
{
	unsigned optional = bundle_count(b, BUNDLE_IPCOMP);

	CHECK(s, s->p.verdict == TDO_VERDICT_PASS);
	CHECK(s, same(s));
	CHECK(s, s->p.nsas <= b->n && s->p.nsas + optional - s->shrinks >= b->n);
}

static void
there(const struct bundle *b, struct shot *s, unsigned n)
{
	protect(s, n);
	for (unsigned i = 0; i < n; i++) {
		check_sent(&s[i]);
		ran.compressed += s[i].wire_len < s[i].plain_len;
	}
	arrive(s, n);
	for (unsigned i = 0; i < n; i++)
		check_arrived(b, &s[i]);
}

/* Sends what waits, in one burst. */
static void
flush_shots(const struct bundle *b)
{
	there(b, shots, nshots);
	ran.packets += nshots;
	nshots = 0;
}

static struct shot *
add(const struct bundle *b, uint32_t payload, bool random)
{
	if (nshots == TDO_BURST_MAX)
		flush_shots(b);
	return make(&shots[nshots++], b, payload, random);
}

/* ---- sizes ---- */

enum sizes { SIZES_ALL, SIZES_MANY, SIZES_SOME, SIZES };

/* Every remainder of every block size, and the edges of what IPComp leaves alone. */
static const uint16_t edges_all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17,
    18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 49, 50, 51, 69, 70, 71, 89, 90,
    91, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1023, 1024, 1025};
static const uint16_t edges_many[] = {
    0, 1, 2, 13, 14, 15, 16, 17, 49, 50, 69, 70, 89, 90, 256, 1024};
static const uint16_t edges_some[] = {0, 1, 14, 15, 90, 300};
static const struct {
	const uint16_t *v;
	unsigned n;
} edges[SIZES] = {
    [SIZES_ALL] = {edges_all, COUNT(edges_all)},
    [SIZES_MANY] = {edges_many, COUNT(edges_many)},
    [SIZES_SOME] = {edges_some, COUNT(edges_some)},
};
static const uint32_t mtus[] = {576, 1280, 1500};

static uint32_t
inner_mtu(const struct bundle *b, uint32_t mtu)
{
	static struct shot s;
	struct tdo_pkt *p = &s.p;

	make(&s, b, 0, true);
	pkt_set(&s, s.plain, s.plain_len);
	tdo_out_classify(sender.w, &p, 1, sender.now);
	CHECK(&s, p->verdict == TDO_VERDICT_PROTECT);
	return tdo_out_inner_mtu(p, mtu);
}

static bool
mtu_usable(const struct bundle *b, uint32_t mtu)
{
	return inner_mtu(b, mtu) > tdo_ip_hlen(b->af) + 1;
}

/* With IPComp there are compressible ones, too; around an MTU there are three. */
static unsigned long
packets_of(const struct bundle *b, enum sizes sizes, bool largest)
{
	unsigned long n = edges[sizes].n * (bundle_count(b, BUNDLE_IPCOMP) > 0 ? 2 : 1) + largest;

	/* Five layers and more may be too much for any packet. */
	for (unsigned i = 0; i < COUNT(mtus); i++)
		n += b->n <= 4 || mtu_usable(b, mtus[i]) ? 3 : 0;
	return n;
}

/* What nothing can compress: just not too long, and just too long. */
static void
around_mtu(const struct bundle *b, uint32_t mtu)
{
	uint32_t head = tdo_ip_hlen(b->af), most = inner_mtu(b, mtu);

	for (uint32_t len = most - 1; len <= most + 1; len++) {
		struct shot *s = add(b, len - head, true);

		s->too_long = len > most;
		/* Headers of layers inside get smaller. */
		if (!s->too_long || bundle_count(b, BUNDLE_IPCOMP) == 0)
			s->mtu = mtu;
	}
}

/* The largest packet there is, and one that is larger. */
static void
check_largest(const struct bundle *b)
{
	/*
	 * RFC 8200 3: the length of an IPv6 packet does not count its fixed header; libraries want
	 * some of that, and of what AH covers.  Several layers, and AH: not exactly the largest.
	 */
	bool exact = b->n == 1 && b->layer[0].proto != BUNDLE_AH;
	uint32_t max = bundle_family(b) == TDO_AF_INET6
			   ? TDO_IP6_HLEN + TDO_OP_LEN_MAX - TDO_ESN_LEN
			   : TDO_PKT_MAXLEN;
	uint32_t head = tdo_ip_hlen(b->af), most = inner_mtu(b, exact ? max : max - 1000);
	struct shot *s = shots;

	if (most > TDO_PKT_MAXLEN)
		most = TDO_PKT_MAXLEN;
	if (exact && most < TDO_PKT_MAXLEN) {
		protect(make(s, b, most + 1 - head, true), 1);
		CHECK(s, s->p.verdict == TDO_VERDICT_DROP);
		CHECK(s, s->p.reason == TDO_REASON_NO_ROOM);
	}
	add(b, most - head, true)->mtu = max;
	flush_shots(b);
}

static void
check_sizes(const struct bundle *b, enum sizes sizes, bool largest)
{
	unsigned long before = ran.packets, expected = packets_of(b, sizes, largest);

	for (unsigned i = 0; i < edges[sizes].n; i++) {
		add(b, edges[sizes].v[i], true);
		if (bundle_count(b, BUNDLE_IPCOMP) > 0)
			add(b, edges[sizes].v[i], false);
	}
	for (unsigned i = 0; i < COUNT(mtus); i++)
		if (mtu_usable(b, mtus[i]))
			around_mtu(b, mtus[i]);
	flush_shots(b);
	if (largest)
		check_largest(b);
	CHECK(shots, ran.packets == before + expected);
}

/* ---- what must not arrive ---- */

static bool
has_integrity(const struct bundle *b)
{
	for (unsigned i = 0; i < b->n; i++)
		if (layer_integrity(&b->layer[i]))
			return true;
	return false;
}

/*
 * Where the outermost layer has no integrity and damage passes: in transport mode ESP does not
 * cover the IP header, and with other addresses it is a packet that this policy says nothing of.
 */
static bool
is_harmless(const struct bundle *b, const struct shot *s)
{
	uint32_t head = tdo_ip_hlen(b->af), at = b->af == TDO_AF_INET6 ? 8 : 12;
	const uint8_t *d = tdo_pkt_data(&s->p);

	if (s->p.verdict == TDO_VERDICT_DROP)
		return true;
	if (s->p.len < head || memcmp(d + at, s->plain + at, head - at) != 0)
		return true;
	return s->p.len == s->plain_len &&
	       memcmp(d + head, s->plain + head, s->plain_len - head) == 0;
}

/*
 * A byte behind the headers is damaged: dropped, or it did not matter.  Then the packet itself,
 * twice: nobody has taken the damaged ones for it.
 */
static void
check_damage(const struct bundle *b)
{
	bool noticed = layer_integrity(&b->layer[b->n - 1]);
	uint32_t head = tdo_ip_hlen(bundle_family(b)) + 12, at[3]; /* behind the numbers */
	struct shot *s = make(shots, b, 200, bundle_count(b, BUNDLE_IPCOMP) == 0);

	if (!has_integrity(b))
		return;
	protect(s, 1);
	check_sent(s);
	at[0] = head + rng_below(&bytes, s->wire_len - head);
	at[1] = head + (s->wire_len - head) / 2;
	at[2] = s->wire_len - 1;
	for (unsigned i = 0; i < COUNT(at); i++) {
		s->wire[at[i]] ^= 0x10;
		arrive(s, 1);
		s->wire[at[i]] ^= 0x10;
		CHECK(s, noticed ? s->p.reason == TDO_REASON_IN_ICV : is_harmless(b, s));
		ran.damaged++;
	}
	if (!noticed)
		return; /* what is inside may have been whole, and counts as received */
	arrive(s, 1);
	check_arrived(b, s);
	arrive(s, 1);
	CHECK(s, s->p.verdict == TDO_VERDICT_DROP && s->p.reason == TDO_REASON_IN_REPLAY_DUP);
}

/* IPComp is never required, everything else is. */
static void
check_clear(const struct bundle *b)
{
	bool required = bundle_count(b, BUNDLE_IPCOMP) < b->n;
	struct shot *s = make(shots, b, 100, false);
	struct tdo_pkt *p = &s->p;

	pkt_set(s, s->plain, s->plain_len);
	tdo_in_clear(receiver.w, &p, 1, receiver.now);
	CHECK(s, p->verdict == (required ? TDO_VERDICT_DROP : TDO_VERDICT_PASS));
	CHECK(s, !required || p->reason == TDO_REASON_IN_CLEAR);
	ran.clear++;
}

/* Be it the outermost one or not. */
static void
d01_missing_layer_is_missed(const struct bundle *b, unsigned layer)
{
	static char text[TEXT_MAX];
	struct shot *s = make(shots, b, 300, false);

	bundle_setkey(b, TDO_DIR_OUT, layer, text, sizeof(text));
	host_flush(&sender);
	CHECK(s, host_setkey(&sender, text) == 0);
	/* Ahead of all that was sent. */
	for (unsigned i = 0; i < b->n; i++)
		atomic_store(&sender.last[i],
		    (layer_esn(&b->layer[i]) ? NEAR : 0) + UINT64_C(1000) * (layer + 1));
	protect(s, 1);
	check_sent(s);
	arrive(s, 1);
	if (b->layer[layer].proto == BUNDLE_IPCOMP)
		check_arrived(b, s);
	else
		CHECK(s, s->p.reason == TDO_REASON_IN_WRONG_SA);
	ran.parted++;
}

/* ---- cells ---- */

static void
start_at(const struct bundle *b, uint64_t last)
{
	for (unsigned i = 0; i < b->n; i++)
		if (layer_esn(&b->layer[i]))
			atomic_store(&sender.last[i], last);
}

static void
open_cell(const struct bundle *b)
{
	static char text[TEXT_MAX];

	host_flush(&sender);
	host_flush(&receiver);
	bundle_setkey(b, TDO_DIR_OUT, BUNDLE_WHOLE, text, sizeof(text));
	CHECK(shots, host_setkey(&sender, text) == 0);
	bundle_setkey(b, TDO_DIR_IN, BUNDLE_WHOLE, text, sizeof(text));
	CHECK(shots, host_setkey(&receiver, text) == 0);
	/* The window of the receiver goes on into the upper half, then towards 2^32. */
	start_at(b, MIDDLE);
	there(b, make(shots, b, 8, true), 1);
	start_at(b, NEAR);
}

static void
cell(const struct bundle *b, enum sizes sizes, bool largest)
{
	current = b;
	current_what = "first packet";
	open_cell(b);
	current_what = "sizes";
	check_sizes(b, sizes, largest);
	current_what = "damage";
	check_damage(b);
	current_what = "in clear";
	check_clear(b);
	current_what = "without a layer";
	for (unsigned i = 0; b->n > 1 && i < b->n; i++)
		if (bundle_separable(b, i))
			d01_missing_layer_is_missed(b, i);
	ran.cells++;
	current = NULL;
}

/* ---- the table ---- */

/* Kinds of a layer: protocol and mode, or family of its tunnel. */
#define KINDS (COUNT(protos) * COUNT(tunnels))

static struct layer
layer_of(unsigned kind)
{
	return (struct layer){
	    .proto = protos[kind / COUNT(tunnels)], .tunnel = tunnels[kind % COUNT(tunnels)]};
}

/* One layer: every algorithm, key length, mode and family, without and with extended numbers. */
static unsigned long
singles(void)
{
	unsigned long expected = 0;

	for (unsigned i = 0; i < COUNT(protos); i++)
		expected += suites[protos[i]].n * COUNT(tunnels) * COUNT(families) * 2;
	for (unsigned k = 0; k < KINDS * COUNT(families) * 2; k++) {
		struct bundle b = {.n = 1, .af = families[k / KINDS % COUNT(families)]};
		struct layer *l = &b.layer[0];

		*l = layer_of(k % KINDS);
		l->esn = k / KINDS >= COUNT(families);
		l->raw = l->esn;
		for (unsigned s = 0; s < suites[l->proto].n; s++) {
			l->suite = &suites[l->proto].v[s];
			/* 64 KB are slow: for each algorithm in a third of the shapes. */
			cell(&b, SIZES_ALL, (s + k) % 3 == 0);
		}
	}
	return expected;
}

/* The algorithms take turns: every one comes to stand in every place. */
static void
complete(struct bundle *b, unsigned long number)
{
	static unsigned next[BUNDLE_PROTOS];

	for (unsigned i = 0; i < b->n; i++) {
		struct layer *l = &b->layer[i];

		l->suite = &suites[l->proto].v[next[l->proto]++ % suites[l->proto].n];
		l->esn = (number + i) % 3 == 0;
		/* The well-known CPI names the only SA there is. */
		l->raw = bundle_count(b, BUNDLE_IPCOMP) > 1 || number % 2;
	}
}

/* Every sequence of n kinds of layers, turns times, over both families. */
static unsigned long
sequences(unsigned n, unsigned turns, enum sizes sizes)
{
	unsigned long all = COUNT(families) * turns;

	for (unsigned i = 0; i < n; i++)
		all *= KINDS;
	for (unsigned long k = 0; k < all; k++) {
		struct bundle b = {.n = n, .af = families[k % COUNT(families)]};
		unsigned long rest = k / COUNT(families) / turns;

		for (unsigned i = 0; i < n; i++, rest /= KINDS)
			b.layer[i] = layer_of((unsigned)(rest % KINDS));
		complete(&b, k);
		cell(&b, sizes, k % 4 == 0);
	}
	return all;
}

/* Random ones of more layers, up to as many as there may be. */
static unsigned long
deep(unsigned count)
{
	for (unsigned k = 0; k < count; k++) {
		struct bundle b = {
		    .n = 4 + k % (BUNDLE_MAX - 3), .af = families[rng_below(&bytes, 2)]};

		for (unsigned i = 0; i < b.n; i++)
			b.layer[i] = layer_of(rng_below(&bytes, KINDS));
		complete(&b, k);
		cell(&b, SIZES_SOME, k % 4 == 0);
	}
	return count;
}

/* Bytes of IV, padding and ICV. */
static unsigned
length_of(const struct suite *s)
{
	unsigned n = 0;

	if (s->enc)
		n += (unsigned)s->enc->iv_len + s->enc->block + s->enc->icv_len;
	if (s->auth)
		n += (unsigned)s->auth->iv_len + s->auth->icv_len;
	return n;
}

/* The longest headers and the longest ICVs, as often as there may be. */
static unsigned long
deepest(void)
{
	for (unsigned p = 0; p < COUNT(protos); p++) {
		const struct suites *s = &suites[protos[p]];
		struct bundle b = {.n = BUNDLE_MAX, .af = TDO_AF_INET6};
		const struct suite *longest = &s->v[0];

		for (unsigned i = 0; i < s->n; i++)
			if (length_of(&s->v[i]) > length_of(longest))
				longest = &s->v[i];
		for (unsigned i = 0; i < b.n; i++)
			b.layer[i] = (struct layer){.proto = protos[p],
			    .tunnel = TDO_AF_INET6,
			    .suite = longest,
			    .esn = true,
			    .raw = true};
		cell(&b, SIZES_MANY, false);
	}
	return COUNT(protos);
}

/* ---- */

static void
part(const char *name, unsigned long expected)
{
	static unsigned long before;

	printf("# %s: %lu cells\n", name, ran.cells - before);
	if (ran.cells - before != expected) {
		printf("Bail out! %lu cells of %s were to be run\n", expected, name);
		abort();
	}
	before = ran.cells;
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	host_open(&sender, NULL);
	host_open(&receiver, NULL);
	host_local(&receiver, bundle_receiver);
	suites_esp(&suites[BUNDLE_ESP], sender.crypto);
	suites_ah(&suites[BUNDLE_AH], sender.crypto);
	suites_ipcomp(&suites[BUNDLE_IPCOMP]);
	printf("# %u suites of ESP, %u of AH\n", suites[BUNDLE_ESP].n, suites[BUNDLE_AH].n);
	part("one layer", singles());
	part("two layers", sequences(2, 8, SIZES_MANY));
	part("three layers", sequences(3, 2, SIZES_SOME));
	part("many layers", deep(400));
	part("as many as there may be", deepest());
	printf("# %lu packets, %lu damaged, %lu in clear, %lu without a layer, %lu compressed\n",
	    ran.packets, ran.damaged, ran.clear, ran.parted, ran.compressed);
	host_close(&sender);
	host_close(&receiver);
	printf("ok 1 - bundles\n1..1\n");
	return 0;
}
