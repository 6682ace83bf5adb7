/* SPDX-License-Identifier: BSD-2-Clause */
/* The protocols that SAs can have: one row each, for everything that is decided by the SA type. */
#ifndef TDO_ENGINE_PROTOCOL_H
#define TDO_ENGINE_PROTOCOL_H

#include "engine/engine.h"

struct tdo_protocol {
	uint8_t satype; /* enum tdo_satype */
	uint8_t proto;  /* IP protocol number */
	const char *name;
	/* Checks algorithms, keys and flags that mean something to it, and the SPI's range. */
	int (*check)(struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err);
	/*
	 * Fills sa->fmt, sa->out and sa->in from id, algorithms and flags; sessions exist.
	 * -EINVAL for what the protocol cannot do.
	 */
	int (*init)(struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc,
	    const struct tdo_alg *auth);
};

/* The row of an SA type, or NULL. */
const struct tdo_protocol *tdo_protocol_of(uint8_t satype);

/* ---- sa_check.c ---- */

TDO_MUST_CHECK int tdo_esp_check(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err);
/* RFC 4303 2.1, RFC 4302 2.4: SPIs 1..255 are reserved, 0 is for local use. */
TDO_MUST_CHECK int tdo_spi_check(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err);
/* Key material of an algorithm. */
TDO_MUST_CHECK int tdo_key_check(struct tdo_engine *e, const struct tdo_alg *a, const uint8_t *key,
    unsigned bits, struct tdo_err *err);

/* 0, or -EOPNOTSUPP: no driver of the kind that crypto_support wants; either may be NULL. */
TDO_MUST_CHECK int tdo_driver_check(struct tdo_engine *e, const struct tdo_alg *enc,
    const struct tdo_alg *auth, struct tdo_err *err);

/* ---- esp.c ---- */

TDO_MUST_CHECK int tdo_esp_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth);

/* ---- ah.c ---- */

TDO_MUST_CHECK int tdo_ah_check(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err);
TDO_MUST_CHECK int tdo_ah_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth);

/* ---- ipcomp.c ---- */

TDO_MUST_CHECK int tdo_ipcomp_check(
    struct tdo_engine *e, const struct tdo_sa_param *p, struct tdo_err *err);
TDO_MUST_CHECK int tdo_ipcomp_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth);
/* Frees what it made; for any SA. */
void tdo_ipcomp_fini(struct tdo_engine *e, struct tdo_sa *sa);
void tdo_ipcomp_work_free(struct tdo_worker *w);

#endif
