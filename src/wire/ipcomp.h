/* SPDX-License-Identifier: BSD-2-Clause */
/* The IPComp header (RFC 3173 3.3): next header, flags (zero, ignored on receipt), CPI. */
#ifndef TDO_WIRE_IPCOMP_H
#define TDO_WIRE_IPCOMP_H

#define TDO_IPCOMP_HLEN      4u
#define TDO_IPCOMP_NH_OFF    0u
#define TDO_IPCOMP_FLAGS_OFF 1u
#define TDO_IPCOMP_CPI_OFF   2u

#endif
