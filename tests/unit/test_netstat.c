/* SPDX-License-Identifier: BSD-2-Clause */
/* "testudo netstat" and "testudo drops": the very lines, and the form of the JSON. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "daemon/blames.h"
#include "daemon/counters.h"
#include "engine/engine.h"
#include "testudo/drops_print.h"
#include "testudo/netstat_print.h"
#include "wire/pfkey_proto.h"

static struct tdo_crypto *crypto;
static struct tdo_engine *engine;
static struct tdo_pfkey_stats pfkey;
static json_t *answer;

static void *
mem_alloc(void *ctx, size_t n)
{
	return calloc(1, n);
}

static void
mem_free(void *ctx, void *p, size_t n)
{
	free(p);
}

static void
no_random(void *ctx, void *buf, size_t n)
{
	memset(buf, 7, n);
}

static void
ask(void)
{
	const struct tdo_counter_from from = {.e = engine, .pfkey = &pfkey, .guard_drops = 2};

	json_decref(answer);
	answer = tdo_counters_json(&from);
	assert_non_null(answer);
}

static int
open_all(void **state)
{
	struct tdo_crypto_config cc = {.mem = {mem_alloc, mem_free, NULL}, .nworkers = 1};
	struct tdo_engine_config ec = {
	    .mem = {mem_alloc, mem_free, NULL}, .random = no_random, .nworkers = 1};

	assert_int_equal(tdo_crypto_new(&cc, &crypto), 0);
	ec.crypto = crypto;
	assert_int_equal(tdo_engine_new(&ec, &engine), 0);
	return 0;
}

static int
close_all(void **state)
{
	json_decref(answer);
	answer = NULL;
	tdo_worker_idle(tdo_engine_worker(engine, 0));
	tdo_engine_free(engine);
	tdo_crypto_free(crypto);
	memset(&pfkey, 0, sizeof(pfkey));
	return 0;
}

static void
expect(const char *protocol, bool brief, const char *want)
{
	char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	assert_non_null(f);
	assert_true(tdo_netstat_print(f, answer, protocol, brief));
	assert_int_equal(fclose(f), 0);
	assert_string_equal(got, want);
	free(got);
}

/* A little of everything. */
static void
count(void)
{
	struct tdo_worker *w = tdo_engine_worker(engine, 0);

	tdo_worker_count_drop(w, TDO_AT_IN, TDO_REASON_IN_CLEAR, 3);
	tdo_worker_count_drop(w, TDO_AT_OUT, TDO_REASON_OUT_NO_SA, 4);
	tdo_worker_count_drop(w, TDO_AT_ESP_IN, TDO_REASON_IN_ICV, 1);
	tdo_worker_count_drop(w, TDO_AT_AH_IN, TDO_REASON_IN_REPLAY_OLD, 2);
	tdo_worker_count_drop(w, TDO_AT_IPCOMP_IN, TDO_REASON_IN_NO_SA, 6);
	tdo_worker_stat(w, TDO_STAT_ESP_IN, 12);
	tdo_worker_stat(w, TDO_STAT_ESP_OUT, 5);
	tdo_worker_stat(w, TDO_STAT_ESP_IN_BYTES, 5000000000);
	tdo_worker_stat(w, TDO_STAT_TUNNEL_OUT, 8);
	atomic_store(&w->used[0][tdo_used_slot(TDO_IPPROTO_ESP, 12, true)], 10);
	atomic_store(&w->used[1][tdo_used_slot(TDO_IPPROTO_ESP, 20, true)], 5);
	atomic_store(&w->used[0][tdo_used_slot(TDO_IPPROTO_ESP, 99, false)], 1);
	atomic_store(&w->used[0][tdo_used_slot(TDO_IPPROTO_AH, 5, true)], 4);
	atomic_store(&w->used[1][tdo_used_slot(TDO_IPPROTO_IPCOMP, 2, true)], 3);
	pfkey.out_total = 2;
	pfkey.out_bytes = 1;
	pfkey.out_msgtype[TDO_SADB_X_SPDADD] = 2;
	pfkey.in_total = 7;
	pfkey.in_msgtype[TDO_SADB_ADD] = 7;
	ask();
}

static void
lines_without_zeros(void **state)
{
	count();
	expect(NULL, true,
	    "(Fast) IPsec:\n"
	    "\t5 policy violations: 3 input 2 output\n"
	    "\t4 no SA found (output)\n"
	    "\n"
	    "IPsec ah:\n"
	    "\t2 ah packets dropped for possible replay\n"
	    "\tah histogram:\n"
	    "\t\tah packets with hmac-sha2-256: 4\n"
	    "\n"
	    "IPsec esp:\n"
	    "\t12 esp input packets processed\n"
	    "\t5 esp output packets processed\n"
	    "\t1 esp packets with bad authentication\n"
	    "\tesp histogram:\n"
	    "\t\tesp packets with aes-cbc: 10\n"
	    "\t\tesp packets with aes-gcm-16: 5\n"
	    "\t\tesp packets with alg#99: 1\n"
	    "\t5000000000 esp bytes received\n"
	    "\n"
	    "IPsec ipip:\n"
	    "\t8 ipip total output packets\n"
	    "\n"
	    "IPsec ipcomp:\n"
	    "\t6 ipcomp packets with no SA\n"
	    "\tIPcomp histogram:\n"
	    "\t\tIPcomp packets with deflate: 3\n"
	    "\n"
	    "pfkey:\n"
	    "\t2 requests sent from userland\n"
	    "\t1 byte sent from userland\n"
	    "\thistogram by message type:\n"
	    "\t\tx_spdadd: 2\n"
	    "\t7 requests sent to userland\n"
	    "\thistogram by message type:\n"
	    "\t\tadd: 7\n");
}

static const char zeros_ipsec[] = "(Fast) IPsec:\n"
				  "\t2 policy violations: 0 input 2 output\n"
				  "\t0 no SA found (output)\n"
				  "\t0 no memory available (output)\n"
				  "\t0 no route available (output)\n"
				  "\t0 generic errors (output)\n"
				  "\t0 bundled SA processed (output)\n"
				  "\t0 SPD cache lookups\n"
				  "\t0 SPD cache misses\n"
				  "\n";
static const char zeros_ah[] = "IPsec ah:\n"
			       "\t0 ah input packets processed\n"
			       "\t0 ah output packets processed\n"
			       "\t0 ah headers too short\n"
			       "\t0 ah headers for unsupported address family\n"
			       "\t0 ah packets with no SA\n"
			       "\t0 ah packets dropped by crypto returning NULL mbuf\n"
			       "\t0 ah packets with bad authentication\n"
			       "\t0 ah packets with no xform\n"
			       "\t0 ah packets dropped due to queue full\n"
			       "\t0 ah packets dropped for replay counter wrap\n"
			       "\t0 ah packets dropped for possible replay\n"
			       "\t0 ah packets dropped for bad authenticator length\n"
			       "\t0 ah packets with an invalid SA\n"
			       "\t0 ah packets too big\n"
			       "\t0 ah packets blocked due to policy\n"
			       "\t0 ah failed crypto requests\n"
			       "\t0 ah tunnel sanity check failures\n"
			       "\tah histogram:\n"
			       "\t0 ah bytes received\n"
			       "\t0 ah bytes transmitted\n";
static const char zeros_esp[] = "IPsec esp:\n"
				"\t0 esp input packets processed\n"
				"\t0 esp output packets processed\n"
				"\t0 esp headers too short\n"
				"\t0 esp headers for unsupported address family\n"
				"\t0 esp packets with no SA\n"
				"\t0 esp packets dropped by crypto returning NULL mbuf\n"
				"\t0 esp packets dropped due to queue full\n"
				"\t0 esp packets with no xform\n"
				"\t0 esp packets with bad ilen\n"
				"\t0 esp packets with bad encryption\n"
				"\t0 esp packets with bad authentication\n"
				"\t0 esp packets dropped for replay counter wrap\n"
				"\t0 esp packets dropped for possible replay\n"
				"\t0 esp packets with an invalid SA\n"
				"\t0 esp packets too big\n"
				"\t0 esp packets blocked due to policy\n"
				"\t0 esp failed crypto requests\n"
				"\t0 esp tunnel sanity check failures\n"
				"\tesp histogram:\n"
				"\t0 esp bytes received\n"
				"\t0 esp bytes transmitted\n";
static const char zeros_ipip[] = "IPsec ipip:\n"
				 "\t0 ipip total input packets\n"
				 "\t0 ipip total output packets\n"
				 "\t0 ipip packets too short for header length\n"
				 "\t0 ipip packets dropped due to queue full\n"
				 "\t0 ipip packets blocked due to policy\n"
				 "\t0 ipip IP spoofing attempts\n"
				 "\t0 ipip protocol family mismatched\n"
				 "\t0 ipip missing tunnel-endpoint address\n"
				 "\t0 ipip input bytes received\n"
				 "\t0 ipip output bytes processed\n";
static const char zeros_ipcomp[] = "IPsec ipcomp:\n"
				   "\t0 ipcomp packets too short for header length\n"
				   "\t0 ipcomp protocol family not supported\n"
				   "\t0 ipcomp packets with no SA\n"
				   "\t0 ipcomp packets dropped by crypto returning NULL mbuf\n"
				   "\t0 ipcomp queue full\n"
				   "\t0 ipcomp no support for transform\n"
				   "\t0 ipcomp packets dropped for replay counter wrap\n"
				   "\t0 ipcomp input IPcomp packets\n"
				   "\t0 ipcomp output IPcomp packets\n"
				   "\t0 ipcomp packets with an invalid SA\n"
				   "\t0 ipcomp packets decompressed as too big\n"
				   "\t0 ipcomp packets too short to be compressed\n"
				   "\t0 ipcomp packet for which compression was useless\n"
				   "\t0 ipcomp packets blocked due to policy\n"
				   "\t0 ipcomp failed crypto requests\n"
				   "\tIPcomp histogram:\n"
				   "\t0 ipcomp input bytes\n"
				   "\t0 ipcomp output bytes\n";
static const char zeros_pfkey[] = "pfkey:\n"
				  "\t0 requests sent from userland\n"
				  "\t0 bytes sent from userland\n"
				  "\t0 messages with invalid length field\n"
				  "\t0 messages with invalid version field\n"
				  "\t0 messages with invalid message type field\n"
				  "\t0 messages too short\n"
				  "\t0 messages with memory allocation failure\n"
				  "\t0 messages with duplicate extension\n"
				  "\t0 messages with invalid extension type\n"
				  "\t0 messages with invalid sa type\n"
				  "\t0 messages with invalid address extension\n"
				  "\t0 requests sent to userland\n"
				  "\t0 bytes sent to userland\n"
				  "\t0 messages toward single socket\n"
				  "\t0 messages toward all sockets\n"
				  "\t0 messages toward registered sockets\n"
				  "\t0 messages with memory allocation failure\n";

/* Every line, in the order of NetBSD, also of what was never counted. */
static void
lines_with_zeros(void **state)
{
	static char all[8192];

	ask();
	(void)snprintf(all, sizeof(all), "%s%s\n%s\n%s\n%s\n", zeros_ipsec, zeros_ah, zeros_esp,
	    zeros_ipip, zeros_ipcomp);
	all[strlen(all) - 1] = '\0'; /* no empty line behind the last */
	expect("ipsec", false, all);
	expect("ah", false, zeros_ah);
	expect("esp", false, zeros_esp);
	expect("ipip", false, zeros_ipip);
	expect("ipcomp", false, zeros_ipcomp);
	expect("pfkey", false, zeros_pfkey);
	expect("pfkey", true, "pfkey:\n");
	assert_false(tdo_netstat_print(stdout, answer, "tcp", false));
}

static void
kame_has_its_own_names(void **state)
{
	count();
	expect("kame", true,
	    "ipsec:\n"
	    "\t3 inbound packets violated process security policy\n"
	    "\t6 inbound packets with no SA available\n"
	    "\t2 inbound packets failed on AH replay check\n"
	    "\t4 inbound packets considered authentic\n"
	    "\tAH input histogram:\n"
	    "\t\thmac-sha2-256: 4\n"
	    "\tESP input histogram:\n"
	    "\t\taes-cbc: 10\n"
	    "\t\talg#99: 1\n"
	    "\t2 outbound packets violated process security policy\n"
	    "\t4 outbound packets with no SA available\n"
	    "\tESP output histogram:\n"
	    "\t\taes-gcm-16: 5\n"
	    "\tIPComp output histogram:\n"
	    "\t\tdeflate: 3\n");
}

/* ---- JSON ---- */

static json_int_t
get_int(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	assert_true(json_is_integer(v));
	return json_integer_value(v);
}

static const char *
get_str(const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);

	assert_true(json_is_string(v));
	return json_string_value(v);
}

static void
check_counter(const json_t *c)
{
	size_t i, members = 4;
	json_int_t sum = 0;
	const json_t *e;

	(void)get_str(c, "label");
	assert_true(get_str(c, "name")[0] != '\0');
	assert_in_range(get_int(c, "index"), 0, 1555);
	assert_true(get_int(c, "count") >= 0);
	if (json_object_get(c, "never") != NULL) {
		members++;
		assert_true(get_str(c, "never")[0] != '\0');
		assert_int_equal(get_int(c, "count"), 0);
	}
	if (json_object_get(c, "slots") != NULL) {
		json_t *entries = json_object_get(c, "entries");

		members += 2;
		assert_true(json_is_array(entries));
		json_array_foreach(entries, i, e)
		{
			assert_int_equal(json_object_size(e), 3);
			assert_in_range(get_int(e, "number"), 0, 255);
			assert_true(get_str(e, "name")[0] != '\0');
			sum += get_int(e, "count");
		}
		assert_int_equal(sum, get_int(c, "count"));
	}
	assert_int_equal(json_object_size(c), members);
}

static void
json_has_a_schema(void **state)
{
	static const char *const names[] = {
	    "ipsec", "ah", "esp", "ipip", "ipcomp", "pfkey", "kame"};
	json_t *groups, *g, *c;
	size_t i, k, n = 0;

	count();
	groups = json_object_get(answer, "groups");
	assert_int_equal(json_object_size(answer), 1);
	assert_int_equal(json_array_size(groups), 7);
	json_array_foreach(groups, i, g)
	{
		assert_int_equal(json_object_size(g), 4);
		assert_string_equal(get_str(g, "group"), names[i]);
		(void)get_str(g, "heading");
		(void)get_str(g, "prefix");
		json_array_foreach(json_object_get(g, "counters"), k, c) check_counter(c);
		n += k;
	}
	assert_int_equal(n, TDO_COUNTER_COUNT);
}

/* A number beyond 2^53 is what it is: no floating point on the way. */
static void
large_numbers_stay_exact(void **state)
{
	char *text;

	tdo_worker_stat(tdo_engine_worker(engine, 0), TDO_STAT_ESP_IN_BYTES, 9007199254740993);
	ask();
	text = json_dumps(answer, 0);
	assert_non_null(strstr(text, "\"count\": 9007199254740993"));
	free(text);
}

/* ---- drops by SA and policy ---- */

#define NOW (1000 * TDO_SEC)

static struct tdo_addr
address(const char *s)
{
	struct tdo_addr a;

	assert_int_equal(tdo_addr_parse(s, strlen(s), &a), 0);
	return a;
}

static void
drop_for(struct tdo_sa *sa, const struct tdo_sp *sp, enum tdo_reason r, uint32_t seconds_ago)
{
	struct tdo_pkt p = {.sp = sp, .seq = 7};

	p.ip.flow = (struct tdo_flow){.src = address("10.0.0.1"),
	    .dst = address("10.0.0.2"),
	    .proto = 17,
	    .has_ports = true,
	    .sport = 1000,
	    .dport = 2000};
	tdo_worker_drop(tdo_engine_worker(engine, 0), &p, sa, r, NOW - seconds_ago * TDO_SEC);
}

static struct tdo_sa *
an_sa(uint32_t spi)
{
	static const uint8_t key[36] = {1};
	struct tdo_sa_param p = {
	    .key = {TDO_SATYPE_ESP, spi, address("192.0.2.1"), address("192.0.2.2")},
	    .mode = TDO_MODE_TRANSPORT,
	    .ealg = tdo_alg_enc_by_name("aes-gcm-16")->pfkey,
	    .ekey = key,
	    .ekey_bits = 160,
	};

	assert_int_equal(tdo_sa_add(engine, &p, NOW, NULL), 0);
	return tdo_sad_find_in(engine, &p.key.dst, spi, TDO_IPPROTO_ESP);
}

static const struct tdo_sp *
a_policy(void)
{
	struct tdo_sp_param p = {.dir = TDO_DIR_OUT,
	    .type = TDO_POLICY_DISCARD,
	    .prio = TDO_PRIO_DEFAULT,
	    .sel = {.src = address("10.0.0.0"),
		.dst = address("10.0.0.2"),
		.src_plen = 8,
		.dst_plen = 32,
		.proto = 17,
		.sport = TDO_RANGE_ANY,
		.dport = {1999, 2001}}};
	struct tdo_flow f = {.src = address("10.0.0.1"),
	    .dst = address("10.0.0.2"),
	    .proto = 17,
	    .has_ports = true,
	    .sport = 1000,
	    .dport = 2000};

	assert_int_equal(tdo_sp_add(engine, &p, NOW, NULL, NULL), 0);
	return tdo_spd_match(engine, TDO_DIR_OUT, &f).sp;
}

static void
expect_drops(const json_t *j, const char *kind, const char *want)
{
	char *got = NULL;
	size_t len;
	FILE *f = open_memstream(&got, &len);

	assert_non_null(f);
	tdo_drops_print(f, j, kind);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(got, want);
	free(got);
}

#define REPLAY_LINES                                                                               \
	"             3 in-sequence-zero: the sequence number is zero\n"                           \
	"               remedy: the peer is not conforming, or sends test traffic\n"
#define LAST "               last: 10.0.0.1 -> 10.0.0.2 protocol 17 ports 1000 -> 2000"
#define POLICY_LINES                                                                               \
	"policy 1 out 10.0.0.0/8[any] 10.0.0.2/32[1999-2001] 17: 1 dropped\n"                      \
	"             1 out-policy-discard: an outbound policy says discard\n"                     \
	"               remedy: setkey -DP shows the policies in the order in which they are "     \
	"searched\n" LAST ", 40 s ago\n"

static void
drops_are_named(void **state)
{
	struct tdo_sa *one = an_sa(0x1000), *two = an_sa(0x1001);
	json_t *j = tdo_blames_json(engine, 100, NOW), *sa;

	expect_drops(j, NULL, "");
	json_decref(j);
	drop_for(one, NULL, TDO_REASON_IN_REPLAY_ZERO, 9);
	for (unsigned i = 0; i < 3; i++)
		drop_for(two, NULL, TDO_REASON_IN_REPLAY_ZERO, 3 - i);
	drop_for(NULL, a_policy(), TDO_REASON_OUT_POLICY_DISCARD, 40);
	j = tdo_blames_json(engine, 100, NOW);
	expect_drops(j, "sas",
	    "SA 192.0.2.1 192.0.2.2 esp 0x00001001: 3 dropped\n" REPLAY_LINES LAST
	    " spi 0x00001001 seq 7, 1 s ago\n"
	    "SA 192.0.2.1 192.0.2.2 esp 0x00001000: 1 dropped\n"
	    "             1 in-sequence-zero: the sequence number is zero\n"
	    "               remedy: the peer is not conforming, or sends test traffic\n" LAST
	    " spi 0x00001000 seq 7, 9 s ago\n");
	expect_drops(j, "policies", POLICY_LINES);
	sa = json_array_get(json_object_get(j, "sas"), 0);
	assert_int_equal(get_int(sa, "spi"), 0x1001);
	assert_int_equal(get_int(sa, "drops"), 3);
	assert_string_equal(get_str(sa, "satype"), "esp");
	assert_string_equal(get_str(sa, "src"), "192.0.2.1");
	sa = json_array_get(json_object_get(sa, "reasons"), 0);
	assert_string_equal(get_str(sa, "name"), "in-sequence-zero");
	assert_int_equal(get_int(sa, "count"), 3);
	assert_true(get_str(sa, "remedy")[0] != '\0');
	assert_int_equal(get_int(json_object_get(sa, "last"), "sport"), 1000);
	json_decref(j);
	/* The worst come first, and it is said how many do not come. */
	j = tdo_blames_json(engine, 1, NOW);
	assert_int_equal(json_array_size(json_object_get(j, "sas")), 1);
	assert_int_equal(get_int(j, "more-sas"), 1);
	assert_int_equal(get_int(j, "more-policies"), 0);
	assert_int_equal(get_int(j, "unattributed"), 0);
	expect_drops(j, NULL,
	    "SA 192.0.2.1 192.0.2.2 esp 0x00001001: 3 dropped\n" REPLAY_LINES LAST
	    " spi 0x00001001 seq 7, 1 s ago\n"
	    "and 1 more SAs with fewer drops\n" POLICY_LINES);
	json_decref(j);
}

#define T(t) cmocka_unit_test_setup_teardown(t, open_all, close_all)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(lines_without_zeros),
	    T(lines_with_zeros),
	    T(kame_has_its_own_names),
	    T(json_has_a_schema),
	    T(large_numbers_stay_exact),
	    T(drops_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
