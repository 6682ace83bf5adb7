/* SPDX-License-Identifier: BSD-2-Clause */
/* The part of the PF_KEY reader that checks one extension; for pfkey_parse.c only. */
#ifndef TDO_WIRE_PFKEY_EXT_H
#define TDO_WIRE_PFKEY_EXT_H

#include "wire/pfkey_msg.h"

/* 0, or -errno and what is wrong with the extension of this type. */
TDO_MUST_CHECK int tdo_sadb_ext_check(
    unsigned type, const struct tdo_sadb_ext *ext, const char **ret_text);

/* True for a number that means something: not all up to the highest do. */
bool tdo_sadb_ext_known(unsigned type);

#endif
