/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records of the journal.  They never leave the machine or outlive the program that wrote them
 * (the region dies with the parent), so they are structures in host order; still every
 * length and number is checked when they are read.
 */
#ifndef TDO_DAEMON_RECORD_H
#define TDO_DAEMON_RECORD_H

#include "testudo/knob.h"
#include "testudo/sp.h"

enum tdo_record_type {
	TDO_REC_SA = 1,      /* struct tdo_rec_sa, encryption key, authentication key */
	TDO_REC_SA_GONE,     /* struct tdo_rec_sa_key */
	TDO_REC_SA_GONE_ALL, /* struct tdo_rec_sa_key: all of type, source, destination */
	TDO_REC_SA_FLUSH,    /* struct tdo_rec_sa_key: all of the type */
	TDO_REC_SP,          /* struct tdo_rec_sp, requests */
	TDO_REC_SP_GONE,     /* struct tdo_rec_sp_key */
	TDO_REC_KNOB,        /* struct tdo_rec_knob */
};

struct tdo_rec_sa {
	struct tdo_sa_param param; /* pointers are NULL */
	uint64_t packets, bytes;   /* that used it */
	/* By the clock that goes on while processes come and go, and that nobody sets. */
	tdo_ns made, first_used; /* first_used 0: never */
};

struct tdo_rec_sa_key {
	uint8_t satype;
	uint32_t spi;
	struct tdo_addr src, dst;
};

struct tdo_rec_sp {
	tdo_ns made; /* as in struct tdo_rec_sa */
	/* The part of param before req; the requests follow the record. */
	uint8_t head[offsetof(struct tdo_sp_param, req)];
};

struct tdo_rec_sp_key {
	uint8_t dir;
	struct tdo_sel sel;
};

struct tdo_rec_knob {
	uint32_t knob;
	int32_t value;
	uint8_t af;
};

/* Fills *r and keys (2 * TDO_KEY_MAX bytes); returns the bytes used of keys. */
size_t tdo_rec_sa_make(const struct tdo_sa_info *sa, struct tdo_rec_sa *r, uint8_t *keys);
void tdo_rec_sp_make(const struct tdo_sp_info *sp, struct tdo_rec_sp *r);

/*
 * Reads a record of len bytes.  *ret borrows the keys from p.  What of the lifetimes was used
 * until now is taken off; *ret_over: a hard lifetime is used up, the SA must not come back.
 * false: malformed.
 */
TDO_MUST_CHECK bool tdo_rec_sa_read(
    const uint8_t *p, size_t len, tdo_ns now, struct tdo_sa_param *ret, bool *ret_over);
TDO_MUST_CHECK bool tdo_rec_sp_read(
    const uint8_t *p, size_t len, tdo_ns now, struct tdo_sp_param *ret, bool *ret_over);

#endif
