/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside of the reassembler: what reass.c (datagrams) and reass_store.c (their memory) share. */
#ifndef TDO_WIRE_REASS_H
#define TDO_WIRE_REASS_H

#include "base/hash.h"
#include "testudo/reass.h"

enum {
	TDO_REASS_BLOCK = 2048, /* one fragment of an Ethernet takes one */
	TDO_REASS_TABLE = 1024,
	TDO_REASS_FRAGS = 256, /* of one datagram: those of an MTU of 296 bytes */
	TDO_REASS_SHARE = 4,   /* a source may have a quarter */
	TDO_REASS_HEAVY = 16,  /* with a sixteenth it is the first to lose something */
};

/* Doubly linked; a list is a ring with its anchor. */
struct tdo_reass_ring {
	struct tdo_reass_ring *prev, *next;
};

/* A piece of memory: a fragment, or the headers in front of the first one, are chains of them. */
struct tdo_reass_block {
	struct tdo_reass_block *more;  /* of the same fragment; of free blocks: the next one */
	struct tdo_reass_block *after; /* the next fragment by offset */
	uint32_t at, len;              /* the fragment's place in the payload */
	uint8_t data[];
};

#define TDO_REASS_ROOM (TDO_REASS_BLOCK - sizeof(struct tdo_reass_block))

struct tdo_reass_source {
	struct tdo_reass_source *chain; /* must be first: see struct stock */
	struct tdo_addr addr;           /* IPv6: its /64 */
	uint64_t way;
	struct tdo_reass_ring datagrams, heavy;
	unsigned n, blocks;
	unsigned slot;
	bool is_heavy;
};

struct tdo_reass_key {
	struct tdo_addr src, dst;
	uint64_t way;
	uint32_t id;
	uint32_t proto; /* IPv4; 0 in IPv6, where the identification is enough (RFC 8200 4.5) */
};

struct tdo_reass_datagram {
	struct tdo_reass_datagram *chain; /* must be first */
	struct tdo_reass_key key;
	struct tdo_reass_ring age, of_source;
	struct tdo_reass_source *source;
	struct tdo_reass_block *head;         /* IP header, up to the fragment header */
	struct tdo_reass_block *first, *last; /* fragments by offset */
	tdo_ns when;                          /* its first fragment came */
	unsigned slot, blocks, nfrags;
	uint32_t head_len, have, end, longest;
	uint16_t nh_off; /* IPv6: byte that announces the fragment header */
	uint8_t proto;   /* what the first fragment says is in it */
	uint8_t ecn;     /* bit i: a fragment had ECN field i */
	bool end_known;
	bool spoilt; /* its fragments are dropped until it is forgotten (RFC 5722 4) */
};

/* Objects of one size; memory is taken in slabs and given back when all of it is free. */
struct tdo_reass_stock {
	size_t size;
	unsigned per_slab;
	void *free;
	struct tdo_reass_slab *slabs;
};

struct tdo_reass {
	struct tdo_reass_config cfg;
	struct tdo_reass_limits lim;
	struct tdo_hash_key key;
	struct tdo_reass_stock blocks, datagrams, sources;
	struct tdo_reass_ring age;   /* all datagrams, oldest first */
	struct tdo_reass_ring heavy; /* sources with much */
	unsigned nblocks, max_blocks, ndatagrams, nsources;
	struct tdo_reass_datagram *by_key[TDO_REASS_TABLE];
	struct tdo_reass_source *by_source[TDO_REASS_TABLE];
};

/* ---- reass_store.c ---- */

static inline void
tdo_reass_ring_init(struct tdo_reass_ring *a)
{
	a->prev = a->next = a;
}

static inline void
tdo_reass_lost(struct tdo_reass *r, enum tdo_reason why, unsigned n)
{
	if (n > 0 && r->cfg.lost)
		r->cfg.lost(r->cfg.lost_ctx, why, n);
}

/* The datagram with this key, or NULL. */
struct tdo_reass_datagram *tdo_reass_find(struct tdo_reass *r, const struct tdo_reass_key *key);
/* A new one; older ones may have to go for it.  NULL: there is no memory. */
struct tdo_reass_datagram *tdo_reass_begin(
    struct tdo_reass *r, const struct tdo_reass_key *key, tdo_ns now);
/* Frees it and its memory. */
void tdo_reass_end(struct tdo_reass *r, struct tdo_reass_datagram *d);
/* Its fragments are lost for this reason; it stays, spoilt. */
void tdo_reass_spoil(struct tdo_reass *r, struct tdo_reass_datagram *d, enum tdo_reason why);
/* Makes room for n blocks of d, or says why there is none. */
enum tdo_reason tdo_reass_reserve(struct tdo_reass *r, struct tdo_reass_datagram *d, unsigned n);
/* Copies len bytes to blocks that were reserved; NULL: there is no memory. */
struct tdo_reass_block *tdo_reass_store(
    struct tdo_reass *r, struct tdo_reass_datagram *d, const uint8_t *p, uint32_t len);
/* Copies them back. */
void tdo_reass_load(const struct tdo_reass_block *b, uint8_t *p, uint32_t len);
/* Gives all memory back; nothing waits. */
void tdo_reass_release(struct tdo_reass *r);

static inline unsigned
tdo_reass_blocks_of(uint32_t len)
{
	return (unsigned)((len + TDO_REASS_ROOM - 1) / TDO_REASS_ROOM);
}

#endif
