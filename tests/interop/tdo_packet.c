/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine on standard input and output, for peers written in other languages: reads one
 * command per line, answers with one line.
 *
 *	sa SRC DST SPI transport|tunnel EALG EKEY AALG AKEY WINDOW	("-" = none, keys in hex)
 *	sp in|out SRC/LEN DST/LEN transport
 *	sp in|out SRC/LEN DST/LEN tunnel TSRC TDST
 *	out HEX		an IP packet that this host sends
 *	in HEX		an IP packet that this host receives
 *
 * Answers: "ok", "error TEXT", "send HEX", "pass HEX", "drop REASON".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/addr.h"
#include "mem.h"
#include "testudo/engine.h"

static struct tdo_engine *engine;
static tdo_ns now = TDO_SEC;

static void
random_bytes(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	if (getrandom(buf, len, 0) != (ssize_t)len)
		abort();
}

static size_t
unhex(const char *s, uint8_t *out, size_t cap)
{
	size_t n = 0;
	unsigned v;

	for (; n < cap && sscanf(s + 2 * n, "%2x", &v) == 1; n++)
		out[n] = (uint8_t)v;
	return n;
}

static void
say_packet(const char *word, const struct tdo_pkt *p)
{
	printf("%s ", word);
	for (uint32_t i = 0; i < p->len; i++)
		printf("%02x", tdo_pkt_data(p)[i]);
	putchar('\n');
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

static int
add_sa(char **w)
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

	if (address(w[1], &p.key.src) != 0 || address(w[2], &p.key.dst) != 0)
		return -EINVAL;
	p.ekey_bits = (uint16_t)(8 * (strcmp(w[6], "-") ? unhex(w[6], ekey, sizeof(ekey)) : 0));
	p.akey_bits = (uint16_t)(8 * (strcmp(w[8], "-") ? unhex(w[8], akey, sizeof(akey)) : 0));
	rc = tdo_sa_add(engine, &p, now, &err);
	if (rc != 0)
		printf("error %s\n", err.text);
	return rc;
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
	rc = tdo_sp_add(engine, &p, now, NULL, &err);
	if (rc != 0)
		printf("error %s\n", err.text);
	return rc;
}

static void
packet(const char *hex, bool out)
{
	static uint8_t buf[TDO_HEADROOM + TDO_PKT_MAXLEN + TDO_TAILROOM];
	struct tdo_pkt p = {.buf = buf, .cap = sizeof(buf), .off = TDO_HEADROOM};
	struct tdo_pkt *burst[1] = {&p};
	struct tdo_worker *w = tdo_engine_worker(engine, 0);

	p.len = (uint32_t)unhex(hex, buf + TDO_HEADROOM, TDO_PKT_MAXLEN);
	tdo_worker_resume(w);
	if (out)
		tdo_out(w, burst, 1, now);
	else
		tdo_in(w, burst, 1, now);
	if (p.verdict == TDO_VERDICT_DROP)
		printf("drop %s\n", tdo_reason_info((enum tdo_reason)p.reason)->name);
	else
		say_packet(p.verdict == TDO_VERDICT_SEND ? "send" : "pass", &p);
	tdo_worker_idle(w);
}

static void
command(char *line)
{
	char *w[16] = {0}, *save = NULL;
	int n = 0, rc = -EINVAL;

	for (char *t = strtok_r(line, " \n", &save); t && n < 15; t = strtok_r(NULL, " \n", &save))
		w[n++] = t;
	if (n == 2 && (strcmp(w[0], "out") == 0 || strcmp(w[0], "in") == 0)) {
		packet(w[1], w[0][0] == 'o');
		return;
	}
	if (n == 10 && strcmp(w[0], "sa") == 0)
		rc = add_sa(w);
	else if (n >= 5 && strcmp(w[0], "sp") == 0)
		rc = add_sp(w, n);
	if (rc == 0)
		puts("ok");
	else if (rc == -EINVAL)
		puts("error command");
}

int
main(int argc, char **argv)
{
	struct tdo_mem mem = TEST_MEM;
	struct tdo_crypto_config cc = {
	    .mem = mem, .nworkers = 1, .only = argc > 1 ? argv[1] : NULL};
	struct tdo_engine_config ec = {.mem = mem, .random = random_bytes, .nworkers = 1};
	static char line[4 * TDO_PKT_MAXLEN];

	if (tdo_crypto_new(&cc, &ec.crypto) != 0 || tdo_engine_new(&ec, &engine) != 0)
		return 1;
	while (fgets(line, sizeof(line), stdin)) {
		command(line);
		fflush(stdout);
		now += TDO_SEC / 1000;
	}
	tdo_engine_free(engine);
	tdo_crypto_free(ec.crypto);
	return 0;
}
