/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The parser of the setkey language by itself: what statements say in messages, errors and
 * their places, any length of input, several parsers at once.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "setkey/parse.h"
#include "setkey/request.h"

/* Text to parse, and what came of it. */
struct job {
	const char *text;
	size_t left;
	size_t chunk; /* bytes for each read */
	void (*between)(struct job *job);
	struct job *other; /* for between */
	unsigned nstmt, nwarn;
	char *canonical; /* of all statements */
	size_t canonical_len;
	FILE *out;
	struct parse parse;
	int result;
	uint8_t msg[TDO_SADB_MAXLEN]; /* of the last statement about SAs or policies */
	struct tdo_sadb_msg m;
};

static int
read_text(void *ctx, char *buf, size_t max)
{
	struct job *j = ctx;
	size_t n = j->chunk < max ? j->chunk : max;

	if (j->between)
		j->between(j);
	if (n > j->left)
		n = j->left;
	memcpy(buf, j->text, n);
	j->text += n;
	j->left -= n;
	return (int)n;
}

static int
take(void *ctx, const struct stmt *s)
{
	struct job *j = ctx;
	struct tdo_wr w = tdo_wr_init(j->msg, sizeof(j->msg));
	uint8_t satype = s->sa.proto ? s->sa.proto->satype : 0;

	j->nstmt++;
	tdo_stmt_print(j->out, s);
	tdo_sadb_begin(
	    &w, &(struct tdo_sadb_base){.type = tdo_request_type(s->kind), .satype = satype});
	if (s->sa.src.n > 0)
		tdo_request_put_sa(&w, s, &s->sa.src.v[0], &s->sa.dst.v[0]);
	else if (s->sp.sel.src.af != TDO_AF_NONE)
		tdo_request_put_sp(&w, s);
	return tdo_sadb_parse(j->msg, tdo_sadb_end(&w), &j->m, NULL);
}

static void
warn(void *ctx, const struct parse_error *w)
{
	struct job *j = ctx;

	(void)w;
	j->nwarn++;
}

static void
run_len(struct job *j, const char *text, size_t len)
{
	j->text = text;
	j->left = len;
	if (j->chunk == 0)
		j->chunk = 4096;
	j->out = open_memstream(&j->canonical, &j->canonical_len);
	if (!j->out)
		abort();
	j->parse = (struct parse){
	    .read = read_text, .take = take, .warn = warn, .ctx = j, .names = &tdo_names_numeric};
	j->result = tdo_parse_run(&j->parse);
	fclose(j->out);
}

static struct job *
run(const char *text)
{
	struct job *j = calloc(1, sizeof(*j));

	assert_non_null(j);
	run_len(j, text, strlen(text));
	return j;
}

static void
drop(struct job *j)
{
	free(j->canonical);
	free(j);
}

static struct tdo_sa_param
sa_of(const char *text)
{
	struct job *j = run(text);
	struct tdo_sa_param p;

	if (j->result != 0)
		fail_msg("%s: %s", text, j->parse.error.text);
	assert_int_equal(tdo_sadb_get_sa_param(&j->m, &p, NULL), 0);
	p.ekey = p.akey = NULL; /* they pointed into the message */
	drop(j);
	return p;
}

static struct tdo_sp_param
sp_of(const char *text)
{
	struct job *j = run(text);
	struct tdo_sp_param p;

	if (j->result != 0)
		fail_msg("%s: %s", text, j->parse.error.text);
	assert_int_equal(tdo_sadb_get_sp_param(&j->m, &p, NULL), 0);
	drop(j);
	return p;
}

/* ---- what statements say ---------------------------------------------------------------- */

#define ADD "add 10.0.0.1 10.0.0.2 esp 4096 "
#define SPD "spdadd 10.0.0.1 10.0.0.2 "

static void
settings_of_sas(void **state)
{
	static const struct {
		const char *text;
		struct tdo_tunnel_opt tunnel;
		bool adaptive;
		uint16_t cpu;
	} t[] = {
	    {ADD "-o ecn=ignore -E null;", {.ecn = 1}, false, 0},
	    {ADD "-o ecn=forbidden -E null;", {.ecn = 2}, false, 0},
	    {ADD "-o ecn=allowed -E null;", {.ecn = 3}, false, 0},
	    {ADD "-o ecn=rfc6040 -E null;", {.ecn = 4}, false, 0},
	    {ADD "-o ecn=compat -E null;", {.ecn = 5}, false, 0},
	    {ADD "-o df=clear -E null;", {.df = 1}, false, 0},
	    {ADD "-o df=set -E null;", {.df = 2}, false, 0},
	    {ADD "-o df=copy -E null;", {.df = 3}, false, 0},
	    {ADD "-o dscp=0 -E null;", {.dscp = 1}, false, 0},
	    {ADD "-o dscp=63 -E null;", {.dscp = 64}, false, 0},
	    {ADD "-o dscp=copy -E null;", {.dscp = TDO_OPT_DSCP_COPY}, false, 0},
	    {ADD "-o ttl=1 -E null;", {.hop_limit = 1}, false, 0},
	    {ADD "-o hoplimit=255 -E null;", {.hop_limit = 255}, false, 0},
	    {ADD "-o flowlabel=zero -E null;", {.flow_label = 1}, false, 0},
	    {ADD "-o flowlabel=copy -E null;", {.flow_label = 2}, false, 0},
	    {ADD "-o flowlabel=flow -E null;", {.flow_label = 3}, false, 0},
	    {ADD "-o window=adaptive -E null;", {0}, true, 0},
	    {ADD "-o cpu=0 -E null;", {0}, false, 1},
	    {ADD "-o cpu=65534 -E null;", {0}, false, 65535},
	    {ADD "-o ttl=1 -m tunnel -o ttl=2 -o df=set -E null;", {.hop_limit = 2, .df = 2}, false,
		0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tdo_sa_param p = sa_of(t[i].text);

		assert_memory_equal(&p.tunnel, &t[i].tunnel, sizeof(p.tunnel));
		assert_int_equal(p.adaptive, t[i].adaptive);
		assert_int_equal(p.cpu, t[i].cpu);
		assert_false(p.has_sel);
	}
}

static void
settings_of_policies(void **state)
{
	struct tdo_sp_param p =
	    sp_of(SPD "any -o ecn=compat -o hold -o pfp=src,dport -o dscp=46 -P out none;");

	(void)state;
	assert_int_equal(p.tunnel.ecn, 5);
	assert_int_equal(p.tunnel.dscp, 47);
	assert_true(p.hold);
	assert_int_equal(p.pfp, TDO_PFP_SRC | TDO_PFP_DPORT);
	assert_int_equal(sp_of(SPD "any -o pfp=all -P out none;").pfp, TDO_PFP_ALL);
	p = sp_of(SPD "any -P out none;");
	assert_false(p.hold || p.pfp || p.tunnel.ecn);
}

static void
selectors_of_an_sa(void **state)
{
	struct tdo_sa_param p =
	    sa_of(ADD "-sel 10.1.2.3/16[1000-2000] 10.2.0.0/16[53] udp -E null;");

	(void)state;
	assert_true(p.has_sel);
	assert_int_equal(p.sel.src_plen, 16);
	assert_int_equal(p.sel.src.b[2], 0);
	assert_int_equal(p.sel.proto, 17);
	assert_int_equal(p.sel.sport.lo, 1000);
	assert_int_equal(p.sel.sport.hi, 2000);
	assert_int_equal(p.sel.dport.hi, 53);
	p = sa_of(ADD "-sel ::/0 ::/0 icmp6 type 128 code 0 -m tunnel -E null;");
	assert_int_equal(p.sel.src.af, TDO_AF_INET6);
	assert_int_equal(p.sel.sport.hi, 128);
	assert_int_equal(p.sel.dport.hi, 0);
	assert_int_equal(p.mode, TDO_MODE_TUNNEL);
}

static void
d44_update_gives_new_addresses(void **state)
{
	struct tdo_sa_param p = sa_of("update 10.0.0.1 10.0.0.2 esp 4096 -new 10.0.0.1 192.0.2.9;");

	(void)state;
	assert_int_equal(p.key.dst.b[3], 2);
	assert_int_equal(p.new_src.b[3], 1);
	assert_int_equal(p.new_dst.b[3], 9);
	assert_int_equal(p.ealg, 0);
	p = sa_of(ADD "-E null;");
	assert_int_equal(p.new_src.af, TDO_AF_NONE);
}

/* D11: -u and unique:N have 32 bits. */
static void
d11_request_ids_of_32_bits(void **state)
{
	(void)state;
	assert_int_equal(sa_of(ADD "-u 4294967295 -E null;").reqid, UINT32_MAX);
	assert_int_equal(
	    sp_of(SPD "any -P out ipsec esp/transport//unique:4294967295;").req[0].reqid,
	    UINT32_MAX);
	assert_int_equal(
	    sp_of(SPD "any -P out ipsec esp/transport//unique:65536;").req[0].reqid, 65536);
	assert_int_equal(
	    sp_of(SPD "any -P out ipsec esp/transport//unique:16384;").req[0].reqid, 0);
	assert_int_equal(
	    sp_of(SPD "any -P out ipsec esp/transport//unique:16383;").req[0].reqid, 16383);
}

/* D12: a hard lifetime needs no soft one, nor the reverse. */
static void
d12_one_lifetime_alone(void **state)
{
	struct tdo_sa_param p = sa_of(ADD "-lh 100 -E null;");

	(void)state;
	assert_true(p.has_hard && !p.has_soft);
	assert_int_equal(p.hard.addtime, 100);
	p = sa_of(ADD "-bs 5 -E null;");
	assert_true(!p.has_hard && p.has_soft);
	assert_int_equal(p.soft.bytes, 5);
	p = sa_of(ADD "-lh 9 -bs 5 -E null;");
	assert_true(p.has_hard && p.has_soft);
}

static void
d41_icmp_type_0_and_ranges(void **state)
{
	struct tdo_sel s = sp_of(SPD "icmp type 0 -P in none;").sel;

	(void)state;
	assert_true(s.sport.lo == 0 && s.sport.hi == 0 && s.dport.hi == 65535);
	s = sp_of(SPD "icmp type 3-5 code 0-1 -P in none;").sel;
	assert_true(s.sport.lo == 3 && s.sport.hi == 5 && s.dport.lo == 0 && s.dport.hi == 1);
	s = sp_of(SPD "icmp type any code 0 -P in none;").sel;
	assert_true(s.sport.hi == 65535 && s.dport.hi == 0);
	s = sp_of(SPD "icmp 0,0 -P in none;").sel; /* the old form: wildcards */
	assert_true(s.sport.hi == 65535 && s.dport.hi == 65535);
}

/* D6: true ranges of ports. */
static void
d06_ranges_of_ports(void **state)
{
	struct tdo_sel s = sp_of("spdadd 10.0.0.1[1000-2000] 10.0.0.2/24[0-0] tcp -P in none;").sel;

	(void)state;
	assert_true(s.sport.lo == 1000 && s.sport.hi == 2000);
	assert_true(s.dport.lo == 0 && s.dport.hi == 0);
	s = sp_of("spdadd 10.0.0.1[0-65535] 10.0.0.2[any] tcp -P in none;").sel;
	assert_true(tdo_stmt_range_any(&s.sport) && tdo_stmt_range_any(&s.dport));
}

/* ---- errors ----------------------------------------------------------------------------- */

static void
d09_errors_have_line_and_column(void **state)
{
	static const struct {
		const char *text, *error, *token;
		unsigned line, column;
	} t[] = {
	    {ADD "-o ecn=maybe -E null;", "invalid value of an option", "maybe", 1, 39},
	    {ADD "\n-o  ecn=; -E null;", "invalid value of an option", "", 2, 9},
	    {ADD "-o ecn -E null;", "option needs a value", "ecn", 1, 35},
	    {ADD "-o what=1 -E null;", "unknown option", "what=1", 1, 35},
	    {ADD "-o hold -E null;", "option is for policies", "hold", 1, 35},
	    {ADD "-o cpu=65535 -E null;", "invalid value of an option", "65535", 1, 39},
	    {ADD "-o dscp=64 -E null;", "invalid value of an option", "64", 1, 40},
	    {ADD "-o ttl=0 -E null;", "invalid value of an option", "0", 1, 39},
	    {SPD "any -o cpu=1 -P out none;", "option is for SAs", "cpu=1", 1, 33},
	    {SPD "any -o hold=yes -P out none;", "option has no value", "=yes", 1, 37},
	    {SPD "any -o pfp=src, -P out none;", "invalid value of an option", "src,", 1, 37},
	    {ADD "-new 10.0.0.1 10.0.0.2 -E null;", "only update gives new addresses", "-new", 1,
		32},
	    {"update 10.0.0.1 10.0.0.2 esp 9 -new ::1 10.0.0.2;", "Family mismatch", "", 1, 41},
	    {ADD "-sel 10.0.0.1 ::1 any -E null;", "Family mismatch", "", 1, 46},
	    {ADD "-sel 10.0.0.1/33 10.0.0.1 any -E null;", "Invalid prefix length", "33", 1, 46},
	    {"spdadd 10.0.0.1[9-8] 10.0.0.2 tcp -P in none;", "unknown port", "9-8", 1, 17},
	    {"spdadd 10.0.0.1[9-65536] 10.0.0.2 tcp -P in none;", "unknown port", "9-65536", 1, 17},
	    {SPD "icmp type 5-300 -P in none;", "invalid type or code", "5-300", 1, 36},
	    {"flush;\n\n  flush ah esp;", "syntax error, unexpected name, expecting ';'", "esp", 3,
		12},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct job *j = run(t[i].text);
		const struct parse_error *e = &j->parse.error;

		if (j->result != -1 || strcmp(e->text, t[i].error) != 0 ||
		    strcmp(e->token, t[i].token) != 0 || e->pos.line != t[i].line ||
		    e->pos.column != t[i].column)
			fail_msg("%s\n%d: %u.%u %s [%s]", t[i].text, j->result, e->pos.line,
			    e->pos.column, e->text, e->token);
		drop(j);
	}
}

/* D9: lines, words and numbers of statements of any size. */
static void
d09_no_limit_of_line_or_statement(void **state)
{
	enum { BLANKS = 1 << 20, WORD = 1 << 18, STATEMENTS = 5000 };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct job *j = calloc(1, sizeof(*j));

	(void)state;
	assert_non_null(j);
	for (unsigned i = 0; i < STATEMENTS; i++)
		fputs("flush; ", f); /* all on one line */
	for (unsigned i = 0; i < BLANKS; i++)
		fputc(' ', f);
	fputs("add 10.0.0.1 10.0.0.2 esp 4096 -E ", f);
	for (unsigned i = 0; i < WORD; i++)
		fputc('x', f);
	fputs(";", f);
	fclose(f);
	run_len(j, text, len);
	assert_int_equal(j->result, -1);
	assert_int_equal(j->nstmt, STATEMENTS);
	assert_string_equal(j->parse.error.text, "unsupported algorithm");
	assert_int_equal(j->parse.error.pos.line, 1);
	assert_int_equal(j->parse.error.pos.column, STATEMENTS * 7 + BLANKS + 35);
	assert_int_equal(strlen(j->parse.error.token), sizeof(j->parse.error.token) - 1);
	free(text);
	drop(j);
}

/* A key that is much too long is refused by its length, and not shown. */
static void
d09_a_long_key_is_refused_quietly(void **state)
{
	enum { DIGITS = 100000 };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	struct job *j = calloc(1, sizeof(*j));

	(void)state;
	assert_non_null(j);
	fputs(ADD "-E aes-cbc 0x", f);
	for (unsigned i = 0; i < DIGITS; i++)
		fputc('a', f);
	fputs(";", f);
	fclose(f);
	run_len(j, text, len);
	assert_int_equal(j->result, -1);
	assert_string_equal(j->parse.error.text, "Invalid key length");
	assert_null(strstr(j->parse.error.token, "aaaa"));
	free(text);
	drop(j);
}

/* ---- D43: nothing is shared between parsers --------------------------------------------- */

static const char script[] =
    "flush; # the first\n"
    "add 10.0.0.1 10.0.0.2 esp 4096 -o ttl=9 -E aes-cbc 0x000102030405060708090a0b0c0d0e0f;\n"
    "add ::1 ::2 esp 4097 -E simple;\n"
    "spdadd 10.0.0.1[1-9] 10.0.0.2 tcp -o hold -P out prio 7 ipsec\n esp/transport//unique:5;\n"
    "spdadd 10.0.0.1 10.0.0.2 any -P out none esp/transport//use;\n";

static const char other_script[] = "spdflush;\n\n\nadd 10.0.0.1 10.0.0.2 esp 4096 -o df=no;";

static void
check_script(const struct job *j)
{
	if (j->result != -1 || j->nstmt != 4 || j->nwarn != 1 || j->parse.error.pos.line != 6 ||
	    j->parse.error.pos.column != 42 ||
	    strcmp(j->parse.error.token, "esp/transport//use") != 0 ||
	    strcmp(j->canonical,
		"flush;\n"
		"add 10.0.0.1 10.0.0.2 esp 4096 -o ttl=9 -E aes-cbc "
		"0x000102030405060708090a0b0c0d0e0f;\n"
		"add ::1 ::2 esp 4097 -E null;\n"
		"spdadd 10.0.0.1[1-9] 10.0.0.2 tcp -o hold -P out prio def + 7 ipsec "
		"esp/transport//unique:5;\n") != 0)
		abort(); /* also from a thread, where cmocka cannot fail */
}

static void
check_other(const struct job *j)
{
	if (j->result != -1 || j->nstmt != 1 || j->nwarn != 0 || j->parse.error.pos.line != 4 ||
	    j->parse.error.pos.column != 38 ||
	    strcmp(j->parse.error.text, "invalid value of an option") != 0 ||
	    strcmp(j->canonical, "spdflush;\n") != 0)
		abort();
}

/* A whole other parser runs inside of each read of the first: every few bytes. */
static void
nested(struct job *j)
{
	struct job *inner = run(other_script);

	check_other(inner);
	j->other = inner;
	drop(inner);
}

static void
d43_two_parsers_at_once(void **state)
{
	(void)state;
	for (size_t chunk = 1; chunk < 60; chunk += 7) {
		struct job *j = calloc(1, sizeof(*j));

		assert_non_null(j);
		j->chunk = chunk;
		j->between = nested;
		run_len(j, script, strlen(script));
		check_script(j);
		assert_non_null(j->other);
		drop(j);
	}
}

static void *
thread(void *arg)
{
	bool other = arg != NULL;

	for (unsigned i = 0; i < 200; i++) {
		struct job *j = calloc(1, sizeof(*j));

		if (!j)
			abort();
		j->chunk = 1 + i % 50;
		if (other) {
			run_len(j, other_script, strlen(other_script));
			check_other(j);
		} else {
			run_len(j, script, strlen(script));
			check_script(j);
		}
		drop(j);
	}
	return NULL;
}

static void
d43_parsers_in_threads(void **state)
{
	pthread_t t[4];

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread, i % 2 ? t : NULL), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(settings_of_sas),
	    cmocka_unit_test(settings_of_policies),
	    cmocka_unit_test(selectors_of_an_sa),
	    cmocka_unit_test(d44_update_gives_new_addresses),
	    cmocka_unit_test(d11_request_ids_of_32_bits),
	    cmocka_unit_test(d12_one_lifetime_alone),
	    cmocka_unit_test(d41_icmp_type_0_and_ranges),
	    cmocka_unit_test(d06_ranges_of_ports),
	    cmocka_unit_test(d09_errors_have_line_and_column),
	    cmocka_unit_test(d09_no_limit_of_line_or_statement),
	    cmocka_unit_test(d09_a_long_key_is_refused_quietly),
	    cmocka_unit_test(d43_two_parsers_at_once),
	    cmocka_unit_test(d43_parsers_in_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
