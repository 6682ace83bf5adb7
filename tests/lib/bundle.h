/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bundles for tests: which SAs stand on a packet, with which algorithms, and the statements of
 * the setkey language that say so to a sender and to a receiver.
 */
#ifndef TDO_TESTS_BUNDLE_H
#define TDO_TESTS_BUNDLE_H

#include "host.h"

#define BUNDLE_MAX   TDO_HIST_MAX /* layers */
#define SUITES_MAX   512          /* of one protocol */
#define BUNDLE_WHOLE UINT32_MAX

/* The inner hosts; layer i has its tunnel ends. */
extern const char *const bundle_inner[2][2];             /* [IPv6][sender, receiver] */
extern const char *const bundle_outer[BUNDLE_MAX][2][2]; /* [layer][IPv6][...] */
/* All addresses of the receiver, for host_local(). */
extern const char *const bundle_receiver[];

enum bundle_proto { BUNDLE_ESP, BUNDLE_AH, BUNDLE_IPCOMP, BUNDLE_PROTOS };

/* Algorithms with their key lengths in bits; NULL: none. */
struct suite {
	const struct tdo_alg *enc, *auth;
	uint16_t ekey_bits, akey_bits;
};

struct suites {
	unsigned n;
	struct suite v[SUITES_MAX];
};

/* Every pair that a driver has, with every legal length of its key. */
void suites_esp(struct suites *s, const struct tdo_crypto *c);
void suites_ah(struct suites *s, const struct tdo_crypto *c);
void suites_ipcomp(struct suites *s);

struct layer {
	enum bundle_proto proto;
	uint8_t tunnel; /* TDO_AF_NONE: transport mode, else the family of the outer header */
	bool esn;
	bool raw; /* IPComp: the CPI itself is on the wire */
	const struct suite *suite;
};

struct bundle {
	unsigned n;
	struct layer layer[BUNDLE_MAX]; /* innermost first */
	uint8_t af;                     /* of the packet */
};

/* A wrong packet is noticed by this layer. */
bool layer_integrity(const struct layer *l);
bool layer_esn(const struct layer *l);
/* Layers of the protocol. */
unsigned bundle_count(const struct bundle *b, enum bundle_proto proto);
/* Family of the packet on the wire. */
uint8_t bundle_family(const struct bundle *b);
/* True when the bundle without this layer has SAs that the whole one has, too. */
bool bundle_separable(const struct bundle *b, unsigned layer);

/*
 * Writes the SAs and the policy of one direction.  without: number of a layer that is left
 * out, or BUNDLE_WHOLE.
 */
void bundle_setkey(
    const struct bundle *b, uint8_t dir, uint32_t without, char *ret_text, size_t cap);

#endif
