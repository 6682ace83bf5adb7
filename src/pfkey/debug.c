/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What net.key.debug lets us say; the bits are KAME's: 1 that something happened, 2 what it
 * was about; 16 in requests, 64 in acquires and expiries.  Both halves must be set.  Never a key.
 */
#include "base/addr.h"
#include "engine/control.h"
#include "pfkey/endpoint.h"

enum { STAMP = 0x01, DATA = 0x02, KEY = 0x10, IPSEC = 0x40 };

static bool
wanted(const struct tdo_pfkey *k, int32_t bits)
{
	return (tdo_knob_get(k->cfg.engine, TDO_KNOB_KEY_DEBUG, TDO_AF_INET) & bits) == bits;
}

static void
log_ext(const struct tdo_pfkey *k, const struct tdo_sadb_msg *m, unsigned type)
{
	struct tdo_sadb_address a;
	struct tdo_sadb_sa sa;
	char text[TDO_ADDR_STRLEN];

	switch (type) {
	case TDO_SADB_EXT_SA:
		tdo_sadb_get_sa(m, &sa);
		tdo_engine_log(k->cfg.engine, TDO_LOG_INFO,
		    "pfkey:   SADB_EXT_SA spi %#x encryption %u authentication %u",
		    (unsigned)sa.spi, sa.encrypt, sa.auth);
		break;
	case TDO_SADB_EXT_ADDRESS_SRC:
	case TDO_SADB_EXT_ADDRESS_DST:
	case TDO_SADB_EXT_ADDRESS_PROXY:
		tdo_sadb_get_address(m, (enum tdo_sadb_ext_type)type, &a);
		tdo_engine_log(k->cfg.engine, TDO_LOG_INFO, "pfkey:   %s %s/%u protocol %u port %u",
		    tdo_sadb_ext_name(type), tdo_addr_str(&a.addr, text), a.plen, a.proto, a.port);
		break;
	default:
		tdo_engine_log(k->cfg.engine, TDO_LOG_INFO, "pfkey:   %s, %u bytes",
		    tdo_sadb_ext_name(type), (unsigned)m->ext[type].len);
		break;
	}
}

static void
log_exts(const struct tdo_pfkey *k, const struct tdo_sadb_msg *m)
{
	for (unsigned i = 0; i < m->next; i++)
		log_ext(k, m, m->order[i]);
}

void
tdo_pfkey_debug_request(const struct tdo_pfkey *k, const struct tdo_sadb_base *b,
    const struct tdo_sadb_msg *m, int err, const char *why)
{
	if (wanted(k, KEY | STAMP))
		tdo_engine_log(k->cfg.engine, TDO_LOG_INFO,
		    "pfkey: %s, SA type %u, seq %u, pid %u: errno %d%s%s",
		    tdo_sadb_type_name(b->type), b->satype, (unsigned)b->seq, (unsigned)b->pid, err,
		    why ? ", " : "", why ? why : "");
	if (m && wanted(k, KEY | DATA))
		log_exts(k, m);
}

void
tdo_pfkey_debug_event(const struct tdo_pfkey *k, const uint8_t *msg, size_t len)
{
	struct tdo_sadb_msg m;

	if (!wanted(k, IPSEC | STAMP) && !wanted(k, IPSEC | DATA))
		return;
	if (tdo_sadb_parse(msg, len, &m, NULL) < 0)
		return; /* unreachable: it was made here */
	if (wanted(k, IPSEC | STAMP))
		tdo_engine_log(k->cfg.engine, TDO_LOG_INFO, "pfkey: %s, SA type %u, seq %u",
		    tdo_sadb_type_name(m.base.type), m.base.satype, (unsigned)m.base.seq);
	if (wanted(k, IPSEC | DATA))
		log_exts(k, &m);
}
