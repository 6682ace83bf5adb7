/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP: what is computed once when an SA is made, and accounting. */
#include <errno.h>

#include "engine/path.h"

enum { ALIGN_MIN = 4 }; /* RFC 4303 2.4: pad length and next header end on a 4-byte boundary */

int
tdo_esp_init(
    struct tdo_engine *e, struct tdo_sa *sa, const struct tdo_alg *enc, const struct tdo_alg *auth)
{
	bool aead = enc && enc->kind == TDO_ALG_AEAD;
	unsigned align = enc && enc->block > ALIGN_MIN ? enc->block : ALIGN_MIN;
	struct tdo_esp x = {0};

	if ((align & (align - 1)) != 0 || (aead && auth))
		return -EINVAL;
	if (sa->flags & (TDO_SAF_OLD | TDO_SAF_IV4B))
		return -EINVAL;
	x.pad_mode = (uint8_t)((sa->flags & TDO_SAF_PMASK) >> 8);
	if (x.pad_mode > TDO_SAF_PZERO >> 8)
		return -EINVAL;
	if (sa->id.src.af != sa->id.dst.af)
		return -EINVAL;
	x.align = (uint8_t)align;
	if (enc) {
		x.iv_len = enc->iv_len;
		x.salt_len = enc->salt_len;
		x.iv_counter = enc->iv_counter;
	}
	x.icv_len = aead ? enc->icv_len : auth ? auth->icv_len : 0;
	x.authenticated = x.icv_len != 0;
	x.esn = (sa->flags & TDO_SAF_ESN) != 0;
	x.seq_max = x.esn ? UINT64_MAX : UINT32_MAX;
	if (x.esn && !x.authenticated)
		return -EINVAL;
	e->cfg.random(e->cfg.random_ctx, &x.iv_base, sizeof(x.iv_base));
	x.outer_len = (uint8_t)tdo_tunnel_len(&sa->id);
	sa->esp = x;
	sa->out = tdo_esp_out;
	sa->in = tdo_esp_in;
	return 0;
}

static uint64_t
left_of(uint64_t limit, uint64_t used)
{
	if (limit == 0)
		return UINT64_MAX;
	return limit > used ? limit - used : 0;
}

struct tdo_quota
tdo_quota_of(const struct tdo_sa *sa)
{
	uint64_t packets = atomic_load_explicit(&sa->packets, memory_order_relaxed);
	uint64_t bytes = atomic_load_explicit(&sa->bytes, memory_order_relaxed);

	return (struct tdo_quota){
	    .packets = left_of(sa->hard.allocations, packets),
	    .bytes = left_of(sa->hard.bytes, bytes),
	};
}

void
tdo_sa_used(struct tdo_sa *sa, uint64_t packets, uint64_t bytes, tdo_ns now)
{
	tdo_ns never = 0;

	if (packets == 0)
		return;
	atomic_fetch_add_explicit(&sa->packets, packets, memory_order_relaxed);
	atomic_fetch_add_explicit(&sa->bytes, bytes, memory_order_relaxed);
	if (atomic_load_explicit(&sa->first_use, memory_order_relaxed) == 0)
		atomic_compare_exchange_strong_explicit(
		    &sa->first_use, &never, now, memory_order_relaxed, memory_order_relaxed);
	if (atomic_load_explicit(&sa->last_use, memory_order_relaxed) != now)
		atomic_store_explicit(&sa->last_use, now, memory_order_relaxed);
}
