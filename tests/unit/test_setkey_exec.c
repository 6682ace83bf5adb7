/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Statements from text to messages and results.  The test is the other end of the socket:
 * numbers and pid are known, so answers can wait there before the request is sent.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "setkey/exec.h"
#include "setkey/parse.h"

#define PID 4711

struct fixture {
	struct client client;
	struct exec x;
	int peer;
	char *out;
	size_t out_len;
	const char *text; /* what is left to parse */
	struct parse parse;
	int result;
	unsigned warnings;
	uint8_t buf[TDO_SADB_MAXLEN];
};

static int
setup(void **state)
{
	struct fixture *t = calloc(1, sizeof(*t));
	int fd[2];

	if (!t || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fd) != 0)
		return -1;
	t->client.fd = fd[0];
	t->client.pid = PID;
	t->peer = fd[1];
	t->x = (struct exec){.client = &t->client,
	    .names = &tdo_names_numeric,
	    .opt.with_line = true,
	    .out = open_memstream(&t->out, &t->out_len)};
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *t = *state;

	tdo_client_close(&t->client);
	close(t->peer);
	fclose(t->x.out);
	free(t->out);
	free(t);
	return 0;
}

/* ---- the parser's callbacks --------------------------------------------------------- */

/* Three bytes at a time: tokens are cut by reads. */
static int
read_text(void *ctx, char *buf, size_t max)
{
	struct fixture *t = ctx;
	size_t n = strnlen(t->text, max < 3 ? max : 3);

	memcpy(buf, t->text, n);
	t->text += n;
	return (int)n;
}

static int
take(void *ctx, const struct stmt *s)
{
	struct fixture *t = ctx;

	t->result = tdo_exec_stmt(&t->x, s);
	return t->result;
}

static void
warn(void *ctx, const struct parse_error *w)
{
	((struct fixture *)ctx)->warnings++;
	assert_true(w->text[0]);
}

/* "two" has an address of each family and one more, "none" has no address. */
static const char *
test_host(void *ctx, const char *name, unsigned flags, struct stmt_addrs *ret)
{
	static const struct tdo_addr two[3] = {{.af = TDO_AF_INET, .b = {10, 0, 0, 1}},
	    {.af = TDO_AF_INET6, .b = {[15] = 1}}, {.af = TDO_AF_INET, .b = {10, 0, 0, 2}}};

	if (strcmp(name, "none") == 0)
		return "no such host";
	if (strcmp(name, "two") != 0)
		return tdo_names_numeric.host(ctx, name, flags, ret);
	ret->v = malloc(sizeof(two));
	memcpy(ret->v, two, sizeof(two));
	ret->n = 3;
	return NULL;
}

static uint16_t
test_service(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "http") == 0 ? 80 : 0;
}

static int
run(struct fixture *t, const char *text)
{
	struct names names = tdo_names_numeric;
	int r;

	names.host = test_host;
	names.service = test_service;
	t->text = text;
	t->parse = (struct parse){
	    .read = read_text, .take = take, .warn = warn, .ctx = t, .names = &names};
	r = tdo_parse_run(&t->parse);
	return r != 0 ? r : t->result;
}

/* ---- the server's end --------------------------------------------------------------- */

/* why: the daemon's words; NULL: it has none. */
static void
answer_why(struct fixture *t, uint8_t type, uint32_t seq, uint32_t pid, uint8_t err,
    const struct tdo_sadb_tdo_why *why)
{
	uint8_t buf[1024];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	size_t len;

	tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = type,
			       .err = err,
			       .satype = type < TDO_SADB_X_PROMISC ? TDO_SATYPE_ESP : 0,
			       .seq = seq,
			       .pid = pid});
	if (why)
		tdo_sadb_put_tdo_why(&w, why);
	len = tdo_sadb_end(&w);
	assert_int_equal(send(t->peer, buf, len, 0), len);
}

static void
answer(struct fixture *t, uint8_t type, uint32_t seq, uint32_t pid, uint8_t err)
{
	answer_why(t, type, seq, pid, err, NULL);
}

static struct tdo_sadb_msg
request(struct fixture *t)
{
	struct tdo_sadb_msg m;
	struct tdo_sadb_err err;
	ssize_t n = recv(t->peer, t->buf, sizeof(t->buf), MSG_DONTWAIT);

	if (n < 0)
		fail_msg("no request");
	if (tdo_sadb_parse(t->buf, (size_t)n, &m, &err) != 0)
		fail_msg("request: %s", err.text);
	return m;
}

static void
printed(struct fixture *t, const char *want)
{
	fflush(t->x.out);
	assert_string_equal(t->out, want);
}

/* ---- tests -------------------------------------------------------------------------- */

static void
add_becomes_a_message(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_msg m;
	struct tdo_sa_param p;

	assert_int_equal(run(t, "add 10.0.0.1 10.0.0.2 esp 4096 -m tunnel -r 4 -u 7 -f zero-pad "
				"-lh 100 -bs 200 -E aes-cbc 0x00112233445566778899aabbccddeeff "
				"-A hmac-sha1 \"12345678901234567890\";"),
	    0);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_ADD);
	assert_int_equal(m.base.satype, TDO_SATYPE_ESP);
	assert_int_equal(m.base.seq, 1);
	assert_int_equal(m.base.pid, PID);
	assert_int_equal(tdo_sadb_get_sa_param(&m, &p, NULL), 0);
	assert_int_equal(p.key.spi, 4096);
	assert_memory_equal(p.key.dst.b, ((uint8_t[]){10, 0, 0, 2}), 4);
	assert_int_equal(p.mode, TDO_MODE_TUNNEL);
	assert_int_equal(p.replay, 32);
	assert_int_equal(p.reqid, 7);
	assert_int_equal(p.flags, TDO_SAF_CYCSEQ | TDO_SAF_PZERO);
	assert_true(p.has_hard && p.has_soft);
	assert_int_equal(p.hard.addtime, 100);
	assert_int_equal(p.soft.bytes, 200);
	assert_int_equal(p.ealg, 12);
	assert_int_equal(p.aalg, 3);
	assert_int_equal(p.ekey_bits, 128);
	assert_int_equal(p.ekey[15], 0xff);
	assert_int_equal(p.akey_bits, 160);
	assert_memory_equal(p.akey, "12345678901234567890", 20);
}

/* What the daemon says stands behind the usual words; too long a text is cut. */
static void
refusals_have_a_reason(void **state)
{
	struct fixture *t = *state;
	char text[600], cut[EXEC_WHY_LEN];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	memcpy(cut, text, sizeof(cut));
	cut[sizeof(cut) - 1] = '\0';
	answer_why(t, TDO_SADB_DELETE, 1, PID, ENOENT,
	    &(struct tdo_sadb_tdo_why){.text = "nobody has seen it"});
	answer_why(t, TDO_SADB_DELETE, 2, PID, EINVAL,
	    &(struct tdo_sadb_tdo_why){.ext = TDO_SADB_EXT_SA, .text = "is blue"});
	answer(t, TDO_SADB_DELETE, 3, PID, ENOENT);
	answer_why(t, TDO_SADB_DELETE, 4, PID, EINVAL, &(struct tdo_sadb_tdo_why){.text = text});
	answer_why(
	    t, TDO_SADB_DELETE, 5, PID, 0, &(struct tdo_sadb_tdo_why){.text = "all is well"});
	assert_int_equal(run(t, "delete 10.0.0.1 10.0.0.2 esp 4096;\n"
				"delete 10.0.0.1 10.0.0.2 esp 4096;\n"
				"delete 10.0.0.1 10.0.0.2 esp 4096;\n"
				"delete 10.0.0.1 10.0.0.2 esp 4096;\n"
				"delete 10.0.0.1 10.0.0.2 esp 4096;\n"),
	    0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	snprintf(text, sizeof(text),
	    "The result of line 1: No entry: nobody has seen it.\n"
	    "The result of line 2: Invalid argument: SADB_EXT_SA: is blue.\n"
	    "The result of line 3: No entry.\n"
	    "The result of line 4: Invalid argument: %s.\n",
	    cut);
	printed(t, text);
}

static void
null_algorithms_have_empty_keys(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_msg m;
	struct tdo_sa_param p;

	assert_int_equal(run(t, "add 10.0.0.1 10.0.0.2 esp 4096 -E null -A null \"\";"), 0);
	m = request(t);
	assert_int_equal(tdo_sadb_get_sa_param(&m, &p, NULL), 0);
	assert_int_equal(p.ealg, 11);
	assert_int_equal(p.aalg, 251);
	assert_int_equal(p.ekey_bits + p.akey_bits, 0);
	assert_false(p.has_hard || p.has_soft);
}

static void
udp_encapsulation_becomes_extensions(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_address oa;
	struct tdo_sadb_msg m;
	uint16_t port;
	uint8_t type;

	assert_int_equal(run(t, "add 10.0.0.1[1024] 10.0.0.2 esp-udp 192.0.2.1 300 -E null;"
				"add 10.0.0.1 10.0.0.2 esp 300 -natt 192.0.2.1[5] 192.0.2.2[6] "
				"-natt_mtu 900 -E null;"),
	    0);
	m = request(t);
	assert_true(tdo_sadb_get_natt_type(&m, &type));
	assert_int_equal(type, TDO_SADB_NATT_ESPINUDP);
	assert_true(tdo_sadb_get_natt_port(&m, TDO_SADB_X_EXT_NAT_T_SPORT, &port));
	assert_int_equal(port, 1024);
	assert_true(tdo_sadb_get_natt_port(&m, TDO_SADB_X_EXT_NAT_T_DPORT, &port));
	assert_int_equal(port, 4500);
	assert_true(tdo_sadb_get_address(&m, TDO_SADB_X_EXT_NAT_T_OAI, &oa));
	assert_false(tdo_sadb_has(&m, TDO_SADB_X_EXT_NAT_T_OAR));
	m = request(t);
	assert_true(tdo_sadb_get_natt_port(&m, TDO_SADB_X_EXT_NAT_T_DPORT, &port));
	assert_int_equal(port, 6);
	assert_true(tdo_sadb_get_address(&m, TDO_SADB_X_EXT_NAT_T_OAR, &oa));
	assert_int_equal(oa.addr.b[3], 2);
	assert_true(tdo_sadb_get_natt_frag(&m, &port));
	assert_int_equal(port, 900);
}

static void
policies_become_messages(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_msg m;
	struct tdo_sp_param p;

	assert_int_equal(run(t, "spdadd 10.0.0.0/8 10.0.0.2[http] tcp -P in prio 5 ipsec "
				"esp/transport//use ah/tunnel/::1-::2/unique:9;"
				"spddelete ::1 ::2 icmp6 135 -P out;"),
	    0);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_X_SPDADD);
	assert_int_equal(m.base.satype, 0);
	assert_int_equal(tdo_sadb_get_sp_param(&m, &p, NULL), 0);
	assert_int_equal(p.dir, TDO_DIR_IN);
	assert_int_equal(p.prio, 0x80000000 - 5);
	assert_int_equal(p.nreq, 2);
	assert_int_equal(p.req[1].reqid, 9);
	assert_int_equal(p.sel.src_plen, 8);
	assert_int_equal(p.sel.sport.hi, 65535);
	assert_int_equal(p.sel.dport.lo, 80);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_X_SPDDELETE);
	assert_int_equal(tdo_sadb_get_sp_param(&m, &p, NULL), 0);
	assert_int_equal(p.dir, TDO_DIR_OUT);
	assert_int_equal(p.sel.proto, 58);
	assert_int_equal(p.sel.sport.lo, 135);
	assert_int_equal(p.sel.dport.hi, 65535);
}

static void
other_statements_become_messages(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_spirange range;
	struct tdo_sadb_msg m;

	assert_int_equal(run(t, "getspi ::1 ::2 esp 0 -u 3; getspi ::1 ::2 esp 512;"
				"delete ::1 ::2 ah 5; deleteall ::1 ::2 ah; flush; spdflush;"),
	    0);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_GETSPI);
	assert_true(tdo_sadb_has(&m, TDO_SADB_X_EXT_SA2));
	assert_false(tdo_sadb_has(&m, TDO_SADB_EXT_SPIRANGE));
	m = request(t);
	assert_true(tdo_sadb_get_spirange(&m, &range));
	assert_true(range.min == 512 && range.max == 512);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_DELETE);
	assert_int_equal(m.base.satype, TDO_SATYPE_AH);
	assert_true(tdo_sadb_has(&m, TDO_SADB_EXT_SA));
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_DELETE);
	assert_false(tdo_sadb_has(&m, TDO_SADB_EXT_SA));
	assert_int_equal(request(t).base.type, TDO_SADB_FLUSH);
	assert_int_equal(request(t).base.type, TDO_SADB_X_SPDFLUSH);
}

/* add takes every pair of one family, all else refuses a name with several addresses. */
static void
names_with_several_addresses(void **state)
{
	struct fixture *t = *state;
	struct tdo_sa_key k;
	struct tdo_sadb_msg m;

	assert_int_equal(run(t, "add two 10.0.0.9 esp 300 -E null;"), 0);
	m = request(t);
	assert_int_equal(tdo_sadb_get_sa_key(&m, &k, NULL), 0);
	assert_int_equal(k.src.b[3], 1);
	m = request(t);
	assert_int_equal(tdo_sadb_get_sa_key(&m, &k, NULL), 0);
	assert_int_equal(k.src.b[3], 2);
	assert_int_equal(recv(t->peer, t->buf, sizeof(t->buf), MSG_DONTWAIT), -1);
	assert_int_equal(run(t, "update two 10.0.0.9 esp 300 -E null;"), -1);
	assert_string_equal(t->parse.error.text, "multiple address specified");
	assert_int_equal(run(t, "spdadd 10.0.0.9 two any -P in none;"), -1);
	assert_string_equal(t->parse.error.text, "multiple address specified");
	assert_int_equal(run(t, "delete none 10.0.0.9 esp 300;"), -1);
	assert_string_equal(t->parse.error.text, "no such host");
	assert_string_equal(t->parse.error.token, "none");
	assert_int_equal(t->parse.error.pos.column, 8);
}

static void
results_in_order_of_the_statements(void **state)
{
	struct fixture *t = *state;

	answer(t, TDO_SADB_DELETE, 3, PID, EINVAL);     /* out of order */
	answer(t, TDO_SADB_DELETE, 1, PID + 1, EPERM);  /* another client's */
	answer(t, TDO_SADB_X_SPDDELETE, 1, PID, EPERM); /* not what was asked */
	answer(t, TDO_SADB_DELETE, 1, PID, ENOENT);
	answer(t, TDO_SADB_DELETE, 2, PID, 0);
	assert_int_equal(run(t, "delete ::1 ::2 esp 300;\ndelete ::1 ::2 esp 301;\n\n"
				"delete ::1 ::2 esp 302;\n"),
	    0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	printed(t, "The result of line 1: No entry.\nThe result of line 4: Invalid argument.\n");
	assert_int_equal(t->x.failed, 2);
}

static void
without_line_numbers(void **state)
{
	struct fixture *t = *state;

	t->x.opt.with_line = false;
	answer(t, TDO_SADB_X_SPDADD, 1, PID, EEXIST);
	assert_int_equal(run(t, "spdadd ::1 ::2 any -P in none;"), 0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	printed(t, "File exists.\n");
}

/* "in" covers forwarded packets: the copy that Linux wants is no error. */
static void
forward_copies_are_quiet(void **state)
{
	struct fixture *t = *state;

	answer(t, TDO_SADB_X_SPDADD, 1, PID, EEXIST);
	answer(t, TDO_SADB_X_SPDDELETE, 2, PID, ENOENT);
	answer(t, TDO_SADB_X_SPDADD, 3, PID, EINVAL);
	assert_int_equal(run(t, "spdadd ::1 ::2 any -P fwd none; spddelete ::1 ::2 any -P fwd;\n"
				"spdadd ::1 ::2 any -P fwd discard;"),
	    0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	printed(t, "The result of line 2: Invalid argument.\n");
}

static void
no_answer_is_silent(void **state)
{
	struct fixture *t = *state;

	t->x.patience_ms = 1;
	assert_int_equal(run(t, "flush;"), 0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	assert_int_equal(t->x.n, 0);
	printed(t, "");
}

/* ---- progress ---- */

static tdo_ns clock_now;

/* An answer takes 20 ms. */
static tdo_ns
slow_clock(void)
{
	return clock_now += TDO_SEC / 50;
}

/* It takes a second. */
static tdo_ns
slower_clock(void)
{
	return clock_now += TDO_SEC;
}

static void
d35_long_runs_are_pipelined_and_show_progress(void **state)
{
	struct fixture *t = *state;
	char *text = NULL, one[64];
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	clock_now = TDO_SEC;
	t->x.progress = (struct progress){.out = f, .now = slow_clock};
	/* All of these are sent before any answer is read; more would fill the socket. */
	for (unsigned i = 1; i <= 60; i++) {
		snprintf(one, sizeof(one), "spdadd ::1 ::%x any -P out none;", i);
		answer(t, TDO_SADB_X_SPDADD, i, PID, i % 10 == 0 ? EEXIST : 0);
		assert_int_equal(run(t, one), 0);
		assert_int_equal(t->x.n, i);
	}
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	tdo_progress_end(&t->x.progress);
	fclose(f);
	assert_non_null(strstr(text, "\r51 done, 50 a second, 5 failed, 1 s\033[K"));
	assert_memory_equal(text + len - 4, "\r\033[K", 4);
	assert_int_equal(t->x.failed, 6);
	free(text);
}

static void
short_runs_show_no_progress(void **state)
{
	struct fixture *t = *state;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	clock_now = TDO_SEC;
	t->x.progress = (struct progress){.out = f, .now = slow_clock};
	answer(t, TDO_SADB_FLUSH, 1, PID, 0);
	assert_int_equal(run(t, "flush;"), 0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	tdo_progress_end(&t->x.progress);
	fclose(f);
	assert_int_equal(len, 0);
	free(text);
}

static void
lost_connection_is_an_error(void **state)
{
	struct fixture *t = *state;

	shutdown(t->peer, SHUT_RDWR);
	assert_true(run(t, "flush; flush;") < 0 || tdo_exec_wait(&t->x) < 0);
}

/* What stands before an error is carried out, what stands behind it is not. */
static void
statements_before_an_error(void **state)
{
	struct fixture *t = *state;

	assert_int_equal(run(t, "flush; spdflush; oops; flush;"), -1);
	assert_int_equal(request(t).base.type, TDO_SADB_FLUSH);
	assert_int_equal(request(t).base.type, TDO_SADB_X_SPDFLUSH);
	assert_int_equal(recv(t->peer, t->buf, sizeof(t->buf), MSG_DONTWAIT), -1);
	assert_string_equal(t->parse.error.token, "oops");
	assert_int_equal(t->parse.error.pos.column, 18);
}

static void
d41_type_and_code_0_reach_the_daemon(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_msg m;
	struct tdo_sel sel;

	assert_int_equal(run(t, "spdadd ::1 ::2 icmp6 type 0 -P in none;\n"
				"spdadd ::1 ::2 icmp6 type 1-4 code 0 -P in none;"),
	    0);
	m = request(t);
	assert_int_equal(tdo_sadb_get_sel(&m, &sel, NULL), 0);
	assert_true(sel.sport.lo == 0 && sel.sport.hi == 0 && tdo_stmt_range_any(&sel.dport));
	m = request(t);
	assert_int_equal(tdo_sadb_get_sel(&m, &sel, NULL), 0);
	assert_true(sel.sport.lo == 1 && sel.sport.hi == 4);
	assert_true(sel.dport.lo == 0 && sel.dport.hi == 0);
}

/* ---- dumps -------------------------------------------------------------------------- */

static void
entry(struct fixture *t, uint32_t seq, uint32_t spi, uint8_t state)
{
	uint8_t buf[256];
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	struct tdo_addr a = {.af = TDO_AF_INET, .b = {10, 0, 0, 1}};
	size_t len;

	tdo_sadb_begin(&w,
	    &(struct tdo_sadb_base){.type = TDO_SADB_DUMP, .satype = TDO_SATYPE_ESP, .seq = seq});
	tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = spi, .state = state});
	tdo_sadb_put_sa_addrs(&w, &a, &a);
	len = tdo_sadb_end(&w);
	assert_int_equal(send(t->peer, buf, len, 0), len);
}

static unsigned
count(const char *text, const char *part)
{
	unsigned n = 0;

	for (; (text = strstr(text, part)) != NULL; text++)
		n++;
	return n;
}

static void
dump_ends_with_number_zero(void **state)
{
	struct fixture *t = *state;

	entry(t, 2, 300, TDO_SA_MATURE);
	answer(t, TDO_SADB_ADD, 77, PID + 1, 0); /* a broadcast in between */
	entry(t, 1, 301, TDO_SA_DEAD);
	entry(t, 0, 302, TDO_SA_DYING);
	entry(t, 0, 303, TDO_SA_MATURE); /* behind the end */
	assert_int_equal(run(t, "dump esp;"), 0);
	fflush(t->x.out);
	assert_int_equal(count(t->out, "spi="), 2); /* dead ones by -a only */
	assert_non_null(strstr(t->out, "spi=302("));
}

/* How often the line is taken away in a dump of ten entries, each of which takes a second. */
static unsigned
times_hidden(struct fixture *t, bool apart)
{
	char *text = NULL;
	size_t len = 0;
	unsigned n;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	t->x.progress = (struct progress){.out = f, .now = slower_clock, .apart = apart};
	for (unsigned i = 10; i-- > 0;)
		entry(t, i, 300 + i, TDO_SA_MATURE);
	assert_int_equal(tdo_exec_dump(&t->x, 0, 0), 0);
	fclose(f);
	assert_true(count(text, " done, ") >= 8);
	n = count(text, "\r\033[K");
	free(text);
	return n;
}

static void
a_dump_into_a_file_leaves_its_progress_in_sight(void **state)
{
	assert_int_equal(times_hidden(*state, true), 1); /* in the end */
	assert_true(times_hidden(*state, false) >= 8);
}

static void
half_a_dump_is_an_error(void **state)
{
	struct fixture *t = *state;

	t->x.patience_ms = 1; /* nothing more comes */
	entry(t, 2, 300, TDO_SA_MATURE);
	assert_int_equal(tdo_exec_dump(&t->x, 0, 0), -ETIMEDOUT);
	assert_int_equal(tdo_exec_dump(&t->x, 0, 0), 0); /* no answer at all is silence */
}

static void
dead_ones_on_demand(void **state)
{
	struct fixture *t = *state;

	t->x.opt.dead = true;
	entry(t, 1, 301, TDO_SA_DEAD);
	entry(t, 0, 302, TDO_SA_MATURE);
	assert_int_equal(run(t, "dump;"), 0);
	fflush(t->x.out);
	assert_int_equal(count(t->out, "spi="), 2);
}

static void
empty_databases_have_their_own_texts(void **state)
{
	struct fixture *t = *state;

	t->x.opt.with_line = false;
	answer(t, TDO_SADB_DUMP, 0, PID, ENOENT);
	assert_int_equal(tdo_exec_dump(&t->x, 0, 0), 0);
	answer(t, TDO_SADB_X_SPDDUMP, 0, PID, ENOENT);
	assert_int_equal(tdo_exec_spddump(&t->x, 0), 0);
	printed(t, "No SAD entries.\nNo SPD entries.\n");
}

/* ---- many --------------------------------------------------------------------------- */

/* The answer to one request at the end of a row; those with an odd number have an error. */
static size_t
answer_one(const uint8_t *msg, size_t len, uint8_t *row, size_t row_len)
{
	struct tdo_wr w = tdo_wr_init(row + row_len, 64);
	struct tdo_sadb_base b;

	if (!tdo_sadb_base_read(msg, len, &b))
		_exit(1);
	b.err = b.type != TDO_SADB_X_TDO_ROWS && b.seq % 2 ? ENOENT : 0;
	tdo_sadb_begin(&w, &b);
	return row_len + tdo_sadb_end(&w);
}

/*
 * Answers every request, packet by packet; ends with the number of packets in fives of them, so
 * that the parent can see it.
 */
static void
serve(int fd)
{
	static uint8_t in[TDO_SADB_ROW_MAX], out[TDO_SADB_ROW_MAX];
	unsigned packets = 0;
	ssize_t n;

	for (; (n = recv(fd, in, sizeof(in), 0)) > 0; packets++) {
		size_t out_len = 0, len;

		for (size_t at = 0; at < (size_t)n; at += len) {
			len = tdo_sadb_row_next(in + at, (size_t)n - at);
			out_len = answer_one(in + at, len, out, out_len);
		}
		if (send(fd, out, out_len, 0) < 0)
			_exit(1);
	}
	_exit(packets / 5 > 100 ? 100 : (int)packets / 5);
}

/* A file of many statements; returns how many packets it took, divided by 5, at most 100. */
static int
long_file(struct fixture *t, bool rows)
{
	enum { N = 3000 };
	static const char line[] = "delete 10.0.0.1 10.0.0.2 esp 300;\n";
	char *text = malloc(N * (sizeof(line) - 1) + 1);
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		close(t->client.fd);
		serve(t->peer);
	}
	if (rows)
		assert_int_equal(tdo_client_ask_rows(&t->client, EXEC_PATIENCE_MS), 0);
	assert_int_equal(t->client.rows, rows);
	for (size_t i = 0; i < N; i++)
		memcpy(text + i * (sizeof(line) - 1), line, sizeof(line));
	assert_int_equal(run(t, text), 0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	assert_int_equal(t->x.failed, N / 2);
	fflush(t->x.out);
	assert_non_null(strstr(t->out, "The result of line 2999: No entry.\n"));
	assert_null(strstr(t->out, "line 3000"));
	shutdown(t->client.fd, SHUT_RDWR);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(text);
	return WEXITSTATUS(status);
}

static void
long_files_go_through_the_window(void **state)
{
	assert_int_equal(long_file(*state, false), 100);
}

/* 3000 requests in rows of 64, and the question; answers come in rows, too. */
static void
d35_requests_share_packets_when_the_daemon_agrees(void **state)
{
	assert_int_equal(long_file(*state, true), (3000 / 64 + 2) / 5);
}

/* Who does not know the question answers it with an error: then it goes on as ever. */
static void
packets_are_not_shared_with_a_daemon_that_does_not_know(void **state)
{
	struct fixture *t = *state;
	struct tdo_sadb_msg m;

	answer(t, TDO_SADB_X_TDO_ROWS, 77, PID + 1, 0); /* of somebody else */
	answer(t, TDO_SADB_X_TDO_ROWS, 1, PID, EINVAL);
	assert_int_equal(tdo_client_ask_rows(&t->client, EXEC_PATIENCE_MS), 0);
	assert_false(t->client.rows);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_X_TDO_ROWS);
	assert_int_equal(run(t, "flush; spdflush;"), 0);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_FLUSH);
	assert_int_equal(m.base.seq, 1);
	m = request(t);
	assert_int_equal(m.base.type, TDO_SADB_X_SPDFLUSH);
}

/* Messages of others between answers, one that does not parse, and the rest of a dump. */
static void
rows_of_answers_are_taken_apart(void **state)
{
	struct fixture *t = *state;
	static const uint8_t seqs[] = {3, 2, 1, 0};
	uint8_t buf[512];
	size_t len = 0;

	t->client.rows = true;
	for (size_t i = 0; i < 4; i++) {
		struct tdo_wr w = tdo_wr_init(buf + len, sizeof(buf) - len);

		tdo_sadb_begin(&w, &(struct tdo_sadb_base){.type = TDO_SADB_X_SPDFLUSH,
				       .pid = PID,
				       .err = seqs[i] == 2 ? EPERM : 0,
				       .seq = seqs[i]});
		len += tdo_sadb_end(&w);
	}
	buf[1] = 200; /* the type of the first one is unknown */
	assert_int_equal(send(t->peer, buf, len, 0), len);
	assert_int_equal(run(t, "spdflush;\nspdflush;\n"), 0);
	assert_int_equal(tdo_exec_wait(&t->x), 0);
	printed(t, "The result of line 2: Operation not permitted.\n");
	assert_int_equal(t->client.unsent, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	    TEST(add_becomes_a_message),
	    TEST(null_algorithms_have_empty_keys),
	    TEST(udp_encapsulation_becomes_extensions),
	    TEST(policies_become_messages),
	    TEST(other_statements_become_messages),
	    TEST(names_with_several_addresses),
	    TEST(results_in_order_of_the_statements),
	    TEST(without_line_numbers),
	    TEST(refusals_have_a_reason),
	    TEST(forward_copies_are_quiet),
	    TEST(no_answer_is_silent),
	    TEST(d35_long_runs_are_pipelined_and_show_progress),
	    TEST(short_runs_show_no_progress),
	    TEST(lost_connection_is_an_error),
	    TEST(statements_before_an_error),
	    TEST(d41_type_and_code_0_reach_the_daemon),
	    TEST(dump_ends_with_number_zero),
	    TEST(a_dump_into_a_file_leaves_its_progress_in_sight),
	    TEST(half_a_dump_is_an_error),
	    TEST(dead_ones_on_demand),
	    TEST(empty_databases_have_their_own_texts),
	    TEST(long_files_go_through_the_window),
	    TEST(d35_requests_share_packets_when_the_daemon_agrees),
	    TEST(packets_are_not_shared_with_a_daemon_that_does_not_know),
	    TEST(rows_of_answers_are_taken_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
