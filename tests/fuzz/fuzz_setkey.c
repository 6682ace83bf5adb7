/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The setkey language from any text: no names are looked up and nothing is sent.  Every
 * statement is printed in canonical form, which must parse again to the same text, and
 * becomes a message, which must pass the checks of the codec.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "setkey/parse.h"
#include "setkey/request.h"

struct input {
	const uint8_t *p;
	size_t left;
	FILE *canonical;
};

static int
read_text(void *ctx, char *buf, size_t max)
{
	struct input *in = ctx;
	size_t n = in->left < max ? in->left : max;

	memcpy(buf, in->p, n);
	in->p += n;
	in->left -= n;
	return (int)n;
}

static void
check_message(const struct stmt *s)
{
	static uint8_t buf[TDO_SADB_MAXLEN];
	uint8_t satype = s->sa.proto ? s->sa.proto->satype : TDO_SATYPE_UNSPEC;
	struct tdo_wr w = tdo_wr_init(buf, sizeof(buf));
	struct tdo_sadb_msg m;
	size_t len;

	tdo_sadb_begin(
	    &w, &(struct tdo_sadb_base){.type = tdo_request_type(s->kind), .satype = satype});
	if (s->sa.src.n > 0)
		tdo_request_put_sa(&w, s, &s->sa.src.v[0], &s->sa.dst.v[0]);
	else if (s->sp.sel.src.af != TDO_AF_NONE)
		tdo_request_put_sp(&w, s);
	len = tdo_sadb_end(&w);
	/* TCP-MD5 entries are what the codec refuses, and an original address may not fit. */
	if (len == 0 ||
	    (tdo_sadb_parse(buf, len, &m, NULL) != 0 && satype != TDO_SADB_SATYPE_TCPSIGNATURE))
		abort();
}

static int
take(void *ctx, const struct stmt *s)
{
	struct input *in = ctx;

	tdo_stmt_print(in->canonical, s);
	check_message(s);
	return 0;
}

/* Parses; the canonical text in *ret is the caller's. */
static int
parse(const uint8_t *data, size_t len, char **ret, size_t *ret_len)
{
	struct input in = {.p = data, .left = len};
	struct parse p = {.read = read_text, .take = take, .ctx = &in, .names = &tdo_names_numeric};
	int r;

	in.canonical = open_memstream(ret, ret_len);
	if (!in.canonical)
		abort();
	r = tdo_parse_run(&p);
	if (r != 0 && (p.error.text[0] == '\0' || p.error.pos.line == 0))
		abort();
	fclose(in.canonical);
	return r;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *once, *twice;
	size_t once_len, twice_len;

	parse(data, len, &once, &once_len);
	if (parse((const uint8_t *)once, once_len, &twice, &twice_len) != 0 ||
	    once_len != twice_len || memcmp(once, twice, once_len) != 0)
		abort();
	free(once);
	free(twice);
	return 0;
}
