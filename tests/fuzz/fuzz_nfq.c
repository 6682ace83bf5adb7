/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of nfnetlink_queue: what is found lies within the message; the id is always the same. */
#include "fuzz.h"
#include "io/nfq.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct tdo_nfq_packet q;
	uint32_t id;

	if (tdo_nfq_parse(data, len, &q)) {
		FUZZ_CHECK(q.p >= data && q.p + q.len <= data + len);
		FUZZ_CHECK(tdo_nfq_id(data, len, &id));
	}
	return 0;
}
