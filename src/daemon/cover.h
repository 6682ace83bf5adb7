/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sound superset of what policies cover, in a form that the kernel can look up.
 *
 * Each selector becomes an entry of a shape: family, direction, two prefix lengths, and
 * whether protocol and ports are part of the key.  A shape is one hash set of the kernel.
 * What a key cannot say (port ranges; types and codes of ICMP and MH and keys of GRE, which
 * are not where ports are) is left out of it: that makes the entry cover more, never less.
 * Entries are counted, since policies may map to the same one.
 *
 *	ADDR   addresses alone
 *	UPPER  addresses, protocol, perhaps ports
 *	TWIN   the addresses of UPPER entries, for packets whose upper layer cannot be read:
 *	       fragments (RFC 4301 section 7) and headers that are cut off
 *
 * A packet is covered when an ADDR entry matches, or, if it is a fragment or its upper layer
 * cannot be loaded, a TWIN entry, or else an UPPER entry.
 *
 * When there are too many shapes or entries, a side (direction and family) is coarsened:
 * prefix lengths are rounded down to multiples of 8, then protocol and ports are left out,
 * then everything is covered.  A side that becomes empty is exact again.
 *
 * This file is a model without any I/O; a sink is told what to do to the kernel's sets, in an
 * order in which coverage never has a gap.
 */
#ifndef TDO_DAEMON_COVER_H
#define TDO_DAEMON_COVER_H

#include "base/hash.h"
#include "testudo/sp.h"

enum tdo_cover_kind { TDO_COVER_ADDR, TDO_COVER_UPPER, TDO_COVER_TWIN };

enum { TDO_COVER_KEY_MAX = 2 * 16 + 3 * 4 };

struct tdo_cover_shape {
	uint32_t id; /* never used twice by one model */
	uint8_t dir; /* enum tdo_dir */
	uint8_t af;
	uint8_t kind; /* enum tdo_cover_kind */
	uint8_t src_plen, dst_plen;
	bool sport, dport; /* UPPER: part of the key */
	unsigned entries;

	struct tdo_cover_shape *next;    /* of the same side */
	struct tdo_cover_entry *members; /* private */
};

/*
 * Bytes of a key: masked source, masked destination, then, for UPPER, protocol and the
 * ports that are part of it, each at a multiple of 4 with zeroes behind.
 */
uint8_t tdo_cover_key_len(const struct tdo_cover_shape *s);

/* What has to be done to the kernel's sets.  Any function may be NULL. */
struct tdo_cover_sink {
	void (*shape_new)(void *ctx, const struct tdo_cover_shape *s);
	void (*entry)(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key, bool add);
	/* The list of shapes of a side changed: rules must look up exactly these from now on. */
	void (*rules)(void *ctx, enum tdo_dir dir, uint8_t af);
	/* Comes after rules: nothing refers to the set any more; it may still have entries. */
	void (*shape_gone)(void *ctx, const struct tdo_cover_shape *s);
	void *ctx;
};

struct tdo_cover_limits {
	unsigned shapes;  /* ADDR and UPPER of one side */
	unsigned entries; /* of all sides together */
};

#define TDO_COVER_LIMITS_DEFAULT ((struct tdo_cover_limits){48, 200000})

struct tdo_cover;

/* seed is the secret of the hash table.  0 or -ENOMEM. */
int tdo_cover_new(struct tdo_cover_limits limits, struct tdo_hash_key seed,
    const struct tdo_cover_sink *sink, struct tdo_cover **ret);
void tdo_cover_free(struct tdo_cover *c); /* tells the sink nothing; c may be NULL */

/* 0, -EINVAL (selector makes no sense) or -ENOMEM: nothing changed. */
int tdo_cover_add(struct tdo_cover *c, enum tdo_dir dir, const struct tdo_sel *sel);
/* 0, -EINVAL, or -ENOENT: nothing like that was added. */
int tdo_cover_del(struct tdo_cover *c, enum tdo_dir dir, const struct tdo_sel *sel);
/* Covers everything of a family, in both directions, or no longer so. */
int tdo_cover_default(struct tdo_cover *c, uint8_t af, bool all);

/*
 * Whoever made the entries is gone: they stay, without a count, until drop_aged is called
 * after a successor has made its own.
 */
void tdo_cover_age(struct tdo_cover *c);
void tdo_cover_drop_aged(struct tdo_cover *c);

/*
 * What the kernel's rules answer for this packet; but ICMP errors are covered as soon as there is a
 * shape, because what they quote may be (RFC 4301 6).
 */
bool tdo_cover_match(const struct tdo_cover *c, enum tdo_dir dir, const struct tdo_flow *flow,
    bool is_fragment, bool l4_loadable);

/* The shapes of a side, linked by next. */
const struct tdo_cover_shape *tdo_cover_shapes(
    const struct tdo_cover *c, enum tdo_dir dir, uint8_t af);
/* Calls fn with the key of each entry. */
void tdo_cover_each(const struct tdo_cover_shape *s,
    void (*fn)(void *ctx, const struct tdo_cover_shape *s, const uint8_t *key), void *ctx);

/* True when a side covers everything because it was coarsened: until it is empty. */
bool tdo_cover_covers_all(const struct tdo_cover *c, enum tdo_dir dir, uint8_t af);
unsigned tdo_cover_entries(const struct tdo_cover *c);
unsigned tdo_cover_coarsened(const struct tdo_cover *c); /* how often that happened */
/* 0 exact, 1 prefixes rounded, 2 no protocol and ports, 3 everything. */
unsigned tdo_cover_level(const struct tdo_cover *c, enum tdo_dir dir, uint8_t af);

#endif
