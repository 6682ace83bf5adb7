/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings: names, defaults, limits, and what those do that have no test elsewhere. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "built.h"
#include "crypto/driver.h"
#include "ctl_case.h"
#include "engine/engine.h"

#define A "192.0.2.1"
#define B "192.0.2.2"

static struct tdo_driver hardware;

/* A device that can do what OpenSSL can. */
static int
setup_hardware(void **state)
{
	(void)state;
	hardware = tdo_driver_openssl;
	hardware.name = "fake device";
	hardware.hardware = true;
	ctl_open_driver(&c, 1, &hardware);
	return 0;
}

/* ---- the list ----------------------------------------------------------------------- */

enum kind { RANGE, READ_ONLY, ONE_VALUE };

/* Written down a second time, so that no line is changed without intention. */
static const struct row {
	enum tdo_knob knob;
	const char *names; /* all of the value that name4 has, separated by blanks */
	const char *six;   /* all of the one for IPv6, or "" */
	enum kind kind;
	int32_t def, min, max;
} rows[] = {
#define IP(x)     "net.inet.ipsec." x
#define IP6(x)    "net.inet6.ipsec6." x
#define BOTH(x)   IP(x), IP6(x)
#define SHARED(x) IP(x) " " IP6(x), ""
    {TDO_KNOB_DEF_POLICY, BOTH("def_policy"), RANGE, 1, 0, 1},
    {TDO_KNOB_ESP_TRANS_DEFLEV, IP("esp_trans_deflev") " net.inet.esp.trans_deflev",
	IP6("esp_trans_deflev") " net.inet6.esp6.trans_deflev", RANGE, 1, 1, 2},
    {TDO_KNOB_ESP_NET_DEFLEV, IP("esp_net_deflev") " net.inet.esp.net_deflev",
	IP6("esp_net_deflev") " net.inet6.esp6.net_deflev", RANGE, 1, 1, 2},
    {TDO_KNOB_AH_TRANS_DEFLEV, IP("ah_trans_deflev") " net.inet.ah.trans_deflev",
	IP6("ah_trans_deflev") " net.inet6.ah6.trans_deflev", RANGE, 1, 1, 2},
    {TDO_KNOB_AH_NET_DEFLEV, IP("ah_net_deflev") " net.inet.ah.net_deflev",
	IP6("ah_net_deflev") " net.inet6.ah6.net_deflev", RANGE, 1, 1, 2},
    {TDO_KNOB_DFBIT, IP("dfbit"), "", RANGE, 2, 0, 2},
    {TDO_KNOB_FRAG_FIRST, IP("frag_first"), "", RANGE, 0, 0, 1},
    {TDO_KNOB_ECN, BOTH("ecn"), RANGE, 0, -1, 3},
    {TDO_KNOB_DSCP, BOTH("dscp"), RANGE, -1, -1, 63},
    {TDO_KNOB_HOPLIMIT, BOTH("hoplimit"), RANGE, 64, 1, 255},
    {TDO_KNOB_FLOWLABEL, IP6("flowlabel"), "", RANGE, 0, 0, 2},
    {TDO_KNOB_ESP_RANDPAD, BOTH("esp_randpad"), RANGE, -1, -1, 65535},
    {TDO_KNOB_TFC_PAD, BOTH("tfc_pad"), RANGE, 0, 0, 65535},
    {TDO_KNOB_TFC_DUMMIES, IP("tfc_dummies"), "", RANGE, 1000, 0, 1000000},
    {TDO_KNOB_TEST_REPLAY, IP("test_replay"), "", RANGE, 0, 0, 1},
    {TDO_KNOB_TEST_INTEGRITY, IP("test_integrity"), "", RANGE, 0, 0, 1},
    {TDO_KNOB_CTR_COMPATIBILITY, "net.inet.esp.ctr_compatibility", "", ONE_VALUE, 0, 0, 0},
    {TDO_KNOB_ENABLED, SHARED("enabled"), RANGE, 1, 0, 2},
    {TDO_KNOB_USED, SHARED("used"), READ_ONLY, 0, 0, 0},
    {TDO_KNOB_CRYPTO_SUPPORT, IP("crypto_support"), "", RANGE, 0, -1, 1},
    {TDO_KNOB_CRYPTO_WARN_INTERVAL, IP("crypto_warn_interval"), "", RANGE, 0, 0, 86400},
    {TDO_KNOB_FILTERTUNNEL, BOTH("filtertunnel"), ONE_VALUE, 1, 1, 1},
    {TDO_KNOB_CHECK_POLICY_HISTORY, IP("check_policy_history"), "", ONE_VALUE, 1, 1, 1},
    {TDO_KNOB_ASYNC_CRYPTO, IP("async_crypto"), "", ONE_VALUE, 0, 0, 0},
    {TDO_KNOB_NATT_CKSUM_POLICY, IP("natt_cksum_policy"), "", RANGE, 0, 0, 1},
    {TDO_KNOB_ICMP_PMTU, BOTH("icmp_pmtu"), RANGE, 1, 0, 1},
    {TDO_KNOB_ICMP_LIMIT, IP("icmp_limit"), "", RANGE, 100, 0, 100000},
    {TDO_KNOB_ICMP_QUOTE, BOTH("icmp_quote"), RANGE, 1, 0, 1},
    {TDO_KNOB_PMTU_MAX, BOTH("pmtu_max"), RANGE, 0, 0, 65535},
    {TDO_KNOB_PMTU_PROBE, IP("pmtu_probe"), "", RANGE, 1, 0, 1},
    {TDO_KNOB_REASS_BYTES, IP("reass_bytes"), "", RANGE, 4 << 20, 0, 1 << 30},
    {TDO_KNOB_REASS_DATAGRAMS, IP("reass_datagrams"), "", RANGE, 1024, 4, 65536},
    {TDO_KNOB_REASS_TIMEOUT, BOTH("reass_timeout"), RANGE, 30, 1, 120},
    {TDO_KNOB_DEBUG, BOTH("debug"), RANGE, 0, 0, 1},
    {TDO_KNOB_ESP_ENABLE, "net.inet.esp.esp_enable net.inet6.esp6.esp_enable", "", RANGE, 1, 0, 1},
    {TDO_KNOB_AH_ENABLE, "net.inet.ah.ah_enable net.inet6.ah6.ah_enable", "", RANGE, 1, 0, 1},
    {TDO_KNOB_IPCOMP_ENABLE, "net.inet.ipcomp.ipcomp_enable net.inet6.ipcomp6.ipcomp_enable", "",
	RANGE, 1, 0, 1},
    {TDO_KNOB_AH_CLEARTOS, IP("ah_cleartos") " net.inet.ah.cleartos net.inet.ah.ah_cleartos", "",
	RANGE, 1, 0, 1},
    {TDO_KNOB_AH_OFFSETMASK,
	IP("ah_offsetmask") " net.inet.ah.offsetmask net.inet.ah.ah_offsetmask", "", RANGE, 0, 0,
	0xffff},
    {TDO_KNOB_IPIP_ALLOW, "net.inet.ipip.ipip_allow", "", RANGE, 0, 0, 2},
    {TDO_KNOB_KEY_DEBUG, "net.key.debug", "", RANGE, 0, 0, 0xffff},
    {TDO_KNOB_SPI_TRY, "net.key.spi_try net.key.spi_trycnt", "", RANGE, 1000, 1, 100000},
    {TDO_KNOB_SPI_MIN, "net.key.spi_min_value net.key.spi_minval", "", RANGE, 0x100, 0x100,
	INT32_MAX},
    {TDO_KNOB_SPI_MAX, "net.key.spi_max_value net.key.spi_maxval", "", RANGE, 0x0fffffff, 0x100,
	INT32_MAX},
    {TDO_KNOB_RANDOM_INT, "net.key.random_int net.key.int_random", "", RANGE, 60, 1, 86400},
    {TDO_KNOB_LARVAL_LIFETIME, "net.key.larval_lifetime", "", RANGE, 30, 1, 86400},
    {TDO_KNOB_BLOCKACQ_COUNT, "net.key.blockacq_count", "", RANGE, 10, 0, 1000000},
    {TDO_KNOB_BLOCKACQ_LIFETIME, "net.key.blockacq_lifetime", "", RANGE, 20, 1, 86400},
    {TDO_KNOB_NATT_KEEPALIVE, "net.key.natt_keepalive_interval", "", RANGE, 20, 0, 3600},
    {TDO_KNOB_WEAK_ALGS, "net.key.weak_algs", "", RANGE, 2, 0, 2},
    {TDO_KNOB_ESP_KEYMIN, "net.key.esp_keymin", "", RANGE, 256, 0, 4096},
    {TDO_KNOB_ESP_AUTH, "net.key.esp_auth", "", RANGE, 0, 0, 1},
    {TDO_KNOB_AH_KEYMIN, "net.key.ah_keymin", "", RANGE, 128, 0, 4096},
    {TDO_KNOB_HOLD_PACKETS, "net.key.hold_packets", "", RANGE, 8, 0, 1024},
    {TDO_KNOB_HOLD_BYTES, "net.key.hold_bytes", "", RANGE, 1 << 20, 0, 1 << 30},
    {TDO_KNOB_PREFERED_OLDSA, "net.key.prefered_oldsa net.key.preferred_oldsa", "", RANGE, 0, 0, 1},
    {TDO_KNOB_SPDCACHE_MAXENTRIES, "net.key.spdcache.maxentries", "", READ_ONLY, 16384, 16384,
	16384},
    {TDO_KNOB_SPDCACHE_THRESHOLD, "net.key.spdcache.threshold", "", READ_ONLY, 0, 0, 0},
    {TDO_KNOB_FEATURE, "kern.features.ipsec", "", READ_ONLY, 1, 1, 1},
};

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void
defaults_and_ranges_are_those_of_the_manual(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ROWS; i++) {
		const struct row *r = &rows[i];
		const struct tdo_knob_info *info = tdo_knob_info(r->knob);

		print_message("# %s\n", info->name4);
		assert_int_equal(info->def, r->def);
		assert_int_equal(info->min, r->min);
		assert_int_equal(info->max, r->max);
		assert_int_equal(info->read_only, r->kind == READ_ONLY);
		assert_int_equal(info->why != NULL, r->kind == ONE_VALUE);
		assert_int_equal(info->name6 != NULL, r->six[0] != '\0');
		assert_true(info->help[0] != '\0');
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(rows[j].knob, r->knob);
	}
}

/* Every one of the blank-separated names means this knob. */
static unsigned
check_names(const struct row *r, const char *names, bool six)
{
	char name[64];
	unsigned n = 0;
	int len;

	for (const char *p = names; sscanf(p, "%63s%n", name, &len) == 1; p += len, n++) {
		enum tdo_knob k = TDO_KNOB_COUNT;
		uint8_t af = TDO_AF_NONE;

		assert_int_equal(tdo_knob_find(name, &k, &af), 0);
		assert_int_equal(k, r->knob);
		if (six)
			assert_int_equal(af, TDO_AF_INET6);
		assert_ptr_not_equal(tdo_knob_nearest(name), NULL);
	}
	return n;
}

static void
every_spelling_is_found(void **state)
{
	enum tdo_knob k = TDO_KNOB_COUNT;
	unsigned n = 0, known = 0, pos = 0;
	uint8_t af = TDO_AF_NONE;

	(void)state;
	for (unsigned i = 0; i < ROWS; i++)
		n += check_names(&rows[i], rows[i].names, false) +
		     check_names(&rows[i], rows[i].six, true);
	while (tdo_knob_next_name(&pos))
		known++;
	assert_int_equal(known, n); /* and there are no others */
	assert_int_equal(tdo_knob_find("net.inet.nothing", &k, &af), -ENOENT);
	assert_int_equal(tdo_knob_find("", &k, &af), -ENOENT);
	assert_int_equal(k, TDO_KNOB_COUNT);
	assert_int_equal(af, TDO_AF_NONE);
	/* No name twice. */
	pos = 0;
	for (const char *a; (a = tdo_knob_next_name(&pos)) != NULL;) {
		unsigned rest = pos;

		for (const char *b; (b = tdo_knob_next_name(&rest)) != NULL;)
			assert_string_not_equal(a, b);
	}
}

static const char *
below(enum tdo_knob k, uint8_t af, const char *node)
{
	const char *name = tdo_knob_name_below(k, af, node);

	return name ? name : "";
}

static void
trees_have_each_value_once(void **state)
{
	(void)state;
	assert_string_equal(below(TDO_KNOB_ECN, TDO_AF_INET, ""), IP("ecn"));
	assert_string_equal(below(TDO_KNOB_ECN, TDO_AF_INET6, ""), IP6("ecn"));
	assert_string_equal(below(TDO_KNOB_ECN, TDO_AF_INET6, "net.inet"), "");
	assert_string_equal(below(TDO_KNOB_ECN, TDO_AF_INET, "net.inet.ip"), "");
	/* By another spelling where the proper one is elsewhere. */
	assert_string_equal(
	    below(TDO_KNOB_ESP_NET_DEFLEV, TDO_AF_INET, "net.inet"), IP("esp_net_deflev"));
	assert_string_equal(
	    below(TDO_KNOB_ESP_NET_DEFLEV, TDO_AF_INET, "net.inet.esp"), "net.inet.esp.net_deflev");
	assert_string_equal(below(TDO_KNOB_ESP_NET_DEFLEV, TDO_AF_INET6, "net.inet6.esp6"),
	    "net.inet6.esp6.net_deflev");
	assert_string_equal(below(TDO_KNOB_ESP_NET_DEFLEV, TDO_AF_INET, "net.inet6.esp6"), "");
	assert_string_equal(below(TDO_KNOB_SPI_TRY, TDO_AF_INET, "net.key"), "net.key.spi_try");
	/* One value of both families. */
	assert_string_equal(below(TDO_KNOB_USED, TDO_AF_INET, ""), IP("used"));
	assert_string_equal(below(TDO_KNOB_USED, TDO_AF_INET6, ""), "");
	assert_string_equal(below(TDO_KNOB_USED, TDO_AF_INET, "net.inet6.ipsec6"), IP6("used"));
	assert_string_equal(
	    below(TDO_KNOB_ESP_ENABLE, TDO_AF_INET, "net.inet6.esp6"), "net.inet6.esp6.esp_enable");
}

static void
mistyped_names_are_guessed(void **state)
{
	static const struct {
		const char *typed, *meant;
	} guesses[] = {
	    {"net.inet.ipsec.dfbitt", IP("dfbit")},
	    {"net.inet.ipsec.dbit", IP("dfbit")},
	    {"net.inet.ipsec.dfbjt", IP("dfbit")},
	    {"net.inet.ipec.dfbit", IP("dfbit")},
	    {"dfbit", IP("dfbit")},
	    {"net.ipsec.larval_lifetime", "net.key.larval_lifetime"},
	    {"net.key.prefferred_oldsa", "net.key.preferred_oldsa"},
	    {"net.ipv4.ip_forward", NULL},
	    {"x", NULL},
	    {"", NULL},
	    {"net.inet.ipsec.dfbit.net.inet.ipsec.dfbit.net.inet.ipsec.dfbit.net.inet.ipsec.dfbit",
		NULL},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(guesses) / sizeof(guesses[0]); i++) {
		const char *meant = tdo_knob_nearest(guesses[i].typed);

		if (guesses[i].meant == NULL)
			assert_null(meant);
		else
			assert_string_equal(meant ? meant : "", guesses[i].meant);
	}
}

static void
structures_of_counters_are_known(void **state)
{
	(void)state;
	assert_true(tdo_knob_is_counters("net.inet.ipsec.stats"));
	assert_true(tdo_knob_is_counters("net.inet6.ipcomp6.ipcomp_stats"));
	assert_false(tdo_knob_is_counters("net.inet.ipsec.dfbit"));
	assert_false(tdo_knob_is_counters("net.inet.ipsec.stat"));
}

/* ---- reading and changing ----------------------------------------------------------- */

static int32_t
get(enum tdo_knob k, uint8_t af)
{
	return tdo_knob_get(c.e, k, af);
}

/* What it says when it refuses. */
static void
refused(enum tdo_knob k, uint8_t af, int32_t v, int code, const char *part)
{
	struct tdo_err err = {NULL};
	int32_t before = get(k, af);
	uint32_t g = tdo_engine_generation(c.e);

	assert_int_equal(tdo_knob_change(c.e, k, af, v, &err), code);
	assert_non_null(err.text);
	if (strstr(err.text, part) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", part, err.text);
	assert_int_equal(get(k, af), before);
	assert_int_equal(tdo_engine_generation(c.e), g);
	assert_int_equal(tdo_knob_set(c.e, k, af, v), code);
}

static void
set(enum tdo_knob k, uint8_t af, int32_t v)
{
	assert_int_equal(tdo_knob_set(c.e, k, af, v), 0);
	assert_int_equal(get(k, af), v);
}

static void
check_range(const struct row *r, uint8_t af, uint8_t other)
{
	char takes[48];
	bool own = r->six[0] != '\0';

	snprintf(takes, sizeof(takes), "takes %d to %d", (int)r->min, (int)r->max);
	refused(r->knob, af, r->min - 1, -EINVAL, takes);
	refused(r->knob, af, INT32_MIN, -EINVAL, takes);
	if (r->max < INT32_MAX) {
		refused(r->knob, af, r->max + 1, -EINVAL, takes);
		refused(r->knob, af, INT32_MAX, -EINVAL, takes);
	}
	assert_int_equal(get(r->knob, af), r->def);
	set(r->knob, af, r->max);
	assert_int_equal(get(r->knob, other), own ? r->def : r->max);
	set(r->knob, af, r->min);
	assert_int_equal(get(r->knob, other), own ? r->def : r->min);
	set(r->knob, af, r->def);
}

static void
every_value_is_checked(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * (unsigned)ROWS; i++) {
		const struct row *r = &rows[i / 2];
		uint8_t af = i % 2 ? TDO_AF_INET6 : TDO_AF_INET;

		print_message("# %s\n", tdo_knob_info(r->knob)->name4);
		assert_int_equal(get(r->knob, af), r->def);
		if (r->kind == RANGE) {
			check_range(r, af, i % 2 ? TDO_AF_INET : TDO_AF_INET6);
			continue;
		}
		for (int32_t v = r->def - 1; v <= r->def + 1; v++) {
			if (r->kind == READ_ONLY)
				refused(r->knob, af, v, -EPERM, "cannot be set");
			else if (v != r->def)
				refused(r->knob, af, v, -EINVAL, tdo_knob_info(r->knob)->why);
			else
				set(r->knob, af, v);
		}
	}
}

static void
changes_empty_the_flow_caches(void **state)
{
	uint32_t g = tdo_engine_generation(c.e);

	(void)state;
	set(TDO_KNOB_DFBIT, TDO_AF_INET, 1);
	assert_int_not_equal(tdo_engine_generation(c.e), g);
}

/* More is covered before it is discarded, less afterwards. */
static void
default_policy_tells_the_attachment(void **state)
{
	(void)state;
	set(TDO_KNOB_DEF_POLICY, TDO_AF_INET, 1);
	assert_string_equal(c.cover, "");
	c.cover_result = -ENOBUFS;
	assert_int_equal(tdo_knob_set(c.e, TDO_KNOB_DEF_POLICY, TDO_AF_INET, 0), -ENOBUFS);
	assert_int_equal(get(TDO_KNOB_DEF_POLICY, TDO_AF_INET), 1);
	c.cover_result = 0;
	set(TDO_KNOB_DEF_POLICY, TDO_AF_INET, 0);
	assert_int_equal(get(TDO_KNOB_DEF_POLICY, TDO_AF_INET6), 1);
	set(TDO_KNOB_DEF_POLICY, TDO_AF_INET, 1);
	assert_string_equal(c.cover, "ddc");
}

/* ---- enabled, used ------------------------------------------------------------------ */

static void
add_sa(uint32_t spi)
{
	struct tdo_sa_param p = ctl_sa(A, B, spi, 1);

	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
}

static void
used_with_the_first_policy(void **state)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_OUT, "2001:db8::", 32, "2001:db8::", 32);

	(void)state;
	add_sa(1000);
	assert_int_equal(get(TDO_KNOB_USED, TDO_AF_INET), 0);
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
	/* In both trees, whichever family the policy is of. */
	assert_int_equal(get(TDO_KNOB_USED, TDO_AF_INET), 1);
	assert_int_equal(get(TDO_KNOB_USED, TDO_AF_INET6), 1);
	tdo_sp_flush(c.e);
	assert_int_equal(get(TDO_KNOB_USED, TDO_AF_INET), 0);
	set(TDO_KNOB_ENABLED, TDO_AF_INET, 2); /* always */
	assert_int_equal(get(TDO_KNOB_USED, TDO_AF_INET), 1);
	assert_int_equal(get(TDO_KNOB_USED, TDO_AF_INET6), 1);
}

static void
what_is_in_use_is_not_switched_off(void **state)
{
	struct tdo_sp_param p = ctl_sp(TDO_DIR_IN, "10.0.0.0", 8, "10.0.0.0", 8);
	struct tdo_err err = {NULL};

	(void)state;
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
	refused(TDO_KNOB_ENABLED, TDO_AF_INET, 0, -EBUSY, "there are 1 policies");
	refused(TDO_KNOB_ENABLED, TDO_AF_INET6, 0, -EBUSY, "in use");
	set(TDO_KNOB_ENABLED, TDO_AF_INET, 2);
	refused(TDO_KNOB_ENABLED, TDO_AF_INET, 0, -EBUSY, "in use");
	tdo_sp_flush(c.e);
	set(TDO_KNOB_DEF_POLICY, TDO_AF_INET6, 0);
	refused(TDO_KNOB_ENABLED, TDO_AF_INET, 0, -EBUSY, IP6("def_policy") " is 0");
	set(TDO_KNOB_DEF_POLICY, TDO_AF_INET6, 1);
	set(TDO_KNOB_ENABLED, TDO_AF_INET, 0);
	/* What would not be enforced is not accepted. */
	refused(TDO_KNOB_DEF_POLICY, TDO_AF_INET, 0, -EBUSY, IP("enabled") " is 0");
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, &err), -EOPNOTSUPP);
	assert_string_equal(err.text, "IPsec is switched off: " IP("enabled") " is 0");
	assert_int_equal(tdo_sp_update(c.e, &p, c.now, NULL, NULL), -EOPNOTSUPP);
	assert_int_equal(tdo_engine_counts(c.e).sps, 0);
	assert_int_equal(c.warnings, 1); /* once */
	assert_non_null(strstr(c.last_warning, "policies are refused: IPsec is switched off"));
	add_sa(1000);
	set(TDO_KNOB_ENABLED, TDO_AF_INET6, 1);
	assert_int_equal(tdo_sp_add(c.e, &p, c.now, NULL, NULL), 0);
}

/* ---- levels, SPIs ------------------------------------------------------------------- */

/* Each of the eight settings is for one protocol, mode and family, and for no other. */
static void
each_default_level_has_its_place(void **state)
{
	static const struct {
		enum tdo_knob knob;
		uint8_t proto, mode;
	} place[] = {
	    {TDO_KNOB_ESP_TRANS_DEFLEV, 50, TDO_MODE_TRANSPORT},
	    {TDO_KNOB_ESP_NET_DEFLEV, 50, TDO_MODE_TUNNEL},
	    {TDO_KNOB_AH_TRANS_DEFLEV, 51, TDO_MODE_TRANSPORT},
	    {TDO_KNOB_AH_NET_DEFLEV, 51, TDO_MODE_TUNNEL},
	};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		uint8_t af = i % 2 ? TDO_AF_INET6 : TDO_AF_INET;

		set(place[i / 2].knob, af, 2);
		for (unsigned j = 0; j < 8; j++) {
			struct tdo_req r = {.proto = place[j / 2].proto, .mode = place[j / 2].mode};

			assert_int_equal(tdo_req_level(c.e, &r, j % 2 ? TDO_AF_INET6 : TDO_AF_INET),
			    i == j ? TDO_LEVEL_REQUIRE : TDO_LEVEL_USE);
		}
		set(place[i / 2].knob, af, 1);
	}
}

/* How often a free SPI is found among four of which one is free. */
static unsigned
found_of(unsigned attempts)
{
	struct tdo_sa_param p = ctl_sa(A, B, 0, 1);
	unsigned n = 0;
	uint32_t spi;

	for (unsigned i = 0; i < attempts; i++) {
		if (tdo_sa_getspi(c.e, &p, 5000, 5003, c.now, &spi) != 0)
			continue;
		p.key.spi = spi;
		assert_int_equal(spi, 5003);
		assert_int_equal(tdo_sa_delete(c.e, &p.key), 0);
		n++;
	}
	return n;
}

static void
spis_are_tried_as_often_as_said(void **state)
{
	unsigned n;

	(void)state;
	for (uint32_t spi = 5000; spi < 5003; spi++)
		add_sa(spi);
	assert_int_equal(found_of(100), 100);
	set(TDO_KNOB_SPI_TRY, TDO_AF_INET, 1);
	n = found_of(100);
	assert_true(n > 5 && n < 60);
}

/* ---- crypto_support ----------------------------------------------------------------- */

/* The driver of a new SA, or NULL when it is refused. */
static const char *
driver_of_new(uint32_t spi, const char *part)
{
	struct tdo_sa_param p = ctl_sa(A, B, spi, 1);
	struct tdo_err err = {NULL};
	int r = tdo_sa_add(c.e, &p, c.now, &err);
	const struct tdo_sa *sa = tdo_sad_find_in(c.e, &p.key.dst, spi, 50);

	if (r == 0) {
		assert_string_equal(tdo_session_driver(sa->enc), tdo_session_driver(sa->dec));
		return tdo_session_driver(sa->enc);
	}
	assert_int_equal(r, -EOPNOTSUPP);
	assert_null(sa);
	assert_non_null(strstr(err.text, part));
	return NULL;
}

static void
device_is_used_unless_software_is_required(void **state)
{
	const struct tdo_sa *sa;
	struct tdo_addr dst = ctl_addr(B);

	(void)state;
	assert_string_equal(tdo_crypto_driver_at(c.crypto, 0), "fake device");
	assert_string_equal(driver_of_new(1000, ""), "fake device");
	set(TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET, -1);
	assert_string_not_equal(driver_of_new(1001, ""), "fake device");
	set(TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET, 1);
	assert_string_equal(driver_of_new(1002, ""), "fake device");
	/* Those that exist stay what they are. */
	sa = tdo_sad_find_in(c.e, &dst, 1001, 50);
	assert_string_not_equal(tdo_session_driver(sa->enc), "fake device");
}

static void
without_a_device_none_can_be_required(void **state)
{
	(void)state;
	assert_non_null(driver_of_new(1000, ""));
	set(TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET, 1);
	assert_null(driver_of_new(
	    1001, "no hardware crypto driver supports aes-cbc with hmac-sha256, and " IP(
		      "crypto_support") " is 1"));
	set(TDO_KNOB_CRYPTO_SUPPORT, TDO_AF_INET, -1);
	assert_non_null(driver_of_new(1001, ""));
}

/* ---- what is logged ----------------------------------------------------------------- */

static void
add_weak(uint32_t spi, uint8_t ealg, uint16_t bits)
{
	struct tdo_sa_param p = ctl_sa(A, B, spi, 1);
	static const uint8_t key[24] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17};

	p.ealg = ealg;
	p.ekey = key;
	p.ekey_bits = bits;
	assert_int_equal(tdo_sa_add(c.e, &p, c.now, NULL), 0);
}

static void
weak_algorithms_are_warned_about_again(void **state)
{
	(void)state;
	add_weak(1000, TDO_EALG_3DES_CBC, 192);
	assert_int_equal(c.warnings, 1);
	c.now += 100000 * TDO_SEC;
	add_weak(1001, TDO_EALG_3DES_CBC, 192);
	assert_int_equal(c.warnings, 1);
	set(TDO_KNOB_CRYPTO_WARN_INTERVAL, TDO_AF_INET, 10);
	add_weak(1002, TDO_EALG_3DES_CBC, 192);
	assert_int_equal(c.warnings, 2);
	c.now += 9 * TDO_SEC;
	add_weak(1003, TDO_EALG_3DES_CBC, 192);
	assert_int_equal(c.warnings, 2);
	add_weak(1004, TDO_EALG_DES_CBC, 64); /* each on its own */
	assert_int_equal(c.warnings, 3);
	c.now += TDO_SEC;
	add_weak(1005, TDO_EALG_3DES_CBC, 192);
	assert_int_equal(c.warnings, 4);
	assert_non_null(strstr(c.last_warning, "3des-cbc is weak"));
}

/* Not in this build: refused each time, and the log says so once. */
static void
weak_algorithms_are_absent(void **state)
{
	struct tdo_sa_param p = ctl_sa(A, B, 1000, 1);
	struct tdo_err err = {NULL};

	(void)state;
	p.ealg = TDO_EALG_DES_CBC;
	p.ekey_bits = 64;
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tdo_sa_add(c.e, &p, c.now, &err), -EOPNOTSUPP);
		assert_string_equal(err.text, "des-cbc is refused: " TDO_NO_LEGACY);
	}
	assert_int_equal(c.warnings, 1);
	assert_string_equal(c.last_warning, "des-cbc is refused: " TDO_NO_LEGACY);
}

static void
faults_are_announced(void **state)
{
	(void)state;
	set(TDO_KNOB_TEST_REPLAY, TDO_AF_INET, 1);
	assert_int_equal(c.warnings, 1);
	assert_non_null(strstr(c.last_warning, IP("test_replay") " is 1"));
	set(TDO_KNOB_TEST_REPLAY, TDO_AF_INET, 1);
	assert_int_equal(c.warnings, 1);
	set(TDO_KNOB_TEST_INTEGRITY, TDO_AF_INET6, 1);
	assert_int_equal(c.warnings, 2);
	assert_non_null(strstr(c.last_warning, IP("test_integrity") " is 1"));
	set(TDO_KNOB_TEST_INTEGRITY, TDO_AF_INET, 0);
	set(TDO_KNOB_TEST_REPLAY, TDO_AF_INET, 0);
	assert_int_equal(c.warnings, 2);
}

static void
drop(const char *src, const char *dst)
{
	struct tdo_pkt p = {.ip = {.flow = ctl_flow(src, dst, 17, 1, 2)}, .spi = 4660, .seq = 7};

	tdo_worker_drop(tdo_engine_worker(c.e, 0), &p, NULL, TDO_REASON_IN_NO_SA, c.now);
}

static void
debug_names_what_is_dropped(void **state)
{
	(void)state;
	drop(A, B);
	ctl_pass(&c, 1);
	set(TDO_KNOB_DEBUG, TDO_AF_INET, 1);
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 0); /* what came before is past */
	drop(A, B);
	drop(A, B);
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 1);
	assert_string_equal(c.last_debug,
	    "dropped 2 (in-no-sa), last from " A " to " B ", protocol 17, SPI 4660, number 7");
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 1);
	/* Each family by its own. */
	drop("2001:db8::1", "2001:db8::2");
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 1);
	set(TDO_KNOB_DEBUG, TDO_AF_INET6, 1);
	set(TDO_KNOB_DEBUG, TDO_AF_INET, 0);
	drop(A, B);
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 1);
	drop("2001:db8::1", "2001:db8::2");
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 2);
	set(TDO_KNOB_DEBUG, TDO_AF_INET6, 0);
	drop("2001:db8::1", "2001:db8::2");
	ctl_pass(&c, 1);
	assert_int_equal(c.debugs, 2);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(defaults_and_ranges_are_those_of_the_manual),
	    cmocka_unit_test(every_spelling_is_found),
	    cmocka_unit_test(trees_have_each_value_once),
	    cmocka_unit_test(mistyped_names_are_guessed),
	    cmocka_unit_test(structures_of_counters_are_known),
	    T(every_value_is_checked),
	    T(changes_empty_the_flow_caches),
	    T(default_policy_tells_the_attachment),
	    T(used_with_the_first_policy),
	    T(what_is_in_use_is_not_switched_off),
	    T(each_default_level_has_its_place),
	    T(spis_are_tried_as_often_as_said),
	    cmocka_unit_test_setup_teardown(
		device_is_used_unless_software_is_required, setup_hardware, teardown),
	    T(without_a_device_none_can_be_required),
	    T(BUILT_LEGACY ? weak_algorithms_are_warned_about_again : weak_algorithms_are_absent),
	    T(faults_are_announced),
	    T(debug_names_what_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
