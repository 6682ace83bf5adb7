/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/protocol.h"

#include "wire/ip.h"

static const struct tdo_protocol rows[] = {
    {TDO_SATYPE_AH, TDO_IPPROTO_AH, "AH", tdo_ah_check, tdo_ah_init},
    {TDO_SATYPE_ESP, TDO_IPPROTO_ESP, "ESP", tdo_esp_check, tdo_esp_init},
    {TDO_SATYPE_IPCOMP, TDO_IPPROTO_IPCOMP, "IPComp", tdo_ipcomp_check, tdo_ipcomp_init},
};

const struct tdo_protocol *
tdo_protocol_of(uint8_t satype)
{
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].satype == satype)
			return &rows[i];
	return NULL;
}
