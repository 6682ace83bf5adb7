/* SPDX-License-Identifier: BSD-2-Clause */
/* What every protocol does with packets that go out (layer_out.h). */
#include "engine/layer_out.h"

void
tdo_layer_failed_out(struct tdo_worker *w, struct tdo_sa *sa, struct tdo_pkt *p, tdo_ns now)
{
	tdo_group_unused(w, sa, p->len);
	tdo_worker_drop(w, p, sa, TDO_REASON_CRYPTO_FAILED, now);
}
