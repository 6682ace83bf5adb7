/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * AH packets that were computed without testudo (tests/vectors/mkah.py) through the engine: an SA
 * whose window ends right below the packet receives it, and one that has sent the number in front
 * of it sends just this packet.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/be.h"
#include "built.h"
#include "engine/path.h"
#include "fixture.h"
#include "vector_reader.h"
#include "wire/ah.h"
#include "wire/ip.h"

enum { PACKET_MAX = 1024, SPI = 0x1234, OUTER_ID = 0x4242 };

struct ah_packet {
	const struct tdo_alg *auth;
	uint8_t key[64], plain[PACKET_MAX], packet[PACKET_MAX];
	uint32_t key_len, plain_len, packet_len;
	struct tdo_ip_info ip; /* of packet */
	uint64_t seq;
	bool tunnel, old, esn;
	uint8_t align;
};

static void
load(const struct vector_reader *r, struct ah_packet *v)
{
	uint8_t seq[8];

	memset(v, 0, sizeof(*v));
	v->auth = tdo_alg_auth_by_name(vector_text(r, "auth"));
	assert_non_null(v->auth);
	v->key_len = (uint32_t)vector_hex(r, "akey", v->key, sizeof(v->key));
	assert_int_equal(vector_hex(r, "seq", seq, sizeof(seq)), 8);
	v->seq = tdo_be64(seq);
	v->plain_len = (uint32_t)vector_hex(r, "plain", v->plain, sizeof(v->plain));
	v->packet_len = (uint32_t)vector_hex(r, "packet", v->packet, sizeof(v->packet));
	v->tunnel = vector_text(r, "mode") != NULL;
	v->old = vector_text(r, "old") != NULL;
	v->esn = vector_text(r, "esn") != NULL;
	vector_hex(r, "align", &v->align, 1);
	assert_int_equal(tdo_ip_parse(v->packet, v->packet_len, &v->ip), TDO_REASON_NONE);
	assert_int_equal(v->ip.flow.proto, TDO_IPPROTO_AH);
}

static struct tdo_sa *
open_engine(struct fx *f, const struct ah_packet *v)
{
	struct tdo_err err = {0};
	struct tdo_sa_param p = {
	    .key = {TDO_SATYPE_AH, SPI, v->ip.flow.src, v->ip.flow.dst},
	    .mode = v->tunnel ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT,
	    .flags = (v->old ? TDO_SAF_OLD : 0) | (v->esn ? TDO_SAF_ESN : 0),
	    .replay = v->old ? 0 : 64,
	    .aalg = v->auth->pfkey,
	    .akey = v->key,
	    .akey_bits = (uint16_t)(v->key_len * 8),
	    .align = v->align,
	};

	*f = (struct fx){0};
	fx_open(f, NULL);
	if (tdo_sa_add(f->e, &p, f->now, &err) != 0)
		fail_msg("%s", err.text);
	return tdo_sad_find_in(f->e, &v->ip.flow.dst, SPI, TDO_IPPROTO_AH);
}

static enum tdo_reason
receive(struct fx *f, const struct ah_packet *v, int damaged, struct tdo_pkt **ret)
{
	struct tdo_pkt *p = fx_pkt_new(0);
	enum tdo_reason r;

	fx_pkt_set(p, v->packet, v->packet_len);
	if (damaged >= 0)
		tdo_pkt_data(p)[damaged] ^= 1;
	tdo_in(f->w, &p, 1, f->now);
	r = p->verdict == TDO_VERDICT_PASS ? TDO_REASON_NONE : p->reason;
	if (ret)
		*ret = p;
	else
		fx_pkt_free(p);
	return r;
}

static void
run_received(const struct ah_packet *v)
{
	struct tdo_pkt *p;
	struct fx f;
	struct tdo_sa *sa = open_engine(&f, v);

	if (!v->old)
		assert_int_equal(tdo_replay_accept(&sa->replay, v->seq - 1), TDO_REASON_NONE);
	/* From the ICV on nothing may differ. */
	for (uint32_t i = v->ip.l4_off + sa->fmt.iv_off; i < v->packet_len; i++)
		assert_int_equal(receive(&f, v, (int)i, NULL), TDO_REASON_IN_ICV);
	assert_int_equal(receive(&f, v, -1, &p), TDO_REASON_NONE);
	assert_int_equal(p->len, v->plain_len);
	assert_memory_equal(tdo_pkt_data(p), v->plain, v->plain_len);
	fx_pkt_free(p);
	fx_close(&f);
}

static void
run_sent(const struct ah_packet *v)
{
	struct tdo_pkt *p = fx_pkt_new(0);
	struct fx f;
	struct tdo_sa *sa = open_engine(&f, v);
	char req[128];

	snprintf(req, sizeof(req), "%s",
	    !v->tunnel                          ? "ah/transport//require"
	    : v->ip.flow.src.af == TDO_AF_INET6 ? "ah/tunnel/2001:db8:a::1-2001:db8:b::2/require"
						: "ah/tunnel/203.0.113.1-203.0.113.2/require");
	fx_add_sp(&f, TDO_DIR_OUT, "0.0.0.0/0", "0.0.0.0/0", TDO_PROTO_ANY, req);
	fx_add_sp(&f, TDO_DIR_OUT, "::/0", "::/0", TDO_PROTO_ANY, req);
	atomic_store(sa->out_seq, v->seq - 1);
	f.w->ip_id = OUTER_ID - 1; /* of the packet before */
	if (v->auth->iv_len)
		sa->fmt.iv_base = tdo_be64(v->packet + v->ip.l4_off + TDO_AH_HLEN) - v->seq;
	fx_pkt_set(p, v->plain, v->plain_len);
	tdo_out(f.w, &p, 1, f.now);
	assert_int_equal(p->verdict, TDO_VERDICT_SEND);
	assert_int_equal(p->len, v->packet_len);
	assert_memory_equal(tdo_pkt_data(p), v->packet, v->packet_len);
	fx_pkt_free(p);
	fx_close(&f);
}

static unsigned line; /* of the block that is tested */

static int
say_where(void **state)
{
	(void)state;
	print_message("# ah_computed.txt:%u\n", line);
	return 0;
}

static void
computed_packets(void **state)
{
	static struct ah_packet v;
	struct vector_reader r;
	unsigned n = 0;

	(void)state;
	vector_open(&r, "ah_computed.txt");
	while (vector_next(&r)) {
		line = r.first;
		load(&r, &v);
		n++;
		if (v.auth->not_there || (v.old && !BUILT_LEGACY))
			continue; /* test_sa_check.c: it is refused */
		run_received(&v);
		if (vector_text(&r, "only") == NULL)
			run_sent(&v);
	}
	vector_close(&r);
	assert_int_equal(n, 160); /* blocks of the file */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_teardown(computed_packets, say_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
