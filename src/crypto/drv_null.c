/* SPDX-License-Identifier: BSD-2-Clause */
/* NULL encryption without authentication (RFC 2410): there is nothing to do. */
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

static bool
supports(const void *state, const struct tdo_alg *enc, const struct tdo_alg *auth, unsigned key_len)
{
	(void)state;
	(void)key_len;
	return enc && enc->pfkey == TDO_EALG_NULL && auth == NULL;
}

static size_t
session_size(const void *state, const struct tdo_session_param *p)
{
	(void)state;
	(void)p;
	return 0;
}

static void
process(unsigned worker, struct tdo_op *ops, unsigned n)
{
	(void)worker;
	for (unsigned i = 0; i < n; i++)
		ops[i].status = TDO_OP_OK;
}

static int
session_init(void *state, const struct tdo_session_param *p, struct tdo_session *s)
{
	(void)state;
	(void)p;
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
