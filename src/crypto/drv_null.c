/* SPDX-License-Identifier: BSD-2-Clause */
/* NULL encryption (RFC 2410), without authentication or with an ICV of zeros. */
#include "crypto/alg.h"
#include "crypto/driver.h"

static int
start(const struct tdo_crypto_config *cfg, void **ret_state)
{
	(void)cfg;
	*ret_state = NULL;
	return 0;
}

static void
stop(void *state)
{
	(void)state;
}

struct null_session {
	bool encrypt;
	uint8_t icv_len;
};

static bool
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len)
{
	(void)state;
	(void)key_len;
	return (enc == NULL || enc->pfkey == TDO_EALG_NULL) && (auth == NULL || auth->no_auth);
}

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	(void)state;
	(void)p;
	return sizeof(struct null_session);
}

static uint8_t
one(const struct null_session *ns, struct tdo_op *op)
{
	static const uint8_t zero[TDO_ICV_MAX];

	if (!tdo_op_ok(op, 0, 1))
		return TDO_OP_ERROR;
	if (ns->encrypt) {
		memset(op->data + op->hdr_len + op->text_len, 0, ns->icv_len);
		return TDO_OP_OK;
	}
	return tdo_ct_equal(op->data + op->hdr_len + op->text_len, zero, ns->icv_len)
		   ? TDO_OP_OK
		   : TDO_OP_BAD_ICV;
}

static void
process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	for (unsigned i = 0; i < n; i++)
		ops[i].status = one((const void *)ops[i].session->ctx, &ops[i]);
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	struct null_session *ns = (void *)s->ctx;

	(void)state;
	ns->encrypt = p->encrypt;
	ns->icv_len = p->auth ? p->auth->icv_len : 0;
	s->process = process;
	return 0;
}

const struct tdo_driver tdo_driver_null = {
    .name = "null",
    .start = start,
    .stop = stop,
    .supports = supports,
    .session_size = session_size,
    .session_init = session_init,
};
