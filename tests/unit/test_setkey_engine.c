/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From statements through the PF_KEY endpoint into a real engine, and back as the text of
 * dumps: what is said beyond the old formats arrives, and no entry is left out of a dump.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "mem.h"
#include "setkey/dump.h"
#include "setkey/parse.h"
#include "setkey/request.h"
#include "testudo/comp.h"
#include "testudo/pfkey.h"

#define NOW (1000 * TDO_SEC)

static const struct tdo_mem mem = TEST_MEM;

struct world {
	struct tdo_crypto *crypto;
	struct tdo_engine *e;
	struct tdo_pfkey *k;
	struct tdo_pfkey_client *c;
	const char *text; /* what is left to parse */
	int err;          /* of the answers, the first that is not 0 */
	uint8_t buf[TDO_PFKEY_MSG_MAX];
	struct tdo_sadb_msg m; /* the last answer */
	char *out;             /* the last dump */
	size_t out_len;
};

static void
fill_random(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	memset(buf, 7, len);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct tdo_crypto_config cc = {.mem = mem, .nworkers = 1, .only = "openssl"};
	struct tdo_engine_config ec = {.mem = mem, .random = fill_random, .nworkers = 4};
	struct tdo_pfkey_config pc = {.mem = mem};

	assert_non_null(w);
	assert_int_equal(tdo_crypto_new(&cc, &w->crypto), 0);
	ec.crypto = w->crypto;
	assert_int_equal(tdo_engine_new(&ec, &w->e), 0);
	pc.engine = w->e;
	assert_int_equal(tdo_pfkey_new(&pc, &w->k), 0);
	assert_int_equal(tdo_pfkey_open(w->k, &(struct tdo_pfkey_cred){true, 1}, NULL, &w->c), 0);
	tdo_engine_set_wall(w->e, 1700000000, NOW);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	tdo_pfkey_free(w->k);
	tdo_engine_free(w->e);
	tdo_crypto_free(w->crypto);
	free(w->out);
	free(w);
	return 0;
}

static bool
pull(struct world *w)
{
	size_t len = tdo_pfkey_pull(w->c, w->buf, sizeof(w->buf));

	if (len == 0)
		return false;
	assert_int_equal(tdo_sadb_parse(w->buf, len, &w->m, NULL), 0);
	if (w->err == 0)
		w->err = w->m.base.err;
	return true;
}

static void
say(struct world *w, struct tdo_wr *wr)
{
	size_t len = tdo_sadb_end(wr);

	assert_int_not_equal(len, 0);
	tdo_pfkey_input(w->c, wr->start, len, NOW);
}

static int
read_text(void *ctx, char *buf, size_t max)
{
	struct world *w = ctx;
	size_t n = strnlen(w->text, max);

	memcpy(buf, w->text, n);
	w->text += n;
	return (int)n;
}

static int
take(void *ctx, const struct stmt *s)
{
	struct world *w = ctx;
	uint8_t buf[8192];
	struct tdo_wr wr = tdo_wr_init(buf, sizeof(buf));
	uint8_t satype = s->sa.proto ? s->sa.proto->satype : 0;

	tdo_sadb_begin(
	    &wr, &(struct tdo_sadb_base){.type = tdo_request_type(s->kind), .satype = satype});
	if (s->sa.src.n > 0)
		tdo_request_put_sa(&wr, s, &s->sa.src.v[0], &s->sa.dst.v[0]);
	else if (s->sp.sel.src.af != TDO_AF_NONE)
		tdo_request_put_sp(&wr, s);
	say(w, &wr);
	assert_true(pull(w));
	return 0;
}

/* Carries the statements out; the errno of the first that is refused. */
static int
run(struct world *w, const char *text)
{
	struct parse p = {.read = read_text, .take = take, .ctx = w, .names = &tdo_names_numeric};

	w->text = text;
	w->err = 0;
	if (tdo_parse_run(&p) != 0)
		fail_msg("%s: %s [%s]", text, p.error.text, p.error.token);
	return w->err;
}

/* The text of a whole dump, and the number of its entries. */
static unsigned
dump(struct world *w, uint8_t type)
{
	uint8_t buf[64];
	struct tdo_wr wr = tdo_wr_init(buf, sizeof(buf));
	unsigned n = 0;
	FILE *f;

	free(w->out);
	f = open_memstream(&w->out, &w->out_len);
	assert_non_null(f);
	tdo_sadb_begin(&wr, &(struct tdo_sadb_base){.type = type});
	say(w, &wr);
	while (pull(w)) {
		if (w->m.base.err != 0)
			break;
		if (type == TDO_SADB_X_SPDDUMP)
			tdo_dump_sp(f, &w->m, &tdo_names_numeric);
		else
			tdo_dump_sa(f, &w->m, 1700000000, false);
		n++;
	}
	fclose(f);
	return n;
}

static void
dumped(const struct world *w, const char *line)
{
	if (!strstr(w->out, line))
		fail_msg("\"%s\" is not in\n%s", line, w->out);
}

static void
settings_and_selectors_of_an_sa(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    run(w,
		"add 10.0.0.1 10.0.0.2 esp 4096 -m tunnel -r 8 -o ecn=compat -o df=set -o dscp=46"
		" -o ttl=9 -o flowlabel=flow -o window=adaptive -o cpu=2"
		" -sel 10.1.0.0/16 10.2.0.0/16[1000-2000] udp"
		" -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;\n"
		"add 10.0.0.1 10.0.0.2 esp 4097 -E aes-gcm-16"
		" 0x000102030405060708090a0b0c0d0e0f10111214;"),
	    0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 2);
	dumped(w,
	    "\toptions: ecn=compat df=set dscp=46 ttl=9 flowlabel=flow window=adaptive cpu=2\n"
	    "\twindow: ");
	dumped(w, "(packets)\tlate: 0\tdropped: 0\n"
		  "\tselectors: 10.1.0.0/16 10.2.0.0/16[1000-2000] udp\n\tsadb_seq=");
	/* Nothing of it at the plain one. */
	assert_null(strstr(strstr(w->out, "options:") + 1, "options:"));
}

#define GCM_KEY " -E aes-gcm-16 0x000102030405060708090a0b0c0d0e0f10111213;"

static void
a_fixed_mtu_of_an_sa(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 esp 4096 -o mtu=1300" GCM_KEY
				"add 10.0.0.1 10.0.0.2 esp 4097" GCM_KEY),
	    0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 2);
	dumped(w, "\toptions: mtu=1300\n");
	assert_null(strstr(strstr(w->out, "options:") + 1, "options:"));
	/* An update that says nothing of it leaves it; one that does changes it. */
	assert_int_equal(run(w, "update 10.0.0.1 10.0.0.2 esp 4096 -lh 100;"), 0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 2);
	dumped(w, "\toptions: mtu=1300\n");
	assert_int_equal(run(w, "update 10.0.0.1 10.0.0.2 esp 4096 -o mtu=552;"), 0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 2);
	dumped(w, "\toptions: mtu=552\n");
	/* Less is never believed of a path of IPv6. */
	assert_int_equal(run(w, "add ::1 ::2 esp 4096 -o mtu=1279" GCM_KEY), EINVAL);
	assert_int_equal(run(w, "add ::1 ::2 esp 4096 -o mtu=1280" GCM_KEY), 0);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 ah 4096 -o mtu=1500 -A hmac-sha1"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"),
	    0);
}

static void
d41_ranges_and_type_0_in_policies(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    run(w, "spdadd 10.0.0.1[1000-2000] 10.0.0.2 tcp -P out none;\n"
		   "spdadd 10.0.0.1 10.0.0.2 icmp type 0 -P out none;\n"
		   "spdadd 10.0.0.1 10.0.0.2 icmp -P out none;\n" /* not the same selectors */
		   "spdadd ::1 ::2 icmp6 type 1-4 code 0 -P in discard;\n"
		   "spdadd 10.0.0.1 10.0.0.2 gre 5 -P out none;"),
	    0);
	assert_int_equal(run(w, "spdadd 10.0.0.1 10.0.0.2 icmp type 0 -P out discard;"), EEXIST);
	assert_int_equal(dump(w, TDO_SADB_X_SPDDUMP), 5);
	dumped(w, "10.0.0.1[1000-2000] 10.0.0.2[any] 6(tcp)\n\tout none\n");
	dumped(w, "10.0.0.1 10.0.0.2 1(icmp) 0,any\n\tout none\n");
	dumped(w, "10.0.0.1 10.0.0.2 1(icmp)\n\tout none\n");
	dumped(w, "::1 ::2 58(ipv6-icmp) 1-4,0\n\tin discard\n");
	dumped(w, "10.0.0.1 10.0.0.2 47(gre) 5\n\tout none\n");
	assert_int_equal(run(w, "spddelete 10.0.0.1 10.0.0.2 icmp type 0 -P out;\n"
				"spddelete 10.0.0.1[1000-2000] 10.0.0.2 tcp -P out;"),
	    0);
	assert_int_equal(run(w, "spddelete 10.0.0.1[1000-1999] 10.0.0.2 tcp -P out;"), ENOENT);
	assert_int_equal(dump(w, TDO_SADB_X_SPDDUMP), 3);
}

static void
settings_of_a_policy(void **state)
{
	struct world *w = *state;
	struct tdo_sadb_tdo_sp own;

	assert_int_equal(
	    run(w, "spdadd 10.0.0.1 10.0.0.2 any -o ecn=ignore -o hold -o pfp=src,dport"
		   " -P out ipsec esp/transport//require;"),
	    0);
	assert_true(tdo_sadb_get_tdo_sp(&w->m, &own)); /* also in the answer */
	assert_true(own.hold);
	assert_int_equal(dump(w, TDO_SADB_X_SPDDUMP), 1);
	dumped(w, "\toptions: ecn=ignore hold pfp=src,dport\n\tspid=");
	assert_int_equal(run(w, "spdupdate 10.0.0.1 10.0.0.2 any"
				" -P out ipsec esp/transport//require;"),
	    0);
	assert_false(tdo_sadb_get_tdo_sp(&w->m, &own));
	assert_int_equal(dump(w, TDO_SADB_X_SPDDUMP), 1);
	assert_null(strstr(w->out, "options"));
}

/* D11: numbers of users above 65535 are kept, those between are picked; all are dumped. */
static void
d11_long_request_ids_are_in_dumps(void **state)
{
	struct world *w = *state;
	struct tdo_sadb_policy pol;

	assert_int_equal(run(w, "spdadd 10.0.0.1 10.0.0.2 tcp -P out ipsec esp/transport//unique:5"
				" ah/transport//unique:4294967295;"),
	    0);
	assert_true(tdo_sadb_get_policy(&w->m, &pol));
	assert_int_equal(pol.req[0].reqid, 5);
	assert_int_equal(pol.req[1].reqid, UINT32_MAX);
	assert_int_equal(
	    run(w, "spdadd 10.0.0.1 10.0.0.2 udp -P out ipsec esp/transport//unique:20000;"), 0);
	assert_true(tdo_sadb_get_policy(&w->m, &pol));
	assert_in_range(pol.req[0].reqid, TDO_REQID_MANUAL_MAX + 1, UINT16_MAX);
	assert_int_equal(dump(w, TDO_SADB_X_SPDDUMP), 2);
	dumped(w, "\tesp/transport//unique:5\n\tah/transport//unique:4294967295\n");
	dumped(w, "\tesp/transport//unique#16");
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 esp 4096 -u 4294967295 -E null;"), 0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 1);
	dumped(w, " reqid=4294967295(0xffffffff)\n");
}

/* Built without libdeflate? */
static bool
can_compress(void)
{
	struct tdo_comp *c = NULL;
	int r = tdo_comp_new(&mem, &c);

	tdo_comp_free(c);
	return r == 0;
}

/* The algorithm stands where others have the cipher; there are no keys, also not empty ones. */
static void
ipcomp_goes_in_and_comes_out(void **state)
{
	struct world *w = *state;

	if (!can_compress()) {
		assert_int_equal(
		    run(w, "add 10.0.0.1 10.0.0.2 ipcomp 10000 -C deflate;"), EOPNOTSUPP);
		return;
	}
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 ipcomp 10000 -m tunnel -C deflate;"
				"add 10.0.0.1 10.0.0.2 ipcomp 3000 -C deflate -R;"
				"add ::1 ::2 ipcomp 0x10200 -C deflate -R;"
				"get 10.0.0.1 10.0.0.2 ipcomp 10000;"),
	    0);
	assert_false(tdo_sadb_has(&w->m, TDO_SADB_EXT_KEY_ENCRYPT));
	assert_int_equal(dump(w, TDO_SADB_DUMP), 3);
	dumped(w, "10.0.0.1 10.0.0.2 \n"
		  "\tipcomp mode=tunnel spi=10000(0x00002710) reqid=0(0x00000000)\n"
		  "\tC: deflate\n"
		  "\tseq=0x00000000 replay=0 flags=0x00000040 state=mature \n");
	dumped(w, "spi=3000(0x00000bb8) reqid=0(0x00000000)\n\tC: deflate\n"
		  "\tseq=0x00000000 replay=0 flags=0x000000c0 state=mature \n");
	dumped(w, "spi=66048(0x00010200)");
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.3 ipcomp 3000 -C lzs;"), EOPNOTSUPP);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.3 ipcomp 3000 -C oui;"), EOPNOTSUPP);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.3 ipcomp 200 -C deflate -R;"), EINVAL);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 ipcomp 3000 -C deflate;"), EEXIST);
	/* The number belongs to the protocol. */
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 esp 10000 -E null;"), 0);
	assert_int_equal(run(w, "update 10.0.0.1 10.0.0.2 ipcomp 3000 -C deflate;"), 0);
	assert_int_equal(run(w, "delete 10.0.0.1 10.0.0.2 ipcomp 3000;"), 0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 3);
	assert_int_equal(run(w, "deleteall 10.0.0.1 10.0.0.2 ipcomp;"), 0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 2);
	assert_int_equal(run(w, "flush ipcomp;"), 0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 1);
	dumped(w, "\tesp mode=any spi=10000");
}

/* spec 2.7: the key of AH alone; it encrypts nothing. */
static void
ah_goes_in_and_comes_out(void **state)
{
	struct world *w = *state;

	assert_int_equal(
	    run(w, "add 10.0.0.1 10.0.0.2 ah 9877 -m transport -u 7 -r 4"
		   " -A hmac-sha1 0x000102030405060708090a0b0c0d0e0f10111213;"
		   "add ::1 ::2 ah 4096 -m tunnel -o align=4 -A aes-128-gmac"
		   " 0x000102030405060708090a0b0c0d0e0f10111213;"
		   "add ::1 ::2 ah 4097 -esn -A hmac-sha256"
		   " 0x6162636461626364616263646162636461626364616263646162636461626364;"
		   "get 10.0.0.1 10.0.0.2 ah 9877;"),
	    0);
	assert_false(tdo_sadb_has(&w->m, TDO_SADB_EXT_KEY_ENCRYPT));
	assert_int_equal(dump(w, TDO_SADB_DUMP), 3);
	dumped(w, "10.0.0.1 10.0.0.2 \n"
		  "\tah mode=transport spi=9877(0x00002695) reqid=7(0x00000007)\n"
		  "\tA: hmac-sha1  00010203 04050607 08090a0b 0c0d0e0f 10111213\n"
		  "\tseq=0x00000000 replay=4 flags=0x00000040 state=mature \n");
	dumped(w, "::1 ::2 \n\tah mode=tunnel spi=4096(0x00001000) reqid=0(0x00000000)\n"
		  "\tA: aes-128-gmac  00010203 04050607 08090a0b 0c0d0e0f 10111213\n");
	dumped(w, "\toptions: align=4\n");
	/* The same number is free for ESP, and at another destination. */
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 esp 9877 -E aes-gcm-16"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"
				"add 10.0.0.1 10.0.0.3 ah 9877 -A hmac-sha1"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"
				"delete 10.0.0.1 10.0.0.3 ah 9877;"),
	    0);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 ah 9877 -A hmac-sha1"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"),
	    EEXIST);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 ah 255 -A hmac-sha1"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"),
	    EINVAL);
	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 esp 5000 -o align=4 -E aes-gcm-16"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"),
	    EINVAL);
	/* An update of a lifetime leaves key and alignment; getspi makes a larval one. */
	assert_int_equal(run(w, "update ::1 ::2 ah 4096 -lh 100;"
				"getspi 10.0.0.1 10.0.0.2 ah 5000;"),
	    0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 5);
	dumped(w, "\tA: aes-128-gmac  00010203");
	dumped(w, "\toptions: align=4\n");
	dumped(w, "\tah mode=any spi=5000(0x00001388) reqid=0(0x00000000)\n");
	assert_int_equal(run(w, "update 10.0.0.1 10.0.0.2 ah 5000 -A hmac-sha1"
				" 0x000102030405060708090a0b0c0d0e0f10111213;"
				"flush ah;"),
	    0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 1);
	dumped(w, "\tesp mode=any spi=9877");
}

static void
d44_an_update_moves_the_sa(void **state)
{
	struct world *w = *state;

	assert_int_equal(run(w, "add 10.0.0.1 10.0.0.2 esp 4096 -m tunnel -E aes-cbc"
				" 0x000102030405060708090a0b0c0d0e0f;\n"
				"update 10.0.0.1 10.0.0.2 esp 4096 -m tunnel"
				" -new 10.0.0.1 192.0.2.9;"),
	    0);
	assert_int_equal(dump(w, TDO_SADB_DUMP), 1);
	dumped(w, "10.0.0.1 192.0.2.9 \n\tesp mode=tunnel spi=4096(0x00001000)");
	dumped(w, "\tE: aes-cbc  00010203 04050607 08090a0b 0c0d0e0f\n");
	assert_int_equal(run(w, "get 10.0.0.1 10.0.0.2 esp 4096;"), ENOENT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(settings_and_selectors_of_an_sa, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_fixed_mtu_of_an_sa, setup, teardown),
	    cmocka_unit_test_setup_teardown(d41_ranges_and_type_0_in_policies, setup, teardown),
	    cmocka_unit_test_setup_teardown(settings_of_a_policy, setup, teardown),
	    cmocka_unit_test_setup_teardown(d11_long_request_ids_are_in_dumps, setup, teardown),
	    cmocka_unit_test_setup_teardown(ipcomp_goes_in_and_comes_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(ah_goes_in_and_comes_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(d44_an_update_moves_the_sa, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
