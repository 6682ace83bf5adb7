/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small types that all parts share: time, addresses, memory, randomness, errors.
 *
 * The library takes everything from its caller: memory by struct tdo_mem, random
 * bytes by tdo_random_fn, and time as an argument of type tdo_ns.
 */
#ifndef TESTUDO_TYPES_H
#define TESTUDO_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Nanoseconds since an epoch of the caller's choice; must never run backwards. */
typedef uint64_t tdo_ns;

#define TDO_SEC ((tdo_ns)1000000000)

/* Functions whose result says whether anything was done. */
#define TDO_MUST_CHECK __attribute__((warn_unused_result))

/* Address families by IP version; they do not depend on an operating system. */
enum tdo_af {
	TDO_AF_NONE = 0,
	TDO_AF_INET = 4,
	TDO_AF_INET6 = 6,
};

/*
 * An IP address in network byte order.  For TDO_AF_INET the address is in b[0..3]
 * and b[4..15] are zero, so that whole structures may be compared and hashed.
 */
struct tdo_addr {
	uint8_t af; /* enum tdo_af */
	uint8_t pad[3];
	uint8_t b[16];
};

/* Allocator handle.  alloc returns zeroed memory aligned for any type, or NULL. */
struct tdo_mem {
	void *(*alloc)(void *ctx, size_t size);
	/* p may be NULL; size is what was asked for. */
	void (*free)(void *ctx, void *p, size_t size);
	void *ctx;
};

/* Fills buf with len unpredictable bytes; cannot fail. */
typedef void (*tdo_random_fn)(void *ctx, void *buf, size_t len);

/* Severity of a message to the operator. */
enum tdo_log_level { TDO_LOG_ERR, TDO_LOG_WARN, TDO_LOG_INFO, TDO_LOG_DEBUG };

/* Receives one message without a line end.  The text never contains key material. */
typedef void (*tdo_log_fn)(void *ctx, enum tdo_log_level level, const char *text);

/*
 * Why a call was refused, where an errno is too coarse.  text names the thing and the
 * rule it breaks; it is valid until the next call for the same engine.
 */
struct tdo_err {
	const char *text;
};

#endif
