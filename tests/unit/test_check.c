/* SPDX-License-Identifier: BSD-2-Clause */
/* The inbound policy check against the table tests/vectors/inbound_check.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/addr.h"
#include "engine/check.h"
#include "wire/ip.h"

#define CASES_MIN 150 /* the table is at least this long: a reader that skips lines is found */

struct check_case {
	struct tdo_req req[TDO_REQ_MAX];
	struct tdo_sa_id id[TDO_HIST_MAX];
	struct tdo_removed removed[TDO_HIST_MAX];
	unsigned nreq, nremoved;
	struct tdo_addr src, dst;
};

/* "A" is 10.0.0.1, "a" is 2001:db8::1, and so on. */
static struct tdo_addr
host(char c)
{
	struct tdo_addr a = {0};

	if (c >= 'A' && c <= 'Z') {
		a = (struct tdo_addr){.af = TDO_AF_INET, .b = {10, 0, 0, (uint8_t)(c - 'A' + 1)}};
	} else {
		assert_in_range(c, 'a', 'z');
		a = (struct tdo_addr){.af = TDO_AF_INET6, .b = {0x20, 0x01, 0x0d, 0xb8}};
		a.b[15] = (uint8_t)(c - 'a' + 1);
	}
	return a;
}

static void
hosts(const char *s, struct tdo_addr *src, struct tdo_addr *dst)
{
	assert_int_equal(s[1], '-');
	assert_int_not_equal(s[2], '\0');
	*src = host(s[0]);
	*dst = host(s[2]);
}

static uint8_t
choose(const char *word, const char *const *names, const uint8_t *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(word, names[i]) == 0)
			return values[i];
	fail_msg("unknown word '%s'", word);
	return 0;
}

static uint8_t
proto(const char *w)
{
	static const char *const names[] = {"esp", "ah", "ipcomp"};
	static const uint8_t values[] = {TDO_IPPROTO_ESP, TDO_IPPROTO_AH, TDO_IPPROTO_IPCOMP};

	return choose(w, names, values, 3);
}

static uint8_t
mode(const char *w)
{
	static const char *const names[] = {"any", "transport", "tunnel"};
	static const uint8_t values[] = {TDO_MODE_ANY, TDO_MODE_TRANSPORT, TDO_MODE_TUNNEL};

	return choose(w, names, values, 3);
}

static uint8_t
level(const char *w)
{
	static const char *const names[] = {"use", "require", "unique"};
	static const uint8_t values[] = {TDO_LEVEL_USE, TDO_LEVEL_REQUIRE, TDO_LEVEL_UNIQUE};

	return choose(w, names, values, 3);
}

/* Cuts "word:number" behind the word; 0 without a number. */
static uint32_t
cut_reqid(char *word)
{
	char *colon = strchr(word, ':');

	if (!colon)
		return 0;
	*colon = '\0';
	return (uint32_t)strtoul(colon + 1, NULL, 10);
}

static void
read_request(struct check_case *c, char *text)
{
	struct tdo_req *r = &c->req[c->nreq++];
	char *ends;

	assert_in_range(c->nreq, 1, TDO_REQ_MAX);
	r->proto = proto(strsep(&text, "/"));
	r->mode = mode(strsep(&text, "/"));
	ends = strsep(&text, "/");
	if (*ends != '\0')
		hosts(ends, &r->src, &r->dst);
	r->reqid = cut_reqid(text);
	r->level = level(text);
}

static void
read_removed(struct check_case *c, char *text)
{
	struct tdo_sa_id *id = &c->id[c->nremoved];
	struct tdo_removed *r = &c->removed[c->nremoved++];
	size_t len = strlen(text);

	assert_in_range(c->nremoved, 1, TDO_HIST_MAX);
	if (text[len - 1] == '^') {
		r->tunnel = true;
		text[len - 1] = '\0';
	}
	r->sa = id;
	id->spi = 0x1000 + c->nremoved;
	id->proto = proto(strsep(&text, "/"));
	id->mode = mode(strsep(&text, "/"));
	id->reqid = cut_reqid(text);
	hosts(text, &id->src, &id->dst);
}

static void
read_list(struct check_case *c, char *list, void (*item)(struct check_case *c, char *text))
{
	char *one;

	if (strcmp(list, "-") == 0)
		return;
	while ((one = strsep(&list, ",")))
		item(c, one);
}

static const char *
run(char *requests, char *removed, char *packet)
{
	struct check_case c = {0};
	struct tdo_check check;
	enum tdo_reason r;

	read_list(&c, requests, read_request);
	read_list(&c, removed, read_removed);
	hosts(packet, &c.src, &c.dst);
	check = (struct tdo_check){
	    .removed = c.removed,
	    .nremoved = c.nremoved,
	    .req = c.req,
	    .nreq = c.nreq,
	    .src = &c.src,
	    .dst = &c.dst,
	};
	r = tdo_check_requests(&check);
	return r == TDO_REASON_NONE ? "none" : tdo_reason_info(r)->name;
}

static void
d01_every_request_needs_its_own_sa(void **state)
{
	const char *dir = getenv("TDO_VECTORS");
	char path[512], line[2048], name[64], requests[1024], removed[1024], packet[8], want[32];
	unsigned n = 0, failed = 0;
	FILE *f;

	assert_non_null(dir);
	assert_in_range(snprintf(path, sizeof(path), "%s/inbound_check.txt", dir), 1, 511);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		const char *got;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		assert_int_equal(sscanf(line, "%63s %1023s %1023s %7s %31s", name, requests,
				     removed, packet, want),
		    5);
		got = run(requests, removed, packet);
		if (strcmp(got, want) != 0) {
			print_error("%s: %s, expected %s\n", name, got, want);
			failed++;
		}
		n++;
	}
	fclose(f);
	assert_in_range(n, CASES_MIN, 100000);
	assert_int_equal(failed, 0);
}

/* An unresolved level must not weaken the policy. */
static void
test_default_is_require(void **state)
{
	struct tdo_req req = {
	    .proto = TDO_IPPROTO_ESP, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_DEFAULT};
	struct tdo_addr a = host('A'), b = host('B');
	struct tdo_check c = {.req = &req, .nreq = 1, .src = &a, .dst = &b};

	assert_int_equal(tdo_check_requests(&c), TDO_REASON_IN_CLEAR);
}

/* A history or policy longer than anything the engine makes is refused, not walked. */
static void
test_too_long(void **state)
{
	static const struct tdo_req req[TDO_REQ_MAX + 1];
	static const struct tdo_sa_id id;
	struct tdo_removed removed[TDO_HIST_MAX + 1];
	struct tdo_addr a = host('A'), b = host('B');
	struct tdo_check c = {.req = req, .nreq = TDO_REQ_MAX + 1, .src = &a, .dst = &b};

	for (unsigned i = 0; i <= TDO_HIST_MAX; i++)
		removed[i] = (struct tdo_removed){.sa = &id};
	c.removed = removed;
	assert_int_equal(tdo_check_requests(&c), TDO_REASON_IN_WRONG_SA);
	c.nreq = 1;
	c.nremoved = TDO_HIST_MAX + 1;
	assert_int_equal(tdo_check_requests(&c), TDO_REASON_IN_WRONG_SA);
}

/* Peers behind one NAT have one address; [0]: of the request, [1]: of the SA, 0: any or none. */
static void
test_ports(void **state)
{
	static const struct {
		uint16_t sport[2], dport[2];
		bool same;
	} cases[] = {
	    {{0, 0}, {0, 0}, true}, {{0, 30000}, {0, 4500}, true},
	    {{30000, 30000}, {4500, 4500}, true}, {{30000, 30001}, {4500, 4500}, false},
	    {{30000, 30000}, {4500, 4501}, false}, {{0, 30001}, {4500, 4500}, true},
	    {{0, 30001}, {4501, 4500}, false},
	    {{30000, 0}, {4500, 0}, true}, /* an SA that is not in UDP */
	};

	(void)state;
	for (unsigned i = 0; i < 4 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool tunnel = i & 1, unique = i & 2;
		struct tdo_addr a = host('A'), b = host('B');
		struct tdo_sa_id id = {.proto = 50, .src = a, .dst = b, .reqid = 7};
		struct tdo_req q = {.proto = 50, .src = a, .dst = b, .reqid = 7};
		struct tdo_removed r = {.sa = &id,
		    .tunnel = tunnel,
		    .sport = cases[i / 4].sport[1],
		    .dport = cases[i / 4].dport[1]};
		struct tdo_check c = {
		    .req = &q, .nreq = 1, .removed = &r, .nremoved = 1, .src = &a, .dst = &b};

		q.mode = id.mode = tunnel ? TDO_MODE_TUNNEL : TDO_MODE_TRANSPORT;
		q.level = unique ? TDO_LEVEL_UNIQUE : TDO_LEVEL_REQUIRE;
		q.sport = cases[i / 4].sport[0];
		q.dport = cases[i / 4].dport[0];
		assert_int_equal(tdo_check_requests(&c),
		    unique || cases[i / 4].same ? TDO_REASON_NONE : TDO_REASON_IN_WRONG_SA);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ports),
	    cmocka_unit_test(d01_every_request_needs_its_own_sa),
	    cmocka_unit_test(test_default_is_require),
	    cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
