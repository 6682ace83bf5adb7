/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine on standard input and output, for peers written in other languages: reads one
 * command per line, answers with one line.
 *
 *	sa SRC DST SPI transport|tunnel EALG EKEY AALG AKEY WINDOW	("-" = none, keys in hex)
 *	   [esn] [seq=LAST]		LAST: the last sequence number that was sent
 *	   [udp=SPORT,DPORT | marker=SPORT,DPORT] [oa-src=ADDRESS] [oa-dst=ADDRESS]
 *	sp in|out SRC/LEN DST/LEN transport
 *	sp in|out SRC/LEN DST/LEN tunnel TSRC TDST
 *	start LAST	the last sequence number of the SAs that the next command adds
 *	setkey TEXT	statements of the setkey language
 *	local ADDRESS...	addresses of the host itself, beside those that it has
 *	flush		removes all of these
 *	out HEX		an IP packet that this host sends
 *	in HEX		a protected IP packet that this host receives
 *	udp HEX		an IP packet to a port to which ESP in UDP comes
 *	clear HEX	an IP packet that this host receives without protection
 *	mtu HEX MTU	the largest packet like this one that fits when it is protected
 *	dummy MTU	the next dummy packet of an SA that wants some
 *	knob NAME VALUE [6]
 *	seq SRC DST SPI [ah]	last sequence number sent, highest one received
 *	algs		the table of algorithms
 *
 * Answers: "ok", "error TEXT", "send HEX", "pass HEX", "drop REASON", "mtu BYTES",
 * "seq SENT RECEIVED", "algs NAME:enc|aead|auth:MINBITS:MAXBITS:STEP ...".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/addr.h"
#include "host.h"

enum { SLOTS_MAX = 8192, LOCAL_MAX = 16384 };

static struct host host;
/* Sequence counters of the SAs that do not start at 0; the next SA takes start. */
static _Atomic uint64_t slots[SLOTS_MAX];
static unsigned nslots, nlocal;
static uint64_t start;

static _Atomic uint64_t *
slot(const struct tdo_sa_param *sa)
{
	(void)sa;
	if (start == 0 || nslots == SLOTS_MAX)
		return NULL;
	slots[nslots] = start;
	return &slots[nslots++];
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t
unhex(const char *s, uint8_t *out, size_t cap)
{
	size_t n = 0;

	for (; n < cap && digit(s[2 * n]) >= 0 && digit(s[2 * n + 1]) >= 0; n++)
		out[n] = (uint8_t)(digit(s[2 * n]) << 4 | digit(s[2 * n + 1]));
	return n;
}

static bool said; /* the command has had its answer */

static int
say_error(const struct tdo_err *err, int rc)
{
	printf("error %d %s\n", rc, err->text);
	said = true;
	return rc;
}

static void
say_packet(const char *word, const struct tdo_pkt *p)
{
	static char text[2 * TDO_PKT_MAXLEN + 1];
	static const char hex[] = "0123456789abcdef";

	for (uint32_t i = 0; i < p->len; i++) {
		text[2 * i] = hex[tdo_pkt_data(p)[i] >> 4];
		text[2 * i + 1] = hex[tdo_pkt_data(p)[i] & 15];
	}
	text[2 * p->len] = '\0';
	printf("%s %s\n", word, text);
}

static int
address(const char *s, struct tdo_addr *ret)
{
	return tdo_addr_parse(s, strlen(s), ret);
}

static int
prefix(char *s, struct tdo_addr *ret, uint8_t *ret_plen)
{
	char *slash = strchr(s, '/');
	struct tdo_addr a;

	if (slash == NULL)
		return -EINVAL;
	*slash = '\0';
	if (address(s, &a) != 0)
		return -EINVAL;
	*ret_plen = (uint8_t)atoi(slash + 1);
	*ret = tdo_addr_mask(&a, *ret_plen);
	return 0;
}

/* The words about UDP. */
static int
natt(const char *word, struct tdo_natt *n)
{
	const char *value = strchr(word, '=');
	unsigned sport, dport;

	if (value == NULL)
		return -EINVAL;
	if (strncmp(word, "oa-src=", 7) == 0)
		return address(value + 1, &n->oa_src);
	if (strncmp(word, "oa-dst=", 7) == 0)
		return address(value + 1, &n->oa_dst);
	if (sscanf(value, "=%u,%u", &sport, &dport) != 2 || sport > UINT16_MAX ||
	    dport > UINT16_MAX)
		return -EINVAL;
	n->type = strncmp(word, "marker=", 7) == 0 ? TDO_NATT_NON_IKE : TDO_NATT_ESPINUDP;
	n->sport = (uint16_t)sport;
	n->dport = (uint16_t)dport;
	return 0;
}

/* The words behind the window. */
static int
options(char **w, int n, struct tdo_sa_param *p)
{
	start = 0;
	for (int i = 0; i < n; i++) {
		if (strcmp(w[i], "esn") == 0)
			p->flags |= TDO_SAF_ESN;
		else if (strncmp(w[i], "seq=", 4) == 0)
			start = strtoull(w[i] + 4, NULL, 0);
		else if (natt(w[i], &p->natt) != 0)
			return -EINVAL;
	}
	return start != 0 && nslots == SLOTS_MAX ? -EINVAL : 0;
}

static int
add_sa(char **w, int n)
{
	static uint8_t ekey[TDO_KEY_MAX], akey[TDO_KEY_MAX];
	const struct tdo_alg *enc = tdo_alg_enc_by_name(w[5]), *auth = tdo_alg_auth_by_name(w[7]);
	struct tdo_sa_param p = {
	    .key = {.satype = TDO_SATYPE_ESP, .spi = (uint32_t)strtoul(w[3], NULL, 0)},
	    .mode = strcmp(w[4], "tunnel") == 0 ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
	    .ealg = enc ? enc->pfkey : 0,
	    .aalg = auth ? auth->pfkey : 0,
	    .ekey = ekey,
	    .akey = akey,
	    .replay = (uint32_t)strtoul(w[9], NULL, 0),
	};
	struct tdo_err err = {"?"};
	int rc;

	if (address(w[1], &p.key.src) != 0 || address(w[2], &p.key.dst) != 0 ||
	    (enc == NULL && w[5][0] != '-') || (auth == NULL && w[7][0] != '-') ||
	    options(w + 10, n - 10, &p) != 0)
		return -EINVAL;
	p.ekey_bits = (uint16_t)(8 * (strcmp(w[6], "-") ? unhex(w[6], ekey, sizeof(ekey)) : 0));
	p.akey_bits = (uint16_t)(8 * (strcmp(w[8], "-") ? unhex(w[8], akey, sizeof(akey)) : 0));
	rc = tdo_sa_add(host.e, &p, host.now, &err);
	return rc == 0 ? 0 : say_error(&err, rc);
}

static int
add_sp(char **w, int n)
{
	struct tdo_sp_param p = {
	    .dir = strcmp(w[1], "in") == 0 ? TDO_DIR_IN : TDO_DIR_OUT,
	    .type = TDO_POLICY_IPSEC,
	    .nreq = 1,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.proto = TDO_PROTO_ANY, .sport = TDO_RANGE_ANY, .dport = TDO_RANGE_ANY},
	    .req = {{.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE}},
	};
	struct tdo_err err = {"?"};
	int rc;

	if (prefix(w[2], &p.sel.src, &p.sel.src_plen) != 0 ||
	    prefix(w[3], &p.sel.dst, &p.sel.dst_plen) != 0)
		return -EINVAL;
	if (n == 7 && strcmp(w[4], "tunnel") == 0) {
		p.req[0].mode = TDO_MODE_TUNNEL;
		if (address(w[5], &p.req[0].src) != 0 || address(w[6], &p.req[0].dst) != 0)
			return -EINVAL;
	}
	rc = tdo_sp_add(host.e, &p, host.now, NULL, &err);
	return rc == 0 ? 0 : say_error(&err, rc);
}

static void
say_verdict(const struct tdo_pkt *p)
{
	if (p->verdict == TDO_VERDICT_DROP)
		printf("drop %s\n", tdo_reason_info((enum tdo_reason)p->reason)->name);
	else
		say_packet(p->verdict == TDO_VERDICT_SEND ? "send" : "pass", p);
}

static int
packet(char **w, int n)
{
	static uint8_t buf[TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM];
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM};
	struct tdo_pkt *burst[1] = {&p};
	struct tdo_worker *worker = host.w;
	int rc = 0;

	p.len = (uint32_t)unhex(w[1], buf + TDO_HEADROOM, TDO_PKT_MAXLEN);
	tdo_worker_resume(worker);
	if (n == 3 && strcmp(w[0], "mtu") == 0) {
		tdo_out_classify(worker, burst, 1, host.now);
		if (p.verdict == TDO_VERDICT_PROTECT)
			printf("mtu %u\n", tdo_out_inner_mtu(&p, (uint32_t)strtoul(w[2], NULL, 0)));
		else
			say_verdict(&p);
	} else if (n == 2 && strcmp(w[0], "out") == 0) {
		tdo_out(worker, burst, 1, host.now);
		say_verdict(&p);
	} else if (n == 2 && (strcmp(w[0], "in") == 0 || strcmp(w[0], "udp") == 0)) {
		p.flags |= w[0][0] == 'u' ? TDO_PKT_UDP_ENCAP : 0;
		tdo_in(worker, burst, 1, host.now);
		say_verdict(&p);
	} else if (n == 2 && strcmp(w[0], "clear") == 0) {
		tdo_in_clear(worker, burst, 1, host.now);
		say_verdict(&p);
	} else {
		rc = -ENOENT;
	}
	tdo_worker_idle(worker);
	return rc;
}

static int
say_seq(char **w, int n)
{
	static struct tdo_sa_info info;
	struct tdo_sa_key key = {.satype = n == 5 ? TDO_SATYPE_AH : TDO_SATYPE_ESP,
	    .spi = (uint32_t)strtoul(w[3], NULL, 0)};
	int rc = -EINVAL;

	if (address(w[1], &key.src) == 0 && address(w[2], &key.dst) == 0)
		rc = tdo_sa_get(host.e, &key, &info);
	if (rc == 0)
		printf("seq %llu %llu\n", (unsigned long long)info.out_seq,
		    (unsigned long long)info.in_seq);
	return rc;
}

static void
say_algs(void)
{
	static const char *const kinds[] = {
	    [TDO_ALG_ENC] = "enc", [TDO_ALG_AEAD] = "aead", [TDO_ALG_AUTH] = "auth"};
	const struct tdo_alg *a;

	fputs("algs", stdout);
	for (unsigned i = 0; (a = tdo_alg_at(i)) != NULL; i++)
		if (tdo_crypto_supports(host.crypto, a->kind == TDO_ALG_AUTH ? NULL : a,
			a->kind == TDO_ALG_AUTH ? a : NULL))
			printf(" %s:%s:%u:%u:%u", a->name, kinds[a->kind], a->key_min, a->key_max,
			    a->key_step);
	putchar('\n');
}

static int
set_knob(char **w, int n)
{
	for (int k = 0; k < TDO_KNOB_COUNT; k++)
		if (strcmp(tdo_knob_info((enum tdo_knob)k)->name4, w[1]) == 0)
			return tdo_knob_set(host.e, (enum tdo_knob)k,
			    n == 4 ? TDO_AF_INET6 : TDO_AF_INET, atoi(w[2]));
	return -EINVAL;
}

/* Commands that answer "ok" or an error. */
static int
change(char **w, int n)
{
	if (n >= 10 && strcmp(w[0], "sa") == 0)
		return add_sa(w, n);
	if (n >= 5 && strcmp(w[0], "sp") == 0)
		return add_sp(w, n);
	if ((n == 3 || n == 4) && strcmp(w[0], "knob") == 0)
		return set_knob(w, n);
	if (n == 2 && strcmp(w[0], "start") == 0) {
		start = strtoull(w[1], NULL, 0);
		return 0;
	}
	if (n == 1 && strcmp(w[0], "flush") == 0) {
		host_flush(&host);
		nslots = nlocal = 0;
		return 0;
	}
	return -EINVAL;
}

static int
add_local(char *words)
{
	static struct tdo_addr local[LOCAL_MAX];
	char *save = NULL;

	for (char *t = strtok_r(words, " \n", &save); t; t = strtok_r(NULL, " \n", &save))
		if (nlocal == LOCAL_MAX || address(t, &local[nlocal++]) != 0)
			return -EINVAL;
	return tdo_engine_set_local(host.e, local, nlocal);
}

/* Commands that take the rest of the line. */
static bool
text_command(char *line)
{
	int rc;

	if (strncmp(line, "local ", 6) == 0)
		rc = add_local(line + 6);
	else if (strncmp(line, "setkey ", 7) == 0)
		rc = host_setkey(&host, line + 7);
	else
		return false;
	tdo_worker_idle(host.w);
	start = 0;
	if (rc == 0)
		puts("ok");
	else
		printf("error %d %s\n", rc, strerror(rc < 0 ? -rc : rc));
	return true;
}

static uint32_t
dummy_mtu(void *ctx, const struct tdo_addr *src, const struct tdo_addr *dst)
{
	(void)src;
	(void)dst;
	return *(const uint32_t *)ctx;
}

/* Lets time pass, up to a second, until one is due. */
static void
say_dummy(uint32_t mtu)
{
	static uint8_t buf[TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM];
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM};
	bool made = false;

	tdo_worker_resume(host.w);
	for (unsigned i = 0; i < 1000 && !made; i++, host.now += TDO_SEC / 1000)
		made = tdo_dummy_make(host.e, host.w, dummy_mtu, &mtu, &p, host.now);
	tdo_worker_idle(host.w);
	if (made)
		say_packet("send", &p);
	else
		puts("error 0 none is due");
}

static void
command(char *line)
{
	char *w[16] = {0}, *save = NULL;
	int n = 0, rc;

	if (text_command(line))
		return;
	for (char *t = strtok_r(line, " \n", &save); t && n < 15; t = strtok_r(NULL, " \n", &save))
		w[n++] = t;
	if (n == 1 && strcmp(w[0], "algs") == 0) {
		say_algs();
		return;
	}
	if (n >= 2 && packet(w, n) == 0)
		return;
	if (n == 2 && strcmp(w[0], "dummy") == 0) {
		say_dummy((uint32_t)strtoul(w[1], NULL, 0));
		return;
	}
	if ((n == 4 || n == 5) && strcmp(w[0], "seq") == 0 && say_seq(w, n) == 0)
		return;
	said = false;
	rc = change(w, n);
	if (rc == 0)
		puts("ok");
	else if (!said)
		printf("error %d\n", rc);
}

int
main(int argc, char **argv)
{
	static char line[4 * TDO_PKT_MAXLEN];

	host_open(&host, argc > 1 ? argv[1] : NULL);
	/* Not the IVs and nonces of another one of these. */
	if (getrandom(&host.rng.state, sizeof(host.rng.state), 0) != sizeof(host.rng.state))
		return 1;
	host.slot = slot;
	tdo_worker_idle(host.w); /* or its tables cannot grow */
	while (fgets(line, sizeof(line), stdin)) {
		command(line);
		fflush(stdout);
		host.now += TDO_SEC / 1000;
	}
	host_close(&host);
	return 0;
}
